//! Gemini's market data, version 2.
//!
//! Source of the protocol's facts: the venue's public documentation ("Market Data v2"), public clients, and recordings. There is
//! no acknowledgement: what a subscription begins with is its answer. A frame with a request that is refused is refused as a
//! whole, and the error does not say which frame it was; so each instrument has its own. Nothing is numbered.

mod decode;
mod directory;
mod session;
mod values;

use super::dialogue::Answered;
use super::stateless::Stateless;
use super::{Decoder, Directory, Feed, Heartbeat, Limits, Ping, Resync, Session, Venue};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// Gemini's public market data.
#[derive(Clone, Copy, Debug)]
pub struct Gemini;

/// The channel with the book; trades come along.
const BOOK: &str = "l2";

const CHANNELS: [&str; 8] = [
    BOOK,
    "candles_1m",
    "candles_5m",
    "candles_15m",
    "candles_30m",
    "candles_1h",
    "candles_6h",
    "candles_1d",
];

impl Venue for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn default_url(&self) -> &'static str {
        "wss://api.gemini.com/v2/marketdata"
    }

    fn limits(&self) -> Limits {
        // None is documented.
        let dial = DialLimit {
            per_second: 1.0,
            burst: 5,
        };
        Limits::new(100, dial).with_requests(5.0, 10)
    }

    fn heartbeat(&self) -> Heartbeat {
        // The venue says every five seconds that it is there, and wants nothing.
        Heartbeat {
            interval: Duration::from_secs(15),
            ping: Ping::Frame,
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn channels(&self) -> Vec<String> {
        vec![BOOK.into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        if CHANNELS.contains(&channel) {
            Ok(())
        } else {
            Err(format!(
                "the channels of Gemini are {}; l2 brings trades, too",
                CHANNELS.join(", ")
            )
            .into())
        }
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        let is_legal = (1..=64).contains(&id.len()) && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("a symbol of Gemini is written in capitals: BTCUSD, or BTCGUSDPERP".into())
    }

    /// A subscription begins with a whole book.
    fn resync(&self) -> Resync {
        Resync::Resubscribe
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        let channels = feed.channels_of(self);
        Answered::session(session::GeminiDialogue::new(&channels), channels)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}
