//! dYdX version 4: its indexer.
//!
//! Source of the protocol's facts: the public documentation ("Indexer", "WebSocket") and the indexer's source code, which is
//! public (`dydxprotocol/v4-chain`, `indexer/services/socks`). The answer to a subscription holds what there is so far: a whole
//! book, or the last trades. Every message of a connection is numbered, but the number of such an answer is taken when the request
//! comes, and the answer leaves when its content is there: numbers come in another order, and that is no loss.

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

/// dYdX version 4, its markets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dydx;

impl Venue for Dydx {
    fn name(&self) -> &'static str {
        "dydx"
    }

    fn default_url(&self) -> &'static str {
        "wss://indexer.dydx.trade/v4/ws"
    }

    fn limits(&self) -> Limits {
        // How fast it may be dialled is not documented. 32 subscriptions to each channel: so many in all, however many channels
        // there are. 2 subscriptions a second: documented of each pair of channel and market, and kept for all, since the venue
        // fetches what there is so far for each.
        let dial = DialLimit {
            per_second: 1.0,
            burst: 3,
        };
        Limits::new(32, dial).with_requests(2.0, 2)
    }

    fn heartbeat(&self) -> Heartbeat {
        // The venue pings every 30 seconds, and wants its pong within 10.
        Heartbeat {
            interval: Duration::from_secs(30),
            ping: Ping::Frame,
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn channels(&self) -> Vec<String> {
        vec!["v4_orderbook".into(), "v4_trades".into()]
    }

    fn check_channel(&self, channel: &str) -> Result<(), Cow<'static, str>> {
        let (name, resolution) = session::parts(channel);
        let is_legal = match (name, resolution) {
            ("v4_orderbook" | "v4_trades", None) => true,
            ("v4_candles", Some(resolution)) => {
                !resolution.is_empty() && resolution.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
            _ => false,
        };
        is_legal.then_some(()).ok_or(
            "a channel of dYdX is v4_orderbook, v4_trades, or v4_candles with its resolution: v4_candles/1MIN".into(),
        )
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        // Markets that anybody has added are named as oddly as `WIF,RAYDIUM,EKPQ...-USD`.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_,.".contains(&byte);
        let is_legal = !id.is_empty() && id.len() <= 128 && id.contains('-') && id.bytes().all(legal);
        is_legal
            .then_some(())
            .ok_or("a ticker of dYdX is written with a hyphen: BTC-USD".into())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    /// What is missing may be anything.
    fn resync(&self) -> Resync {
        Resync::Reconnect
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        Answered::session(session::DydxDialogue, feed.channels_of(self))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Stateless(decode::decode, values::values))
    }

    fn directory(&self) -> Option<&dyn Directory> {
        Some(self)
    }
}
