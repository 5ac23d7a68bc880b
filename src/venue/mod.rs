//! Venues: what each exchange's WebSocket protocol looks like. One file a venue, and one line in [`ALL`].

mod json;
mod polymarket;

pub use polymarket::Polymarket;

use crate::market::{DecodeError, Envelope, Failure, Instrument, Subscribed, Value, ValueError};
use crate::supervise::DialLimit;
use std::fmt;
use std::time::Duration;

/// Every venue that is built in.
pub const ALL: &[&dyn Venue] = &[&Polymarket];

/// The venue of that name.
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
