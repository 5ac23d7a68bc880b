//! What is scraped: the ways out agree, the identities hold in the middle of things, the table is the documentation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::too_many_lines,
    reason = "tests may fail; figures are exact"
)]

#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/openmetrics.rs"]
mod openmetrics;
#[path = "support/prometheus_client.rs"]
mod prometheus_client;
#[path = "support/queries.rs"]
mod queries;

use exposition::{Exposition, Labels as LabelPairs};
use feedwatch::clock::Moment;
use feedwatch::market::{Cause, DecodeError, DialPhase, EventKind, StreamName, SubscriptionFailure, TraceId};
use feedwatch::metrics::catalogue::{self, Kind, Labels, Part, Scope};
use feedwatch::metrics::{
    Direction, Format, Opcode, QueueCells, StreamCells, StreamCollector, StreamInfo, StreamWriter, Streams, docs, text,
};
use feedwatch::supervise::{AttemptKind, BreakerState, State, Transition, Trigger};
use openmetrics::OpenMetrics;
use prometheus::{Counter, Encoder, HistogramOpts, HistogramVec, IntCounter, Registry, TextEncoder};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

fn parse(text: &str) -> Exposition {
    Exposition::parse(text).unwrap()
}

// Streams to look at.

fn add_stream(streams: &Streams, venue: &str, stream: &str, server_address: &str, origin: Moment) -> Arc<StreamCells> {
    let info = StreamInfo {
        stream: StreamName::new(stream).unwrap(),
        server_address: server_address.to_owned(),
        transport: "wss".to_owned(),
        page_on_stale: true,
    };
    let cells = Arc::new(StreamCells::new(info, streams.venue(venue), origin.mono));
    streams.add(&cells);
    cells
}

/// From now on it has what not every stream has; the queue as long as it is held.
fn with_all_parts(cells: &StreamCells, capacity: usize) -> Arc<QueueCells> {
    cells.set_has_sequences(true);
    cells.set_compares_checksums(true);
    cells.attach_queue(capacity)
}

