//! The words of the market: streams, instruments, events and what they say, and the causes for which connections fail.
//!
//! ```
//! use feedwatch::market::{Cause, Instrument, StreamName};
//!
//! let name = StreamName::new("elections").unwrap();
//! let token = Instrument::new("71321045679252212594626385532706912750332728571942532289631379312455583992563");
//! assert_eq!((name.as_str(), token.as_str().len()), ("elections", 77));
//!
//! // A cause is a label, and says what follows from it.
//! assert_eq!(Cause::CloseGoingAway.as_str(), "close_going_away");
//! assert!(Cause::TlsCertificate.is_fatal(), "no redial heals it");
//! assert!(!Cause::Planned.is_failure(), "nobody failed");
//! ```
//!
//! Sets of words, [`Cause`], [`DialPhase`], [`EventKind`] and the like, may grow in a minor release, so a `match` outside of this
//! crate needs a last arm; `ALL` lists what there is. [`MarketEvent`] is the exception: its page says why.

#[macro_use]
mod closed_set;

mod cause;
mod event;
mod name;
mod reason;
mod sequence;
mod trace_id;
mod value;
mod words;

pub use cause::{Cause, Failure};
pub use event::{Envelope, EventKind, Frame, MarketEvent, Subscribed};
pub use name::{Instrument, InvalidName, StreamName};
pub use reason::{DecodeError, DialPhase, ExportError, LookupOutcome, SubscriptionFailure};
pub use sequence::{Place, Sequence, Series};
pub use trace_id::TraceId;
pub use value::{
    BestPrices, Book, BookError, Decimal, LastPrice, Level, OrderBook, PriceChange, Resolved, Side, TickSize, Trade,
    Value, ValueError,
};

pub(crate) use name::{LONGEST_NAME, is_name};
pub(crate) use value::decimal;
pub(crate) use words::{cut, is_unseen, words};
