//! The faults that take a venue of bad manners: TLS, upgrades, frames and texts. Each has its cause on the counter and on the
//! span, the step that follows, and leaves nothing behind.

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
use feedwatch::sim::{BadFrame, Fault, Flood, OddText, RetryForm, Rule, Script};
use feedwatch::sim::{SimOptions, SimulatedVenue, TlsFault, UpgradeFault, What};
use feedwatch::stream::{MarketDataStream, TcpDialler, TlsTrust, TransportOptions};
use feedwatch::supervise::Policy;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::metered::Metered;
use support::pipe::Pipe;
use support::rig::Rig;
use support::rows::{dial, fails_an_attempt, loses_the_connection, millis, options, policy, venue};
use tokio_tungstenite::tungstenite::Message;

const AFTER: Duration = millis(50);

/// A venue with TLS whose first connection meets the fault, and a client that trusts its authority.
async fn dial_tls(fault: TlsFault) -> (SimulatedVenue, Rig) {
    let venue = SimulatedVenue::start(SimOptions {
        tls: true,
        script: Script {
            rules: vec![Rule::connections(1, 1, Fault::Tls(fault))],
        },
        ..SimOptions::default()
    })
    .unwrap();
    let trust = TlsTrust::only([venue.authority().unwrap().der().to_vec()]).unwrap();
    let rig = Rig::new(&venue.url(), policy(), options(), trust, TcpDialler::default()).await;
    (venue, rig)
}

