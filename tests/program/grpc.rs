//! Traces over gRPC keep what is promised of those over HTTP.

use crate::harness::{Program, Service, config, eventually, free_address};
use crate::receiver::{Mood, Receiver, Wire};
use crate::telemetry::{self, STUMBLING, stumbling};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Command;

#[tokio::test]
async fn an_outage_arrives_as_a_tree_over_grpc() {
    telemetry::an_outage_arrives(Wire::Grpc).await;
}

#[tokio::test]
async fn a_backend_that_is_away_costs_spans_and_no_more_over_grpc() {
    telemetry::a_backend_that_is_away_for(Wire::Grpc, Duration::ZERO).await;
}

#[tokio::test]
async fn a_backend_that_hangs_delays_nothing_over_grpc() {
    telemetry::a_backend_that_hangs(Wire::Grpc).await;
}

#[tokio::test]
async fn every_span_is_settled_over_grpc() {
    const UNAUTHENTICATED: u16 = 16;
    telemetry::every_span_is_settled(Wire::Grpc, Mood::Refuse(UNAUTHENTICATED), "grpc_status").await;
}

#[tokio::test]
async fn a_passing_fault_loses_nothing_over_grpc() {
    const UNAVAILABLE: u16 = 14;
    telemetry::a_passing_fault(Wire::Grpc, Mood::Refuse(UNAVAILABLE)).await;
}

#[tokio::test]
async fn secret_headers_are_told_nobody_over_grpc() {
    telemetry::secret_headers(Wire::Grpc, "grpc-encoding").await;
}

#[tokio::test]
async fn what_speaks_another_protocol_is_told() {
    for (wire, protocol) in [(Wire::Http, "grpc"), (Wire::Grpc, "http/protobuf")] {
        let (venue, receiver) = (stumbling(), Receiver::start_as(wire, Mood::Take));
        let head = format!(
            "telemetry.protocol = '{protocol}'\ntelemetry.endpoint = '{}'",
            receiver.endpoint()
        );
        let text = config(&head, &[("s", &venue.url(), STUMBLING)]);
        let service = Service::run_with(&text, &[], &[("OTEL_BSP_SCHEDULE_DELAY", "20")]).await;
        eventually("told", async || telemetry::failures(&service, "protocol").await >= 1.0).await;
        assert_eq!(service.stop("TERM").await.code, Some(0));
    }
}

#[tokio::test]
#[ignore = "needs the Python package rotel"]
async fn an_independent_receiver_gets_the_outage_over_grpc() {
    let (grpc, http) = (free_address(), free_address());
    let mut command = Command::new(agent().await);
    command.args([
        "start",
        "--exporter",
        "blackhole",
        "--debug-log",
        "traces",
        "--debug-log-verbosity",
        "detailed",
    ]);
    command.args([
        "--otlp-grpc-endpoint",
        &grpc.to_string(),
        "--otlp-http-endpoint",
        &http.to_string(),
    ]);
    let mut rotel = Program::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    eventually("it listens", async || TcpStream::connect(grpc).await.is_ok()).await;
    let venue = stumbling();
    let head = format!("telemetry.protocol = 'grpc'\ntelemetry.endpoint = 'http://{grpc}'");
    let text = config(&head, &[("s", &venue.url(), STUMBLING)]);
    let compressed = [
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    let service = Service::run_with(&text, &[], &compressed).await;
    for name in [
        "stream.outage",
        "stream.backoff",
        "stream.connect",
        "dns.lookup",
        "tcp.connect",
        "stream.subscribe",
    ] {
        let is_span = |line: &str| (line.contains("Name") && line.contains(name)).then_some(());
        rotel.out.find(&format!("span {name}"), is_span).await;
    }
    assert_eq!(telemetry::figure(&service, "spans_dropped_total").await, 0.0);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

/// The program lies within the package.
async fn agent() -> PathBuf {
    let place = "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
    let told = Command::new("python3").args(["-c", place]).output().await.unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    PathBuf::from(String::from_utf8(told.stdout).unwrap().trim())
}
