//! Connections that are replaced while they live, over real sockets: what the venue sees, what is shown, what is traced.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::market::{Instrument, MarketEvent};
use feedwatch::sim::{Entry, Fault, Rule, Script, SimOptions, SimulatedVenue, Traffic, What};
use feedwatch::stream::MarketDataStream;
use feedwatch::supervise::Policy;
use opentelemetry_sdk::trace::SpanData;
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::rig::{RigOf, spread};
use support::rows::{dial, millis, options, planned, policy, status};
use tokio::time::Instant;

fn busy(rules: Vec<Rule>) -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 100.0,
        },
        script: Script { rules },
        ..SimOptions::default()
    })
    .unwrap()
}

fn instruments(ids: std::ops::Range<u32>) -> Vec<Instrument> {
    ids.map(|id| Instrument::new(&id.to_string())).collect()
}

/// So many connections were replaced, and nothing else happened.
fn is_without_a_gap(scrape: &Scrape, connections: f64, renewals: f64) {
    assert_eq!(planned(scrape), (renewals, renewals));
    for (name, value) in [
        ("feedwatch_connect_attempts_total", connections + renewals),
        ("feedwatch_connect_failures_total", 0.0),
        ("feedwatch_disconnects_total", renewals),
        ("feedwatch_reconnect_attempts_total", renewals),
        ("feedwatch_connections_live", connections),
        ("feedwatch_connections_desired", connections),
        ("feedwatch_outages_total", 0.0),
        ("feedwatch_outage_duration_seconds_count", 0.0),
        ("feedwatch_connection_duration_seconds_count", renewals),
        ("feedwatch_breaker_consecutive_failures", 0.0),
        ("feedwatch_stream_connected", 1.0),
    ] {
        assert_eq!(scrape.total(name), value, "{name}");
    }
}

/// The end of a root, as it says itself.
fn ends(spans: &[SpanData], key: &str) -> Vec<String> {
    let pairs = spans.iter().flat_map(|span| &span.attributes);
    let wanted = pairs.filter(|pair| pair.key.as_str() == key);
    wanted.map(|pair| pair.value.to_string()).collect()
}

async fn until_renewed<S: MarketDataStream>(rig: &mut RigOf<S>, renewals: f64) -> Scrape {
    rig.until("renewed", |scrape| planned(scrape) == (renewals, renewals))
        .await
}

