//! Tells systemd how the service is: ready, reloading, stopping, alive. Elsewhere nobody listens, and nothing is told.
//!
//! It never blocks: a service manager that does not listen holds up nothing here, no thread and no stream.
//!
//! Source: `sd_notify(3)` and `sd_watchdog_enabled(3)`.

use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

/// A place in systemd's socket that takes longer to come is worth a warning, and at the end it is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The service manager that started this program, if one did.
pub(super) struct ServiceManager {
    line: Option<Arc<Line>>,
    alive: Option<JoinHandle<()>>,
}

impl ServiceManager {
    /// Tells it that the service is ready, and from now on that it is alive, twice as often as it wants to hear that.
    ///
    /// Where it cannot be told, that is logged once: the service does its work all the same.
    pub(super) fn ready(status: &str) -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self {
                line: None,
                alive: None,
            };
        };
        let line = Line::to(&name).inspect_err(complain).ok().map(Arc::new);
        let variable = |name| std::env::var(name).ok();
        let often = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        let ready = format!("READY=1\nSTATUS={status}");
        let report = |line: Arc<Line>| {
            tokio::spawn(async move {
                line.tell(&ready).await;
                if let Some(often) = often {
                    keep_telling(&line, often / 2).await;
                }
            })
        };
        Self {
            alive: line.clone().map(report),
            line,
        }
    }

    /// Tells it that the configuration is being read again, until [`ServiceManager::reloaded`] is told.
    pub(super) async fn reloading(&self) {
        let clock = clock_gettime(ClockId::Monotonic);
        // It wants the moment, lest it takes an older message for the answer to its own wish.
        let micros = clock.tv_sec * 1_000_000 + clock.tv_nsec / 1000;
        let status = "STATUS=reading the configuration again";
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n{status}"))
            .await;
    }

    /// Tells it that the configuration was read again, taken over or not.
    pub(super) async fn reloaded(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}")).await;
    }

    /// Tells it that the service is going down. It goes on hearing that it is alive.
    pub(super) async fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=closing streams").await;
    }

    async fn tell(&self, word: &str) {
        if let Some(line) = &self.line {
            // Neither a reload nor the end waits for somebody who does not listen.
            let _ = timeout(PATIENCE, line.tell(word)).await;
        }
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        if let Some(alive) = &self.alive {
            alive.abort();
        }
    }
}

/// How often systemd wants to hear that this process is alive; `None` where it does not, or not from this one.
fn watchdog(microseconds: Option<String>, process: Option<String>, own: u32) -> Option<Duration> {
    let often = microseconds?.parse().ok().filter(|microseconds| *microseconds > 0)?;
    let is_meant = process.is_none_or(|process| process.parse() == Ok(own));
    is_meant.then(|| Duration::from_micros(often))
}

/// Runs where the streams run. Once every worker of the runtime is stuck, no timer fires and no task is run, this one neither,
/// and systemd hears no more. A worker that is stuck alone goes unnoticed here, and shows in the metrics of its stream: the
/// others take the rest of its tasks over. Whether a venue is there plays no part, nor whether the HTTP server has a place left
/// for one more client: a restart would help with neither, and would dial every venue afresh.
async fn keep_telling(line: &Line, every: Duration) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        line.tell("WATCHDOG=1").await;
    }
}

/// The way to systemd. It is opened once, so that it stays there when descriptors run out.
struct Line {
    socket: UnixDatagram,
    has_failed: AtomicBool,
}

impl Line {
    fn to(name: &OsStr) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address(name)?)?;
        Ok(Self::over(UnixDatagram::from_std(socket)?))
    }

    fn over(socket: UnixDatagram) -> Self {
        Self {
            socket,
            has_failed: AtomicBool::new(false),
        }
    }

    /// Waits for as long as the socket is full: a `READY` that got lost would have the service killed.
    async fn tell(&self, word: &str) {
        let mut sending = pin!(self.socket.send(word.as_bytes()));
        let sent = if let Ok(sent) = timeout(PATIENCE, &mut sending).await {
            sent
        } else {
            self.complain_once(&io::Error::other("its socket is full"));
            sending.await
        };
        if let Err(error) = sent {
            self.complain_once(&error);
        }
    }

    fn complain_once(&self, error: &io::Error) {
        if !self.has_failed.swap(true, Relaxed) {
            complain(error);
        }
    }
}

fn complain(error: &io::Error) {
    warn!(%error, "systemd cannot be told how the service is");
}

/// A path, or where Linux has them a name that begins with `@` and is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.as_bytes().strip_prefix(b"@") {
        return <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name);
    }
    SocketAddr::from_pathname(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_watchdog_is_this_process_s_or_nobody_s() {
        let asked = |microseconds: &str, process: Option<&str>| {
            watchdog(Some(microseconds.to_owned()), process.map(str::to_owned), 42)
        };
        let often = Some(Duration::from_secs(30));
        assert_eq!(asked("30000000", None), often);
        assert_eq!(asked("30000000", Some("42")), often);
        for (microseconds, process) in [
            ("30000000", Some("43")),
            ("30000000", Some("")),
            ("0", None),
            ("-1", None),
            ("30s", None),
            ("", None),
        ] {
            assert_eq!(asked(microseconds, process), None, "{microseconds} {process:?}");
        }
        assert_eq!(watchdog(None, None, 42), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_runtime_that_is_stuck_is_not_alive() {
        const EVERY: Duration = Duration::from_millis(5);
        let (here, there) = UnixDatagram::pair().unwrap();
        let there = there.into_std().unwrap();
        there.set_nonblocking(false).unwrap();
        let heard = |wait: Duration| {
            there.set_read_timeout(Some(wait)).unwrap();
            there.recv(&mut [0; 64]).is_ok()
        };
        let patient = Duration::from_secs(20);
        tokio::spawn(async move { keep_telling(&Line::over(here), EVERY).await });
        assert!(heard(patient));

        let (end, until) = mpsc::channel::<()>();
        let (stuck, is_stuck) = mpsc::channel();
        tokio::spawn(async move {
            stuck.send(()).unwrap();
            until.recv().unwrap();
        });
        is_stuck.recv_timeout(patient).unwrap();
        // What was said before.
        while heard(Duration::from_millis(1)) {}
        assert!(!heard(40 * EVERY));
        end.send(()).unwrap();
        assert!(heard(patient));
    }
}
