//! A stream of several connections on a task of its own.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent};
use feedwatch::metrics::{Streams, text};
use feedwatch::sim::{Fault, Rule, Script, SimOptions, SimulatedVenue, Traffic};
use feedwatch::stream::{HandOff, MarketDataStream, StreamHandle, WhenFull};
use feedwatch::supervise::Policy;
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::rig::{RigOf, spread};
use support::rows::{millis, options, policy, status};
use tokio::time::{Instant, sleep, timeout};

/// Nothing here takes so long, even on a busy machine; what does has failed.
const LIMIT: Duration = Duration::from_secs(20);

fn instruments(ids: std::ops::Range<u32>) -> Vec<Instrument> {
    ids.map(|id| Instrument::new(&id.to_string())).collect()
}

fn busy(rules: Vec<Rule>) -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 200.0,
        },
        script: Script { rules },
        ..SimOptions::default()
    })
    .unwrap()
}

/// Five instruments, two on a connection.
async fn spawned(venue: &SimulatedVenue, policy: Policy, hand_off: HandOff) -> (StreamHandle, Arc<Streams>) {
    let RigOf { stream, shown, .. } = spread(&venue.url(), policy, options(), 2, &instruments(11..16)).await;
    (stream.spawn(hand_off), shown)
}

fn scrape(shown: &Streams) -> Scrape {
    Scrape::read(&text::render(shown, Moment::now()))
}

/// Waits for a scrape, and takes what the stream yields meanwhile where `events` is given.
async fn until(
    shown: &Streams,
    mut events: Option<&mut StreamHandle>,
    what: &str,
    expected: impl Fn(&Scrape) -> bool,
) -> Vec<MarketEvent> {
    let begun = Instant::now();
    let mut taken = Vec::new();
    while !expected(&scrape(shown)) {
        assert!(
            begun.elapsed() < LIMIT,
            "{what}\n{}",
            text::render(shown, Moment::now())
        );
        match &mut events {
            Some(events) => {
                if let Ok(event) = timeout(millis(10), events.next()).await {
                    taken.push(event.expect("the stream goes on"));
                }
            }
            None => sleep(millis(10)).await,
        }
    }
    taken
}

fn live(connections: f64) -> impl Fn(&Scrape) -> bool {
    move |scrape| {
        scrape.total("feedwatch_connections_live") == connections
            && scrape.total("feedwatch_connections_desired") == connections
    }
}

#[tokio::test]
async fn all_connections_are_commanded_through_one_handle() {
    leaves_nothing_behind(async || {
        let venue = busy(Vec::new());
        let (mut events, shown) = spawned(&venue, policy(), HandOff::default()).await;
        let control = events.control();
        until(&shown, Some(&mut events), "three", live(3.0)).await;
        control.subscribe(&instruments(20..22)).await.unwrap();
        until(&shown, Some(&mut events), "four", live(4.0)).await;

        control.renew().await.unwrap();
        let renewed = until(&shown, Some(&mut events), "renewed", |scrape| {
            scrape.sum("feedwatch_disconnects_total", &[("cause", "planned")]) == 4.0
        })
        .await;
        let mut told: BTreeSet<Instrument> = BTreeSet::new();
        let mut take = |event: &MarketEvent| {
            assert!(!matches!(event, MarketEvent::Disconnected { .. }), "{event:?}");
            if let MarketEvent::Renewed { instruments } = event {
                told.extend(instruments.iter().cloned());
            }
            told.len() == 7
        };
        let mut is_all = renewed.iter().fold(false, |_, event| take(event));
        while !is_all {
            let event = timeout(LIMIT, events.next()).await.expect("each is told");
            is_all = take(&event.unwrap());
        }
        assert_eq!(scrape(&shown).total("feedwatch_outages_total"), 0.0);

        control
            .set_policy(Policy {
                max_consecutive_failures: 7,
                ..policy()
            })
            .await
            .unwrap();
        control.reset_breaker().await.unwrap();
        until(&shown, Some(&mut events), "another policy", |scrape| {
            scrape.total("feedwatch_breaker_failure_threshold") == 7.0
        })
        .await;
        control.reconnect().await.unwrap();
        until(&shown, Some(&mut events), "reconnected", |scrape| {
            live(4.0)(scrape) && scrape.sum("feedwatch_disconnects_total", &[("cause", "forced")]) == 4.0
        })
        .await;

        control.unsubscribe(&instruments(11..13)).await.unwrap();
        until(&shown, Some(&mut events), "three again", live(3.0)).await;
        events.close().await;
        let end = scrape(&shown);
        assert_eq!(end.sum("feedwatch_stream_state", &[("state", "stopped")]), 1.0);
        assert_eq!(end.sum("feedwatch_disconnects_total", &[("cause", "shutdown")]), 3.0);
        assert!(control.renew().await.is_err(), "it has ended");
        while events.next().await.is_some() {}
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_slow_consumer_of_several_connections_is_told_what_it_missed() {
    leaves_nothing_behind(async || {
        let venue = busy(Vec::new());
        let small = HandOff {
            max_events: 4,
            ..HandOff::default()
        };
        let (mut events, shown) = spawned(&venue, policy(), small).await;
        until(&shown, None, "dropped", |scrape| {
            scrape.total("feedwatch_queue_dropped_total") > 10.0 && live(3.0)(scrape)
        })
        .await;
        let told: Vec<_> = shown.all()[0].history().newest_first();
        assert!(told.iter().any(|entry| entry.what == "queue_full"));
        let missed = timeout(LIMIT, async {
            loop {
                if let Some(MarketEvent::Missed { frames }) = events.next().await {
                    return frames;
                }
            }
        });
        assert!(missed.await.unwrap() > 10);
        events.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn where_nothing_is_dropped_those_that_are_live_are_held_up_and_the_others_dial_on() {
    leaves_nothing_behind(async || {
        let venue = busy(vec![Rule::connections(3, 4, status(503, &[]))]);
        let patient = Policy {
            initial_delay: millis(600),
            max_delay: millis(600),
            ..policy()
        };
        let block = HandOff {
            when_full: WhenFull::Block,
            max_events: 8,
            ..HandOff::default()
        };
        let (mut events, shown) = spawned(&venue, patient, block).await;
        // Two are live and full of data; the third one fails twice, and comes all the same.
        until(&shown, None, "three, though nobody takes anything", live(3.0)).await;
        assert_eq!(scrape(&shown).total("feedwatch_connect_failures_total"), 2.0);
        let (waiting, _) = events.waiting();
        assert!((8..=8 + 16).contains(&waiting), "{waiting}");
        assert_eq!(scrape(&shown).total("feedwatch_queue_dropped_total"), 0.0);
        events.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_handle_that_is_dropped_closes_every_connection() {
    leaves_nothing_behind(async || {
        let cut = Fault::Cut { after: millis(300) };
        let venue = busy(vec![Rule::connections(2, 2, cut)]);
        let (mut events, shown) = spawned(&venue, policy(), HandOff::default()).await;
        until(&shown, Some(&mut events), "three", live(3.0)).await;
        let control = events.control();
        drop(events);
        let begun = Instant::now();
        while !shown.all().is_empty() {
            assert!(begun.elapsed() < LIMIT, "its figures are held by its task alone");
            sleep(millis(10)).await;
        }
        assert!(control.subscribe(&instruments(11..12)).await.is_err());
        venue.shutdown().await;
    })
    .await;
}
