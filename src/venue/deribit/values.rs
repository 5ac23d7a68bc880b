//! Reads the values of notifications, at leisure and strictly.
//!
//! From the venue's documentation: a level of a book is `[action, price, amount]`, and its amount is absolute, 0 where the action
//! is `delete`; of a grouped book it is `[price, amount]`. `direction` is what the taker did.

use super::decode::{Message, about};
use crate::market::{BestPrices, Book, Level, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, change};
use crate::venue::object::{Object, Place, amount, plain};
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "instrument_name";

const LEVEL: &str = r#"a level: ["new", price, amount], or [price, amount]"#;
const DIRECTION: &str = r#""buy" or "sell""#;
const SIDES: [(&str, Side); 2] = [("bids", Side::Buy), ("asks", Side::Sell)];

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

fn whole_book<'f>(event: &Object<'f>) -> Result<Book<'f>, ValueError> {
    Ok(book(
        event.text(INSTRUMENT)?,
        event.levels("bids", level)?,
        event.levels("asks", level)?,
        event.whole("timestamp"),
    ))
}

fn changes<'f>(event: &Object<'f>, visit: Visit<'_, 'f>) {
    let instrument = match event.text(INSTRUMENT) {
        Ok(instrument) => instrument,
        Err(error) => return visit(Err(error)),
    };
    for (name, side) in SIDES {
        let read = event.items(name, |place, raw| {
            let read = level(place, raw).map(|level| change(instrument, side, level, event.whole("timestamp")));
            visit(read.map(Value::PriceChange));
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
    Ok(BestPrices {
        instrument: event.text(INSTRUMENT)?,
        bid: event.best("best_bid_price")?,
        ask: event.best("best_ask_price")?,
        venue_time_ms: event.whole("timestamp"),
    })
}
