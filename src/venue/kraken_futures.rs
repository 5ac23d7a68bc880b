//! Kraken futures.
//!
//! Source of the protocol's facts: the venue's public documentation ("Futures WebSocket"), and recordings. A feed and a product
//! are subscribed to together; each pair is answered apart. Books and trades are numbered without a hole, by product and feed,
//! and begin with a snapshot whose number is that of its last event. An error names nothing: it is about the oldest request
//! without an answer, so each request has one product.

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

/// Kraken futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KrakenFutures;

impl Venue for KrakenFutures {
    fn name(&self) -> &'static str {
        "kraken_futures"
    }

    fn default_url(&self) -> &'static str {
        "wss://futures.kraken.com/ws/v1"
    }

    fn limits(&self) -> Limits {
        // 100 requests a second are documented. For dials and for what a connection carries nothing is known: these are cautious.
        let dial = DialLimit {
            per_second: 0.5,
            burst: 5,
        };
        Limits::new(500, dial).with_requests(50.0, 50)
    }

    fn heartbeat(&self) -> Heartbeat {
        // Who does not ping for 60 seconds is sent away.
        Heartbeat {
            interval: Duration::from_secs(30),
            ping: Ping::Frame,
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn channels(&self) -> Vec<String> {
        vec!["book".into(), "trade".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        matches!(channel, "book" | "trade" | "ticker" | "ticker_lite")
            .then_some(())
            .ok_or("a channel of Kraken futures is a feed: book, trade, ticker or ticker_lite".into())
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
        let is_legal = (1..=64).contains(&id.len()) && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("a product of Kraken futures is written in capitals: PF_XBTUSD, or FI_XBTUSD_260130".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    fn resync(&self) -> Resync {
        Resync::Resubscribe
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Answered::session(session::FuturesDialogue::default(), feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}
