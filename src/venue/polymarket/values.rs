//! Reads the values of the market channel's events, at leisure and strictly.
//!
//! From the venue's documentation ("Market Channel"): prices and sizes are strings; the size of a price change is absolute,
//! and `"0"` says that the level is gone; where nobody bids, `best_bid` is `"0"`, and where nobody asks, `best_ask` is `"1"`.
//! From its official Rust client: a price change may lack its size, and a trade its size and its side. From recordings: later
//! books lack the tick size, the last trade price of a book without a trade is `""`, and a trade's side is the taker's.

use super::decode::millis;
use crate::market::{
    BestPrices, Book, Decimal, Instrument, Level, PriceChange, Resolved, Side, TickSize, Trade, Value, ValueError,
    decimal,
};
use crate::venue::book::Visit;
use crate::venue::object::{Each, Object, Place, plain};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

/// The field that names the instrument.
const INSTRUMENT: &str = "asset_id";

const PRICE: &str = r#"a decimal from 0 to 1 in quotes, such as "0.525""#;
const SIZE: &str = r#"a decimal of 0 or more in quotes, such as "219.21""#;
const TICK_SIZE: &str = r#"a decimal above 0 and up to 1 in quotes, such as "0.001""#;
const SIDE: &str = r#""BUY" or "SELL""#;

pub(super) fn values<'f>(frame: &'f str, visit: Visit<'_, 'f>) {
    let text = frame.trim();
    // Anything else is a control text.
    if !text.starts_with(['{', '[']) {
        return;
    }
    let mut index = 0;
    let each = |raw: &'f RawValue| {
        event(Place::new(index), raw, visit);
        index += 1;
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = if text.starts_with('[') {
        json.deserialize_seq(Each::new(each))
    } else {
        <&RawValue>::deserialize(&mut json).map(each)
    };
    if let Err(error) = read.and_then(|()| json.end()) {
        // What follows is lost, and nobody knows what it was.
        visit(Err(Place::new(index).error("", error.to_string(), "JSON to the end")));
    }
}

fn event<'f>(place: Place<'f>, raw: &'f RawValue, visit: Visit<'_, 'f>) {
    let named = place
        .object(raw, INSTRUMENT)
        .and_then(|event| Ok((event.text("event_type")?, event)));
    let (name, event) = match named {
        Ok(named) => named,
        Err(error) => return visit(Err(error)),
    };
    match name {
        "book" => visit(book(&event).map(Value::Book)),
        "price_change" => each(&event, "price_changes", visit, |place, item| {
            price_change(&place.object(item, INSTRUMENT)?, time(&event)).map(Value::PriceChange)
        }),
        "last_trade_price" => visit(trade(&event).map(Value::Trade)),
        "best_bid_ask" => visit(best_prices(&event).map(Value::BestPrices)),
        "tick_size_change" => visit(tick_size(&event).map(Value::TickSize)),
        "market_resolved" => each(&event, "assets_ids", visit, |place, item| {
            resolved(place.text(item)?, &event).map(Value::Resolved)
        }),
        // News of other markets, events of the user channel, and what is not known.
        _ => {}
    }
}

/// Visits one value for each item of a list: one that is wrong does not hide the others.
fn each<'f>(
    event: &Object<'f>,
    list: &'static str,
    visit: Visit<'_, 'f>,
    read: impl Fn(Place<'f>, &'f RawValue) -> Result<Value<'f>, ValueError>,
) {
    if let Err(error) = event.items(list, |place, item| visit(read(place, item))) {
        visit(Err(error));
    }
}

fn book<'f>(event: &Object<'f>) -> Result<Book<'f>, ValueError> {
    Ok(Book {
        instrument: event.text("asset_id")?,
        bids: levels(event, "bids")?,
        asks: levels(event, "asks")?,
        tick_size: event.optional("tick_size", tick_size_of)?,
        last_trade_price: event.optional("last_trade_price", price)?,
        venue_time_ms: time(event),
    })
}

/// All levels of a side, or what is wrong with the first that is.
fn levels(event: &Object<'_>, side: &'static str) -> Result<Vec<Level>, ValueError> {
    event.levels(side, |place, item| level(&place.object(item, INSTRUMENT)?))
}

