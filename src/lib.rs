//! x
pub mod clock;
pub mod market;
#[cfg(feature = "service")]
pub mod sim;
pub mod stream;
pub mod supervise;
pub mod venue;
