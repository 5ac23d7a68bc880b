//! A venue that says it will end the connection: another one is made before it does.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::market::MarketEvent;
use feedwatch::supervise::Policy;
use feedwatch::venue::{Feed, Resync};
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::numbered::{Numbered, Server, grants};
use support::rig::Rig;
use support::rows::{millis, planned, policy};

async fn watch(server: &Server, policy: Policy) -> Rig {
    let venue = Numbered::with(Resync::Reconnect);
    server.watched(venue, Feed::default(), policy).await
}

/// The numbers of the events that the consumer got.
fn numbers(rig: &Rig) -> Vec<u64> {
    let frame = |event: &MarketEvent| match event {
        MarketEvent::Frame(frame) => std::str::from_utf8(&frame.payload)
            .unwrap()
            .strip_prefix("next 11 ")?
            .parse()
            .ok(),
        _ => None,
    };
    rig.events.iter().filter_map(frame).collect()
}

fn told_leaving(rig: &Rig) -> usize {
    rig.events
        .iter()
        .filter(|event| matches!(event, MarketEvent::Leaving { .. }))
        .count()
}

#[tokio::test]
async fn what_the_venue_announces_is_one_renewal_without_a_gap() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = watch(&server, policy()).await;
        rig.until_live().await;
        let is_over =
            |rig: &Rig, server: &Server| planned(&rig.scrape()) == (1.0, 1.0) && server.when(0, "closed").is_some();
        let mut last = 0;
        let mut rest = 20;
        while rest > 0 {
            last += 1;
            // Whoever is subscribed gets it, and the notice comes again and again.
            for connection in 0..2 {
                let is_subscribed = !server.requests(connection).is_empty();
                if is_subscribed && server.when(connection, "closed").is_none() {
                    server.say(connection, &format!("next 11 {last}"));
                }
            }
            if last % 5 == 0 && server.when(0, "closed").is_none() {
                server.say(0, "bye soon");
            }
            rig.poll_once().await;
            rest -= usize::from(is_over(&rig, &server));
            assert!(last < 5000, "it does not move away");
        }
        rig.until("the last number", |_| true).await;
        while numbers(&rig).last() != Some(&last) {
            rig.poll_once().await;
        }
        let mut seen = numbers(&rig);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (1..=last).collect::<Vec<_>>(), "nothing is missing");
        let (live, closed) = (
            server.when(1, "SUB 1 11 12").unwrap(),
            server.when(0, "closed").unwrap(),
        );
        assert!(live < closed, "the other one was there first");
        let scrape = rig.scrape();
        for (name, value) in [
            ("feedwatch_connect_attempts_total", 2.0),
            ("feedwatch_connect_failures_total", 0.0),
            ("feedwatch_disconnects_total", 1.0),
            ("feedwatch_outages_total", 0.0),
            ("feedwatch_sequence_gaps_total", 0.0),
            ("feedwatch_stream_connected", 1.0),
        ] {
            assert_eq!(scrape.total(name), value, "{name}");
        }
        assert_eq!((planned(&scrape), told_leaving(&rig)), ((1.0, 1.0), 1));
        assert!(
            !rig.events
                .iter()
                .any(|event| matches!(event, MarketEvent::Disconnected { .. }))
        );
        assert_eq!(rig.spans("stream.renewal").len(), 1);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_probe_shows_first_what_it_is_worth_and_is_replaced_then() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let policy = Policy {
            max_consecutive_failures: 1,
            circuit_breaker_cooldown: millis(50),
            stable_after: millis(400),
            ..policy()
        };
        let mut rig = watch(&server, policy).await;
        rig.until_live().await;
        // A gap ends the connection, and trips the breaker.
        server.say(0, "next 11 1");
        server.say(0, "next 11 9");
        rig.until_tripped().await;
        rig.until_live().await;
        server.say(1, "next 11 1");
        server.say(1, "bye now");
        let noticed = rig.until("the notice", |_| server.when(1, "open").is_some()).await;
        while told_leaving(&rig) == 0 {
            rig.poll_once().await;
        }
        assert_eq!(noticed.sum("feedwatch_breaker_state", &[("state", "half_open")]), 1.0);
        assert_eq!(planned(&rig.scrape()).0, 0.0);
        let scrape = rig.until("renewed", |scrape| planned(scrape) == (1.0, 1.0)).await;
        assert_eq!(scrape.sum("feedwatch_breaker_state", &[("state", "closed")]), 1.0);
        let waited = server.when(2, "open").unwrap() - server.when(1, "SUB 1 11 12").unwrap();
        assert!(waited >= millis(390), "{waited:?}");
        assert_eq!(scrape.total("feedwatch_connect_attempts_total"), 3.0);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_notice_while_a_renewal_runs_makes_no_other_unless_that_one_fails() {
    leaves_nothing_behind(async || {
        for (first, dials) in [("OK 1 11 12", 2.0), ("NO 1 11 12", 3.0)] {
            // The second connection waits for its answer.
            let server = Server::start(|connection, text: &str| match connection {
                1 => Vec::new(),
                _ => grants(connection, text),
            })
            .await;
            let mut rig = watch(&server, policy()).await;
            rig.until_live().await;
            rig.stream.renew();
            rig.until("the successor asks", |_| !server.requests(1).is_empty())
                .await;
            server.say(0, "bye now");
            while told_leaving(&rig) == 0 {
                rig.poll_once().await;
            }
            assert_eq!(rig.scrape().total("feedwatch_connect_attempts_total"), 2.0);
            server.say(1, first);
            let renewed = |scrape: &Scrape| scrape.sum("feedwatch_disconnects_total", &[("cause", "planned")]) == 1.0;
            let scrape = rig.until("renewed", renewed).await;
            assert_eq!(scrape.total("feedwatch_connect_attempts_total"), dials);
            assert_eq!(scrape.total("feedwatch_outages_total"), 0.0);
            rig.end().await;
            server.stop().await;
        }
    })
    .await;
}
