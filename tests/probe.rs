//! A probe against the simulated venue: what it measures, what it concludes, and that it leaves in good order.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/openmetrics.rs"]
mod openmetrics;

use exposition::Exposition;
use feedwatch::market::{Cause, DialPhase, EventKind, Instrument};
use feedwatch::metrics::Format;
use feedwatch::probe::{Advice, Probe, ProbeReport, Verdict, metrics};
use feedwatch::sim::{Fault, OddText, Rule, Script, SimOptions, SimulatedVenue, TlsFault, Traffic, What};
use feedwatch::stream::{Access, DialGate, Endpoint, TcpDialler, TlsTrust, TransportOptions};
use feedwatch::supervise::DialLimit;
use feedwatch::venue::{ApiKey, Feed, Kalshi, Polymarket};
use openmetrics::OpenMetrics;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Nothing here takes so long, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn start(options: SimOptions) -> SimulatedVenue {
    SimulatedVenue::start(options).unwrap()
}

fn lively() -> SimOptions {
    SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 500.0,
        },
        ..SimOptions::default()
    }
}

fn meeting(fault: Fault) -> SimOptions {
    SimOptions {
        script: Script {
            rules: vec![Rule::always(fault)],
        },
        ..lively()
    }
}

fn probe_of(url: &str, instruments: &[&str]) -> Probe {
    Probe {
        venue: (&Polymarket).into(),
        endpoint: Endpoint::parse(url).unwrap(),
        instruments: instruments.iter().copied().map(Instrument::new).collect(),
        feed: Feed::default(),
        access: Access::new(TlsTrust::only([]).unwrap()),
        gate: None,
        time: LIMIT,
        frames: 3,
        transport: TransportOptions::default(),
    }
}

async fn run(probe: Probe) -> ProbeReport {
    timeout(2 * LIMIT, Box::pin(probe.run(TcpDialler::default())))
        .await
        .expect("it is bounded by its own time")
}

async fn look_at(options: SimOptions) -> ProbeReport {
    let venue = start(options);
    run(probe_of(&venue.url(), &["11", "12"])).await
}

/// Every series of a probe's metrics, the labels' values after the name.
fn figures(report: &ProbeReport) -> BTreeMap<String, f64> {
    let read = Exposition::parse(&metrics::render(report, Format::Text).unwrap()).unwrap();
    let openmetrics = OpenMetrics::parse(&metrics::render(report, Format::OpenMetrics).unwrap()).unwrap();
    assert_eq!(openmetrics.as_text(), read, "both formats say the same");
    let mut figures = BTreeMap::new();
    for (name, family) in read.families {
        assert_eq!(family.kind, "gauge", "{name}");
        for ((_, labels), value) in family.samples {
            let words: Vec<_> = std::iter::once(&name).chain(labels.values()).cloned().collect();
            figures.insert(words.join(" "), value);
        }
    }
    figures
}

#[tokio::test]
async fn a_venue_that_is_well_is_told_with_all_that_can_be_measured() {
    let venue = start(lively());
    let report = run(probe_of(&venue.url(), &["11", "12"])).await;
    assert_eq!(report.verdict, Verdict::Well, "{report:?}");
    assert!(Advice::on(&report).is_none());
    assert_eq!(
        (report.status, report.peer, report.subscriptions()),
        (Some(101), Some(venue.address()), (2, 0, 0))
    );
    let phases: Vec<_> = report.phases.iter().map(|(phase, _)| *phase).collect();
    let reached = [
        DialPhase::Resolve,
        DialPhase::Connect,
        DialPhase::Upgrade,
        DialPhase::Subscribe,
    ];
    assert_eq!(phases, reached);
    assert!(report.data_frames >= 3 && report.frames >= report.data_frames);
    let (first, data) = (report.first_frame.unwrap(), report.first_data.unwrap());
    assert!(first <= data && data <= report.took);
    assert!(report.round_trip.unwrap() <= report.took);
    let event = &report.seen[0].events[0];
    assert_eq!(event.kind, EventKind::BookSnapshot);
    assert_eq!(event.instrument.as_deref(), Some("11"));

    let figures = figures(&report);
    assert_eq!(figures["probe_success"], 1.0);
    assert_eq!(figures["probe_http_status_code"], 101.0);
    assert_eq!(figures["probe_ip_protocol"], 4.0);
    assert_eq!(figures["feedwatch_probe_subscriptions accepted"], 2.0);
    assert_eq!(figures["feedwatch_probe_verdict well"], 1.0);
    assert_eq!(figures["feedwatch_probe_phase_seconds tls"], 0.0, "there was none");
    assert!(figures["feedwatch_probe_phase_seconds upgrade"] > 0.0);
    assert!(!figures.contains_key("probe_ssl_earliest_cert_expiry"));
    let causes: f64 = Cause::ALL
        .iter()
        .map(|cause| figures[&format!("feedwatch_probe_failure {cause}")])
        .sum();
    assert_eq!(causes, 0.0);
}

