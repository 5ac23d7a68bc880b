//! Whose turn it is to ask a REST API: the streams of a host ask one after another, and none of them too soon.

use crate::supervise::Policy;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

/// Between the end of a request and the beginning of the next.
const SPACING: Duration = Duration::from_millis(100);

/// The turn of a host. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<Option<Instant>>>);

/// A turn. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    next: MutexGuard<'t, Option<Instant>>,
}

impl Turns {
    /// Waits for its turn, first come, first served. Where the API wants to be left alone for longer than `patience`, nobody
    /// stands in line for that: the error says for how long.
    pub(super) async fn take(&self, patience: Duration) -> Result<Turn<'_>, Duration> {
        let next = self.0.lock().await;
        if let Some(due) = *next {
            let wait = due.saturating_duration_since(Instant::now());
            if wait > patience.max(SPACING) {
                return Err(wait);
            }
            sleep_until(due).await;
        }
        Ok(Turn { next })
    }
}

impl Turn<'_> {
    /// The API wants to be left alone for so long: by everybody. Returns for how long that holds: for no longer than a stream
    /// would simply wait, which is the `retry_after_max` of the default policy.
    pub(super) fn hold(mut self, wait: Option<Duration>) -> Duration {
        let longest = Policy::default().retry_after_max;
        let wait = wait.unwrap_or_default().clamp(SPACING, longest);
        *self.next = Some(Instant::now() + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const LONGEST: Duration = Duration::from_secs(900);

    #[tokio::test(start_paused = true)]
    async fn an_api_that_asks_for_rest_gets_it_from_every_stream() {
        let (turns, begun) = (Turns::default(), Instant::now());
        let other = turns.clone();
        turns.take(PATIENCE).await.unwrap().hold(None);
        let turn = other.take(PATIENCE).await.unwrap();
        assert_eq!(begun.elapsed(), SPACING);
        turn.hold(Some(PATIENCE));
        turns.take(PATIENCE).await.unwrap().hold(None);
        assert_eq!(begun.elapsed(), SPACING + PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_rest_is_told_to_all_and_bounded() {
        let turns = Turns::default();
        let held = turns
            .take(PATIENCE)
            .await
            .unwrap()
            .hold(Some(Duration::from_secs(1 << 40)));
        assert_eq!(held, LONGEST);
        let begun = Instant::now();
        assert_eq!(turns.take(PATIENCE).await.unwrap_err(), LONGEST);
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody stands in line for it");
        tokio::time::advance(Duration::from_secs(890)).await;
        turns.take(PATIENCE).await.unwrap();
        assert_eq!(begun.elapsed(), LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_patience_at_all_waits_for_the_one_before_it_all_the_same() {
        let turns = Turns::default();
        turns.take(Duration::ZERO).await.unwrap().hold(None);
        turns.take(Duration::ZERO).await.unwrap();
    }
}