fn after(moment: Moment, wait: Duration) -> Moment {
    Moment {
        mono: moment.mono + wait,
        wall: moment.wall + wait,
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The value of the one sample of `name` with that label among its labels.
fn value(scrape: &Exposition, name: &str, label: Option<(&str, &str)>) -> f64 {
    scrape.value(name, label.as_slice())
}

fn total(scrape: &Exposition, name: &str) -> f64 {
    scrape.sum(name, &[])
}

const fn moved(from: BreakerState, to: BreakerState, trigger: Trigger) -> Transition {
    Transition {
        from,
        to,
        trigger,
        failures: 7,
    }
}

/// Does something that the number names.
fn act(cells: &StreamCells, at: Moment, what: u64) {
    let index = usize::try_from(what / 16 % 64).unwrap();
    let cause = Cause::ALL[index % Cause::COUNT];
    let venue = cells.venue();
    let now = at.mono;
    // One of two is recorded.
    let trace = TraceId::from_bits(u128::from(what / 1024 % 2 * what));
    match what % 16 {
        0 => cells.update(now, |w| {
            w.attempt(Some(index % 5).filter(|redial| *redial < AttemptKind::REDIALS.len()));
        }),
        1 => cells.update(now, |w| w.attempt_failed(cause)),
        2 => cells.update(now, StreamWriter::live_made),
        3 => cells.update(now, |w| w.lost(cause)),
        4 => cells.update(now, |w| {
            let until = now + seconds(300);
            let to = BreakerState::Open { until };
            w.breaker_moved(&moved(BreakerState::Closed, to, Trigger::FatalError), at, trace);
            w.set_state(State::CoolingDown);
            w.set_wait(Some((seconds(300), until)));
        }),
        5 => cells.update(now, |w| w.outage_began(now)),
        6 => cells.update(now, |w| {
            w.breaker_moved(
                &moved(BreakerState::Closed, BreakerState::HalfOpen, Trigger::CooldownElapsed),
                at,
                None,
            );
        }),
        7 => cells.update(now, |w| w.set_stale(index % 2 == 0)),
        8 => cells.update(now, |w| {
            w.subscriptions(index, index / 2);
            w.subscription_failed(SubscriptionFailure::ALL[index % 3], index);
            w.parse_error(DecodeError::ALL[index % 4]);
            w.threshold(10);
            w.stale_after(Some(seconds(300)));
        }),
        9 => {
            cells.frame_received(index, now);
            cells.frame_sent(index * 2);
        }
        10 => cells.message(EventKind::ALL[index % EventKind::COUNT]),
        11 => cells.data(now),
        12 => cells.latency(at.unix_millis() - i64::try_from(index).unwrap() * 50, at),
        13 => cells.control_frame(Opcode::Pong, Direction::Sent),
        14 => {
            venue.connect_phase(
                DialPhase::ALL[index % DialPhase::COUNT],
                Duration::from_millis(what % 20_000),
            );
            venue
                .reconnect_delay
                .observe_traced(Duration::from_secs_f64(index as f64 / 7.0), at, trace);
            venue.ping_rtt.observe_seconds(f64::NAN);
            venue.waited_at_gate(Duration::from_millis(what % 20_000));
        }
        _ => {
            venue.outage_duration.observe_traced(seconds(what % 5000), at, trace);
            venue.set_certificate_not_after(1_900_000_000 + i64::try_from(index).unwrap());
        }
    }
}

fn gathered_text(streams: &Arc<Streams>, at: Moment) -> (String, Vec<u8>) {
    let collected = StreamCollector::new(Arc::clone(streams)).unwrap().collect_at(at);
    let ours = Format::Text.render(&Streams::new(), &collected, at);
    let mut theirs = Vec::new();
    TextEncoder::new().encode(&collected, &mut theirs).unwrap();
    (ours, theirs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_collector_and_both_formats_tell_the_same(steps in proptest::collection::vec((any::<u64>(), 0..4_usize, 0..100_u64), 0..200)) {
        let start = Moment::now();
        let streams = Arc::new(Streams::new());
        let cells = [("b", "x"), ("a", "y"), ("a", "x"), ("ab", "x")]
            .map(|(venue, stream)| add_stream(&streams, venue, stream, "host", start));
        let mut at = start;
        for (what, stream, wait) in steps {
            at = after(at, Duration::from_millis(wait * wait * 10));
            act(&cells[stream], at, what);
        }
        let at = after(at, seconds(1));
        let direct = parse(&text::render(&streams, at));
        let (ours, theirs) = gathered_text(&streams, at);
        prop_assert_eq!(&direct, &parse(&ours));
        prop_assert_eq!(&direct, &parse(std::str::from_utf8(&theirs).unwrap()));
        prop_assert_eq!(&direct, &read_openmetrics(&streams, at).1.as_text());
    }

    #[test]
    fn odd_label_values_come_back_as_they_were(venue in any::<String>(), host in "[\\PC\\n\"\\\\]*") {
        let start = Moment::now();
        let streams = Arc::new(Streams::new());
        let _cells = add_stream(&streams, &venue, "s", &host, start);
        let direct = parse(&text::render(&streams, start));
        let (_, labels) = direct.family("feedwatch_stream_info").samples.keys().next().unwrap();
        prop_assert_eq!((&labels["venue"], &labels["server_address"]), (&venue, &host));
        prop_assert_eq!(&direct, &parse(&gathered_text(&streams, start).0));
        prop_assert_eq!(&direct, &read_openmetrics(&streams, start).1.as_text());
    }
}

#[test]
fn a_registry_accepts_the_collector_and_shows_every_metric() {
    let streams = Arc::new(Streams::new());
    let registry = Registry::new();
    registry
        .register(Box::new(StreamCollector::new(Arc::clone(&streams)).unwrap()))
        .unwrap();
    assert!(registry.gather().is_empty(), "no streams, no series");
    let cells = add_stream(&streams, "v", "s", "host", Moment::now());
    let declared = catalogue::all()
        .filter(|metric| metric.scope() != Scope::Process)
        .count();
    let queue = with_all_parts(&cells, 7);
    assert_eq!(registry.gather().len(), declared);
    drop(queue);
    cells.set_has_sequences(false);
    cells.set_compares_checksums(false);
    let left: BTreeSet<_> = registry
        .gather()
        .iter()
        .map(|family| family.name().to_owned())
        .collect();
    let gone = catalogue::all()
        .filter(|metric| metric.scope() != Scope::Process && !left.contains(metric.name))
        .inspect(|metric| assert!(!metric.is_always(), "{}", metric.name))
        .map(|metric| metric.name);
    assert_eq!(
        gone.collect::<Vec<_>>(),
        [
            "feedwatch_sequence_gaps_total",
            "feedwatch_checksum_failures_total",
            "feedwatch_queue_depth",
            "feedwatch_queue_capacity",
            "feedwatch_queue_dropped_total"
        ],
        "each part takes its own series along, and no others"
    );
    drop(cells);
    assert!(registry.gather().is_empty(), "a dropped stream leaves nothing behind");
    assert_eq!(text::render(&streams, Moment::now()), "");
}

#[test]
fn every_series_of_the_table_is_there_from_the_start_and_at_0() {
    let start = Moment::now();
    let streams = Streams::new();
    let cells = add_stream(&streams, "v", "s", "host", start);
    // One for which nobody has a place, so that it is at 0 as well.
    let _queue = with_all_parts(&cells, 0);
    let families = parse(&text::render(&streams, start));
    let identity = [
        ("venue", "v"),
        ("stream", "s"),
        ("server_address", "host"),
        ("transport", "wss"),
        ("page_on_stale", "true"),
    ];
    for metric in catalogue::all().filter(|metric| metric.scope() != Scope::Process) {
        let family = families.family(metric.name);
        assert_eq!(
            (family.kind.as_str(), family.help.as_str()),
            (metric.kind.as_str(), metric.help)
        );
        let bounds = if let Kind::Histogram(bounds) = metric.kind {
            bounds.len() + 3
        } else {
            1
        };
        let series = metric.labels.series();
        assert_eq!(family.samples.len(), series.len() * bounds, "{}", metric.name);
        let expected: BTreeSet<LabelPairs> = series
            .into_iter()
            .map(|values| {
                let of_scope = metric.scope().labels().iter().map(|name| (*name, None));
                let own = metric
                    .labels
                    .names()
                    .iter()
                    .enumerate()
                    .map(|(i, name)| (*name, values.get(i).copied()));
                of_scope
                    .chain(own)
                    .map(|(name, value)| {
                        let known = || identity.iter().find(|(n, _)| *n == name).unwrap().1;
                        (name.to_owned(), value.unwrap_or_else(known).to_owned())
                    })
                    .collect()
            })
            .collect();
        assert_eq!(family.identities(), expected, "{}", metric.name);
        let state_set = metric.labels.names() == ["state"];
        let sum: f64 = family.samples.values().sum();
        let one = state_set || matches!(metric.labels, Labels::Info { .. });
        assert_eq!(sum, if one { 1.0 } else { 0.0 }, "{}", metric.name);
    }
    assert_eq!(
        families.families.len(),
        catalogue::all().filter(|m| m.scope() != Scope::Process).count()
    );
}

#[test]
fn label_values_are_those_of_the_types_that_report_them() {
    let values = |name: &str| catalogue::find(name).unwrap().labels.series().concat();
    let causes: Vec<_> = Cause::ALL
        .iter()
        .filter(|cause| cause.fails_attempts())
        .map(|cause| cause.as_str())
        .collect();
    assert_eq!(values("feedwatch_connect_failures_total"), causes);
}

#[test]
fn the_figures_of_a_queue_are_those_of_its_own_stream() {
    let (streams, start) = (Streams::new(), Moment::now());
    let [with, _without] = ["with", "without"].map(|name| add_stream(&streams, "v", name, "host", start));
    let queue = with.attach_queue(100);
    queue.set_depth(40);
    queue.dropped(3);
    queue.dropped(4);
    let families = parse(&text::render(&streams, start));
    for (name, figure) in [("depth", 40.0), ("capacity", 100.0), ("dropped_total", 7.0)] {
        let name = format!("feedwatch_queue_{name}");
        assert_eq!(families.family(&name).samples.len(), 1, "{name}");
        assert_eq!(value(&families, &name, Some(("stream", "with"))), figure, "{name}");
    }
}

#[test]
fn gaps_and_checksums_are_shown_of_those_streams_alone_that_have_numbers_and_checksums() {
    let (streams, start) = (Streams::new(), Moment::now());
    // More than one block of streams, and both parts in each.
    let all: Vec<_> = (0..150)
        .map(|index| add_stream(&streams, "v", &format!("{index:03}"), "host", start))
        .collect();
    for (index, cells) in all.iter().enumerate() {
        cells.set_has_sequences(index % 3 == 0);
        cells.set_compares_checksums(index % 5 == 0);
        cells.update(start.mono, |writer| {
            writer.sequence_gap();
            writer.sequence_gap();
            writer.checksum_failed();
        });
    }
    let families = parse(&text::render(&streams, start));
    for (name, every, figure) in [
        ("feedwatch_sequence_gaps_total", 3, 2.0),
        ("feedwatch_checksum_failures_total", 5, 1.0),
    ] {
        let stream = |index: usize| {
            vec![
                ("venue".to_owned(), "v".to_owned()),
                ("stream".to_owned(), format!("{index:03}")),
            ]
        };
        let expected: BTreeSet<LabelPairs> = (0..150)
            .step_by(every)
            .map(|index| stream(index).into_iter().collect())
            .collect();
        let family = families.family(name);
        assert_eq!(family.identities(), expected, "{name}");
        assert!(family.samples.values().all(|value| *value == figure), "{name}");
    }
}

#[test]
fn what_a_part_costs_is_counted_beside_what_every_stream_has() {
    let (streams, start) = (Streams::new(), Moment::now());
    let cells = add_stream(&streams, "v", "s", "host", start);
    let samples = || -> usize {
        let families = parse(&text::render(&streams, start)).families;
        families.values().map(|family| family.samples.len()).sum()
    };
    let without = samples();
    let of_process: usize = catalogue::series(0, 0);
    assert_eq!(without, catalogue::series(1, 1) - of_process);
    let _queue = with_all_parts(&cells, 1);
    let further: usize = Part::ALL.iter().map(|part| catalogue::series_of(*part)).sum();
    assert_eq!((samples(), further), (without + further, 5));
}

#[test]
fn how_far_this_side_is_behind_is_shown_while_events_come_too_early() {
    let (streams, start) = (Streams::new(), Moment::now());
    let cells = add_stream(&streams, "v", "s", "host", start);
    let skew = |at| {
        value(
            &parse(&text::render(&streams, at)),
            "feedwatch_stream_clock_skew_seconds",
            None,
        )
    };
    cells.latency(start.unix_millis() - 100, start);
    assert_eq!(skew(start), 0.0, "late is not early");
    let mut at = start;
    for early in [1200, 1270, 1250] {
        at = after(at, seconds(1));
        cells.latency(at.unix_millis() + early, at);
    }
    // A clock that is wrong by so much is none, and nor is one in the year 292 million.
    for absurd in [at.unix_millis() + 90_000_000, i64::MAX] {
        cells.latency(absurd, at);
    }
    // What is told in milliseconds may be one short of the clock.
    let shown = skew(after(at, seconds(5)));
    assert!((shown - 1.27).abs() < 0.0011, "{shown}");
    assert_eq!(skew(after(at, seconds(30))), 0.0, "it is over");
}

/// A registry that hashes label values without a separator takes these for one series.
#[test]
fn streams_whose_names_run_together_alike_keep_their_own_series() {
    let streams = Arc::new(Streams::new());
    let start = Moment::now();
    let first = add_stream(&streams, "okx", "1btc", "host", start);
    let second = add_stream(&streams, "okx1", "btc", "host", start);
    first.frame_sent(1);
    second.frame_sent(10);
    second.frame_sent(10);
    let text = text::render(&streams, start);
    assert!(
        text.contains("feedwatch_frames_sent_total{venue=\"okx\",stream=\"1btc\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("feedwatch_frames_sent_total{venue=\"okx1\",stream=\"btc\"} 2\n"),
        "{text}"
    );
    let gathered = StreamCollector::new(streams).unwrap().collect_at(start);
    let sent = gathered
        .iter()
        .find(|family| family.name() == "feedwatch_frames_sent_total")
        .unwrap();
    let values: Vec<_> = sent
        .get_metric()
        .iter()
        .map(|metric| metric.get_counter().get_value())
        .collect();
    assert_eq!(values, [1.0, 2.0]);
}

#[test]
fn each_report_reaches_its_own_series() {
    let start = Moment::now();
    let streams = Streams::new();
    let cells = add_stream(&streams, "v", "s", "host", start);
    for cause in Cause::ALL.iter().copied() {
        let times = cause.index() + 1;
        for _ in 0..times {
            if cause.fails_attempts() {
                cells.update(start.mono, |w| w.attempt_failed(cause));
            }
            if cause.ends_connections() {
                cells.update(start.mono, |w| w.lost(cause));
            }
        }
    }
    for (i, kind) in EventKind::ALL.iter().enumerate() {
        (0..=i).for_each(|_| cells.message(*kind));
    }
    let controls = [(Opcode::Ping, "ping"), (Opcode::Pong, "pong"), (Opcode::Close, "close")];
    for (i, (opcode, _)) in controls.iter().enumerate() {
        (0..=i).for_each(|_| cells.control_frame(*opcode, Direction::Received));
        (0..10 + i).for_each(|_| cells.control_frame(*opcode, Direction::Sent));
    }
    let families = parse(&text::render(&streams, start));
    for cause in Cause::ALL.iter().copied() {
        let label = Some(("cause", cause.as_str()));
        let expected = (cause.index() + 1) as f64;
        if cause.fails_attempts() {
            assert_eq!(
                value(&families, "feedwatch_connect_failures_total", label),
                expected,
                "{cause}"
            );
        }
        if cause.ends_connections() {
            assert_eq!(
                value(&families, "feedwatch_disconnects_total", label),
                expected,
                "{cause}"
            );
        }
    }
    for (i, kind) in EventKind::ALL.iter().enumerate() {
        let label = Some(("kind", kind.as_str()));
        assert_eq!(value(&families, "feedwatch_messages_total", label), (i + 1) as f64);
    }
    for (i, (_, opcode)) in controls.iter().enumerate() {
        for (direction, expected) in [("received", i + 1), ("sent", i + 10)] {
            let frames = &families.family("feedwatch_control_frames_total").samples;
            let ours = |labels: &LabelPairs| labels["opcode"] == *opcode && labels["direction"] == direction;
            let found = frames.iter().find(|((_, labels), _)| ours(labels)).unwrap();
            assert_eq!(*found.1, expected as f64, "{opcode} {direction}");
        }
    }
}

#[test]
fn a_loss_is_told_from_its_beginning_to_its_end() {
    let start = Moment::now();
    let streams = Streams::new();
    let cells = add_stream(&streams, "v", "s", "host", start);
    let scrape = |at: Moment| parse(&text::render(&streams, at));
    let moment = |n| after(start, seconds(n));
    let near = |a: f64, b: f64| (a - b).abs() < 0.01;
    let unix = |n: u64| start.unix_seconds_at(start.mono + seconds(n));

    let idle = scrape(moment(10));
    assert_eq!(
        value(&idle, "feedwatch_stream_observed_seconds_total", None),
        0.0,
        "idle is not observed"
    );
    assert_eq!(value(&idle, "feedwatch_connections_desired", None), 0.0);

    cells.update(moment(10).mono, |w| w.attempt(None));
    cells.update(moment(12).mono, StreamWriter::live_made);
    cells.update(moment(20).mono, |w| w.set_stale(true));
    let stale = scrape(moment(25));
    assert_eq!(value(&stale, "feedwatch_stream_stale", None), 1.0);
    assert_eq!(value(&stale, "feedwatch_stream_stale_seconds_total", None), 5.0);
    assert_eq!(value(&stale, "feedwatch_stream_up_seconds_total", None), 13.0);
    assert_eq!(value(&stale, "feedwatch_stream_observed_seconds_total", None), 15.0);

    let (now, until) = (moment(30).mono, moment(330).mono);
    cells.update(now, |w| {
        w.lost(Cause::Eof);
        w.outage_began(now);
        w.outage_began(now);
    });
    cells.update(now, |w| {
        let open = BreakerState::Open { until };
        let trip = moved(BreakerState::Closed, open, Trigger::ConsecutiveFailures);
        w.breaker_moved(&trip, moment(30), None);
        w.set_state(State::CoolingDown);
        w.set_wait(Some((seconds(300), until)));
    });
    let down = scrape(moment(40));
    assert_eq!(
        value(&down, "feedwatch_stream_state", Some(("state", "cooling_down"))),
        1.0
    );
    assert_eq!(value(&down, "feedwatch_breaker_state", Some(("state", "open"))), 1.0);
    assert_eq!(
        value(
            &down,
            "feedwatch_breaker_trips_total",
            Some(("trigger", "consecutive_failures"))
        ),
        1.0
    );
    assert_eq!(
        value(&down, "feedwatch_breaker_transitions_total", Some(("to", "half_open"))),
        0.0
    );
    assert_eq!(value(&down, "feedwatch_breaker_open_seconds_total", None), 10.0);
    assert_eq!(value(&down, "feedwatch_reconnect_current_delay_seconds", None), 300.0);
    assert_eq!(
        value(&down, "feedwatch_outages_total", None),
        1.0,
        "one outage, told twice"
    );
    assert_eq!(
        value(&down, "feedwatch_stream_stale", None),
        0.0,
        "only a live stream is stale"
    );
    assert!(near(
        value(&down, "feedwatch_outage_start_timestamp_seconds", None),
        unix(30)
    ));
    assert!(near(
        value(&down, "feedwatch_reconnect_next_attempt_timestamp_seconds", None),
        unix(330)
    ));
    assert!(near(
        value(&down, "feedwatch_breaker_open_until_timestamp_seconds", None),
        unix(330)
    ));
    let snapshot = cells.snapshot(moment(40));
    let (cause, at) = snapshot.last_cause().unwrap();
    assert!(cause == Cause::Eof && near(at, unix(30)));
    assert!(near(snapshot.state_since(), unix(30)));

    cells.update(until, |w| {
        let (from, to) = (BreakerState::Open { until }, BreakerState::HalfOpen);
        w.breaker_moved(&moved(from, to, Trigger::CooldownElapsed), moment(330), None);
    });
    cells.update(until, |w| w.attempt(Some(1)));
    cells.update(moment(331).mono, StreamWriter::live_made);
    let up = scrape(moment(340));
    assert_eq!(value(&up, "feedwatch_breaker_open_seconds_total", None), 300.0);
    assert_eq!(
        value(&up, "feedwatch_reconnect_attempts_total", Some(("kind", "probe"))),
        1.0
    );
    for zero in [
        "feedwatch_outage_start_timestamp_seconds",
        "feedwatch_reconnect_current_delay_seconds",
        "feedwatch_reconnect_next_attempt_timestamp_seconds",
        "feedwatch_breaker_open_until_timestamp_seconds",
    ] {
        assert_eq!(value(&up, zero, None), 0.0, "{zero}");
    }
    let (live, observed) = (27.0, 330.0);
    assert_eq!(value(&up, "feedwatch_stream_up_seconds_total", None), live);
    assert_eq!(value(&up, "feedwatch_stream_observed_seconds_total", None), observed);
}

#[test]
fn a_scrape_with_an_older_reading_of_the_clock_is_never_negative() {
    let start = Moment::now();
    let streams = Streams::new();
    let cells = add_stream(&streams, "v", "s", "host", after(start, seconds(100)));
    cells.update(after(start, seconds(200)).mono, |w| w.attempt(None));
    cells.update(after(start, seconds(150)).mono, StreamWriter::live_made);
    cells.data(start.mono);
    for at in [start, after(start, seconds(200)), after(start, seconds(201))] {
        let families = parse(&text::render(&streams, at));
        let up = value(&families, "feedwatch_stream_up_seconds_total", None);
        assert_eq!(up, if at.mono > start.mono + seconds(200) { 1.0 } else { 0.0 });
    }
    assert!(cells.snapshot(start).data_age().is_some());
}

#[test]
fn latencies_are_smoothed_and_absurd_ones_are_skew() {
    let start = Moment::now();
    let streams = Streams::new();
    let cells = add_stream(&streams, "v", "s", "host", start);
    let mut at = start;
    for _ in 0..100 {
        at = after(at, seconds(1));
        cells.latency(at.unix_millis() - 2000, at);
    }
    for absurd in [i64::MIN, -1, 0, 1_000_000, at.unix_millis() + 60_000, i64::MAX] {
        cells.latency(absurd, at);
    }
    let families = parse(&text::render(&streams, at));
    assert!((value(&families, "feedwatch_stream_lag_seconds", None) - 2.0).abs() < 0.01);
    assert_eq!(value(&families, "feedwatch_message_clock_skew_total", None), 6.0);
    let latency = &families.family("feedwatch_message_latency_seconds").samples;
    let count = latency.iter().find(|((suffix, _), _)| suffix == "_count").unwrap();
    assert_eq!(*count.1, 100.0);
    // Ten seconds later the past weighs 1/e.
    let later = after(at, seconds(10));
    cells.latency(later.unix_millis() - 12_000, later);
    let lag = value(
        &parse(&text::render(&streams, later)),
        "feedwatch_stream_lag_seconds",
        None,
    );
    assert!((lag - (12.0 - 10.0 / std::f64::consts::E)).abs() < 0.05, "{lag}");
}

#[test]
fn the_identities_hold_at_every_scrape_in_the_middle_of_things() {
    let start = Moment::now();
    let streams = Arc::new(Streams::new());
    let cells = add_stream(&streams, "v", "s", "host", start);
    // Observed from the start: the scrapes' times run far ahead of the reports'.
    cells.update(start.mono, |w| w.set_state(State::BackingOff));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..20_000_u64 {
                let now = start.mono + Duration::from_micros(round * 10);
                cells.update(now, |w| w.attempt(Some(0)));
                if round % 3 == 0 {
                    cells.update(now, |w| w.attempt_failed(Cause::Dns));
                } else {
                    cells.update(now, |w| w.set_state(State::Subscribing));
                    cells.update(now + Duration::from_micros(3), StreamWriter::live_made);
                    cells.update(now + Duration::from_micros(6), |w| w.lost(Cause::Eof));
                }
            }
            done.store(true, Ordering::Release);
        });
        // Another one who writes at the same time.
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                cells.update(start.mono, |w| w.parse_error(DecodeError::Utf8));
            }
        });
        let (mut scrapes, mut last) = (0, 0.0);
        while scrapes == 0 || !done.load(Ordering::Acquire) {
            let families = parse(&text::render(&streams, after(start, seconds(scrapes))));
            let of = |name| value(&families, name, None);
            let state = |name| value(&families, "feedwatch_stream_state", Some(("state", name)));
            let in_flight = state("connecting") + state("subscribing");
            let made = total(&families, "feedwatch_disconnects_total") + of("feedwatch_connections_live");
            let ended = made + total(&families, "feedwatch_connect_failures_total");
            assert_eq!(of("feedwatch_connect_attempts_total"), ended + in_flight);
            assert_eq!(total(&families, "feedwatch_stream_state"), 1.0);
            let (up, observed) = (
                of("feedwatch_stream_up_seconds_total"),
                of("feedwatch_stream_observed_seconds_total"),
            );
            assert!(up <= observed, "{up} {observed}");
            if scrapes > 0 && of("feedwatch_connect_attempts_total") > 0.0 {
                // Observed since the beginning, whatever happened in between.
                assert_eq!(observed, scrapes as f64, "up and down are all the time there is");
            }
            let attempts = of("feedwatch_connect_attempts_total");
            assert!(attempts >= last, "went back");
            last = attempts;
            scrapes += 1;
        }
    });
    let families = parse(&text::render(&streams, after(start, seconds(0))));
    assert_eq!(
        value(&families, "feedwatch_connect_attempts_total", None),
        20_000.0,
        "no report is lost"
    );
}

