//! The shipped descriptions of venues: what they ask for, and how they read what such a venue says.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may fail"
)]

mod answers;
mod hostile;
mod keys;
mod probes;
mod sockets;
#[path = "../venues/value.rs"]
#[allow(dead_code, reason = "values alone are compared here")]
mod value;
mod values;

use feedwatch::config::{Config, Fate, StreamConfig};
use feedwatch::market::{DecodeError, EventKind, Instrument, Place, Sequence, Series, Subscribed};
use feedwatch::sim::Capture;
use feedwatch::venue::{Answer, Feed, Heard, Ping, Session, VenueRef};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;

const NO_VARIABLES: [(&str, &str); 0] = [];

fn shipped(name: &str) -> StreamConfig {
    let path = format!("config/venues/{name}.toml");
    let mut config = Config::load(Path::new(&path), NO_VARIABLES).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((config.venues.len(), config.streams.len()), (1, 1));
    config.streams.remove(0)
}

fn venue(name: &str) -> VenueRef {
    shipped(name).venue
}

/// The venue that this describes, but for its name and its address.
fn described(text: &str) -> VenueRef {
    let text =
        format!("[[venues]]\nname = 'v'\nurl = 'wss://v.example'\n{text}\n[[streams]]\nname = 's'\nvenue = 'v'\n");
    let mut config = Config::parse("f", &text, NO_VARIABLES).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    config.streams.remove(0).venue
}

fn instruments(ids: &[&str]) -> Vec<Instrument> {
    ids.iter().copied().map(Instrument::new).collect()
}

