//! A histogram of seconds, as plain atomics.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A longer observation counts as this long in the sum, so that no single one can make it overflow.
const LONGEST_SECONDS: f64 = 10.0 * 365.0 * 24.0 * 3600.0;
const MICROS: f64 = 1e6;

/// Counts durations in buckets; the sum is kept to the microsecond.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One a bound, and one for what is above the last.
    buckets: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HistogramSnapshot {
    /// Upper bounds, each with the count of all observations up to it; the last bound is infinite.
    pub(super) cumulative: Vec<(f64, u64)>,
    /// The number of observations.
    pub(super) count: u64,
    /// Seconds.
    pub(super) sum: f64,
}

impl Histogram {
    /// An empty histogram; `bounds` in ascending order.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_micros: AtomicU64::new(0),
        }
    }

    /// Counts a duration.
    pub fn observe(&self, took: Duration) {
        self.observe_seconds(took.as_secs_f64());
    }

    /// Counts a number of seconds. What is no duration (not a number, negative, infinite) is left out.
    pub fn observe_seconds(&self, seconds: f64) {
        if !seconds.is_finite() || seconds < 0.0 {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked, and bounded
        let micros = (seconds.min(LONGEST_SECONDS) * MICROS).round() as u64;
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// The count is that of the buckets, so the two agree at every moment.
    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let cumulative = bounds
            .zip(&self.buckets)
            .map(|(bound, bucket)| {
                count += bucket.load(Relaxed);
                (bound, count)
            })
            .collect();
        HistogramSnapshot {
            cumulative,
            count,
            sum: self.sum_micros.load(Relaxed) as f64 / MICROS,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "bounds and sums are exact here")]
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_the_last_bucket_takes_the_rest() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for seconds in [0.5, 0.6, 1.0, 7.0] {
            histogram.observe_seconds(seconds);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.cumulative, [(0.5, 1), (1.0, 3), (f64::INFINITY, 4)]);
        assert_eq!((snapshot.count, snapshot.sum), (4, 9.1));
    }

    #[test]
    fn what_is_no_duration_is_left_out() {
        let histogram = Histogram::new(&[1.0]);
        for seconds in [f64::NAN, -1.0, f64::INFINITY, f64::NEG_INFINITY] {
            histogram.observe_seconds(seconds);
        }
        assert_eq!(histogram.snapshot().count, 0);
        histogram.observe(Duration::MAX);
        histogram.observe(Duration::ZERO);
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count, 2);
        assert_eq!(snapshot.sum, LONGEST_SECONDS);
    }
}
