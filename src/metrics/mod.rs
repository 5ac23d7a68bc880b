//! Metrics: one table of them, the cells that hold the figures, and the ways out.
//!
//! [`catalogue`] declares each metric once. The figures of a stream stand in one plain struct of atomics, [`StreamCells`],
//! those that the streams of a venue share in [`VenueCells`]; [`Streams`] is the set that is shown. Two ways lead out of
//! them: [`StreamCollector`] for a program that has a `prometheus::Registry`, and [`Format`], which writes the exposition
//! formats directly. [`docs`] renders the table. To add a metric, add its entry to the table, and its cell.
//!
//! Knows nothing of sockets. Time comes in as an argument.

pub mod catalogue;
mod collector;
mod connections;
pub mod docs;
mod exemplar;
mod exposition;
mod figures;
mod histogram;
mod instruments;
mod labels;
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
mod snapshot;
mod stream;
mod streams;
mod venue;
mod writer;

pub use collector::StreamCollector;
pub use exposition::{Format, openmetrics, text};
pub use histogram::Histogram;
pub use instruments::InstrumentClocks;
pub(crate) use instruments::SocketInstruments;
#[cfg(feature = "service")]
pub use own::{BuildInfo, Handler, OwnMetrics};
pub use queue::QueueCells;
#[cfg(feature = "service")]
pub use runtime::RuntimeFigures;
pub use snapshot::{SilentInstrument, StreamSnapshot};
pub(crate) use stream::Arrival;
pub use stream::{StreamCells, StreamInfo};
pub use streams::Streams;
pub use venue::{Direction, Opcode, VenueCells};
pub use writer::StreamWriter;
