//! What a venue that is out of its mind, or an enemy, sends: it is told for what it is, and costs no more than its bytes.

use super::value::told;
use super::values::values;
use super::{described, instruments, session, settled, venue};
use feedwatch::clock::Moment;
use feedwatch::market::{DecodeError, Value};
use feedwatch::venue::{Heard, VenueRef};
use proptest::prelude::*;
use std::sync::LazyLock;
use std::time::Duration;

/// A description that asks for all there is.
const EVERYTHING: &str = r#"
    subscribe = '{"op":"sub","args":[{instruments}],"id":{id}}'
    unsubscribe = '{"op":"unsub","number":"{alias}"}'
    acknowledgements = [{ when = { "/op" = "ok*" }, each = "/all", instrument = { of = "*/i", after = "." }, channel = "*/c", alias = "*/n" }]
    accepted_by = "first_data"
    refusals = [{ when = { "/op" = "no" }, instrument = "/i", words = ["/why", "/i"] }]
    ping = "ping"
    pong = { when = { "/op" = "pong" } }
    venue_ping = { when = { "/op" = "ping" }, reply = '{"pong":{/i}}' }
    leaving = { when = { "/op" = "bye" }, words = "/why" }
    resync = "resubscribe"
    [[venues.events]]
    kind = "trade"
    when = { "/op" = "t*", "*/p" = "*" }
    each = "/all"
    instrument = { of = ["/i", "*/i"], join = "-", case = "upper" }
    time = "/at"
    sequence = { next = "/n" }
    price = "*/p"
    size = "/p"
    side = { of = "/i", buy = "b*", sell = ["s", 1] }
    id = "/n"
    [[venues.events]]
    kind = "book_delta"
    when = { "/op" = "t*" }
    each = "/all"
    alias = "/n"
    time = "*/at"
    time_unit = "rfc3339"
    bids = "*/b"
    asks = { each = "*/a", price = "*/p", size = "*/s/0" }
    [[venues.events]]
    kind = "ticker"
    instrument = "/i"
    time = "/at"
    time_unit = "ns"
    sequence = { first = "/n", last = "/at", series = "/s" }
    bid = "/b"
    ask = "/a"
    last = "/p"
"#;

static VENUES: LazyLock<[VenueRef; 4]> = LazyLock::new(|| {
    [
        described(EVERYTHING),
        venue("bitget"),
        venue("upbit"),
        venue("ethereum"),
    ]
});

/// Reads a frame in every way, and checks what holds of any frame.
fn survive(venue: &VenueRef, frame: &str) {
    let (mut session, mut decoder) = (session(venue), venue.decoder());
    session.subscribe(&instruments(&["A", "KRW-BTC"]));
    let mut seen = Vec::new();
    let read = decoder.decode(frame, &mut |event| {
        let instrument = event.instrument.unwrap_or_default();
        assert!(instrument.len() <= 256, "no instrument is so long");
        seen.push((instrument.to_owned(), event.venue_time_ms));
    });
    if serde_json::from_str::<serde::de::IgnoredAny>(frame.trim()).is_err() && seen.is_empty() {
        assert!(read.is_err(), "{frame:.200}");
    }
    // What values tell, envelopes have told, but for those that are wrong in other ways.
    decoder.values(frame, &mut |value| match value {
        Ok(value) => {
            let own = seen.iter().any(|(instrument, _)| instrument == value.instrument());
            assert!(own || read == Err(DecodeError::Schema), "{value:?} of {seen:?}");
        }
        Err(error) => assert!(error.to_string().len() < 600, "{error}"),
    });
    match session.hear(frame) {
        Some(Heard::Reply(reply)) => assert!(reply.len() < 5000),
        Some(Heard::Leaving(detail)) => assert!(detail.chars().count() <= 200),
        _ => {}
    }
    session.unsubscribe(&instruments(&["A"]));
}

