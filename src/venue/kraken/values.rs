//! Reads the values of events, at leisure and strictly.
//!
//! From the venue's documentation: sizes of a book's levels are absolute, and 0 says that the level is gone; the side of a trade
//! is the taker's. In version 1 levels and trades are lists: price, size, time, and of a trade `b` or `s`.

use super::v1::{BookPart, Message, seconds};
use crate::market::{BestPrices, Book, LastPrice, Level, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, side, visit_changes};
use crate::venue::object::{AMOUNT, Object, Place, amount, level, pair, plain};
use crate::venue::time;
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "symbol";

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let raw = match Place::new(0).whole(frame) {
        Ok(raw) => raw,
        Err(error) => return visit(Err(error)),
    };
    if raw.get().starts_with('[') {
        if let Err(error) = of_v1(raw, visit) {
            visit(Err(error));
        }
        return;
    }
    let frame = match Place::new(0).object(raw, INSTRUMENT) {
        Ok(frame) => frame,
        Err(error) => return visit(Err(error)),
    };
    let channel = plain(frame.get("channel"));
    if !matches!(channel, Some("book" | "trade" | "ticker")) {
        return;
    }
    let is_snapshot = plain(frame.get("type")) == Some("snapshot");
    let mut index = 0;
    let list = frame.items("data", |_, raw| {
        let event = Place::new(index).object(raw, INSTRUMENT);
        index += 1;
        match (event, channel) {
            (Err(error), _) => visit(Err(error)),
            (Ok(event), Some("trade")) => visit(trade(&event).map(Value::Trade)),
            (Ok(event), Some("ticker")) => {
                visit(best_prices(&event).map(Value::BestPrices));
                if let Ok(instrument) = event.text(INSTRUMENT) {
                    event.last_price("last", instrument, at(&event), visit);
                }
            }
            (Ok(event), _) if is_snapshot => visit(book_of(&event).map(Value::Book)),
            (Ok(event), _) => {
                changes(&event, "bids", Side::Buy, visit);
                changes(&event, "asks", Side::Sell, visit);
            }
        }
    });
    if let Err(error) = list {
        visit(Err(error));
    }
}

fn at(event: &Object<'_>) -> Option<i64> {
    plain(event.get("timestamp")).and_then(time::rfc3339)
}

fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument: event.text(INSTRUMENT)?,
        price: event.amount("price")?,
        size: Some(event.amount("qty")?),
        side: side(plain(event.get("side")), ["buy", "sell"]),
        id: event.id("trade_id"),
        venue_time_ms: at(event),
    })
}

fn best_prices<'f>(event: &Object<'f>) -> Result<BestPrices<'f>, ValueError> {
    Ok(BestPrices {
        instrument: event.text(INSTRUMENT)?,
        bid: event.optional("bid", Object::amount)?,
        ask: event.optional("ask", Object::amount)?,
        venue_time_ms: at(event),
    })
}

fn book_of<'f>(event: &Object<'f>) -> Result<Book<'f>, ValueError> {
    Ok(book(
        event.text(INSTRUMENT)?,
        levels(event, "bids")?,
        levels(event, "asks")?,
        at(event),
    ))
}

/// Objects with a price and a size.
fn levels(event: &Object<'_>, name: &'static str) -> Result<Vec<Level>, ValueError> {
    event.levels(name, |place, raw| level(place, raw, "price", "qty"))
}

fn changes<'f>(event: &Object<'f>, name: &'static str, side: Side, visit: Visit<'_, 'f>) {
    let read = event.text(INSTRUMENT).and_then(|instrument| {
        let levels = event.get(name).map_or(Ok(Vec::new()), |_| levels(event, name))?;
        Ok((instrument, levels))
    });
    visit_changes(read, side, at(event), visit);
}

fn of_v1<'f>(raw: &'f RawValue, visit: Visit<'_, 'f>) -> Result<(), ValueError> {
    let place = Place::new(0);
    let wrong = |_| {
        place.wrong(
            "",
            Some(raw),
            r#"a list such as [320, {"b": [], "c": "1"}, "book-10", "XBT/USD"]"#,
        )
    };
    let message = Message::read(raw.get()).map_err(wrong)?;
    if message.channel.starts_with("book") {
        let parts = message.book().map_err(wrong)?;
        return book_of_v1(place, message.pair, &parts, visit);
    }
    for part in &message.parts {
        match message.channel {
            "trade" => {
                for row in place.list(part)? {
                    visit(Ok(Value::Trade(trade_of_v1(place, message.pair, row)?)));
                }
            }
            "spread" => {
                let row = place.list(part)?;
                visit(Ok(Value::BestPrices(BestPrices {
                    instrument: message.pair,
                    bid: amount(row.first().copied()),
                    ask: amount(row.get(1).copied()),
                    venue_time_ms: row.get(2).and_then(|time| seconds(time)),
                })));
            }
            "ticker" => {
                let event = place.object(part, INSTRUMENT)?;
                let price = |side| -> Result<_, ValueError> {
                    let list = event.get(side).map_or(Ok(Vec::new()), |list| place.list(list))?;
                    let price = amount(list.first().copied());
                    price
                        .map(Some)
                        .ok_or_else(|| place.wrong(side, event.get(side), AMOUNT))
                };
                visit(Ok(Value::BestPrices(BestPrices {
                    instrument: message.pair,
                    bid: price("b")?,
                    ask: price("a")?,
                    venue_time_ms: None,
                })));
                if event.get("c").is_some()
                    && let Some(price) = price("c")?
                {
                    visit(Ok(Value::LastPrice(LastPrice {
                        instrument: message.pair,
                        price,
                        venue_time_ms: None,
                    })));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn trade_of_v1<'f>(place: Place<'f>, instrument: &'f str, row: &'f RawValue) -> Result<Trade<'f>, ValueError> {
    let Level { price, size } = pair(place, row)?;
    let row = place.list(row)?;
    Ok(Trade {
        instrument,
        price,
        size: Some(size),
        side: side(plain(row.get(3).copied()), ["b", "s"]),
        id: None,
        venue_time_ms: row.get(2).and_then(|time| seconds(time)),
    })
}

fn book_of_v1<'f>(
    place: Place<'f>,
    instrument: &'f str,
    parts: &[BookPart<'f>],
    visit: Visit<'_, 'f>,
) -> Result<(), ValueError> {
    let levels = |side: Option<&'f RawValue>| -> Result<Vec<Level>, ValueError> {
        let rows = side.map_or(Ok(Vec::new()), |side| place.list(side))?;
        rows.into_iter().map(|row| pair(place, row)).collect()
    };
    for part in parts {
        if part.all_asks.is_some() || part.all_bids.is_some() {
            let (bids, asks) = (levels(part.all_bids)?, levels(part.all_asks)?);
            visit(Ok(Value::Book(book(instrument, bids, asks, None))));
        }
        visit_changes(Ok((instrument, levels(part.bids)?)), Side::Buy, None, visit);
        visit_changes(Ok((instrument, levels(part.asks)?)), Side::Sell, None, visit);
    }
    Ok(())
}
