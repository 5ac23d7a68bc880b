//! Frames as Polymarket sent them, through the reader of values, against an independent reading that keeps every number as
//! the text that it is.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may fail"
)]

mod support;

use feedwatch::market::{Decimal, EventKind, Level, OrderBook, Side, Value, ValueError};
use feedwatch::sim::Capture;
use feedwatch::venue::{Polymarket, Venue};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;
use support::capture_files;

fn values(frame: &str) -> Vec<Result<Value<'_>, ValueError>> {
    let mut values = Vec::new();
    // A few bytes for good: values borrow from the decoder as well.
    let decoder = Box::leak(Polymarket.decoder());
    decoder.values(frame, &mut |value| values.push(value));
    values
}

/// A number as text, where there is one.
fn or_none(number: Option<Decimal>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

fn side(side: Option<Side>) -> &'static str {
    match side {
        Some(Side::Buy) => "BUY",
        Some(Side::Sell) => "SELL",
        None => "none",
    }
}

/// All that a value says, on one line.
fn said(value: &Value<'_>) -> String {
    let time = |time: Option<i64>| time.map_or_else(|| "none".to_owned(), |time| time.to_string());
    let levels = |levels: &[Level]| {
        let level = |level: &Level| format!("{}x{}", level.price, level.size);
        levels.iter().map(level).collect::<Vec<_>>().join(" ")
    };
    match value {
        Value::Book(book) => format!(
            "book {} [{}] [{}] {} {} {}",
            book.instrument,
            levels(&book.bids),
            levels(&book.asks),
            or_none(book.tick_size),
            or_none(book.last_trade_price),
            time(book.venue_time_ms)
        ),
        Value::PriceChange(change) => format!(
            "change {} {} {} {} {} {} {}",
            change.instrument,
            side(Some(change.side)),
            change.price,
            or_none(change.size),
            or_none(change.best_bid),
            or_none(change.best_ask),
            time(change.venue_time_ms)
        ),
        Value::Trade(trade) => format!(
            "trade {} {} {} {} {} {}",
            trade.instrument,
            trade.price,
            or_none(trade.size),
            side(trade.side),
            trade.id.unwrap_or("none"),
            time(trade.venue_time_ms)
        ),
        Value::BestPrices(best) => format!(
            "best {} {} {} {}",
            best.instrument,
            or_none(best.bid),
            or_none(best.ask),
            time(best.venue_time_ms)
        ),
        Value::TickSize(tick) => format!(
            "tick {} {} {}",
            tick.instrument,
            tick.tick_size,
            time(tick.venue_time_ms)
        ),
        Value::Resolved(resolved) => format!(
            "resolved {} {:?} {}",
            resolved.instrument,
            resolved.won,
            time(resolved.venue_time_ms)
        ),
        other => panic!("{other:?}"),
    }
}

/// The same lines from an event's JSON, by another way: no number is ever more than its text.
fn independent_reading(event: &Json) -> Vec<String> {
    let field = |of: &Json, name: &str| match of[name].as_str() {
        None | Some("") => "none".to_owned(),
        Some(text) => text.to_owned(),
    };
    let of_event = |name: &str| field(event, name);
    // A bid of 0 and an ask of 1 say that there is none.
    let best = |of: &Json, name: &str, none: &str| {
        Some(field(of, name))
            .filter(|price| price != none)
            .unwrap_or("none".into())
    };
    let levels = |name: &str| {
        let level = |level: &Json| format!("{}x{}", field(level, "price"), field(level, "size"));
        let levels = event[name].as_array().unwrap().iter();
        levels.map(level).collect::<Vec<_>>().join(" ")
    };
    let (token, time) = (of_event("asset_id"), of_event("timestamp"));
    match event["event_type"].as_str().unwrap() {
        "book" => vec![format!(
            "book {token} [{}] [{}] {} {} {time}",
            levels("bids"),
            levels("asks"),
            of_event("tick_size"),
            of_event("last_trade_price")
        )],
        "price_change" => {
            let change = |change: &Json| {
                format!(
                    "change {} {} {} {} {} {} {time}",
                    field(change, "asset_id"),
                    field(change, "side"),
                    field(change, "price"),
                    field(change, "size"),
                    best(change, "best_bid", "0"),
                    best(change, "best_ask", "1")
                )
            };
            event["price_changes"].as_array().unwrap().iter().map(change).collect()
        }
        "last_trade_price" => vec![format!(
            "trade {token} {} {} {} {} {time}",
            of_event("price"),
            of_event("size"),
            of_event("side"),
            of_event("transaction_hash")
        )],
        "best_bid_ask" => vec![format!(
            "best {token} {} {} {time}",
            best(event, "best_bid", "0"),
            best(event, "best_ask", "1")
        )],
        "tick_size_change" => vec![format!("tick {token} {} {time}", of_event("new_tick_size"))],
        "market_resolved" => {
            let tokens = event["assets_ids"].as_array().unwrap().iter();
            let won = |token: &Json| event["winning_asset_id"].as_str().map(|winner| token == winner);
            tokens
                .map(|token| format!("resolved {} {:?} {time}", token.as_str().unwrap(), won(token)))
                .collect()
        }
        // Not of instruments that were asked for, or not of this channel.
        "new_market" | "trade" | "order" => Vec::new(),
        other => panic!("{other}"),
    }
}

