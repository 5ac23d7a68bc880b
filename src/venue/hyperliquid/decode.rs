//! Reads the envelopes of events: a channel, and one event or a list of them.

use crate::market::{DecodeError, Envelope, EventKind, is_name};
use crate::venue::object::Each;
use crate::venue::wire;
use rustc_hash::FxBuildHasher;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::collections::HashSet;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

#[derive(Deserialize)]
pub(super) struct Message<'f> {
    #[serde(borrow)]
    pub(super) channel: &'f str,
    #[serde(default, borrow)]
    pub(super) data: Option<&'f RawValue>,
}

#[derive(Deserialize)]
struct Event<'f> {
    #[serde(default, borrow)]
    coin: Option<&'f str>,
    /// Of a candle, which has no time of its own but its beginning.
    #[serde(rename = "s", default, borrow)]
    candle: Option<&'f str>,
    #[serde(default, deserialize_with = "wire::lenient")]
    time: Option<i64>,
}

/// So many coins are remembered; a connection carries fewer.
const MOST_COINS: usize = 2000;

/// Which coins have had their first trades: those are of before the subscription, and their times would say that they were long
/// on their way.
#[derive(Debug, Default)]
pub(super) struct Traded(HashSet<Box<str>, FxBuildHasher>);

impl Traded {
    /// Whether these are the first trades of that coin.
    fn is_first(&mut self, coin: &str) -> bool {
        let is_first = !self.0.contains(coin) && self.0.len() < MOST_COINS && is_name(coin);
        if is_first {
            self.0.insert(coin.into());
        }
        is_first
    }
}

pub(super) fn decode(frame: &str, traded: &mut Traded, visit: Visit<'_>) -> Result<(), DecodeError> {
    let message: Message<'_> = serde_json::from_str(frame.trim()).map_err(|error| wire::reason(&error))?;
    let kind = match message.channel {
        "l2Book" => EventKind::BookSnapshot,
        "trades" => EventKind::Trade,
        "bbo" | "activeAssetCtx" | "activeSpotAssetCtx" => EventKind::Ticker,
        "candle" => EventKind::Candle,
        "subscriptionResponse" => EventKind::Ack,
        "error" => EventKind::Error,
        "pong" => EventKind::Heartbeat,
        // Prices of all coins, and news that belong to no coin.
        "allMids" | "notification" => EventKind::Other,
        _ => return Err(DecodeError::UnknownChannel),
    };
    if !kind.is_data() {
        visit(Envelope::new(kind));
        return Ok(());
    }
    let data = message.data.ok_or(DecodeError::Schema)?;
    if !data.get().starts_with('[') {
        let event: Event<'_> = serde_json::from_str(data.get()).map_err(|error| wire::reason(&error))?;
        return event.visit(kind, visit);
    }
    let mut defect = None;
    // The trades of a frame are of one coin.
    let mut is_first = None;
    let mut json = serde_json::Deserializer::from_str(data.get());
    let each = |mut event: Event<'_>| {
        let is_first = is_first.get_or_insert_with(|| event.coin.is_some_and(|coin| traded.is_first(coin)));
        if kind == EventKind::Trade && *is_first {
            event.time = None;
        }
        if let Err(error) = event.visit(kind, visit) {
            defect.get_or_insert(error);
        }
    };
    json.deserialize_seq(Each::new(each))
        .map_err(|error| wire::reason(&error))?;
    defect.map_or(Ok(()), Err)
}

impl Event<'_> {
    fn visit(&self, kind: EventKind, visit: Visit<'_>) -> Result<(), DecodeError> {
        let coin = self.coin.or(self.candle).ok_or(DecodeError::Schema)?;
        visit(Envelope {
            instrument: Some(coin),
            venue_time_ms: self.time,
            ..Envelope::new(kind)
        });
        Ok(())
    }
}
