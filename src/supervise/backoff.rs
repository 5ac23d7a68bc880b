//! How long to wait before the next dial.

use std::time::Duration;

/// Exponential backoff with jitter that is subtracted, so that `max` is a true cap.
///
/// The `n`th failure in a row is followed by `min(initial * multiplier^(n-1), max)`, less a random share of it that is at
/// most `jitter`.
///
/// ```
/// use feedwatch::supervise::Backoff;
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let backoff = Backoff { initial: seconds(1), max: seconds(60), multiplier: 2.0, jitter: 0.2 };
/// let delays = [1, 2, 3, 7].map(|failures| backoff.delay(failures, 0.0));
/// assert_eq!(delays, [1, 2, 4, 60].map(seconds));
/// // Chance shortens a delay, and lengthens the cooldown of a breaker.
/// assert_eq!(backoff.delay(7, 0.5), seconds(54));
/// assert_eq!(backoff.lengthen(seconds(300), 0.5), seconds(330));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The delay after the first failure, before jitter.
    pub initial: Duration,
    /// No delay is longer.
    pub max: Duration,
    /// The growth from failure to failure. Anything that is not at least 1 (NaN included) counts as 1.
    pub multiplier: f64,
    /// The share of each delay that is random: 0 (none) to 1. Anything outside is clamped; NaN counts as 0.
    pub jitter: f64,
}

impl Backoff {
    /// The delay after `failures` failures in a row; none at all counts as one. `random` is uniform in `0.0..1.0`.
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let multiplier = if self.multiplier >= 1.0 { self.multiplier } else { 1.0 };
        let nanos = self.initial.as_nanos() as f64 * multiplier.powi(exponent);
        let max = self.max.as_nanos() as f64;
        let full = if nanos < max { nanos } else { max };
        from_nanos(full * (1.0 - self.random_share(random))).min(self.max)
    }

    /// `wait` made longer by a random share of it that is at most `jitter`: for cooldowns, which must not be cut short, and
    /// after which a thousand probes must not coincide.
    pub fn lengthen(&self, wait: Duration, random: f64) -> Duration {
        wait.saturating_add(from_nanos(wait.as_nanos() as f64 * self.random_share(random)))
    }

    /// `wait` made shorter by such a share: for what must come before a moment, and of many not at once.
    pub fn shorten(&self, wait: Duration, random: f64) -> Duration {
        from_nanos(wait.as_nanos() as f64 * (1.0 - self.random_share(random))).min(wait)
    }

    fn random_share(&self, random: f64) -> f64 {
        let jitter = if self.jitter.is_nan() {
            0.0
        } else {
            self.jitter.clamp(0.0, 1.0)
        };
        jitter * random.clamp(0.0, 1.0)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates, which is what is wanted
fn from_nanos(nanos: f64) -> Duration {
    Duration::from_nanos(nanos.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn grows_to_the_cap_exactly() {
        let backoff = Backoff {
            initial: millis(10),
            max: millis(100),
            multiplier: 2.0,
            jitter: 0.0,
        };
        let delays: Vec<_> = (1..=5).map(|failures| backoff.delay(failures, 0.99)).collect();
        assert_eq!(delays, [10, 20, 40, 80, 100].map(millis));
    }

    #[test]
    fn jitter_is_subtracted_from_a_delay_and_added_to_a_cooldown() {
        let backoff = Backoff {
            initial: millis(100),
            max: millis(100),
            multiplier: 1.0,
            jitter: 0.5,
        };
        assert_eq!(backoff.delay(1, 0.0), millis(100));
        assert_eq!(backoff.delay(1, 0.5), millis(75));
        assert_eq!(backoff.lengthen(millis(1000), 0.5), millis(1250));
    }

    proptest! {
        #[test]
        fn max_is_a_true_cap_for_any_figures(
            initial in 0..u64::MAX, max in 0..u64::MAX, multiplier: f64, jitter: f64, failures: u32, random in 0.0..1.0,
        ) {
            let backoff = Backoff { initial: Duration::from_nanos(initial), max: Duration::from_nanos(max), multiplier, jitter };
            prop_assert!(backoff.delay(failures, random) <= backoff.max);
        }

        #[test]
        fn without_jitter_delays_never_shrink(multiplier in 1.0..10.0, failures in 1..10_000_u32) {
            let backoff = Backoff { initial: millis(1), max: millis(60_000), multiplier, jitter: 0.0 };
            prop_assert!(backoff.delay(failures, 0.0) <= backoff.delay(failures + 1, 0.0));
        }

        #[test]
        fn at_most_the_jitters_share_is_taken_away(jitter in 0.0..=1.0, failures in 1..40_u32, random in 0.0..1.0) {
            let plain = Backoff { initial: millis(10), max: millis(60_000), multiplier: 2.0, jitter: 0.0 };
            let least = plain.delay(failures, random).mul_f64(1.0 - jitter);
            let jittered = Backoff { jitter, ..plain };
            prop_assert!(jittered.delay(failures, random) + Duration::from_micros(1) >= least);
        }
    }
}
