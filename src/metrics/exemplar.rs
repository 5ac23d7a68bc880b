//! Exemplars: of a figure one observation that was traced, so that one finds the trace from the figure.

use super::seqlock::cells;
use crate::clock::Moment;
use crate::market::TraceId;

/// An observation that belongs to a recorded trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    /// The trace.
    pub(super) trace: TraceId,
    /// What was observed: seconds, or 1 of what is counted.
    pub(super) value: f64,
    /// When, by the wall clock: milliseconds since the Unix epoch.
    pub(super) unix_millis: i64,
}

cells! {
    /// An exemplar in plain words. All are 0 where there is none: no trace has the id 0.
    ExemplarWords, ExemplarCells {
        trace_high: u64,
        trace_low: u64,
        /// The bits of an `f64`.
        value: u64,
        /// The bits of an `i64`.
        unix_millis: u64,
    }
}

impl ExemplarWords {
    pub(super) fn new(trace: TraceId, value: f64, at: Moment) -> Self {
        let bits = trace.bits();
        #[allow(clippy::cast_possible_truncation)] // the two halves
        let [trace_high, trace_low] = [(bits >> 64) as u64, bits as u64];
        Self {
            trace_high,
            trace_low,
            value: value.to_bits(),
            unix_millis: at.unix_millis().cast_unsigned(),
        }
    }

    pub(super) fn exemplar(&self) -> Option<Exemplar> {
        let bits = u128::from(self.trace_high) << 64 | u128::from(self.trace_low);
        Some(Exemplar {
            trace: TraceId::from_bits(bits)?,
            value: f64::from_bits(self.value),
            unix_millis: self.unix_millis.cast_signed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::seqlock::Plain;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn words_tell_what_was_put_into_them_and_zeros_tell_nothing() {
        assert_eq!(ExemplarWords::ZERO.exemplar(), None);
        let millis = Duration::from_millis(1500);
        for (wall, unix_millis) in [(UNIX_EPOCH + millis, 1500), (UNIX_EPOCH - millis, -1500)] {
            let at = Moment { wall, ..Moment::now() };
            for bits in [1, 1 << 64, u128::MAX, 0x0123_4567_89ab_cdef_0011_2233_4455_6677] {
                let trace = TraceId::from_bits(bits).unwrap();
                let told = ExemplarWords::new(trace, 0.25, at).exemplar();
                let value = 0.25;
                assert_eq!(
                    told,
                    Some(Exemplar {
                        trace,
                        value,
                        unix_millis
                    })
                );
            }
        }
    }
}
