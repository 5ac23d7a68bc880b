//! The one place where a fact becomes what people see of it: metrics, spans, a log line, a history entry.
//!
//! Each of `meter`, `trace`, `log` and `history` matches exhaustively, so a new fact does not compile before all four are
//! decided.
//!
//! ```
//! use feedwatch::ReconnectionConfig;
//! use feedwatch::clock::Moment;
//! use feedwatch::market::{Cause, StreamName};
//! use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
//! use feedwatch::observe::StreamObserver;
//! use feedwatch::stream::ReconnectingDataStream;
//! use std::sync::Arc;
//! # use feedwatch::market::{Failure, Instrument, MarketEvent, Subscribed};
//! # use feedwatch::stream::MarketDataStream;
//! # struct Mock;
//! # impl MarketDataStream for Mock {
//! #     async fn connect(&mut self) -> Result<(), Failure> { Ok(()) }
//! #     async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
//! #         Ok(Subscribed { accepted: instruments.to_vec(), ..Subscribed::default() })
//! #     }
//! #     async fn next_event(&mut self) -> Option<MarketEvent> { None }
//! #     fn exchange_name(&self) -> &'static str { "mock" }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let policy = ReconnectionConfig::default();
//! let info = StreamInfo::new(StreamName::new("bot").unwrap(), "venue.example", "wss");
//! let cells = Arc::new(StreamCells::new(info, Streams::new().venue("mock"), Moment::now().mono));
//! let observer = Arc::new(StreamObserver::new(cells.clone(), &policy));
//!
//! // This mock of a venue loses every connection as soon as it is live.
//! let mut stream = ReconnectingDataStream::with_observer(Mock, policy, 7, observer);
//! stream.subscribe(&[Instrument::new("71")]).await.unwrap();
//! stream.connect().await.unwrap();
//! stream.next_event().await;
//!
//! let figures = cells.snapshot(Moment::now());
//! assert!(!figures.is_live() && figures.outage_since().is_some());
//! assert_eq!(figures.last_cause().unwrap().0, Cause::Eof);
//! let told: Vec<_> = cells.history().newest_first().iter().map(|entry| entry.what).collect();
//! assert!(told.contains(&"lost"), "{told:?}");
//! # }
//! ```

mod history;
mod log;
mod meter;
mod trace;

#[doc(hidden)] // for the sampler of the program's own spans, and for tests
pub use trace::same_outage;

use crate::clock::Moment;
use crate::market::TraceId;
use crate::metrics::{QueueCells, StreamCells};
use crate::stream::{Endpoint, Fact, Observer};
use crate::supervise::{Policy, State};
use opentelemetry::global::BoxedTracer;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Observes one stream: counts in its cells, keeps its history there, logs, and traces its outages.
///
/// A program that embeds a [`crate::stream::ReconnectingDataStream`] gives it one of these, and registers a
/// [`crate::metrics::StreamCollector`] over the cells with its own `prometheus` registry. Where a stream has several
/// connections, each gets a [`StreamObserver::connection`].
pub struct StreamObserver {
    cells: Arc<StreamCells>,
    memory: Mutex<Memory>,
}

impl fmt::Debug for StreamObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = &self.cells.info().stream;
        f.debug_struct("StreamObserver")
            .field("stream", stream)
            .finish_non_exhaustive()
    }
}

/// What has to be remembered from fact to fact.
#[derive(Default)]
struct Memory {
    meter: meter::Memory,
    /// `None` = nobody wants traces.
    spans: Option<trace::Spans>,
    connections: BTreeMap<u32, OfConnection>,
}

/// The same of one connection.
#[derive(Default)]
struct OfConnection {
    meter: meter::OfConnection,
    log: log::Memory,
    history: history::Memory,
}

impl StreamObserver {
    /// An observer that counts in `cells`, for a stream that is supervised by `policy`.
    pub fn new(cells: Arc<StreamCells>, policy: &Policy) -> Self {
        cells.update(Moment::now().mono, |writer| {
            writer.threshold(policy.max_consecutive_failures);
            writer.stale_after(policy.stale_after);
            writer.instrument_stale_after(policy.instrument_stale_after);
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

    /// An observer of one of several connections, which add up to the stream. No two have the same number; a number is used
    /// only once.
    pub fn connection(self: &Arc<Self>, number: u32) -> ConnectionObserver {
        ConnectionObserver {
            stream: Arc::clone(self),
            number,
        }
    }

    fn observe_connection(&self, number: u32, at: Moment, fact: &Fact) {
        let memory = &mut *self.memory();
        let connection = memory.connections.entry(number).or_default();
        // First of all the trace: the others name it.
        let spans = memory.spans.as_mut();
        let trace = spans.and_then(|spans| spans.record(number, self.cells.state(), at, fact));
        let about = About {
            cells: &self.cells,
            number,
            at,
            trace,
        };
        meter::record(about, &mut memory.meter, &mut connection.meter, fact);
        log::write(about, &mut connection.log, fact);
        history::keep(about, &mut connection.history, fact);
    }

    fn forget_connection(&self, number: u32) {
        let memory = &mut *self.memory();
        memory.connections.remove(&number);
        if let Some(spans) = &mut memory.spans {
            spans.forget(number);
        }
        self.cells.forget_endpoint(number);
        self.cells
            .update_connection(number, Moment::now().mono, |writer| writer.set_state(State::Stopped));
    }

    /// The guarded figures are valid after any panic: each is set at once.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One gap in the data is news, the next thousand within a minute are not.
#[derive(Default)]
struct GapNews(Option<Instant>);

impl GapNews {
    const QUIET: Duration = Duration::from_secs(60);

    /// Whether one at `now` is told.
    fn is_news(&mut self, now: Instant) -> bool {
        let is_news = self
            .0
            .is_none_or(|last| now.saturating_duration_since(last) >= Self::QUIET);
        if is_news {
            self.0 = Some(now);
        }
        is_news
    }
}

/// What a fact is about.
#[derive(Clone, Copy)]
struct About<'a> {
    cells: &'a StreamCells,
    /// Of the connection.
    number: u32,
    at: Moment,
    /// The trace of the outage, if there is one and it is recorded.
    trace: Option<TraceId>,
}

impl About<'_> {
    /// The number where it tells something: not of the first connection of a stream, which mostly is the only one.
    fn further(self) -> Option<u32> {
        Some(self.number).filter(|number| *number > 0)
    }
}

/// Of a stream with one connection.
impl Observer for StreamObserver {
    fn observe(&self, at: Moment, fact: &Fact) {
        self.observe_connection(0, at, fact);
    }

    fn attach_queue(&self, capacity: usize) -> Option<Arc<QueueCells>> {
        Some(self.cells.attach_queue(capacity))
    }
}

/// Observes one connection of a stream. When the last handle is dropped, the stream is the sum of the others.
#[derive(Debug)]
pub struct ConnectionObserver {
    stream: Arc<StreamObserver>,
    number: u32,
}

impl Observer for ConnectionObserver {
    fn observe(&self, at: Moment, fact: &Fact) {
        self.stream.observe_connection(self.number, at, fact);
    }

    fn attach_queue(&self, capacity: usize) -> Option<Arc<QueueCells>> {
        Some(self.stream.cells.attach_queue(capacity))
    }
}

impl Drop for ConnectionObserver {
    fn drop(&mut self) {
        self.stream.forget_connection(self.number);
    }
}
