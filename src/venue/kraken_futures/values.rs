//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: sizes of a book's levels are absolute, and 0 says that the level is gone; the side of a trade
//! is the taker's.

use crate::market::{BestPrices, Book, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::object::{Object, Place, plain};
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "product_id";
const SIDE: &str = r#""buy" or "sell""#;

type Visit<'v, 'f> = &'v mut dyn FnMut(Result<Value<'f>, ValueError>);

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let read = serde_json::from_str::<&RawValue>(frame)
        .map_err(|error| Place::new(0).error("", error.to_string(), "JSON to the end"))
        .and_then(|raw| Place::new(0).object(raw, INSTRUMENT))
        .and_then(|event| of_event(&event, visit));
    if let Err(error) = read {
        visit(Err(error));
    }
}

fn of_event<'f>(event: &Object<'f>, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    if event.get("event").is_some() {
        return Ok(());
    }
    let value = match plain(event.get("feed")) {
        Some("trade") => Value::Trade(trade(event)?),
        Some("trade_snapshot") => {
            return event.items("trades", |place, raw| {
                let read = place.object(raw, INSTRUMENT).and_then(|event| trade(&event));
                visit(read.map(Value::Trade));
            });
        }
        Some("book_snapshot") => Value::Book(Book {
            instrument: event.text(INSTRUMENT)?,
            bids: levels(event, "bids")?,
            asks: levels(event, "asks")?,
            tick_size: None,
            last_trade_price: None,
            venue_time_ms: event.whole("timestamp"),
        }),
        Some("book") => {
            let Level { price, size } = level(event)?;
            Value::PriceChange(PriceChange {
                instrument: event.text(INSTRUMENT)?,
                side: side(event)?,
                price,
                size: Some(size),
                best_bid: None,
                best_ask: None,
                venue_time_ms: event.whole("timestamp"),
            })
        }
        Some("ticker" | "ticker_lite") => {
            let (instrument, venue_time_ms) = (event.text(INSTRUMENT)?, event.whole("time"));
            visit(Ok(Value::BestPrices(BestPrices {
                instrument,
                bid: event.optional("bid", Object::amount)?,
                ask: event.optional("ask", Object::amount)?,
                venue_time_ms,
            })));
            event.last_price("last", instrument, venue_time_ms, visit);
            return Ok(());
        }
        _ => return Ok(()),
    };
    visit(Ok(value));
    Ok(())
}

fn side(event: &Object<'_>) -> Result<Side, ValueError> {
    match plain(event.get("side")) {
        Some("buy") => Ok(Side::Buy),
        Some("sell") => Ok(Side::Sell),
        _ => Err(event.place().wrong("side", event.get("side"), SIDE)),
    }
}

fn level(object: &Object<'_>) -> Result<Level, ValueError> {
    Ok(Level {
        price: object.amount("price")?,
        size: object.amount("qty")?,
    })
}

fn levels(event: &Object<'_>, name: &'static str) -> Result<Vec<Level>, ValueError> {
    let mut levels = Ok(Vec::new());
    event.items(name, |place, raw| {
        if let Ok(read) = &mut levels {
            match place.object(raw, INSTRUMENT).and_then(|object| level(&object)) {
                Ok(level) => read.push(level),
                Err(error) => levels = Err(error),
            }
        }
    })?;
    levels
}

fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    let Level { price, size } = level(event)?;
    Ok(Trade {
        instrument: event.text(INSTRUMENT)?,
        price,
        size: Some(size),
        side: Some(side(event)?),
        id: plain(event.get("uid")),
        venue_time_ms: event.whole("time"),
    })
}
