//! How fast a host may be dialled.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Turns are by this much further apart than the rate asks for: a dial that comes late to its turn still finds room.
const EASE: f64 = 1.08;

/// How many dials a host takes, of all its streams together.
///
/// ```
/// use feedwatch::supervise::DialLimit;
///
/// let venue = DialLimit { per_second: 10.0, burst: 5 };
/// // A user who sets a lower rate does not mean to have bursts above it.
/// assert_eq!(venue.or_set(Some(2.0), None), DialLimit { per_second: 2.0, burst: 2 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DialLimit {
    /// Dials a second, on average; may be less than 1. Outside of [`DialLimit::RATES`] the nearest that is within; NaN counts
    /// as the least.
    pub per_second: f64,
    /// So many at once after a quiet while. Only a burst that is larger than the rate brings more dials into a second than
    /// that. Outside of [`DialLimit::BURSTS`] the nearest that is within.
    pub burst: u32,
}

impl DialLimit {
    /// The rates that make sense: from one dial in 100 seconds to 1,000 a second.
    pub const RATES: RangeInclusive<f64> = 0.01..=1000.0;
    /// The bursts that make sense.
    pub const BURSTS: RangeInclusive<u32> = 1..=1000;

    /// This limit with what was set in its stead. A burst that nobody set is no larger than the rate that somebody did.
    #[must_use]
    pub fn or_set(self, per_second: Option<f64>, burst: Option<u32>) -> Self {
        let most = per_second.map_or(u32::MAX, whole);
        Self {
            per_second: per_second.unwrap_or(self.per_second),
            burst: burst.unwrap_or_else(|| self.burst.min(most).max(1)),
        }
    }

    /// The time from turn to turn.
    pub(crate) fn spacing(self) -> Duration {
        Duration::from_secs_f64(EASE / self.rate())
    }

    pub(crate) fn burst(self) -> u32 {
        self.burst.clamp(*Self::BURSTS.start(), *Self::BURSTS.end())
    }

    /// So many dials within one second.
    pub(super) fn most_in_a_second(self) -> usize {
        let most = whole(self.rate().ceil()).max(self.burst());
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    fn rate(self) -> f64 {
        // `max` prefers a number to NaN.
        self.per_second.max(*Self::RATES.start()).min(*Self::RATES.end())
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates, which is what is wanted
const fn whole(number: f64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_figures_are_taken_as_the_nearest_that_make_sense() {
        for (per_second, most, spacing) in [
            (f64::NAN, 1, 108.0),
            (-1.0, 1, 108.0),
            (0.5, 1, 2.16),
            (2.5, 3, 0.432),
            (f64::INFINITY, 1000, 0.001_08),
        ] {
            let limit = DialLimit { per_second, burst: 0 };
            assert_eq!(limit.most_in_a_second(), most, "{per_second}");
            assert_eq!(limit.spacing(), Duration::from_secs_f64(spacing), "{per_second}");
            assert_eq!(limit.burst(), 1);
        }
    }

    #[test]
    fn a_rate_that_is_set_bounds_the_burst_that_is_not() {
        let venue = DialLimit {
            per_second: 10.0,
            burst: 5,
        };
        let limit = |per_second, burst| DialLimit { per_second, burst };
        assert_eq!(venue.or_set(None, None), venue);
        assert_eq!(venue.or_set(Some(3.5), None), limit(3.5, 3));
        assert_eq!(venue.or_set(Some(0.5), None), limit(0.5, 1));
        assert_eq!(venue.or_set(Some(2.0), Some(8)), limit(2.0, 8));
        assert_eq!(venue.or_set(None, Some(50)), limit(10.0, 50));
    }
}
