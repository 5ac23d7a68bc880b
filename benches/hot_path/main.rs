//! The hot path, from the socket to the figures: CPU time a message, blasted and paced, against loops that do less (B1, B1p, B2);
//! with more streams (B6); memory of an idle stream (B4); and how soon a loss is known (B8).
//!
//! `cargo bench --bench hot_path`, or `-- cpu`, `-- paced`, `-- memory`, `-- losses`, `-- growth` for a part. `--full` adds more
//! rounds, more shapes of frames and 10,000 streams. The venue is a process of its own.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

mod contenders;
mod cpu;
mod frames;
mod growth;
mod losses;
mod memory;
#[path = "../support/mod.rs"]
mod support;
mod venue;

fn main() {
    venue::be_one_if_asked();
    memory::hold_if_asked();
    if support::is_wanted("cpu") {
        cpu::blasted();
    }
    if support::is_wanted("paced") {
        cpu::paced();
    }
    if support::is_wanted("growth") {
        growth::streams();
    }
    if support::is_wanted("memory") {
        memory::idle_streams();
    }
    if support::is_wanted("losses") {
        losses::all();
    }
}
