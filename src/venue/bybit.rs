//! Bybit, API version 5: spot, linear and inverse contracts, and options.
//!
//! Source of the protocol's facts: the venue's public documentation ("Connect" and "Public Topics" of version 5), and answers that
//! public clients have recorded. What is subscribed to is a topic: a channel, a dot and a symbol. Options are answered by topic,
//! the others by request. Trades of options come for a base coin, which is then the instrument: `publicTrade` of `BTC`.
//!
//! Of what version 4 and older sent, envelopes are read and trades have values; the values of its books are not read.

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

/// One of Bybit's markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bybit {
    /// Spot.
    Spot,
    /// Contracts that are margined in USDT or USDC.
    Linear,
    /// Contracts that are margined in the coin itself.
    Inverse,
    /// Options.
    Option,
}

impl Venue for Bybit {
    fn name(&self) -> &str {
        match self {
            Self::Spot => "bybit_spot",
            Self::Linear => "bybit_linear",
            Self::Inverse => "bybit_inverse",
            Self::Option => "bybit_option",
        }
    }

    fn default_url(&self) -> &str {
        match self {
            Self::Spot => "wss://stream.bybit.com/v5/public/spot",
            Self::Linear => "wss://stream.bybit.com/v5/public/linear",
            Self::Inverse => "wss://stream.bybit.com/v5/public/inverse",
            Self::Option => "wss://stream.bybit.com/v5/public/option",
        }
    }

    fn limits(&self) -> Limits {
        // 500 dials in 5 minutes and of one address, of which 1,000 connections may be open, for each of the markets. The topics of a connection may be 21,000 characters long together, which is
        // 500 of the longest; of options 2,000. How fast requests may come is not documented.
        let dial = DialLimit {
            per_second: 1.0,
            burst: 5,
        };
        Limits::new(500, dial)
            .with_requests(5.0, 5)
            .with_connections_per_address(1000)
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            interval: Duration::from_secs(20),
            ping: Ping::text(r#"{"op":"ping"}"#),
        }
    }

    fn stale_after(&self) -> Duration {
        match self {
            Self::Option => Duration::from_secs(300),
            _ => Duration::from_secs(60),
        }
    }

    fn channels(&self) -> Vec<String> {
        match self {
            // Trades are not subscribed to by the symbol of an option.
            Self::Option => vec!["orderbook.100".into(), "tickers".into()],
            _ => vec!["orderbook.50".into(), "publicTrade".into()],
        }
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
        let is_legal = channel.len() <= 32 && channel.bytes().all(legal) && !channel.ends_with('.');
        (is_legal && decode::is_known(channel)).then_some(()).ok_or(
            "a channel of Bybit is a topic without its symbol: orderbook.50, publicTrade, tickers, kline.1".into(),
        )
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        let is_legal = !id.is_empty() && id.len() <= 64 && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("a symbol of Bybit is written in capitals: BTCUSDT, or BTC-27MAR26-90000-C-USDT".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    /// A subscription begins with a whole book.
    fn resync(&self) -> Resync {
        Resync::Resubscribe
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        let is_answered_by_topic = *self == Self::Option;
        Answered::session(session::BybitDialogue { is_answered_by_topic }, feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}
