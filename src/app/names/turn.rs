//! Whose turn it is to ask a REST API: the streams of a host ask one after another, and none of them too soon.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

/// Between the end of a request and the beginning of the next.
const SPACING: Duration = Duration::from_millis(100);
/// An API that wants to be left alone for longer is asked all the same.
const LONGEST: Duration = Duration::from_secs(3600);

/// The turn of a host. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<Option<Instant>>>);

/// A turn. It ends when this is dropped.
pub(super) struct Turn<'t> {
    next: MutexGuard<'t, Option<Instant>>,
}

impl Turns {
    /// Waits for its turn, first come, first served.
    pub(super) async fn take(&self) -> Turn<'_> {
        let next = self.0.lock().await;
        if let Some(due) = *next {
            sleep_until(due).await;
        }
        Turn { next }
    }
}

impl Turn<'_> {
    /// The API wants to be left alone for so long: by everybody.
    pub(super) fn hold(mut self, wait: Option<Duration>) {
        *self.next = Some(Instant::now() + wait.unwrap_or_default().clamp(SPACING, LONGEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_api_that_asks_for_rest_gets_it_from_every_stream() {
        let (turns, begun) = (Turns::default(), Instant::now());
        let other = turns.clone();
        turns.take().await.hold(None);
        other.take().await.hold(Some(Duration::from_secs(30)));
        assert_eq!(begun.elapsed(), SPACING);
        turns.take().await.hold(Some(Duration::from_secs(1 << 40)));
        assert_eq!(begun.elapsed(), SPACING + Duration::from_secs(30));
        turns.take().await.hold(None);
        assert_eq!(begun.elapsed(), SPACING + Duration::from_secs(30) + LONGEST);
    }
}
