//! Venues: what each exchange's WebSocket protocol looks like. One file a venue, and one line in [`ALL`].
//!
//! # Another venue
//!
//! A venue is a [`Venue`], which reads frames, and its [`Session`], which subscribes on one connection. A program that embeds the
//! stream hands its own to [`crate::stream::WebSocketStream::new`]; one that is built in stands in [`ALL`] as well, and can be
//! configured by its name. This one subscribes with `SUB a b`, is answered with `OK a b`, and then sends `a 0.45`:
//!
//! ```
//! use feedwatch::market::{DecodeError, Envelope, EventKind, Instrument, Subscribed, Value, ValueError};
//! use feedwatch::supervise::DialLimit;
//! use feedwatch::venue::{Answer, Heartbeat, Limits, Ping, Session, Venue};
//! use std::time::Duration;
//!
//! #[derive(Debug)]
//! struct Ticks;
//!
//! impl Venue for Ticks {
//!     fn name(&self) -> &'static str { "ticks" }
//!     fn default_url(&self) -> &'static str { "wss://ticks.example/ws" }
//!     fn limits(&self) -> Limits {
//!         Limits { instruments_per_connection: 100, dial: DialLimit { per_second: 1.0, burst: 1 } }
//!     }
//!     fn heartbeat(&self) -> Heartbeat {
//!         Heartbeat { interval: Duration::from_secs(30), ping: Ping::Frame }
//!     }
//!     fn stale_after(&self) -> Duration { Duration::from_secs(60) }
//!
//!     fn check_instrument(&self, id: &str) -> Result<(), &'static str> {
//!         let legal = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_lowercase());
//!         legal.then_some(()).ok_or("an id of Ticks is one or more of the letters a to z")
//!     }
//!
//!     fn session(&self) -> Box<dyn Session> { Box::new(TicksSession::default()) }
//!
//!     fn decode(&self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
//!         let (id, _) = frame.split_once(' ').ok_or(DecodeError::Schema)?;
//!         if id == "OK" {
//!             visit(Envelope::new(EventKind::Ack));
//!         } else {
//!             visit(Envelope { instrument: Some(id), ..Envelope::new(EventKind::Ticker) });
//!         }
//!         Ok(())
//!     }
//!
//!     // Prices are no books and no trades of which there is a value; a venue that has those visits them here.
//!     fn values<'f>(&self, _frame: &'f str, _visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {}
//! }
//!
//! #[derive(Default)]
//! struct TicksSession {
//!     asked: Vec<Instrument>,
//! }
//!
//! impl Session for TicksSession {
//!     fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
//!         self.asked = instruments.to_vec();
//!         let ids: Vec<_> = instruments.iter().map(Instrument::as_str).collect();
//!         vec![format!("SUB {}", ids.join(" "))]
//!     }
//!
//!     fn unsubscribe(&mut self, _instruments: &[Instrument]) -> Vec<String> { vec!["UNSUB".into()] }
//!     fn is_pending(&self) -> bool { !self.asked.is_empty() }
//!
//!     fn answer(&mut self, frame: &str) -> Option<Answer> {
//!         let known: Vec<_> = frame.strip_prefix("OK ")?.split(' ').collect();
//!         let asked = std::mem::take(&mut self.asked);
//!         let (accepted, refused) = asked.into_iter().partition(|asked| known.contains(&asked.as_str()));
//!         Some(Answer::Settled(Subscribed { accepted, refused, ..Subscribed::default() }))
//!     }
//!
//!     fn give_up(&mut self) -> Vec<Instrument> { std::mem::take(&mut self.asked) }
//! }
//!
//! let mut session = Ticks.session();
//! assert_eq!(session.subscribe(&["a", "b"].map(Instrument::new)), ["SUB a b"]);
//! let Some(Answer::Settled(answer)) = session.answer("OK a") else { unreachable!() };
//! assert_eq!((answer.accepted, answer.refused), (vec![Instrument::new("a")], vec![Instrument::new("b")]));
//!
//! let mut kinds = Vec::new();
//! Ticks.decode("a 0.45", &mut |event| kinds.push(event.kind)).unwrap();
//! assert_eq!(kinds, [EventKind::Ticker]);
//! ```
//!
//! Methods that these traits get in a minor release have a default.