fn level(item: &Object<'_>) -> Result<Level, ValueError> {
    Ok(Level {
        price: price(item, "price")?,
        size: size(item, "size")?,
    })
}

fn price_change<'f>(item: &Object<'f>, venue_time_ms: Option<i64>) -> Result<PriceChange<'f>, ValueError> {
    Ok(PriceChange {
        instrument: item.text("asset_id")?,
        side: side(item, "side")?,
        price: price(item, "price")?,
        size: item.optional("size", size)?,
        best_bid: best_bid(item)?,
        best_ask: best_ask(item)?,
        venue_time_ms,
    })
}

fn trade<'f>(event: &Object<'f>) -> Result<Trade<'f>, ValueError> {
    Ok(Trade {
        instrument: event.text("asset_id")?,
        price: price(event, "price")?,
        size: event.optional("size", size)?,
        side: event.optional("side", side)?,
        id: event.optional("transaction_hash", Object::text)?,
        venue_time_ms: time(event),
    })
}

fn best_prices<'f>(event: &Object<'f>) -> Result<BestPrices<'f>, ValueError> {
    Ok(BestPrices {
        instrument: event.text("asset_id")?,
        bid: best_bid(event)?,
        ask: best_ask(event)?,
        venue_time_ms: time(event),
    })
}

/// No order can bid 0, so that this says that there is none.
fn best_bid(object: &Object<'_>) -> Result<Option<Decimal>, ValueError> {
    let price = object.optional("best_bid", price)?;
    Ok(price.filter(|price| *price != Decimal::ZERO))
}

/// No order can ask 1, so that this says that there is none.
fn best_ask(object: &Object<'_>) -> Result<Option<Decimal>, ValueError> {
    let price = object.optional("best_ask", price)?;
    Ok(price.filter(|price| *price != Decimal::ONE))
}

fn tick_size<'f>(event: &Object<'f>) -> Result<TickSize<'f>, ValueError> {
    Ok(TickSize {
        instrument: event.text("asset_id")?,
        tick_size: tick_size_of(event, "new_tick_size")?,
        venue_time_ms: time(event),
    })
}

fn resolved<'f>(token: &'f str, event: &Object<'f>) -> Result<Resolved<'f>, ValueError> {
    let winner = event.optional("winning_asset_id", Object::text);
    let winner = winner.map_err(|error| ValueError {
        instrument: Some(Instrument::new(token)),
        ..error
    })?;
    Ok(Resolved {
        instrument: token,
        won: winner.map(|winner| winner == token),
        venue_time_ms: time(event),
    })
}

/// A price that must be there.
fn price(object: &Object<'_>, name: &'static str) -> Result<Decimal, ValueError> {
    quoted(object, name, PRICE, |price| price <= Decimal::ONE)
}

/// A size that must be there.
fn size(object: &Object<'_>, name: &'static str) -> Result<Decimal, ValueError> {
    quoted(object, name, SIZE, |_| true)
}

/// A step of prices that must be there.
fn tick_size_of(object: &Object<'_>, name: &'static str) -> Result<Decimal, ValueError> {
    quoted(object, name, TICK_SIZE, |tick| {
        tick > Decimal::ZERO && tick <= Decimal::ONE
    })
}

/// A side that must be there.
fn side(object: &Object<'_>, name: &'static str) -> Result<Side, ValueError> {
    let raw = object.get(name);
    match plain(raw) {
        Some("BUY") => Ok(Side::Buy),
        Some("SELL") => Ok(Side::Sell),
        _ => Err(object.place().wrong(name, raw, SIDE)),
    }
}

/// Milliseconds since the Unix epoch, where they can be read: a wrong time costs nobody a price.
fn time(object: &Object<'_>) -> Option<i64> {
    object.get("timestamp").and_then(millis)
}

