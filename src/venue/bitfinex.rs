//! Bitfinex, version 2 of its public WebSocket API.
//!
//! Source of the protocol's facts: the venue's public documentation ("General", "Public channels", "Books" and "Configuration
//! flags" of the WebSocket API v2), what others have measured of it, and a recording. Each channel of each instrument is a
//! request of its own. Its answer gives the channel a number, `chanId`, and later frames say only that: `[chanId, ...]`. The
//! numbers of frames count everything on the connection that is a list: data, heartbeats and checksums.

mod channel;
mod checksums;
mod decode;
mod directory;
mod session;
mod values;

use super::{Checksums, Decoder, Directory, Feed, Heartbeat, Limits, Ping, Resync, Session, Venue};
use crate::market::{DecodeError, Envelope, Value, ValueError};
use crate::supervise::DialLimit;
use channel::{Channel, Channels};
use std::borrow::Cow;
use std::time::Duration;

/// Bitfinex: spot and derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitfinex;

impl Venue for Bitfinex {
    fn name(&self) -> &'static str {
        "bitfinex"
    }

    fn default_url(&self) -> &'static str {
        "wss://api-pub.bitfinex.com/ws/2"
    }

    fn limits(&self) -> Limits {
        // 20 dials a minute and of one address; who dials faster is shut out for a minute. Of subscriptions 25 are documented
        // in one place and 30 in another. Of requests nothing is known.
        Limits::new(
            25,
            DialLimit {
                per_second: 0.3,
                burst: 2,
            },
        )
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            interval: Duration::from_secs(20),
            ping: Ping::text(r#"{"event":"ping","cid":1}"#),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn channels(&self) -> Vec<String> {
        vec!["book".into(), "trades".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        Channel::parse(channel).map(|_| ()).ok_or(
            "a channel of Bitfinex is trades, ticker, book (or with precision, frequency and length: book/P0/F0/100), or \
             candles/1m"
                .into(),
        )
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b':';
        let pair = id.strip_prefix('t').unwrap_or_default();
        let is_legal = (2..=64).contains(&pair.len()) && pair.bytes().all(legal);
        // Currencies that are lent (fUSD) have books and trades of another kind.
        is_legal
            .then_some(())
            .ok_or("a pair of Bitfinex is a t and capitals: tBTCUSD, tDOGE:USD, or tBTCF0:USTF0".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    /// A book whose checksum is another comes whole with a new subscription. The numbers are those of the connection.
    fn resync(&self) -> Resync {
        Resync::Resubscribe
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        let channels = feed.channels_of(self);
        let channels = channels.iter().filter_map(|channel| Channel::parse(channel));
        Box::new(session::BitfinexSession::new(channels.collect(), feed.checksums))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(BitfinexDecoder::default())
    }

    fn checksums(&self) -> Option<Box<dyn Checksums>> {
        Some(Box::new(checksums::Books::default()))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}

/// Remembers what the numbers of the channels mean.
#[derive(Default)]
struct BitfinexDecoder {
    channels: Channels,
}

impl Decoder for BitfinexDecoder {
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        decode::decode(&mut self.channels, frame, visit)
    }

    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {
        values::values(&mut self.channels, frame, visit);
    }
}
