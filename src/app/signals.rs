//! SIGTERM, SIGINT and SIGHUP: the first one asks for an orderly end, the second one ends at once.

use crate::telemetry;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code after a second signal.
const IMPATIENT: i32 = 130;

/// Waits for signals.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal's name.
    pub async fn next(&mut self) -> &'static str {
        // In any order: each of them means the same.
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }

    /// Does `work`, unless another signal comes: then the process ends at once.
    pub async fn or_exit<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased; // work that is done is not cut off by a signal of the same moment
            output = work => output,
            name = self.next() => {
                tracing::warn!(signal = name, "second signal: ending at once");
                telemetry::finish();
                std::process::exit(IMPATIENT);
            }
        }
    }
}
