//! Binance: spot, USD-M futures and COIN-M futures.
//!
//! Source of the protocol's facts: the venue's public documentation ("WebSocket Streams" of spot, "Websocket Market Streams" of
//! the futures), and recordings. An instrument's channel is one stream, `btcusdt@trade`. Requests carry an id, which the answer
//! repeats. At `/stream` each event comes within the name of its stream, which says more than the event itself: of which
//! instrument a partial book is, and that it is one.

mod decode;
mod directory;
mod session;
mod values;

use super::{Decoder, Directory, Feed, Heartbeat, Limits, Ping, Session, Venue};
use crate::market::{DecodeError, Envelope, Value, ValueError};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// One of Binance's markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binance {
    /// Spot.
    Spot,
    /// Futures that are margined in USDT or USDC.
    UsdM,
    /// Futures that are margined in the coin itself.
    CoinM,
}

/// Keeps only what a value borrows: see [`values::values`].
#[derive(Default)]
struct BinanceDecoder {
    symbol: String,
}

impl Decoder for BinanceDecoder {
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        decode::decode(frame, visit)
    }

    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {
        values::values(&mut self.symbol, frame, visit);
    }
}

impl Venue for Binance {
    fn name(&self) -> &str {
        match self {
            Self::Spot => "binance",
            Self::UsdM => "binance_usdm",
            Self::CoinM => "binance_coinm",
        }
    }

    fn default_url(&self) -> &str {
        match self {
            Self::Spot => "wss://stream.binance.com:9443/stream",
            Self::UsdM => "wss://fstream.binance.com/stream",
            Self::CoinM => "wss://dstream.binance.com/stream",
        }
    }

    fn limits(&self) -> Limits {
        // 300 dials in 5 minutes and of one address, the burst among them; a connection ends after 24 hours.
        let dial = DialLimit {
            per_second: 0.98,
            burst: 5,
        };
        // 5 messages a second on spot, and 10 on the futures: a ping and a pong are two of them.
        let limits = match self {
            Self::Spot => Limits::new(1024, dial).with_requests(2.0, 1),
            // 1,024 are documented; above 200 some are known to fall silent.
            Self::UsdM | Self::CoinM => Limits::new(200, dial).with_requests(5.0, 3),
        };
        limits.with_max_connection_age(Duration::from_secs(23 * 3600))
    }

    fn heartbeat(&self) -> Heartbeat {
        // The venue pings as well, every 20 seconds on spot and every 3 minutes on the futures.
        Heartbeat {
            interval: Duration::from_secs(30),
            ping: Ping::Frame,
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn channels(&self) -> Vec<String> {
        let trades = match self {
            Self::Spot => "trade",
            Self::UsdM | Self::CoinM => "aggTrade",
        };
        vec!["depth@100ms".into(), trades.into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'_' | b'+' | b':');
        let is_legal = channel.starts_with(|first: char| first.is_ascii_alphabetic()) && channel.bytes().all(legal);
        is_legal.then_some(()).ok_or(
            "a channel of Binance is what stands behind the first @ of a stream: trade, depth@100ms, kline_1m".into(),
        )
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |c: char| c == '_' || c.is_alphanumeric() && !c.is_lowercase();
        let is_legal = !id.is_empty() && id.len() <= 64 && id.chars().all(legal);
        is_legal
            .then_some(())
            .ok_or("a symbol of Binance is written in capitals: BTCUSDT, or BTCUSD_PERP".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Box::new(session::BinanceSession::new(feed.channels_of(self)))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(BinanceDecoder::default())
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}
