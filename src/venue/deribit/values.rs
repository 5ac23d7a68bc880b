//! Reads the values of notifications, at leisure and strictly.
//!
//! From the venue's documentation: a level of a book is `[action, price, amount]`, and its amount is absolute, 0 where the action
//! is `delete`; of a grouped book it is `[price, amount]`. `direction` is what the taker did.

use super::decode::{Message, about};
use crate::market::{BestPrices, Book, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::object::{Object, Place, amount, plain};
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "instrument_name";

const LEVEL: &str = r#"a level: ["new", price, amount], or [price, amount]"#;
const DIRECTION: &str = r#""buy" or "sell""#;
const SIDES: [(&str, Side); 2] = [("bids", Side::Buy), ("asks", Side::Sell)];

type Visit<'v, 'f> = &'v mut dyn FnMut(Result<Value<'f>, ValueError>);

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let message: Message<'f> = match serde_json::from_str(frame) {
        Ok(message) => message,
        Err(error) => return visit(Err(Place::new(0).error("", error.to_string(), "JSON-RPC"))),
    };
    let params = message.params.unwrap_or_default();
    let (Some(channel), Some(data)) = (params.channel, params.data) else {
        return;
    };
    let place = Place::new(0);
    match about(channel).0 {
        "trades" => match place.list(data) {
            Ok(trades) => {
                for (index, raw) in trades.into_iter().enumerate() {
                    let trade = Place::new(index).object(raw, INSTRUMENT);
                    visit(trade.and_then(|trade| read_trade(&trade)).map(Value::Trade));
                }
            }
            Err(error) => visit(Err(error)),
        },
        kind => match (kind, place.object(data, INSTRUMENT)) {
            ("book", Ok(book)) if plain(book.get("type")) == Some("change") => changes(&book, visit),
            ("book", Ok(book)) => visit(whole_book(&book).map(Value::Book)),
            ("ticker" | "quote", Ok(event)) => {
                visit(best_prices(&event).map(Value::BestPrices));
                if let Ok(instrument) = event.text(INSTRUMENT) {
                    event.last_price("last_price", instrument, event.whole("timestamp"), visit);
                }
            }
            ("book" | "ticker" | "quote", Err(error)) => visit(Err(error)),
            // Candles.
            _ => {}
        },
    }
}

fn level<'f>(place: Place<'f>, raw: &'f RawValue) -> Result<Level, ValueError> {
    let items = place.list(raw)?;
    let numbers = match *items {
        [action, price, size, ..] if plain(Some(action)).is_some() => Some((price, size)),
        [price, size] => Some((price, size)),
        _ => None,
    };
    let read = numbers.and_then(|(price, size)| amount(Some(price)).zip(amount(Some(size))));
    let (price, size) = read.ok_or_else(|| place.wrong("", Some(raw), LEVEL))?;
    Ok(Level { price, size })
}

fn levels(book: &Object<'_>, name: &'static str) -> Result<Vec<Level>, ValueError> {
    let mut read = Vec::new();
    book.items(name, |place, raw| read.push(level(place, raw)))?;
    read.into_iter().collect()
}

fn whole_book<'f>(book: &Object<'f>) -> Result<Book<'f>, ValueError> {
    Ok(Book {
        instrument: book.text(INSTRUMENT)?,
        bids: levels(book, "bids")?,
        asks: levels(book, "asks")?,
        tick_size: None,
        last_trade_price: None,
        venue_time_ms: book.whole("timestamp"),
    })
}

fn changes<'f>(book: &Object<'f>, visit: Visit<'_, 'f>) {
    let instrument = match book.text(INSTRUMENT) {
        Ok(instrument) => instrument,
        Err(error) => return visit(Err(error)),
    };
    for (name, side) in SIDES {
        let read = book.items(name, |place, raw| {
            let change = level(place, raw).map(|Level { price, size }| PriceChange {
                instrument,
                side,
                price,
                size: Some(size),
                best_bid: None,
                best_ask: None,
                venue_time_ms: book.whole("timestamp"),
            });
            visit(change.map(Value::PriceChange));
        });
        if let Err(error) = read {
            visit(Err(error));
        }
    }
}

fn read_trade<'f>(trade: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    let side = match trade.text("direction")? {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        _ => return Err(trade.place().wrong("direction", trade.get("direction"), DIRECTION)),
    };
    Ok(Trade {
        instrument: trade.text(INSTRUMENT)?,
        price: trade.amount("price")?,
        size: Some(trade.amount("amount")?),
        side: Some(side),
        id: trade.id("trade_id"),
        venue_time_ms: trade.whole("timestamp"),
    })
}

/// Where nobody bids or asks, the price is 0 or null.
fn best_prices<'f>(event: &Object<'f>) -> Result<BestPrices<'f>, ValueError> {
    let price = |name| {
        let price = event.optional(name, Object::amount)?;
        Ok(price.filter(|price| !price.is_zero()))
    };
    Ok(BestPrices {
        instrument: event.text(INSTRUMENT)?,
        bid: price("best_bid_price")?,
        ask: price("best_ask_price")?,
        venue_time_ms: event.whole("timestamp"),
    })
}
