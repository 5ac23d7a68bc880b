//! What systemd is told: a socket of the test's own takes its place.

use crate::harness::{Ended, Service, TempFile, config, eventually, json, venue};
use feedwatch::sim::{Fault, Rule, What};
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// How often systemd would want to hear that the service is alive, in microseconds; half of it is 50 ms.
const WATCHDOG: (&str, &str) = ("WATCHDOG_USEC", "100000");

/// systemd's end of the socket. It never waits.
struct Manager {
    socket: UnixDatagram,
    path: TempFile,
}

impl Manager {
    fn new() -> Self {
        let path = TempFile::unused("sock");
        let socket = UnixDatagram::bind(path.name()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path }
    }

    /// A service without a venue that is told of this socket, and of more.
    async fn service(&self, more: &[(&str, &str)]) -> Service {
        let variables = [&[("NOTIFY_SOCKET", self.path.name())], more].concat();
        Service::run_with(&without_venue(), &[], &variables).await
    }

    /// The next message, if one has come.
    fn heard(&self) -> Option<String> {
        let mut text = [0; 4096];
        let length = self.socket.recv(&mut text).ok()?;
        Some(String::from_utf8(text[..length].to_vec()).unwrap())
    }

    /// All that has come.
    fn all(&self) -> Vec<String> {
        std::iter::from_fn(|| self.heard()).collect()
    }

