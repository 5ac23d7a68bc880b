//! Does the telemetry tell the truth? Random scripts of faults, and the simulated venue's own log against all that is told:
//! counters, gauges, histograms, spans, history, API and exemplars. No difference is allowed.
//!
//! A script is made from a seed. `FEEDWATCH_TRUTH_SEED=17` runs that of seed 17 alone.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "tests: helpers may fail the test, too; figures of metrics are whole numbers and compared exactly"
)]

mod case;
mod derived;
mod exemplars;
#[path = "../support/exposition.rs"]
mod exposition;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../support/invariants.rs"]
mod invariants;
#[path = "../support/openmetrics.rs"]
mod openmetrics;
#[path = "../support/queries.rs"]
mod queries;
mod run;
mod told;

use case::Case;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// So many at once: they mostly wait.
const AT_ONCE: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_told_is_what_the_venue_did() {
    tell_the_truth(0..20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a minute"]
async fn all_that_is_told_is_what_the_venue_did_in_eighty_more_scripts() {
    tell_the_truth(20..100).await;
}

async fn tell_the_truth(seeds: Range<u64>) {
    let seeds = match std::env::var("FEEDWATCH_TRUTH_SEED") {
        Ok(seed) => vec![seed.parse().expect("FEEDWATCH_TRUTH_SEED is a number")],
        Err(_) => seeds.collect(),
    };
    let (places, mut runs) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for seed in seeds {
        let places = places.clone();
        runs.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let case = Case::random(seed);
            let differences = run::differences(&case).await;
            (case, differences)
        });
    }
    let mut wrong = Vec::new();
    while let Some(ended) = runs.join_next().await {
        let (case, differences) = ended.expect("a run that panics has said why");
        if !differences.is_empty() {
            wrong.push(format!(
                "FEEDWATCH_TRUTH_SEED={}\n{case:#?}\n{}",
                case.seed,
                differences.join("\n")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of the scripts differ:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}
