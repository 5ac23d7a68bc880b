//! Answers that name nothing: requests are answered in their order, those that end subscriptions too.

use super::{described, instruments, rejected, session, settled};

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
