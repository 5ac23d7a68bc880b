//! The bundle: what stands around the program and is shipped with it. Configuration of Prometheus and Alertmanager, rules,
//! dashboards, runbooks and packaging, each held against the catalogue of metrics and the real programs.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "tests: helpers may fail the test, too"
)]

mod catalogue;
mod dashboards;
#[path = "../support/exposition.rs"]
mod exposition;
mod fields;
#[path = "../support/harness.rs"]
mod harness;
#[path = "../support/markdown.rs"]
mod markdown;
#[path = "../support/oteltap.rs"]
mod oteltap;
mod packaging;
mod paging;
mod panels;
#[path = "../support/prometheus.rs"]
mod prometheus;
mod provisioning;
#[path = "../support/queries.rs"]
mod queries;
mod repository;
mod routes;
mod rules;
mod runbooks;
mod stack;
mod traces;
