//! The program as a user runs it: the built binary, with its arguments, its output, its signals and its HTTP server.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "tests: helpers may fail the test, too; figures of metrics are whole numbers and compared exactly"
)]

mod captures;
mod command_line;
mod demo;
mod endpoints;
mod exporter;
#[path = "../support/exposition.rs"]
mod exposition;
#[cfg(feature = "otlp-grpc")]
mod grpc;
#[path = "../support/harness.rs"]
mod harness;
mod healthcheck;
mod history;
mod identities;
#[path = "../support/invariants.rs"]
mod invariants;
mod leaks;
mod listings;
mod names;
mod negotiation;
mod network;
mod notify;
#[path = "../support/openmetrics.rs"]
mod openmetrics;
#[path = "../support/oteltap.rs"]
mod oteltap;
mod pager;
mod probe;
mod prometheus;
#[path = "../support/prometheus_client.rs"]
mod prometheus_client;
#[path = "../support/prometheus.rs"]
mod prometheus_server;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/queries.rs"]
mod queries;
mod receiver;
mod record;
mod reload;
mod replay;
mod resolver;
mod scarcity;
mod signals;
mod simulate;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
mod terminal;
mod time;
mod words;

/// Takes a minute. Tests start in the order of their names: from here it starts first, and runs beside the others.
#[tokio::test]
async fn a_process_that_was_stopped_for_a_minute_reads_before_it_judges() {
    time::a_process_that_was_stopped_reads_before_it_judges().await;
}