fn quoted(
    object: &Object<'_>,
    name: &'static str,
    valid: &'static str,
    is_possible: impl FnOnce(Decimal) -> bool,
) -> Result<Decimal, ValueError> {
    let raw = object.get(name);
    let read = plain(raw).and_then(decimal);
    read.filter(|read| is_possible(*read))
        .ok_or_else(|| object.place().wrong(name, raw, valid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Side;
    use proptest::prelude::*;

    fn read(frame: &str) -> Vec<Result<Value<'_>, ValueError>> {
        let mut read = Vec::new();
        values(frame, &mut |value| read.push(value));
        read
    }

    /// The only value of a frame.
    fn one(frame: &str) -> Value<'_> {
        let [Ok(value)] = &read(frame)[..] else {
            panic!("{frame}: {:?}", read(frame))
        };
        value.clone()
    }

    /// What is wrong with a frame, as it is shown, and whose value is lost.
    fn errors(frame: &str) -> Vec<(String, Option<String>)> {
        let errors = read(frame).into_iter().filter_map(Result::err);
        errors
            .map(|error| (error.to_string(), error.instrument.map(|lost| lost.as_str().to_owned())))
            .collect()
    }

    fn number(text: &str) -> Decimal {
        crate::market::decimal(text).unwrap()
    }

    fn level(price: &str, size: &str) -> Level {
        let (price, size) = (number(price), number(size));
        Level { price, size }
    }

    #[test]
    fn a_first_book_says_its_levels_its_step_and_the_last_trade() {
        let frame = r#"[{"market":"0x1","asset_id":"71","timestamp":"1790908667676","hash":"9e","bids":[{"price":"0.01","size":"112689"},
            {"price":".03","size":"41666.32"}],"asks":[{"price":"0.99","size":"37677.02"}],"tick_size":"0.01","event_type":"book",
            "last_trade_price":"0.140"}]"#;
        let expected = Book {
            instrument: "71",
            bids: vec![level("0.01", "112689"), level("0.03", "41666.32")],
            asks: vec![level("0.99", "37677.02")],
            tick_size: Some(number("0.01")),
            last_trade_price: Some(number("0.140")),
            venue_time_ms: Some(1_790_908_667_676),
        };
        assert_eq!(one(frame), Value::Book(expected));
    }

    #[test]
    fn a_later_book_lacks_the_step_and_an_untraded_one_the_last_trade() {
        let frame = r#"{"asset_id":"71", "bids":[], "asks":[], "last_trade_price":"", "event_type":"book"}"#;
        let expected = Book {
            instrument: "71",
            bids: vec![],
            asks: vec![],
            tick_size: None,
            last_trade_price: None,
            venue_time_ms: None,
        };
        assert_eq!(one(frame), Value::Book(expected));
    }

    #[test]
    fn a_price_change_is_one_value_for_each_change() {
        let frame = r#"{"market":"0x1", "price_changes":[{"asset_id":"1", "price":"0.06", "size":"374.34", "side":"BUY", "hash":"f3",
            "best_bid":"0.07", "best_ask":"0.08"}, {"asset_id":"2", "price":"0.94", "size":"0", "side":"SELL"}],
            "timestamp":"7", "event_type":"price_change"}"#;
        let bought = PriceChange {
            instrument: "1",
            side: Side::Buy,
            price: number("0.06"),
            size: Some(number("374.34")),
            best_bid: Some(number("0.07")),
            best_ask: Some(number("0.08")),
            venue_time_ms: Some(7),
        };
        let sold = PriceChange {
            instrument: "2",
            side: Side::Sell,
            price: number("0.94"),
            size: Some(Decimal::ZERO),
            best_bid: None,
            best_ask: None,
            venue_time_ms: Some(7),
        };
        assert_eq!(
            read(frame),
            [Ok(Value::PriceChange(bought)), Ok(Value::PriceChange(sold))]
        );
    }

    #[test]
    fn a_price_change_without_a_size_says_that_it_has_none() {
        for size in ["", r#""size":null,"#, r#""size":"","#] {
            let frame = format!(
                r#"{{"event_type":"price_change","price_changes":[{{"asset_id":"1","price":"0.51",{size}"side":"BUY"}}]}}"#
            );
            let Value::PriceChange(change) = one(&frame) else {
                panic!("{frame}")
            };
            assert_eq!((change.price, change.size), (number("0.51"), None));
        }
    }

    #[test]
    fn a_trade_says_what_the_taker_did() {
        let frame = r#"{"market":"0x1", "asset_id":"71", "price":"0.585", "size":"2.46", "fee_rate_bps":"0", "side":"SELL",
            "timestamp":"1786728467101", "event_type":"last_trade_price", "transaction_hash":"0x6c83"}"#;
        let expected = Trade {
            instrument: "71",
            price: number("0.585"),
            size: Some(number("2.46")),
            side: Some(Side::Sell),
            id: Some("0x6c83"),
            venue_time_ms: Some(1_786_728_467_101),
        };
        assert_eq!(one(frame), Value::Trade(expected));
        let bare = Trade {
            size: None,
            side: None,
            id: None,
            venue_time_ms: None,
            ..expected
        };
        let frame = r#"{"event_type":"last_trade_price","asset_id":"71","price":"0.585"}"#;
        assert_eq!(one(frame), Value::Trade(bare));
    }

    #[test]
    fn best_prices_that_no_order_can_have_say_that_there_is_none() {
        for (bid, ask, expected) in [
            ("0.73", "0.77", (Some("0.73"), Some("0.77"))),
            ("0", "0.5", (None, Some("0.5"))),
            ("0.5", "1", (Some("0.5"), None)),
            ("", "", (None, None)),
        ] {
            let best = format!(r#""best_bid":"{bid}", "best_ask":"{ask}""#);
            let frame = format!(r#"{{"asset_id":"71", {best}, "spread":"0.04", "event_type":"best_bid_ask"}}"#);
            let expected = (expected.0.map(number), expected.1.map(number));
            let Value::BestPrices(read) = one(&frame) else {
                panic!("{frame}")
            };
            assert_eq!((read.instrument, read.bid, read.ask), ("71", expected.0, expected.1));
            let frame = format!(
                r#"{{"event_type":"price_change","price_changes":[{{"asset_id":"71","price":"0.5","side":"BUY",{best}}}]}}"#
            );
            let Value::PriceChange(read) = one(&frame) else {
                panic!("{frame}")
            };
            assert_eq!((read.best_bid, read.best_ask), expected);
        }
    }

    #[test]
    fn a_tick_size_change_says_the_new_step() {
        let frame = r#"{"asset_id":"71", "old_tick_size":"0.01", "new_tick_size":"0.001", "timestamp":"7", "event_type":"tick_size_change"}"#;
        let expected = TickSize {
            instrument: "71",
            tick_size: number("0.001"),
            venue_time_ms: Some(7),
        };
        assert_eq!(one(frame), Value::TickSize(expected));
    }

    #[test]
    fn a_resolved_market_says_of_each_token_whether_it_has_won() {
        let resolved = |instrument, won| {
            let venue_time_ms = Some(7);
            Ok(Value::Resolved(Resolved {
                instrument,
                won,
                venue_time_ms,
            }))
        };
        let frame = r#"{"event_type":"market_resolved","assets_ids":["1","2"],"winning_asset_id":"2","timestamp":"7"}"#;
        assert_eq!(read(frame), [resolved("1", Some(false)), resolved("2", Some(true))]);
        let frame = r#"{"event_type":"market_resolved","assets_ids":["1"],"timestamp":"7"}"#;
        assert_eq!(read(frame), [resolved("1", None)]);
    }

    #[test]
    fn what_is_no_value_is_no_error() {
        for frame in [
            "PONG",
            "NO NEW ASSETS",
            "INVALID OPERATION",
            "",
            "hello",
            "[]\n",
            r#"{"event_type":"new_market","assets_ids":["1"],"timestamp":"5"}"#,
            r#"{"event_type":"trade","asset_id":"1","price":"0.0030000000012","size":"x"}"#,
            r#"{"event_type":"order","asset_id":"1","price":7}"#,
            r#"{"event_type":"quake","asset_id":[[[]]]}"#,
        ] {
            assert_eq!(read(frame), [], "{frame}");
        }
    }

    /// A frame, and what is said of it: whose value is lost, the field, what is wrong with it, and what would be right.
    const WRONG: &str = r#"
{"event_type":"book","asset_id":"7","bids":[{"price":"0.1","size":"5"},{"price":"NaN","size":"5"}],"asks":[]}
7: event 0: bids[1].price: "NaN"; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"book","asset_id":"7","bids":[],"asks":[{"price":"0.1","size":"-5"}]}
7: event 0: asks[0].size: "-5"; valid: a decimal of 0 or more in quotes, such as "219.21"

{"event_type":"book","asset_id":"7","bids":[],"asks":[{"price":"0.1"}]}
7: event 0: asks[0].size: missing; valid: a decimal of 0 or more in quotes, such as "219.21"

{"event_type":"book","asset_id":"7","bids":[],"asks":[[]]}
7: event 0: asks[0]: []; valid: an object

{"event_type":"book","asset_id":"7","bids":[],"asks":{}}
7: event 0: asks: {}; valid: a list

{"event_type":"book","asset_id":"7","bids":null,"asks":[]}
7: event 0: bids: missing; valid: a list

{"event_type":"book","asset_id":"7","bids":[],"asks":[],"tick_size":"2"}
7: event 0: tick_size: "2"; valid: a decimal above 0 and up to 1 in quotes, such as "0.001"

{"event_type":"book","asset_id":"7","bids":[],"asks":[],"last_trade_price":0}
7: event 0: last_trade_price: 0; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"book","bids":[],"asks":[]}
?: event 0: asset_id: missing; valid: a text in quotes, without escapes

