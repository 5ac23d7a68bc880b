//! Metrics: one table of them, the cells that hold the figures, and the ways out.
//!
//! [`catalogue`] declares each metric once. The figures of a stream stand in one plain struct of atomics, [`StreamCells`],
//! those that the streams of a venue share in [`VenueCells`]; [`Streams`] is the set that is shown. Two ways lead out of
//! them: [`StreamCollector`] for a program that has a `prometheus::Registry`, and [`Format`], which writes the exposition
//! formats directly. `docs` renders the table. To add a metric, add its entry to the table, and its cell.
//!
//! Knows nothing of sockets. Time comes in as an argument.
//!
//! ```
//! use feedwatch::clock::Moment;
//! use feedwatch::market::StreamName;
//! use feedwatch::metrics::{Format, StreamCells, StreamCollector, StreamInfo, Streams};
//! use prometheus::Registry;
//! use std::sync::Arc;
//!
//! let streams = Arc::new(Streams::new());
//! let info = StreamInfo::new(StreamName::new("bot")?, "venue.example", "wss");
//! let cells = Arc::new(StreamCells::new(info, streams.venue("polymarket"), Moment::now().mono));
//! streams.add(&cells);
//!
//! // One way out: a registry of the `prometheus` crate, next to the program's own metrics.
//! let registry = Registry::new();
//! registry.register(Box::new(StreamCollector::new(streams.clone())?))?;
//! assert!(registry.gather().iter().any(|family| family.name() == "feedwatch_stream_connected"));
//!
//! // The other: the text that a scrape gets.
//! let text = Format::Text.render(&streams, &[], Moment::now());
//! assert!(text.contains("feedwatch_stream_connected{venue=\"polymarket\",stream=\"bot\"} 0\n"));
//!
//! // A stream is shown for as long as somebody holds its figures.
//! drop(cells);
//! assert_eq!(streams.count(), 0);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

pub mod catalogue;
mod collector;
mod columns;
mod connections;
#[doc(hidden)] // what `feedwatch metrics` prints
pub mod docs;
mod endpoints;
mod exemplar;
mod exposition;
mod figures;
mod histogram;
mod instruments;
mod labels;
mod names;
#[cfg(feature = "service")]
mod own;
#[cfg(all(feature = "service", target_os = "linux"))]
mod process;
mod queue;
#[cfg(feature = "service")]
mod reading;
#[cfg(feature = "service")]
mod runtime;
mod scrape;
mod seqlock;
mod skew;
mod snapshot;
mod stream;
mod streams;
mod venue;
mod writer;

pub use collector::StreamCollector;
pub use exposition::{Exposition, Format, openmetrics, text};
pub use histogram::Histogram;
pub use instruments::InstrumentClocks;
pub(crate) use instruments::SocketInstruments;
pub use names::NameStatus;
#[cfg(feature = "service")]
#[doc(hidden)] // what the HTTP server tells of its own
pub use own::Handler;
#[cfg(feature = "service")]
pub use own::{BuildInfo, OwnMetrics};
pub use queue::QueueCells;
#[cfg(feature = "service")]
#[doc(hidden)] // what the program tells of its own
pub use runtime::RuntimeFigures;
pub use snapshot::{SilentInstrument, StreamSnapshot};
pub(crate) use stream::Arrival;
pub use stream::{StreamCells, StreamInfo};
pub use streams::Streams;
pub use venue::{Direction, Opcode, VenueCells};
pub use writer::StreamWriter;
