//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation, and compared with the books of a recording: sizes are absolute, and 0 says that the level is
//! gone; `side` of a trade is what the taker did. The trades that come with a whole book are from before the subscription, and
//! are not visited.

use crate::market::{Book, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::object::{Object, Place, amount, plain};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "symbol";
const CHANGE: &str = r#"a list of side, price and size, such as ["buy", "0.5", "12"]"#;

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
    let event = Place::new(0).object(raw, INSTRUMENT)?;
    match plain(event.get("type")) {
        Some("trade") => visit(Ok(Value::Trade(trade(&event)?))),
        Some("l2_updates") if event.get("trades").is_some() => visit(Ok(Value::Book(book(&event)?))),
        Some("l2_updates") => {
            let instrument = event.text(INSTRUMENT)?;
            event.items("changes", |place, raw| {
                let read = change(place, raw).map(|(side, level)| PriceChange {
                    instrument,
                    side,
                    price: level.price,
                    size: Some(level.size),
                    best_bid: None,
                    best_ask: None,
                    venue_time_ms: None,
                });
                visit(read.map(Value::PriceChange));
            })?;
        }
        _ => {}
    }
    Ok(())
}

fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument: event.text(INSTRUMENT)?,
        price: event.amount("price")?,
        size: Some(event.amount("quantity")?),
        side: side(plain(event.get("side"))),
        id: event.id("event_id"),
        venue_time_ms: event.whole("timestamp"),
    })
}

fn book<'f>(event: &Object<'f>) -> Result<Book<'f>, ValueError> {
    let (mut bids, mut asks, mut read) = (Vec::new(), Vec::new(), Ok(()));
    event.items("changes", |place, raw| match change(place, raw) {
        Ok((Side::Buy, level)) => bids.push(level),
        Ok((Side::Sell, level)) => asks.push(level),
        Err(error) => read = Err(error),
    })?;
    read?;
    Ok(Book {
        instrument: event.text(INSTRUMENT)?,
        bids,
        asks,
        tick_size: None,
        last_trade_price: None,
        venue_time_ms: None,
    })
}

fn change<'f>(place: Place<'f>, raw: &'f RawValue) -> Result<(Side, Level), ValueError> {
    let items = place.list(raw)?;
    let item = |index: usize| items.get(index).copied();
    match (side(plain(item(0))), amount(item(1)), amount(item(2))) {
        (Some(of), Some(price), Some(size)) => Ok((of, Level { price, size })),
        _ => Err(place.wrong("", Some(raw), CHANGE)),
    }
}

fn side(name: Option<&str>) -> Option<Side> {
    match name {
        Some("buy") => Some(Side::Buy),
        Some("sell") => Some(Side::Sell),
        _ => None,
    }
}
