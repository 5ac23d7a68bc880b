//! Keeps market-data WebSocket streams connected, and shows when, why and for how long they were not.
//!
//! For programs that embed a stream: [`stream::ReconnectingDataStream`] wraps a [`stream::WebSocketStream`] (or any other
//! [`stream::MarketDataStream`]), redials it as its [`ReconnectionConfig`] says, and never hides a gap. Read it directly, or
//! [spawn](stream::ReconnectingDataStream::spawn) it, so that it is kept alive whatever its consumer does. Give it an
//! [`observe::StreamObserver`], and register a [`metrics::StreamCollector`] to have its figures in a `prometheus::Registry`.
//! What a frame says is read by [`venue::Venue::values`] when asked for, and a [`market::OrderBook`] is kept of it.
//! `examples/embed.rs` is a whole bot.
//!
//! The feature `service`, on by default, adds the exporter service and the simulated venue. A program that embeds the stream
//! turns it off. Both run inside a tokio runtime with its I/O and its timers enabled.
//!
//! `docs/architecture.md` tells how the parts work together.
#[macro_use]
pub mod market;

// The program's own wiring, public for its binary, benchmarks and tests alone: no part of the API.
#[cfg(feature = "service")]
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "nobody else formats them")]
pub mod app;
pub mod clock;
#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod exporter;
pub mod history;
pub mod metrics;
pub mod observe;
#[cfg(feature = "service")]
pub mod sim;
pub mod stream;
pub mod supervise;
// The same of the process' log, its table on a terminal and its export of traces.
#[cfg(feature = "service")]
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "nobody else formats them")]
pub mod telemetry;
pub mod venue;

pub use supervise::Policy as ReconnectionConfig;
