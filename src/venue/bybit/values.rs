//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: the side of a trade is the taker's; sizes of a book's levels are absolute, and 0 says that the
//! level is gone. A summary of changes leaves out what has not changed, so that it is read only where both prices stand in it.

use crate::market::{BestPrices, Book, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, side, visit_changes};
use crate::venue::object::{Object, Place, plain};
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "s";
/// Before version 5, and in summaries.
const SYMBOL: &str = "symbol";
const SIDES: [&str; 2] = ["Buy", "Sell"];

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let place = Place::new(0);
    let message = match place.whole(frame).and_then(|raw| place.object(raw, INSTRUMENT)) {
        Ok(message) => message,
        Err(error) => return visit(Err(error)),
    };
    let Some(topic) = plain(message.get("topic")) else {
        return;
    };
    let (name, _) = topic.split_once('.').unwrap_or((topic, ""));
    match name {
        "orderbook" => {
            if let Some(book) = data(&message, place, INSTRUMENT, visit) {
                whole_or_changes(&message, &book, visit);
            }
        }
        "tickers" => {
            if let Some(event) = data(&message, place, SYMBOL, visit) {
                ticker(&message, &event, visit);
            }
        }
        "publicTrade" => trades(&message, INSTRUMENT, current, visit),
        "trade" => trades(&message, SYMBOL, former, visit),
        // Candles, liquidations, and books of the versions before, whose levels have another shape.
        _ => {}
    }
}

fn data<'f>(
    message: &Object<'f>,
    place: Place<'f>,
    instrument: &'static str,
    visit: Visit<'_, 'f>,
) -> Option<Object<'f>> {
    let raw = message.get("data");
    let read = match raw {
        Some(data) => place.object(data, instrument),
        None => Err(place.wrong("data", raw, "an object")),
    };
    read.map_err(|error| visit(Err(error))).ok()
}

fn trades<'f>(
    message: &Object<'f>,
    instrument: &'static str,
    read: fn(&Object<'f>) -> Result<Trade<'f>, ValueError>,
    visit: Visit<'_, 'f>,
) {
    let mut index = 0;
    let each = |_: Place<'f>, raw: &'f RawValue| {
        let trade = Place::new(index).object(raw, instrument);
        visit(trade.and_then(|trade| read(&trade)).map(Value::Trade));
        index += 1;
    };
    if let Err(error) = message.items("data", each) {
        visit(Err(error));
    }
}

fn current<'f>(trade: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument: trade.text(INSTRUMENT)?,
        price: trade.amount("p")?,
        size: Some(trade.amount("v")?),
        side: side(plain(trade.get("S")), SIDES),
        id: trade.id("i"),
        venue_time_ms: trade.whole("T"),
    })
}

fn former<'f>(trade: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument: trade.text(SYMBOL)?,
        price: trade.amount("price")?,
        size: Some(trade.amount("size")?),
        side: side(plain(trade.get("side")), SIDES),
        id: trade.id("trade_id"),
        venue_time_ms: trade.whole("trade_time_ms"),
    })
}

fn whole_or_changes<'f>(message: &Object<'f>, event: &Object<'f>, visit: Visit<'_, 'f>) {
    let time = message.whole("cts").or_else(|| message.whole("ts"));
    if plain(message.get("type")) == Some("snapshot") || event.whole("u") == Some(1) {
        return visit(book_of(event, time).map(Value::Book));
    }
    for (name, side) in [("b", Side::Buy), ("a", Side::Sell)] {
        let instrument = event.text(INSTRUMENT);
        let read = instrument.and_then(|instrument| Ok((instrument, event.pairs(name)?)));
        visit_changes(read, side, time, visit);
    }
}

fn book_of<'f>(event: &Object<'f>, time: Option<i64>) -> Result<Book<'f>, ValueError> {
    Ok(book(
        event.text(INSTRUMENT)?,
        event.pairs("b")?,
        event.pairs("a")?,
        time,
    ))
}

/// Options have other names for their prices; a price of 0 says that nobody offers one. Spot has none. What has not changed may
/// be left out.
fn ticker<'f>(message: &Object<'f>, event: &Object<'f>, visit: Visit<'_, 'f>) {
    let instrument = match event.text(SYMBOL) {
        Ok(instrument) => instrument,
        Err(error) => return visit(Err(error)),
    };
    let venue_time_ms = message.whole("ts");
    let pairs = [("bid1Price", "ask1Price"), ("bidPrice", "askPrice")];
    let present = pairs
        .into_iter()
        .find(|(bid, ask)| event.get(bid).is_some() && event.get(ask).is_some());
    if let Some((bid, ask)) = present {
        let read = || {
            Ok(BestPrices {
                instrument,
                bid: event.best(bid)?,
                ask: event.best(ask)?,
                venue_time_ms,
            })
        };
        visit(read().map(Value::BestPrices));
    }
    event.last_price("lastPrice", instrument, venue_time_ms, visit);
}
