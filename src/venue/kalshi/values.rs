//! Reads the values of messages, at leisure and strictly.
//!
//! From the venue's documentation: an instrument is a contract that pays a dollar if its answer is yes. Who bids for "no" at a
//! price offers "yes" at a dollar less that price, so that the bids for "no" are the asks here. Prices are dollars, and sizes
//! contracts; a change of a book says by how much the size of a level is another.

use super::books::Books;
use super::decode::Message;
use crate::market::{BestPrices, Decimal, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book};
use crate::venue::object::{Object, Place, signed};

/// The field that names the instrument.
const INSTRUMENT: &str = "market_ticker";

const SIDE: &str = r#""yes" or "no""#;
const DIFFERENCE: &str = r#"a decimal, such as "-54.00""#;
const PRICE: &str = r#"a price of 0 to 1 dollar, such as "0.9600""#;

pub(super) fn values<'f>(books: &mut Books, frame: &'f str, visit: Visit<'_, 'f>) {
    let place = Place::new(0);
    let message: Message<'f> = match serde_json::from_str(frame) {
        Ok(message) => message,
        Err(error) => return visit(Err(place.error("", error.to_string(), "a message with a type"))),
    };
    let name = message.name;
    if !matches!(
        name,
        "orderbook_snapshot" | "orderbook_delta" | "trade" | "ticker" | "ticker_v2"
    ) {
        return;
    }
    let Some(body) = message.msg else {
        return visit(Err(place.wrong("msg", None, "an object")));
    };
    let mut read = |event: &Object<'f>| match name {
        "orderbook_snapshot" => whole_book(books, event),
        "orderbook_delta" => change(books, event),
        "trade" => trade(event).map(Value::Trade),
        _ => best_prices(event).map(Value::BestPrices),
    };
    match place.object(body, INSTRUMENT) {
        Ok(event) => {
            visit(read(&event));
            if let (true, Ok(instrument)) = (name.starts_with("ticker"), event.text(INSTRUMENT)) {
                event.last_price("price_dollars", instrument, time(&event), visit);
            }
        }
        Err(error) => visit(Err(error)),
    }
}

fn whole_book<'f>(books: &mut Books, event: &Object<'f>) -> Result<Value<'f>, ValueError> {
    let instrument = event.text(INSTRUMENT)?;
    let bids = side(event, ["yes_dollars_fp", "yes_dollars"])?;
    let mut asks = side(event, ["no_dollars_fp", "no_dollars"])?;
    for level in &mut asks {
        let wrong = || event.place().wrong("no_dollars_fp", event.get("no_dollars_fp"), PRICE);
        level.price = opposite(level.price).ok_or_else(wrong)?;
    }
    books.begin(instrument, &bids, &asks);
    Ok(Value::Book(book(instrument, bids, asks, time(event))))
}

/// Where nobody bids, the list is left out. It had another name before parts of contracts could be traded.
fn side(event: &Object<'_>, names: [&'static str; 2]) -> Result<Vec<Level>, ValueError> {
    let told = names.into_iter().find(|name| event.get(name).is_some());
    told.map_or(Ok(Vec::new()), |name| event.pairs(name))
}

fn change<'f>(books: &mut Books, event: &Object<'f>) -> Result<Value<'f>, ValueError> {
    let instrument = event.text(INSTRUMENT)?;
    let told = event.amount("price_dollars")?;
    let (side, price) = match event.text("side")? {
        "yes" => (Side::Buy, Some(told)),
        "no" => (Side::Sell, opposite(told)),
        _ => return Err(event.place().wrong("side", event.get("side"), SIDE)),
    };
    let price = price.ok_or_else(|| event.place().wrong("price_dollars", event.get("price_dollars"), PRICE))?;
    let by = signed(event.get("delta_fp"));
    let by = by.ok_or_else(|| event.place().wrong("delta_fp", event.get("delta_fp"), DIFFERENCE))?;
    Ok(Value::PriceChange(PriceChange {
        instrument,
        side,
        price,
        size: books.change(instrument, side, price, by),
        best_bid: None,
        best_ask: None,
        venue_time_ms: time(event),
    }))
}

/// What the other side of a price is.
fn opposite(price: Decimal) -> Option<Decimal> {
    (price <= Decimal::ONE).then(|| Decimal::ONE - price)
}

fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    let side = match event.text("taker_side")? {
        "yes" => Side::Buy,
        "no" => Side::Sell,
        _ => return Err(event.place().wrong("taker_side", event.get("taker_side"), SIDE)),
    };
    Ok(Trade {
        instrument: event.text(INSTRUMENT)?,
        price: event.amount("yes_price_dollars")?,
        size: Some(event.amount("count_fp")?),
        side: Some(side),
        id: event.id("trade_id"),
        venue_time_ms: time(event),
    })
}

/// Nobody bids nothing, and nobody asks a dollar: that says that there is none.
fn best_prices<'f>(event: &Object<'f>) -> Result<BestPrices<'f>, ValueError> {
    let price = |name| {
        let price = event.optional(name, Object::amount)?;
        Ok(price.filter(|price| *price > Decimal::ZERO && *price < Decimal::ONE))
    };
    Ok(BestPrices {
        instrument: event.text(INSTRUMENT)?,
        bid: price("yes_bid_dollars")?,
        ask: price("yes_ask_dollars")?,
        venue_time_ms: time(event),
    })
}

fn time(event: &Object<'_>) -> Option<i64> {
    let seconds = || event.whole("ts").map(|seconds| seconds.saturating_mul(1000));
    event.whole("ts_ms").or_else(seconds)
}