#[tokio::test]
async fn it_connects_once_and_says_goodbye() {
    let venue = start(lively());
    run(probe_of(&venue.url(), &["11"])).await;
    let log = venue.log();
    venue.shutdown().await;
    let whats: Vec<_> = log.entries().into_iter().map(|entry| entry.what).collect();
    let count = |wanted: fn(&What) -> bool| whats.iter().filter(|what| wanted(what)).count();
    assert_eq!(count(|what| matches!(what, What::Accepted)), 1);
    assert_eq!(
        count(|what| matches!(what, What::ClosedByClient { .. })),
        1,
        "{whats:?}"
    );
}

#[tokio::test]
async fn without_an_instrument_it_connects_and_no_more() {
    let venue = start(lively());
    let report = run(probe_of(&venue.url(), &[])).await;
    assert_eq!((report.verdict, report.frames), (Verdict::Upgraded, 0), "{report:?}");
    assert!(report.verdict.is_well() && report.round_trip.is_some());
}

#[tokio::test]
async fn a_certificate_is_told_with_its_end_and_one_that_has_expired_is_refused() {
    let probe = |venue: &SimulatedVenue| {
        let authority = venue.authority().unwrap().der().to_vec();
        Probe {
            access: Access::new(TlsTrust::only([authority]).unwrap()),
            ..probe_of(&venue.url(), &["11"])
        }
    };
    let venue = start(SimOptions { tls: true, ..lively() });
    let report = run(probe(&venue)).await;
    assert_eq!(report.verdict, Verdict::Well, "{report:?}");
    let end = report.certificate_not_after.unwrap();
    assert_eq!(figures(&report)["probe_ssl_earliest_cert_expiry"], end as f64);
    assert!(report.phase(DialPhase::Tls).is_some());

    let venue = start(SimOptions {
        tls: true,
        ..meeting(Fault::Tls(TlsFault::Expired))
    });
    let report = run(probe(&venue)).await;
    assert_failed(&report, Cause::TlsCertificate, DialPhase::Tls);
    assert!(Advice::on(&report).unwrap().remedy.contains("clock"));
}

fn assert_failed(report: &ProbeReport, cause: Cause, phase: DialPhase) {
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    let failure = report.failure.as_ref().unwrap();
    assert_eq!((failure.cause, report.failed_in), (cause, Some(phase)), "{report:?}");
    let figures = figures(report);
    assert_eq!(figures["probe_success"], 0.0);
    assert_eq!(figures["feedwatch_probe_verdict failed"], 1.0);
    assert_eq!(figures[&format!("feedwatch_probe_failure {cause}")], 1.0);
}

#[tokio::test]
async fn a_port_at_which_nobody_listens_refuses() {
    let rules = vec![Rule::during(Duration::ZERO, 100 * LIMIT, Fault::Refuse)];
    let report = look_at(SimOptions {
        script: Script { rules },
        ..lively()
    })
    .await;
    assert_failed(&report, Cause::TcpRefused, DialPhase::Connect);
    assert_eq!(report.subscriptions(), (0, 0, 2));
}

