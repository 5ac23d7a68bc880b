//! The one place where a fact becomes what people see of it: metrics, spans, a log line, a history entry.
//!
//! Each of `meter`, `trace`, `log` and `history` matches exhaustively, so a new fact does not compile before all four are
//! decided.

mod history;
mod log;
mod meter;
mod trace;

pub use trace::same_outage;

use crate::clock::Moment;
use crate::metrics::{QueueCells, StreamCells};
use crate::stream::{Endpoint, Fact, Observer};
use crate::supervise::Policy;
use opentelemetry::global::BoxedTracer;
use std::sync::{Arc, Mutex, PoisonError};

/// Observes one stream: counts in its cells, keeps its history there, logs, and traces its outages.
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
    history: history::Memory,
    /// `None` = nobody wants traces.
    spans: Option<trace::Spans>,
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

    /// The same, which also traces outages of the stream that is served at `endpoint`. A program that embeds the stream
    /// passes its own tracer: `Arc::new(opentelemetry::global::tracer("bot"))`.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Arc<BoxedTracer>, endpoint: &Endpoint) -> Self {
        let (stream, venue) = (self.cells.info().stream.as_str(), self.cells.venue().name());
        let spans = trace::Spans::new(tracer, stream, venue, endpoint);
        let memory = self.memory.get_mut().unwrap_or_else(PoisonError::into_inner);
        memory.spans = Some(spans);
        self
    }
}

impl Observer for StreamObserver {
    fn observe(&self, at: Moment, fact: &Fact) {
        // The guarded figures are valid after any panic: each is set at once.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = &mut *memory;
        // First of all the trace: the others name it.
        let trace = memory.spans.as_mut().and_then(|spans| spans.record(at, fact));
        meter::record(&self.cells, &mut memory.meter, at, fact, trace);
        log::write(&self.cells, &mut memory.log, at, fact, trace);
        history::keep(self.cells.history(), &mut memory.history, at, fact, trace);
    }

    fn attach_queue(&self, capacity: usize) -> Option<Arc<QueueCells>> {
        Some(self.cells.attach_queue(capacity))
    }
}
