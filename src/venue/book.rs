//! Values of books as most venues tell them: levels with absolute sizes, and nothing else.

use super::object::{Place, amount, plain};
use crate::market::{Book, Level, PriceChange, Side, Value, ValueError};
use serde_json::value::RawValue;

/// What is shown each value, or what is wrong with it.
pub(super) type Visit<'v, 'f> = &'v mut dyn FnMut(Result<Value<'f>, ValueError>);

/// A whole book.
pub(super) const fn book(instrument: &str, bids: Vec<Level>, asks: Vec<Level>, venue_time_ms: Option<i64>) -> Book<'_> {
    Book {
        instrument,
        bids,
        asks,
        tick_size: None,
        last_trade_price: None,
        venue_time_ms,
    }
}

/// A level that is another now. Where its size is 0, it is gone.
pub(super) const fn change(instrument: &str, side: Side, level: Level, venue_time_ms: Option<i64>) -> PriceChange<'_> {
    PriceChange {
        instrument,
        side,
        price: level.price,
        size: Some(level.size),
        best_bid: None,
        best_ask: None,
        venue_time_ms,
    }
}

/// Visits the levels of a side that are others now, and whose they are.
pub(super) fn visit_changes<'f>(
    read: Result<(&'f str, Vec<Level>), ValueError>,
    side: Side,
    venue_time_ms: Option<i64>,
    visit: Visit<'_, 'f>,
) {
    match read {
        Ok((instrument, levels)) => {
            for level in levels {
                visit(Ok(Value::PriceChange(change(instrument, side, level, venue_time_ms))));
            }
        }
        Err(error) => visit(Err(error)),
    }
}

/// A level that is a list, its side before it.
pub(super) fn sided<'f>(place: Place<'f>, raw: &'f RawValue) -> Result<(Side, Level), ValueError> {
    let items = place.list(raw)?;
    let item = |index: usize| items.get(index).copied();
    match (side(plain(item(0)), ["buy", "sell"]), amount(item(1)), amount(item(2))) {
        (Some(of), Some(price), Some(size)) => Ok((of, Level { price, size })),
        _ => Err(place.wrong(
            "",
            Some(raw),
            r#"a list of side, price and size, such as ["buy", "0.5", "12"]"#,
        )),
    }
}

/// The side of that name, among the venue's names for the two.
pub(super) fn side(name: Option<&str>, [buy, sell]: [&str; 2]) -> Option<Side> {
    match name? {
        name if name == buy => Some(Side::Buy),
        name if name == sell => Some(Side::Sell),
        _ => None,
    }
}
