//! x
pub mod clock;
pub mod market;
pub mod stream;
pub mod supervise;
pub mod venue;
