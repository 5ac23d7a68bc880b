//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: prices and amounts of a trade stand there twice, and exact as texts; its `type` is 0 where
//! the taker bought and 1 where the taker sold. Sizes of a book's levels are absolute, and 0 says that the level is gone.

use super::decode::subject;
use crate::market::{Book, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::object::{Object, Place};
use serde::Deserialize;
use serde_json::value::RawValue;

/// No field names the instrument; the channel's name does.
const INSTRUMENT: &str = "";

type Visit<'v, 'f> = &'v mut dyn FnMut(Result<Value<'f>, ValueError>);

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let mut json = serde_json::Deserializer::from_str(frame);
    let read = <&RawValue>::deserialize(&mut json).and_then(|raw| json.end().map(|()| raw));
    let read = read.map_err(|error| Place::new(0).error("", error.to_string(), "JSON to the end"));
    if let Err(error) = read.and_then(|raw| event(raw, visit)) {
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
        "order_book" => visit(book(&data, instrument).map(Value::Book)),
        "diff_order_book" => {
            changes(&data, instrument, "bids", Side::Buy, visit)?;
            changes(&data, instrument, "asks", Side::Sell, visit)?;
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

fn book<'f>(data: &Object<'f>, instrument: &'f str) -> Result<Book<'f>, ValueError> {
    Ok(Book {
        instrument,
        bids: data.pairs("bids")?,
        asks: data.pairs("asks")?,
        tick_size: None,
        last_trade_price: None,
        venue_time_ms: time(data),
    })
}

fn changes<'f>(
    data: &Object<'f>,
    instrument: &'f str,
    name: &'static str,
    side: Side,
    visit: Visit<'_, 'f>,
) -> Result<(), ValueError> {
    for Level { price, size } in data.pairs(name)? {
        visit(Ok(Value::PriceChange(PriceChange {
            instrument,
            side,
            price,
            size: Some(size),
            best_bid: None,
            best_ask: None,
            venue_time_ms: time(data),
        })));
    }
    Ok(())
}

fn time(data: &Object<'_>) -> Option<i64> {
    data.whole("microtimestamp").map(|micros| micros / 1000)
}
