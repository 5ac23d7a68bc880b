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

use feedwatch::clock::{Moment, unix_seconds};
use feedwatch::market::MarketEvent;
use feedwatch::sim::{BadFrame, Fault, Flood, OddText, RetryForm, Rule, Script};
use feedwatch::sim::{SimOptions, SimulatedVenue, TlsFault, Traffic, UpgradeFault, What};
use feedwatch::stream::{TcpDialler, TlsTrust, TransportOptions};
use feedwatch::supervise::Policy;
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::metered::Metered;
use support::pipe::Pipe;
use support::rig::Rig;
use support::rows::{
    assert_recovered, dial, fails_an_attempt, fails_once_and_recovers, loses_the_connection, millis, options, policy,
    trips_at_once, venue,
};
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
            trips_at_once(&mut rig, "tls_certificate", &format!("{fault:?}")).await;
            rig.end().await;
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
            fails_once_and_recovers(&mut rig, cause, &format!("{fault:?}")).await;
            let failed = &rig.spans("tls.handshake")[0];
            assert!(
                failed.attributes.iter().any(|pair| pair.key.as_str() == "error.type"),
                "{fault:?}"
            );
            rig.end().await;
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

const BUSY: [(u16, &str); 3] = [(429, "rate_limited"), (418, "rate_limited"), (503, "http_status")];

/// Everybody who dials is asked to come again after so many seconds; what the first one does, who is ready to wait for so long.
async fn asked_to_wait(code: u16, form: RetryForm, seconds: u64, most: Duration) -> (SimulatedVenue, Rig) {
    let venue = venue(vec![Rule::connections(1, 1, Fault::RetryAfter { code, seconds, form })]);
    let policy = Policy {
        retry_after_max: most,
        ..policy()
    };
    let rig = dial(&venue.url(), policy).await;
    (venue, rig)
}

/// Which wait was chosen, in seconds; told of the failed attempt is this cause.
fn chosen_wait(rig: &Rig, scrape: &Scrape, cause: &str) -> f64 {
    assert_eq!(scrape.nonzero("feedwatch_connect_failures_total", "cause"), [cause]);
    assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[]), 1.0);
    assert_eq!(rig.error_types(), [cause]);
    scrape.sum("feedwatch_reconnect_current_delay_seconds", &[])
}

#[tokio::test]
async fn retry_after_is_honoured_in_both_forms_and_up_to_a_limit() {
    Box::pin(leaves_nothing_behind(async || {
        let (patient, impatient) = (Duration::from_secs(900), Duration::from_secs(60));
        for (code, cause) in BUSY {
            for form in [RetryForm::Seconds, RetryForm::Date] {
                let (venue, mut rig) = asked_to_wait(code, form, 77, patient).await;
                let waits = |scrape: &Scrape| scrape.sum("feedwatch_stream_state", &[("state", "backing_off")]) == 1.0;
                let scrape = rig.until("waiting", waits).await;
                assert_eq!(chosen_wait(&rig, &scrape, cause), 77.0, "{code} {form:?}");
                assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
                rig.end().await;
                venue.shutdown().await;

                // More than it is ready to wait for: it trips, and stays away for as long all the same.
                let (venue, mut rig) = asked_to_wait(code, form, 77, impatient).await;
                let scrape = rig.until_tripped().await;
                assert_eq!(chosen_wait(&rig, &scrape, cause), 77.0, "{code} {form:?}");
                let fatal = [("trigger", "fatal_error")];
                assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &fatal), 1.0);
                assert_eq!(rig.errors_of_outages(), [cause]);
                rig.end().await;
                venue.shutdown().await;
            }
        }
        // Nobody means a week.
        let (venue, mut rig) = asked_to_wait(429, RetryForm::Date, 7 * 86_400, patient).await;
        let scrape = rig.until_tripped().await;
        assert_eq!(chosen_wait(&rig, &scrape, "rate_limited"), 3.0 * 86_400.0);
        rig.end().await;
        venue.shutdown().await;
    }))
    .await;
}

/// A second, where the delay alone would be a fiftieth of one.
async fn comes_again_when_it_was_asked_to(code: u16, cause: &str, form: RetryForm) {
    let (venue, mut rig) = asked_to_wait(code, form, 1, Duration::from_secs(900)).await;
    let scrape = rig.until_live().await;
    assert_recovered(&scrape);
    assert_eq!(scrape.nonzero("feedwatch_connect_failures_total", "cause"), [cause]);
    assert_eq!(rig.error_types(), [cause]);
    assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 2.0);
    let entries = venue.log().entries();
    let at = |is: &dyn Fn(&What) -> bool| entries.iter().rfind(|entry| is(&entry.what)).unwrap().at;
    let refused = at(&|what| matches!(what, What::UpgradeRefused { .. }));
    let returned = at(&|what| *what == What::Accepted);
    assert!(
        returned >= refused + millis(1000),
        "{code} {form:?}: {refused:?}, {returned:?}"
    );
    rig.end().await;
    venue.shutdown().await;
}