#[test]
fn frames_that_no_venue_should_send_are_survived() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
    let long = "x".repeat(1 << 16);
    let wrapped = |inner: &str| {
        [
            format!(
                r#"{{"op":"trades","i":{inner},"at":{inner},"n":{inner},"p":{inner},"all":[{{"i":{inner},"p":{inner},"b":{inner},"a":{inner},"at":{inner}}}]}}"#
            ),
            format!(r#"{{"op":"x","i":"A","at":{inner},"n":{inner},"s":{inner},"b":{inner},"a":{inner},"p":{inner}}}"#),
            format!(r#"{{"op":"ok","all":[{{"i":"b.A","c":{inner},"n":{inner}}},{inner}]}}"#),
            format!(r#"{{"op":"no","i":{inner},"why":{inner}}}"#),
            format!(r#"{{"op":"bye","why":{inner}}}"#),
            format!(r#"{{"op":"ping","i":{inner}}}"#),
            format!(r#"{{"op":{inner},"event":{inner},"action":{inner},"arg":{inner},"data":{inner},"ty":{inner}}}"#),
            format!(
                r#"{{"action":"update","arg":{{"channel":"books","instId":{inner}}},"data":[{{"bids":[[{inner},1],{inner}],"asks":{inner},"ts":{inner}}}]}}"#
            ),
            format!(r#"{{"ty":"orderbook","cd":"KRW-BTC","tms":{inner},"obu":[{{"ap":{inner},"bp":1}},{inner}]}}"#),
            format!(
                r#"{{"jsonrpc":"2.0","id":{inner},"result":{inner},"method":"eth_subscription","params":{{"subscription":{inner},"result":{{"number":{inner},"timestamp":{inner}}}}}}}"#
            ),
            inner.to_owned(),
        ]
    };
    let inner = [
        deep("[", "]"),
        deep(r#"{"i":"#, "}"),
        format!(r#""{long}""#),
        format!(r#""{}""#, r"\u0041".repeat(1 << 13)),
        "9".repeat(1 << 16),
        format!("1e{}", "9".repeat(1 << 16)),
        format!(r#""0x{}""#, "f".repeat(1 << 16)),
        "-1".to_owned(),
        "1e308".to_owned(),
        "1e-308".to_owned(),
        "18446744073709551615".to_owned(),
        "-9223372036854775808".to_owned(),
        "9223372036854775807".to_owned(),
        r#""9999-99-99T99:99:99Z""#.to_owned(),
        r#""2026-01-01T00:00:00+99:99""#.to_owned(),
        r#""\ud800""#.to_owned(),
        r#""""#.to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "[[],{},[[]]]".to_owned(),
        "true".to_owned(),
    ];
    for venue in &*VENUES {
        for frame in inner.iter().flat_map(|inner| wrapped(inner)) {
            survive(venue, &frame);
        }
        for frame in [
            "",
            " ",
            "{",
            "[",
            "\"",
            "nul",
            "\u{feff}{}",
            "{}{}",
            "{\"op\":\"ok\",}",
            "\0",
        ] {
            survive(venue, frame);
        }
    }
}

/// Each event of a list looks for what stands beside the list. Were that sought among all fields, read or copied for each of them, this
/// would take minutes.
#[test]
fn a_long_list_beside_much_else_is_read_in_a_moment() {
    let begun = Moment::now().mono;
    let events = vec![r#"{"p":1}"#; 60_000].join(",");
    let fields: Vec<_> = (0..60_000).map(|number| format!(r#""f{number}":0"#)).collect();
    let wide = format!(
        r#"{{"op":"t","i":"A","at":1,"n":1,"p":1,"all":[{events}],{}}}"#,
        fields.join(",")
    );
    let long = "0".repeat(1 << 20);
    let number = format!(r#"{{"op":"t","i":"{long}","at":"0x{long}","n":"{long}","p":"{long}","all":[{events}]}}"#);
    let data = vec!["{}"; 60_000].join(",");
    let bitget = format!(r#"{{"action":"{long}","arg":{{"channel":"trade","instId":"{long}"}},"data":[{data}]}}"#);
    for (venue, frame) in [(&VENUES[0], &wide), (&VENUES[0], &number), (&VENUES[1], &bitget)] {
        let (mut decoder, mut session) = (venue.decoder(), session(venue));
        session.subscribe(&instruments(&["A"]));
        let _ = decoder.decode(frame, &mut |_| {});
        decoder.values(frame, &mut |_| {});
        let _ = session.hear(frame);
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn an_answer_to_very_much_is_cut_off() {
    let venue = described(
        r#"
        channels = ["c"]
        subscribe = '["{channel}",{instruments}]'
        acknowledgements = [{ when = { "/op" = "ok" }, each = "/channels", instrument = "/all", channel = "*" }]
        events = [{ kind = "trade", instrument = "/i" }]
        "#,
    );
    let mut session = session(&venue);
    session.subscribe(&instruments(&["A"]));
    let (all, channels) = (vec![r#""A""#; 50_000].join(","), vec![r#""c""#; 50_000].join(","));
    let frame = format!(r#"{{"op":"ok","all":[{all}],"channels":[{channels}]}}"#);
    let begun = Moment::now().mono;
    assert_eq!(session.hear(&frame), settled(&["A"]));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn of_a_field_that_is_named_twice_the_last_counts_in_small_objects_and_in_large_ones() {
    let upbit = venue("upbit");
    for between in [0, 10, 63, 64, 65, 1000] {
        let fields: Vec<_> = (0..between).map(|number| format!(r#""{number}":1,"#)).collect();
        let fields = fields.concat();
        let frame = format!(
            r#"{{"ty":"trade","cd":"A","tp":1,{fields}"tms":1,"tv":2,"cd":"B","tp":"0.50","ab":"BID","sid":5}}"#
        );
        assert_eq!(values(&upbit, &[&frame]), ["trade B buy 2 @ 0.50 #5 at 1"], "{between}");
    }
}

#[test]
fn a_number_is_told_exactly_or_not_at_all() {
    let upbit = venue("upbit");
    let price = |text: &str| {
        let frame = format!(r#"{{"ty":"ticker","cd":"A","tp":{text}}}"#);
        values(&upbit, &[&frame]).remove(0)
    };
    for (text, expected) in [
        ("0.1", "0.1"),
        ("0.10000000000000000001", "0.10000000000000000001"),
        (r#""79228162514264337593543950335""#, "79228162514264337593543950335"),
        ("123456789012345678.123456789", "123456789012345678.123456789"),
        ("1e28", "10000000000000000000000000000"),
        ("0.5E-7", "0.00000005"),
    ] {
        assert_eq!(price(text), format!("last A {expected}"), "{text}");
    }
    for text in [
        "79228162514264337593543950336",
        "0.00000000000000000000000000001",
        "1e29",
        "1e999999999999",
        "-0.5",
        r#""1,5""#,
        r#""0x10""#,
        r#""NaN""#,
        r#""1\u0030""#,
        "true",
        "[1]",
        r#"{"a":1}"#,
    ] {
        assert!(
            price(text).starts_with("error: event 0: last: "),
            "{text}: {}",
            price(text)
        );
    }
}

/// JSON that is nearly what the description asks for.
fn any_frame() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        prop::sample::select(vec![
            "\"trades\"",
            "\"ok\"",
            "\"no\"",
            "\"b.A\"",
            "\"buy\"",
            "\"s\"",
            "\"A\"",
            "\"2026-01-01T00:00:00Z\"",
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| serde_json::json!(number).to_string()),
        "[0-9]{1,40}(\\.[0-9]{1,40})?".prop_map(|text| format!("\"{text}\"")),
        "(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,12})?",
        any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
    ];
    let names = prop::sample::select(vec!["op", "i", "at", "n", "s", "p", "all", "a", "b", "c", "why"]);
    let tree = leaf.prop_recursive(4, 64, 6, move |inner| {
        let fields = prop::collection::vec((names.clone(), inner.clone()), 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            // A name may come twice.
            fields.prop_map(|fields| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    let items = prop::collection::vec(tree.clone(), 0..4).prop_map(|items| items.join(","));
    prop_oneof![
        tree.clone(),
        (items, tree.clone(), tree).prop_map(|(items, at, number)| {
            format!(r#"{{"op":"trades","i":"A","at":{at},"n":{number},"p":"0.5","all":[{items}]}}"#)
        }),
    ]
}

proptest! {
    #[test]
    fn any_frame_is_survived(frame in any_frame()) {
        for venue in &*VENUES {
            survive(venue, &frame);
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_survived(frame in any_frame(), end in any::<prop::sample::Index>()) {
        let mut end = end.index(frame.len() + 1);
        while !frame.is_char_boundary(end) {
            end -= 1;
        }
        survive(&VENUES[0], &frame[..end]);
    }

    /// Whatever is written is told as it was written.
    #[test]
    fn prices_and_sizes_are_told_as_they_were_written(
        levels in prop::collection::vec(("(0|[1-9][0-9]{0,12})(\\.[0-9]{1,12})?", any::<bool>()), 0..20),
        is_bid in any::<bool>(),
    ) {
        let written = |(text, is_quoted): &(String, bool)| if *is_quoted { format!("\"{text}\"") } else { text.clone() };
        let (side, name) = if is_bid { ("buy", "bids") } else { ("sell", "asks") };
        let lists: Vec<_> = levels.iter().map(|level| format!("[{0},{0},7]", written(level))).collect();
        let frame = format!(
            r#"{{"action":"update","arg":{{"channel":"books","instId":"A"}},"data":[{{"{name}":[{}]}}]}}"#,
            lists.join(",")
        );
        let expected: Vec<_> = levels.iter().map(|(text, _)| format!("change A {side} {text}x{text}")).collect();
        prop_assert_eq!(values(&VENUES[1], &[&frame]), expected);
    }

    #[test]
    fn a_value_is_told_the_same_a_second_time(frame in any_frame()) {
        let mut decoder = VENUES[0].decoder();
        let mut lines = |frame: &str| {
            let mut lines = Vec::new();
            decoder.values(frame, &mut |value: Result<Value<'_>, _>| lines.push(told(&value)));
            lines
        };
        let (first, second) = (lines(&frame), lines(&frame));
        prop_assert_eq!(first, second);
    }
}