/// How many envelopes and values there are of each kind that both know.
#[derive(Debug, Default, PartialEq)]
struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    fn envelopes(&mut self, frame: &str) {
        Polymarket
            .decoder()
            .decode(frame, &mut |envelope| match envelope.kind {
                EventKind::BookSnapshot => self.count("book"),
                EventKind::BookDelta => self.count("change"),
                EventKind::Trade => self.count("trade"),
                EventKind::Ticker => self.count("best"),
                EventKind::Status if envelope.ended => self.count("resolved"),
                // A new market has no instrument here.
                EventKind::Status if envelope.instrument.is_some() => self.count("tick"),
                _ => {}
            })
            .unwrap();
    }

    fn value(&mut self, value: &Value<'_>) {
        self.count(match value {
            Value::Book(_) => "book",
            Value::PriceChange(_) => "change",
            Value::Trade(_) => "trade",
            Value::BestPrices(_) => "best",
            Value::TickSize(_) => "tick",
            Value::Resolved(_) => "resolved",
            other => panic!("{other:?}"),
        });
    }
}

/// In what the venue really sent, the best price is last on both sides.
fn check_best_prices(value: &Value<'_>) {
    if let Value::Book(snapshot) = value {
        let book = OrderBook::new(snapshot).unwrap();
        assert_eq!(book.best_bid(), snapshot.bids.last().copied());
        assert_eq!(book.best_ask(), snapshot.asks.last().copied());
        assert_eq!(
            (book.bids().len(), book.asks().len()),
            (snapshot.bids.len(), snapshot.asks.len())
        );
        assert!(!book.is_crossed());
    }
}

/// Every event of the market channel is read as what it says, number by number, and nothing else does any harm.
fn check_values(folder: &Path) -> BTreeMap<&'static str, usize> {
    let (mut envelopes, mut read) = (Tally::default(), Tally::default());
    for path in capture_files(folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for (index, frame) in Capture::read(&path).unwrap().frames().iter().enumerate() {
            let Ok(text) = std::str::from_utf8(frame.payload()) else {
                continue;
            };
            let values = values(text);
            if name.starts_with("sports__") {
                assert!(values.len() == 1 && values[0].is_err(), "{name}:{index}");
                continue;
            }
            let values: Vec<_> = values
                .into_iter()
                .map(|value| value.unwrap_or_else(|error| panic!("{name}:{index}: {error}")))
                .collect();
            let events = match serde_json::from_str(text) {
                Ok(Json::Array(events)) => events,
                Ok(event) => vec![event],
                // A control text.
                Err(_) => Vec::new(),
            };
            let expected: Vec<_> = events.iter().flat_map(independent_reading).collect();
            assert_eq!(values.iter().map(said).collect::<Vec<_>>(), expected, "{name}:{index}");

            if !text.is_empty() {
                envelopes.envelopes(text);
            }
            for value in &values {
                read.value(value);
                if !name.contains("example") {
                    check_best_prices(value);
                }
            }
        }
    }
    assert_eq!(envelopes, read, "every envelope of these kinds has its value");
    read.0
}

#[test]
fn every_fixture_event_is_read_as_what_it_says() {
    let read = check_values(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/polymarket"));
    let expected = [
        ("best", 1),
        ("book", 5),
        ("change", 8),
        ("resolved", 2),
        ("tick", 1),
        ("trade", 1),
    ];
    assert_eq!(read, BTreeMap::from(expected));
}

#[test]
#[ignore = "needs recorded captures"]
fn every_recorded_polymarket_event_is_read_as_what_it_says() {
    let read = check_values(&support::captures().join("polymarket"));
    let expected = [
        ("best", 4),
        ("book", 15),
        ("change", 7),
        ("resolved", 2),
        ("tick", 1),
        ("trade", 12),
    ];
    assert_eq!(read, BTreeMap::from(expected));
}

/// The books that the session's changes make are those that the venue sends whole later.
#[test]
fn changes_lead_to_the_venues_own_next_book() {
    let session = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/polymarket/market__session.jsonl");
    let capture = Capture::read(&session).unwrap();
    let mut books: BTreeMap<String, OrderBook> = BTreeMap::new();
    let mut compared = 0;
    for frame in capture.frames() {
        for value in values(std::str::from_utf8(frame.payload()).unwrap()) {
            match value.unwrap() {
                Value::Book(snapshot) => {
                    let whole = OrderBook::new(&snapshot).unwrap();
                    if let Some(kept) = books.insert(snapshot.instrument.to_owned(), whole.clone()) {
                        assert!(
                            kept.bids().eq(whole.bids()) && kept.asks().eq(whole.asks()),
                            "{kept:?} {whole:?}"
                        );
                        compared += 1;
                    }
                }
                Value::PriceChange(change) => {
                    let book = books.get_mut(change.instrument).unwrap();
                    book.apply(&change).unwrap();
                    assert_eq!(book.best_bid().map(|bid| bid.price), change.best_bid);
                    assert_eq!(book.best_ask().map(|ask| ask.price), change.best_ask);
                }
                _ => {}
            }
        }
    }
    assert_eq!(compared, 2);
}
