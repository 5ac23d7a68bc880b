//! How the program ends: the first signal asks it to, the second one makes it.

use crate::harness::{Ended, Service, closed_venue, config, eventually, json, venue};
use feedwatch::sim::{Fault, Rule, SimulatedVenue, What};
use std::time::Duration;
use tokio::time::Instant;

/// Nothing that is fast takes so long, even on a busy machine; every other time limit is longer.
const FAST: Duration = Duration::from_secs(4);
/// Time limits that no test waits for.
const PATIENT: &str = "initial_delay_ms = 60000, connect_timeout_ms = 60000";

fn mute() -> SimulatedVenue {
    venue(vec![Rule::always(Fault::Mute { after: Duration::ZERO })])
}

async fn happened(venue: &SimulatedVenue, what: &What) {
    let log = venue.log();
    let seen = async || log.entries().iter().any(|entry| entry.what == *what);
    eventually(&format!("{what:?} at the venue"), seen).await;
}

/// Ends it; it must be orderly and fast.
async fn stop_fast(service: Service, signal: &str) -> Ended {
    let begun = Instant::now();
    let ended = service.stop(signal).await;
    assert!(begun.elapsed() < FAST, "{:?}", begun.elapsed());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let named = ended
        .err
        .iter()
        .map(|line| json(line))
        .find(|line| line["message"] == "shutting down");
    assert_eq!(named.unwrap()["signal"], format!("SIG{signal}"));
    ended
}

#[tokio::test]
async fn a_live_connection_is_closed_in_order() {
    for signal in ["TERM", "INT"] {
        let venue = venue(Vec::new());
        let mut service = Service::run(&config("", &[("a", &venue.url(), "")])).await;
        service.logged("a", "live").await;
        let ended = stop_fast(service, signal).await;
        ended.assert_orderly();
        happened(&venue, &What::ClosedByClient { code: Some(1000) }).await;
        assert_eq!(json(ended.err.last().unwrap())["message"], "shut down");
    }
}

#[tokio::test]
async fn it_ends_at_once_while_it_backs_off() {
    let venue = closed_venue();
    let mut service = Service::run(&config("", &[("a", &venue.url(), PATIENT)])).await;
    service.logged("a", "backing off").await;
    stop_fast(service, "TERM").await;
}

#[tokio::test]
async fn it_ends_at_once_in_the_middle_of_a_handshake() {
    let venue = venue(vec![Rule::always(Fault::Hang)]);
    let service = Service::run(&config("", &[("a", &venue.url(), PATIENT)])).await;
    happened(&venue, &What::Hung).await;
    stop_fast(service, "TERM").await.assert_orderly();
    happened(&venue, &What::LostByClient).await;
}

#[tokio::test]
async fn it_ends_at_once_while_a_subscription_is_not_answered() {
    let venue = venue(vec![Rule::always(Fault::NoAnswer)]);
    let service = Service::run(&config("", &[("a", &venue.url(), PATIENT)])).await;
    happened(&venue, &What::FaultBegan { name: "no_answer" }).await;
    stop_fast(service, "TERM").await.assert_orderly();
    happened(&venue, &What::ClosedByClient { code: Some(1000) }).await;
}

/// The C library looks names without a dot up in the file that `HOSTALIASES` names, and opening a pipe waits for its writer.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[tokio::test]
async fn it_ends_at_once_while_the_resolver_hangs() {
    let pipe = crate::harness::TempFile::unused("fifo");
    let made = std::process::Command::new("mkfifo").arg(pipe.name()).status();
    assert!(made.unwrap().success());
    let text = config("", &[("a", "ws://venue/ws/market", PATIENT)]);
    let mut service = Service::run_with(&text, &[], &[("HOSTALIASES", pipe.name())]).await;
    service.logged("a", "dialling").await;
    stop_fast(service, "TERM").await.assert_orderly();
}

