//! Reads the values of events, at leisure and strictly.
//!
//! From the documentation and recorded frames: levels of a whole book are objects, those of a change are lists, whose sizes are
//! absolute, and 0 says that the level is gone; a side that has not changed is left out. The side of a trade is the taker's.

use crate::market::{Book, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, side, visit_changes};
use crate::venue::object::{Object, Place, level, plain};
use crate::venue::time;
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "id";

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let place = Place::new(0);
    let message = match place.whole(frame).and_then(|raw| place.object(raw, INSTRUMENT)) {
        Ok(message) => message,
        Err(error) => return visit(Err(error)),
    };
    let form = plain(message.get("type"));
    let channel = plain(message.get("channel"));
    let is_so_far = form == Some("subscribed");
    if !matches!(form, Some("subscribed" | "channel_data" | "channel_batch_data"))
        || !matches!(channel, Some("v4_orderbook" | "v4_trades"))
    {
        return;
    }
    let instrument = match message.text(INSTRUMENT) {
        Ok(instrument) => instrument,
        Err(error) => return visit(Err(error)),
    };
    let mut contents = |index: usize, raw: &'f RawValue| {
        let about = Place::new(index).about(instrument);
        match about.object(raw, "") {
            Ok(contents) if channel == Some("v4_trades") => trades(&contents, instrument, visit),
            Ok(contents) if is_so_far => visit(book_of(&contents, instrument).map(Value::Book)),
            Ok(contents) => {
                changes(&contents, instrument, "bids", Side::Buy, visit);
                changes(&contents, instrument, "asks", Side::Sell, visit);
            }
            Err(error) => visit(Err(error)),
        }
    };
    let raw = message.get("contents");
    let read = match raw {
        Some(list) if form == Some("channel_batch_data") => message.place().list(list).map(|list| {
            for (index, raw) in list.into_iter().enumerate() {
                contents(index, raw);
            }
        }),
        Some(one) => {
            contents(0, one);
            Ok(())
        }
        None => Err(message.place().wrong("contents", raw, "an object")),
    };
    if let Err(error) = read {
        visit(Err(error));
    }
}

fn trades<'f>(contents: &Object<'f>, instrument: &'f str, visit: Visit<'_, 'f>) {
    let read = contents.items("trades", |place, raw| {
        let read = place.object(raw, "").and_then(|event| trade(&event, instrument));
        visit(read.map(Value::Trade));
    });
    if let Err(error) = read {
        visit(Err(error));
    }
}

fn trade<'f>(event: &Object<'f>, instrument: &'f str) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument,
        price: event.amount("price")?,
        size: Some(event.amount("size")?),
        side: side(plain(event.get("side")), ["BUY", "SELL"]),
        id: event.id("id"),
        venue_time_ms: plain(event.get("createdAt")).and_then(time::rfc3339),
    })
}

fn book_of<'f>(contents: &Object<'f>, instrument: &'f str) -> Result<Book<'f>, ValueError> {
    let side = |name| contents.levels(name, |place, raw| level(place, raw, "price", "size"));
    Ok(book(instrument, side("bids")?, side("asks")?, None))
}

fn changes<'f>(contents: &Object<'f>, instrument: &'f str, name: &'static str, side: Side, visit: Visit<'_, 'f>) {
    let levels = contents.optional(name, Object::pairs);
    let read = levels.map(|levels| (instrument, levels.unwrap_or_default()));
    visit_changes(read, side, None, visit);
}