#[tokio::test]
async fn a_status_is_told_and_what_it_means() {
    let status = |code| Fault::Status {
        code,
        headers: BTreeMap::new(),
        body: String::new(),
    };
    let report = look_at(meeting(status(403))).await;
    assert_failed(&report, Cause::HttpStatus, DialPhase::Upgrade);
    assert_eq!(figures(&report)["probe_http_status_code"], 403.0);
    assert!(Advice::on(&report).unwrap().meaning.contains("blocked"));
    let report = look_at(meeting(status(401))).await;
    assert_failed(&report, Cause::Unauthorized, DialPhase::Upgrade);
}

#[tokio::test]
async fn a_venue_that_wants_a_key_and_refuses_is_told_with_what_to_set() {
    let denied = Fault::Status {
        code: 401,
        headers: BTreeMap::new(),
        body: String::new(),
    };
    let key = ApiKey::from_pem("6f1c-77", include_bytes!("fixtures/kalshi/key.pem")).unwrap();
    for (key, words) in [(None, "none was brought along"), (Some(key), "does not accept the key")] {
        let venue = start(meeting(denied.clone()));
        let report = run(Probe {
            venue: (&Kalshi).into(),
            access: Access {
                key: key.clone(),
                ..Access::new(TlsTrust::only([]).unwrap())
            },
            ..probe_of(&venue.url(), &[])
        })
        .await;
        assert_eq!(report.has_key, Some(key.is_some()));
        assert_failed(&report, Cause::Unauthorized, DialPhase::Upgrade);
        let Advice { meaning, remedy, .. } = Advice::on(&report).unwrap();
        assert!(meaning.contains(words), "{meaning}");
        assert!(
            remedy.contains("api_key_id") && remedy.contains("api_key_file"),
            "{remedy}"
        );
    }
    // Of a venue that asks for none, nothing is said of keys.
    let report = look_at(meeting(denied)).await;
    assert!(!Advice::on(&report).unwrap().remedy.contains("api_key"));
}

#[tokio::test]
async fn what_is_never_answered_ends_with_the_time_and_names_the_phase() {
    for (fault, cause, phase) in [
        (Fault::Hang, Cause::UpgradeTimeout, DialPhase::Upgrade),
        (Fault::NoAnswer, Cause::SubscribeTimeout, DialPhase::Subscribe),
    ] {
        let venue = start(meeting(fault));
        let time = millis(400);
        let begun = Instant::now();
        let report = run(Probe {
            time,
            ..probe_of(&venue.url(), &["11"])
        })
        .await;
        assert_failed(&report, cause, phase);
        assert!(begun.elapsed() >= time * 8 / 10);
        // Far from any other limit: those of the transport are seconds.
        assert!(report.took < time + Duration::from_secs(1), "{report:?}");
    }
}

#[tokio::test]
async fn silence_after_the_answer_is_no_data_only_where_nothing_came() {
    // The answer of this venue holds the books: what came is data, though the traffic never began.
    let venue = start(SimOptions {
        traffic: Traffic::Silent,
        ..SimOptions::default()
    });
    let report = run(Probe {
        time: millis(500),
        ..probe_of(&venue.url(), &["11"])
    })
    .await;
    assert_eq!((report.verdict, report.data_frames), (Verdict::Well, 1), "{report:?}");

    // A venue that knows none of them answers with an empty list.
    let venue = start(SimOptions {
        unknown: HashSet::from(["11".to_owned()]),
        traffic: Traffic::Silent,
        ..SimOptions::default()
    });
    let report = run(Probe {
        time: millis(500),
        ..probe_of(&venue.url(), &["11"])
    })
    .await;
    assert_eq!(report.verdict, Verdict::Refused, "{report:?}");
    assert_eq!((report.subscriptions(), report.data_frames), ((0, 1, 0), 0));
}

