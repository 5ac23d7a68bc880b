//! A venue that wants its requests slowly: they leave at its rate, and nothing else waits for them.

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
use feedwatch::stream::{MarketDataStream, TransportOptions};
use feedwatch::supervise::Policy;
use feedwatch::venue::{Feed, Resync};
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::numbered::{Numbered, Server, grants};
use support::rig::{Rig, feeding};
use support::rows::{millis, options, policy};

/// Twenty requests a second, two at once, each of one instrument.
fn slow(answers: bool) -> &'static Numbered {
    Numbered {
        resync: Resync::Consumer,
        requests: Some((20.0, 2)),
        batch: 1,
        max_connection_age: None,
        answers,
    }
    .leak()
}

async fn watch(server: &Server, count: usize, options: TransportOptions) -> Rig {
    watch_at(slow(true), server, count, options).await
}

async fn watch_at(venue: &'static Numbered, server: &Server, count: usize, options: TransportOptions) -> Rig {
    let instruments: Vec<_> = (0..count).map(|id| Instrument::new(&id.to_string())).collect();
    let policy = Policy {
        subscribe_timeout: millis(500),
        ..policy()
    };
    feeding(venue, Feed::default(), &instruments, server.url(), policy, options).await
}

/// When each request of that connection came.
fn times(server: &Server, connection: usize) -> Vec<tokio::time::Instant> {
    let came = server.came().into_iter();
    let requests = came.filter(|(of, _, text)| *of == connection && text.contains("SUB "));
    requests.map(|(_, at, _)| at).collect()
}

fn active(scrape: &Scrape) -> f64 {
    scrape.sum("feedwatch_subscriptions_active", &[])
}

#[tokio::test]
async fn requests_that_take_longer_than_the_answer_may_leave_at_the_rate_and_the_stream_goes_live() {
    leaves_nothing_behind(async || {
        // The fifth is refused, and the others go on; each answer is a part of one.
        let server = Server::start(|_, text: &str| match text.strip_prefix("SUB 5 ") {
            Some(rest) => vec![format!("NO 5 {rest}"), "ask first".to_owned()],
            None => grants(0, text),
        })
        .await;
        let mut rig = watch(&server, 30, options()).await;
        let live = rig.until_live().await;
        let times = times(&server, 0);
        assert_eq!(times.len(), 30);
        let took = times[29] - times[0];
        // 28 wait, for a twentieth of a second each; 500 ms were allowed for an answer.
        assert!((millis(1350)..millis(4000)).contains(&took), "{took:?}");
        // No moment has more than the burst and what has become free since.
        for pair in times.windows(12) {
            let span = pair[11] - pair[0];
            assert!(span >= millis(400), "{span:?}");
        }
        assert_eq!(active(&live), 29.0);
        assert_eq!(live.sum("feedwatch_connect_failures_total", &[]), 0.0);
        assert_eq!(
            live.sum("feedwatch_subscription_failures_total", &[("reason", "rejected")]),
            1.0
        );
        assert!(
            !rig.events
                .iter()
                .any(|event| matches!(event, MarketEvent::Subscribed(_))),
            "one answer, that of the start"
        );
        let last = times[29];
        for what in ["re first", "ping"] {
            let at = server.when(0, what).unwrap();
            assert!(at < last, "{what} did not wait");
        }
        assert!(server.when(0, "re first").unwrap() - times[4] < millis(300), "at once");
        rig.end().await;
        server.stop().await;
    })
    .await;
}

