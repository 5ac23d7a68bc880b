//! Whatever a frame is: with the quick reader before it, the full one visits the same events and comes to the same verdict.

use super::{decode, decode_fully};
use crate::market::{DecodeError, Envelope, EventKind};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

type Seen = (EventKind, Option<String>, Option<i64>, bool);
type Read = (Vec<Seen>, Result<(), DecodeError>);

fn seen_by(read: impl FnOnce(&mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError>) -> Read {
    let mut seen = Vec::new();
    let result = read(&mut |event| {
        seen.push((
            event.kind,
            event.instrument.map(String::from),
            event.venue_time_ms,
            event.ended,
        ));
    });
    (seen, result)
}

/// What both read, where they differ.
fn difference(frame: &str) -> Option<(Read, Read)> {
    let text = frame.trim();
    // Control texts have no second reader.
    if !text.starts_with(['{', '[']) || text == "[]" {
        return None;
    }
    let both = seen_by(|visit| decode(frame, visit));
    let full = seen_by(|visit| decode_fully(text, visit));
    (both != full).then_some((both, full))
}

/// Small, so that each byte of them can be harmed in each way.
const FRAMES: [&str; 6] = [
    r#"{"event_type":"book","asset_id":"7","timestamp":"15","bids":[{"price":"0.1","size":"5"},{"price":"0.12","size":"6"}],"asks":[]}"#,
    r#"{"asset_id":"7", "bids":[{"price":"0.1", "size":"5"}, {"price":"0.1", "size":"5"}], "asks":[], "event_type":"book"}"#,
    r#"{"price_changes":[{"asset_id":"7","size":"0"},{"asset_id":"8","hash":null}],"timestamp":"15","event_type":"price_change"}"#,
    r#"{"asset_id":"7", "price":0.5, "x":{"y":[true,false,-1e5]}, "event_type":"last_trade_price"}"#,
    r#"[{"event_type":"best_bid_ask","asset_id":"7"},{"event_type":"book","asset_id":"8"},{"event_type":"book","asset_id":"9"}]"#,
    r#"{"event_type":"market_resolved","assets_ids":["7","8"],"timestamp":"15"}"#,
];

/// What does not belong where it is put, mostly.
const ODD: [&str; 54] = [
    " ",
    "\n",
    "\r",
    "\t",
    "\u{b}",
    "\u{c}",
    "\0",
    "\u{1f}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffd}",
    "é",
    "\u{1f600}",
    "\"",
    "\"\"",
    "\\",
    "\\\"",
    "\\n",
    "\\/",
    "\\x",
    "\\u0000",
    "\\u0065",
    "\\ud800",
    "\\udc00\\ud800",
    "\\ud83d\\ude00",
    "\\u12",
    "'",
    "/",
    "//",
    "/**/",
    "#",
    ",",
    ",,",
    ":",
    "{",
    "}",
    "{}",
    "[",
    "]",
    "[]",
    "0",
    "01",
    "-",
    "-0",
    "+",
    ".",
    "1.",
    "e",
    "1e999",
    "null",
    "NaN",
];

#[test]
fn each_byte_cut_off_left_out_or_replaced() {
    for frame in FRAMES {
        assert_eq!(difference(frame), None, "{frame}");
        for at in 0..=frame.len() {
            let (before, after) = frame.split_at(at);
            let harmed = ODD.iter().flat_map(|odd| {
                let replaced = after.get(1..).unwrap_or_default();
                [format!("{before}{odd}{after}"), format!("{before}{odd}{replaced}")]
            });
            let shortened = [
                before.to_owned(),
                format!("{before}{}", after.get(1..).unwrap_or_default()),
            ];
            for harmed in harmed.chain(shortened) {
                assert_eq!(difference(&harmed), None, "{harmed:?}");
            }
        }
    }
}

#[test]
fn nesting_of_any_depth() {
    for depth in [15, 16, 17, 126, 127, 128, 129, 1000] {
        for (open, shut) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = format!("{}7{}", open.repeat(depth), shut.repeat(depth));
            for frame in [
                deep.clone(),
                format!("{}7{}", open.repeat(depth), shut.repeat(depth - 1)),
                format!(r#"{{"event_type":"book","asset_id":"7","bids":{deep},"x":{deep}}}"#),
                format!(r#"{{"event_type":"book","asset_id":{deep}}}"#),
                format!(r#"{{"event_type":"book","asset_id":"7","bids":[{{"price":"1","size":"2"}},{deep}]}}"#),
                format!(r#"{{"event_type":"price_change","price_changes":[{{"asset_id":"7","x":{deep}}}]}}"#),
                format!(r#"[{{"event_type":"book","asset_id":"7"}},{deep}]"#),
                format!("{open}{FRAME}{shut}", FRAME = FRAMES[0]),
            ] {
                assert_eq!(difference(&frame), None, "{frame}");
            }
        }
    }
}

/// Mostly nothing.
fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        40 => Just(""),
        4 => Just(" "),
        1 => select(vec!["  ", "\n", "\t", "\r\n", "\u{b}", "\u{a0}", "\u{feff}", "/**/"]),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let known = vec![
        "event_type",
        "asset_id",
        "timestamp",
        "price_changes",
        "bids",
        "asks",
        "assets_ids",
        "asset_ids",
    ];
    prop_oneof![
        10 => select(known).prop_map(|name| format!("\"{name}\"")),
        2 => select(vec![
            r#""""#, r#""x""#, r#""é""#, r#""event_type ""#, r#""Event_type""#, r#""\u0065vent_type""#, r#""asset\u005fid""#,
            r#""a\/b""#, r#""\ud800""#, r#""\u0000""#, "\"a\nb\"", "x", "1", "'x'", "null", "{}",
        ])
        .prop_map(String::from),
    ]
}

/// A word, a number or something that looks like one.
fn atom() -> impl Strategy<Value = String> {
    let words = vec![
        r#""book""#,
        r#""price_change""#,
        r#""last_trade_price""#,
        r#""best_bid_ask""#,
        r#""tick_size_change""#,
        r#""new_market""#,
        r#""market_resolved""#,
        r#""order""#,
        r#""quake""#,
        r#""boo\u006b""#,
        r#""7""#,
        r#""""#,
        r#""-7""#,
        r#""+7""#,
        r#""007""#,
        r#""1786728432337""#,
        r#""999999999999999999""#,
        r#""9223372036854775807""#,
        r#""9223372036854775808""#,
        r#"" 7""#,
        r#""\"7""#,
        r#""é€""#,
        r#""seventeen letters""#,
        r#""\ud800""#,
        r#""\ud83d\ude00""#,
        r#""\u00""#,
        "\"\u{1}\"",
        "\"\u{7f}\"",
        "7",
        "-0",
        "-",
        "01",
        "1.",
        ".5",
        "1e999",
        "-1E+9999",
        "1e",
        "1e-",
        "0.1e+5",
        "18446744073709551616",
        "123456789012345678901234567890",
        "0x10",
        "NaN",
        "Infinity",
        "true",
        "false",
        "null",
        "True",
        "nul",
        "{}",
        "[]",
        "[{}]",
        "",
    ];
    select(words).prop_map(String::from)
}

/// A list, with whatever its members are, in the form of a venue or in another.
fn list(member: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let ends =
        prop_oneof![150 => Just(("[", "]")), 1 => Just(("[", ",]")), 1 => Just(("[", "}")), 1 => Just(("[,", "]"))];
    let comma = prop_oneof![80 => Just(","), 40 => Just(", "), 1 => Just(" ,"), 1 => Just(",,")];
    (ends, comma, prop::collection::vec(member, 0..7))
        .prop_map(|((open, shut), comma, members)| format!("{open}{}{shut}", members.join(comma)))
}

fn object(members: impl Strategy<Value = Vec<(String, String)>>) -> impl Strategy<Value = String> {
    let colon = prop_oneof![120 => Just(":"), 20 => Just(": "), 1 => Just(" :"), 1 => Just("")];
    let comma = prop_oneof![120 => Just(","), 40 => Just(", "), 1 => Just(",,")];
    let end = prop_oneof![150 => Just("}"), 1 => Just(",}"), 1 => Just("]")];
    (members, colon, comma, end).prop_map(|(members, colon, comma, end)| {
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("{name}{colon}{value}"))
            .collect();
        format!("{{{}{end}", members.join(comma))
    })
}

fn level() -> impl Strategy<Value = String> {
    let price = prop_oneof![
        60 => r"0\.[0-9]{1,4}",
        6 => "[0-9é]{13,18}",
        1 => select(vec!["", "\\u0031", "1\n"]).prop_map(String::from),
    ];
    let between =
        prop_oneof![60 => Just(r#"",""#), 30 => Just(r#"", ""#), 1 => Just(r#"" ,""#), 1 => Just(r#"","x":1,""#)];
    (price.clone(), between, price)
        .prop_map(|(price, between, size)| format!(r#"{{"price":"{price}{between}size":"{size}"}}"#))
}

fn change() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        40 => "[1-9]{1,3}".prop_map(|id| (r#""asset_id""#.to_owned(), format!("\"{id}\""))),
        1 => (name(), atom()),
    ];
    object(prop::collection::vec(member, 1..4))
}

fn event() -> impl Strategy<Value = String> {
    let known = |name: &str| Just(format!("\"{name}\""));
    let member = prop_oneof![
        60 => (known("event_type"), select(vec!["book", "price_change", "last_trade_price", "market_resolved"]).prop_map(|kind| format!("\"{kind}\""))),
        60 => (known("asset_id"), "\"[0-9]{1,3}\""),
        30 => (known("timestamp"), "\"[0-9]{1,19}\""),
        30 => (prop_oneof![known("bids"), known("asks")], list(level())),
        30 => (known("price_changes"), list(change())),
        3 => (known("assets_ids"), list(atom())),
        2 => (name(), atom()),
        1 => (name(), list(atom())),
        1 => (name(), change()),
    ];
    object(prop::collection::vec(member, 1..9))
}

fn frame() -> impl Strategy<Value = String> {
    let body = prop_oneof![
        4 => event(),
        4 => list(prop_oneof![60 => event(), 1 => atom(), 1 => list(event())]),
    ];
    let tail = prop_oneof![40 => Just(String::new()), 1 => event(), 1 => atom(), 1 => Just(",".to_owned())];
    (blank(), body, blank(), tail).prop_map(|(before, body, between, tail)| format!("{before}{body}{between}{tail}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn events_of_any_shape(
        frame in frame(),
        harm in prop::option::weighted(0.3, (any::<prop::sample::Index>(), select(&ODD[..]), 0..3_usize)),
    ) {
        prop_assert_eq!(difference(&frame), None, "{:?}", frame);
        if let Some((at, odd, length)) = harm {
            let ends: Vec<_> = frame.char_indices().map(|(at, _)| at).chain([frame.len()]).collect();
            let at = *at.get(&ends);
            let rest = frame.get(at + length..).unwrap_or_default();
            let harmed = format!("{}{odd}{rest}", &frame[..at]);
            prop_assert_eq!(difference(&harmed), None, "{:?}", harmed);
        }
    }
}

/// A generator of which nothing is taken would find nothing.
#[test]
fn what_is_generated_is_read_quickly_now_and_then_and_refused_now_and_then() {
    let mut runner = TestRunner::deterministic();
    let (mut quick, mut refused, mut seen) = (0, 0, 0);
    for _ in 0..500 {
        let frame = frame().new_tree(&mut runner).unwrap().current();
        let (events, result) = seen_by(|visit| decode(&frame, visit));
        quick += usize::from(super::quick::decode(frame.trim(), &mut |_| ()));
        refused += usize::from(result.is_err());
        seen += events.len();
    }
    assert!(quick > 50 && refused > 50 && seen > 200, "{quick} {refused} {seen}");
}