#[tokio::test]
async fn it_answers_during_the_drain_and_a_second_signal_ends_it_at_once() {
    let venue = mute();
    let head = "transport.close_timeout_ms = 60000\nshutdown.grace_ms = 60000";
    let mut service = Service::run(&config(head, &[("a", &venue.url(), "")])).await;
    service.logged("a", "live").await;
    happened(&venue, &What::FaultBegan { name: "mute" }).await;
    service.program.signal("TERM");
    eventually("it drains", async || service.get("/-/ready").await.status == 503).await;
    assert_eq!(service.get("/-/ready").await.body, "draining\n");
    assert_eq!(service.get("/-/healthy").await.status, 200);
    // Stopped, so that the metrics no longer call it live.
    eventually("the end can be scraped", async || {
        let stopped = [("stream", "a"), ("state", "stopped")];
        service.scrape().await.value("feedwatch_stream_state", &stopped) == 1.0
    })
    .await;

    let begun = Instant::now();
    let ended = service.stop("INT").await;
    assert!(begun.elapsed() < FAST, "{:?}", begun.elapsed());
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let last = json(ended.err.last().unwrap());
    assert_eq!(
        (&last["level"], &last["signal"]),
        (&"WARN".into(), &"SIGINT".into()),
        "{last}"
    );
}

#[tokio::test]
async fn the_grace_period_is_the_limit() {
    const GRACE: Duration = Duration::from_millis(300);
    let venue = mute();
    let head = format!(
        "transport.close_timeout_ms = 60000\nshutdown.grace_ms = {}",
        GRACE.as_millis()
    );
    let mut service = Service::run(&config(&head, &[("a", &venue.url(), "")])).await;
    service.logged("a", "live").await;
    happened(&venue, &What::FaultBegan { name: "mute" }).await;
    let begun = Instant::now();
    let ended = service.stop("TERM").await;
    assert!(
        (GRACE..GRACE + FAST).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(ended.code, Some(0));
    let told = |line: &String| json(line)["message"] == "not everything was closed within the grace period";
    let warning = ended.err.iter().find(|line| told(line)).expect("a warning");
    assert_eq!(json(warning)["level"], "WARN");
}

#[tokio::test]
async fn every_stream_is_closed_and_at_the_same_time() {
    // One after the other these would take far longer than what is fast.
    const STREAMS: usize = 20;
    let venues: Vec<_> = (0..STREAMS).map(|_| mute()).collect();
    let names: Vec<_> = (0..STREAMS)
        .map(|index| (format!("s{index}"), venues[index].url()))
        .collect();
    let streams: Vec<_> = names
        .iter()
        .map(|(name, url)| (name.as_str(), url.as_str(), ""))
        .collect();
    let mut service = Service::run(&config("transport.close_timeout_ms = 500", &streams)).await;
    for (name, _, _) in &streams {
        service.logged(name, "live").await;
    }
    stop_fast(service, "TERM").await.assert_orderly();
}

#[tokio::test]
async fn a_service_that_was_killed_starts_again_and_resubscribes() {
    let venue = venue(Vec::new());
    let text = config("", &[("a", &venue.url(), "")]);
    let mut killed = Service::run(&text).await;
    killed.logged("a", "live").await;
    let ended = killed.stop("KILL").await;
    assert_eq!(ended.code, None, "{ended:#?}");

    let mut again = Service::run(&text).await;
    let live = again.logged("a", "live").await;
    assert_eq!(live["accepted"], 2, "{live}");
    let scrape = again.scrape().await;
    assert_eq!(scrape.value("feedwatch_connect_attempts_total", &[]), 1.0);
    assert_eq!(scrape.value("feedwatch_outages_total", &[]), 0.0);
    stop_fast(again, "TERM").await;
    let log = venue.log();
    venue.shutdown().await;
    let farewells: Vec<_> = log
        .entries()
        .into_iter()
        .filter(|entry| matches!(entry.what, What::LostByClient | What::ClosedByClient { .. }))
        .map(|entry| (entry.connection, entry.what))
        .collect();
    let orderly = What::ClosedByClient { code: Some(1000) };
    assert_eq!(farewells, [(1, What::LostByClient), (2, orderly)]);
}