    async fn next(&self, wanted: &str) -> String {
        let mut found = None;
        eventually(wanted, async || {
            // What comes after it is for the next who asks.
            while found.is_none()
                && let Some(message) = self.heard()
            {
                found = Some(message).filter(|message| message.lines().any(|line| line == wanted));
            }
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Sends it words of others until it takes no more; returns how many.
    fn fill(&self) -> usize {
        let other = UnixDatagram::unbound().unwrap();
        other.set_nonblocking(true).unwrap();
        let mut words = 0;
        let full = loop {
            match other.send_to(b"X_OTHER=1", self.path.name()) {
                Ok(_) => words += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock, "{full}");
        words
    }
}

/// One stream whose venue is not there.
fn without_venue() -> String {
    config("", &[("s", "ws://127.0.0.1:1/", "")])
}

/// How often the service complained that it cannot tell systemd.
fn complaints(lines: &[String]) -> usize {
    let complains = |line: &&String| json(line)["message"] == "systemd cannot be told how the service is";
    lines.iter().filter(complains).count()
}

/// It ended in order, and complained so often.
fn assert_ended(ended: &Ended, complained: usize) {
    assert_eq!(
        (ended.code, complaints(&ended.err)),
        (Some(0), complained),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn systemd_hears_that_the_service_is_ready_and_alive() {
    let manager = Manager::new();
    let service = manager.service(&[WATCHDOG]).await;
    let mut first = None;
    eventually("a word", async || {
        first = first.take().or_else(|| manager.heard());
        first.is_some()
    })
    .await;
    let status = format!("STATUS=streams: 1, http://{}", service.address);
    assert_eq!(first.unwrap(), format!("READY=1\n{status}"));
    assert_eq!(service.get("/-/ready").await.status, 200);
    for _ in 0..5 {
        manager.next("WATCHDOG=1").await;
    }
    assert_ended(&service.stop("TERM").await, 0);
}

#[tokio::test]
async fn systemd_hears_that_the_service_is_stopping_before_anything_is_closed() {
    // It answers no close frame: the stream is closed when the patience with it is over, and that is much later.
    let venue = venue(vec![Rule::always(Fault::Mute { after: Duration::ZERO })]);
    let manager = Manager::new();
    let variables = [("NOTIFY_SOCKET", manager.path.name()), WATCHDOG];
    let head = "transport.close_timeout_ms = 60000\nshutdown.grace_ms = 60000";
    let mut service = Service::run_with(&config(head, &[("a", &venue.url(), "")]), &[], &variables).await;
    service.logged("a", "live").await;
    let log = venue.log();
    let begun = What::FaultBegan { name: "mute" };
    eventually("a mute venue", async || {
        log.entries().iter().any(|entry| entry.what == begun)
    })
    .await;
    manager.next("WATCHDOG=1").await;
    service.program.signal("TERM");
    manager.next("STOPPING=1").await;
    assert_eq!(service.get("/-/healthy").await.status, 200);
    // An end that takes long is no reason to be killed.
    for _ in 0..5 {
        manager.next("WATCHDOG=1").await;
    }
    assert_eq!(service.stop("TERM").await.code, Some(130));
}

#[tokio::test]
async fn systemd_hears_of_a_reload_from_its_begin_to_its_end() {
    let manager = Manager::new();
    let service = manager.service(&[]).await;
    manager.next("READY=1").await;
    let streams = format!("STATUS=streams: 1, http://{}", service.address);
    let refused = format!("{streams}, last configuration refused");
    let mut last = 0;
    for (text, status) in [(without_venue(), streams), ("broken".to_owned(), refused)] {
        service.reload(&text).await;
        let begun = manager.next("RELOADING=1").await;
        let moment = begun.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        let moment: u64 = moment.unwrap().parse().unwrap();
        assert!(moment > last, "{begun}");
        last = moment;
        assert_eq!(manager.next("READY=1").await, format!("READY=1\n{status}"));
    }
    // Since this system was started, as the kernel counts it.
    #[cfg(target_os = "linux")]
    {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(last as f64 / 1e6 < seconds + 1.0, "{last} after {seconds} s");
    }
    assert_ended(&service.stop("TERM").await, 0);
}

#[tokio::test]
async fn a_process_that_is_frozen_is_not_alive() {
    let manager = Manager::new();
    let service = manager.service(&[WATCHDOG]).await;
    manager.next("WATCHDOG=1").await;
    service.program.signal("STOP");
    // The signal has arrived once the socket is silent for six times the interval.
    let mut silent = 0;
    eventually("silence", async || {
        silent = if manager.all().is_empty() { silent + 1 } else { 0 };
        silent > 30
    })
    .await;
    service.program.signal("CONT");
    manager.next("WATCHDOG=1").await;
    assert_ended(&service.stop("TERM").await, 0);
}

#[tokio::test]
async fn a_watchdog_that_is_for_another_process_hears_nothing() {
    let manager = Manager::new();
    let service = manager
        .service(&[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")])
        .await;
    manager.next("READY=1").await;
    assert_ended(&service.stop("TERM").await, 0);
    let heard = manager.all();
    assert!(
        heard.iter().any(|message| message.starts_with("STOPPING=1")),
        "{heard:?}"
    );
    assert!(!heard.iter().any(|message| message.contains("WATCHDOG")), "{heard:?}");
}

#[tokio::test]
async fn a_socket_that_is_full_holds_nothing_up_and_hears_it_later() {
    let manager = Manager::new();
    let words = manager.fill();
    let mut service = manager.service(&[WATCHDOG]).await;
    let told = |line: &str| Some(json(line)).filter(|line| line["error"] == "its socket is full");
    service.program.err.find("a complaint", told).await;
    assert_eq!(service.scrape().await.value("feedwatch_streams", &[]), 1.0);
    // In the order in which they came.
    for _ in 0..words {
        assert_eq!(manager.heard().unwrap(), "X_OTHER=1");
    }
    manager.next("READY=1").await;
    manager.next("WATCHDOG=1").await;
    // Full again, at the end.
    manager.fill();
    assert_ended(&service.stop("TERM").await, 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_socket_may_be_a_name_without_a_file() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let mut manager = Manager::new();
    let name = format!("feedwatch-{}", std::process::id());
    manager.socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    manager.socket.set_nonblocking(true).unwrap();
    let variables = [("NOTIFY_SOCKET", &*format!("@{name}")), WATCHDOG];
    let service = Service::run_with(&without_venue(), &[], &variables).await;
    manager.next("READY=1").await;
    manager.next("WATCHDOG=1").await;
    assert_ended(&service.stop("TERM").await, 0);
}

#[tokio::test]
async fn a_socket_that_is_gone_is_told_once_and_harms_nothing() {
    // One was never there; the other goes away.
    let variables = [("NOTIFY_SOCKET", "/nowhere/notify"), ("WATCHDOG_USEC", "20000")];
    let never = Service::run_with(&without_venue(), &[], &variables).await;
    let manager = Manager::new();
    let mut gone = manager.service(&[WATCHDOG]).await;
    manager.next("READY=1").await;
    drop(manager);
    let told = |line: &str| (complaints(&[line.to_owned()]) == 1).then_some(());
    gone.program.err.find("a complaint", told).await;
    for service in [never, gone] {
        assert_eq!(service.scrape().await.value("feedwatch_streams", &[]), 1.0);
        assert_ended(&service.stop("TERM").await, 1);
    }
}

#[tokio::test]
async fn without_a_service_manager_nothing_is_told() {
    for variables in [&[] as &[(&str, &str)], &[("NOTIFY_SOCKET", ""), WATCHDOG]] {
        let service = Service::run_with(&without_venue(), &[], variables).await;
        assert_ended(&service.stop("TERM").await, 0);
    }
}
