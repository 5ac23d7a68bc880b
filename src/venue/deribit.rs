//! Deribit: options, futures and spot.
//!
//! Source of the protocol's facts: the venue's public documentation ("Subscriptions", "JSON-RPC", `public/subscribe` and
//! `public/set_heartbeat` of version 2), and recordings. Requests and answers are JSON-RPC; an answer to a subscription lists the
//! channels that are in effect, and what is not in it was refused. The venue asks from time to time whether this side still is
//! there, and ends the connection of whoever does not answer.

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

/// Asks for a sign of life, and is one.
const TEST: &str = r#"{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}"#;

/// Deribit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deribit;

impl Venue for Deribit {
    fn name(&self) -> &'static str {
        "deribit"
    }

    fn default_url(&self) -> &'static str {
        "wss://www.deribit.com/ws/api/v2"
    }

    fn limits(&self) -> Limits {
        // 32 connections of one address may be open, and 3.3 subscriptions a second be asked for. How many a connection carries
        // and how fast it may be dialled is not documented.
        let dial = DialLimit {
            per_second: 1.0,
            burst: 3,
        };
        Limits::new(500, dial)
            .with_requests(3.0, 3)
            .with_connections_per_address(32)
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            interval: Duration::from_secs(20),
            ping: Ping::text(TEST),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Those at the pace `raw` are for users with a key.
    fn channels(&self) -> Vec<String> {
        vec!["book.100ms".into(), "trades.100ms".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        let (kind, rest) = split(channel);
        let parts: Vec<_> = rest.split('.').collect();
        let legal = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_legal = match kind {
            "quote" => rest.is_empty(),
            "trades" | "ticker" | "chart.trades" => parts.len() == 1 && parts.iter().all(legal),
            "book" => matches!(parts.len(), 1 | 3) && parts.iter().all(legal),
            _ => false,
        };
        is_legal.then_some(()).ok_or(
            "a channel of Deribit is written without its instrument: book.100ms, book.none.20.100ms, trades.100ms, \
             ticker.100ms, quote, or chart.trades.1"
                .into(),
        )
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        // The strike of an option may have a small d for its point: XRP_USDC-30JUN23-0d5-C.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let begins = id.starts_with(|first: char| first.is_ascii_uppercase() || first.is_ascii_digit());
        let is_legal = begins && id.len() <= 64 && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("an instrument of Deribit is written as BTC-PERPETUAL, ETH_USDC, or BTC-25JUN27-100000-C".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    /// The first of a subscription's events is the whole book.
    fn resync(&self) -> Resync {
        Resync::Resubscribe
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Answered::session(session::DeribitDialogue, feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}

/// What a channel is about, and how it is to come: the instrument stands between the two.
fn split(channel: &str) -> (&str, &str) {
    const CHART: &str = "chart.trades";
    match channel.strip_prefix(CHART).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => (CHART, rest),
        None => channel.split_once('.').unwrap_or((channel, "")),
    }
}
