//! Reads the values of rows, at leisure and strictly.
//!
//! From the venue's documentation: a level of `orderBookL2` is a row with an id, and its price stands in each action since 2021;
//! before, a change named the id alone, and is an error here. `side` of a trade is what the taker did. The trade that a
//! subscription begins with is the last one before it, which is no news and not visited.

use super::decode::Action;
use crate::market::{BestPrices, Book, Decimal, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, change};
use crate::venue::object::{Object, Place, plain};
use crate::venue::time;
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "symbol";

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    if frame.trim() == super::decode::PONG {
        return;
    }
    if let Err(error) = Place::new(0).whole(frame).and_then(|raw| rows(raw, visit)) {
        visit(Err(error));
    }
}

fn rows<'f>(raw: &'f RawValue, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let whole = Place::new(0).object(raw, INSTRUMENT)?;
    if whole.get("table").is_none() {
        return Ok(());
    }
    let table = whole.text("table")?;
    let Some(action) = Action::of(whole.text("action")?) else {
        let valid = "partial, insert, update or delete";
        return Err(whole.place().wrong("action", whole.get("action"), valid));
    };
    match (table, action) {
        ("orderBookL2" | "orderBookL2_25", Action::Partial) => return books(&whole, visit),
        ("orderBookL2" | "orderBookL2_25" | "orderBook10" | "quote", _) | ("trade", Action::Insert) => {}
        _ => return Ok(()),
    }
    let read = |row: &Object<'f>| match table {
        "orderBook10" => top(row).map(Value::Book),
        "trade" => trade(row).map(Value::Trade),
        "quote" => best_prices(row).map(Value::BestPrices),
        _ => change_of(row, action).map(Value::PriceChange),
    };
    whole.items("data", |place, row| {
        visit(place.object(row, INSTRUMENT).and_then(|row| read(&row)));
    })
}

/// Whole books: levels of one instrument stand together.
fn books<'f>(whole: &Object<'f>, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let mut books: Vec<Book<'f>> = Vec::new();
    let mut read = Ok(());
    whole.items("data", |place, row| {
        if read.is_ok() {
            read = place
                .object(row, INSTRUMENT)
                .and_then(|row| add_level(&row, &mut books));
        }
    })?;
    read?;
    if books.is_empty()
        && let Ok(filter) = whole.object("filter")
        && let Ok(instrument) = filter.text(INSTRUMENT)
    {
        books.push(book(instrument, Vec::new(), Vec::new(), None));
    }
    for book in books {
        visit(Ok(Value::Book(book)));
    }
    Ok(())
}

fn add_level<'f>(row: &Object<'f>, books: &mut Vec<Book<'f>>) -> Result<(), ValueError> {
    let instrument = row.text(INSTRUMENT)?;
    let level = Level {
        price: row.amount("price")?,
        size: row.amount("size")?,
    };
    let side = side(row)?;
    if books.last().is_none_or(|book| book.instrument != instrument) {
        books.push(book(instrument, Vec::new(), Vec::new(), None));
    }
    if let Some(book) = books.last_mut() {
        book.venue_time_ms = book.venue_time_ms.max(time_of(row));
        match side {
            Side::Buy => book.bids.push(level),
            Side::Sell => book.asks.push(level),
        }
    }
    Ok(())
}

fn change_of<'f>(row: &Object<'f>, action: Action) -> Result<PriceChange<'f>, ValueError> {
    let (instrument, side) = (row.text(INSTRUMENT)?, side(row)?);
    let level = Level {
        price: row.amount("price")?,
        size: if action == Action::Delete {
            Decimal::ZERO
        } else {
            row.amount("size")?
        },
    };
    Ok(change(instrument, side, level, time_of(row)))
}

/// Ten levels of each side; of an empty one there may be no word.
fn top<'f>(row: &Object<'f>) -> Result<Book<'f>, ValueError> {
    let side = |name| Ok(row.optional(name, Object::pairs)?.unwrap_or_default());
    let (bids, asks) = (side("bids")?, side("asks")?);
    Ok(book(row.text(INSTRUMENT)?, bids, asks, time_of(row)))
}

fn trade<'f>(row: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument: row.text(INSTRUMENT)?,
        price: row.amount("price")?,
        size: Some(row.amount("size")?),
        side: row.optional("side", |row, _| side(row))?,
        id: plain(row.get("trdMatchID")),
        venue_time_ms: time_of(row),
    })
}

fn best_prices<'f>(row: &Object<'f>) -> Result<BestPrices<'f>, ValueError> {
    Ok(BestPrices {
        instrument: row.text(INSTRUMENT)?,
        bid: row.optional("bidPrice", Object::amount)?,
        ask: row.optional("askPrice", Object::amount)?,
        venue_time_ms: time_of(row),
    })
}

fn side(row: &Object<'_>) -> Result<Side, ValueError> {
    match row.text("side")? {
        "Buy" => Ok(Side::Buy),
        "Sell" => Ok(Side::Sell),
        _ => Err(row.place().wrong("side", row.get("side"), "Buy or Sell")),
    }
}

fn time_of(row: &Object<'_>) -> Option<i64> {
    plain(row.get("timestamp")).and_then(time::rfc3339)
}
