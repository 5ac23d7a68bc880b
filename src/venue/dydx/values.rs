//! Reads the values of events, at leisure and strictly.
//!
//! From the documentation and recorded frames: levels of a whole book are objects, those of a change are lists, whose sizes are
//! absolute, and 0 says that the level is gone; a side that has not changed is left out. The side of a trade is the taker's.

use crate::market::{Book, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::object::{Object, Place, level, plain};
use crate::venue::time;
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "id";

type Visit<'v, 'f> = &'v mut dyn FnMut(Result<Value<'f>, ValueError>);

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
            Ok(contents) if is_so_far => visit(book(&contents, instrument).map(Value::Book)),
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
        side: match plain(event.get("side")) {
            Some("BUY") => Some(Side::Buy),
            Some("SELL") => Some(Side::Sell),
            _ => None,
        },
        id: event.id("id"),
        venue_time_ms: plain(event.get("createdAt")).and_then(time::rfc3339),
    })
}

fn book<'f>(contents: &Object<'f>, instrument: &'f str) -> Result<Book<'f>, ValueError> {
    let side = |name| {
        let mut levels = Vec::new();
        contents.items(name, |place, raw| levels.push(level(place, raw, "price", "size")))?;
        levels.into_iter().collect::<Result<Vec<_>, ValueError>>()
    };
    Ok(Book {
        instrument,
        bids: side("bids")?,
        asks: side("asks")?,
        tick_size: None,
        last_trade_price: None,
        venue_time_ms: None,
    })
}

fn changes<'f>(contents: &Object<'f>, instrument: &'f str, name: &'static str, side: Side, visit: Visit<'_, 'f>) {
    let levels = match contents.optional(name, Object::pairs) {
        Ok(levels) => levels.unwrap_or_default(),
        Err(error) => return visit(Err(error)),
    };
    for Level { price, size } in levels {
        visit(Ok(Value::PriceChange(PriceChange {
            instrument,
            side,
            price,
            size: Some(size),
            best_bid: None,
            best_ask: None,
            venue_time_ms: None,
        })));
    }
}
