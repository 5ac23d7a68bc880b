//! Keeps market-data WebSocket streams connected, and shows when, why and for how long they were not.
pub mod clock;
#[macro_use]
#[cfg(feature = "service")]
pub mod config;
pub mod market;
pub mod metrics;
pub mod observe;
pub mod stream;
pub mod supervise;
pub mod venue;

pub use supervise::Policy as ReconnectionConfig;