/// A venue may ask for replies faster than it takes requests.
#[tokio::test]
async fn replies_leave_at_the_rate_and_keep_no_request_back() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = watch(&server, 1, options()).await;
        rig.until_live().await;
        for number in 0..500 {
            server.say(0, &format!("ask {number}"));
        }
        let more: Vec<_> = (100..105).map(|id| Instrument::new(&id.to_string())).collect();
        rig.stream.subscribe(&more).await.unwrap();
        rig.until("all in effect", |scrape| active(scrape) == 6.0).await;
        rig.until("the last reply", |_| server.when(0, "re 499").is_some())
            .await;
        let came: Vec<_> = server
            .came()
            .into_iter()
            .filter(|(_, _, text)| text.starts_with("re ") || text.starts_with("SUB "))
            .collect();
        let replies = came.iter().filter(|(_, _, text)| text.starts_with("re ")).count();
        assert!((10..200).contains(&replies), "what waits gives way: {replies}");
        // Twenty a second; the burst of two, and the first reply, which waits for no turn.
        let took = came.last().unwrap().1 - came[0].1;
        assert!(
            took >= millis(50) * (u32::try_from(came.len()).unwrap() - 4),
            "{took:?}"
        );
        let asked = times(&server, 0).pop().unwrap();
        assert!(
            asked < server.when(0, "re 499").unwrap(),
            "requests take turns with replies"
        );
        rig.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn changes_of_a_live_stream_leave_at_the_rate_while_data_goes_on() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = watch(&server, 1, options()).await;
        rig.until_live().await;
        let more: Vec<_> = (100..120).map(|id| Instrument::new(&id.to_string())).collect();
        rig.stream.subscribe(&more).await.unwrap();
        let mut number = 0;
        // Each poll brings something, long before the last request has left.
        while server.requests(0).len() < 10 {
            number += 1;
            server.say(0, &format!("next 0 {number}"));
            rig.poll_once().await;
        }
        let frames = rig
            .events
            .iter()
            .filter(|event| matches!(event, MarketEvent::Frame(frame) if frame.is_data));
        assert!(frames.count() > 10, "data did not wait for requests");
        // The answer is awaited from when the last one leaves, which is later than half a second from now.
        let all = rig.until("all in effect", |scrape| active(scrape) == 21.0).await;
        assert_eq!(all.sum("feedwatch_subscription_failures_total", &[]), 0.0);
        let times = times(&server, 0);
        assert!(times[20] - times[1] >= millis(850), "{:?}", times[20] - times[1]);
        assert_eq!(all.sum("feedwatch_disconnects_total", &[]), 0.0);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

/// Whoever changes its mind faster than the venue takes requests is slowed down, and in the end gets another connection: what
/// waits is bounded.
#[tokio::test]
async fn what_waits_to_be_asked_is_bounded() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = watch(&server, 1, options()).await;
        rig.until_live().await;
        let many: Vec<_> = (1000..2500).map(|id| Instrument::new(&id.to_string())).collect();
        rig.stream.subscribe(&many).await.unwrap();
        let lost = |scrape: &Scrape| scrape.sum("feedwatch_disconnects_total", &[]) == 1.0;
        let scrape = rig.until("too much", lost).await;
        assert_eq!(scrape.nonzero("feedwatch_disconnects_total", "cause"), ["send_timeout"]);
        let told = rig.events.iter().find_map(|event| match event {
            MarketEvent::Disconnected { detail, .. } => Some(detail.as_ref()),
            _ => None,
        });
        assert!(
            told.unwrap().contains("more requests wait than the venue takes"),
            "{told:?}"
        );
        assert!(server.requests(0).len() < 100);
        tokio::time::timeout(Duration::from_secs(10), rig.stream.close())
            .await
            .unwrap();
        server.stop().await;
    })
    .await;
}

/// Where no answer is due, more data than may wait for the last request to leave is no answer that is missing.
#[tokio::test]
async fn what_comes_before_all_is_asked_for_is_bounded_where_nothing_is_answered_too() {
    leaves_nothing_behind(async || {
        // 8 KB with the first request; more than fifty wait for a twentieth of a second each.
        let server = Server::start(|_, text: &str| {
            let is_first = text.starts_with("SUB 1 ");
            let frames = if is_first { 8 } else { 0 };
            (0..frames).map(|number| format!("next 0 {number:01000}")).collect()
        })
        .await;
        let options = TransportOptions {
            max_message_bytes: 4096,
            ..options()
        };
        let mut rig = watch_at(slow(false), &server, 60, options).await;
        let failed = |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &[]) == 1.0;
        let scrape = rig.until("too much", failed).await;
        // As a failed dial it counts as every one whose requests do not leave.
        assert_eq!(rig.error_types()[0], "subscribe_timeout");
        assert_eq!(
            scrape.nonzero("feedwatch_subscription_failures_total", "reason"),
            ["send_error"]
        );
        tokio::time::timeout(Duration::from_secs(10), rig.stream.close())
            .await
            .unwrap();
        server.stop().await;
    })
    .await;
}
