//! The tree of an outage, from facts with times of their own to the spans that an exporter gets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

use feedwatch::clock::Moment;
use feedwatch::market::{Cause, DialPhase, StreamName};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{Endpoint, Fact, Observer, TransportFact};
use feedwatch::supervise::{AttemptKind, BreakerState, Notice, Policy, Stage, Transition, Trigger};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanId, SpanKind, Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use std::sync::Arc;
use std::time::Duration;

/// An observer that traces, and the time that it is told.
struct Traced {
    observer: StreamObserver,
    cells: Arc<StreamCells>,
    exporter: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    now: Moment,
}

impl Traced {
    fn new(sampler: Sampler) -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_simple_exporter(exporter.clone())
            .build();
        let info = StreamInfo {
            stream: StreamName::new("test").unwrap(),
            server_address: "venue.example".into(),
            transport: "wss".into(),
            page_on_stale: false,
        };
        let now = Moment::now();
        let cells = Arc::new(StreamCells::new(info, Streams::new().venue("polymarket"), now.mono));
        let endpoint = Endpoint::parse("wss://venue.example/secret?key=secret").unwrap();
        let tracer = BoxedTracer::new(Box::new(provider.tracer("feedwatch")));
        let observer = StreamObserver::new(cells.clone(), &Policy::default()).with_tracer(Arc::new(tracer), &endpoint);
        Self {
            observer,
            cells,
            exporter,
            _provider: provider,
            now,
        }
    }

    fn always() -> Self {
        Self::new(Sampler::AlwaysOn)
    }

    fn pass(&mut self, millis: u64) {
        self.now.mono += Duration::from_millis(millis);
        self.now.wall += Duration::from_millis(millis);
    }

    fn tell(&self, notice: Notice) {
        self.observer.observe(self.now, &Fact::Supervisor(notice));
    }

    fn transport(&self, fact: TransportFact) {
        self.observer.observe(self.now, &Fact::Transport(fact));
    }

    fn attempt(&self, number: u32, kind: AttemptKind) {
        self.tell(Notice::Attempt { number, kind });
    }

    fn phase(&mut self, phase: DialPhase, millis: u64) {
        self.transport(TransportFact::PhaseBegan(phase));
        self.pass(millis);
        let took = Duration::from_millis(millis);
        self.transport(TransportFact::PhaseEnded { phase, took });
    }

    fn fail(&self, stage: Stage, cause: Cause) {
        let detail = "why".into();
        self.tell(Notice::AttemptFailed { stage, cause, detail });
    }

    /// An attempt that goes live.
    fn succeed(&mut self, number: u32, kind: AttemptKind) {
        self.attempt(number, kind);
        self.phase(DialPhase::Resolve, 1);
        self.phase(DialPhase::Connect, 2);
        self.transport(TransportFact::Peer(([192, 0, 2, 1], 443).into()));
        self.phase(DialPhase::Tls, 3);
        self.phase(DialPhase::Upgrade, 4);
        self.transport(TransportFact::Answered { status: 101 });
        self.tell(Notice::Connected);
        self.phase(DialPhase::Subscribe, 5);
        self.tell(Notice::Up {
            accepted: 2,
            refused: 1,
        });
    }

    /// An attempt whose port is closed.
    fn be_refused(&mut self, number: u32, kind: AttemptKind) {
        self.attempt(number, kind);
        self.phase(DialPhase::Resolve, 1);
        self.phase(DialPhase::Connect, 1);
        self.fail(Stage::Connect, Cause::TcpRefused);
    }

    fn lose(&self, cause: Cause) {
        let detail = "".into();
        self.tell(Notice::Lost { cause, detail });
    }

    fn back_off(&mut self, millis: u64) {
        let delay = Duration::from_millis(millis);
        self.tell(Notice::BackingOff {
            delay,
            due: self.now.mono + delay,
            failures: 1,
        });
        self.pass(millis);
    }

    fn breaker(&self, from: BreakerState, to: BreakerState, trigger: Trigger) {
        self.tell(Notice::Breaker(Transition {
            from,
            to,
            trigger,
            failures: 1,
        }));
    }

    /// What has ended by now, in the order of ending.
    fn spans(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    fn named(&self, name: &str) -> Vec<SpanData> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    fn roots(&self) -> Vec<SpanData> {
        self.named("stream.outage")
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == key)?;
    Some(found.value.to_string())
}

