//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: sizes of a book's levels are absolute, and 0 says that the level is gone; the side of a match is
//! the maker's, so that the taker did the opposite. Whose side a trade of Advanced Trade says is not documented, so none is told.

use super::Coinbase;
use crate::market::{BestPrices, Level, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, change, side, sided};
use crate::venue::object::{Object, Place, plain};
use crate::venue::time;

/// The field that names the instrument.
const INSTRUMENT: &str = "product_id";
const SIDE: &str = r#""bid" or "offer""#;

pub(super) fn values<'f>(api: Coinbase, frame: &'f str, visit: Visit<'_, 'f>) {
    let read = Place::new(0)
        .whole(frame)
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
            side: side(plain(event.get("side")), ["sell", "buy"]),
            ..trade(event)?
        }))),
        Some("snapshot") => visit(Ok(Value::Book(book(
            event.text(INSTRUMENT)?,
            event.pairs("bids")?,
            event.pairs("asks")?,
            at(event, "time"),
        )))),
        Some("l2update") => {
            let instrument = event.text(INSTRUMENT)?;
            event.items("changes", |place, raw| {
                let read = sided(place, raw).map(|(side, level)| change(instrument, side, level, at(event, "time")));
                visit(read.map(Value::PriceChange));
            })?;
        }
        Some("ticker") => ticker(event, at(event, "time"), visit)?,
        _ => {}
    }
    Ok(())
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
    Ok(BestPrices {
        instrument: event.text(INSTRUMENT)?,
        bid: event.best("best_bid")?,
        ask: event.best("best_ask")?,
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
                Some("l2_data") => levels(&event, sent, visit),
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
fn levels<'f>(event: &Object<'f>, sent: Option<i64>, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let instrument = event.text(INSTRUMENT)?;
    if plain(event.get("type")) != Some("snapshot") {
        return event.items("updates", |place, raw| {
            let read = place.object(raw, INSTRUMENT).and_then(|update| level(&update));
            visit(read.map(|(side, level)| Value::PriceChange(change(instrument, side, level, sent))));
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
    visit(Ok(Value::Book(book(instrument, bids, asks, sent))));
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