fn read_openmetrics(streams: &Streams, at: Moment) -> (String, OpenMetrics) {
    let text = feedwatch::metrics::openmetrics::render(streams, at);
    let read = OpenMetrics::parse(&text).unwrap();
    (text, read)
}

/// The traces, values and times of a metric's exemplars, by the label that tells its samples apart.
fn exemplars<'a>(read: &'a OpenMetrics, name: &str, label: &str) -> Vec<(&'a str, &'a str, f64, f64)> {
    let of_metric = read.exemplars.iter().filter(|((of, _), _)| of == name);
    of_metric
        .map(|((_, (_, labels)), exemplar)| {
            assert_eq!(exemplar.labels.len(), 1);
            let trace = exemplar.labels["trace_id"].as_str();
            (labels[label].as_str(), trace, exemplar.value, exemplar.at.unwrap())
        })
        .collect()
}

#[test]
fn exemplars_stand_in_openmetrics_alone_and_lead_to_what_was_traced_last() {
    let start = Moment {
        wall: UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
        ..Moment::now()
    };
    let streams = Streams::new();
    let cells = add_stream(&streams, "v", "s", "host", start);
    assert!(read_openmetrics(&streams, start).1.exemplars.is_empty());
    let trip = |trigger, at: u64, trace| {
        let at = after(start, seconds(at));
        let open = BreakerState::Open { until: at.mono };
        cells.update(at.mono, |w| {
            w.breaker_moved(
                &moved(BreakerState::Closed, open, trigger),
                at,
                TraceId::from_bits(trace),
            );
        });
        cells.update(at.mono, |w| {
            w.breaker_moved(&moved(open, BreakerState::Closed, Trigger::Reset), at, None);
        });
    };
    let delay = |millis, at, trace| {
        let (delay, at) = (Duration::from_millis(millis), after(start, seconds(at)));
        cells
            .venue()
            .reconnect_delay
            .observe_traced(delay, at, TraceId::from_bits(trace));
    };
    trip(Trigger::ConsecutiveFailures, 1, 0xa1);
    trip(Trigger::ConsecutiveFailures, 2, 0xa2);
    trip(Trigger::ConsecutiveFailures, 3, 0);
    trip(Trigger::FatalError, 4, 0);
    trip(Trigger::ProbeFailed, 5, 0xa5);
    delay(300, 1, 0xb1);
    delay(500, 2, 0xb2);
    delay(250, 3, 0);
    delay(400_000, 4, 0xb4);
    let late = after(start, seconds(10));
    cells
        .venue()
        .outage_duration
        .observe_traced(seconds(7), late, TraceId::from_bits(u128::MAX));

    let (_, read) = read_openmetrics(&streams, late);
    let zeros = |trace: &str| format!("{trace:0>32}");
    assert_eq!(
        exemplars(&read, "feedwatch_breaker_trips", "trigger"),
        [("consecutive_failures", zeros("a2").as_str(), 1.0, 1_700_000_002.25)]
    );
    assert_eq!(
        exemplars(&read, "feedwatch_reconnect_delay_seconds", "le"),
        [
            ("0.5", zeros("b2").as_str(), 0.5, 1_700_000_002.25),
            ("inf", zeros("b4").as_str(), 400.0, 1_700_000_004.25),
        ]
    );
    assert_eq!(
        exemplars(&read, "feedwatch_outage_duration_seconds", "le"),
        [("10", "f".repeat(32).as_str(), 7.0, 1_700_000_010.25)]
    );
    let trips = [("trigger", "consecutive_failures")];
    assert_eq!(read.as_text().value("feedwatch_breaker_trips_total", &trips), 3.0);
    assert_eq!(
        read.as_text(),
        parse(&text::render(&streams, late)),
        "and nothing of it as text"
    );
}

