//! Keeps market-data WebSocket streams connected, and shows when, why and for how long they were not.
#[macro_use]
pub mod market;

#[cfg(feature = "service")]
pub mod app;
pub mod clock;
#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod exporter;
pub mod metrics;
pub mod observe;
#[cfg(feature = "service")]
pub mod sim;
pub mod stream;
pub mod supervise;
#[cfg(feature = "service")]
pub mod telemetry;
pub mod venue;

pub use supervise::Policy as ReconnectionConfig;
