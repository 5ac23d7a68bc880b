//! A timer that is set again and again.

use std::pin::Pin;
use std::time::Instant;
use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};

/// Made when it is set first.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Makes sure that it fires at `due` or before. Firing early is harmless, and spares setting it for each message.
    pub(super) fn arm(&mut self, due: Instant) {
        let due = due.into();
        match &mut self.0 {
            None => self.0 = Some(Box::pin(sleep_until(due))),
            Some(timer) if timer.is_elapsed() || timer.deadline() > due => timer.as_mut().reset(due),
            Some(_) => {}
        }
    }

    /// Never before it was set. Cancel-safe. It waits for no turn: what floods the task must not stop its time.
    pub(super) async fn elapsed(&mut self) {
        match &mut self.0 {
            Some(timer) => coop::unconstrained(timer).await,
            None => std::future::pending().await,
        }
    }
}
