//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: `side` is the taker's; sizes of a book's levels are absolute, and 0 says that the level is
//! gone. The size of a derivative is in contracts.

use super::decode::{PONG, is_numbered_book};
use crate::market::{BestPrices, Book, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, side, visit_changes};
use crate::venue::object::{Object, Place, plain};
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "instId";

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    if frame.trim() == PONG {
        return;
    }
    let message = match Place::new(0)
        .whole(frame)
        .and_then(|raw| Place::new(0).object(raw, INSTRUMENT))
    {
        Ok(message) => message,
        Err(error) => return visit(Err(error)),
    };
    // Whatever has no list is no data.
    let (Some(arg), true) = (message.get("arg"), message.get("data").is_some()) else {
        return;
    };
    let arg = match message.place().object(arg, INSTRUMENT) {
        Ok(arg) => arg,
        Err(error) => return visit(Err(error)),
    };
    let Some(channel) = plain(arg.get("channel")) else {
        return;
    };
    let action = plain(message.get("action"));
    let mut index = 0;
    let read = message.items("data", |_, raw| {
        // In a book only the subscription names the instrument.
        let place = Place::new(index);
        let place = arg
            .place()
            .instrument()
            .map_or(place, |instrument| place.about(instrument));
        event(place, raw, channel, action, visit);
        index += 1;
    });
    if let Err(error) = read {
        visit(Err(error));
    }
}

fn event<'f>(place: Place<'f>, raw: &'f RawValue, channel: &str, action: Option<&str>, visit: Visit<'_, 'f>) {
    if !matches!(
        channel,
        "trades" | "trades-all" | "option-trades" | "books5" | "bbo-tbt" | "tickers"
    ) && !is_numbered_book(channel)
    {
        return;
    }
    let read = place.object(raw, INSTRUMENT).and_then(|event| {
        let instrument = event.instrument(INSTRUMENT)?;
        Ok((event, instrument))
    });
    let (event, instrument) = match read {
        Ok(read) => read,
        Err(error) => return visit(Err(error)),
    };
    match (channel, action) {
        ("trades" | "trades-all" | "option-trades", _) => visit(trade(&event, instrument).map(Value::Trade)),
        ("tickers", _) => {
            visit(ticker(&event, instrument).map(Value::BestPrices));
            event.last_price("last", instrument, event.whole("ts"), visit);
        }
        ("bbo-tbt", _) => visit(best(&event, instrument).map(Value::BestPrices)),
        ("books5", _) | (_, Some("snapshot")) => visit(book_of(&event, instrument).map(Value::Book)),
        _ => {
            changes(&event, instrument, "bids", Side::Buy, visit);
            changes(&event, instrument, "asks", Side::Sell, visit);
        }
    }
}

fn trade<'f>(event: &Object<'f>, instrument: &'f str) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument,
        price: event.amount("px")?,
        size: Some(event.amount("sz")?),
        side: side(plain(event.get("side")), ["buy", "sell"]),
        id: event.id("tradeId"),
        venue_time_ms: event.whole("ts"),
    })
}

fn ticker<'f>(event: &Object<'f>, instrument: &'f str) -> Result<BestPrices<'f>, ValueError> {
    Ok(BestPrices {
        instrument,
        bid: event.optional("bidPx", Object::amount)?,
        ask: event.optional("askPx", Object::amount)?,
        venue_time_ms: event.whole("ts"),
    })
}

fn best<'f>(event: &Object<'f>, instrument: &'f str) -> Result<BestPrices<'f>, ValueError> {
    let price = |name| event.pairs(name).map(|levels| levels.first().map(|level| level.price));
    Ok(BestPrices {
        instrument,
        bid: price("bids")?,
        ask: price("asks")?,
        venue_time_ms: event.whole("ts"),
    })
}

fn book_of<'f>(event: &Object<'f>, instrument: &'f str) -> Result<Book<'f>, ValueError> {
    Ok(book(
        instrument,
        event.pairs("bids")?,
        event.pairs("asks")?,
        event.whole("ts"),
    ))
}

fn changes<'f>(event: &Object<'f>, instrument: &'f str, name: &'static str, side: Side, visit: Visit<'_, 'f>) {
    let read = event.pairs(name).map(|levels| (instrument, levels));
    visit_changes(read, side, event.whole("ts"), visit);
}
