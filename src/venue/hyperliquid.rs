//! Hyperliquid: perpetuals and spot.
//!
//! Source of the protocol's facts: the venue's public documentation ("WebSocket", "Subscriptions", "Timeouts and heartbeats" and
//! "Rate limits"), and a recording. An instrument is a coin as the venue spells it: `BTC`, `PURR/USDC`, `@107` of spot, `xyz:GOLD`
//! of a market that somebody else has deployed. Books always come whole, and nothing is numbered. The first trades of a
//! subscription are the last ones before it.

mod decode;
mod directory;
mod session;
mod values;

use super::dialogue::Answered;
use super::{Decoder, Directory, Feed, Heartbeat, Limits, Ping, Session, Venue};
use crate::market::{DecodeError, Envelope, Value, ValueError};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// Hyperliquid, its public subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hyperliquid;

impl Venue for Hyperliquid {
    fn name(&self) -> &'static str {
        "hyperliquid"
    }

    fn default_url(&self) -> &'static str {
        "wss://api.hyperliquid.xyz/ws"
    }

    fn limits(&self) -> Limits {
        // Of one address: 30 dials a minute, 10 connections, 1,000 subscriptions and 2,000 messages a minute, all connections
        // together. A tenth of the messages is for each connection, pings included; a fifth of the subscriptions leaves room
        // for other streams, and is asked for in little more than a minute.
        let dial = DialLimit {
            per_second: 0.4,
            burst: 5,
        };
        Limits::new(200, dial)
            .with_requests(2.5, 30)
            .with_connections_per_address(10)
            .with_subscriptions_per_address(1000)
    }

    fn heartbeat(&self) -> Heartbeat {
        // A connection on which the venue has had nothing to say for 60 seconds is ended.
        Heartbeat {
            interval: Duration::from_secs(30),
            ping: Ping::text(r#"{"method":"ping"}"#),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn channels(&self) -> Vec<String> {
        vec!["l2Book".into(), "trades".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        let (name, interval) = session::parts(channel);
        let is_legal = match name {
            "l2Book" | "trades" | "bbo" | "activeAssetCtx" => interval.is_none(),
            "candle" => interval.is_some_and(|interval| {
                (2..=3).contains(&interval.len()) && interval.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }),
            _ => false,
        };
        is_legal.then_some(()).ok_or(
            "a channel of Hyperliquid is l2Book, trades, bbo, activeAssetCtx, or candle with its interval: candle:1m"
                .into(),
        )
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"@#/:_.-".contains(&byte);
        let is_legal = !id.is_empty() && id.len() <= 64 && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("a coin of Hyperliquid is spelled as there: BTC, kPEPE, PURR/USDC, @107, or xyz:GOLD".into())
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Answered::session(session::HyperliquidDialogue, feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(HyperliquidDecoder::default())
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}

/// Frames tell all that they are about, but which trades are old.
#[derive(Debug, Default)]
struct HyperliquidDecoder {
    traded: decode::Traded,
}

impl Decoder for HyperliquidDecoder {
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        decode::decode(frame, &mut self.traded, visit)
    }

    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {
        values::values(frame, visit);
    }
}