fn length(span: &SpanData) -> Duration {
    span.end_time.duration_since(span.start_time).expect("not negative")
}

const OPEN_UNTIL_LATER: fn(Moment) -> BreakerState = |now| BreakerState::Open {
    until: now.mono + Duration::from_secs(60),
};

#[test]
fn a_start_is_a_root_with_an_attempt_and_its_phases() {
    let mut traced = Traced::always();
    let begun = traced.now.wall;
    traced.succeed(1, AttemptKind::First);

    let (roots, attempts) = (traced.roots(), traced.named("stream.connect"));
    let ([root], [attempt]) = (&roots[..], &attempts[..]) else {
        panic!("{roots:?} {attempts:?}")
    };
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    assert_eq!((root.start_time, length(root)), (begun, Duration::from_millis(15)));
    assert_eq!(root.status, Status::Unset);
    for (key, value) in [
        ("feedwatch.stream", "test"),
        ("feedwatch.venue", "polymarket"),
        ("feedwatch.outage.begin", "start"),
        ("feedwatch.outage.end", "live"),
        ("feedwatch.outage.attempts", "1"),
    ] {
        assert_eq!(attribute(root, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(attribute(root, "feedwatch.outage.cause"), None);
    assert_eq!(attempt.parent_span_id, root.span_context.span_id());
    assert_eq!(attempt.status, Status::Unset);
    for (key, value) in [
        ("feedwatch.attempt.number", "1"),
        ("feedwatch.attempt.kind", "first"),
        ("server.address", "venue.example"),
        ("server.port", "443"),
        ("feedwatch.subscriptions.accepted", "2"),
        ("feedwatch.subscriptions.refused", "1"),
    ] {
        assert_eq!(attribute(attempt, key).as_deref(), Some(value), "{key}");
    }
    let phases: Vec<_> = traced
        .spans()
        .into_iter()
        .filter(|span| span.parent_span_id == attempt.span_context.span_id())
        .map(|span| (span.name.to_string(), length(&span).as_millis()))
        .collect();
    let expected = [
        ("dns.lookup", 1),
        ("tcp.connect", 2),
        ("tls.handshake", 3),
        ("GET", 4),
        ("stream.subscribe", 5),
    ];
    assert_eq!(phases, expected.map(|(name, millis)| (name.to_owned(), millis)));
    let trace = root.span_context.trace_id();
    assert!(traced.spans().iter().all(|span| span.span_context.trace_id() == trace));
}

#[test]
fn the_upgrade_is_an_http_request_that_tells_no_secret() {
    let mut traced = Traced::always();
    traced.succeed(1, AttemptKind::First);
    let upgrade = &traced.named("GET")[0];
    assert_eq!(upgrade.span_kind, SpanKind::Client);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.full", "wss://venue.example/REDACTED"),
        ("server.address", "venue.example"),
        ("server.port", "443"),
        ("http.response.status_code", "101"),
        ("network.peer.address", "192.0.2.1"),
        ("network.peer.port", "443"),
    ] {
        assert_eq!(attribute(upgrade, key).as_deref(), Some(value), "{key}");
    }
    let connect = &traced.named("tcp.connect")[0];
    assert_eq!(attribute(connect, "network.peer.address").as_deref(), Some("192.0.2.1"));
    assert!(!format!("{:?}", traced.spans()).contains("secret"));
}

#[test]
fn a_failed_attempt_and_its_last_phase_are_errors_and_a_recovered_outage_is_none() {
    let mut traced = Traced::always();
    traced.succeed(1, AttemptKind::First);
    traced.lose(Cause::Eof);
    traced.back_off(1000);
    traced.be_refused(1, AttemptKind::Backoff);
    traced.back_off(2000);
    traced.succeed(2, AttemptKind::Backoff);

    let error = Status::error("why");
    let attempts: Vec<_> = traced.named("stream.connect")[1..]
        .iter()
        .map(|attempt| (attempt.status.clone(), attribute(attempt, "error.type")))
        .collect();
    assert_eq!(
        attempts,
        [(error.clone(), Some("tcp_refused".into())), (Status::Unset, None)]
    );
    let connects: Vec<_> = traced.named("tcp.connect")[1..]
        .iter()
        .map(|phase| phase.status.clone())
        .collect();
    assert_eq!(connects, [error, Status::Unset]);
    assert!(
        traced
            .named("dns.lookup")
            .iter()
            .all(|phase| phase.status == Status::Unset)
    );
    let delays: Vec<_> = traced
        .named("stream.backoff")
        .iter()
        .map(|wait| {
            (
                attribute(wait, "feedwatch.backoff.delay_seconds").unwrap(),
                length(wait).as_secs(),
            )
        })
        .collect();
    assert_eq!(delays, [("1".into(), 1), ("2".into(), 2)]);

    let outage = &traced.roots()[1];
    assert_eq!((&outage.status, length(outage).as_millis()), (&Status::Unset, 3017));
    assert_eq!(attribute(outage, "feedwatch.outage.cause").as_deref(), Some("eof"));
    assert_eq!(attribute(outage, "feedwatch.outage.begin").as_deref(), Some("loss"));
    assert_eq!(attribute(outage, "error.type"), None);
    assert_eq!(attribute(outage, "feedwatch.outage.attempts").as_deref(), Some("2"));
}

#[test]
fn an_outage_is_one_chain_of_linked_roots_through_trips_and_probes() {
    let mut traced = Traced::always();
    traced.be_refused(1, AttemptKind::First);
    let open = OPEN_UNTIL_LATER(traced.now);
    traced.breaker(BreakerState::Closed, open, Trigger::ConsecutiveFailures);
    traced.pass(60_000);
    traced.breaker(open, BreakerState::HalfOpen, Trigger::CooldownElapsed);
    traced.be_refused(2, AttemptKind::Probe);
    traced.breaker(BreakerState::HalfOpen, open, Trigger::ProbeFailed);
    traced.pass(60_000);
    traced.breaker(open, BreakerState::HalfOpen, Trigger::CooldownElapsed);
    traced.succeed(3, AttemptKind::Probe);
    traced.tell(Notice::Stable);
    traced.breaker(BreakerState::HalfOpen, BreakerState::Closed, Trigger::Stable);
    traced.pass(1000);
    traced.lose(Cause::CloseNormal);
    traced.tell(Notice::Stopped);

    let roots = traced.roots();
    let ends: Vec<_> = roots
        .iter()
        .map(|root| attribute(root, "feedwatch.outage.end").unwrap())
        .collect();
    assert_eq!(ends, ["tripped", "reopened", "live", "stopped"]);
    let begins: Vec<_> = roots
        .iter()
        .map(|root| attribute(root, "feedwatch.outage.begin").unwrap())
        .collect();
    assert_eq!(begins, ["start", "continuation", "continuation", "loss"]);
    let errors: Vec<_> = roots.iter().map(|root| attribute(root, "error.type")).collect();
    assert_eq!(
        errors,
        [Some("tcp_refused".into()), Some("tcp_refused".into()), None, None]
    );
    assert_eq!(roots[0].status, Status::error("the breaker opened"));
    assert_eq!(
        attribute(&roots[0], "feedwatch.breaker.trigger").as_deref(),
        Some("consecutive_failures")
    );

    assert!(roots[0].links.is_empty(), "nothing comes before the first");
    for (pair, relation) in roots.windows(2).zip(["same_outage", "same_outage", "previous_outage"]) {
        let [link] = &pair[1].links.links[..] else {
            panic!("{:?}", pair[1].links)
        };
        assert_eq!(link.span_context, pair[0].span_context);
        assert_eq!(link.attributes[0].value.as_str(), relation);
    }
}

#[test]
fn an_old_root_ends_with_the_next_attempt_and_goes_on_in_a_linked_one() {
    let mut traced = Traced::always();
    traced.be_refused(1, AttemptKind::First);
    traced.back_off(299_000);
    traced.be_refused(2, AttemptKind::Backoff);
    assert!(traced.roots().is_empty(), "five minutes are not over");
    traced.back_off(60_000);
    traced.succeed(3, AttemptKind::Backoff);
    let roots = traced.roots();
    let ends: Vec<_> = roots
        .iter()
        .map(|root| attribute(root, "feedwatch.outage.end").unwrap())
        .collect();
    assert_eq!(ends, ["continued", "live"]);
    assert_eq!(roots[0].status, Status::Unset);
    assert_eq!(roots[1].links.links[0].span_context, roots[0].span_context);
    assert_eq!(length(traced.named("stream.backoff").last().unwrap()).as_secs(), 60);
}

#[test]
fn what_ends_on_purpose_leaves_nothing_open() {
    let mut traced = Traced::always();
    traced.succeed(1, AttemptKind::First);
    traced.lose(Cause::Planned);
    traced.tell(Notice::Idle);
    assert_eq!(traced.roots().len(), 1, "no outage begins");
    traced.attempt(1, AttemptKind::Planned);
    traced.transport(TransportFact::PhaseBegan(DialPhase::Resolve));
    traced.pass(5);
    traced.fail(Stage::Connect, Cause::Shutdown);
    traced.tell(Notice::Stopped);
    // The dial is dropped only after that.
    let took = Duration::from_millis(9);
    traced.transport(TransportFact::PhaseEnded {
        phase: DialPhase::Resolve,
        took,
    });
    let cut = &traced.named("dns.lookup")[1];
    assert_eq!((&cut.status, length(cut).as_millis()), (&Status::error("why"), 5));
    assert_eq!(
        attribute(traced.named("stream.connect").last().unwrap(), "error.type").as_deref(),
        Some("shutdown")
    );
    assert_eq!(
        attribute(&traced.roots()[1], "feedwatch.outage.end").as_deref(),
        Some("stopped")
    );
    assert_eq!(traced.spans().len(), 10, "all that was opened has ended, once");
}

#[test]
fn a_wall_clock_that_is_set_makes_no_span_negative_or_long() {
    for forwards in [true, false] {
        let mut traced = Traced::always();
        traced.lose(Cause::Eof);
        traced.back_off(1000);
        let hour = Duration::from_secs(3600);
        if forwards {
            traced.now.wall += hour;
        } else {
            traced.now.wall -= hour;
        }
        traced.succeed(1, AttemptKind::Backoff);
        assert_eq!(length(&traced.roots()[0]).as_millis(), 1015);
        let (start, end) = (traced.roots()[0].start_time, traced.roots()[0].end_time);
        for span in traced.spans() {
            assert!(span.start_time >= start && span.end_time <= end && length(&span) <= Duration::from_millis(1015));
        }
    }
}

#[test]
fn only_a_recorded_trace_is_named_in_the_history() {
    let mut traced = Traced::new(Sampler::AlwaysOff);
    traced.be_refused(1, AttemptKind::First);
    assert!(
        traced
            .cells
            .history()
            .newest_first()
            .iter()
            .all(|entry| entry.trace.is_none())
    );

    let mut traced = Traced::always();
    traced.succeed(1, AttemptKind::First);
    traced.pass(10);
    traced.tell(Notice::Stale);
    traced.lose(Cause::Eof);
    let open = OPEN_UNTIL_LATER(traced.now);
    traced.breaker(BreakerState::Closed, open, Trigger::ConsecutiveFailures);
    traced.tell(Notice::Reset);
    let told: Vec<_> = traced
        .cells
        .history()
        .newest_first()
        .iter()
        .rev()
        .map(|entry| (entry.what, entry.trace.map(|trace| trace.to_string())))
        .collect();
    let [start, outage] = [0, 1].map(|root| Some(traced.roots()[root].span_context.trace_id().to_string()));
    let expected = [
        ("attempt", start.clone()),
        ("connected", start.clone()),
        ("up", start),
        ("stale", None),
        ("lost", outage.clone()),
        ("breaker", outage.clone()),
        ("reset", outage),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_entry_of_an_attempts_end_has_its_phases() {
    let mut traced = Traced::always();
    traced.be_refused(1, AttemptKind::First);
    traced.back_off(10);
    traced.succeed(2, AttemptKind::Backoff);
    let millis = |what: &str| -> Vec<_> {
        let entries = traced.cells.history().newest_first();
        let entry = entries.iter().find(|entry| entry.what == what).unwrap();
        entry
            .phases
            .iter()
            .map(|(phase, took)| (phase.as_str(), took.as_millis()))
            .collect()
    };
    assert_eq!(millis("attempt_failed"), [("resolve", 1), ("connect", 1)]);
    assert_eq!(
        millis("up"),
        [
            ("resolve", 1),
            ("connect", 2),
            ("tls", 3),
            ("upgrade", 4),
            ("subscribe", 5)
        ]
    );
    assert!(millis("backing_off").is_empty());
}
