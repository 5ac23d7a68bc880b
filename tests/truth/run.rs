//! Runs a script against the service, and compares.

use crate::case::Case;
use crate::derived::{Counted, Derived};
use crate::exemplars;
use crate::exposition::Exposition;
use crate::invariants::check_growth;
use crate::openmetrics::OpenMetrics;
use crate::told::{Told, attribute, whole};
use feedwatch::app::Service;
use feedwatch::config::Config;
use feedwatch::metrics::{BuildInfo, OwnMetrics};
use feedwatch::sim::{Expectation, Script, SimOptions, SimulatedVenue, Traffic, What};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use serde_json::Value;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// No script takes so long.
const LIMIT: Duration = Duration::from_secs(90);
/// What is on its way when the traffic stops has arrived by then, and the stream is not stale yet.
const SETTLE: Duration = Duration::from_secs(3);
/// On a busy machine it may take longer: so often it is tried.
const ROUNDS: usize = 10;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";
const LOOK: Duration = Duration::from_millis(50);

/// A service with one stream, its venue, and what was told up to now.
struct Run {
    venue: SimulatedVenue,
    service: Service,
    config: Config,
    exporter: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    before: Option<Exposition>,
    events: Vec<Value>,
}

/// What is told and not true, a line each.
pub(crate) async fn differences(case: &Case) -> Vec<String> {
    let mut run = Run::start(case).await;
    let begun = Instant::now();
    while !run.is_over(case).await {
        if begun.elapsed() > LIMIT {
            return vec![format!("the script does not end: {:#?}", run.venue.log().entries())];
        }
        sleep(LOOK).await;
    }
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        run.venue.pause_traffic();
        differences = run.when_quiet(case).await;
        if differences.is_empty() {
            break;
        }
        // Before the stream is stale for want of data.
        run.venue.resume_traffic();
        sleep(SETTLE).await;
    }
    run.service.stop(LIMIT).await;
    run.venue.shutdown().await;
    differences
}

impl Run {
    async fn start(case: &Case) -> Self {
        let venue = SimulatedVenue::start(SimOptions {
            traffic: Traffic::Generated {
                events_per_second: 100.0,
            },
            script: Script { rules: case.rules() },
            seed: case.seed,
            ..SimOptions::default()
        })
        .unwrap();
        let none: [(&str, &str); 0] = [];
        let config = Config::parse("case", &case.config(&venue.url()), none).unwrap();
        let build = BuildInfo {
            version: "0".into(),
            revision: "0".into(),
            rustversion: "0".into(),
        };
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let tracer = Arc::new(BoxedTracer::new(Box::new(provider.tracer("feedwatch"))));
        let own = Arc::new(OwnMetrics::new(&build).unwrap());
        let service = Service::start(&config, build, own, Some(tracer)).await.unwrap();
        Self {
            venue,
            service,
            config,
            exporter,
            _provider: provider,
            before: None,
            events: Vec::new(),
        }
    }

    /// All scripted connections are over, and the one after them is stable.
    async fn is_over(&mut self, case: &Case) -> bool {
        let told = self.look().await;
        let stream = told.stream();
        let scripted = case.faults.len() as u64;
        let entries = self.venue.log().entries();
        let last_is_live = entries
            .iter()
            .any(|entry| entry.connection > scripted && matches!(entry.what, What::Subscribed { .. }));
        last_is_live
            && stream.sum("feedwatch_stream_connected") == 1.0
            && stream.sum("feedwatch_breaker_consecutive_failures") == 0.0
            && told
                .events
                .last()
                .is_some_and(|event| event["what"] == "stable" || event["what"] == "breaker")
    }

    /// What differs once all that was on its way has arrived.
    async fn when_quiet(&mut self, case: &Case) -> Vec<String> {
        let (log, policy) = (self.venue.log(), self.config.streams[0].policy.clone());
        let begun = Instant::now();
        loop {
            let before = Expectation::of(&log, &policy, None);
            let told = self.look().await;
            // A ping in the middle would be in one of them and not in the other.
            let differences = if before == Expectation::of(&log, &policy, None) {
                compare(case, self, &told)
            } else {
                vec!["the venue is never quiet for long enough".to_owned()]
            };
            if differences.is_empty() || begun.elapsed() > SETTLE {
                return differences;
            }
            sleep(LOOK).await;
        }
    }

