//! When a deadline that has passed may be judged.
//!
//! Who was away (a consumer that did something else, a process that was stopped) wakes up to timers that have run out and to
//! a socket in which the answer may be waiting. Reading before judging is not enough then: a runtime whose wait for events was
//! interrupted learns of its timers alone, and of its sockets with the next wait. So a deadline that has passed is only noted
//! at the first look, and judged at a second one.

use crate::clock::Moment;
use crate::supervise::later;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// The least time between the two looks. A timer that is set at the first one fires after the runtime has asked for events.
const LEAST_CHANCE: Duration = Duration::from_millis(1);
/// The most: for what has to go to the venue and back, or waits behind a lot.
const MOST_CHANCE: Duration = Duration::from_secs(1);

/// A moment by which something should have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    due: Instant,
    second_look: Option<Instant>,
}

impl Deadline {
    pub(super) const fn new(due: Instant) -> Self {
        Self { due, second_look: None }
    }

    /// The same one, if it is for `due`; otherwise a new one.
    pub(super) fn or_new(self, due: Instant) -> Self {
        if self.due == due { self } else { Self::new(due) }
    }

    /// When to look at it next.
    pub(super) fn next(&self) -> Instant {
        self.second_look.unwrap_or(self.due)
    }

    /// Looks, after what was there to read has been read. It is over at the second look: as much later as the first one was
    /// late, within limits.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        let late = now.saturating_duration_since(self.due);
        let chance = late.clamp(LEAST_CHANCE, MOST_CHANCE);
        *self.second_look.get_or_insert_with(|| later(now, chance)) <= now
    }
}

/// What the operation comes to by `due`; `None` = it is given up.
pub(super) async fn by<F: Future>(due: Instant, operation: F) -> Option<F::Output> {
    let mut operation = pin!(operation);
    let mut deadline = Deadline::new(due);
    loop {
        if let Ok(output) = timeout_at(deadline.next().into(), operation.as_mut()).await {
            return Some(output);
        }
        if deadline.is_over(Moment::now().mono) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn nothing_is_judged_at_the_first_look() {
        let due = Moment::now().mono;
        for (late, chance) in [(0, 1), (1, 1), (30, 30), (1000, 1000), (60_000, 1000)] {
            let mut deadline = Deadline::new(due);
            let first = due + millis(late);
            assert!(!deadline.is_over(first));
            let second = first + millis(chance);
            assert_eq!(deadline.next(), second, "{late} ms late");
            assert!(!deadline.is_over(second.checked_sub(millis(1)).unwrap()));
            assert!(deadline.is_over(second));
        }
    }

    #[test]
    fn a_look_before_it_is_due_is_none() {
        let due = Moment::now().mono + millis(10);
        let mut deadline = Deadline::new(due);
        for _ in 0..2 {
            assert!(!deadline.is_over(due.checked_sub(millis(1)).unwrap()));
            assert_eq!(deadline.next(), due);
        }
    }

    #[test]
    fn another_deadline_has_two_looks_of_its_own() {
        let due = Moment::now().mono;
        let mut deadline = Deadline::new(due);
        assert!(!deadline.is_over(due));
        assert!(deadline.or_new(due).is_over(due + millis(1)));
        assert!(!deadline.or_new(due + millis(1)).is_over(due + millis(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_is_looked_at_twice_and_then_given_up() {
        let begun = Moment::now().mono;
        let due = later(begun, millis(10));
        assert_eq!(by(due, std::future::pending::<()>()).await, None);
        assert_eq!(Moment::now().mono.duration_since(begun), millis(11));
        let just_in_time = tokio::time::sleep(millis(500));
        assert_eq!(by(begun, just_in_time).await, None, "11 ms late, so 11 ms more");
        let long_ago = later(begun, millis(20));
        tokio::time::sleep(millis(700)).await;
        assert_eq!(by(long_ago, tokio::time::sleep(millis(500))).await, Some(()));
    }
}
