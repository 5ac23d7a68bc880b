//! Polymarket's market channel.
//!
//! Source of the protocol's facts: the venue's public documentation of the CLOB WebSocket ("Market Channel"), its official
//! Rust client, and recordings. There is no acknowledgement: the first array that follows a subscription is the answer, and
//! holds a `book` for each token that is active. Nothing is numbered, and nothing is replayed after a reconnect.

mod decode;
mod directory;
mod quick;
mod session;
mod values;

use super::stateless::Stateless;
use super::{Decoder, Directory, Feed, Heartbeat, Limits, Ping, Session, Venue};
use crate::supervise::DialLimit;
use std::borrow::Cow;
use std::time::Duration;

/// Polymarket's public market channel.
#[derive(Clone, Copy, Debug)]
pub struct Polymarket;

impl Venue for Polymarket {
    fn name(&self) -> &'static str {
        "polymarket"
    }

    fn default_url(&self) -> &'static str {
        "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    }

    fn limits(&self) -> Limits {
        // Neither is documented. Beyond about 750 instruments the snapshots silently stop. Exchanges that name a dial rate
        // allow from one to eight a second.
        Limits::new(
            500,
            DialLimit {
                per_second: 5.0,
                burst: 5,
            },
        )
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            interval: Duration::from_secs(10),
            ping: Ping::text("PING"),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        // Token ids are unsigned 256-bit integers.
        let legal = (1..=78).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
        if legal {
            Ok(())
        } else {
            Err("a Polymarket token id is a decimal number of at most 78 digits".into())
        }
    }

    fn session(&self, _feed: &Feed) -> Box<dyn Session> {
        Box::new(session::PolymarketSession::default())
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}
