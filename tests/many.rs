//! A stream of more instruments than a connection carries, against the simulated venue: spread, added up, changed.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::market::{Cause, Instrument, MarketEvent};
use feedwatch::sim::{Entry, Fault, Rule, Script, SimOptions, SimulatedVenue, Traffic, What};
use feedwatch::stream::MarketDataStream;
use feedwatch::supervise::Policy;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::rig::{RigOf, Spread, spread};
use support::rows::{millis, options, policy, status, venue};

fn instruments(ids: std::ops::Range<u32>) -> Vec<Instrument> {
    ids.map(|id| Instrument::new(&id.to_string())).collect()
}

fn names(instruments: &[Instrument]) -> BTreeSet<&str> {
    instruments.iter().map(Instrument::as_str).collect()
}

/// Five instruments, two on a connection.
async fn five(venue: &SimulatedVenue, policy: Policy) -> RigOf<Spread> {
    spread(&venue.url(), policy, options(), 2, &instruments(11..16)).await
}

/// What holds of several connections as it does of one.
fn check_sums(scrape: &Scrape, connections: f64) {
    let made = scrape.total("feedwatch_disconnects_total") + scrape.total("feedwatch_connections_live");
    let over = made + scrape.total("feedwatch_connect_failures_total");
    let in_flight = scrape.total("feedwatch_connect_attempts_total") - over;
    assert!((0.0..=connections).contains(&in_flight), "{in_flight} in flight");
    let trips = scrape.sum(
        "feedwatch_breaker_transitions_total",
        &[("from", "closed"), ("to", "open")],
    );
    assert_eq!(scrape.total("feedwatch_breaker_trips_total"), trips);
    assert_eq!(scrape.total("feedwatch_stream_state"), 1.0);
    assert_eq!(scrape.total("feedwatch_breaker_state"), 1.0);
    let live = scrape.total("feedwatch_connections_live") == scrape.total("feedwatch_connections_desired");
    assert_eq!(scrape.total("feedwatch_stream_connected") == 1.0, live);
}

fn subscribed(venue: &SimulatedVenue) -> Vec<usize> {
    let accepted = |entry: Entry| match entry.what {
        What::Subscribed { accepted, .. } => Some(accepted),
        _ => None,
    };
    let mut accepted: Vec<_> = venue.log().entries().into_iter().filter_map(accepted).collect();
    accepted.sort_unstable();
    accepted
}

