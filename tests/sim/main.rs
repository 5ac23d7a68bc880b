//! The simulated venue against raw WebSocket clients: its protocol, its traffic, its faults, its log.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: helpers may fail the test, too"
)]

mod client;
mod faults;
mod frames;
mod log;
mod protocol;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod traffic;
mod upgrade;
