//! How fast a venue is sent requests. Pure.

use crate::supervise::{DialLimit, later};
use std::time::{Duration, Instant};

/// When the next request may leave: so many at once after a rest, and then one in each interval.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    burst: u32,
    /// When the whole burst is free again.
    rested: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limit: Option<DialLimit>) -> Self {
        Self {
            interval: limit.map_or(Duration::ZERO, DialLimit::spacing),
            burst: limit.map_or(1, DialLimit::burst),
            rested: None,
        }
    }

    /// The first moment at which a request may leave; `None` = at once.
    pub(super) fn due(&self) -> Option<Instant> {
        self.rested?.checked_sub(self.interval * (self.burst - 1))
    }

    pub(super) fn allows(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// A request left.
    pub(super) fn sent(&mut self, now: Instant) {
        let since = self.rested.map_or(now, |rested| rested.max(now));
        self.rested = Some(later(since, self.interval));
    }

    /// How long it takes until the last of so many has left, after a rest.
    pub(super) fn time_for(&self, requests: usize) -> Duration {
        let waiting = requests.saturating_sub(self.burst as usize);
        self.interval.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_rate() {
        let mut pace = Pace::new(Some(DialLimit {
            per_second: 2.0,
            burst: 3,
        }));
        let start = Moment::now().mono;
        let mut now = start;
        for _ in 0..10 {
            if !pace.allows(now) {
                now = pace.due().unwrap();
                assert!(
                    now.checked_sub(Duration::from_millis(1))
                        .is_some_and(|early| !pace.allows(early))
                );
            }
            pace.sent(now);
        }
        assert_eq!(now - start, pace.time_for(10));
        assert!(now - start >= Duration::from_millis(3500));
    }

    #[test]
    fn where_nothing_is_known_nothing_waits() {
        let mut pace = Pace::new(None);
        let now = Moment::now().mono;
        pace.sent(now);
        assert!(pace.allows(now));
        assert_eq!(pace.time_for(1000), Duration::ZERO);
    }
}
