//! B7: a thousand streams lose their venue at once, and it is back ten seconds later. How close their return comes to the
//! time that the dial rate leaves no less of, and whether any second saw more dials than that.
//!
//! `cargo bench --bench recovery` takes the faster of the two dial rates, and with `-- --full` both; prints a table, and fails
//! where a promise is broken.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../tests/support/herd.rs"]
mod herd;
mod support;

use feedwatch::sim::{Fault, Rule};
use feedwatch::supervise::DialLimit;
use herd::{Herd, arrivals, most_in_a_second};
use std::time::Duration;

const STREAMS: usize = 1000;
const DOWN: Duration = Duration::from_secs(10);
/// The first one is in the quick set.
const PER_SECOND: [u32; 2] = [200, 100];
const MOST_RATIO: f64 = 1.2;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{STREAMS} streams lost at once, venue back after {} s", DOWN.as_secs());
    println!();
    println!(
        "| dials a second, configured | at most seen | dials in all | ideal, s | all back, s | ratio (at most {MOST_RATIO}) |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut broken = false;
    let rates = if support::has_flag("--full") { 2 } else { 1 };
    for per_second in PER_SECOND.into_iter().take(rates) {
        let limit = DialLimit {
            per_second: per_second.into(),
            burst: 10,
        };
        let mut herd = Herd::gather(STREAMS, limit).await;
        let busy = Fault::Status {
            code: 503,
            headers: [].into(),
            body: String::new(),
        };
        let took = herd
            .lose_venue_for(DOWN, Rule::during(Duration::ZERO, DOWN, busy))
            .await;
        let arrivals = arrivals(&herd.log());
        let most = most_in_a_second(&arrivals);
        let ideal = STREAMS as f64 / f64::from(per_second);
        let ratio = took.as_secs_f64() / ideal;
        println!(
            "| {per_second} | {most} | {} | {ideal:.1} | {:.2} | {ratio:.2} |",
            arrivals.len(),
            took.as_secs_f64()
        );
        broken |= most > per_second as usize || ratio > MOST_RATIO;
    }
    assert!(!broken, "the dial limiter does not keep its promise");
}