#[tokio::test]
async fn a_retry_after_is_waited_for_to_its_end_and_then_the_stream_is_live() {
    leaves_nothing_behind(async || {
        let cases = BUSY.into_iter().flat_map(|(code, cause)| {
            [RetryForm::Seconds, RetryForm::Date].map(|form| comes_again_when_it_was_asked_to(code, cause, form))
        });
        join_all(cases).await;
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
            rig.end().await;
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
        let unanswered = [("cause", "subscribe_timeout")];
        let given_up = |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &unanswered) == 1.0;
        let scrape = rig.until("given up", given_up).await;
        assert_eq!(rig.error_types()[0], "subscribe_timeout");
        let took = rig.spans("stream.connect")[0].end_time;
        let took = took.duration_since(rig.spans("stream.connect")[0].start_time).unwrap();
        assert!(
            took < policy().subscribe_timeout,
            "by what came, not by the time: {took:?}"
        );
        assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
        // Each of them waits, and costs at least what an event does.
        let most = READS / size_of::<MarketEvent>() + 1;
        let received = scrape.sum("feedwatch_frames_received_total", &[]);
        assert!(received <= most as f64, "{received} wait where {most} are allowed");
        rig.end().await;
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
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}

/// So many strange texts are sent.
const ODD: u64 = 20;

/// A venue that sends the answer to the subscription, two books, and strange texts.
fn odd_venue(kind: OddText) -> SimulatedVenue {
    let fault = Fault::OddText {
        kind,
        frames: ODD,
        after: AFTER,
    };
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Silent,
        script: Script {
            rules: vec![Rule::always(fault)],
        },
        ..SimOptions::default()
    })
    .unwrap()
}

/// The connection was kept, and no attempt has failed.
fn assert_kept(rig: &Rig, scrape: &Scrape) {
    assert_recovered(scrape);
    assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0);
    assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 0.0);
    assert!(rig.error_types().is_empty() && rig.causes_of_outages().is_empty());
}

