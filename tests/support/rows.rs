//! What the rows of the fault matrix have in common: a stream that is judged quickly, and the two ways to meet a fault.

use super::Scrape;
use super::rig::Rig;
use feedwatch::market::MarketEvent;
use feedwatch::sim::{Fault, Rule, Script, SimOptions, SimulatedVenue};
use feedwatch::stream::{TcpDialler, TlsTrust, TransportOptions};
use feedwatch::supervise::Policy;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn policy() -> Policy {
    Policy {
        initial_delay: millis(20),
        max_delay: millis(100),
        jitter: 0.0,
        max_consecutive_failures: 99,
        circuit_breaker_cooldown: Duration::from_secs(60),
        stable_after: Duration::from_secs(60),
        connect_timeout: millis(500),
        subscribe_timeout: millis(500),
        ..Policy::default()
    }
}

pub(crate) fn options() -> TransportOptions {
    TransportOptions {
        ping_interval: Some(millis(100)),
        pong_timeout: millis(300),
        close_timeout: millis(500),
        ..TransportOptions::default()
    }
}

pub(crate) async fn dial(url: &str, policy: Policy) -> Rig {
    Rig::new(
        url,
        policy,
        options(),
        TlsTrust::only([]).unwrap(),
        TcpDialler::default(),
    )
    .await
}

pub(crate) fn venue(rules: Vec<Rule>) -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        script: Script { rules },
        ..SimOptions::default()
    })
    .unwrap()
}

pub(crate) fn status(code: u16, headers: &[(&str, &str)]) -> Fault {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Fault::Status {
        code,
        headers: headers.collect::<BTreeMap<_, _>>(),
        body: String::new(),
    }
}

pub(crate) fn close(code: Option<u16>) -> Fault {
    Fault::Close {
        code,
        reason: String::new(),
        after: millis(50),
    }
}

/// Renewals that began, and those that came to an end.
pub(crate) fn planned(scrape: &Scrape) -> (f64, f64) {
    (
        scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "planned")]),
        scrape.sum("feedwatch_disconnects_total", &[("cause", "planned")]),
    )
}

/// Live, and nothing stands as it did while the stream was away.
pub(crate) fn assert_recovered(scrape: &Scrape) {
    assert_eq!(scrape.sum("feedwatch_stream_connected", &[]), 1.0);
    for gauge in [
        "feedwatch_reconnect_current_delay_seconds",
        "feedwatch_reconnect_next_attempt_timestamp_seconds",
        "feedwatch_outage_start_timestamp_seconds",
        "feedwatch_breaker_open_until_timestamp_seconds",
        "feedwatch_stream_stale",
    ] {
        assert_eq!(scrape.sum(gauge, &[]), 0.0, "{gauge} of a stream that is live again");
    }
    let (desired, active) = ("feedwatch_subscriptions_desired", "feedwatch_subscriptions_active");
    assert_eq!(scrape.sum(active, &[]), scrape.sum(desired, &[]));
}

/// The first connection meets the fault, the second one does not: the attempt failed for this cause, and the stream is live
/// after a redial.
pub(crate) async fn fails_an_attempt(fault: Fault, cause: &str) {
    let venue = venue(vec![Rule::connections(1, 1, fault)]);
    let mut rig = dial(&venue.url(), policy()).await;
    let scrape = rig.until_live().await;
    assert_eq!(scrape.nonzero("feedwatch_connect_failures_total", "cause"), [cause]);
    assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[("cause", cause)]), 1.0);
    assert_eq!(
        scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "backoff")]),
        1.0
    );
    assert_eq!(
        scrape.sum("feedwatch_outages_total", &[]),
        1.0,
        "a failed start is an outage"
    );
    assert_eq!(scrape.sum("feedwatch_outage_duration_seconds_count", &[]), 1.0);
    assert_eq!(rig.error_types(), [cause]);
    assert_recovered(&scrape);
    rig.end().await;
    venue.shutdown().await;
}

/// The first attempt failed for this cause, and the next one was good.
pub(crate) async fn fails_once_and_recovers(rig: &mut Rig, cause: &str, what: &str) {
    let scrape = rig.until_live().await;
    assert_eq!(
        scrape.nonzero("feedwatch_connect_failures_total", "cause"),
        [cause],
        "{what}"
    );
    let redials = [("kind", "backoff")];
    assert_eq!(
        scrape.sum("feedwatch_reconnect_attempts_total", &redials),
        1.0,
        "{what}"
    );
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0, "{what}");
    assert_eq!(rig.error_types(), [cause], "{what}");
}

/// The first attempt failed for this cause, and there is no other before the cooldown is over.
pub(crate) async fn trips_at_once(rig: &mut Rig, cause: &str, what: &str) {
    let scrape = rig.until_tripped().await;
    let fatal = [("trigger", "fatal_error")];
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &fatal), 1.0, "{what}");
    assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0, "{what}");
    assert_eq!(
        scrape.nonzero("feedwatch_connect_failures_total", "cause"),
        [cause],
        "{what}"
    );
    assert_eq!(rig.error_types(), [cause], "{what}");
}

/// The first connection is lost for this cause, and the stream is live again after a redial.
pub(crate) async fn loses_the_connection(fault: Fault, cause: &str) {
    let venue = venue(vec![Rule::connections(1, 1, fault)]);
    let mut rig = dial(&venue.url(), policy()).await;
    let live_again = |scrape: &Scrape| {
        scrape.sum("feedwatch_disconnects_total", &[]) >= 1.0 && scrape.sum("feedwatch_stream_connected", &[]) == 1.0
    };
    let scrape = rig.until("live again", live_again).await;
    assert_eq!(scrape.nonzero("feedwatch_disconnects_total", "cause"), [cause]);
    assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 2.0);
    assert_eq!(rig.causes_of_outages(), [cause]);
    assert!(rig.errors_of_outages().is_empty(), "an outage that is over is no error");
    assert_recovered(&scrape);
    let gaps: Vec<_> = rig
        .events
        .iter()
        .filter(|event| !matches!(event, MarketEvent::Frame(_)))
        .collect();
    assert!(
        matches!(gaps[..], [MarketEvent::Disconnected { cause: told, .. }, MarketEvent::Reconnected { .. }] if told.as_str() == cause),
        "{gaps:?}"
    );
    rig.end().await;
    venue.shutdown().await;
}