#[test]
fn every_metric_in_a_base_unit_says_so_and_no_other() {
    let streams = Streams::new();
    let start = Moment::now();
    let _cells = add_stream(&streams, "v", "s", "host", start);
    let (_, read) = read_openmetrics(&streams, start);
    for metric in catalogue::all().filter(|metric| metric.scope() != Scope::Process) {
        let family = metric.name.trim_end_matches("_total");
        let unit = ["seconds", "bytes"].into_iter().find(|unit| family.ends_with(unit));
        assert_eq!(read.units.get(family).map(String::as_str), unit, "{family}");
    }
    assert_eq!(read_openmetrics(&Streams::new(), start).0, "# EOF\n");
}

/// What a registry may hold besides what this project declares.
#[test]
fn what_a_registry_gathered_follows_by_the_same_rules() {
    let registry = Registry::new();
    let counter = IntCounter::new("odd_name", "A \"counter\"\nwithout \\ its suffix").unwrap();
    let seconds_total = Counter::new("work_seconds_total", "Work").unwrap();
    let options = HistogramOpts::new("size_bytes", "Sizes").buckets(vec![1.0, 1024.0, 1_048_576.0]);
    let sizes = HistogramVec::new(options, &["of"]).unwrap();
    for of in ["a", "b"] {
        sizes.with_label_values(&[of]).observe(2e6);
    }
    counter.inc_by(1 << 52);
    seconds_total.inc_by(0.125);
    registry.register(Box::new(counter)).unwrap();
    registry.register(Box::new(seconds_total)).unwrap();
    registry.register(Box::new(sizes)).unwrap();
    let (streams, start) = (Streams::new(), Moment::now());
    let _cells = add_stream(&streams, "v", "s", "host", start);
    let families = registry.gather();
    let text = Format::OpenMetrics.render(&streams, &families, start);
    let read = OpenMetrics::parse(&text).unwrap();
    assert_eq!(read.as_text(), parse(&Format::Text.render(&streams, &families, start)));

    let kinds = ["odd_name", "work_seconds", "size_bytes"].map(|name| read.exposition.family(name).kind.as_str());
    assert_eq!(kinds, ["unknown", "counter", "histogram"]);
    assert_eq!(
        read.exposition.family("odd_name").help,
        "A \"counter\"\nwithout \\ its suffix"
    );
    assert!(text.contains("\nodd_name 4503599627370496\n"), "whole and exact");
    assert!(
        text.contains("\nsize_bytes_bucket{of=\"b\",le=\"1.048576e+06\"} 0\n"),
        "{text}"
    );
    assert_eq!(text, Format::OpenMetricsDraft.render(&streams, &families, start));
}