#[tokio::test]
async fn an_instrument_that_is_left_out_is_something_wrong() {
    let report = look_at(SimOptions {
        unknown: HashSet::from(["12".to_owned()]),
        ..lively()
    })
    .await;
    assert_eq!((report.verdict, report.subscriptions()), (Verdict::Refused, (1, 1, 0)));
    assert_eq!(figures(&report)["feedwatch_probe_subscriptions refused"], 1.0);
    assert!(Advice::on(&report).unwrap().meaning.contains("left out"));
}

#[tokio::test]
async fn a_refused_subscription_and_a_lost_connection_are_told_apart() {
    let report = look_at(meeting(Fault::RejectSubscription)).await;
    assert_failed(&report, Cause::SubscribeRejected, DialPhase::Subscribe);

    let venue = start(meeting(Fault::Close {
        code: Some(1008),
        reason: "too many".into(),
        after: Duration::ZERO,
    }));
    let report = run(Probe {
        frames: 1_000_000,
        ..probe_of(&venue.url(), &["11"])
    })
    .await;
    assert_eq!(report.verdict, Verdict::Lost, "{report:?}");
    let failure = report.failure.as_ref().unwrap();
    assert_eq!(failure.cause, Cause::ClosePolicy);
    assert!(failure.detail.contains("too many"), "{failure}");
    assert_eq!(figures(&report)["feedwatch_probe_failure close_policy"], 1.0);
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_shown() {
    let venue = start(SimOptions {
        traffic: Traffic::Silent,
        ..meeting(Fault::OddText {
            kind: OddText::NotJson,
            frames: 3,
            after: Duration::ZERO,
        })
    });
    let report = run(Probe {
        frames: 4,
        time: millis(1000),
        ..probe_of(&venue.url(), &["11"])
    })
    .await;
    assert_eq!(
        (report.verdict, report.unreadable_frames),
        (Verdict::Well, 3),
        "{report:?}"
    );
    assert!(report.seen.iter().any(|frame| frame.error.is_some()));
    assert_eq!(figures(&report)["feedwatch_probe_unreadable_frames"], 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_gives_no_turn_in_time_is_not_passed_by() {
    let gate = DialGate::new(DialLimit {
        per_second: 1.0,
        burst: 1,
    });
    gate.rest(Duration::from_secs(60));
    let probe = || Probe {
        gate: Some(gate.clone()),
        time: Duration::from_secs(10),
        ..probe_of("ws://127.0.0.1:1", &["11"])
    };
    let report = probe().run(TcpDialler::default()).await;
    assert_eq!(report.verdict, Verdict::Held);
    assert!(report.phases.is_empty() && report.failure.is_none(), "it did not dial");
    assert_eq!(
        figures(&report)["feedwatch_probe_gate_wait_seconds"],
        report.waited.as_secs_f64()
    );
    assert!(report.took >= Duration::from_secs(9) && report.took <= Duration::from_secs(10));

    tokio::time::advance(Duration::from_secs(51)).await;
    let report = probe().run(TcpDialler::default()).await;
    assert_eq!(report.verdict, Verdict::Failed, "its turn has come: {report:?}");
}

#[tokio::test(start_paused = true)]
async fn who_only_looks_keeps_nobody_from_a_host_for_longer_than_a_stream_would_stay_away() {
    let gate = DialGate::new(DialLimit {
        per_second: 1.0,
        burst: 1,
    });
    assert_eq!(gate.rest(Duration::from_secs(60)), Duration::from_secs(60));
    let longest = Duration::from_secs(900);
    assert_eq!(gate.rest(Duration::from_secs(3 * 24 * 3600)), longest);
    let begun = Instant::now();
    gate.pass().await;
    assert_eq!(begun.elapsed(), longest);
}

#[test]
fn the_page_of_probes_holds_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/probe.md");
    let mut page = std::fs::read_to_string(path).unwrap();
    let table = metrics::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let from = page.find("| name | label |").unwrap();
        let until = page[from..].find("\n\n").map_or(page.len(), |end| from + end + 1);
        page.replace_range(from..until, &table);
        std::fs::write(path, &page).unwrap();
    }
    assert!(
        page.contains(&table),
        "docs/probe.md is out of date: run this test with UPDATE_DOCS=1"
    );
}
