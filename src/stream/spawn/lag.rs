//! Whether the consumer is too slow, and what is told of that. Pure.

use crate::market::MarketEvent;
use crate::stream::{DataFact, WhenFull};
use crate::supervise::later;
use std::time::{Duration, Instant};

/// Who holds the reading up for less is not too slow.
const PATIENCE: Duration = Duration::from_secs(1);
/// Who has lost nothing for so long has caught up.
const CALM: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Lag {
    /// Nothing has been read since then, since there is no room.
    held_since: Option<Instant>,
    /// How long that was the last time that it was long, and when it ended.
    last_hold: Option<(Duration, Instant)>,
    /// Told to be too slow, since then.
    slow_since: Option<Instant>,
    /// Frames lost since then, the last one at that moment.
    lost: u64,
    last_loss: Option<Instant>,
}

impl Lag {
    /// Nothing is read at `now`, since there is no room.
    pub(super) fn held_up(&mut self, now: Instant) -> Option<DataFact> {
        let since = *self.held_since.get_or_insert(now);
        let is_news = self.slow_since.is_none() && now.saturating_duration_since(since) >= PATIENCE;
        is_news.then(|| {
            self.slow_since = Some(since);
            DataFact::QueueFull(WhenFull::Block)
        })
    }

    /// When to look again whether it has been too long; `None` where that is told already.
    pub(super) fn due(&self) -> Option<Instant> {
        let since = self.held_since.filter(|_| self.slow_since.is_none())?;
        Some(later(since, PATIENCE))
    }

    pub(super) const fn is_held_up(&self) -> bool {
        self.held_since.is_some()
    }

    /// It is read again.
    pub(super) fn reading(&mut self, now: Instant) -> Option<DataFact> {
        let took = now.saturating_duration_since(self.held_since.take()?);
        if took >= PATIENCE {
            self.last_hold = Some((took, now));
        }
        self.slow_since.take().map(|_| DataFact::CaughtUp {
            dropped: 0,
            after: took,
        })
    }

    /// Whether it was told to be too slow, and not yet to have caught up.
    pub(super) const fn is_slow(&self) -> bool {
        self.slow_since.is_some()
    }

    /// So many frames were lost for the event that was handed over at `now`, often none.
    pub(super) fn handed_over(&mut self, lost: u64, now: Instant) -> Option<DataFact> {
        if lost > 0 {
            self.lost = self.lost.saturating_add(lost);
            self.last_loss = Some(now);
            let is_news = self.slow_since.is_none();
            self.slow_since.get_or_insert(now);
            return is_news.then_some(DataFact::QueueFull(WhenFull::DropOldest));
        }
        let until = self.last_loss?;
        if now.saturating_duration_since(until) < CALM {
            return None;
        }
        self.last_loss = None;
        let dropped = std::mem::take(&mut self.lost);
        let after = until.saturating_duration_since(self.slow_since.take()?);
        Some(DataFact::CaughtUp { dropped, after })
    }

    /// Adds to a loss what this side has to do with it: a venue may have lost its patience with who did not read.
    pub(super) fn explain(&self, event: MarketEvent, now: Instant) -> MarketEvent {
        let MarketEvent::Disconnected {
            cause,
            detail,
            instruments,
        } = event
        else {
            return event;
        };
        let lasting = self.held_since.map(|since| (now.saturating_duration_since(since), now));
        let is_near = |(took, until): &(Duration, Instant)| now.saturating_duration_since(*until) <= (*took).max(CALM);
        let detail = match lasting.or(self.last_hold).filter(is_near) {
            Some((took, _)) if took >= PATIENCE => {
                let separator = if detail.is_empty() { "" } else { "; " };
                let seconds = took.as_secs();
                format!("{detail}{separator}nothing had been read for {seconds} s: the consumer's queue was full")
                    .into()
            }
            _ => detail,
        };
        MarketEvent::Disconnected {
            cause,
            detail,
            instruments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::market::Cause;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const fn caught_up(dropped: u64, after: Duration) -> DataFact {
        DataFact::CaughtUp { dropped, after }
    }

    #[test]
    fn a_short_hold_is_nobody_s_business_and_a_long_one_is_told_once() {
        let start = Moment::now().mono;
        let mut lag = Lag::default();
        assert_eq!(lag.held_up(start), None);
        assert_eq!(lag.due(), Some(start + PATIENCE));
        assert_eq!(lag.reading(start + PATIENCE / 2), None);
        assert!(!lag.is_held_up() && lag.due().is_none());

        assert_eq!(lag.held_up(start), None);
        assert_eq!(
            lag.held_up(start + PATIENCE),
            Some(DataFact::QueueFull(WhenFull::Block))
        );
        assert_eq!(lag.due(), None);
        assert_eq!(lag.held_up(start + secs(50)), None);
        assert_eq!(lag.reading(start + secs(60)), Some(caught_up(0, secs(60))));
        assert_eq!(lag.reading(start + secs(61)), None);
    }

    #[test]
    fn losses_are_told_once_until_none_has_come_for_a_while() {
        let start = Moment::now().mono;
        let mut lag = Lag::default();
        assert_eq!(lag.handed_over(0, start), None);
        assert_eq!(
            lag.handed_over(2, start),
            Some(DataFact::QueueFull(WhenFull::DropOldest))
        );
        assert_eq!(lag.handed_over(0, start + secs(9)), None);
        assert_eq!(lag.handed_over(1, start + secs(9)), None);
        assert_eq!(lag.handed_over(0, start + secs(18)), None);
        assert!(lag.is_slow());
        assert_eq!(lag.handed_over(0, start + secs(19)), Some(caught_up(3, secs(9))));
        assert!(!lag.is_slow());
        assert_eq!(lag.handed_over(0, start + secs(60)), None);
    }

    #[test]
    fn a_loss_says_that_nothing_had_been_read_before_it() {
        let start = Moment::now().mono;
        let told = |lag: &Lag, detail: &'static str, now| {
            let event = MarketEvent::Disconnected {
                cause: Cause::Eof,
                detail: detail.into(),
                instruments: Vec::new(),
            };
            match lag.explain(event, now) {
                MarketEvent::Disconnected { detail, .. } => detail.into_owned(),
                other => panic!("{other:?}"),
            }
        };
        let mut lag = Lag::default();
        assert_eq!(told(&lag, "gone", start), "gone");
        lag.held_up(start);
        let held = "nothing had been read for 42 s: the consumer's queue was full";
        assert_eq!(told(&lag, "gone", start + secs(42)), format!("gone; {held}"));
        lag.reading(start + secs(42));
        assert_eq!(told(&lag, "", start + secs(84)), held);
        assert_eq!(told(&lag, "", start + secs(85)), "", "long over");
    }
}