/// A venue that ends each connection after five seconds, and connections that do not get that old.
#[tokio::test]
async fn a_venue_that_ends_every_connection_after_a_while_never_gets_to_it() {
    leaves_nothing_behind(async || {
        let forced = Fault::Close {
            code: Some(1001),
            reason: "too old".into(),
            after: Duration::from_secs(5),
        };
        let venue = busy(vec![Rule::connections(1, 1000, forced)]);
        let policy = Policy {
            max_connection_age: Some(Duration::from_secs(2)),
            ..policy()
        };
        let mut rig = dial(&venue.url(), policy).await;
        let live = rig.until_live().await;
        let begun = Instant::now();
        let down =
            live.total("feedwatch_stream_observed_seconds_total") - live.total("feedwatch_stream_up_seconds_total");
        let renewed = until_renewed(&mut rig, 3.0).await;
        assert!(
            begun.elapsed() > Duration::from_secs(5),
            "longer than any connection may live"
        );
        is_without_a_gap(&renewed, 1.0, 3.0);
        let up = renewed.total("feedwatch_stream_up_seconds_total");
        let observed = renewed.total("feedwatch_stream_observed_seconds_total");
        assert!(
            (observed - up - down).abs() < 1e-6,
            "down {down} s at the start, and no more since"
        );
        let news: Vec<_> = rig
            .events
            .iter()
            .filter(|event| !matches!(event, MarketEvent::Frame(_)))
            .collect();
        assert!(!news.is_empty());
        for event in news {
            assert!(
                matches!(event, MarketEvent::Renewed { instruments } if instruments.len() == 2),
                "{event:?}"
            );
        }
        // The last one that was replaced is asked to end when it has been counted.
        let log = venue.log();
        let is_goodbye = |entry: &Entry| matches!(entry.what, What::ClosedByClient { code: Some(1000) });
        rig.until("three have left", |_| {
            log.entries().iter().filter(|entry| is_goodbye(entry)).count() == 3
        })
        .await;
        assert!(
            !log.entries()
                .iter()
                .any(|entry| matches!(entry.what, What::ClosedByVenue { .. }))
        );
        rig.stream.close().await;
        assert_eq!(rig.spans("stream.outage").len(), 1, "of the start");
        assert_eq!(ends(&rig.spans("stream.renewal"), "feedwatch.renewal.end"), ["live"; 3]);
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_successor_that_is_refused_is_counted_and_is_neither_failure_nor_outage() {
    leaves_nothing_behind(async || {
        let venue = busy(vec![Rule::connections(2, 3, status(503, &[]))]);
        let mut rig = dial(&venue.url(), policy()).await;
        rig.until_live().await;
        rig.stream.renew();
        let renewed = rig
            .until("renewed", |scrape| {
                scrape.sum("feedwatch_disconnects_total", &[("cause", "planned")]) == 1.0
            })
            .await;
        for (name, value) in [
            ("feedwatch_connect_attempts_total", 4.0),
            ("feedwatch_connect_failures_total", 2.0),
            ("feedwatch_disconnects_total", 1.0),
            ("feedwatch_outages_total", 0.0),
            ("feedwatch_breaker_consecutive_failures", 0.0),
            ("feedwatch_stream_connected", 1.0),
        ] {
            assert_eq!(renewed.total(name), value, "{name}");
        }
        assert_eq!(
            renewed.sum("feedwatch_reconnect_attempts_total", &[("kind", "planned")]),
            3.0
        );
        rig.stream.close().await;
        assert_eq!(rig.error_types(), ["http_status", "http_status"]);
        let roots = rig.spans("stream.renewal");
        assert_eq!(ends(&roots, "feedwatch.renewal.end"), ["failed", "failed", "live"]);
        let start = &rig.spans("stream.outage")[0];
        for root in &roots {
            assert_eq!(root.links.links[0].span_context, start.span_context);
        }
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_loss_meanwhile_is_one_outage_that_the_dial_under_way_ends() {
    leaves_nothing_behind(async || {
        let lost = Fault::Cut { after: millis(1500) };
        // The second one is made, and its subscription is never answered: the stream redials.
        let venue = busy(vec![
            Rule::connections(1, 1, lost),
            Rule::connections(2, 2, Fault::Hang),
        ]);
        let policy = Policy {
            connect_timeout: Duration::from_secs(3),
            ..policy()
        };
        let mut rig = dial(&venue.url(), policy).await;
        rig.until_live().await;
        rig.stream.renew();
        let lost = rig
            .until("lost", |scrape| scrape.total("feedwatch_disconnects_total") == 1.0)
            .await;
        assert_eq!(lost.sum("feedwatch_stream_state", &[("state", "connecting")]), 1.0);
        assert_eq!(
            lost.total("feedwatch_connect_attempts_total"),
            2.0,
            "the dial that was under way"
        );
        assert_eq!(lost.total("feedwatch_breaker_consecutive_failures"), 1.0);
        let back = rig.until_live().await;
        assert_eq!(back.total("feedwatch_connect_attempts_total"), 3.0);
        assert_eq!(back.total("feedwatch_connect_failures_total"), 1.0);
        assert_eq!(back.total("feedwatch_outages_total"), 1.0);
        assert_eq!(back.total("feedwatch_outage_duration_seconds_count"), 1.0);
        rig.stream.close().await;
        assert_eq!(rig.causes_of_outages(), ["eof"]);
        let outages = rig.spans("stream.outage");
        assert_eq!(
            ends(&outages, "feedwatch.outage.attempts"),
            ["1", "2"],
            "of the start, and of the loss"
        );
        assert_eq!(ends(&rig.spans("stream.renewal"), "feedwatch.renewal.end"), ["failed"]);
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn every_connection_of_a_stream_is_replaced_and_the_stream_stays_live() {
    leaves_nothing_behind(async || {
        let venue = busy(Vec::new());
        let policy = Policy {
            max_connection_age: Some(Duration::from_secs(2)),
            jitter: 0.5,
            ..policy()
        };
        let mut rig = spread(&venue.url(), policy, options(), 2, &instruments(11..16)).await;
        rig.until_live().await;
        let renewed = rig
            .until("all of them renewed", |scrape| {
                let (attempts, retired) = planned(scrape);
                retired >= 4.0 && attempts == retired
            })
            .await;
        is_without_a_gap(&renewed, 3.0, planned(&renewed).1);
        assert_eq!(renewed.total("feedwatch_subscriptions_active"), 5.0);
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}