#[test]
#[ignore = "needs the Python package prometheus-client"]
fn prometheus_client_reads_exemplars_and_odd_labels_as_they_were_written() {
    let start = Moment::now();
    let streams = Streams::new();
    let cells = add_stream(&streams, "a \"venue\"\n\\ = {x},", "s", "höst", start);
    for what in 0..4096 {
        act(&cells, after(start, Duration::from_millis(what)), what);
    }
    let (text, read) = read_openmetrics(&streams, after(start, seconds(10)));
    assert!(read.exemplars.len() > 5, "{:?}", read.exemplars);
    prometheus_client::assert_reads_the_same(&text, &read);
}

#[test]
fn the_page_of_metrics_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = docs::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == page,
        "docs/metrics.md is out of date: run this test with UPDATE_DOCS=1"
    );
    for metric in catalogue::all() {
        assert!(page.contains(&format!("| `{}` |", metric.name)));
    }
}

#[test]
fn the_table_as_json_names_every_series() {
    let table = docs::json();
    let entries = table.as_array().unwrap();
    assert_eq!(entries.len(), catalogue::all().count());
    let breaker = entries
        .iter()
        .find(|entry| entry["name"] == "feedwatch_breaker_transitions_total")
        .unwrap();
    assert_eq!(
        breaker["series"][0],
        serde_json::json!({ "from": "closed", "to": "open" })
    );
    assert_eq!(breaker["labels"], serde_json::json!(["venue", "stream", "from", "to"]));
    let with_exemplars = entries.iter().filter(|entry| entry["exemplars"] == true);
    let names: Vec<_> = with_exemplars.map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "feedwatch_breaker_trips_total",
            "feedwatch_reconnect_delay_seconds",
            "feedwatch_outage_duration_seconds",
        ]
    );
}
