//! What happened last, as the API tells it.

use crate::harness::{Service, busy, config, eventually, venue};
use feedwatch::sim::{Fault, Rule};
use serde_json::Value;
use std::time::Duration;

/// Loses its connection, fails once, and is back.
const STUMBLING: &str = "initial_delay_ms = 20, max_delay_ms = 20, jitter = 0";
/// Redials for ever.
const RESTLESS: &str = "initial_delay_ms = 2, max_delay_ms = 2, max_consecutive_failures = 1000000";

async fn answer(service: &Service, path: &str) -> Value {
    let response = service.get(path).await;
    assert_eq!(
        (response.status, &*response.headers["content-type"]),
        (200, "application/json"),
        "{path}"
    );
    serde_json::from_str(&response.body).unwrap()
}

async fn events(service: &Service, path: &str, of: &str) -> Vec<Value> {
    let mut answer = answer(service, path).await;
    serde_json::from_value(answer[of].take()).unwrap()
}

#[tokio::test]
async fn a_stream_tells_what_happened_to_it_the_newest_first() {
    let close = Fault::Close {
        code: Some(1001),
        reason: "maintenance".into(),
        after: Duration::from_millis(50),
    };
    let venue = venue(vec![Rule::connections(1, 1, close), Rule::connections(2, 2, busy())]);
    let service = Service::run(&config("", &[("s", &venue.url(), STUMBLING)])).await;
    eventually("back", async || {
        events(&service, "/api/v1/streams/s", "history").await[0]["what"] == "up"
            && events(&service, "/api/v1/streams/s", "history").await.len() > 5
    })
    .await;

    let history = events(&service, "/api/v1/streams/s", "history").await;
    let told: Vec<_> = history
        .iter()
        .rev()
        .map(|event| (event["what"].as_str().unwrap(), event["cause"].as_str()))
        .collect();
    let expected = [
        ("attempt", None),
        ("connected", None),
        ("up", None),
        ("lost", Some("close_going_away")),
        ("backing_off", None),
        ("attempt", None),
        ("attempt_failed", Some("http_status")),
        ("backing_off", None),
        ("attempt", None),
        ("connected", None),
        ("up", None),
    ];
    assert_eq!(told, expected);
    let event = |what: &str| history.iter().find(|event| event["what"] == what).unwrap();
    assert_eq!(event("lost")["detail"], r#"closed with 1001 "maintenance""#);
    assert_eq!(
        (
            &event("backing_off")["delay_seconds"],
            &event("backing_off")["failures"]
        ),
        (&0.02.into(), &2.into())
    );
    assert_eq!(
        (&event("up")["accepted"], &event("up")["refused"]),
        (&2.into(), &0.into())
    );
    assert_eq!(
        (&event("attempt")["kind"], &event("attempt")["number"]),
        (&"backoff".into(), &2.into())
    );
    assert_eq!(event("attempt")["trace_id"], Value::Null, "nobody asked for traces");
    let phases = |what: &str| -> Vec<_> { event(what)["phases"].as_object().unwrap().keys().cloned().collect() };
    assert_eq!(phases("attempt_failed"), ["connect", "resolve", "upgrade"]);
    assert_eq!(phases("up"), ["connect", "resolve", "subscribe", "upgrade"]);
    assert!(phases("lost").is_empty());
    assert!(event("up")["phases"]["upgrade"].as_f64().unwrap() > 0.0);
    let times: Vec<_> = history
        .iter()
        .map(|event| event["time_unix"].as_f64().unwrap())
        .collect();
    assert!(times.is_sorted_by(|later, earlier| later >= earlier), "{times:?}");
    assert!(history[0]["time"].as_str().unwrap().ends_with('Z'));

    let stream = answer(&service, "/api/v1/streams/s").await;
    assert_eq!((&stream["name"], &stream["connected"]), (&"s".into(), &true.into()));
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn histories_and_events_are_bounded() {
    let flapping = venue(vec![Rule::always(Fault::Close {
        code: None,
        reason: String::new(),
        after: Duration::ZERO,
    })]);
    let steady = venue(Vec::new());
    let streams = [("flaps", &*flapping.url(), RESTLESS), ("steady", &*steady.url(), "")];
    let service = Service::run(&config("", &streams)).await;
    eventually("many dials", async || {
        let scrape = service.scrape().await;
        scrape.sum("feedwatch_connect_attempts_total", &[("stream", "flaps")]) > 30.0
    })
    .await;
    assert_eq!(events(&service, "/api/v1/streams/flaps", "history").await.len(), 50);
    let steady = events(&service, "/api/v1/streams/steady", "history").await;
    let all = events(&service, "/api/v1/events", "events").await;
    let of = |name: &str| all.iter().filter(|event| event["stream"] == name).count();
    assert_eq!(
        (of("flaps"), of("steady")),
        (50, steady.len()),
        "one that flaps hides no other"
    );
    let times: Vec<_> = all.iter().map(|event| event["time_unix"].as_f64().unwrap()).collect();
    assert!(times.is_sorted_by(|later, earlier| later >= earlier), "{times:?}");
    let newest = events(&service, "/api/v1/events?limit=3", "events").await;
    assert!(newest.len() == 3 && newest[0]["time_unix"].as_f64() >= all[0]["time_unix"].as_f64());
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn what_is_not_there_or_makes_no_sense_is_told() {
    let venue = venue(Vec::new());
    let service = Service::run(&config("", &[("s", &venue.url(), "")])).await;
    for (path, status, told) in [
        (
            "/api/v1/streams/x",
            404,
            "no stream has this name; /api/v1/streams lists them",
        ),
        ("/api/v1/streams/", 404, "no such path"),
        ("/api/v1/streams/s/x", 404, "no such path"),
        (
            "/api/v1/events?limit=0",
            400,
            "the query must be empty, or limit= and a number from 1 to 1000",
        ),
        ("/api/v1/events?limit=1001", 400, "the query must be empty"),
        ("/api/v1/events?since=1", 400, "the query must be empty"),
    ] {
        let response = service.get(path).await;
        let error: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(response.status, status, "{path}");
        assert!(error["error"].as_str().unwrap().starts_with(told), "{path}: {error}");
    }
    let scrape = service.scrape().await;
    let requests =
        |handler, code| scrape.value("feedwatch_http_requests_total", &[("handler", handler), ("code", code)]);
    assert_eq!(
        (
            requests("api_stream", "404"),
            requests("api_events", "400"),
            requests("other", "404")
        ),
        (1.0, 3.0, 2.0)
    );
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
