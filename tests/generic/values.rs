//! Values of described venues, against what the frames say.

use super::value::told;
use super::{described, venue};
use feedwatch::sim::Capture;
use feedwatch::venue::VenueRef;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::Path;

/// What each frame says, one line a value.
pub(crate) fn values(venue: &VenueRef, frames: &[&str]) -> Vec<String> {
    let (mut decoder, mut lines) = (venue.decoder(), Vec::new());
    for frame in frames {
        decoder.values(frame, &mut |value| lines.push(told(&value)));
    }
    lines
}

#[test]
fn bitget_tells_trades_books_and_tickers() {
    let bitget = venue("bitget");
    let frame = |channel: &str, action: &str, data: &str| {
        let arg = format!(r#"{{"instType":"SPOT","channel":"{channel}","instId":"BTCUSDT"}}"#);
        format!(r#"{{"action":"{action}","arg":{arg},"data":{data},"ts":1700000000999}}"#)
    };
    let trades = r#"[{"ts":"1700000000001","price":"26372.50","size":"0.1094","side":"buy","tradeId":"1092"},
        {"ts":"1700000000002","price":"0","size":"-1","side":"sell","tradeId":"1093"},
        {"ts":"1700000000003","price":"26372.4","size":"2","side":"auction","tradeId":"1094"}]"#;
    assert_eq!(
        values(&bitget, &[&frame("trade", "snapshot", trades)]),
        [
            "trade BTCUSDT buy 0.1094 @ 26372.50 #1092 at 1700000000001",
            r#"error: event 1: size: "-1"; valid: a decimal of 0 or more, such as "219.21" or 219.21"#,
            "trade BTCUSDT ? 2 @ 26372.4 #1094 at 1700000000003",
        ]
    );
    let book = r#"[{"asks":[["27000.5","8.760"],["27001.0","0.400"]],"bids":[["27000.0","2.71"]],"checksum":0,"seq":123,"ts":"1700000000004"}]"#;
    let whole = "book BTCUSDT [27000.0x2.71] [27000.5x8.760,27001.0x0.400] at 1700000000004";
    for channel in ["books", "books1", "books5", "books15"] {
        assert_eq!(
            values(&bitget, &[&frame(channel, "snapshot", book)]),
            [whole],
            "{channel}"
        );
    }
    let change = r#"[{"asks":[["27001.0","0"]],"bids":[["26999.9","1"]],"seq":124,"ts":"1700000000005"}]"#;
    assert_eq!(
        values(&bitget, &[&frame("books", "update", change)]),
        [
            "change BTCUSDT buy 26999.9x1 at 1700000000005",
            "change BTCUSDT sell 27001.0x0 at 1700000000005",
        ]
    );
    let ticker = r#"[{"instId":"BTCUSDT","lastPr":"27000.00","bidPr":"26999.9","askPr":"","ts":"1700000000006"}]"#;
    assert_eq!(
        values(&bitget, &[&frame("ticker", "snapshot", ticker)]),
        [
            "best BTCUSDT 26999.9 ? at 1700000000006",
            "last BTCUSDT 27000.00 at 1700000000006",
        ]
    );
    let silent = [
        "pong",
        r#"{"event":"subscribe","arg":{"channel":"trade","instId":"BTCUSDT"}}"#,
        r#"{"event":"error","code":30001,"msg":"none"}"#,
        &frame("candle1m", "update", r#"[["1700000000000","1","2","0","1","9"]]"#),
        &frame("auction", "update", r#"[{"price":"1"}]"#),
    ];
    assert!(values(&bitget, &silent).is_empty());
    let no_list = frame("trade", "update", r#"{"price":"1"}"#);
    let lost = values(&bitget, &[&no_list, "pang"]);
    assert!(
        lost[0].starts_with("error: event 0: {\"action\":\"update\""),
        "{lost:?}"
    );
    assert!(lost[1].ends_with("valid: JSON to the end"), "{lost:?}");
}

#[test]
fn upbit_tells_trades_and_books_whose_sides_share_a_list() {
    let upbit = venue("upbit");
    let trade = r#"{"ty":"trade","cd":"KRW-BTC","tms":1700000000456,"tp":41.20,"tv":5.0E-5,"ab":"ASK","sid":17000000000000001}"#;
    let book = r#"{"ty":"orderbook","cd":"KRW-ETH","tms":1700000000123,"obu":[{"ap":41.4,"bp":41.2,"as":9354.4915888,"bs":2},{"ap":41.5,"bp":0,"as":1,"bs":0}]}"#;
    let ticker = r#"{"ty":"ticker","cd":"KRW-ETH","tms":1700000000124,"tp":3040.0}"#;
    assert_eq!(
        values(&upbit, &[trade, book, ticker]),
        [
            "trade KRW-BTC sell 0.000050 @ 41.20 #17000000000000001 at 1700000000456",
            "book KRW-ETH [41.2x2,0x0] [41.4x9354.4915888,41.5x1] at 1700000000123",
            "last KRW-ETH 3040.0 at 1700000000124",
        ]
    );
}

/// An event for each change, names that are put together, and aliases.
#[test]
fn names_that_stand_nowhere_in_the_frame_are_told_all_the_same() {
    let venue = described(
        r#"
        subscribe = '{"op":"sub","id":"{instrument}"}'
        acknowledgements = [{ when = { "/op" = "ok" }, instrument = "/id", alias = "/number" }]
        [[venues.events]]
        kind = "book_delta"
        when = { "/op" = "changes" }
        each = "/all"
        instrument = { of = ["*/base", "*/quote"], join = "-", case = "upper" }
        price = "*/change/1"
        size = "*/change/2"
        side = "*/change/0"
        [[venues.events]]
        kind = "ticker"
        when = { "/op" = "best" }
        alias = "/number"
        bid = "/bid"
        ask = "/ask"
        "#,
    );
    let changes = r#"{"op":"changes","all":[{"base":"a","quote":"b","change":["buy","0.10","3"]},{"base":"c","quote":"d","change":["SELL",7,0]},{"base":"e","change":["buy",1,1]},{"base":"f","quote":"g","change":["hold",1,1]}]}"#;
    let best = r#"{"op":"best","number":7,"bid":1.50,"ask":0}"#;
    let lines = values(
        &venue,
        &[
            changes,
            best,
            r#"{"op":"ok","id":"X\u002fY","number":7}"#,
            best,
            r#"{"op":"best","number":7,"bid":1.50}"#,
        ],
    );
    assert_eq!(
        lines,
        [
            "change A-B buy 0.10x3",
            "change C-D sell 7x0",
            r#"error: event 2: instrument: "e"; valid: an instrument's name of at most 256 bytes"#,
            r#"error: event 3: side: "hold"; valid: one of the words for buy or sell that the description has"#,
            "error: event 0: alias: 7; valid: what an acknowledgement told of",
            "best X/Y 1.50 ?",
            r#"error: event 0: ask: missing; valid: a decimal of 0 or more, such as "219.21" or 219.21"#,
        ]
    );
}

#[test]
fn of_a_ticker_and_of_a_size_nothing_is_none_and_what_is_missing_an_error() {
    let venue = described(
        r#"
        [[venues.events]]
        kind = "trade"
        when = { "/p" = "*" }
        instrument = "/i"
        price = "/p"
        size = "/s"
        [[venues.events]]
        kind = "ticker"
        instrument = "/i"
        bid = "/b"
        ask = "/a"
        last = "/l"
        "#,
    );
    for (nobody, size) in [("null", "?"), (r#""""#, "?"), ("0", "0"), (r#""0.00""#, "0.00")] {
        let ticker = format!(r#"{{"i":"A","b":1,"a":{nobody},"l":{nobody}}}"#);
        assert_eq!(values(&venue, &[&ticker]), ["best A 1 ?"], "{nobody}");
        let trade = format!(r#"{{"i":"A","p":2,"s":{nobody}}}"#);
        assert_eq!(values(&venue, &[&trade]), [format!("trade A ? {size} @ 2")], "{nobody}");
    }
    let missing =
        |name| format!(r#"error: event 0: {name}: missing; valid: a decimal of 0 or more, such as "219.21" or 219.21"#);
    assert_eq!(
        values(&venue, &[r#"{"i":"A","b":1,"a":2}"#, r#"{"i":"A","p":2}"#]),
        ["best A 1 2".to_owned(), missing("last"), missing("size")]
    );
}

#[test]
fn a_list_that_is_missing_is_none_and_one_that_is_null_is_empty() {
    let venue = described(
        r#"
        [[venues.events]]
        kind = "book_snapshot"
        when = { "/whole" = true }
        instrument = "/i"
        bids = "/b"
        asks = "/a"
        [[venues.events]]
        kind = "book_delta"
        instrument = "/i"
        bids = "/b"
        asks = "/a"
        "#,
    );
    let missing = "missing; valid: a list of levels, 65536 at most";
    for (frame, expected) in [
        (
            r#"{"whole":true,"i":"A","b":null,"a":[]}"#,
            vec!["book A [] []".to_owned()],
        ),
        (
            r#"{"whole":true,"i":"A","b":[]}"#,
            vec![format!("error: event 0: asks: {missing}")],
        ),
        (r#"{"i":"A","a":[[1,"2"]]}"#, vec!["change A sell 1x2".to_owned()]),
        (r#"{"i":"A","a":null}"#, vec![]),
        (r#"{"i":"A"}"#, vec![format!("error: event 0: bids: {missing}")]),
        (
            r#"{"i":"A","b":{"1":"2"},"a":[[3,4]]}"#,
            vec![
                r#"error: event 0: bids: {"1":"2"}; valid: a list of levels, 65536 at most"#.to_owned(),
                "change A sell 3x4".to_owned(),
            ],
        ),
    ] {
        assert_eq!(values(&venue, &[frame]), expected, "{frame}");
    }
}

#[test]
fn the_values_of_the_documentation_come_of_its_frames() {
    let text = include_str!("../../docs/generic-venue.md");
    let section = text.split("\n## Values\n").nth(1).unwrap();
    let block = |language: &str| {
        let block = section.split(&format!("```{language}\n")).nth(1).unwrap();
        block.split("```").next().unwrap()
    };
    let venue = described(block("toml"));
    let frames: Vec<_> = block("json").lines().collect();
    let expected: Vec<_> = block("text").lines().collect();
    assert_eq!(values(&venue, &frames), expected);
}

/// A number of a frame as the text that it is.
#[derive(Deserialize)]
struct Level<'f> {
    #[serde(borrow)]
    ap: &'f RawValue,
    bp: &'f RawValue,
    #[serde(rename = "as")]
    asked: &'f RawValue,
    #[serde(rename = "bs")]
    bid: &'f RawValue,
}

#[derive(Deserialize)]
struct Upbit<'f> {
    cd: &'f str,
    tms: i64,
    ab: Option<&'f str>,
    sid: Option<u64>,
    #[serde(borrow)]
    tp: Option<&'f RawValue>,
    tv: Option<&'f RawValue>,
    obu: Option<Vec<Level<'f>>>,
}

/// A number without its exponent.
fn plain(raw: &RawValue) -> String {
    let Some((digits, exponent)) = raw.get().split_once('E') else {
        return raw.get().to_owned();
    };
    let places: usize = exponent.strip_prefix('-').unwrap().parse().unwrap();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    assert_eq!(whole.len(), 1, "{raw}");
    format!("0.{}{whole}{fraction}", "0".repeat(places - 1))
}

/// An independent reading: no number is ever more than its text.
fn independent_reading(frame: &str) -> String {
    let event: Upbit<'_> = serde_json::from_str(frame).unwrap();
    let Upbit { cd, tms, .. } = event;
    if let Some(levels) = event.obu {
        let side = |of: fn(&Level<'_>) -> [String; 2]| {
            let levels: Vec<_> = levels.iter().map(|level| of(level).join("x")).collect();
            levels.join(",")
        };
        let bids = side(|level| [plain(level.bp), plain(level.bid)]);
        let asks = side(|level| [plain(level.ap), plain(level.asked)]);
        format!("book {cd} [{bids}] [{asks}] at {tms}")
    } else {
        let side = if event.ab == Some("ASK") { "sell" } else { "buy" };
        let (amount, price) = (plain(event.tv.unwrap()), plain(event.tp.unwrap()));
        format!("trade {cd} {side} {amount} @ {price} #{} at {tms}", event.sid.unwrap())
    }
}

#[test]
#[ignore = "needs captures"]
fn every_recorded_value_of_upbit_is_read_as_it_is() {
    let (upbit, mut read) = (venue("upbit"), 0);
    let folder = std::env::var("FEEDWATCH_CAPTURES").unwrap_or_else(|_| "../shared/captures".to_owned());
    for entry in std::fs::read_dir(Path::new(&folder).join("upbit")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "zst") {
            continue;
        }
        for frame in Capture::read(&path).unwrap().frames() {
            let text = std::str::from_utf8(frame.payload()).unwrap();
            assert_eq!(values(&upbit, &[text]), [independent_reading(text)], "{text}");
            read += 1;
        }
    }
    assert_eq!(read, 1733);
}

#[test]
fn a_description_without_values_tells_none() {
    let frame = json!({"method": "eth_subscription", "params": {"subscription": "0x1", "result": {"number": "0x1"}}});
    assert!(values(&venue("ethereum"), &[&Value::to_string(&frame), "no JSON"]).is_empty());
}
