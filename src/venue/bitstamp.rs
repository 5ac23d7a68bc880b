//! Bitstamp: spot and perpetuals.
//!
//! Source of the protocol's facts: the venue's public documentation ("Websocket API v2"), public clients, and recordings. An
//! instrument's channel is one name, `live_trades_btcusd`, and one request. What is granted is answered with that name, what is
//! refused mostly without one. Nothing is numbered: the ids of trades are those of all instruments together.

mod decode;
mod directory;
mod session;
mod values;

use super::dialogue::Answered;
use super::stateless::Stateless;
use super::{Decoder, Directory, Feed, Heartbeat, Limits, Ping, Session, Venue};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// Bitstamp's public channels.
#[derive(Clone, Copy, Debug)]
pub struct Bitstamp;

/// What an instrument can be subscribed to.
const CHANNELS: [&str; 5] = [
    "live_trades",
    "order_book",
    "diff_order_book",
    "detail_order_book",
    "live_orders",
];

impl Venue for Bitstamp {
    fn name(&self) -> &'static str {
        "bitstamp"
    }

    fn default_url(&self) -> &'static str {
        "wss://ws.bitstamp.net"
    }

    fn limits(&self) -> Limits {
        // None of these is documented, but for the age: a connection ends after 90 days. Twenty requests at once were recorded.
        let dial = DialLimit {
            per_second: 1.0,
            burst: 5,
        };
        Limits::new(200, dial)
            .with_requests(10.0, 20)
            .with_max_connection_age(Duration::from_secs(89 * 24 * 3600))
    }

    fn heartbeat(&self) -> Heartbeat {
        // It may be sent, and is answered; no interval is documented.
        Heartbeat {
            interval: Duration::from_secs(15),
            ping: Ping::text(r#"{"event":"bts:heartbeat"}"#),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// Whole books, a hundred levels of each side: changes alone come without a book that they are changes of.
    fn channels(&self) -> Vec<String> {
        vec!["order_book".into(), "live_trades".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        if CHANNELS.contains(&channel) {
            Ok(())
        } else {
            Err(format!("the channels of Bitstamp are {}", CHANNELS.join(", ")).into())
        }
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_legal = (1..=64).contains(&id.len()) && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("an instrument of Bitstamp is written in small letters: btcusd, or btcusd-perp".into())
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Answered::session(session::BitstampDialogue, feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}