#[tokio::test]
async fn instruments_are_spread_and_the_stream_is_live_when_every_connection_is() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![Rule::connections(3, 3, status(503, &[]))]);
        let mut rig = five(&venue, policy()).await;
        let two = rig
            .until("two of three live", |scrape| {
                scrape.total("feedwatch_connections_live") == 2.0
            })
            .await;
        check_sums(&two, 3.0);
        assert_eq!(two.total("feedwatch_stream_connected"), 0.0);
        let all = rig.until_live().await;
        check_sums(&all, 3.0);
        for (name, value) in [
            ("feedwatch_connections_live", 3.0),
            ("feedwatch_connections_desired", 3.0),
            ("feedwatch_connect_attempts_total", 4.0),
            ("feedwatch_connect_failures_total", 1.0),
            ("feedwatch_reconnect_attempts_total", 1.0),
            ("feedwatch_subscriptions_desired", 5.0),
            ("feedwatch_subscriptions_active", 5.0),
            ("feedwatch_outages_total", 1.0),
            ("feedwatch_outage_duration_seconds_count", 1.0),
        ] {
            assert_eq!(all.total(name), value, "{name}");
        }
        assert_eq!(subscribed(&venue), [1, 2, 2]);
        rig.stream.close().await;
        while rig.stream.next_event().await.is_some() {}
        let end = rig.scrape();
        assert_eq!(end.sum("feedwatch_stream_state", &[("state", "stopped")]), 1.0);
        assert_eq!(end.total("feedwatch_connections_live"), 0.0);
        assert_eq!(end.sum("feedwatch_disconnects_total", &[("cause", "shutdown")]), 3.0);
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn one_lost_connection_is_an_outage_of_the_stream_and_names_its_instruments_alone() {
    leaves_nothing_behind(async || {
        let lost = Fault::Cut { after: millis(200) };
        let venue = venue(vec![Rule::connections(2, 2, lost)]);
        let mut rig = five(&venue, policy()).await;
        rig.until_live().await;
        let again = rig
            .until("live again", |scrape| {
                scrape.total("feedwatch_disconnects_total") == 1.0 && scrape.total("feedwatch_stream_connected") == 1.0
            })
            .await;
        check_sums(&again, 3.0);
        assert_eq!(again.total("feedwatch_outages_total"), 1.0);
        assert_eq!(again.total("feedwatch_outage_start_timestamp_seconds"), 0.0);
        // The consumer throws away the books of one connection.
        let gaps: Vec<_> = rig
            .events
            .iter()
            .filter(|event| !matches!(event, MarketEvent::Frame(_)))
            .collect();
        let [
            MarketEvent::Disconnected {
                cause: Cause::Eof,
                instruments: gone,
                ..
            },
            MarketEvent::Reconnected { instruments: back },
        ] = gaps[..]
        else {
            panic!("{gaps:?}")
        };
        assert_eq!(names(gone), names(back));
        assert!(gone.len() <= 2, "{gone:?}");
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn breakers_of_several_connections_are_one_trip_and_one_chain_of_roots() {
    leaves_nothing_behind(async || {
        // All three fail twice and trip; one probe fails.
        let venue = venue(vec![Rule::connections(1, 7, status(500, &[]))]);
        let policy = Policy {
            max_consecutive_failures: 2,
            circuit_breaker_cooldown: millis(300),
            stable_after: millis(50),
            ..policy()
        };
        let mut rig = five(&venue, policy).await;
        let closed = |scrape: &Scrape| scrape.sum("feedwatch_breaker_state", &[("state", "closed")]) == 1.0;
        let recovered = rig
            .until("recovery", |scrape| {
                closed(scrape) && scrape.total("feedwatch_stream_connected") == 1.0
            })
            .await;
        check_sums(&recovered, 3.0);
        assert_eq!(recovered.total("feedwatch_breaker_trips_total"), 1.0);
        assert_eq!(recovered.total("feedwatch_outages_total"), 1.0);
        assert_eq!(
            recovered.sum("feedwatch_reconnect_attempts_total", &[("kind", "probe")]),
            4.0,
            "a probe of each connection, one of them twice"
        );
        rig.stream.close().await;
        // Roots in the order of their beginnings: each links to the one before it.
        let mut roots = rig.spans("stream.outage");
        roots.sort_by_key(|root| root.start_time);
        assert!(roots.len() >= 7, "{}", roots.len());
        let linked: HashSet<_> = roots
            .iter()
            .flat_map(|root| root.links.iter().map(|link| link.span_context.span_id()))
            .collect();
        let own: HashSet<_> = roots.iter().map(|root| root.span_context.span_id()).collect();
        assert_eq!(
            linked.len(),
            roots.len() - 1,
            "one chain: each but the last is linked to, once"
        );
        assert!(linked.is_subset(&own));
        for link in roots.iter().flat_map(|root| root.links.iter()) {
            let relation = link
                .attributes
                .iter()
                .find(|pair| pair.key.as_str() == "feedwatch.link");
            assert_eq!(relation.unwrap().value.as_str(), "same_outage");
        }
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn subscriptions_change_without_touching_what_is_live() {
    leaves_nothing_behind(async || {
        let venue = venue(Vec::new());
        let mut rig = five(&venue, policy()).await;
        rig.until_live().await;
        // One fills the gap of the third connection, two more need a fourth one; one is known already.
        rig.stream.subscribe(&instruments(15..19)).await.unwrap();
        let more = rig
            .until("all of them", |scrape| {
                scrape.total("feedwatch_subscriptions_active") == 8.0
            })
            .await;
        assert_eq!(more.total("feedwatch_connections_live"), 4.0);
        assert_eq!(more.total("feedwatch_connect_attempts_total"), 4.0);
        // What a connection carries is taken back: it is closed, and the others stay.
        rig.stream.unsubscribe(&instruments(11..13)).await.unwrap();
        let fewer = rig
            .until("three connections", |scrape| {
                let gone = scrape.sum("feedwatch_disconnects_total", &[("cause", "planned")]) == 1.0;
                gone && scrape.total("feedwatch_connections_desired") == 3.0
            })
            .await;
        check_sums(&fewer, 3.0);
        assert_eq!(fewer.total("feedwatch_stream_connected"), 1.0);
        assert_eq!(fewer.total("feedwatch_outages_total"), 0.0);
        assert_eq!(fewer.total("feedwatch_subscriptions_desired"), 6.0);
        assert!(
            rig.events
                .iter()
                .all(|event| !matches!(event, MarketEvent::Disconnected { .. }))
        );
        // Of the last ones one connection is left, which idles.
        rig.stream.unsubscribe(&instruments(11..19)).await.unwrap();
        let idle = rig
            .until("idle", |scrape| {
                scrape.sum("feedwatch_stream_state", &[("state", "idle")]) == 1.0
            })
            .await;
        assert_eq!(idle.total("feedwatch_connections_desired"), 0.0);
        rig.stream.subscribe(&instruments(11..12)).await.unwrap();
        rig.until_live().await;
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn instruments_that_end_take_their_connection_along() {
    leaves_nothing_behind(async || {
        let venue = venue(Vec::new());
        let mut rig = five(&venue, policy()).await;
        rig.until_live().await;
        venue.resolve(&["11", "12"]);
        let left = rig
            .until("two connections", |scrape| {
                scrape.total("feedwatch_connections_desired") == 2.0
            })
            .await;
        assert_eq!(left.total("feedwatch_subscriptions_desired"), 3.0);
        assert_eq!(left.total("feedwatch_stream_connected"), 1.0);
        assert_eq!(left.total("feedwatch_outages_total"), 0.0);
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn an_instrument_that_falls_silent_is_counted_and_the_connection_kept() {
    leaves_nothing_behind(async || {
        let silence = Fault::Silence { after: millis(100) };
        let venue = SimulatedVenue::start(SimOptions {
            traffic: Traffic::Generated {
                events_per_second: 200.0,
            },
            script: Script {
                rules: vec![Rule::connections(2, 2, silence)],
            },
            ..SimOptions::default()
        })
        .unwrap();
        let policy = Policy {
            instrument_stale_after: Some(Duration::from_secs(1)),
            ..policy()
        };
        let mut rig = five(&venue, policy).await;
        rig.until_live().await;
        let silent = rig
            .until("stale instruments", |scrape| {
                let oldest = scrape.total("feedwatch_subscription_oldest_data_timestamp_seconds");
                let last = scrape.total("feedwatch_last_data_timestamp_seconds");
                // Those of one connection, and in the end no others, however slowly this machine does its work.
                let stale = scrape.total("feedwatch_subscriptions_stale");
                oldest > 0.0 && last - oldest > 1.5 && (1.0..=2.0).contains(&stale)
            })
            .await;
        assert_eq!(silent.total("feedwatch_stream_connected"), 1.0);
        assert_eq!(silent.total("feedwatch_stream_stale"), 0.0);
        assert_eq!(silent.total("feedwatch_disconnects_total"), 0.0);
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}
