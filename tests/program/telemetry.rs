//! Traces of the program, as a tracing backend gets them: also one that is away, hangs, refuses, or comes back.

use crate::harness::{Service, TempFile, busy, closed_venue, config, eventually, json, venue};
use crate::oteltap;
use crate::receiver::{Mood, Receiver, Wire, attribute};
use feedwatch::market::TraceId;
use feedwatch::sim::{Fault, Rule, SimulatedVenue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Redials without a pause to speak of, and never trips.
const RESTLESS: &str = "initial_delay_ms = 5, max_delay_ms = 5, max_consecutive_failures = 1000000";
/// Loses its connection, fails twice, and is back.
pub(super) const STUMBLING: &str = "initial_delay_ms = 20, max_delay_ms = 20";

pub(super) fn stumbling() -> SimulatedVenue {
    let cut = Fault::Cut {
        after: Duration::from_millis(50),
    };
    venue(vec![Rule::connections(1, 1, cut), Rule::connections(2, 3, busy())])
}

/// Variables for spans that leave soon.
pub(super) fn to(endpoint: &str) -> Vec<(&str, &str)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ]
}

/// The same, over this.
fn over(wire: Wire, endpoint: &str) -> Vec<(&str, &str)> {
    let mut variables = to(endpoint);
    variables.push(("OTEL_EXPORTER_OTLP_PROTOCOL", wire.protocol()));
    variables
}

pub(super) async fn figure(service: &Service, name: &str) -> f64 {
    service.scrape().await.sum(&format!("feedwatch_otel_{name}"), &[])
}

pub(super) async fn failures(service: &Service, error: &str) -> f64 {
    let labels = [("error", error)];
    let scrape = service.scrape().await;
    scrape.value("feedwatch_otel_span_export_failures_total", &labels)
}

async fn until_live_again(service: &Service, attempts: f64) {
    eventually("live again", async || {
        let scrape = service.scrape().await;
        scrape.sum("feedwatch_connect_attempts_total", &[]) == attempts
            && scrape.sum("feedwatch_stream_connected", &[]) == 1.0
    })
    .await;
}

/// `error.type` of those spans that have one.
pub(super) fn error_types(spans: &[Span]) -> Vec<String> {
    spans
        .iter()
        .filter_map(|span| attribute(&span.attributes, "error.type"))
        .collect()
}

fn is_error(span: &Span) -> bool {
    span.status
        .as_ref()
        .is_some_and(|status| status.code() == StatusCode::Error)
}

#[tokio::test]
async fn an_outage_arrives_as_a_tree() {
    an_outage_arrives(Wire::Http).await;
}

