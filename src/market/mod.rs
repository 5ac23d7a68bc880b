//! The words of the market: streams, instruments, events, and the causes for which connections fail.

mod cause;
mod event;
mod name;

pub use cause::{Cause, Failure};
pub use event::{Envelope, EventKind, Frame, MarketEvent, Subscribed};
pub use name::{Instrument, InvalidName, StreamName};
