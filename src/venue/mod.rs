//! Venues: what each exchange's WebSocket protocol looks like. One file a venue, and one line in [`ALL`].
//!
//! # Another venue
//!
//! A venue is a [`Venue`], which says what is allowed; of each connection its [`Session`] subscribes, and its [`Decoder`] reads
//! the frames. A program that embeds the stream hands its own to [`crate::stream::WebSocketStream::new`]; one that is built in
//! stands in [`ALL`] as well, and can be configured by its name. This one subscribes with `SUB a b`, is answered with `OK a b`,
//! and then sends `a 0.45`:
//!
//! ```
//! use feedwatch::market::{DecodeError, Envelope, EventKind, Instrument, Subscribed, Value, ValueError};
//! use feedwatch::supervise::DialLimit;
//! use feedwatch::venue::{Answer, Decoder, Feed, Heard, Heartbeat, Limits, Ping, Session, Venue};
//! use std::borrow::Cow;
//! use std::time::Duration;
//!
//! #[derive(Debug)]
//! struct Ticks;
//!
//! impl Venue for Ticks {
//!     fn name(&self) -> &'static str { "ticks" }
//!     fn default_url(&self) -> &'static str { "wss://ticks.example/ws" }
//!     fn limits(&self) -> Limits {
//!         Limits::new(100, DialLimit { per_second: 1.0, burst: 1 })
//!     }
//!     fn heartbeat(&self) -> Heartbeat {
//!         Heartbeat { interval: Duration::from_secs(30), ping: Ping::Frame }
//!     }
//!     fn stale_after(&self) -> Duration { Duration::from_secs(60) }
//!
//!     fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
//!         let legal = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_lowercase());
//!         legal.then_some(()).ok_or("an id of Ticks is one or more of the letters a to z".into())
//!     }
//!
//!     fn session(&self, _feed: &Feed) -> Box<dyn Session> { Box::new(TicksSession::default()) }
//!     fn decoder(&self) -> Box<dyn Decoder> { Box::new(TicksDecoder) }
//! }
//!
//! // Its frames tell all that they are about. Where they do not, as with numbers of channels, the decoder keeps what it needs.
//! struct TicksDecoder;
//!
//! impl Decoder for TicksDecoder {
//!     fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
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
//!     fn values<'f>(&'f mut self, _frame: &'f str, _visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {}
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
//!     fn is_awaiting(&self) -> bool { !self.asked.is_empty() }
//!
//!     fn hear(&mut self, frame: &str) -> Option<Heard> {
//!         let known: Vec<_> = frame.strip_prefix("OK ")?.split(' ').collect();
//!         let asked = std::mem::take(&mut self.asked);
//!         let (accepted, refused) = asked.into_iter().partition(|asked| known.contains(&asked.as_str()));
//!         Some(Heard::Answer(Answer::Settled(Subscribed { accepted, refused, ..Subscribed::default() })))
//!     }
//!
//!     fn give_up(&mut self) -> Vec<Instrument> { std::mem::take(&mut self.asked) }
//! }
//!
//! let mut session = Ticks.session(&Feed::default());
//! assert_eq!(session.subscribe(&["a", "b"].map(Instrument::new)), ["SUB a b"]);
//! let Some(Heard::Answer(Answer::Settled(answer))) = session.hear("OK a") else { unreachable!() };
//! assert_eq!((answer.accepted, answer.refused), (vec![Instrument::new("a")], vec![Instrument::new("b")]));
//!
//! let mut kinds = Vec::new();
//! Ticks.decoder().decode("a 0.45", &mut |event| kinds.push(event.kind)).unwrap();
//! assert_eq!(kinds, [EventKind::Ticker]);
//! ```
//!
//! Methods that these traits get in a minor release have a default.

mod binance;
mod bitfinex;
mod bitmex;
mod bitstamp;
mod book;
mod bybit;
mod coinbase;
mod deribit;
mod dialogue;
mod directory;
mod dydx;
mod feed;
mod gemini;
pub mod generic;
mod hyperliquid;
mod json;
mod kalshi;
mod key;
mod kraken;
mod kraken_futures;
mod ledger;
mod limits;
mod object;
mod okx;
mod polymarket;
mod reference;
mod session;
mod stateless;
mod time;
mod wire;

pub use binance::Binance;
pub use bitfinex::Bitfinex;
pub use bitmex::Bitmex;
pub use bitstamp::Bitstamp;
pub use bybit::Bybit;
pub use coinbase::Coinbase;
pub use deribit::Deribit;
pub use directory::{Directory, InvalidListing, Listed, Listing, matches};
pub use dydx::Dydx;
pub use feed::Feed;
pub use gemini::Gemini;
pub use hyperliquid::Hyperliquid;
pub use kalshi::Kalshi;
pub use key::{ApiKey, InvalidApiKey};
pub use kraken::Kraken;
pub use kraken_futures::KrakenFutures;
pub use limits::{Heartbeat, Limits, Ping, Resync};
pub use okx::Okx;
pub use polymarket::Polymarket;
pub use reference::VenueRef;
pub use session::{Answer, Heard, Session};