#[tokio::test]
async fn a_certificate_that_redialling_cannot_heal_trips_at_once() {
    leaves_nothing_behind(async || {
        for fault in [TlsFault::Expired, TlsFault::WrongHost, TlsFault::UnknownAuthority] {
            let (venue, mut rig) = dial_tls(fault).await;
            let scrape = rig.until_tripped().await;
            let fatal = [("trigger", "fatal_error")];
            assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &fatal), 1.0, "{fault:?}");
            assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0, "{fault:?}");
            assert_eq!(
                scrape.nonzero("feedwatch_connect_failures_total", "cause"),
                ["tls_certificate"]
            );
            assert_eq!(rig.error_types(), ["tls_certificate"], "{fault:?}");
            rig.stream.close().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_handshake_that_goes_wrong_backs_off_and_the_next_one_is_good() {
    leaves_nothing_behind(async || {
        for (fault, cause) in [
            (TlsFault::OldVersion, "tls"),
            (TlsFault::Garbage, "tls"),
            (TlsFault::Hang, "tls_timeout"),
            (TlsFault::Cut, "eof"),
        ] {
            let (venue, mut rig) = dial_tls(fault).await;
            let scrape = rig.until_live().await;
            assert_eq!(
                scrape.nonzero("feedwatch_connect_failures_total", "cause"),
                [cause],
                "{fault:?}"
            );
            assert_eq!(
                scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "backoff")]),
                1.0
            );
            assert_eq!(rig.error_types(), [cause], "{fault:?}");
            let failed = &rig.spans("tls.handshake")[0];
            assert!(
                failed.attributes.iter().any(|pair| pair.key.as_str() == "error.type"),
                "{fault:?}"
            );
            rig.stream.close().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_that_is_answered_badly_backs_off() {
    leaves_nothing_behind(async || {
        for (fault, cause) in [
            (UpgradeFault::Slow { interval: millis(100) }, "upgrade_timeout"),
            (UpgradeFault::WrongAccept, "upgrade"),
            (UpgradeFault::NoAccept, "upgrade"),
            (UpgradeFault::Headers { bytes: 64 * 1024 }, "upgrade"),
            (UpgradeFault::Extension, "upgrade"),
            (UpgradeFault::Cut, "eof"),
        ] {
            fails_an_attempt(Fault::Upgrade(fault), cause).await;
        }
    })
    .await;
}

#[tokio::test]
async fn retry_after_is_honoured_in_both_forms_and_up_to_a_limit() {
    leaves_nothing_behind(async || {
        for (code, cause) in [(429, "rate_limited"), (418, "rate_limited"), (503, "http_status")] {
            for form in [RetryForm::Seconds, RetryForm::Date] {
                let fault = Fault::RetryAfter {
                    code,
                    seconds: 77,
                    form,
                };
                let venue = venue(vec![Rule::always(fault)]);
                let mut rig = dial(&venue.url(), policy()).await;
                let waits = |scrape: &Scrape| scrape.sum("feedwatch_stream_state", &[("state", "backing_off")]) == 1.0;
                let scrape = rig.until("waiting", waits).await;
                assert_eq!(
                    scrape.sum("feedwatch_reconnect_current_delay_seconds", &[]),
                    77.0,
                    "{code} {form:?}"
                );
                assert_eq!(rig.error_types(), [cause]);
                rig.stream.close().await;
                venue.shutdown().await;

                let impatient = Policy {
                    retry_after_max: Duration::from_secs(60),
                    ..policy()
                };
                let venue = self::venue(vec![Rule::always(Fault::RetryAfter {
                    code,
                    seconds: 77,
                    form,
                })]);
                let mut rig = dial(&venue.url(), impatient).await;
                let scrape = rig.until_tripped().await;
                assert!(
                    scrape.sum("feedwatch_reconnect_current_delay_seconds", &[]) >= 77.0,
                    "{code} {form:?}"
                );
                rig.stream.close().await;
                venue.shutdown().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_is_not_allowed_ends_the_connection() {
    leaves_nothing_behind(async || {
        for (kind, cause) in [
            (BadFrame::InvalidUtf8, "invalid_utf8"),
            (BadFrame::ReservedBit, "protocol"),
            (BadFrame::Masked, "protocol"),
            (BadFrame::Opcode, "protocol"),
            (BadFrame::LongControl, "protocol"),
            (BadFrame::FragmentedControl, "protocol"),
            (BadFrame::Continuation, "protocol"),
        ] {
            loses_the_connection(Fault::BadFrame { kind, after: AFTER }, cause).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_of_a_frame() {
    leaves_nothing_behind(async || {
        loses_the_connection(Fault::ResetInFrame { after: AFTER }, "tcp_reset").await;
        loses_the_connection(Fault::CutInFrame { after: AFTER }, "eof").await;
    })
    .await;
}

/// The largest message that is read where one is too large.
const READS: usize = 64 * 1024;

fn modest() -> TransportOptions {
    TransportOptions {
        max_message_bytes: READS,
        read_buffer_bytes: READS,
        ..options()
    }
}

#[tokio::test]
async fn what_is_too_large_ends_the_connection_before_it_is_in_memory() {
    leaves_nothing_behind(async || {
        let endless = |bytes| Fault::EndlessFragments {
            bytes,
            fragments: 1 << 20,
            after: AFTER,
        };
        let too_big = Fault::TooBig {
            bytes: 1 << 30,
            after: AFTER,
        };
        for fault in [endless(8 * 1024), endless(1), too_big] {
            let venue = venue(vec![Rule::connections(1, 1, fault.clone())]);
            let (trust, dialler) = (TlsTrust::only([]).unwrap(), Metered::default());
            let mut rig = Rig::new(&venue.url(), policy(), modest(), trust, dialler.clone()).await;
            let lost = |scrape: &Scrape| scrape.sum("feedwatch_disconnects_total", &[("cause", "too_big")]) == 1.0;
            rig.until("lost", lost).await;
            // Of what is too large a head is read, or fragments up to the limit (one of a byte has a head of two), and beside it
            // what a read buffer holds and what came before.
            let bound = 3 * READS as u64 + READS as u64 + 64 * 1024;
            assert!(dialler.read() < bound, "{fault:?}: {} bytes were read", dialler.read());
            rig.until_live().await;
            assert_eq!(rig.causes_of_outages(), ["too_big"], "{fault:?}");
            let told = What::ClosedByClient { code: Some(1009) };
            assert!(
                venue.log().entries().iter().any(|entry| entry.what == told),
                "{fault:?}"
            );
            rig.stream.close().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_an_unanswered_subscription_is_bounded() {
    leaves_nothing_behind(async || {
        // Answers with nothing but empty frames; the next dial is refused.
        let (pipe, end) = Pipe::new(4096);
        let flooding = tokio::spawn(async move {
            let mut server = tokio_tungstenite::accept_async(end).await.unwrap();
            server.next().await.unwrap().unwrap();
            while server.send(Message::text("")).await.is_ok() {}
        });
        let (url, trust) = ("ws://venue.example/ws/market", TlsTrust::only([]).unwrap());
        let mut rig = Rig::new(url, policy(), modest(), trust, pipe).await;
        let given_up = |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &[("cause", "too_big")]) == 1.0;
        let scrape = rig.until("given up", given_up).await;
        assert_eq!(rig.error_types()[0], "too_big");
        assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
        // Each of them waits, and costs at least what an event does.
        let most = READS / size_of::<MarketEvent>() + 1;
        let received = scrape.sum("feedwatch_frames_received_total", &[]);
        assert!(received <= most as f64, "{received} wait where {most} are allowed");
        rig.stream.close().await;
        flooding.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_event_in_fragments_is_one_message() {
    leaves_nothing_behind(async || {
        let fault = Fault::Fragments {
            fragments: 10,
            after: AFTER,
        };
        let venue = venue(vec![Rule::always(fault)]);
        let mut rig = dial(&venue.url(), policy()).await;
        let log = venue.log();
        rig.until("begun", |_| {
            log.entries()
                .iter()
                .any(|entry| format!("{:?}", entry.what).contains("fragments"))
        })
        .await;
        venue.pause_traffic();
        let equal = |scrape: &Scrape| {
            scrape.sum("feedwatch_received_bytes_total", &[]) == log.totals().sent.payload_bytes as f64
        };
        let scrape = rig.until("all received", equal).await;
        assert_eq!(scrape.sum("feedwatch_parse_errors_total", &[]), 0.0);
        assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 0.0);
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn strange_texts_are_counted_and_the_connection_is_kept() {
    leaves_nothing_behind(async || {
        for (kind, reason) in [
            (OddText::NotJson, Some("json")),
            (OddText::OtherSchema, Some("schema")),
            (OddText::UnknownChannel, Some("unknown_channel")),
            (OddText::DeepNesting, Some("json")),
            (OddText::Future, None),
            (OddText::LongAgo, None),
            (OddText::AbsurdTime, None),
        ] {
            let fault = Fault::OddText {
                kind,
                frames: 20,
                after: AFTER,
            };
            let venue = venue(vec![Rule::always(fault)]);
            let mut rig = dial(&venue.url(), policy()).await;
            let all = |scrape: &Scrape| match reason {
                Some(reason) => scrape.sum("feedwatch_parse_errors_total", &[("reason", reason)]) == 20.0,
                None => scrape.sum("feedwatch_messages_total", &[("kind", "trade")]) >= 20.0,
            };
            let scrape = rig.until(&format!("all of {kind:?}"), all).await;
            if reason.is_none() {
                // A time that is none of ours poisons no histogram: an hour ahead is no latency, nor is half a century.
                assert!(
                    scrape.sum("feedwatch_message_latency_seconds_sum", &[]) < 3600.0,
                    "{kind:?}"
                );
                assert!(scrape.sum("feedwatch_stream_lag_seconds", &[]) < 60.0, "{kind:?}");
            }
            if matches!(kind, OddText::Future | OddText::LongAgo) {
                assert!(
                    scrape.sum("feedwatch_message_clock_skew_total", &[]) >= 20.0,
                    "{kind:?}"
                );
            }
            assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 0.0, "{kind:?}");
            assert_eq!(scrape.sum("feedwatch_stream_connected", &[]), 1.0, "{kind:?}");
            rig.stream.close().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_flood_is_answered_and_counted_and_the_connection_is_kept() {
    leaves_nothing_behind(async || {
        for of in [Flood::Pings, Flood::EmptyTexts] {
            let frames = 2000;
            let venue = venue(vec![Rule::always(Fault::Flood {
                of,
                frames,
                after: AFTER,
            })]);
            let mut rig = dial(&venue.url(), policy()).await;
            let all = |scrape: &Scrape| scrape.sum("feedwatch_frames_received_total", &[]) > frames as f64;
            let scrape = rig.until("all received", all).await;
            assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 0.0, "{of:?}");
            if of == Flood::Pings {
                let pongs = [("opcode", "pong"), ("direction", "sent")];
                let answered = |scrape: &Scrape| scrape.sum("feedwatch_control_frames_total", &pongs) >= frames as f64;
                rig.until("each is answered", answered).await;
            }
            rig.stream.close().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_comes_back_for_a_moment_trips_the_breaker_once() {
    leaves_nothing_behind(async || {
        let close = |after| Fault::Close {
            code: Some(1001),
            reason: String::new(),
            after,
        };
        // Away soon after the start, back for a moment in which nobody stays, away again, and back for good.
        let venue = venue(vec![
            Rule::connections(1, 1, close(millis(100))),
            Rule::during(millis(50), millis(500), Fault::Refuse),
            Rule::during(millis(500), millis(650), close(Duration::ZERO)),
            Rule::during(millis(650), millis(1000), Fault::Refuse),
        ]);
        let restless = Policy {
            max_consecutive_failures: 2,
            circuit_breaker_cooldown: millis(60),
            stable_after: millis(500),
            ..policy()
        };
        let mut rig = dial(&venue.url(), restless).await;
        let recovered = |scrape: &Scrape| {
            scrape.sum("feedwatch_breaker_trips_total", &[]) == 1.0
                && scrape.sum("feedwatch_breaker_state", &[("state", "closed")]) == 1.0
        };
        let scrape = rig.until("recovered", recovered).await;
        let reopened = [("from", "half_open"), ("to", "open")];
        assert!(
            scrape.sum("feedwatch_breaker_transitions_total", &reopened) >= 1.0,
            "probes failed meanwhile"
        );
        assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 1.0);
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}
