//! The one place where a fact becomes what people see of it: metrics and a log line.
//!
//! Each of `meter` and `log` matches exhaustively, so a new fact does not compile before both are decided.

mod log;
mod meter;

use crate::clock::Moment;
use crate::metrics::StreamCells;
use crate::stream::{Fact, Observer};
use crate::supervise::Policy;
use std::sync::{Arc, Mutex, PoisonError};

/// Observes one stream: counts in its cells and logs.
///
/// A program that embeds a [`crate::stream::ReconnectingDataStream`] gives it one of these, and registers a
/// [`crate::metrics::StreamCollector`] over the cells with its own `prometheus` registry.
pub struct StreamObserver {
    cells: Arc<StreamCells>,
    memory: Mutex<Memory>,
}

/// What has to be remembered from fact to fact.
#[derive(Default)]
struct Memory {
    meter: meter::Memory,
    log: log::Memory,
}

impl StreamObserver {
    /// An observer that counts in `cells`, for a stream that is supervised by `policy`.
    pub fn new(cells: Arc<StreamCells>, policy: &Policy) -> Self {
        cells.update(Moment::now().mono, |writer| {
            writer.threshold(policy.max_consecutive_failures);
            writer.stale_after(policy.stale_after);
        });
        Self {
            cells,
            memory: Mutex::default(),
        }
    }
}

impl Observer for StreamObserver {
    fn observe(&self, at: Moment, fact: &Fact) {
        // The guarded figures are valid after any panic: each is set at once.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        meter::record(&self.cells, &mut memory.meter, at, fact);
        log::write(&self.cells, &mut memory.log, at, fact);
    }
}
