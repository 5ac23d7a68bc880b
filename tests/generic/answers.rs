//! Answers that name nothing, where requests are answered in their order, and answers that name what nobody asked for.

use super::{decode, described, instruments, one, rejected, session, settled};
use feedwatch::market::{DecodeError, EventKind};

const ORDERED: &str = r#"
    subscribe = '{"op":"sub","args":[{instruments}]}'
    unsubscribe = '{"op":"unsub","args":[{instruments}]}'
    acknowledgements = [{ when = { "/result" = "ok" } }]
    refusals = [{ when = { "/result" = "error" }, words = "/reason" }]
    events = [{ kind = "trade", when = { "/type" = "trade" }, instrument = "/i" }]
"#;
const OK: &str = r#"{"result":"ok"}"#;
const NO: &str = r#"{"result":"error","reason":"there is none"}"#;

#[test]
fn the_answer_to_an_unsubscribe_is_not_that_of_the_next_subscribe() {
    let venue = described(&format!("unsubscribe_acknowledged = true\n{ORDERED}"));
    let mut session = session(&venue);
    session.subscribe(&instruments(&["A"]));
    assert_eq!(session.hear(OK), settled(&["A"]));
    assert_eq!(session.unsubscribe(&instruments(&["A"])).len(), 1);
    session.subscribe(&instruments(&["B"]));
    session.subscribe(&instruments(&["C"]));
    assert_eq!(session.hear(OK), None, "that was A's end");
    assert!(session.is_awaiting());
    let (refused, words) = rejected(session.hear(NO));
    assert_eq!((refused, words.as_str()), (instruments(&["B"]), "there is none"));
    assert!(session.is_awaiting(), "C is another request");
    assert_eq!(session.hear(OK), settled(&["C"]));
    assert_eq!(session.hear(OK), None, "nothing was asked");
    assert!(!session.is_awaiting());
}

#[test]
fn a_refused_unsubscribe_refuses_nothing_else() {
    let venue = described(&format!("unsubscribe_acknowledged = true\n{ORDERED}"));
    let mut session = session(&venue);
    session.unsubscribe(&instruments(&["A"]));
    session.subscribe(&instruments(&["B"]));
    assert_eq!(session.hear(NO), None);
    assert_eq!(session.hear(OK), settled(&["B"]));
}

#[test]
fn what_is_not_answered_is_not_waited_for() {
    let venue = described(&format!("unsubscribe_acknowledged = false\n{ORDERED}"));
    let mut session = session(&venue);
    session.unsubscribe(&instruments(&["A"]));
    session.subscribe(&instruments(&["B"]));
    assert_eq!(session.hear(OK), settled(&["B"]));
}

#[test]
fn what_is_no_longer_wanted_is_answered_all_the_same() {
    let venue = described(&format!("unsubscribe_acknowledged = true\n{ORDERED}"));
    let mut session = session(&venue);
    session.subscribe(&instruments(&["A"]));
    session.unsubscribe(&instruments(&["A"]));
    session.subscribe(&instruments(&["A"]));
    assert_eq!(session.hear(OK), None, "of the first time");
    assert_eq!(session.hear(OK), None, "of its end");
    assert_eq!(session.hear(OK), settled(&["A"]));
}

