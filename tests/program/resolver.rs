//! A resolver that does not answer.
//!
//! The C library looks names without a dot up in the file that `HOSTALIASES` names, and opening a pipe waits for its writer.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use crate::exposition::Exposition;
use crate::harness::{Service, TempFile, config, eventually};
use crate::receiver::{Mood, Receiver};
use crate::telemetry::{error_types, to};
use std::time::Duration;
use tokio::time::timeout;

/// A look-up is given up after a tenth of a second, and there are delays that can be told apart from it.
const POLICY: &str = "initial_delay_ms = 40, max_delay_ms = 80, jitter = 0.0, connect_timeout_ms = 100, \
                      max_consecutive_failures = 1000";
/// So many streams ask for the same name.
const STREAMS: usize = 6;
/// So many look-ups of a host hold a thread at once, whoever has given them up.
const LOOKUPS: f64 = 4.0;

fn timed_out(scrape: &Exposition) -> f64 {
    scrape.sum("feedwatch_connect_failures_total", &[("cause", "dns_timeout")])
}

#[tokio::test]
async fn a_resolver_that_hangs_costs_a_few_threads_and_a_delay_after_each_dial() {
    let pipe = TempFile::unused("fifo");
    let made = std::process::Command::new("mkfifo").arg(pipe.name()).status();
    assert!(made.unwrap().success());
    let receiver = Receiver::start(Mood::Take);
    let endpoint = receiver.endpoint();
    let mut variables = to(&endpoint);
    variables.push(("HOSTALIASES", pipe.name()));
    let names: Vec<_> = (0..STREAMS).map(|number| format!("s{number}")).collect();
    let streams: Vec<_> = names
        .iter()
        .map(|name| (&**name, "ws://venue/ws/market", POLICY))
        .collect();
    let service = Service::run_with(&config("", &streams), &[], &variables).await;

    // The first of each stream are over.
    eventually("look-ups that are given up", async || {
        timed_out(&service.scrape().await) >= STREAMS as f64
    })
    .await;
    let before = service.scrape().await;
    eventually("more of them", async || {
        timed_out(&service.scrape().await) >= timed_out(&before) + 4.0 * STREAMS as f64
    })
    .await;
    let scrape = service.scrape().await;
    assert_eq!(
        scrape.sum("feedwatch_connect_failures_total", &[]),
        timed_out(&scrape),
        "for nothing else"
    );
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
    // A thread stays where the resolver keeps it; but only so many do.
    let threads = |scrape: &Exposition| scrape.sum("process_threads", &[]);
    assert!(
        threads(&scrape) <= threads(&before) + LOOKUPS,
        "{} threads, then {}",
        threads(&before),
        threads(&scrape)
    );
    eventually("the delays grow to their limit", async || {
        let scrape = service.scrape().await;
        let delays = scrape.series("feedwatch_reconnect_current_delay_seconds", &[]);
        delays.iter().any(|(_, delay)| *delay == 0.08)
    })
    .await;
    let attempts = receiver.named("stream.connect");
    assert!(attempts.len() >= STREAMS, "{}", attempts.len());
    assert_eq!(error_types(&attempts), vec!["dns_timeout"; attempts.len()]);
    let lookups = receiver.named("dns.lookup");
    assert_eq!(error_types(&lookups), vec!["dns_timeout"; lookups.len()]);

    // The threads are given back as soon as the resolver answers; it says that there is no such name.
    let answering = tokio::task::spawn_blocking({
        let pipe = pipe.name().to_owned();
        move || std::fs::write(pipe, "")
    });
    timeout(Duration::from_secs(20), answering)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
