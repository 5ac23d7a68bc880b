//! Polymarket's market channel.

use super::{DecodeError, Heartbeat, Limits, Ping, Session, Venue};
use crate::market::{Envelope, Failure, Instrument, Subscribed};
use std::time::Duration;

/// Polymarket's public market channel.
#[derive(Debug)]
pub struct Polymarket;

impl Venue for Polymarket {
    fn name(&self) -> &'static str {
        "polymarket"
    }

    fn default_url(&self) -> &'static str {
        "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    }

    fn limits(&self) -> Limits {
        Limits {
            instruments_per_connection: 500,
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            interval: Duration::from_secs(10),
            ping: Ping::Text("PING"),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn check_instrument(&self, id: &str) -> Result<(), &'static str> {
        let legal = (1..=78).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
        if legal {
            Ok(())
        } else {
            Err("a Polymarket token id is a decimal number of at most 78 digits")
        }
    }

    fn session(&self) -> Box<dyn Session> {
        todo!()
    }

    fn decode(&self, _frame: &str, _visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        todo!()
    }
}
