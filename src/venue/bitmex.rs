//! `BitMEX`: perpetuals, futures and spot.
//!
//! Source of the protocol's facts: the venue's public documentation ("WebSocket API"), its announcements, public clients, and
//! recordings. An instrument's channel is one topic, `trade:XBTUSD`, and each topic of a request has an answer of its own. A
//! frame holds rows of a table: all that there is (`partial`) once, and then what becomes of them. Rows of one instrument that
//! stand together are one event, since a change of a book is made of several. Nothing is numbered.

mod decode;
mod session;
mod values;

use super::stateless::Stateless;
use super::{Decoder, Feed, Heartbeat, Limits, Ping, Resync, Session, Venue};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// The public tables of `BitMEX`.
#[derive(Clone, Copy, Debug)]
pub struct Bitmex;

/// What an instrument can be subscribed to.
const CHANNELS: [&str; 17] = [
    "orderBookL2",
    "orderBookL2_25",
    "orderBook10",
    "trade",
    "quote",
    "instrument",
    "funding",
    "liquidation",
    "settlement",
    "tradeBin1m",
    "tradeBin5m",
    "tradeBin1h",
    "tradeBin1d",
    "quoteBin1m",
    "quoteBin5m",
    "quoteBin1h",
    "quoteBin1d",
];

impl Venue for Bitmex {
    fn name(&self) -> &'static str {
        "bitmex"
    }

    fn default_url(&self) -> &'static str {
        "wss://ws.bitmex.com/realtime"
    }

    fn limits(&self) -> Limits {
        // 60 dials an hour and 720 requests an hour, of one address; 40 requests at once, and each dial is one of them: 650 and
        // the dials are not too many. How many subscriptions a connection carries is not documented.
        let dial = DialLimit {
            per_second: 40.0 / 3600.0,
            burst: 20,
        };
        Limits::new(200, dial).with_requests(0.175, 20)
    }

    fn heartbeat(&self) -> Heartbeat {
        // The documentation wants a ping after five seconds of silence, for the client's own good.
        Heartbeat {
            interval: Duration::from_secs(10),
            ping: Ping::text("ping"),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn channels(&self) -> Vec<String> {
        vec!["orderBookL2_25".into(), "trade".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        if CHANNELS.contains(&channel) {
            Ok(())
        } else {
            Err(format!("the tables of BitMEX with instruments are {}", CHANNELS.join(", ")).into())
        }
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.');
        let is_legal = (1..=64).contains(&id.len()) && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("a symbol of BitMEX is written in capitals: XBTUSD, XBT_USDT, or .BXBT".into())
    }

    /// A subscription begins with all that there is.
    fn resync(&self) -> Resync {
        Resync::Resubscribe
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Box::new(session::BitmexSession::new(feed.channels_of(self)))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }
}
