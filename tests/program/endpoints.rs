//! Where the service connects, and how.

use crate::harness::{Service, closed_venue, config, eventually, json, venue};
use feedwatch::sim::SimulatedVenue;
use serde_json::Value;

const QUICK: &str = "initial_delay_ms = 20, max_delay_ms = 50, jitter = 0";

/// The configuration of one stream, with an alternative.
fn with_alternative(first: &SimulatedVenue, second: &SimulatedVenue) -> String {
    let one = config("", &[("a", &first.url(), QUICK)]);
    let url = format!("url = \"{}\"\n", first.url());
    one.replace(&url, &format!("{url}alternatives = [\"{}\"]\n", second.url()))
}

async fn endpoints(service: &Service) -> Value {
    let answer = service.get("/api/v1/streams").await;
    json(&answer.body)["streams"][0]["endpoints"].take()
}

#[tokio::test]
async fn a_stream_is_live_at_its_alternative_and_the_service_says_where() {
    let (first, second) = (closed_venue(), venue(Vec::new()));
    let mut service = Service::run(&with_alternative(&first, &second)).await;
    service.logged("a", "live").await;
    assert_eq!(
        endpoints(&service).await,
        Value::from(vec![second.address().to_string()])
    );
    let line = service.logged("a", "on to another endpoint").await;
    assert_eq!(line["server_address"], "127.0.0.1");
    assert_eq!(line["server_port"], second.address().port());
    let history = json(&service.get("/api/v1/streams/a").await.body)["history"].take();
    let entries = history.as_array().unwrap();
    let moved = entries.iter().find(|entry| entry["what"] == "endpoint").unwrap();
    assert_eq!(moved["detail"], second.address().to_string());

    // Without the alternative it is another stream, which is back at the first.
    let line = service.reload(&config("", &[("a", &first.url(), QUICK)])).await;
    assert_eq!(
        (&line["message"], &line["replaced"]),
        (&"configuration taken over".into(), &1.into())
    );
    let at_first = Value::from(vec![first.address().to_string()]);
    eventually("back at the first", async || endpoints(&service).await == at_first).await;
    service.stop("TERM").await;
}

/// Connections of this machine to the venue on which the kernel has a keep-alive timer, by the table of `proc(5)`.
#[cfg(target_os = "linux")]
fn kept_alive(venue: &SimulatedVenue) -> usize {
    let port = format!("{:04X}", venue.address().port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    // The peer, the state (01 = established) and the kind of the timer (02 = keep-alive, where nothing is in flight).
    rows.filter(|row| row[2].ends_with(&port) && row[3] == "01" && row[5].starts_with("02"))
        .count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_next_connection_has_the_keep_alives_of_a_reload() {
    let venue = venue(Vec::new());
    let url = venue.url();
    let off = "transport.tcp_keepalive_ms = 0";
    let mut service = Service::run(&config(off, &[("a", &url, QUICK)])).await;
    service.logged("a", "live").await;
    assert_eq!(kept_alive(&venue), 0);
    let on = "transport.tcp_keepalive_ms = 1000000";
    let line = service
        .reload(&config(on, &[("a", &url, QUICK), ("b", &url, QUICK)]))
        .await;
    assert_eq!(line["keys"], "transport.tcp_keepalive_ms");
    service.logged("b", "live").await;
    eventually("one is kept alive", async || kept_alive(&venue) == 1).await;
    service.stop("TERM").await;
}