pub(super) async fn an_outage_arrives(wire: Wire) {
    let (venue, receiver) = (stumbling(), Receiver::start_as(wire, Mood::Take));
    let endpoint = receiver.endpoint();
    let mut variables = over(wire, &endpoint);
    variables.push(("OTEL_RESOURCE_ATTRIBUTES", "host.name=here"));
    let config = config("telemetry.service_name = 'bots'", &[("s", &venue.url(), STUMBLING)]);
    let service = Service::run_with(&config, &[], &variables).await;
    until_live_again(&service, 4.0).await;
    eventually("both roots", async || receiver.named("stream.outage").len() == 2).await;

    let root = receiver.named("stream.outage").remove(1);
    assert_eq!(
        attribute(&root.attributes, "feedwatch.outage.cause").as_deref(),
        Some("eof")
    );
    assert!(root.parent_span_id.is_empty() && !is_error(&root));
    let below = |parent: &Span| {
        let spans = receiver.spans().into_iter().map(|received| received.span);
        let mut spans: Vec<_> = spans.filter(|span| span.parent_span_id == parent.span_id).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    };
    let shown = |spans: &[Span]| -> Vec<_> { spans.iter().map(|span| (span.name.clone(), is_error(span))).collect() };
    let named = |pairs: &[(&str, bool)]| -> Vec<_> {
        pairs
            .iter()
            .map(|(name, failed)| ((*name).to_owned(), *failed))
            .collect()
    };
    let children = below(&root);
    let (wait, dial) = ("stream.backoff", "stream.connect");
    assert_eq!(
        shown(&children),
        named(&[
            (wait, false),
            (dial, true),
            (wait, false),
            (dial, true),
            (wait, false),
            (dial, false)
        ])
    );
    assert_eq!(
        attribute(&children[1].attributes, "error.type").as_deref(),
        Some("http_status")
    );
    let failed = below(&children[1]);
    assert_eq!(
        shown(&failed),
        named(&[("dns.lookup", false), ("tcp.connect", false), ("GET", true)])
    );
    assert_eq!(
        attribute(&failed[2].attributes, "http.response.status_code").as_deref(),
        Some("503")
    );
    assert_eq!(attribute(&failed[2].attributes, "url.full"), Some(venue.url()));
    let succeeded = below(&children[5]);
    assert_eq!(
        shown(&succeeded),
        named(&[
            ("dns.lookup", false),
            ("tcp.connect", false),
            ("GET", false),
            ("stream.subscribe", false)
        ])
    );
    let first = receiver.named("stream.outage").remove(0);
    assert_eq!(
        (&root.links[0].trace_id, &root.links[0].span_id),
        (&first.trace_id, &first.span_id)
    );

    for received in receiver.spans() {
        let resource = |key| attribute(&received.resource, key);
        assert_eq!(resource("service.name").as_deref(), Some("bots"));
        assert_eq!(resource("host.name").as_deref(), Some("here"));
        assert_eq!(resource("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(resource("telemetry.sdk.name").as_deref(), Some("opentelemetry"));
        assert_eq!(received.scope, "feedwatch");
        assert!(received.span.end_time_unix_nano >= received.span.start_time_unix_nano);
    }
    assert!(receiver.posts().iter().all(|(path, _)| path == wire.path()));

    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn log_lines_of_an_outage_name_its_trace() {
    let (venue, receiver) = (stumbling(), Receiver::start(Mood::Take));
    let endpoint = receiver.endpoint();
    let service = Service::run_with(&config("", &[("s", &venue.url(), STUMBLING)]), &[], &to(&endpoint)).await;
    until_live_again(&service, 4.0).await;
    eventually("both roots", async || receiver.named("stream.outage").len() == 2).await;
    let outage = hex(&receiver.named("stream.outage")[1].trace_id);
    let ended = service.stop("TERM").await;
    assert_eq!(ended.code, Some(0));
    let traces: BTreeSet<_> = receiver
        .spans()
        .iter()
        .map(|received| hex(&received.span.trace_id))
        .collect();
    let lines: Vec<_> = ended.err.iter().map(|line| json(line)).collect();
    let of = |message: &str| -> Vec<_> { lines.iter().filter(|line| line["message"] == message).collect() };
    for line in of("connection lost")
        .iter()
        .chain(&of("attempt failed"))
        .chain(&of("backing off"))
    {
        assert_eq!(line["trace_id"], *outage, "{line}");
    }
    assert!(
        of("live")
            .iter()
            .all(|line| traces.contains(line["trace_id"].as_str().unwrap()))
    );
    let outside = lines.iter().filter(|line| line.get("trace_id").is_none());
    assert!(
        outside
            .map(|line| line["message"].as_str().unwrap())
            .any(|message| message == "ready")
    );
}

fn hex(trace_id: &[u8]) -> String {
    let id = TraceId::from_bytes(trace_id.try_into().unwrap());
    id.unwrap().to_string()
}

#[tokio::test]
async fn what_waits_is_exported_before_the_end() {
    let (venue, receiver) = (venue(Vec::new()), Receiver::start(Mood::Take));
    let endpoint = receiver.endpoint();
    let service = Service::run_with(
        &config("", &[("s", &venue.url(), "")]),
        &[],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
        ],
    )
    .await;
    until_live_again(&service, 1.0).await;
    assert!(receiver.spans().is_empty(), "they wait for more");
    assert_eq!(service.stop("TERM").await.code, Some(0));
    let names: BTreeSet<_> = receiver
        .spans()
        .into_iter()
        .map(|received| received.span.name)
        .collect();
    let expected = [
        "service.start",
        "stream.outage",
        "stream.connect",
        "GET",
        "stream.subscribe",
        "service.stop",
    ];
    assert!(expected.iter().all(|name| names.contains(*name)), "{names:?}");
}

#[tokio::test]
async fn a_backend_that_is_away_costs_spans_and_no_more_and_is_found_when_it_is_back() {
    a_backend_that_is_away_for(Wire::Http, Duration::ZERO).await;
}

#[tokio::test]
#[ignore = "needs a minute"]
async fn a_backend_that_is_away_for_a_minute_costs_spans_and_no_more_and_is_found_when_it_is_back() {
    a_backend_that_is_away_for(Wire::Http, Duration::from_secs(60)).await;
}

/// For so long at least, and until something was lost.
pub(super) async fn a_backend_that_is_away_for(wire: Wire, time: Duration) {
    let (closed, mut receiver) = (closed_venue(), Receiver::away(wire));
    let endpoint = receiver.endpoint();
    let mut variables = over(wire, &endpoint);
    variables.extend([
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"),
    ]);
    let service = Service::run_with(&config("", &[("s", &closed.url(), RESTLESS)]), &[], &variables).await;
    let begun = Instant::now();
    eventually("failed and dropped", async || {
        failures(&service, "connect").await >= 3.0 && figure(&service, "spans_dropped_total").await > 24.0
    })
    .await;
    tokio::time::sleep_until(begun + time).await;
    assert_eq!(figure(&service, "spans_exported_total").await, 0.0);
    // The stream goes on as if nothing were: with 5 ms between dials, none waits for the backend. At a tenth of that pace it
    // would be another thing than a busy machine.
    let attempts = service.scrape().await.sum("feedwatch_connect_attempts_total", &[]);
    let least = 20.0 + 20.0 * time.as_secs_f64();
    assert!(attempts >= least, "{attempts} dials in {:?}", begun.elapsed());

    receiver.come();
    eventually("exported", async || {
        figure(&service, "spans_exported_total").await > 8.0
    })
    .await;
    let lost = figure(&service, "spans_dropped_total").await;
    let ended = service.stop("TERM").await;
    assert_eq!(ended.code, Some(0));
    let told = |message: &str| ended.err.iter().filter(|line| json(line)["message"] == message).count();
    assert_eq!(
        told("cannot export traces; further failures are only counted"),
        1,
        "once, not for each batch"
    );
    assert_eq!(told("traces are exported again"), 1);
    assert!(lost > 0.0 && !receiver.spans().is_empty());
}

#[tokio::test]
async fn a_backend_that_hangs_delays_neither_stream_nor_shutdown() {
    a_backend_that_hangs(Wire::Http).await;
}

pub(super) async fn a_backend_that_hangs(wire: Wire) {
    let (venue, receiver) = (stumbling(), Receiver::start_as(wire, Mood::Hang));
    let endpoint = receiver.endpoint();
    let head = "telemetry.timeout_ms = 300\nshutdown.grace_ms = 2000";
    let text = config(head, &[("s", &venue.url(), STUMBLING)]);
    let service = Service::run_with(&text, &[], &over(wire, &endpoint)).await;
    until_live_again(&service, 4.0).await;
    eventually("timed out", async || failures(&service, "timeout").await >= 1.0).await;
    let dropped = figure(&service, "spans_dropped_total").await;
    assert!(dropped >= 1.0, "what was posted is lost: {dropped}");
    let begun = Instant::now();
    let ended = service.stop("TERM").await;
    assert_eq!(ended.code, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn every_span_is_either_exported_or_dropped_and_why_is_counted() {
    every_span_is_settled(Wire::Http, Mood::Refuse(400), "http_status").await;
}

/// Where all are refused with this error, a part is, or none.
pub(super) async fn every_span_is_settled(wire: Wire, refusal: Mood, error: &str) {
    for (mood, error, lost) in [
        (refusal, Some(error), true),
        (Mood::Reject(2), Some("rejected"), true),
        (Mood::Take, None, false),
    ] {
        let (venue, receiver) = (stumbling(), Receiver::start_as(wire, mood));
        let endpoint = receiver.endpoint();
        let text = config("", &[("s", &venue.url(), STUMBLING)]);
        let service = Service::run_with(&text, &[], &over(wire, &endpoint)).await;
        until_live_again(&service, 4.0).await;
        // Two roots, four attempts, three waits, four look-ups, dials and upgrades, two subscriptions, and the start.
        let spans = 24.0;
        eventually("settled", async || {
            figure(&service, "spans_exported_total").await + figure(&service, "spans_dropped_total").await == spans
        })
        .await;
        assert_eq!(
            figure(&service, "spans_exported_total").await,
            receiver.spans().len() as f64,
            "{mood:?}"
        );
        assert_eq!(figure(&service, "spans_dropped_total").await > 0.0, lost, "{mood:?}");
        let failed = figure(&service, "span_export_failures_total").await;
        match error {
            Some(error) => assert_eq!(
                (failed > 0.0, failures(&service, error).await),
                (true, failed),
                "{mood:?}"
            ),
            None => assert_eq!(failed, 0.0),
        }
        assert_eq!(service.stop("TERM").await.code, Some(0));
    }
}

#[tokio::test]
async fn a_passing_fault_of_the_backend_loses_nothing() {
    a_passing_fault(Wire::Http, Mood::Refuse(503)).await;
}

pub(super) async fn a_passing_fault(wire: Wire, fault: Mood) {
    let (venue, receiver) = (venue(Vec::new()), Receiver::start_as(wire, fault));
    let endpoint = receiver.endpoint();
    let text = config("", &[("s", &venue.url(), "")]);
    let service = Service::run_with(&text, &[], &over(wire, &endpoint)).await;
    eventually("refused", async || !receiver.posts().is_empty()).await;
    receiver.set(Mood::Take);
    eventually("exported", async || {
        figure(&service, "spans_exported_total").await > 0.0
    })
    .await;
    assert_eq!(figure(&service, "spans_dropped_total").await, 0.0, "it was tried again");
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn secret_headers_arrive_compressed_and_encrypted_and_are_told_nobody() {
    secret_headers(Wire::Http, "content-encoding").await;
}

/// `encoding` is the header that says how a post is compressed.
pub(super) async fn secret_headers(wire: Wire, encoding: &str) {
    let authority = {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, key).unwrap()
    };
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let receiver = Receiver::start_tls(wire, TlsAcceptor::from(Arc::new(server)));
    let endpoint = format!("https://localhost:{}", receiver.port());
    let trusted = TempFile::new("pem", &authority.pem());
    let headers = TempFile::new("headers", "Authorization: Bearer s3cret\n");
    let venue = venue(Vec::new());
    let head = format!("log.level = 'trace'\ntelemetry.headers_file = '{}'", headers.name());
    let mut variables = over(wire, &endpoint);
    variables.extend([
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-of-another-backend=s3cret"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", trusted.name()),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ]);
    let service = Service::run_with(&config(&head, &[("s", &venue.url(), "")]), &[], &variables).await;
    eventually("exported", async || !receiver.named("stream.outage").is_empty()).await;
    let (_, sent) = receiver.posts().remove(0);
    assert_eq!(sent["authorization"], "Bearer s3cret");
    assert_eq!(sent[encoding], "gzip");
    assert!(!sent.contains_key("x-of-another-backend"), "the file says what is sent");
    let shown = [
        service.get("/metrics").await.body,
        service.get("/api/v1/streams/s").await.body,
        service.get("/api/v1/events").await.body,
        format!("{:?}", receiver.spans()),
    ];
    let ended = service.stop("TERM").await;
    assert!(
        ended.err.len() > 5 && !ended.stderr().contains("s3cret"),
        "{}",
        ended.stderr()
    );
    assert!(shown.iter().all(|shown| shown.len() > 100 && !shown.contains("s3cret")));
}

#[tokio::test]
async fn traces_that_are_switched_off_are_not_posted() {
    let (venue, receiver) = (stumbling(), Receiver::start(Mood::Take));
    let endpoint = receiver.endpoint();
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ] {
        let mut variables = to(&endpoint);
        variables.push(off);
        let service = Service::run_with(&config("", &[("s", &venue.url(), STUMBLING)]), &[], &variables).await;
        eventually("live", async || {
            service.scrape().await.sum("feedwatch_stream_connected", &[]) == 1.0
        })
        .await;
        let ended = service.stop("TERM").await;
        assert_eq!(ended.code, Some(0));
        assert!(!ended.stderr().contains("trace_id"), "{}", ended.stderr());
    }
    assert!(receiver.posts().is_empty());
}

#[tokio::test]
async fn an_outage_is_recorded_with_all_its_traces_or_not_at_all() {
    // They never recover: every probe has a root of its own. At one gate a single stream would probe for all.
    let closed: Vec<_> = (0..20).map(|_| closed_venue()).collect();
    let receiver = Receiver::start(Mood::Take);
    let endpoint = receiver.endpoint();
    let policy = "initial_delay_ms = 1, max_consecutive_failures = 1, circuit_breaker_cooldown_ms = 10, jitter = 0";
    let named = |(number, venue): (usize, &SimulatedVenue)| (format!("s{number}"), venue.url());
    let named: Vec<_> = closed.iter().enumerate().map(named).collect();
    let streams: Vec<_> = named
        .iter()
        .map(|(name, url)| (name.as_str(), url.as_str(), policy))
        .collect();
    let config = config("telemetry.sample_ratio = 0.5", &streams);
    let service = Service::run_with(&config, &[], &to(&endpoint)).await;
    let fewest_probes = async || {
        let scrape = service.scrape().await;
        let moved = scrape.series("feedwatch_breaker_transitions_total", &[("to", "half_open")]);
        moved.iter().map(|(_, probes)| *probes).fold(f64::INFINITY, f64::min)
    };
    eventually("five probes of each", async || fewest_probes().await >= 5.0).await;
    assert_eq!(service.stop("TERM").await.code, Some(0));

    let mut roots: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for root in receiver.named("stream.outage") {
        let stream = attribute(&root.attributes, "feedwatch.stream").unwrap();
        roots.entry(stream).or_default().push(root);
    }
    // All or none of twenty streams: once in half a million runs.
    assert!(
        (1..20).contains(&roots.len()),
        "{} of the outages are recorded",
        roots.len()
    );
    for (stream, mut roots) in roots {
        roots.sort_by_key(|root| root.start_time_unix_nano);
        assert!(roots.len() > 5, "{stream}: a root for each probe, and the first");
        assert_eq!(
            attribute(&roots[0].attributes, "feedwatch.outage.begin").as_deref(),
            Some("start")
        );
        for pair in roots.windows(2) {
            assert_eq!(
                pair[1].links[0].span_id, pair[0].span_id,
                "{stream}: one unbroken chain"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs the Python package oteltap"]
async fn an_independent_receiver_gets_the_outage() {
    let (mut tap, endpoint) = oteltap::start().await;
    let venue = stumbling();
    let service = Service::run_with(&config("", &[("s", &venue.url(), STUMBLING)]), &[], &to(&endpoint)).await;
    for name in [
        "stream.outage",
        "stream.backoff",
        "stream.connect",
        "dns.lookup",
        "tcp.connect",
        "GET",
        "stream.subscribe",
    ] {
        let is_span = |line: &str| (line.starts_with('{') && json(line)["name"] == name).then_some(());
        tap.out.find(&format!("span {name}"), is_span).await;
    }
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