    /// Reads all that is told, and insists on what must hold at each moment.
    async fn look(&mut self) -> Told {
        let address = self.service.address();
        let scrape = OpenMetrics::parse(&get(address, "/metrics", OPENMETRICS).await).unwrap();
        let answer: Value = serde_json::from_str(&get(address, "/api/v1/streams/s", "*/*").await).unwrap();
        self.remember(answer["history"].as_array().unwrap());
        let all: Value = serde_json::from_str(&get(address, "/api/v1/events?limit=1000", "*/*").await).unwrap();
        let all = all["events"].as_array().unwrap();
        assert!(
            answer["history"]
                .as_array()
                .unwrap()
                .iter()
                .all(|event| all.contains(event) || all.len() == 50)
        );
        let (exemplars, scrape) = (scrape.exemplars.clone(), scrape.as_text());
        if let Some(before) = self.before.take() {
            check_growth(&before, &scrape);
        }
        self.before = Some(Exposition::parse(&get(address, "/metrics", "*/*").await).unwrap());
        let told = Told {
            scrape,
            exemplars,
            spans: self.exporter.get_finished_spans().unwrap(),
            events: self.events.clone(),
        };
        told.stream().check();
        told
    }

    /// Adds the events that are new: those before the first one that is known.
    fn remember(&mut self, newest_first: &[Value]) {
        let known = |event: &&Value| Some(*event) == self.events.last();
        let new = newest_first
            .iter()
            .position(|event| known(&event))
            .unwrap_or(newest_first.len());
        assert!(self.events.is_empty() || new < newest_first.len(), "events were missed");
        self.events.extend(newest_first[..new].iter().rev().cloned());
    }
}

struct Differences(Vec<String>);

impl Differences {
    fn expect<T: PartialEq + Debug>(&mut self, what: &str, told: &T, true_one: &T) {
        if told != true_one {
            self.0.push(format!("{what}: told {told:?}, but it was {true_one:?}"));
        }
    }

    fn near(&mut self, what: &str, told: f64, true_one: f64, slack: f64) {
        if (told - true_one).abs() > slack {
            self.0.push(format!("{what}: told {told}, but it was {true_one}"));
        }
    }
}

fn compare(case: &Case, run: &Run, told: &Told) -> Vec<String> {
    let log = run.venue.log();
    let derived = Derived::from(&log.entries(), case);
    let mut differences = Differences(told.misshapen());
    counters(&mut differences, told, &derived);
    traffic(
        &mut differences,
        told,
        &Expectation::of(&log, &run.config.streams[0].policy, None),
        &derived,
    );
    histograms(&mut differences, told, &derived);
    gauges(&mut differences, told, case);
    spans(&mut differences, told, &derived);
    events(&mut differences, told, &derived);
    differences.0.extend(exemplars::wrong(told));
    differences.0
}

fn total(counted: &Counted) -> u64 {
    counted.values().sum()
}

fn counters(differences: &mut Differences, told: &Told, derived: &Derived) {
    let stream = told.stream();
    let figure = |name: &str| whole(stream.sum(name));
    differences.expect(
        "attempts",
        &figure("feedwatch_connect_attempts_total"),
        &derived.attempts,
    );
    differences.expect(
        "failures",
        &told.counted("feedwatch_connect_failures_total", "cause"),
        &derived.failures,
    );
    differences.expect(
        "losses",
        &told.counted("feedwatch_disconnects_total", "cause"),
        &derived.losses,
    );
    differences.expect(
        "redials",
        &told.counted("feedwatch_reconnect_attempts_total", "kind"),
        &derived.redials,
    );
    differences.expect(
        "trips",
        &told.counted("feedwatch_breaker_trips_total", "trigger"),
        &derived.trips,
    );
    differences.expect("outages", &figure("feedwatch_outages_total"), &derived.outages);
    differences.expect(
        "stale episodes",
        &figure("feedwatch_stale_episodes_total"),
        &derived.stale_episodes,
    );
    let moves = [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "open"),
        ("half_open", "closed"),
        ("open", "closed"),
    ];
    for (from, to) in moves {
        let expected = derived.transitions.get(&(from, to)).copied().unwrap_or(0);
        differences.expect(
            &format!("{from} to {to}"),
            &whole(stream.transitions(from, to)),
            &expected,
        );
    }
}