{"event_type":"last_trade_price","asset_id":"7","price":0.5}
7: event 0: price: 0.5; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"last_trade_price","asset_id":"7","price":"1.01"}
7: event 0: price: "1.01"; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"last_trade_price","asset_id":"7","price":"-0.5"}
7: event 0: price: "-0.5"; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"last_trade_price","asset_id":"7","price":"5e-1"}
7: event 0: price: "5e-1"; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"last_trade_price","asset_id":"7","price":"\u0030.5"}
7: event 0: price: "\u0030.5"; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"last_trade_price","asset_id":"7","price":"0.000000000000000000000000000000000000001"}
7: event 0: price: "0.0000000000000000000000000000000000000...; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"last_trade_price","asset_id":"7","price":"0.5","side":"buy"}
7: event 0: side: "buy"; valid: "BUY" or "SELL"

{"event_type":"last_trade_price","asset_id":"7","price":"0.5","transaction_hash":7}
7: event 0: transaction_hash: 7; valid: a text in quotes, without escapes

{"event_type":"price_change","price_changes":[{"asset_id":"7","price":"0.5","size":"1"}]}
7: event 0: price_changes[0].side: missing; valid: "BUY" or "SELL"

{"event_type":"price_change","price_changes":[{"price":"0.5","size":"1","side":"BUY"}]}
?: event 0: price_changes[0].asset_id: missing; valid: a text in quotes, without escapes

