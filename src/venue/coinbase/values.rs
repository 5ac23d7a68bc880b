//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: sizes of a book's levels are absolute, and 0 says that the level is gone; the side of a match is
//! the maker's, so that the taker did the opposite. Whose side a trade of Advanced Trade says is not documented, so none is told.

use super::Coinbase;
use crate::market::{BestPrices, Book, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::object::{Object, Place, amount, plain};
use crate::venue::time;
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "product_id";
const SIDE: &str = r#""bid" or "offer""#;
const CHANGE: &str = r#"a list of side, price and size, such as ["buy", "0.5", "12"]"#;

type Visit<'v, 'f> = &'v mut dyn FnMut(Result<Value<'f>, ValueError>);

pub(super) fn values<'f>(api: Coinbase, frame: &'f str, visit: Visit<'_, 'f>) {
    let read = serde_json::from_str::<&RawValue>(frame)
        .map_err(|error| Place::new(0).error("", error.to_string(), "JSON to the end"))
        .and_then(|raw| Place::new(0).object(raw, INSTRUMENT))
        .and_then(|message| match api {
            Coinbase::Advanced => of_advanced(&message, visit),
            Coinbase::Exchange => of_exchange(&message, visit),
        });
    if let Err(error) = read {
        visit(Err(error));
    }
}

fn at(object: &Object<'_>, name: &'static str) -> Option<i64> {
    plain(object.get(name)).and_then(time::rfc3339)
}

fn of_exchange<'f>(event: &Object<'f>, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    match plain(event.get("type")) {
        Some("match" | "last_match") => visit(Ok(Value::Trade(Trade {
            side: match plain(event.get("side")) {
                Some("sell") => Some(Side::Buy),
                Some("buy") => Some(Side::Sell),
                _ => None,
            },
            ..trade(event)?
        }))),
        Some("snapshot") => visit(Ok(Value::Book(Book {
            instrument: event.text(INSTRUMENT)?,
            bids: event.pairs("bids")?,
            asks: event.pairs("asks")?,
            tick_size: None,
            last_trade_price: None,
            venue_time_ms: at(event, "time"),
        }))),
        Some("l2update") => {
            let instrument = event.text(INSTRUMENT)?;
            event.items("changes", |place, raw| {
                visit(change(place, raw).map(|(side, level)| changed(instrument, side, level, at(event, "time"))));
            })?;
        }
        Some("ticker") => ticker(event, at(event, "time"), visit)?,
        _ => {}
    }
    Ok(())
}

fn change<'f>(place: Place<'f>, raw: &'f RawValue) -> Result<(Side, Level), ValueError> {
    let items = place.list(raw)?;
    let item = |index: usize| items.get(index).copied();
    let of = match plain(item(0)) {
        Some("buy") => Some(Side::Buy),
        Some("sell") => Some(Side::Sell),
        _ => None,
    };
    match (of, amount(item(1)), amount(item(2))) {
        (Some(of), Some(price), Some(size)) => Ok((of, Level { price, size })),
        _ => Err(place.wrong("", Some(raw), CHANGE)),
    }
}

const fn changed(instrument: &str, side: Side, level: Level, venue_time_ms: Option<i64>) -> Value<'_> {
    Value::PriceChange(PriceChange {
        instrument,
        side,
        price: level.price,
        size: Some(level.size),
        best_bid: None,
        best_ask: None,
        venue_time_ms,
    })
}

/// Whose side is the taker's is not said here.
fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument: event.text(INSTRUMENT)?,
        price: event.amount("price")?,
        size: Some(event.amount("size")?),
        side: None,
        id: event.id("trade_id"),
        venue_time_ms: at(event, "time"),
    })
}

/// A batch of tickers has no best prices.
fn ticker<'f>(event: &Object<'f>, venue_time_ms: Option<i64>, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let instrument = event.text(INSTRUMENT)?;
    if event.get("best_bid").is_some() || event.get("best_ask").is_some() {
        visit(best_prices(event, venue_time_ms).map(Value::BestPrices));
    }
    event.last_price("price", instrument, venue_time_ms, visit);
    Ok(())
}

fn best_prices<'f>(event: &Object<'f>, venue_time_ms: Option<i64>) -> Result<BestPrices<'f>, ValueError> {
    let price = |name| event.optional(name, Object::amount);
    Ok(BestPrices {
        instrument: event.text(INSTRUMENT)?,
        bid: price("best_bid")?.filter(|price| !price.is_zero()),
        ask: price("best_ask")?.filter(|price| !price.is_zero()),
        venue_time_ms,
    })
}

fn of_advanced<'f>(message: &Object<'f>, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let channel = plain(message.get("channel"));
    if !matches!(channel, Some("l2_data" | "market_trades" | "ticker" | "ticker_batch")) {
        return Ok(());
    }
    let sent = at(message, "timestamp");
    let mut index = 0;
    message.items("events", |_, raw| {
        let read = Place::new(index)
            .object(raw, INSTRUMENT)
            .and_then(|event| match channel {
                Some("l2_data") => book(&event, sent, visit),
                Some("market_trades") => event.items("trades", |place, raw| {
                    let read = place.object(raw, INSTRUMENT).and_then(|event| trade(&event));
                    visit(read.map(Value::Trade));
                }),
                _ => event.items("tickers", |place, raw| {
                    let read = place.object(raw, INSTRUMENT);
                    if let Err(error) = read.and_then(|event| ticker(&event, sent, visit)) {
                        visit(Err(error));
                    }
                }),
            });
        index += 1;
        if let Err(error) = read {
            visit(Err(error));
        }
    })
}

/// A whole book is a list of levels of both sides as well.
fn book<'f>(event: &Object<'f>, sent: Option<i64>, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let instrument = event.text(INSTRUMENT)?;
    if plain(event.get("type")) != Some("snapshot") {
        return event.items("updates", |place, raw| {
            let read = place.object(raw, INSTRUMENT).and_then(|update| level(&update));
            visit(read.map(|(side, level)| changed(instrument, side, level, sent)));
        });
    }
    let (mut bids, mut asks, mut defect) = (Vec::new(), Vec::new(), None);
    event.items("updates", |place, raw| {
        match place.object(raw, INSTRUMENT).and_then(|update| level(&update)) {
            Ok((Side::Buy, level)) => bids.push(level),
            Ok((Side::Sell, level)) => asks.push(level),
            Err(error) => _ = defect.get_or_insert(error),
        }
    })?;
    if let Some(error) = defect {
        return Err(error);
    }
    visit(Ok(Value::Book(Book {
        instrument,
        bids,
        asks,
        tick_size: None,
        last_trade_price: None,
        venue_time_ms: sent,
    })));
    Ok(())
}

fn level(update: &Object<'_>) -> Result<(Side, Level), ValueError> {
    let side = match plain(update.get("side")) {
        Some("bid") => Side::Buy,
        Some("offer" | "ask") => Side::Sell,
        _ => return Err(update.place().wrong("side", update.get("side"), SIDE)),
    };
    let level = Level {
        price: update.amount("price_level")?,
        size: update.amount("new_quantity")?,
    };
    Ok((side, level))
}
