//! x
pub mod clock;
#[cfg(feature = "service")]
pub mod config;
pub mod market;
pub mod stream;
pub mod supervise;
pub mod venue;
