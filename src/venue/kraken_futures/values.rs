//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: sizes of a book's levels are absolute, and 0 says that the level is gone; the side of a trade
//! is the taker's.

use crate::market::{BestPrices, Level, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, change, side};
use crate::venue::object::{Object, Place, level, plain};

/// The field that names the instrument.
const INSTRUMENT: &str = "product_id";
const SIDE: &str = r#""buy" or "sell""#;

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let read = Place::new(0)
        .whole(frame)
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
        Some("book_snapshot") => Value::Book(book(
            event.text(INSTRUMENT)?,
            levels(event, "bids")?,
            levels(event, "asks")?,
            event.whole("timestamp"),
        )),
        Some("book") => {
            let level = level_of(event)?;
            let (instrument, side) = (event.text(INSTRUMENT)?, side_of(event)?);
            Value::PriceChange(change(instrument, side, level, event.whole("timestamp")))
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

fn side_of(event: &Object<'_>) -> Result<Side, ValueError> {
    let raw = event.get("side");
    side(plain(raw), ["buy", "sell"]).ok_or_else(|| event.place().wrong("side", raw, SIDE))
}

fn level_of(event: &Object<'_>) -> Result<Level, ValueError> {
    Ok(Level {
        price: event.amount("price")?,
        size: event.amount("qty")?,
    })
}

fn levels(event: &Object<'_>, name: &'static str) -> Result<Vec<Level>, ValueError> {
    event.levels(name, |place, raw| level(place, raw, "price", "qty"))
}

fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    let Level { price, size } = level_of(event)?;
    Ok(Trade {
        instrument: event.text(INSTRUMENT)?,
        price,
        size: Some(size),
        side: Some(side_of(event)?),
        id: plain(event.get("uid")),
        venue_time_ms: event.whole("time"),
    })
}