use crate::market::{DecodeError, Envelope, Value, ValueError};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Every venue that is built in.
pub const ALL: &[&dyn Venue] = &[
    &Polymarket,
    &Binance::Spot,
    &Binance::UsdM,
    &Binance::CoinM,
    &Kraken,
    &KrakenFutures,
    &Coinbase::Advanced,
    &Coinbase::Exchange,
    &Okx,
    &Bybit::Spot,
    &Bybit::Linear,
    &Bybit::Inverse,
    &Bybit::Option,
    &Hyperliquid,
    &Dydx,
    &Bitstamp,
    &Bitmex,
    &Gemini,
    &Bitfinex,
    &Deribit,
    &Kalshi,
];

/// The venue of that name.
///
/// ```
/// use feedwatch::venue;
///
/// let polymarket = venue::find("polymarket").unwrap();
/// assert_eq!(polymarket.limits().subscriptions_per_connection, 500);
/// assert!(polymarket.check_instrument("0xabc").is_err());
/// assert!(venue::find("polymarkt").is_none());
/// ```
pub fn find(name: &str) -> Option<VenueRef> {
    ALL.iter()
        .copied()
        .find(|venue| venue.name() == name)
        .map(VenueRef::Static)
}

/// An exchange's WebSocket protocol.
pub trait Venue: Send + Sync + fmt::Debug {
    /// The name in the configuration and in labels.
    fn name(&self) -> &str;

    /// Where its market data is served.
    fn default_url(&self) -> &str;

    /// What it allows.
    fn limits(&self) -> Limits;

    /// How the client keeps the connection alive.
    fn heartbeat(&self) -> Heartbeat;

    /// How long a live stream may be without data before something is wrong, where the user does not say.
    fn stale_after(&self) -> Duration;

    /// What each instrument is subscribed to where the user does not say: channels, in the venue's own words. Empty = it has
    /// one kind of subscription only.
    fn channels(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether there can be a channel of that name; the error says what one looks like.
    fn check_channel(&self, _channel: &str) -> Result<(), Cow<'static, str>> {
        Err("there is nothing to choose from at this venue".into())
    }

    /// Whether an instrument's id is possible; the error says what one looks like.
    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>>;

    /// Whether its events are numbered, so that what is missing is seen.
    fn has_sequences(&self) -> bool {
        false
    }

    /// What makes the data whole again after a gap in its numbers, or a book whose checksum is another.
    fn resync(&self) -> Resync {
        Resync::Consumer
    }

    /// Whether it takes no connection without the key of an account.
    fn needs_key(&self) -> bool {
        false
    }

    /// The headers that sign an upgrade with a key: for this path with its query, at this time, in milliseconds since the Unix
    /// epoch. None of a venue that asks for no key.
    fn sign_upgrade(&self, _key: &ApiKey, _path: &str, _unix_millis: i64) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The dialogue of a new connection that is to carry this.
    fn session(&self, feed: &Feed) -> Box<dyn Session>;

    /// Reads the frames of one connection, the first one included.
    fn decoder(&self) -> Box<dyn Decoder>;

    /// Compares the books of one connection with the checksums that come along; `None` = the venue sends none.
    fn checksums(&self) -> Option<Box<dyn Checksums>> {
        None
    }

    /// How names that people know are looked up; `None` where the venue is asked for ids alone.
    fn directory(&self) -> Option<&dyn Directory> {
        None
    }

    /// How it is described; `None` where its protocol is code, which is the same as long as its name is.
    fn description(&self) -> Option<&generic::Description> {
        None
    }
}

/// Reads the frames of one connection, in their order.
pub trait Decoder: Send {
    /// Reads the envelopes of a text frame's events, none to many, without copying.
    ///
    /// Events before a defect are visited before the error is returned.
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError>;

    /// Reads the values of a text frame's events, none to many, in their order. Not for the hot path.
    ///
    /// What cannot be read is visited in its place as an error, and hides nothing else. Events that say nothing about an
    /// instrument, control texts and events of which nothing is known are not visited and are no error.
    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>));
}

/// Keeps the books of one connection, as far as their checksums go.
pub trait Checksums: Send {
    /// Applies a text frame, and visits each instrument whose book is not the venue's any more. Of that one nothing is compared
    /// until a whole book has come. No book is kept of an instrument that is not asked for, whatever the frame says.
    fn check(&mut self, frame: &str, is_asked_for: &dyn Fn(&str) -> bool, differs: &mut dyn FnMut(&str));

    /// Forgets the books of an instrument that is no longer asked for, or is asked for anew. Kept as it was, a book would miss what
    /// changes until the new subscription begins with a whole one.
    fn forget(&mut self, _instrument: &str) {}
}