#[test]
fn a_request_for_fewer_is_answered_like_any_that_replaces() {
    let venue = described(
        r#"
        replaces = true
        subscribe = '[{instruments}]'
        acknowledgements = [{ when = { "/result" = "ok" } }]
        events = [{ kind = "trade" }]
        "#,
    );
    let mut session = session(&venue);
    session.subscribe(&instruments(&["A", "B"]));
    assert_eq!(session.hear(OK), settled(&["A", "B"]));
    assert_eq!(session.unsubscribe(&instruments(&["A"])), [r#"["B"]"#]);
    assert_eq!(session.subscribe(&instruments(&["C"])), [r#"["B","C"]"#]);
    assert_eq!(session.hear(OK), None, "of B alone");
    assert_eq!(session.hear(OK), settled(&["C"]));
}

/// Ten thousand requests at once are as many as a connection has subscriptions.
#[test]
fn as_many_requests_as_a_connection_carries_are_answered_in_their_order() {
    let text = ORDERED.replace("[{instruments}]", "\"{instrument}\"");
    let venue = described(&format!("unsubscribe_acknowledged = true\n{text}"));
    let mut session = session(&venue);
    let names: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(session.subscribe(&instruments(&names)).len(), names.len());
    for name in names {
        assert_eq!(session.hear(OK), settled(&[name]));
    }
}

/// Some venues send data as if it were the answer to the request once more: only what the answer lacks tells them apart.
#[test]
fn what_an_acknowledgement_lacks_tells_it_from_data() {
    let venue = described(
        r#"
        subscribe = '{"id":{id},"method":"subscribe","params":["trade.{instrument}"]}'
        acknowledgements = [{ when = { "/method" = "subscribe", "/code" = 0, "/result" = { absent = true } }, id = "/id" }]
        refusals = [{ when = { "/code" = { text = "4*4" }, "/method" = "subscribe" }, id = "/id" }]
        [[venues.events]]
        kind = "trade"
        when = { "/method" = "subscribe", "/result/channel" = "trade", "/error" = [false, { absent = true }] }
        each = "/result/data"
        instrument = "*/i"
        "#,
    );
    let data = r#"{"id":1,"method":"subscribe","code":0,"result":{"channel":"trade","data":[{"i":"A"}]}}"#;
    let answers = [
        r#"{"id":1,"method":"subscribe","code":0}"#,
        r#"{"id":2,"method":"subscribe","code":0,"result":null}"#,
    ];
    let mut session = session(&venue);
    session.subscribe(&instruments(&["A", "B"]));
    assert_eq!(session.hear(data), None, "it answers nothing");
    assert_eq!(session.hear(answers[0]), settled(&["A"]));
    assert_eq!(session.hear(answers[1]), settled(&["B"]));
    assert_eq!(one(&venue, data).1.as_deref(), Some("A"));
    for (frame, kind) in [
        (data, EventKind::Trade),
        (answers[0], EventKind::Ack),
        (answers[1], EventKind::Ack),
    ] {
        assert_eq!(one(&venue, frame).0, kind, "{frame}");
    }
    assert_eq!(
        one(&venue, &data.replace("\"code\"", "\"error\":false,\"code\"")).0,
        EventKind::Trade
    );
    let wrong = data.replace("\"code\"", "\"error\":true,\"code\"");
    assert_eq!(decode(&venue, &[&wrong]).1, Err(DecodeError::UnknownChannel));
    for (code, refusals) in [("4*4", 1), ("4004", 0)] {
        let (seen, _) = decode(&venue, &[&answers[0].replace(":0", &format!(":\"{code}\""))]);
        assert_eq!(seen.len(), refusals, "{code}: the star is a star");
    }
}

#[test]
fn a_refusal_of_something_else_refuses_nothing() {
    let venue = described(
        r#"
        subscribe = '{"args":[{instruments}],"id":{id}}'
        acknowledgements = [{ when = { "/op" = "ok" }, id = "/id" }]
        refusals = [{ when = { "/op" = "no" }, id = "/id", words = "/reason" }]
        events = [{ kind = "trade" }]
        "#,
    );
    let mut session = session(&venue);
    session.subscribe(&instruments(&["A"]));
    for id in [r#""client-77""#, "77", "-1", "1.0", r#""""#, "[1]"] {
        assert_eq!(session.hear(&format!(r#"{{"op":"no","id":{id}}}"#)), None, "{id}");
        assert!(session.is_awaiting(), "{id}");
    }
    assert_eq!(session.hear(r#"{"op":"ok","id":1}"#), settled(&["A"]));
    for (number, id) in [r#","id":null"#, ""].into_iter().enumerate() {
        let name = number.to_string();
        session.subscribe(&instruments(&[&name]));
        let (refused, _) = rejected(session.hear(&format!(r#"{{"op":"no"{id}}}"#)));
        assert_eq!(refused, instruments(&[&name]), "it does not say of which");
    }
}

#[test]
fn a_refusal_of_a_name_that_nobody_asked_for_refuses_nothing() {
    let venue = described(
        r#"
        channels = ["trade"]
        subscribe = '{"{channel}":"{instrument}"}'
        acknowledgements = [{ when = { "/op" = "ok" }, instrument = "/i", channel = "/c" }]
        refusals = [{ when = { "/op" = "no" }, instrument = { of = "/i", after = "." }, channel = "/c" }]
        events = [{ kind = "trade" }]
        "#,
    );
    let mut session = session(&venue);
    session.subscribe(&instruments(&["A"]));
    for rest in [r#""i":"x.B","c":"trade""#, r#""i":"A","c":"trade""#, r#""i":"x.A""#] {
        assert_eq!(session.hear(&format!(r#"{{"op":"no",{rest}}}"#)), None, "{rest}");
    }
    assert_eq!(rejected(session.hear(r#"{"op":"no"}"#)).0, instruments(&["A"]));
}
