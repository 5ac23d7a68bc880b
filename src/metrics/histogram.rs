//! A histogram of seconds, as plain atomics.

use super::exemplar::{Exemplar, ExemplarWords};
use super::seqlock::{Plain, SeqLock};
use crate::clock::Moment;
use crate::market::TraceId;
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
    /// One a bucket; none at all where no exemplars are kept.
    exemplars: Box<[SeqLock<ExemplarWords>]>,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HistogramSnapshot {
    /// In ascending order; the last bound is infinite.
    pub(super) buckets: Vec<Bucket>,
    /// The number of observations.
    pub(super) count: u64,
    /// Seconds.
    pub(super) sum: f64,
}

/// A bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    /// The upper bound: seconds.
    pub(super) bound: f64,
    /// All observations up to the bound.
    pub(super) cumulative: u64,
    /// One of those above the bound before: the traced one that was counted last.
    pub(super) exemplar: Option<Exemplar>,
}

impl Histogram {
    /// An empty histogram without exemplars; `bounds` in ascending order.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_micros: AtomicU64::new(0),
            exemplars: Box::default(),
        }
    }

    /// One that keeps an exemplar of each bucket.
    pub(super) fn with_exemplars(bounds: &'static [f64]) -> Self {
        let slot = |_| SeqLock::new(&ExemplarWords::ZERO);
        Self {
            exemplars: (0..=bounds.len()).map(slot).collect(),
            ..Self::new(bounds)
        }
    }

    #[cfg(test)]
    pub(super) fn keeps_exemplars(&self) -> bool {
        !self.exemplars.is_empty()
    }

    /// Counts a duration.
    pub fn observe(&self, took: Duration) {
        self.observe_seconds(took.as_secs_f64());
    }

    /// Counts a duration that was known `at`. `trace` is the trace that tells of it, if that is recorded: it becomes the
    /// exemplar of its bucket, where exemplars are kept.
    pub fn observe_traced(&self, took: Duration, at: Moment, trace: Option<TraceId>) {
        let seconds = took.as_secs_f64();
        let bucket = self.count(seconds);
        let slot = bucket.and_then(|bucket| self.exemplars.get(bucket));
        if let (Some(trace), Some(slot)) = (trace, slot) {
            slot.write(|kept, ()| *kept = ExemplarWords::new(trace, seconds, at));
        }
    }

    /// Counts a number of seconds. What is no duration (not a number, negative, infinite) is left out.
    pub fn observe_seconds(&self, seconds: f64) {
        self.count(seconds);
    }

    /// The position of the bucket.
    fn count(&self, seconds: f64) -> Option<usize> {
        if !seconds.is_finite() || seconds < 0.0 {
            return None;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets.get(bucket)?.fetch_add(1, Relaxed);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked, and bounded
        let micros = (seconds.min(LONGEST_SECONDS) * MICROS).round() as u64;
        self.sum_micros.fetch_add(micros, Relaxed);
        Some(bucket)
    }

    /// The count is that of the buckets, so the two agree at every moment.
    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        // Exemplars are written after the counts and read before them: none is shown in a bucket that does not count it yet.
        let exemplars: Vec<_> = self.exemplars.iter().map(|slot| slot.read().exemplar()).collect();
        let exemplars = exemplars.into_iter().chain(std::iter::repeat(None));
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let mut count = 0;
        let buckets = bounds
            .zip(&self.buckets)
            .zip(exemplars)
            .map(|((bound, bucket), exemplar)| {
                count += bucket.load(Relaxed);
                Bucket {
                    bound,
                    cumulative: count,
                    exemplar,
                }
            })
            .collect();
        HistogramSnapshot {
            buckets,
            count,
            sum: self.sum_micros.load(Relaxed) as f64 / MICROS,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "bounds and sums are exact here")]
    use super::*;
    use std::thread::ScopedJoinHandle;

    fn cumulative(snapshot: &HistogramSnapshot) -> Vec<(f64, u64)> {
        let buckets = snapshot.buckets.iter();
        buckets.map(|bucket| (bucket.bound, bucket.cumulative)).collect()
    }

    /// The traces that the buckets show, and the values.
    fn traced(histogram: &Histogram) -> Vec<Option<(u128, f64)>> {
        let buckets = histogram.snapshot().buckets.into_iter();
        let exemplars = buckets.map(|bucket| bucket.exemplar);
        exemplars
            .map(|exemplar| exemplar.map(|exemplar| (exemplar.trace.bits(), exemplar.value)))
            .collect()
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_the_last_bucket_takes_the_rest() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for seconds in [0.5, 0.6, 1.0, 7.0] {
            histogram.observe_seconds(seconds);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(cumulative(&snapshot), [(0.5, 1), (1.0, 3), (f64::INFINITY, 4)]);
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

    #[test]
    fn a_bucket_shows_its_last_traced_observation_and_none_that_was_not_traced() {
        let histogram = Histogram::with_exemplars(&[0.5, 1.0]);
        let observe = |millis, trace| {
            let trace = TraceId::from_bits(trace);
            histogram.observe_traced(Duration::from_millis(millis), Moment::now(), trace);
        };
        observe(700, 0);
        assert_eq!(traced(&histogram), [None, None, None]);
        observe(500, 1);
        observe(600, 2);
        observe(1000, 3);
        observe(700, 0);
        histogram.observe_seconds(0.2);
        assert_eq!(traced(&histogram), [Some((1, 0.5)), Some((3, 1.0)), None]);
        histogram.observe_traced(Duration::MAX, Moment::now(), TraceId::from_bits(4));
        assert_eq!(traced(&histogram)[2], Some((4, Duration::MAX.as_secs_f64())));
        assert_eq!(histogram.snapshot().count, 7, "all are counted");
    }

    #[test]
    fn a_histogram_without_exemplars_counts_what_is_traced_like_the_rest() {
        let histogram = Histogram::new(&[1.0]);
        histogram.observe_traced(Duration::from_secs(2), Moment::now(), TraceId::from_bits(1));
        assert_eq!(traced(&histogram), [None, None]);
        assert_eq!(cumulative(&histogram.snapshot()), [(1.0, 0), (f64::INFINITY, 1)]);
    }

    #[test]
    fn an_exemplar_is_whole_and_counted_in_its_bucket_whoever_writes_meanwhile() {
        const BOUNDS: &[f64] = &[0.001, 0.002, 0.003];
        let check = |snapshot: &HistogramSnapshot| {
            let (mut below, mut counted) = (-1.0, 0);
            for bucket in &snapshot.buckets {
                if let Some(exemplar) = bucket.exemplar {
                    let micros = exemplar.trace.bits() >> 64;
                    assert_eq!(exemplar.trace.bits(), micros << 64 | micros);
                    let micros = u64::try_from(micros).unwrap() - 1;
                    assert_eq!(exemplar.value, Duration::from_micros(micros).as_secs_f64());
                    assert!(below < exemplar.value && exemplar.value <= bucket.bound);
                    assert!(bucket.cumulative > counted, "it counts, too");
                }
                (below, counted) = (bucket.bound, bucket.cumulative);
            }
        };
        // Read from before its first observation until after its last one, one after the other.
        let histograms: Vec<_> = (0..40_000).map(|_| Histogram::with_exemplars(BOUNDS)).collect();
        let at = Moment::now();
        let write = |first: u64| {
            for histogram in &histograms {
                for micros in [first, first + 2000, first + 10, first + 2010] {
                    // The trace tells the value.
                    let trace = TraceId::from_bits(u128::from(micros + 1) << 64 | u128::from(micros + 1));
                    histogram.observe_traced(Duration::from_micros(micros), at, trace);
                }
            }
        };
        std::thread::scope(|scope| {
            let writers = [scope.spawn(|| write(0)), scope.spawn(|| write(1005))];
            for histogram in &histograms {
                let mut snapshot = histogram.snapshot();
                check(&snapshot);
                while snapshot.count < 8 && !writers.iter().all(ScopedJoinHandle::is_finished) {
                    snapshot = histogram.snapshot();
                    check(&snapshot);
                }
            }
        });
        for histogram in &histograms {
            let snapshot = histogram.snapshot();
            check(&snapshot);
            assert!(snapshot.buckets.iter().all(|bucket| bucket.exemplar.is_some()) && snapshot.count == 8);
        }
    }
}