fn traffic(differences: &mut Differences, told: &Told, expected: &Expectation, derived: &Derived) {
    let figure = |name: &str| whole(told.stream().sum(name));
    differences.expect(
        "frames received",
        &figure("feedwatch_frames_received_total"),
        &expected.frames_received,
    );
    differences.expect(
        "bytes received",
        &figure("feedwatch_received_bytes_total"),
        &expected.received_bytes,
    );
    differences.expect(
        "frames sent",
        &figure("feedwatch_frames_sent_total"),
        &expected.frames_sent,
    );
    differences.expect(
        "bytes sent",
        &figure("feedwatch_sent_bytes_total"),
        &expected.sent_bytes,
    );
    // The two derivations are of one mind.
    let own = (
        derived.attempts,
        derived.went_live,
        total(&derived.losses),
        total(&derived.trips),
        derived.outages,
    );
    let theirs = (
        expected.attempts,
        expected.went_live,
        expected.losses,
        expected.trips,
        expected.outages,
    );
    differences.expect("the expectation", &theirs, &own);
}

fn histograms(differences: &mut Differences, told: &Told, derived: &Derived) {
    let count = |name: &str, labels: &[(&str, &str)]| whole(told.part(name, "_count", labels));
    let sum = |name: &str| told.part(name, "_sum", &[]);
    let phase = |phase| count("feedwatch_connect_duration_seconds", &[("phase", phase)]);
    differences.expect("look-ups", &phase("resolve"), &derived.attempts);
    differences.expect("dials", &phase("connect"), &derived.attempts);
    differences.expect("upgrades", &phase("upgrade"), &derived.attempts);
    differences.expect("subscriptions", &phase("subscribe"), &derived.upgraded);
    differences.expect(
        "ended connections",
        &count("feedwatch_connection_duration_seconds", &[]),
        &total(&derived.losses),
    );

    // Sums are kept to the microsecond.
    let slack = |count: u64| 1e-6 * (count as f64 + 1.0);
    differences.expect(
        "delays",
        &count("feedwatch_reconnect_delay_seconds", &[]),
        &derived.delays,
    );
    let waited: f64 = told
        .named("stream.backoff")
        .iter()
        .map(|span| {
            attribute(span, "feedwatch.backoff.delay_seconds")
                .unwrap()
                .parse::<f64>()
                .unwrap()
        })
        .sum();
    differences.near(
        "the sum of delays",
        sum("feedwatch_reconnect_delay_seconds"),
        waited,
        slack(derived.delays),
    );

    let outages = told.outages();
    let ended = count("feedwatch_outage_duration_seconds", &[]);
    differences.expect("ended outages", &ended, &derived.outages);
    differences.expect("ended outages of the traces", &(outages.len() as u64), &derived.outages);
    let (seconds, traced) = (
        sum("feedwatch_outage_duration_seconds"),
        outages.iter().sum::<Duration>().as_secs_f64(),
    );
    // Roots of one outage are anchored in readings of the wall clock of their own.
    differences.near(
        "the sum of outages",
        seconds,
        traced,
        slack(ended) + 0.002 * told.named("stream.outage").len() as f64,
    );
    if seconds + slack(ended) < derived.least_outage.as_secs_f64() {
        let least = derived.least_outage;
        differences.0.push(format!(
            "the sum of outages: told {seconds}, but it was at least {least:?}"
        ));
    }
}

