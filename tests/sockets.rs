//! Faults over real sockets: the simulated venue does them, and the metrics and the next step are judged.

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
use feedwatch::sim::{Capture, CapturedFrame, Fault, Rule, Script, SimOptions, SimulatedVenue, Speed, Traffic, What};
use feedwatch::stream::{Dialler, MarketDataStream, TcpDialler, TlsTrust, TransportOptions};
use feedwatch::supervise::{OnStale, Policy};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::pipe::{BOOK, Pipe, serve_first_subscription};
use support::rig::Rig;
use support::rows::{
    assert_recovered, close, dial, fails_an_attempt, loses_the_connection, millis, options, policy, status, venue,
};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

#[tokio::test]
async fn a_venue_that_never_answers_the_upgrade() {
    leaves_nothing_behind(async || {
        fails_an_attempt(Fault::Hang, "upgrade_timeout").await;
    })
    .await;
}

#[tokio::test]
async fn http_errors_back_off() {
    leaves_nothing_behind(async || {
        for code in [400, 404, 500, 502, 503] {
            fails_an_attempt(status(code, &[]), "http_status").await;
        }
    })
    .await;
}

#[tokio::test]
async fn http_answers_that_are_no_upgrade() {
    leaves_nothing_behind(async || {
        for code in [200, 302] {
            fails_an_attempt(status(code, &[]), "upgrade").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_is_never_answered() {
    leaves_nothing_behind(async || {
        fails_an_attempt(Fault::NoAnswer, "subscribe_timeout").await;
    })
    .await;
}

#[tokio::test]
async fn a_subscription_that_is_refused() {
    leaves_nothing_behind(async || {
        fails_an_attempt(Fault::RejectSubscription, "subscribe_rejected").await;
    })
    .await;
}

#[tokio::test]
async fn http_401_and_451_trip_at_once() {
    leaves_nothing_behind(async || {
        for code in [401, 451] {
            let venue = venue(vec![Rule::always(status(code, &[]))]);
            let mut rig = dial(&venue.url(), policy()).await;
            let scrape = rig.until_tripped().await;
            assert_eq!(
                scrape.sum("feedwatch_breaker_trips_total", &[("trigger", "fatal_error")]),
                1.0
            );
            assert_eq!(
                scrape.sum("feedwatch_connect_failures_total", &[("cause", "unauthorized")]),
                1.0
            );
            assert_eq!(rig.error_types(), ["unauthorized"]);
            assert_eq!(scrape.sum("feedwatch_breaker_state", &[("state", "open")]), 1.0);
            assert_eq!(scrape.sum("feedwatch_stream_state", &[("state", "cooling_down")]), 1.0);
            assert_eq!(rig.errors_of_outages(), ["unauthorized"]);
            rig.end().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_third_http_403_in_a_row_trips() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![Rule::always(status(403, &[]))]);
        let mut rig = dial(&venue.url(), policy()).await;
        let scrape = rig.until_tripped().await;
        assert_eq!(
            scrape.sum("feedwatch_connect_failures_total", &[("cause", "http_status")]),
            2.0
        );
        assert_eq!(
            scrape.sum("feedwatch_connect_failures_total", &[("cause", "unauthorized")]),
            1.0
        );
        assert_eq!(rig.error_types(), ["http_status", "http_status", "unauthorized"]);
        rig.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_rate_limit_waits_as_long_as_the_venue_says() {
    leaves_nothing_behind(async || {
        let cases = [
            (429, "rate_limited", ("Retry-After", "77")),
            (418, "rate_limited", ("Retry-After", "77")),
            (503, "http_status", ("Retry-After", "77")),
        ];
        for (code, cause, header) in cases {
            let venue = venue(vec![Rule::always(status(code, &[header]))]);
            let mut rig = dial(&venue.url(), policy()).await;
            let scrape = rig
                .until("waiting", |s| {
                    s.sum("feedwatch_stream_state", &[("state", "backing_off")]) == 1.0
                })
                .await;
            assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[("cause", cause)]), 1.0);
            assert_eq!(scrape.sum("feedwatch_reconnect_current_delay_seconds", &[]), 77.0);
            assert_eq!(rig.error_types(), [cause]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_closed_port_is_refused_and_found_again_when_it_opens() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![Rule::during(Duration::ZERO, millis(300), Fault::Refuse)]);
        let mut rig = dial(&venue.url(), policy()).await;
        let scrape = rig.until_live().await;
        assert_eq!(
            scrape.nonzero("feedwatch_connect_failures_total", "cause"),
            ["tcp_refused"]
        );
        let refused = scrape.sum("feedwatch_connect_failures_total", &[("cause", "tcp_refused")]);
        assert_eq!(rig.error_types(), vec!["tcp_refused"; rig.error_types().len()]);
        assert_eq!(rig.error_types().len() as f64, refused);
        assert_eq!(scrape.sum("feedwatch_outages_total", &[]), 1.0);
        assert_recovered(&scrape);
        rig.end().await;
    })
    .await;
}

#[tokio::test]
async fn each_close_code_has_its_cause() {
    leaves_nothing_behind(async || {
        for (code, cause) in [
            (Some(1000), "close_normal"),
            (None, "close_normal"),
            (Some(1001), "close_going_away"),
            (Some(1008), "close_policy"),
            (Some(1011), "close_server_error"),
            (Some(4000), "close_other"),
            (Some(1005), "protocol"),
        ] {
            loses_the_connection(close(code), cause).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_restarts_is_left_alone_for_five_seconds() {
    leaves_nothing_behind(async || {
        for (code, cause) in [(1012, "close_service_restart"), (1013, "close_try_again")] {
            let venue = venue(vec![Rule::always(close(Some(code)))]);
            let mut rig = dial(&venue.url(), policy()).await;
            let scrape = rig
                .until("lost", |scrape| {
                    scrape.sum("feedwatch_disconnects_total", &[("cause", cause)]) == 1.0
                })
                .await;
            assert_eq!(scrape.sum("feedwatch_reconnect_current_delay_seconds", &[]), 5.0);
            rig.stream.close().await;
            assert_eq!(rig.causes_of_outages(), [cause]);
            rig.end().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reset_connection() {
    leaves_nothing_behind(async || {
        loses_the_connection(Fault::Reset { after: millis(50) }, "tcp_reset").await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_ends_without_a_close_frame() {
    leaves_nothing_behind(async || {
        loses_the_connection(Fault::Cut { after: millis(50) }, "eof").await;
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_says_nothing_any_more_not_even_a_pong() {
    leaves_nothing_behind(async || {
        loses_the_connection(Fault::Mute { after: millis(50) }, "pong_timeout").await;
    })
    .await;
}

#[tokio::test]
async fn a_dead_connection_is_noticed_within_a_ping_and_its_time_out() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![Rule::connections(1, 1, Fault::Mute { after: millis(50) })]);
        let mut rig = dial(&venue.url(), policy()).await;
        rig.until("lost", |scrape| {
            scrape.sum("feedwatch_disconnects_total", &[("cause", "pong_timeout")]) == 1.0
        })
        .await;
        let entries = venue.log().entries();
        let muted = entries
            .iter()
            .find(|entry| matches!(entry.what, What::FaultBegan { .. }));
        let noticed = venue.log().elapsed().saturating_sub(muted.unwrap().at);
        // Judged only when the time is over, and looked at every hundredth of a second; the rest is for a busy machine.
        let options = options();
        let most = options.ping_interval.unwrap() + options.pong_timeout;
        assert!(noticed < most + millis(600), "after {noticed:?}");
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

/// Neither attempt nor loss: what a stream that is kept must show.
fn assert_kept(scrape: &Scrape) {
    assert_eq!(scrape.sum("feedwatch_stream_connected", &[]), 1.0);
    assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0);
    assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 0.0);
    assert_eq!(scrape.sum("feedwatch_outages_total", &[]), 0.0);
}

#[tokio::test]
async fn heartbeats_do_not_hide_dead_data() {
    leaves_nothing_behind(async || {
        for fault in [
            Fault::HeartbeatsOnly { after: millis(50) },
            Fault::Silence { after: millis(50) },
        ] {
            let venue = venue(vec![Rule::always(fault.clone())]);
            let watching = Policy {
                stale_after: Some(millis(500)),
                ..policy()
            };
            let mut rig = dial(&venue.url(), watching).await;
            let before = rig
                .until("stale", |scrape| scrape.sum("feedwatch_stream_stale", &[]) == 1.0)
                .await;
            assert!(
                before.sum("feedwatch_ping_rtt_seconds_count", &[]) > 0.0,
                "it answered pings"
            );
            // Sent by the venue itself once a second, or in answer to a ping every tenth of one.
            let heartbeats = |scrape: &Scrape| scrape.sum("feedwatch_messages_total", &[("kind", "heartbeat")]);
            let scrape = rig
                .until("more heartbeats", |scrape| {
                    heartbeats(scrape) > heartbeats(&before) + 2.0
                        && scrape.sum("feedwatch_stream_stale_seconds_total", &[]) > 1.2
                })
                .await;
            assert_kept(&scrape);
            assert_eq!(scrape.sum("feedwatch_stream_stale", &[]), 1.0, "{fault:?}");
            assert_eq!(scrape.sum("feedwatch_stale_episodes_total", &[]), 1.0, "{fault:?}");
            let silence = scrape.sum("feedwatch_last_frame_timestamp_seconds", &[])
                - scrape.sum("feedwatch_last_data_timestamp_seconds", &[]);
            assert!(
                silence > 1.0,
                "{fault:?}: the transport is alive, the data is not: {silence}"
            );
            assert!(rig.error_types().is_empty() && rig.causes_of_outages().is_empty());
            rig.end().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn silence_that_is_only_reported_is_over_with_the_next_event() {
    leaves_nothing_behind(async || {
        let venue = venue(Vec::new());
        let watching = Policy {
            stale_after: Some(millis(300)),
            ..policy()
        };
        let mut rig = dial(&venue.url(), watching).await;
        rig.until_live().await;
        for episode in 1..3 {
            venue.pause_traffic();
            let stale = |scrape: &Scrape| scrape.sum("feedwatch_stream_stale", &[]) == 1.0;
            let silent = rig.until("stale", stale).await;
            assert_eq!(silent.sum("feedwatch_stale_episodes_total", &[]), f64::from(episode));
            venue.resume_traffic();
            let fresh = rig.until("fresh", |scrape| !stale(scrape)).await;
            assert_kept(&fresh);
            assert_recovered(&fresh);
        }
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

/// What a stream does that reconnects for want of data, up to the trip: three times, each for the same cause.
async fn assert_trips_of_staleness(rig: &mut Rig) {
    let scrape = rig.until_tripped().await;
    assert_eq!(scrape.nonzero("feedwatch_disconnects_total", "cause"), ["stale"]);
    assert_eq!(scrape.sum("feedwatch_disconnects_total", &[("cause", "stale")]), 3.0);
    assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[]), 0.0);
    assert_eq!(scrape.sum("feedwatch_stale_episodes_total", &[]), 3.0);
    assert_eq!(scrape.sum("feedwatch_stream_stale", &[]), 0.0, "it is not live");
    let consecutive = [("trigger", "consecutive_failures")];
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &consecutive), 1.0);
    assert_eq!(rig.causes_of_outages(), ["stale"; 3]);
    assert_eq!(rig.errors_of_outages(), ["stale"], "the one that tripped");
    let told = |event: &&MarketEvent| {
        matches!(
            event,
            MarketEvent::Disconnected {
                cause: Cause::Stale,
                ..
            }
        )
    };
    assert!(rig.events.iter().filter(told).count() >= 2, "{:?}", rig.events);
}

#[tokio::test]
async fn a_venue_that_stays_dead_is_redialled_and_then_trips() {
    leaves_nothing_behind(async || {
        let policy = Policy {
            stale_after: Some(millis(300)),
            on_stale: OnStale::Reconnect,
            stable_after: millis(100),
            max_consecutive_failures: 3,
            ..policy()
        };
        for fault in [Fault::None, Fault::HeartbeatsOnly { after: Duration::ZERO }] {
            // Nothing is active, so not even the answer holds data.
            let silent = SimOptions {
                traffic: Traffic::Silent,
                unknown: ["11".into(), "12".into()].into(),
                script: Script {
                    rules: vec![Rule::always(fault)],
                },
                ..SimOptions::default()
            };
            let venue = SimulatedVenue::start(silent).unwrap();
            let mut rig = dial(&venue.url(), policy.clone()).await;
            assert_trips_of_staleness(&mut rig).await;
            assert!(rig.scrape().sum("feedwatch_messages_total", &[("kind", "heartbeat")]) > 3.0);
            rig.end().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_venue_whose_data_comes_back_closes_the_breaker_that_its_silence_tripped() {
    leaves_nothing_behind(async || {
        let policy = Policy {
            stale_after: Some(millis(300)),
            on_stale: OnStale::Reconnect,
            // What answers with books and is silent from then on is no more stable than what closes.
            stable_after: millis(600),
            max_consecutive_failures: 3,
            circuit_breaker_cooldown: millis(200),
            ..policy()
        };
        let silence = Fault::Silence { after: Duration::ZERO };
        let venue = venue(vec![Rule::connections(1, 4, silence)]);
        let mut rig = dial(&venue.url(), policy).await;
        assert_trips_of_staleness(&mut rig).await;
        let closed = |scrape: &Scrape| scrape.sum("feedwatch_breaker_state", &[("state", "closed")]) == 1.0;
        let scrape = rig.until("closed", closed).await;
        assert_recovered(&scrape);
        assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 1.0);
        assert_eq!(scrape.sum("feedwatch_breaker_consecutive_failures", &[]), 0.0);
        assert_eq!(
            scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "probe")]),
            2.0,
            "the first probe found it silent"
        );
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_flapping_venue_trips_although_each_connection_goes_live() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![Rule::always(Fault::Close {
            code: Some(1000),
            reason: String::new(),
            after: Duration::ZERO,
        })]);
        let mut rig = dial(
            &venue.url(),
            Policy {
                max_consecutive_failures: 4,
                ..policy()
            },
        )
        .await;
        let scrape = rig.until_tripped().await;
        assert_eq!(scrape.nonzero("feedwatch_disconnects_total", "cause"), ["close_normal"]);
        assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 4.0);
        assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[]), 0.0);
        assert_eq!(rig.causes_of_outages(), ["close_normal"; 4]);
        assert_eq!(rig.errors_of_outages(), ["close_normal"], "the one that tripped");
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn unknown_tokens_are_told_and_the_others_go_on() {
    leaves_nothing_behind(async || {
        let options = SimOptions {
            unknown: ["12".into()].into(),
            ..SimOptions::default()
        };
        let venue = SimulatedVenue::start(options).unwrap();
        let mut rig = dial(&venue.url(), policy()).await;
        let before = rig.until_live().await;
        let messages = |scrape: &Scrape| scrape.sum("feedwatch_messages_total", &[]);
        let scrape = rig
            .until("data of the other", |scrape| messages(scrape) > messages(&before) + 5.0)
            .await;
        assert_kept(&scrape);
        assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[]), 0.0);
        assert_eq!(scrape.sum("feedwatch_subscriptions_desired", &[]), 2.0);
        assert_eq!(scrape.sum("feedwatch_subscriptions_active", &[]), 1.0);
        assert_eq!(
            scrape.nonzero("feedwatch_subscription_failures_total", "reason"),
            ["rejected"]
        );
        assert_eq!(scrape.sum("feedwatch_subscription_failures_total", &[]), 1.0);
        assert!(rig.error_types().is_empty(), "an attempt that went live");
        let attempt = &rig.spans("stream.connect")[0];
        for (name, count) in [("accepted", 1), ("refused", 1)] {
            let name = format!("feedwatch.subscriptions.{name}");
            let told = attempt.attributes.iter().find(|pair| pair.key.as_str() == name);
            assert_eq!(told.unwrap().value, count.into(), "{name}");
        }
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_leaves_all_tokens_out_is_live_with_none() {
    leaves_nothing_behind(async || {
        let options = SimOptions {
            unknown: ["11".into(), "12".into()].into(),
            ..SimOptions::default()
        };
        let venue = SimulatedVenue::start(options).unwrap();
        let mut rig = dial(&venue.url(), policy()).await;
        // It says not why: markets that have ended look so.
        let scrape = rig.until_live().await;
        assert_kept(&scrape);
        assert_eq!(scrape.sum("feedwatch_subscriptions_desired", &[]), 2.0);
        assert_eq!(scrape.sum("feedwatch_subscriptions_active", &[]), 0.0);
        let rejected = [("reason", "rejected")];
        assert_eq!(scrape.sum("feedwatch_subscription_failures_total", &rejected), 2.0);
        assert!(rig.error_types().is_empty());
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_refuses_every_subscription_backs_off_and_then_trips() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![Rule::always(Fault::RejectSubscription)]);
        let three = Policy {
            max_consecutive_failures: 3,
            ..policy()
        };
        let mut rig = dial(&venue.url(), three).await;
        let scrape = rig.until_tripped().await;
        let cause = "subscribe_rejected";
        assert_eq!(scrape.nonzero("feedwatch_connect_failures_total", "cause"), [cause]);
        assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[]), 3.0);
        assert_eq!(
            scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "backoff")]),
            2.0
        );
        let rejected = [("reason", "rejected")];
        assert_eq!(scrape.sum("feedwatch_subscription_failures_total", &rejected), 6.0);
        assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 0.0, "it was never live");
        assert_eq!(rig.error_types(), [cause; 3]);
        assert_eq!(rig.errors_of_outages(), [cause]);
        assert_eq!(rig.spans("stream.subscribe").len(), 3);
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn subscriptions_change_on_the_open_connection() {
    leaves_nothing_behind(async || {
        let venue = venue(Vec::new());
        let mut rig = dial(&venue.url(), policy()).await;
        rig.until_live().await;
        rig.stream
            .subscribe(&[Instrument::new("21"), Instrument::new("22")])
            .await
            .unwrap();
        rig.stream.unsubscribe(&[Instrument::new("11")]).await.unwrap();
        let scrape = rig
            .until("three active", |s| s.sum("feedwatch_subscriptions_active", &[]) == 3.0)
            .await;
        assert_eq!(scrape.sum("feedwatch_subscriptions_desired", &[]), 3.0);
        assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0);
        let changed =
            |entry: &feedwatch::sim::Entry| matches!(entry.what, What::SubscriptionChanged { removed: 1, .. });
        assert!(venue.log().entries().iter().any(changed));
    })
    .await;
}

#[tokio::test]
async fn a_market_that_ends_leaves_the_subscriptions_and_the_last_one_makes_the_stream_idle() {
    leaves_nothing_behind(async || {
        let venue = venue(Vec::new());
        let mut rig = dial(&venue.url(), policy()).await;
        rig.until_live().await;
        venue.resolve(&["11", "12"]);
        let scrape = rig
            .until("idle", |s| s.sum("feedwatch_stream_state", &[("state", "idle")]) == 1.0)
            .await;
        assert_eq!(scrape.sum("feedwatch_subscriptions_desired", &[]), 0.0);
        assert_eq!(scrape.sum("feedwatch_outages_total", &[]), 0.0);
        assert_eq!(scrape.nonzero("feedwatch_disconnects_total", "cause"), ["planned"]);
    })
    .await;
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection() {
    leaves_nothing_behind(async || {
        let big = format!(
            r#"{{"event_type":"book","asset_id":"11","timestamp":"1","pad":"{}"}}"#,
            "x".repeat(100_000)
        );
        let frames: Capture = [CapturedFrame::text(None, &big)].into_iter().collect();
        let traffic = Traffic::Replay {
            recordings: vec![Arc::new(frames)],
            speed: Speed::Factor(1.0),
            repeat: false,
        };
        let venue = SimulatedVenue::start(SimOptions {
            traffic,
            ..SimOptions::default()
        })
        .unwrap();
        let small = TransportOptions {
            max_message_bytes: 50_000,
            ..options()
        };
        let mut rig = Rig::new(
            &venue.url(),
            policy(),
            small,
            TlsTrust::only([]).unwrap(),
            TcpDialler::default(),
        )
        .await;
        rig.until("lost", |s| {
            s.sum("feedwatch_disconnects_total", &[("cause", "too_big")]) >= 1.0
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn frames_that_are_not_understood_are_counted_and_the_connection_is_kept() {
    leaves_nothing_behind(async || {
        let texts = [
            "nonsense",
            r#"{"event_type":"quake"}"#,
            r#"{"event_type":7}"#,
            r#"{"event_type":"book","asset_id":"11"}"#,
        ];
        let mut frames: Vec<_> = texts.iter().map(|text| CapturedFrame::text(None, text)).collect();
        frames.push(CapturedFrame::binary(None, &[0xff, 0xfe]));
        let venue = support::replaying(&Arc::new(frames.into_iter().collect()));
        let mut rig = dial(&venue.url(), policy()).await;
        let scrape = rig
            .until("all read", |s| s.sum("feedwatch_parse_errors_total", &[]) == 4.0)
            .await;
        for reason in ["utf8", "json", "schema", "unknown_channel"] {
            assert_eq!(
                scrape.sum("feedwatch_parse_errors_total", &[("reason", reason)]),
                1.0,
                "{reason}"
            );
        }
        assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0);
    })
    .await;
}

#[tokio::test]
async fn what_the_venue_sent_is_what_was_counted() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![Rule::connections(1, 3, close(Some(1001)))]);
        let mut rig = dial(&venue.url(), policy()).await;
        rig.until("the fourth connection", |s| {
            s.sum("feedwatch_connect_attempts_total", &[]) == 4.0
                && s.sum("feedwatch_frames_received_total", &[]) > 30.0
        })
        .await;
        venue.pause_traffic();
        let log = venue.log();
        let scrape = rig
            .until("equal counts", |s| {
                s.sum("feedwatch_frames_received_total", &[]) == log.totals().sent.frames() as f64
            })
            .await;
        assert_eq!(
            scrape.sum("feedwatch_received_bytes_total", &[]),
            log.totals().sent.payload_bytes as f64
        );
    })
    .await;
}

#[tokio::test]
async fn closing_sends_a_close_frame_and_waits_for_its_answer() {
    leaves_nothing_behind(async || {
        let venue = venue(Vec::new());
        let mut rig = dial(&venue.url(), policy()).await;
        rig.until_live().await;
        rig.stream.close().await;
        let log = venue.log();
        venue.shutdown().await;
        assert!(
            log.entries()
                .iter()
                .any(|entry| entry.what == What::ClosedByClient { code: Some(1000) })
        );
        let (scrape, counts) = (rig.scrape(), log.totals());
        for direction in ["sent", "received"] {
            let labels = [("opcode", "close"), ("direction", direction)];
            assert_eq!(
                scrape.sum("feedwatch_control_frames_total", &labels),
                1.0,
                "{direction}"
            );
        }
        assert_eq!(
            scrape.sum("feedwatch_frames_received_total", &[]),
            counts.sent.frames() as f64
        );
        assert_eq!(
            scrape.sum("feedwatch_received_bytes_total", &[]),
            counts.sent.payload_bytes as f64
        );
        assert_eq!(
            scrape.sum("feedwatch_sent_bytes_total", &[]),
            counts.received.payload_bytes as f64
        );
    })
    .await;
}

/// A dialler whose name server or network is broken.
#[derive(Clone, Copy)]
enum Broken {
    NoSuchName,
    ResolverHangs,
    SynSwallowed,
    OutOfDescriptors,
}

impl Dialler for Broken {
    type Io = tokio::net::TcpStream;

    async fn resolve(&self, _host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::NoSuchName => Err(io::Error::other("no such name")),
            Self::ResolverHangs => std::future::pending().await,
            Self::SynSwallowed | Self::OutOfDescriptors => Ok(vec![([127, 0, 0, 1], port).into()]),
        }
    }

    async fn connect(&self, _address: SocketAddr) -> io::Result<Self::Io> {
        match self {
            Self::OutOfDescriptors => Err(io::Error::from_raw_os_error(24)),
            _ => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn each_phase_of_a_dial_has_its_cause() {
    leaves_nothing_behind(async || {
        for (broken, cause) in [
            (Broken::NoSuchName, "dns"),
            (Broken::ResolverHangs, "dns_timeout"),
            (Broken::SynSwallowed, "tcp_timeout"),
            (Broken::OutOfDescriptors, "resource_limit"),
        ] {
            let trust = TlsTrust::only([]).unwrap();
            let mut rig = Rig::new("ws://venue.example/ws", policy(), options(), trust, broken).await;
            rig.until(cause, |s| {
                s.sum("feedwatch_connect_failures_total", &[("cause", cause)]) >= 1.0
            })
            .await;
            assert_eq!(rig.error_types()[0], cause);
        }
    })
    .await;
}

/// A dialler whose host has several addresses, which fail in their order.
struct Addresses(Vec<(SocketAddr, i32)>);

impl Dialler for Addresses {
    type Io = tokio::net::TcpStream;

    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.iter().map(|(address, _)| *address).collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Self::Io> {
        let error = self
            .0
            .iter()
            .find(|(failing, _)| *failing == address)
            .map_or(0, |(_, error)| *error);
        Err(io::Error::from_raw_os_error(error))
    }
}

#[tokio::test]
async fn a_family_of_addresses_that_the_host_has_not_hides_no_other_failure() {
    leaves_nothing_behind(async || {
        let (refused, no_address, no_network) = (111, 99, 101);
        let (v4, v6): (SocketAddr, SocketAddr) = (([127, 0, 0, 1], 1).into(), ([0_u16; 8], 1).into());
        for (addresses, cause) in [
            (vec![(v4, refused), (v6, no_address)], "tcp_refused"),
            (vec![(v6, no_network), (v4, refused)], "tcp_refused"),
            (vec![(v6, no_address)], "tcp_unreachable"),
            (vec![(v4, no_address)], "resource_limit"),
            (vec![], "dns"),
        ] {
            let trust = TlsTrust::only([]).unwrap();
            let mut rig = Rig::new(
                "ws://venue.example/ws",
                policy(),
                options(),
                trust,
                Addresses(addresses),
            )
            .await;
            rig.until(cause, |s| {
                s.sum("feedwatch_connect_failures_total", &[("cause", cause)]) >= 1.0
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_phase_that_is_cut_off_by_the_deadline_is_measured_like_any_other() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![Rule::connections(1, 1, Fault::Hang)]);
        let mut rig = dial(&venue.url(), policy()).await;
        let scrape = rig.until_live().await;
        let upgrades = [("phase", "upgrade")];
        assert_eq!(scrape.sum("feedwatch_connect_duration_seconds_count", &upgrades), 2.0);
        // The dial had half a second, less what the look-up and TCP took of it.
        assert!(scrape.sum("feedwatch_connect_duration_seconds_sum", &upgrades) >= 0.3);
    })
    .await;
}

#[tokio::test]
async fn a_small_limit_for_what_comes_does_not_limit_what_is_sent() {
    leaves_nothing_behind(async || {
        let venue = venue(Vec::new());
        let small = TransportOptions {
            max_message_bytes: 8192,
            ..options()
        };
        let mut rig = Rig::new(
            &venue.url(),
            policy(),
            small,
            TlsTrust::only([]).unwrap(),
            TcpDialler::default(),
        )
        .await;
        let many: Vec<_> = (0..200)
            .map(|token| Instrument::new(&format!("9{token:077}")))
            .collect();
        rig.until_live().await;
        rig.stream.subscribe(&many).await.unwrap();
        rig.until("the answer", |s| {
            s.sum("feedwatch_disconnects_total", &[("cause", "too_big")]) >= 1.0
        })
        .await;
        let asked = |entry: &feedwatch::sim::Entry| matches!(entry.what, What::SubscriptionChanged { added: 200, .. });
        assert!(
            venue.log().entries().iter().any(asked),
            "the request of 16 KB has arrived"
        );
    })
    .await;
}

#[tokio::test]
async fn a_consumer_that_pauses_finds_its_data_and_no_false_alarm() {
    leaves_nothing_behind(async || {
        let venue = venue(Vec::new());
        let watching = Policy {
            stale_after: Some(millis(400)),
            ..policy()
        };
        let mut rig = dial(&venue.url(), watching).await;
        rig.until_live().await;
        // Longer than the pong time-out and the staleness limit; the venue goes on sending meanwhile.
        sleep(millis(900)).await;
        let before = rig.scrape().sum("feedwatch_frames_received_total", &[]);
        let scrape = rig
            .until("data", |s| s.sum("feedwatch_frames_received_total", &[]) > before + 3.0)
            .await;
        assert_eq!(scrape.sum("feedwatch_stale_episodes_total", &[]), 0.0);
        assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 0.0);
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_stops_reading_is_lost_although_it_goes_on_sending() {
    leaves_nothing_behind(async || {
        let (pipe, end) = Pipe::new(4096);
        let venue = tokio::spawn(async move {
            let mut server = serve_first_subscription(end).await;
            // A write never reads here, so what the client sends piles up.
            while server.send(Message::text(BOOK)).await.is_ok() {
                sleep(millis(20)).await;
            }
        });
        let options = TransportOptions {
            ping_interval: Some(millis(1)),
            send_timeout: millis(300),
            ..options()
        };
        let mut rig = Rig::new(
            "ws://venue.example/ws",
            policy(),
            options,
            TlsTrust::only([]).unwrap(),
            pipe,
        )
        .await;
        rig.until("lost", |s| {
            s.sum("feedwatch_disconnects_total", &[("cause", "send_timeout")]) == 1.0
        })
        .await;
        drop(rig);
        venue.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_extension_that_was_not_asked_for_fails_the_upgrade() {
    leaves_nothing_behind(async || {
        let (pipe, end) = Pipe::new(4096);
        let venue = tokio::spawn(async move {
            #[allow(clippy::result_large_err, reason = "the type is tungstenite's")]
            let insist = |_: &Request, mut response: Response| {
                response
                    .headers_mut()
                    .insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
                Ok(response)
            };
            let mut server = tokio_tungstenite::accept_hdr_async(end, insist).await.unwrap();
            while let Some(Ok(_)) = server.next().await {}
        });
        let trust = TlsTrust::only([]).unwrap();
        let mut rig = Rig::new("ws://venue.example/ws", policy(), options(), trust, pipe).await;
        rig.until("failed", |s| {
            s.sum("feedwatch_connect_failures_total", &[("cause", "upgrade")]) == 1.0
        })
        .await;
        drop(rig);
        venue.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_later_subscription_that_is_not_answered_is_told_and_the_connection_is_kept() {
    leaves_nothing_behind(async || {
        let (pipe, end) = Pipe::new(4096);
        let venue = tokio::spawn(async move {
            let mut server = serve_first_subscription(end).await;
            while let Some(Ok(_)) = server.next().await {}
        });
        let options = TransportOptions {
            subscribe_timeout: millis(200),
            ping_interval: None,
            ..options()
        };
        let mut rig = Rig::new(
            "ws://venue.example/ws",
            policy(),
            options,
            TlsTrust::only([]).unwrap(),
            pipe,
        )
        .await;
        rig.until_live().await;
        rig.stream.subscribe(&[Instrument::new("77")]).await.unwrap();
        let scrape = rig
            .until("told", |s| {
                s.sum("feedwatch_subscription_failures_total", &[("reason", "timeout")]) == 1.0
            })
            .await;
        assert_eq!(scrape.sum("feedwatch_stream_connected", &[]), 1.0);
        assert_eq!(scrape.sum("feedwatch_subscriptions_active", &[]), 1.0);
        drop(rig);
        venue.await.unwrap();
    })
    .await;
}
