//! Tells systemd how the service is: ready, stopping, alive. Elsewhere nobody listens, and nothing is told.
//!
//! Source: `sd_notify(3)` and `sd_watchdog_enabled(3)`.

use sd_notify::NotifyState;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

/// A word to systemd waits so long for a place in its socket; the next one is due anyhow.
const SEND_TIME: Duration = Duration::from_secs(1);

/// The service manager that started this program, if one did.
pub(super) struct ServiceManager {
    teller: Teller,
    watchdog: Option<JoinHandle<()>>,
}

impl ServiceManager {
    /// Tells it that the service is ready, and from now on that it is alive, twice as often as it wants to hear that.
    pub(super) async fn ready(status: String) -> Self {
        let teller = Teller::default();
        teller.tell(Word::Ready(status)).await;
        let alive = |often: Duration| tokio::spawn(keep_telling(teller.clone(), often / 2));
        Self {
            watchdog: sd_notify::watchdog_enabled()
                .filter(|often| !often.is_zero())
                .map(alive),
            teller,
        }
    }

    /// Tells it that the service is going down. It goes on hearing that it is alive.
    pub(super) async fn stopping(&self) {
        self.teller.tell(Word::Stopping).await;
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.abort();
        }
    }
}

/// A service whose runtime is stuck runs neither timers nor tasks, and is not heard of any more. Whether a venue is there plays
/// no part, nor how many clients its HTTP server has: a restart would help with neither, and would dial every venue afresh.
async fn keep_telling(teller: Teller, every: Duration) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // By way of the queue in which the streams' tasks stand.
        if tokio::spawn(async {}).await.is_ok() {
            teller.tell(Word::Alive).await;
        }
    }
}

enum Word {
    Ready(String),
    Stopping,
    Alive,
}

impl Word {
    fn send(&self) -> io::Result<()> {
        match self {
            Self::Ready(status) => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]),
            Self::Stopping => sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("closing streams")]),
            Self::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        }
    }
}

#[derive(Clone, Default)]
struct Teller {
    has_failed: Arc<AtomicBool>,
}

impl Teller {
    /// Where it cannot be told, that is logged once: the service does its work all the same.
    async fn tell(&self, word: Word) {
        // On a thread that may wait: a socket that is full blocks.
        let sent = timeout(SEND_TIME, spawn_blocking(move || word.send())).await;
        let error = match sent {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => "its socket is full".to_owned(),
        };
        if !self.has_failed.swap(true, Relaxed) {
            warn!(error, "systemd cannot be told how the service is");
        }
    }
}
