//! Keeps market-data WebSocket streams connected, and shows when, why and for how long they were not.
pub mod clock;
#[cfg(feature = "service")]
pub mod exporter;
pub mod market;
pub mod metrics;
pub mod stream;
pub mod supervise;
pub mod venue;

pub use supervise::Policy as ReconnectionConfig;
