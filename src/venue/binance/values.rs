//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: `m` says that the buyer was the maker, so that the taker sold; sizes of a book's levels are
//! absolute, and 0 says that the level is gone.

use super::decode::is_partial_book;
use crate::market::{BestPrices, Book, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, visit_changes};
use crate::venue::object::{Each, Object, Place, plain};
use serde::de::Deserializer;
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "s";

/// A partial book of spot names its symbol only in that of its stream, in small letters: `symbol` is where it is kept in capitals.
pub(super) fn values<'f>(symbol: &'f mut String, frame: &'f str, visit: Visit<'_, 'f>) {
    match Place::new(0).whole(frame) {
        Ok(raw) => whole(symbol, raw, visit),
        Err(error) => visit(Err(error)),
    }
}

/// A frame: an event, a list of them, or either within the name of its stream.
fn whole<'f>(symbol: &'f mut String, raw: &'f RawValue, visit: Visit<'_, 'f>) {
    if raw.get().starts_with('[') {
        return each(raw, None, visit);
    }
    let object = match Place::new(0).object(raw, INSTRUMENT) {
        Ok(object) => object,
        Err(error) => return visit(Err(error)),
    };
    let stream = plain(object.get("stream"));
    match object.get("data") {
        Some(data) if data.get().starts_with('[') => each(data, stream, visit),
        Some(data) => {
            let of_book = stream.filter(|_| is_partial_book(stream));
            let named = of_book.and_then(|stream| stream.split_once('@'));
            let named = named.map(|(small, _)| {
                *symbol = small.to_uppercase();
                symbol.as_str()
            });
            event(Place::new(0), data, stream, named, visit);
        }
        None => event(Place::new(0), raw, None, None, visit),
    }
}

fn each<'f>(list: &'f RawValue, stream: Option<&'f str>, visit: Visit<'_, 'f>) {
    let mut index = 0;
    let each = |raw: &'f RawValue| {
        event(Place::new(index), raw, stream, None, visit);
        index += 1;
    };
    let read = serde_json::Deserializer::from_str(list.get()).deserialize_seq(Each::new(each));
    if let Err(error) = read {
        visit(Err(Place::new(index).error("", error.to_string(), "a list of events")));
    }
}

fn event<'f>(
    place: Place<'f>,
    raw: &'f RawValue,
    stream: Option<&'f str>,
    symbol: Option<&'f str>,
    visit: Visit<'_, 'f>,
) {
    let event = match place.object(raw, INSTRUMENT) {
        Ok(event) => event,
        Err(error) => return visit(Err(error)),
    };
    match plain(event.get("e")) {
        Some("trade" | "aggTrade") => visit(trade(&event).map(Value::Trade)),
        Some("depthUpdate") if is_partial_book(stream) => {
            let read = event
                .text(INSTRUMENT)
                .and_then(|symbol| book_of(&event, symbol, ["b", "a"]));
            visit(read.map(Value::Book));
        }
        Some("depthUpdate") => {
            changes(&event, "b", Side::Buy, visit);
            changes(&event, "a", Side::Sell, visit);
        }
        Some("bookTicker") => visit(best_prices(&event).map(Value::BestPrices)),
        Some("24hrTicker" | "24hrMiniTicker" | "1hTicker" | "4hTicker" | "1dTicker") => summary(&event, visit),
        None if event.get("u").is_some() && event.get("s").is_some() => {
            visit(best_prices(&event).map(Value::BestPrices));
        }
        None if event.get("lastUpdateId").is_some() => {
            if let Some(symbol) = symbol {
                visit(book_of(&event.about(symbol), symbol, ["bids", "asks"]).map(Value::Book));
            }
        }
        // Answers, candles and averages.
        _ => {}
    }
}

fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    // Aggregated trades have another id.
    let id = if plain(event.get("e")) == Some("trade") {
        "t"
    } else {
        "a"
    };
    Ok(Trade {
        instrument: event.text(INSTRUMENT)?,
        price: event.amount("p")?,
        size: Some(event.amount("q")?),
        side: event
            .get("m")
            .map(|maker| if maker.get() == "true" { Side::Sell } else { Side::Buy }),
        id: event.id(id),
        venue_time_ms: event.whole("E"),
    })
}

fn book_of<'f>(
    event: &Object<'f>,
    instrument: &'f str,
    [bids, asks]: [&'static str; 2],
) -> Result<Book<'f>, ValueError> {
    Ok(book(
        instrument,
        event.pairs(bids)?,
        event.pairs(asks)?,
        event.whole("E"),
    ))
}

fn changes<'f>(event: &Object<'f>, name: &'static str, side: Side, visit: Visit<'_, 'f>) {
    let instrument = event.text(INSTRUMENT);
    let read = instrument.and_then(|instrument| Ok((instrument, event.pairs(name)?)));
    visit_changes(read, side, event.whole("E"), visit);
}

/// The summary of a time up to now. The best prices are only in that of 24 hours on spot.
fn summary<'f>(event: &Object<'f>, visit: Visit<'_, 'f>) {
    let instrument = match event.text(INSTRUMENT) {
        Ok(instrument) => instrument,
        Err(error) => return visit(Err(error)),
    };
    if event.get("b").is_some() && event.get("a").is_some() {
        visit(best_prices(event).map(Value::BestPrices));
    }
    event.last_price("c", instrument, event.whole("E"), visit);
}

fn best_prices<'f>(event: &Object<'f>) -> Result<BestPrices<'f>, ValueError> {
    let price = |name| event.amount(name).map(|price| (!price.is_zero()).then_some(price));
    Ok(BestPrices {
        instrument: event.text(INSTRUMENT)?,
        bid: price("b")?,
        ask: price("a")?,
        venue_time_ms: event.whole("E"),
    })
}
