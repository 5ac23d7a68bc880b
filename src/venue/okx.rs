//! OKX, API version 5: spot, swaps, futures and options.
//!
//! Source of the protocol's facts: the venue's public documentation ("Overview", "WebSocket" and "Order Book Trading") with its
//! changelog, and recordings. What is subscribed to is a channel and an instrument, and each pair is answered for itself. Candles
//! and `trades-all` are served at `wss://ws.okx.com:8443/ws/v5/business` only.

mod checksum;
mod decode;
mod directory;
mod session;
mod values;

use super::dialogue::Answered;
use super::stateless::Stateless;
use super::{Checksums, Decoder, Directory, Feed, Heartbeat, Limits, Ping, Resync, Session, Venue};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// No id of an instrument is longer.
const LONGEST_INSTRUMENT: usize = 64;

/// OKX, its public channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Okx;

impl Venue for Okx {
    fn name(&self) -> &'static str {
        "okx"
    }

    fn default_url(&self) -> &'static str {
        "wss://ws.okx.com:8443/ws/v5/public"
    }

    fn limits(&self) -> Limits {
        // 3 dials a second and of one address. 480 requests an hour: what the burst and an hour of the rate come to. How many
        // subscriptions a connection carries is not documented: as many as could be asked for one by one.
        let dial = DialLimit {
            per_second: 2.0,
            burst: 1,
        };
        Limits::new(480, dial).with_requests(0.1, 100)
    }

    fn heartbeat(&self) -> Heartbeat {
        // A connection that is silent for 30 seconds is ended.
        Heartbeat {
            interval: Duration::from_secs(20),
            ping: Ping::text("ping"),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn channels(&self) -> Vec<String> {
        vec!["books".into(), "trades".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        let is_legal = channel.len() <= 32 && channel.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (is_legal && decode::is_known(channel)).then_some(()).ok_or(
            "a channel of OKX is one that takes an instId: books, books5, bbo-tbt, trades, tickers, mark-price, candle1m".into(),
        )
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        let is_legal = !id.is_empty() && id.len() <= LONGEST_INSTRUMENT && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("an instId of OKX is written in capitals, with hyphens: BTC-USDT, or BTC-USDT-SWAP".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    /// A subscription begins with a whole book.
    fn resync(&self) -> Resync {
        Resync::Resubscribe
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Answered::session(session::OkxDialogue, feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    /// Since June 2026 the venue says 0 instead of a checksum, which is compared with nothing; older recordings have them.
    fn checksums(&self) -> Option<Box<dyn Checksums>> {
        Some(Box::new(checksum::OkxChecksums::default()))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}
