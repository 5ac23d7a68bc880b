//! Coinbase: Advanced Trade, and the Exchange.
//!
//! Source of the protocol's facts: the venue's public documentation ("Advanced Trade WebSocket", "Exchange WebSocket Feed"),
//! recordings of the Exchange, and what clients report of errors. Both want to be asked for something within 5 seconds. Requests
//! have no ids; each is answered in its turn, by all that is subscribed to then, or by an error, which says that the whole request
//! counts for nothing. Heartbeats are a channel, to which each connection subscribes as well: it keeps quiet ones open.
//!
//! Advanced Trade numbers all messages of a connection. On the Exchange `sequence` only rises, but each trade of a product has the
//! number after the one before.

mod advanced;
mod directory;
mod exchange;
mod session;
mod values;

use super::dialogue::Answered;
use super::{Decoder, Directory, Feed, Heartbeat, Limits, Ping, Resync, Session, Venue};
use crate::market::{DecodeError, Envelope, Value, ValueError};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// One of Coinbase's two interfaces for market data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coinbase {
    /// Advanced Trade.
    Advanced,
    /// The Exchange, once called Pro.
    Exchange,
}

impl Venue for Coinbase {
    fn name(&self) -> &str {
        match self {
            Self::Advanced => "coinbase",
            Self::Exchange => "coinbase_exchange",
        }
    }

    fn default_url(&self) -> &str {
        match self {
            Self::Advanced => "wss://advanced-trade-ws.coinbase.com",
            Self::Exchange => "wss://ws-feed.exchange.coinbase.com",
        }
    }

    fn limits(&self) -> Limits {
        // 8 dials a second and of one address. How much a connection carries is not documented: these are cautious.
        let dial = DialLimit {
            per_second: 4.0,
            burst: 4,
        };
        match self {
            // 8 messages a second, of one address: for two connections at a time.
            Self::Advanced => Limits::new(400, dial).with_requests(4.0, 4),
            // 8 requests a second with bursts of 20, of one address.
            Self::Exchange => Limits::new(200, dial).with_requests(8.0, 10),
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        // The venue's own come each second, on a channel.
        Heartbeat {
            interval: Duration::from_secs(30),
            ping: Ping::Frame,
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn channels(&self) -> Vec<String> {
        let channels = match self {
            Self::Advanced => ["level2", "market_trades"],
            // "level2" itself wants a signature.
            Self::Exchange => ["level2_batch", "matches"],
        };
        channels.map(Into::into).to_vec()
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        let (valid, words): (&[&str], _) = match self {
            Self::Advanced => (
                &["level2", "market_trades", "ticker", "ticker_batch", "candles"],
                "a channel of Coinbase is level2, market_trades, ticker, ticker_batch or candles",
            ),
            Self::Exchange => (
                &["level2_batch", "level2", "matches", "ticker", "ticker_batch", "full"],
                "a channel of the Coinbase Exchange is level2_batch, matches, ticker or ticker_batch; where the venue lets this \
                 address have them, level2 or full",
            ),
        };
        valid.contains(&channel).then_some(()).ok_or(words.into())
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        let is_legal = id.len() <= 64 && id.contains('-') && id.split('-').all(legal);
        is_legal
            .then_some(())
            .ok_or("a product of Coinbase is written in capitals and with hyphens: BTC-USD, or BIT-31JAN26-CDE".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    fn resync(&self) -> Resync {
        match self {
            Self::Advanced => Resync::Reconnect,
            Self::Exchange => Resync::Resubscribe,
        }
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Answered::session(session::CoinbaseDialogue::new(*self), feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(CoinbaseDecoder(*self))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}

/// Frames tell all that they are about.
struct CoinbaseDecoder(Coinbase);

impl Decoder for CoinbaseDecoder {
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        match self.0 {
            Coinbase::Advanced => advanced::decode(frame, visit),
            Coinbase::Exchange => exchange::decode(frame, visit),
        }
    }

    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {
        values::values(self.0, frame, visit);
    }
}
