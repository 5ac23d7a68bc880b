//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: a side is `B` of who bids and `A` of who asks, and a trade's is the taker's; the first list of
//! a book's levels are the bids.

use crate::market::{BestPrices, Book, Level, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, side};
use crate::venue::object::{Object, Place, level, plain};
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "coin";
const SIDES: &str = "two sides of a book, the bids first";

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let place = Place::new(0);
    let message = match place.whole(frame).and_then(|raw| place.object(raw, INSTRUMENT)) {
        Ok(message) => message,
        Err(error) => return visit(Err(error)),
    };
    let raw = message.get("data");
    let data = || match raw {
        Some(data) => place.object(data, INSTRUMENT),
        None => Err(place.wrong("data", raw, "an object")),
    };
    match plain(message.get("channel")) {
        Some("l2Book") => visit(data().and_then(|data| book_of(&data)).map(Value::Book)),
        Some("bbo") => visit(data().and_then(|data| best_prices(&data)).map(Value::BestPrices)),
        Some("trades") => {
            let mut index = 0;
            let read = message.items("data", |_, raw| {
                let event = Place::new(index).object(raw, INSTRUMENT);
                visit(event.and_then(|event| trade(&event)).map(Value::Trade));
                index += 1;
            });
            if let Err(error) = read {
                visit(Err(error));
            }
        }
        _ => {}
    }
}

fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument: event.text(INSTRUMENT)?,
        price: event.amount("px")?,
        size: Some(event.amount("sz")?),
        side: side(plain(event.get("side")), ["B", "A"]),
        id: event.id("tid"),
        venue_time_ms: event.whole("time"),
    })
}

fn book_of<'f>(event: &Object<'f>) -> Result<Book<'f>, ValueError> {
    let mut sides = Vec::new();
    event.items("levels", |place, raw| sides.push(levels(place, raw)))?;
    let Ok([bids, asks]) = <[_; 2]>::try_from(sides) else {
        return Err(event.place().wrong("levels", event.get("levels"), SIDES));
    };
    Ok(book(event.text(INSTRUMENT)?, bids?, asks?, event.whole("time")))
}

fn levels<'f>(place: Place<'f>, raw: &'f RawValue) -> Result<Vec<Level>, ValueError> {
    let items = place.list(raw)?;
    items.into_iter().map(|raw| level(place, raw, "px", "sz")).collect()
}

/// A side on which nobody offers is null.
fn best_prices<'f>(event: &Object<'f>) -> Result<BestPrices<'f>, ValueError> {
    let mut prices = Vec::new();
    event.items("bbo", |place, raw| {
        let price = (raw.get() != "null").then(|| level(place, raw, "px", "sz"));
        prices.push(price.transpose().map(|level| level.map(|level| level.price)));
    })?;
    let Ok([bid, ask]) = <[_; 2]>::try_from(prices) else {
        return Err(event.place().wrong("bbo", event.get("bbo"), SIDES));
    };
    Ok(BestPrices {
        instrument: event.text(INSTRUMENT)?,
        bid: bid?,
        ask: ask?,
        venue_time_ms: event.whole("time"),
    })
}
