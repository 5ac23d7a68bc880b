//! Kalshi: contracts on events, which pay a dollar or nothing.
//!
//! Source of the protocol's facts: the venue's public documentation ("WebSocket API", "API keys" and its `AsyncAPI` description of
//! version 2), and what others have measured of it. A subscription is a channel of the connection, with a number, `sid`, and all
//! instruments in it: another request for the same channel adds to it. What is numbered is numbered for each `sid`. Every
//! connection is signed with the key of an account.

mod books;
mod decode;
mod directory;
mod session;
mod values;

use super::{ApiKey, Decoder, Directory, Feed, Heartbeat, Limits, Ping, Resync, Session, Venue};
use crate::market::{DecodeError, Envelope, Value, ValueError};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// Kalshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kalshi;

impl Venue for Kalshi {
    fn name(&self) -> &'static str {
        "kalshi"
    }

    fn default_url(&self) -> &'static str {
        "wss://api.elections.kalshi.com/trade-api/ws/v2"
    }

    fn limits(&self) -> Limits {
        // Nothing is documented; 10,000 instruments on a connection were seen to do, and few connections are allowed to a key.
        let dial = DialLimit {
            per_second: 0.5,
            burst: 2,
        };
        Limits::new(2000, dial)
    }

    fn heartbeat(&self) -> Heartbeat {
        // The venue pings as well, every 10 seconds.
        Heartbeat {
            interval: Duration::from_secs(20),
            ping: Ping::Frame,
        }
    }

    /// Few contracts are traded every minute.
    fn stale_after(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn channels(&self) -> Vec<String> {
        vec!["orderbook_delta".into(), "trade".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        // The lifecycle of markets cannot be asked for by instrument.
        matches!(channel, "orderbook_delta" | "trade" | "ticker")
            .then_some(())
            .ok_or("a channel of Kalshi is orderbook_delta, trade or ticker".into())
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_');
        let begins = id.starts_with(|first: char| first.is_ascii_uppercase());
        let is_legal = begins && id.len() <= 128 && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("a market ticker of Kalshi is written as KXBTCD-26DEC3117-T99999.99".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    /// The numbers are those of a whole channel.
    fn resync(&self) -> Resync {
        Resync::Reconnect
    }

    fn needs_key(&self) -> bool {
        true
    }

    /// The signature is of time, method and path, without the query.
    fn sign_upgrade(&self, key: &ApiKey, path: &str, unix_millis: i64) -> Vec<(&'static str, String)> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let Some(signature) = key.sign(format!("{unix_millis}GET{path}").as_bytes()) else {
            return Vec::new();
        };
        vec![
            ("KALSHI-ACCESS-KEY", key.id().to_owned()),
            ("KALSHI-ACCESS-SIGNATURE", signature),
            ("KALSHI-ACCESS-TIMESTAMP", unix_millis.to_string()),
        ]
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Box::new(session::KalshiSession::new(feed.channels_of(self)))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(KalshiDecoder::default())
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}

/// Changes of a book are told as differences: what they lead to is known by whoever keeps the book.
#[derive(Default)]
struct KalshiDecoder {
    books: books::Books,
}

impl Decoder for KalshiDecoder {
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        decode::decode(frame, visit)
    }

    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {
        values::values(&mut self.books, frame, visit);
    }
}