mod directory;
mod json;
mod polymarket;

pub use directory::{Directory, InvalidListing, Listed, Listing};
pub use polymarket::Polymarket;

use crate::market::{DecodeError, Envelope, Failure, Instrument, Subscribed, Value, ValueError};
use crate::supervise::DialLimit;
use std::fmt;
use std::time::Duration;

/// Every venue that is built in.
pub const ALL: &[&dyn Venue] = &[&Polymarket];

/// The venue of that name.
///
/// ```
/// use feedwatch::venue;
///
/// let polymarket = venue::find("polymarket").unwrap();
/// assert_eq!(polymarket.limits().instruments_per_connection, 500);
/// assert!(polymarket.check_instrument("0xabc").is_err());
/// assert!(venue::find("polymarkt").is_none());
/// ```
pub fn find(name: &str) -> Option<&'static dyn Venue> {
    ALL.iter().copied().find(|venue| venue.name() == name)
}

/// An exchange's WebSocket protocol.
pub trait Venue: Send + Sync + fmt::Debug {
    /// The name in the configuration and in labels.
    fn name(&self) -> &'static str;

    /// Where its market data is served.
    fn default_url(&self) -> &'static str;

    /// What it allows.
    fn limits(&self) -> Limits;

    /// How the client keeps the connection alive.
    fn heartbeat(&self) -> Heartbeat;

    /// How long a live stream may be without data before something is wrong, where the user does not say.
    fn stale_after(&self) -> Duration;

    /// Whether an instrument's id is possible; the error says what one looks like.
    fn check_instrument(&self, id: &str) -> Result<(), &'static str>;

    /// The subscription dialogue of a new connection.
    fn session(&self) -> Box<dyn Session>;

    /// Reads the envelopes of a text frame's events, none to many, without copying.
    ///
    /// Events before a defect are visited before the error is returned.
    fn decode(&self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError>;

    /// Reads the values of a text frame's events, none to many, in their order. Not for the hot path.
    ///
    /// What cannot be read is visited in its place as an error, and hides nothing else. Events that say nothing about an
    /// instrument, control texts and events of which nothing is known are not visited and are no error.
    fn values<'f>(&self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>));

    /// How names that people know are looked up; `None` where the venue is asked for ids alone.
    fn directory(&self) -> Option<&dyn Directory> {
        None
    }
}

/// What a venue allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Instruments that one connection carries.
    pub instruments_per_connection: usize,
    /// How fast it may be dialled, from one address.
    pub dial: DialLimit,
}

/// How the client keeps a connection alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The time between two pings.
    pub interval: Duration,
    /// What is sent.
    pub ping: Ping,
}

/// A ping as a venue wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ping {
    /// A text message of the venue's own protocol.
    Text(&'static str),
    /// A WebSocket ping frame.
    Frame,
}

/// The subscription dialogue of one connection: what to send, and whether it was answered.
pub trait Session: Send {
    /// The text frames that subscribe to `instruments`. Their answer is awaited from now on.
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String>;

    /// The text frames that end subscriptions. No answer is awaited.
    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String>;

    /// Whether an answer is awaited, or may still come late: whether to show frames to [`Session::answer`].
    fn is_pending(&self) -> bool;

    /// Looks for the awaited answer in a received frame.
    fn answer(&mut self, frame: &str) -> Option<Answer>;

    /// No longer waits; returns what is unanswered. Its answer may come late.
    fn give_up(&mut self) -> Vec<Instrument>;
}

/// A venue's answer to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What is in effect now, and what was left out.
    Settled(Subscribed),
    /// All of these were refused, and the venue says why.
    Rejected(Vec<Instrument>, Failure),
}