{"event_type":"price_change","price_changes":[{"asset_id":"7","price":"0.5","side":"BUY","best_bid":"x"}]}
7: event 0: price_changes[0].best_bid: "x"; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"price_change","price_changes":[7]}
?: event 0: price_changes[0]: 7; valid: an object

{"event_type":"price_change"}
?: event 0: price_changes: missing; valid: a list

{"event_type":"best_bid_ask","asset_id":"7","best_ask":"2"}
7: event 0: best_ask: "2"; valid: a decimal from 0 to 1 in quotes, such as "0.525"

{"event_type":"tick_size_change","asset_id":"7","new_tick_size":"0"}
7: event 0: new_tick_size: "0"; valid: a decimal above 0 and up to 1 in quotes, such as "0.001"

{"event_type":"market_resolved","assets_ids":[7]}
?: event 0: assets_ids[0]: 7; valid: a text in quotes, without escapes

{"event_type":"market_resolved","assets_ids":["7"],"winning_asset_id":[]}
7: event 0: winning_asset_id: []; valid: a text in quotes, without escapes

{}
?: event 0: event_type: missing; valid: a text in quotes, without escapes

{"event_type":["book"]}
?: event 0: event_type: ["book"]; valid: a text in quotes, without escapes

[7]
?: event 0: 7; valid: an object
"#;

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_would_be_right() {
        for case in WRONG.trim().split("\n\n") {
            let (frame, expected) = case.split_once('\n').unwrap();
            let errors = errors(frame).into_iter();
            let said: Vec<_> = errors
                .map(|(error, lost)| format!("{}: {error}", lost.unwrap_or("?".into())))
                .collect();
            assert_eq!(said, [expected], "{frame}");
        }
    }

    #[test]
    fn what_is_wrong_is_shown_on_one_line() {
        let frame = "{\"event_type\":\"last_trade_price\",\"asset_id\":\"7\",\"price\":{\"a\":\n\t1}}";
        let expected = r#"event 0: price: {"a":  1}; valid: a decimal from 0 to 1 in quotes, such as "0.525""#;
        assert_eq!(errors(frame), [(expected.to_owned(), Some("7".to_owned()))]);
    }

    #[test]
    fn an_event_that_is_wrong_hides_no_other() {
        let frame = r#"[{"event_type":"book","asset_id":"1","bids":[{"price":"2","size":"1"}],"asks":[]}, null,
            {"event_type":"price_change","price_changes":[{"asset_id":"2","price":"x","side":"BUY"}, 5, {"asset_id":"3","price":"0.5","side":"BUY"}]},
            {"event_type":"last_trade_price","asset_id":"4","price":"0.5"}]"#;
        let seen: Vec<_> = read(frame)
            .into_iter()
            .map(|value| match value {
                Ok(value) => Ok(value.instrument().to_owned()),
                Err(error) => Err((error.event, error.field)),
            })
            .collect();
        let wrong = |event, field: &str| Err((event, field.to_owned()));
        let expected = [
            wrong(0, "bids[0].price"),
            wrong(1, ""),
            wrong(2, "price_changes[0].price"),
            wrong(2, "price_changes[1]"),
            Ok("3".to_owned()),
            Ok("4".to_owned()),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_stands_before_broken_json_is_read() {
        let trade = r#"{"event_type":"last_trade_price","asset_id":"1","price":"0.5"}"#;
        for (frame, problem) in [
            (
                format!("[{trade},{{"),
                "event 1: EOF while parsing an object at line 1 column 65; valid: JSON to the end",
            ),
            (
                format!("{trade} x"),
                "event 1: trailing characters at line 1 column 64; valid: JSON to the end",
            ),
        ] {
            assert!(read(&frame)[0].is_ok(), "{frame}");
            assert_eq!(errors(&frame), [(problem.to_owned(), None)], "{frame}");
        }
    }

    #[test]
    fn of_a_field_that_is_named_twice_the_last_counts() {
        let frame = r#"{"event_type":"last_trade_price","asset_id":"1","price":"x","price":"0.5"}"#;
        let Value::Trade(trade) = one(frame) else { panic!() };
        assert_eq!(trade.price, number("0.5"));
    }

    #[test]
    fn ten_thousand_levels_of_nesting_do_no_harm() {
        let (open, shut) = ("[".repeat(10_000), "]".repeat(10_000));
        let frame = format!(r#"{{"event_type":"book","asset_id":"1","bids":{open}{shut},"asks":[]}}"#);
        assert_eq!(errors(&frame)[0].1, Some("1".into()));
        assert_eq!(errors(&format!("{open}{shut}")).len(), 1);
    }

    proptest! {
        #[test]
        fn prices_and_sizes_are_read_as_they_stand(price in "0(\\.[0-9]{1,4})?", size in "(0|[1-9][0-9]{0,8})(\\.[0-9]{1,6})?") {
            let frame = format!(
                r#"{{"event_type":"last_trade_price","asset_id":"1","price":"{price}","size":"{size}"}}"#
            );
            let Value::Trade(trade) = one(&frame) else { panic!("{frame}") };
            prop_assert_eq!((trade.price.to_string(), trade.size.unwrap().to_string()), (price, size));
        }

        #[test]
        fn no_text_makes_it_panic(frame in r#"[\[\]{}":,a-z0-9 \\]{0,200}|\PC{0,100}"#) {
            let _ = read(&frame);
        }

        #[test]
        fn no_event_makes_it_panic(name in "book|price_change|last_trade_price|market_resolved", rest in r#"[\[\]{}":,a-z0-9._ ]{0,100}"#) {
            let _ = read(&format!(r#"{{"event_type":"{name}","bids":[{rest}],"price_changes":[{rest}],"assets_ids":[{rest}],"price":"{rest}"}}"#));
        }
    }
}
