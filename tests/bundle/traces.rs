//! The demo's traces, as an independent OTLP receiver gets them.

use crate::harness::{Program, command, json};
use crate::oteltap;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

/// The demo's outage is over after some 30 seconds.
const LIMIT: Duration = Duration::from_secs(90);

struct Span(Value);

impl Span {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    /// An attribute, whatever its type.
    fn attribute(&self, key: &str) -> Option<String> {
        let attributes = self.0["attributes"].as_array().unwrap();
        let attribute = attributes.iter().find(|attribute| attribute["key"] == key)?;
        let value = attribute["value"].as_object().unwrap().values().next().unwrap();
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    fn has(&self, key: &str, value: &str) -> bool {
        self.attribute(key).is_some_and(|found| found == value)
    }

    fn is_error(&self) -> bool {
        self.0["status"]["code"] == 2
    }

    /// What its one link leads to, and what it says of itself.
    fn link(&self) -> (&str, &str) {
        let links = self.0["links"].as_array().unwrap();
        assert_eq!(links.len(), 1, "{:#}", self.0);
        let kind = &links[0]["attributes"][0];
        assert_eq!(kind["key"], "feedwatch.link");
        (
            links[0]["spanId"].as_str().unwrap(),
            kind["value"]["stringValue"].as_str().unwrap(),
        )
    }
}

/// The spans below one, in the order of their beginnings.
fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    let id = parent.text("spanId");
    let mut found: Vec<_> = spans.iter().filter(|span| span.text("parentSpanId") == id).collect();
    found.sort_by_key(|span| span.text("startTimeUnixNano").parse::<u64>().unwrap());
    for span in &found {
        assert_eq!(span.text("traceId"), parent.text("traceId"));
    }
    found
}

fn names<'a>(spans: &[&'a Span]) -> Vec<&'a str> {
    spans.iter().map(|span| span.text("name")).collect()
}

#[tokio::test]
#[ignore = "needs the Python package oteltap"]
async fn the_demo_s_outage_arrives_as_a_chain_of_trees() {
    let (mut tap, endpoint) = oteltap::start().await;
    let mut demo = command(&["demo", "--scenario", "outage", "--listen", "127.0.0.1:0"]);
    demo.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let demo = Program::spawn(demo.stdout(Stdio::null()).stderr(Stdio::null()));
    let is_over = |line: &str| {
        let span = line.starts_with('{').then(|| Span(json(line)))?;
        let continues = span.has("feedwatch.outage.begin", "continuation");
        (continues && span.has("feedwatch.outage.end", "live")).then_some(())
    };
    tap.out.find_within(LIMIT, "end of the outage", is_over).await;
    drop(demo);

    let lines = tap.out.so_far();
    let spans: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with('{'))
        .map(|line| Span(json(line)))
        .collect();
    let root = |end: &str, begin: &str| {
        let mut roots = spans.iter().filter(|span| span.text("name") == "stream.outage");
        let found =
            roots.find(|span| span.has("feedwatch.outage.end", end) && span.has("feedwatch.outage.begin", begin));
        let found = found.unwrap_or_else(|| panic!("no outage from {begin} to {end}"));
        assert_eq!(found.text("parentSpanId"), "");
        assert!(found.has("feedwatch.stream", "outage") && found.has("feedwatch.venue", "polymarket"));
        found
    };

    // From the loss to the trip: three delays, three dials that fail at the upgrade.
    let tripped = root("tripped", "loss");
    assert!(tripped.is_error() && tripped.has("feedwatch.outage.cause", "eof"));
    assert!(tripped.has("feedwatch.breaker.trigger", "consecutive_failures"));
    assert!(tripped.has("feedwatch.outage.attempts", "3"));
    assert_eq!(tripped.link().1, "previous_outage");
    let children = below(&spans, tripped);
    assert_eq!(names(&children), ["stream.backoff", "stream.connect"].repeat(3));
    for dial in children.iter().filter(|span| span.text("name") == "stream.connect") {
        assert!(dial.is_error() && dial.has("error.type", "http_status"));
        let phases = below(&spans, dial);
        assert_eq!(names(&phases), ["dns.lookup", "tcp.connect", "GET"]);
        assert!(phases[2].is_error() && phases[2].has("http.response.status_code", "503"));
        assert!(!phases[0].is_error() && !phases[1].is_error());
    }

    // A probe that fails, and one that finds the venue back; each is a root of its own, and linked to the one before it.
    let reopened = root("reopened", "continuation");
    assert_eq!(reopened.link(), (tripped.text("spanId"), "same_outage"));
    let live = root("live", "continuation");
    assert_eq!(live.link(), (reopened.text("spanId"), "same_outage"));
    assert!(!live.is_error());
    let children = below(&spans, live);
    assert_eq!(names(&children), ["stream.connect"]);
    assert!(children[0].has("feedwatch.attempt.kind", "probe"));
    assert_eq!(
        names(&below(&spans, children[0])),
        ["dns.lookup", "tcp.connect", "GET", "stream.subscribe"]
    );
}
