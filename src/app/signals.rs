//! SIGTERM and SIGINT: the first one asks for an orderly end, the second one ends at once. SIGHUP asks a service to read its
//! configuration again, and ends what has none.

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

/// What a signal asks a service for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To end; the signal's name.
    End(&'static str),
    /// To read its configuration again. Any number of these that come while one is followed count as one.
    Reload,
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

    /// The next signal's name, of a program that has no configuration to read again.
    pub async fn next(&mut self) -> &'static str {
        match self.wish().await {
            Wish::End(name) => name,
            Wish::Reload => "SIGHUP",
        }
    }

    /// What the next signal asks for.
    pub async fn wish(&mut self) -> Wish {
        tokio::select! {
            biased; // who ends needs no new configuration
            _ = self.terminate.recv() => Wish::End("SIGTERM"),
            _ = self.interrupt.recv() => Wish::End("SIGINT"),
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// The name of the next signal that asks for the end.
    pub async fn end(&mut self) -> &'static str {
        // In any order: both mean the same.
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Does `work`, unless another signal asks for the end: then the process ends at once.
    pub async fn or_exit<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased; // work that is done is not cut off by a signal of the same moment
            output = work => output,
            name = self.end() => {
                tracing::warn!(signal = name, "second signal: ending at once");
                telemetry::finish();
                std::process::exit(IMPATIENT);
            }
        }
    }
}