#[tokio::test]
async fn strange_texts_are_counted_and_the_connection_is_kept() {
    leaves_nothing_behind(async || {
        for (kind, reason) in [
            (OddText::NotJson, "json"),
            (OddText::OtherSchema, "schema"),
            (OddText::UnknownChannel, "unknown_channel"),
            (OddText::DeepNesting, "json"),
        ] {
            let venue = odd_venue(kind);
            let mut rig = dial(&venue.url(), policy()).await;
            let all = |scrape: &Scrape| scrape.sum("feedwatch_parse_errors_total", &[]) == ODD as f64;
            let scrape = rig.until(&format!("all of {kind:?}"), all).await;
            assert_eq!(scrape.nonzero("feedwatch_parse_errors_total", "reason"), [reason]);
            assert_kept(&rig, &scrape);
            rig.end().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_time_that_nobody_can_have_meant_is_skew_and_touches_no_other_figure() {
    leaves_nothing_behind(async || {
        // Of six absurd times two are numbers, the ends of what 64 bits hold; the others are no time at all.
        let numbers = (0..ODD).filter(|left| left % 6 < 2).count() as u64;
        for (kind, skewed) in [
            (OddText::Future, ODD),
            (OddText::LongAgo, ODD),
            (OddText::AbsurdTime, numbers),
        ] {
            let venue = odd_venue(kind);
            let begun = unix_seconds(Moment::now().wall);
            let mut rig = dial(&venue.url(), policy()).await;
            let all = |scrape: &Scrape| scrape.sum("feedwatch_messages_total", &[("kind", "trade")]) == ODD as f64;
            let scrape = rig.until(&format!("all of {kind:?}"), all).await;
            assert_eq!(
                scrape.sum("feedwatch_message_clock_skew_total", &[]),
                skewed as f64,
                "{kind:?}"
            );
            // The books of the answer count for neither: they are as old as the last change of a market.
            for untouched in [
                "feedwatch_message_latency_seconds_count",
                "feedwatch_message_latency_seconds_sum",
                "feedwatch_message_latency_seconds_bucket",
                "feedwatch_stream_lag_seconds",
            ] {
                assert_eq!(scrape.sum(untouched, &[]), 0.0, "{kind:?}: {untouched}");
            }
            // Data is data, whatever it says of its time: it came now.
            let last = scrape.sum("feedwatch_last_data_timestamp_seconds", &[]);
            let now = unix_seconds(Moment::now().wall);
            assert!(
                (begun - 1.0..=now + 1.0).contains(&last),
                "{kind:?}: {last} is not {now}"
            );
            assert_eq!(scrape.sum("feedwatch_parse_errors_total", &[]), 0.0, "{kind:?}");
            assert_kept(&rig, &scrape);
            rig.end().await;
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
            rig.end().await;
            venue.shutdown().await;
        }
    })
    .await;
}

/// A minute of the matrix, in which the venue is there for two seconds.
const PERIOD: Duration = millis(900);
const THERE: Duration = millis(150);
/// So many of them; then it is back for good.
const PERIODS: u32 = 4;

/// Who comes while it is there is thrown out when that time is over, more or less.
fn there_for_a_moment_in_each_period() -> SimulatedVenue {
    let close = Fault::Close {
        code: Some(1001),
        reason: String::new(),
        after: millis(100),
    };
    let period = |number: u32| {
        let begin = number * PERIOD;
        [
            Rule::during(begin, begin + THERE, close.clone()),
            Rule::during(begin + THERE, begin + PERIOD, Fault::Refuse),
        ]
    };
    venue((0..PERIODS).flat_map(period).collect())
}

#[tokio::test]
async fn a_venue_that_is_back_for_a_moment_now_and_then_trips_the_breaker_once() {
    leaves_nothing_behind(async || {
        let venue = there_for_a_moment_in_each_period();
        let restless = Policy {
            max_consecutive_failures: 3,
            circuit_breaker_cooldown: millis(70),
            // No probe that meets it there stays for so long.
            stable_after: millis(400),
            ..policy()
        };
        let mut rig = dial(&venue.url(), restless).await;
        let going_away = [("cause", "close_going_away")];
        let losses = |scrape: &Scrape| scrape.sum("feedwatch_disconnects_total", &going_away);
        let moves = |scrape: &Scrape, from, to| {
            scrape.sum("feedwatch_breaker_transitions_total", &[("from", from), ("to", to)])
        };
        let tripped = rig.until_tripped().await;
        let met = rig
            .until("a probe that finds it there, and is thrown out", |scrape| {
                losses(scrape) > losses(&tripped) && scrape.sum("feedwatch_breaker_state", &[("state", "open")]) == 1.0
            })
            .await;
        assert!(moves(&met, "half_open", "open") >= 1.0);
        assert_eq!(
            moves(&met, "half_open", "closed"),
            0.0,
            "live for a moment is not stable"
        );

        let closed = |scrape: &Scrape| scrape.sum("feedwatch_breaker_state", &[("state", "closed")]) == 1.0;
        let scrape = rig.until("recovered", closed).await;
        assert!(
            venue.log().elapsed() > PERIODS * PERIOD,
            "not before it is back for good"
        );
        assert_recovered(&scrape);
        assert_eq!(
            scrape.sum("feedwatch_breaker_trips_total", &[]),
            1.0,
            "one trip is one page"
        );
        assert_eq!(scrape.sum("feedwatch_breaker_consecutive_failures", &[]), 0.0);
        let probes = scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "probe")]);
        assert_eq!(moves(&scrape, "open", "half_open"), probes, "each probe is one dial");
        assert_eq!(
            moves(&scrape, "half_open", "open"),
            probes - 1.0,
            "and all failed but the last"
        );
        assert_eq!(moves(&scrape, "half_open", "closed"), 1.0);
        assert_eq!(
            scrape.nonzero("feedwatch_disconnects_total", "cause"),
            ["close_going_away"]
        );
        // A dial in the very moment in which the port is closed is reset.
        let met_nobody = |cause: &str| ["tcp_refused", "tcp_reset"].contains(&cause);
        let causes = scrape.nonzero("feedwatch_connect_failures_total", "cause");
        assert!(causes.iter().all(|cause| met_nobody(cause)), "{causes:?}");
        let all_are = |told: Vec<String>, cause: &str, count: f64| {
            assert!(told.iter().all(|told| told == cause), "{told:?}");
            assert_eq!(told.len() as f64, count, "{cause}");
        };
        let failures = scrape.sum("feedwatch_connect_failures_total", &[]);
        let told = rig.error_types();
        assert!(told.iter().all(|cause| met_nobody(cause)), "{told:?}");
        assert_eq!(told.len() as f64, failures);
        all_are(rig.causes_of_outages(), "close_going_away", losses(&scrape));
        // The trip's root, and one of each probe that failed.
        assert_eq!(rig.errors_of_outages().len() as f64, probes);
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}
