//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation, and compared with the books of a recording: sizes are absolute, and 0 says that the level is
//! gone; `side` of a trade is what the taker did. The trades that come with a whole book are from before the subscription, and
//! are not visited.

use crate::market::{Book, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, change, side, sided};
use crate::venue::object::{Object, Place, plain};
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "symbol";

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    if let Err(error) = Place::new(0).whole(frame).and_then(|raw| event(raw, visit)) {
        visit(Err(error));
    }
}

fn event<'f>(raw: &'f RawValue, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let event = Place::new(0).object(raw, INSTRUMENT)?;
    match plain(event.get("type")) {
        Some("trade") => visit(Ok(Value::Trade(trade(&event)?))),
        Some("l2_updates") if event.get("trades").is_some() => visit(Ok(Value::Book(book_of(&event)?))),
        Some("l2_updates") => {
            let instrument = event.text(INSTRUMENT)?;
            event.items("changes", |place, raw| {
                let read = sided(place, raw).map(|(side, level)| change(instrument, side, level, None));
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
        side: side(plain(event.get("side")), ["buy", "sell"]),
        id: event.id("event_id"),
        venue_time_ms: event.whole("timestamp"),
    })
}

fn book_of<'f>(event: &Object<'f>) -> Result<Book<'f>, ValueError> {
    let (mut bids, mut asks, mut read) = (Vec::new(), Vec::new(), Ok(()));
    event.items("changes", |place, raw| match sided(place, raw) {
        Ok((Side::Buy, level)) => bids.push(level),
        Ok((Side::Sell, level)) => asks.push(level),
        Err(error) => read = Err(error),
    })?;
    read?;
    Ok(book(event.text(INSTRUMENT)?, bids, asks, None))
}
