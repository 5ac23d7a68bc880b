//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: prices and amounts of a trade stand there twice, and exact as texts; its `type` is 0 where
//! the taker bought and 1 where the taker sold. Sizes of a book's levels are absolute, and 0 says that the level is gone.

use super::decode::subject;
use crate::market::{Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, visit_changes};
use crate::venue::object::{Object, Place};
use serde_json::value::RawValue;

/// No field names the instrument; the channel's name does.
const INSTRUMENT: &str = "";

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    if let Err(error) = Place::new(0).whole(frame).and_then(|raw| event(raw, visit)) {
        visit(Err(error));
    }
}

fn event<'f>(raw: &'f RawValue, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let whole = Place::new(0).object(raw, INSTRUMENT)?;
    if whole.text("event")?.starts_with("bts:") {
        return Ok(());
    }
    let Some((channel, instrument)) = subject(whole.text("channel")?) else {
        return Ok(());
    };
    let data = whole.about(instrument).object("data")?;
    match channel {
        "live_trades" => visit(trade(&data, instrument).map(Value::Trade)),
        "order_book" => visit(Ok(Value::Book(book(
            instrument,
            data.pairs("bids")?,
            data.pairs("asks")?,
            time(&data),
        )))),
        "diff_order_book" => {
            for (name, side) in [("bids", Side::Buy), ("asks", Side::Sell)] {
                visit_changes(Ok((instrument, data.pairs(name)?)), side, time(&data), visit);
            }
        }
        // Of single orders, of which several may have one price: no levels.
        _ => {}
    }
    Ok(())
}

fn trade<'f>(data: &Object<'f>, instrument: &'f str) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument,
        price: data.amount("price_str")?,
        size: Some(data.amount("amount_str")?),
        side: match data.whole("type") {
            Some(0) => Some(Side::Buy),
            Some(1) => Some(Side::Sell),
            _ => None,
        },
        id: data.id("id"),
        venue_time_ms: time(data),
    })
}

fn time(data: &Object<'_>) -> Option<i64> {
    data.whole("microtimestamp").map(|micros| micros / 1000)
}