fn json(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// Kind, instrument, time and number of each event.
type Seen = (EventKind, Option<String>, Option<i64>, Option<Sequence>);

fn decode(venue: &VenueRef, frames: &[&str]) -> (Vec<Seen>, Result<(), DecodeError>) {
    let (mut decoder, mut seen, mut last) = (venue.decoder(), Vec::new(), Ok(()));
    for frame in frames {
        last = decoder.decode(frame, &mut |event| {
            let instrument = event.instrument.map(str::to_owned);
            seen.push((event.kind, instrument, event.venue_time_ms, event.sequence.copied()));
        });
    }
    (seen, last)
}

fn one(venue: &VenueRef, frame: &str) -> Seen {
    let (mut seen, read) = decode(venue, &[frame]);
    assert_eq!((seen.len(), read), (1, Ok(())), "{frame}");
    seen.remove(0)
}

#[allow(clippy::unnecessary_wraps, reason = "compared with what may be nothing")]
fn settled(accepted: &[&str]) -> Option<Heard> {
    Some(Heard::Answer(Answer::Settled(Subscribed {
        accepted: instruments(accepted),
        ..Subscribed::default()
    })))
}

fn rejected(heard: Option<Heard>) -> (Vec<Instrument>, String) {
    match heard {
        Some(Heard::Answer(
            Answer::Rejected(mut refused, failure) | Answer::RejectedTogether(mut refused, failure),
        )) => {
            refused.sort();
            (refused, failure.detail.into_owned())
        }
        other => panic!("{other:?}"),
    }
}

fn session(venue: &VenueRef) -> Box<dyn Session> {
    venue.session(&Feed::default())
}

#[test]
fn upbit_is_asked_for_everything_at_once_and_answers_with_data() {
    let upbit = venue("upbit");
    assert_eq!(upbit.heartbeat().ping, Ping::Frame);
    let mut session = session(&upbit);
    let request = |id: u64, codes: &[&str]| {
        json!([
            {"ticket": format!("feedwatch-{id}")},
            {"type": "trade", "codes": codes},
            {"type": "orderbook", "codes": codes},
            {"format": "SIMPLE"}
        ])
    };
    let asked = session.subscribe(&instruments(&["KRW-BTC", "KRW-ETH"]));
    assert_eq!(json(&asked), [request(1, &["KRW-BTC", "KRW-ETH"])]);
    assert!(session.is_awaiting() && session.hears_data());

    let book = r#"{"ty":"orderbook","cd":"KRW-ETH","tms":1700000000123,"obu":[{"ap":2.0,"bp":1.0,"as":3,"bs":4}],"st":"SNAPSHOT"}"#;
    assert_eq!(session.hear(book), settled(&["KRW-ETH"]));
    assert_eq!(session.hear(book), None, "an answer counts once");
    assert_eq!(session.hear(r#"{"status":"UP"}"#), None);
    let trade =
        r#"{"ty":"trade","cd":"KRW-BTC","tp":1.0,"tv":2.0,"ab":"BID","tms":1700000000456,"sid":17,"st":"REALTIME"}"#;
    assert_eq!(session.hear(trade), settled(&["KRW-BTC"]));
    assert!(!session.is_awaiting() && !session.hears_data());

    let more = session.subscribe(&instruments(&["KRW-XRP"]));
    assert_eq!(json(&more), [request(2, &["KRW-BTC", "KRW-ETH", "KRW-XRP"])]);
    let refusal = r#"{"error":{"name":"WRONG_FORMAT","message":"not like this"}}"#;
    let (refused, words) = rejected(session.hear(refusal));
    assert_eq!(
        (refused, words.as_str()),
        (instruments(&["KRW-XRP"]), "WRONG_FORMAT, not like this")
    );
    let fewer = session.unsubscribe(&instruments(&["KRW-ETH", "KRW-XRP"]));
    assert_eq!(json(&fewer), [request(3, &["KRW-BTC"])]);
    assert!(
        session.unsubscribe(&instruments(&["KRW-BTC"])).is_empty(),
        "there is no way to ask for nothing"
    );

    let own = |id: &str| Some(id.to_owned());
    let time = Some(1_700_000_000_123);
    assert_eq!(one(&upbit, book), (EventKind::BookSnapshot, own("KRW-ETH"), time, None));
    assert_eq!(one(&upbit, trade).0, EventKind::Trade);
    assert_eq!(one(&upbit, r#"{"status":"UP"}"#).0, EventKind::Heartbeat);
    assert_eq!(one(&upbit, refusal).0, EventKind::Error);
    let unknown = r#"{"ty":"myOrder","cd":"KRW-BTC"}"#;
    assert_eq!(decode(&upbit, &[unknown]), (vec![], Err(DecodeError::UnknownChannel)));
    let nameless = r#"{"ty":"trade","tms":1}"#;
    assert_eq!(decode(&upbit, &[nameless]), (vec![], Err(DecodeError::Schema)));
}

#[test]
fn bitget_answers_for_each_channel_of_each_instrument() {
    let bitget = venue("bitget");
    assert_eq!(bitget.heartbeat().ping, Ping::text("ping"));
    let mut session = session(&bitget);
    let arg = |channel: &str, id: &str| json!({"instType": "SPOT", "channel": channel, "instId": id});
    let args = [("trade", "A"), ("books", "A"), ("trade", "B"), ("books", "B")].map(|(channel, id)| arg(channel, id));
    let asked = session.subscribe(&instruments(&["A", "B"]));
    assert_eq!(json(&asked), [json!({"op": "subscribe", "args": args})]);
    let answer = |event: &str, channel: &str, id: &str| {
        json!({"event": event, "arg": arg(channel, id), "code": 30001, "msg": "no such symbol"}).to_string()
    };
    assert_eq!(session.hear(&answer("subscribe", "trade", "A")), None);
    assert_eq!(session.hear(&answer("subscribe", "books", "A")), settled(&["A"]));
    assert_eq!(session.hear(&answer("subscribe", "trade", "B")), None);
    let (refused, words) = rejected(session.hear(&answer("error", "books", "B")));
    assert_eq!(
        (refused, words.as_str()),
        (instruments(&["B"]), "no such symbol, 30001")
    );
    assert!(!session.is_awaiting());
    assert_eq!(session.hear("pong"), Some(Heard::Pong));
    let ended = session.unsubscribe(&instruments(&["A"]));
    assert_eq!(
        json(&ended),
        [json!({"op": "unsubscribe", "args": [arg("trade", "A"), arg("books", "A")]})]
    );
    assert_eq!(session.hear(&answer("unsubscribe", "trade", "A")), None);

    session.subscribe(&instruments(&["C", "D"]));
    let whole = r#"{"event":"error","code":30002,"msg":"unrecognised request","op":"subscribe"}"#;
    let (refused, words) = rejected(session.hear(whole));
    assert_eq!(
        (refused, words.as_str()),
        (instruments(&["C", "D"]), "unrecognised request, 30002")
    );
    assert!(!session.is_awaiting());

    let data = |channel: &str, action: &str, data: Value| {
        json!({"action": action, "arg": arg(channel, "A"), "data": data, "ts": 1_700_000_000_999_u64}).to_string()
    };
    let trades = data(
        "trade",
        "update",
        json!([
            {"ts": "1700000000001", "price": "1.5", "size": "2", "side": "buy", "tradeId": "9"},
            {"ts": "1700000000002", "price": "1.6", "size": "1", "side": "sell", "tradeId": "8"}
        ]),
    );
    let (seen, read) = decode(&bitget, &[&trades]);
    let trade = |time| (EventKind::Trade, Some("A".to_owned()), Some(time), None);
    assert_eq!(
        (seen, read),
        (vec![trade(1_700_000_000_001), trade(1_700_000_000_002)], Ok(()))
    );
    let book = json!([{"asks": [["2", "1"]], "bids": [], "checksum": 0, "seq": 5, "ts": "1700000000003"}]);
    for (channel, action, kind) in [
        ("books", "snapshot", EventKind::BookSnapshot),
        ("books", "update", EventKind::BookDelta),
        ("books5", "snapshot", EventKind::BookSnapshot),
        ("ticker", "snapshot", EventKind::Ticker),
        ("candle1m", "update", EventKind::Candle),
    ] {
        assert_eq!(one(&bitget, &data(channel, action, book.clone())).0, kind, "{channel}");
    }
    assert_eq!(one(&bitget, &answer("unsubscribe", "trade", "A")).0, EventKind::Ack);
    assert_eq!(one(&bitget, "pong").0, EventKind::Heartbeat);
    assert_eq!(
        decode(&bitget, &[&data("auction", "update", book)]).1,
        Err(DecodeError::UnknownChannel)
    );
    assert_eq!(
        decode(&bitget, &[&data("trade", "update", json!({}))]).1,
        Err(DecodeError::Schema)
    );
    assert_eq!(decode(&bitget, &["pang"]).1, Err(DecodeError::Json));
}

#[test]
fn a_node_calls_a_subscription_by_an_alias() {
    let node = venue("ethereum");
    let mut session = session(&node);
    let asked = session.subscribe(&instruments(&["newHeads", "nonsense"]));
    let request = |id: &str| json!({"jsonrpc": "2.0", "id": id, "method": "eth_subscribe", "params": [id]});
    assert_eq!(json(&asked), [request("newHeads"), request("nonsense")]);
    let granted = r#"{"jsonrpc":"2.0","id":"newHeads","result":"0x9ce5"}"#;
    assert_eq!(session.hear(granted), settled(&["newHeads"]));
    let refusal = r#"{"jsonrpc":"2.0","id":"nonsense","error":{"code":-32602,"message":"no \"nonsense\" here"}}"#;
    let (refused, words) = rejected(session.hear(refusal));
    assert_eq!(
        (refused, words.as_str()),
        (instruments(&["nonsense"]), "no \"nonsense\" here, -32602")
    );
    let ended = session.unsubscribe(&instruments(&["newHeads"]));
    let end = json!({"jsonrpc": "2.0", "id": "end of newHeads", "method": "eth_unsubscribe", "params": ["0x9ce5"]});
    assert_eq!(json(&ended), [end]);
    assert_eq!(
        session.hear(r#"{"jsonrpc":"2.0","id":"end of newHeads","result":true}"#),
        None
    );
    assert!(
        session.unsubscribe(&instruments(&["newHeads"])).is_empty(),
        "it has no name any more"
    );

    let block = r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x9ce5","result":{"number":"0x1b4","timestamp":"0x656ff8","hash":"0xab"}}}"#;
    let place = |number| Sequence {
        series: Series::Instrument(2),
        place: Place::Next(number),
    };
    let (seen, read) = decode(&node, &[granted, block]);
    assert_eq!(read, Ok(()));
    assert_eq!(
        seen[1],
        (
            EventKind::Ticker,
            Some("newHeads".to_owned()),
            Some(6_647_800_000),
            Some(place(436))
        )
    );
    assert_eq!(one(&node, block).1, None, "nobody said whose it is");
    let waiting = r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1","result":"0xfe"}}"#;
    assert_eq!(one(&node, waiting), (EventKind::Ticker, None, None, None));
}

#[test]
fn a_changed_description_replaces_the_streams_of_its_venue_and_no_others() {
    let text = std::fs::read_to_string("config/venues/bitget.toml").unwrap();
    let text = format!("{text}\n[[streams]]\nname = \"other\"\nvenue = \"polymarket\"\n");
    let parse = |text: &str| Config::parse("f", text, NO_VARIABLES).unwrap();
    let before = parse(&text);
    let next = parse(&text.replace("ping_interval_ms = 30000", "ping_interval_ms = 20000"));
    let difference = before.difference(&next).unwrap();
    assert_eq!(difference.keys, ["venues"]);
    let fates: Vec<_> = difference.streams.into_iter().map(|(_, fate)| fate).collect();
    let keys = vec!["venues"];
    assert_eq!(fates[0], Fate::Replaced { keys });
    assert!(matches!(&fates[1], Fate::Kept { keys, changes } if keys.is_empty() && changes.is_empty()));
    assert!(before.difference(&parse(&text)).unwrap().keys.is_empty());
}

#[test]
fn the_headers_of_a_venue_go_with_its_streams() {
    let text = "[[venues]]\nname = 'v'\nurl = 'wss://v.example'\nheaders = { Origin = 'a', X-Key = 'secret-k' }
        events = [{ kind = 'trade' }]
        [[streams]]\nname = 's'\nvenue = 'v'\nheaders = { origin = 'b' }";
    let config = Config::parse("f", text, NO_VARIABLES).unwrap();
    let expected = feedwatch::stream::UpgradeHeaders::new([("origin", "b"), ("x-key", "secret-k")]).unwrap();
    assert_eq!(config.streams[0].access.headers, expected);
    assert!(!format!("{config:?}").contains("secret-k"));
}

/// An independent reading of what Upbit sends in its short form.
fn independent_reading(frame: &str) -> Seen {
    let event: Value = serde_json::from_str(frame).unwrap();
    let kind = match event["ty"].as_str().unwrap() {
        "trade" => EventKind::Trade,
        "orderbook" => EventKind::BookSnapshot,
        other => panic!("{other}"),
    };
    (
        kind,
        event["cd"].as_str().map(str::to_owned),
        event["tms"].as_i64(),
        None,
    )
}

#[test]
#[ignore = "needs captures"]
fn every_recorded_frame_of_upbit_is_read_as_it_is() {
    let upbit = venue("upbit");
    let (mut frames, mut kinds) = (0, std::collections::BTreeMap::new());
    let folder = std::env::var("FEEDWATCH_CAPTURES").unwrap_or_else(|_| "../shared/captures".to_owned());
    for entry in std::fs::read_dir(Path::new(&folder).join("upbit")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "zst") {
            continue;
        }
        let capture = Capture::read(&path).unwrap();
        for frame in capture.frames() {
            assert!(!frame.is_text(), "they are binary");
            let text = std::str::from_utf8(frame.payload()).unwrap();
            let seen = one(&upbit, text);
            assert_eq!(seen, independent_reading(text), "{text}");
            *kinds.entry(seen.0.as_str()).or_insert(0) += 1;
            frames += 1;
        }
    }
    assert_eq!(frames, 1733, "{kinds:?}");
    assert_eq!(kinds.len(), 2, "{kinds:?}");
}

/// JSON like that of venues, and unlike it.
fn any_frame() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "event",
        "arg",
        "channel",
        "instId",
        "data",
        "ts",
        "ty",
        "cd",
        "tms",
        "id",
        "result",
        "error",
        "method",
        "params",
        "subscription",
        "number",
        "timestamp",
        "action",
        "status",
        "trade",
        "books",
        "snapshot",
        "subscribe",
        "newHeads",
        "eth_subscription",
        "0x1f",
        "0x",
        "UP",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((words.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    });
    prop_oneof![any::<String>(), tree.prop_map(|tree| tree.to_string())]
}

static SHIPPED: LazyLock<[VenueRef; 3]> = LazyLock::new(|| ["upbit", "bitget", "ethereum"].map(venue));

proptest! {
    #[test]
    fn no_frame_panics(frames in prop::collection::vec(any_frame(), 1..8)) {
        for venue in &*SHIPPED {
            let (mut session, mut decoder) = (session(venue), venue.decoder());
            session.subscribe(&instruments(&["newHeads", "BTCUSDT"]));
            for frame in &frames {
                let _ = decoder.decode(frame, &mut |_| {});
                decoder.values(frame, &mut |_| {});
                let _ = session.hear(frame);
            }
        }
    }
}
