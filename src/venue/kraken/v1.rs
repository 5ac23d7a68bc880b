//! Messages of version 1: lists of a channel's number, one or two parts, the channel's name and the pair.

use crate::market::{Decimal, DecodeError, Envelope, EventKind};
use crate::venue::object::{Each, plain, signed};
use crate::venue::wire;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

/// A message, taken apart.
pub(super) struct Message<'f> {
    /// `book-10`, `trade`.
    pub(super) channel: &'f str,
    /// `XBT/USD`.
    pub(super) pair: &'f str,
    /// What it tells: of a book, asks and bids may stand in a part each.
    pub(super) parts: Vec<&'f RawValue>,
}

/// What is told of a book, as it stands there.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BookPart<'f> {
    /// All of them.
    #[serde(rename = "as", borrow)]
    pub(super) all_asks: Option<&'f RawValue>,
    #[serde(rename = "bs", borrow)]
    pub(super) all_bids: Option<&'f RawValue>,
    /// Those that changed.
    #[serde(rename = "a", borrow)]
    pub(super) asks: Option<&'f RawValue>,
    #[serde(rename = "b", borrow)]
    pub(super) bids: Option<&'f RawValue>,
    #[serde(rename = "c", deserialize_with = "wire::lenient")]
    pub(super) checksum: Option<u32>,
}

impl<'f> Message<'f> {
    pub(super) fn read(text: &'f str) -> Result<Self, DecodeError> {
        let mut items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| wire::reason(&error))?;
        let (pair, channel) = (plain(items.pop()), plain(items.pop()));
        let (Some(pair), Some(channel), false) = (pair, channel, items.len() < 2) else {
            return Err(DecodeError::Schema);
        };
        items.remove(0);
        Ok(Self {
            channel,
            pair,
            parts: items,
        })
    }

    pub(super) fn book(&self) -> Result<Vec<BookPart<'f>>, DecodeError> {
        let part = |raw: &&'f RawValue| serde_json::from_str(raw.get()).map_err(|error| wire::reason(&error));
        self.parts.iter().map(part).collect()
    }
}

pub(super) fn decode(text: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
    let message = Message::read(text)?;
    let name = message.channel.split('-').next().unwrap_or_default();
    let (kind, times) = match name {
        "book" => {
            let parts = message.book()?;
            let is_whole = parts
                .iter()
                .any(|part| part.all_asks.is_some() || part.all_bids.is_some());
            let kind = if is_whole {
                EventKind::BookSnapshot
            } else {
                EventKind::BookDelta
            };
            // Levels that come back into sight are as old as they are.
            let sides = parts
                .iter()
                .flat_map(|part| [part.all_asks, part.all_bids, part.asks, part.bids]);
            let times = sides.flatten().flat_map(|side| of_each(side, 2));
            (kind, vec![times.max()])
        }
        "trade" => (
            EventKind::Trade,
            of_all(&message.parts, |part| of_each(part, 2).into_iter().map(Some).collect()),
        ),
        "spread" => (EventKind::Ticker, of_all(&message.parts, |part| vec![item(part, 2)])),
        "ticker" => (EventKind::Ticker, vec![None]),
        "ohlc" => (EventKind::Candle, vec![None]),
        _ => return Err(DecodeError::UnknownChannel),
    };
    for venue_time_ms in times {
        visit(Envelope {
            instrument: Some(message.pair),
            venue_time_ms,
            ..Envelope::new(kind)
        });
    }
    Ok(())
}

fn of_all(parts: &[&RawValue], times: impl Fn(&RawValue) -> Vec<Option<i64>>) -> Vec<Option<i64>> {
    parts.iter().flat_map(|part| times(part)).collect()
}

/// The time at that position of each list in the list.
fn of_each(list: &RawValue, position: usize) -> Vec<i64> {
    let mut times = Vec::new();
    // What cannot be read shows where values are.
    let _ = serde_json::Deserializer::from_str(list.get())
        .deserialize_seq(Each::new(|row: &RawValue| times.extend(item(row, position))));
    times
}

fn item(list: &RawValue, position: usize) -> Option<i64> {
    let items: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    seconds(items.get(position).copied()?)
}

/// `"1616333924.737428"`, in milliseconds.
pub(super) fn seconds(raw: &RawValue) -> Option<i64> {
    signed(Some(raw))?.checked_mul(Decimal::ONE_THOUSAND)?.floor().to_i64()
}