fn gauges(differences: &mut Differences, told: &Told, case: &Case) {
    let stream = told.stream();
    for (name, value) in [
        ("feedwatch_stream_connected", 1.0),
        ("feedwatch_connections_live", 1.0),
        ("feedwatch_connections_desired", 1.0),
        ("feedwatch_breaker_consecutive_failures", 0.0),
        ("feedwatch_breaker_failure_threshold", f64::from(case.threshold)),
        ("feedwatch_breaker_open_until_timestamp_seconds", 0.0),
        ("feedwatch_outage_start_timestamp_seconds", 0.0),
        ("feedwatch_reconnect_current_delay_seconds", 0.0),
        ("feedwatch_reconnect_next_attempt_timestamp_seconds", 0.0),
        ("feedwatch_subscriptions_desired", 2.0),
        ("feedwatch_subscriptions_active", 2.0),
    ] {
        differences.expect(name, &stream.sum(name), &value);
    }
    differences.expect("the state", &stream.state("feedwatch_stream_state").as_str(), &"live");
    differences.expect(
        "the breaker",
        &stream.state("feedwatch_breaker_state").as_str(),
        &"closed",
    );
}

fn spans(differences: &mut Differences, told: &Told, derived: &Derived) {
    let number = |name: &str| told.named(name).len() as u64;
    differences.expect("spans of attempts", &number("stream.connect"), &derived.attempts);
    differences.expect(
        "error.type of attempts",
        &told.spans_by("stream.connect", "error.type"),
        &derived.failures,
    );
    differences.expect("spans of delays", &number("stream.backoff"), &derived.delays);
    for name in ["dns.lookup", "tcp.connect", "GET"] {
        differences.expect(&format!("spans {name}"), &number(name), &derived.attempts);
    }
    differences.expect("spans of subscriptions", &number("stream.subscribe"), &derived.upgraded);
    differences.expect(
        "causes of roots",
        &told.spans_by("stream.outage", "feedwatch.outage.cause"),
        &derived.losses,
    );
    let ends = told.spans_by("stream.outage", "feedwatch.outage.end");
    let end = |end: &str| ends.get(end).copied().unwrap_or(0);
    differences.expect("roots that end live", &end("live"), &derived.went_live);
    differences.expect("roots that end with a trip", &end("tripped"), &total(&derived.trips));
    let reopened = derived.transitions.get(&("half_open", "open")).copied().unwrap_or(0);
    differences.expect("roots that end with a failed probe", &end("reopened"), &reopened);
    let triggers = told
        .named("stream.outage")
        .into_iter()
        .filter(|root| attribute(root, "feedwatch.outage.end").as_deref() == Some("tripped"));
    let triggers = crate::told::count(triggers.filter_map(|root| attribute(root, "feedwatch.breaker.trigger")));
    differences.expect("triggers of roots", &triggers, &derived.trips);
}

fn events(differences: &mut Differences, told: &Told, derived: &Derived) {
    for (what, number) in [
        ("attempt", derived.attempts),
        ("connected", derived.upgraded),
        ("attempt_failed", total(&derived.failures)),
        ("up", derived.went_live),
        ("lost", total(&derived.losses)),
        ("backing_off", derived.delays),
        ("breaker", derived.transitions.values().sum()),
        ("stale", derived.stale_episodes),
    ] {
        differences.expect(&format!("events `{what}`"), &told.events_of(what), &number);
    }
    differences.expect(
        "causes of events",
        &told.events_by("attempt_failed", "cause"),
        &derived.failures,
    );
    differences.expect("causes of events", &told.events_by("lost", "cause"), &derived.losses);
    let known = told.trace_ids();
    for event in &told.events {
        let what = event["what"].as_str().unwrap();
        let happens_live = matches!(what, "stable" | "stale" | "fresh") || what == "breaker" && event["to"] == "closed";
        match event["trace_id"].as_str() {
            Some(id) if known.contains(id) && !happens_live => {}
            None if happens_live => {}
            id => differences.0.push(format!("{id:?} is not the trace of {event}")),
        }
    }
}

async fn get(address: SocketAddr, path: &str, accept: &str) -> String {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!("Host: feedwatch\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        let request = format!("GET {path} HTTP/1.1\r\n{head}");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(LIMIT, exchange).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    body.to_owned()
}
