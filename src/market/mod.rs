//! The words of the market: streams, instruments, events and what they say, and the causes for which connections fail.

#[macro_use]
mod closed_set;

mod cause;
mod event;
mod name;
mod reason;
mod trace_id;
mod value;

pub use cause::{Cause, Failure};
pub use event::{Envelope, EventKind, Frame, MarketEvent, Subscribed};
pub use name::{Instrument, InvalidName, StreamName};
pub use reason::{DecodeError, DialPhase, ExportError, SubscriptionFailure};
pub use trace_id::TraceId;
pub use value::{
    BestPrices, Book, BookError, Decimal, Level, OrderBook, PriceChange, Resolved, Side, TickSize, Trade, Value,
    ValueError,
};

pub(crate) use value::decimal;
