//! Kraken spot.
//!
//! Source of the protocol's facts: the venue's public documentation ("Spot WebSocket v2", "Spot WebSocket v1" and their guides
//! of book checksums), and recordings of v1. Version 2 is spoken; what version 1 sends is read as well. Every symbol of a request
//! is answered apart, with the number of its request. A book comes whole first; each message of it carries a CRC-32 of the ten
//! best levels of both sides.
//!
//! The status says how the trading engine is: `online`, `cancel_only`, `post_only`, `limit_only`, `maintenance`. The last one, when
//! it comes over a connection that was told otherwise before, is reason to make another connection while this one still
//! lasts.

mod checksum;
mod decode;
mod directory;
mod session;
mod v1;
mod values;

use super::dialogue::Answered;
use super::stateless::Stateless;
use super::{Checksums, Decoder, Directory, Feed, Heartbeat, Limits, Ping, Resync, Session, Venue};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// So many levels of a side a book may be subscribed with.
const DEPTHS: [u16; 5] = [10, 25, 100, 500, 1000];

/// So many minutes a candle may have.
const MINUTES: [u16; 9] = [1, 5, 15, 30, 60, 240, 1440, 10_080, 21_600];

/// Kraken spot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kraken;

impl Venue for Kraken {
    fn name(&self) -> &'static str {
        "kraken"
    }

    fn default_url(&self) -> &'static str {
        "wss://ws.kraken.com/v2"
    }

    fn limits(&self) -> Limits {
        // 150 dials in 10 minutes and of one address. How much a connection carries is not documented, and the limit of requests
        // depends on the load: both are cautious.
        let dial = DialLimit {
            per_second: 0.24,
            burst: 5,
        };
        Limits::new(500, dial).with_requests(2.0, 4)
    }

    fn heartbeat(&self) -> Heartbeat {
        // The venue says each second that it is there, and ends a connection after a minute in which nothing was said.
        Heartbeat {
            interval: Duration::from_secs(30),
            ping: Ping::text(r#"{"method":"ping"}"#),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn channels(&self) -> Vec<String> {
        vec!["book".into(), "trade".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        Channel::read(channel).map(|_| ()).ok_or(
            "a channel of Kraken is trade, ticker, book or ohlc; the last two may say a depth (book-10, -25, -100, -500, -1000) \
             or an interval in minutes (ohlc-1, -5, -15, -30, -60, -240, -1440, -10080, -21600)"
                .into(),
        )
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        };
        let is_legal = id.len() <= 64
            && id
                .split_once('/')
                .is_some_and(|(base, quote)| legal(base) && legal(quote));
        is_legal.then_some(()).ok_or(
            "a symbol of Kraken is two assets with a slash between them: BTC/USD (not XBT/USD, as it is in version 1)"
                .into(),
        )
    }

    fn resync(&self) -> Resync {
        Resync::Resubscribe
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Answered::session(session::KrakenDialogue::default(), feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    fn checksums(&self) -> Option<Box<dyn Checksums>> {
        Some(Box::new(checksum::Books::default()))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}

/// A channel, and what it takes besides its symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel<'c> {
    name: &'c str,
    /// The name of its parameter, and the value.
    parameter: Option<(&'static str, u16)>,
}

impl<'c> Channel<'c> {
    fn read(channel: &'c str) -> Option<Self> {
        let (name, number) = channel
            .split_once('-')
            .map_or((channel, None), |(name, number)| (name, Some(number)));
        let (parameter, valid): (_, &[u16]) = match name {
            "book" => ("depth", &DEPTHS),
            "ohlc" => ("interval", &MINUTES),
            "trade" | "ticker" => ("", &[]),
            _ => return None,
        };
        let Some(number) = number else {
            return Some(Self { name, parameter: None });
        };
        let value = valid.iter().copied().find(|value| value.to_string() == number)?;
        Some(Self {
            name,
            parameter: Some((parameter, value)),
        })
    }
}
