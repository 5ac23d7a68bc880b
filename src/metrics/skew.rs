//! By how much this side's clock is behind a venue's, as far as that shows: an event cannot come before it happens.
//!
//! Kept is the most of a window and of the one before, so that what is shown lasts for one window at least and is over after two.
//! It is a lower bound: what an event took to get here is hidden in it. Of a clock that is ahead nothing is seen here; it
//! makes latencies too long.

use super::stream::{Traffic, TrafficCells};
use std::sync::atomic::Ordering::Relaxed;

/// Nanoseconds.
const WINDOW: u64 = 10_000_000_000;

/// An event came so many seconds before the venue's time of it. One task reports at a time.
#[cold]
pub(super) fn note(cells: &TrafficCells, seconds: f64, stamp: u64) {
    let since = cells.skew_since.load(Relaxed);
    let most = f64::from_bits(cells.skew.load(Relaxed));
    let age = stamp.saturating_sub(since);
    if since != 0 && age <= WINDOW {
        cells.skew.store(most.max(seconds).to_bits(), Relaxed);
        return;
    }
    let is_next = since != 0 && age <= 2 * WINDOW;
    let (before, since) = if is_next { (most, since + WINDOW) } else { (0.0, stamp) };
    cells.skew_before.store(before.to_bits(), Relaxed);
    cells.skew.store(seconds.to_bits(), Relaxed);
    cells.skew_since.store(since, Relaxed);
}

/// The skew that is shown at `now`: seconds; 0 where no event came too early lately.
pub(super) fn shown(traffic: &Traffic, now: u64) -> f64 {
    let age = now.saturating_sub(traffic.skew_since);
    if traffic.skew_since == 0 || age > 2 * WINDOW {
        return 0.0;
    }
    let most = f64::from_bits(traffic.skew);
    if age > WINDOW {
        most
    } else {
        most.max(f64::from_bits(traffic.skew_before))
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "figures are exact")]
mod tests {
    use super::*;
    use crate::metrics::seqlock::Plain;

    const SECOND: u64 = 1_000_000_000;

    fn at(cells: &TrafficCells, second: u64) -> f64 {
        shown(&Traffic::load(cells), 1 + second * SECOND)
    }

    #[test]
    fn the_most_of_a_window_is_shown_until_the_next_one_is_over() {
        let cells = Traffic::ZERO.to_atomic();
        assert_eq!(at(&cells, 0), 0.0);
        for (second, skew, told) in [
            (1, 0.5, 0.5),
            (2, 1.25, 1.25),
            (9, 0.25, 1.25),
            (13, 0.75, 1.25),
            (22, 0.125, 0.75),
        ] {
            note(&cells, skew, 1 + second * SECOND);
            assert_eq!(at(&cells, second), told, "{second}");
        }
        assert_eq!(at(&cells, 31), 0.75);
        assert_eq!(at(&cells, 32), 0.125);
        assert_eq!(at(&cells, 41), 0.125);
        assert_eq!(at(&cells, 42), 0.0);
        note(&cells, 2.0, 1 + 90 * SECOND);
        assert_eq!(at(&cells, 90), 2.0, "what was long ago has no part in it");
    }
}
