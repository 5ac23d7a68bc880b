//! Why a value could not be read.

use crate::market::Instrument;
use std::fmt;

/// A value that could not be read: where it stands, what is wrong with it, and what would be right.
///
/// It stands for the value that is lost. After a lost book or price change, no book of its instrument can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct ValueError {
    /// Which event of the frame, counted from 0.
    pub event: usize,
    /// Whose value is lost; `None` = that cannot be read either, so it may be any instrument's.
    pub instrument: Option<Instrument>,
    /// Which field of the event, as in `bids[3].price`; empty = the event itself.
    pub field: String,
    /// What is wrong with it: what stands there, cut to a readable length, or that it is missing.
    pub problem: String,
    /// What would be right.
    pub valid: &'static str,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}: ", self.event)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}; valid: {}", self.problem, self.valid)
    }
}
