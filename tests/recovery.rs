//! Hundreds of streams lose a real venue at once: what it sees of their return.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: helpers may fail the test, too"
)]

#[path = "support/herd.rs"]
mod herd;

use feedwatch::sim::{Fault, Rule, What};
use feedwatch::supervise::DialLimit;
use herd::{Herd, arrivals, most_in_a_second};
use std::time::Duration;

const STREAMS: usize = 300;
const LIMIT: DialLimit = DialLimit {
    per_second: 100.0,
    burst: 10,
};

#[tokio::test]
async fn three_hundred_streams_that_lose_their_venue_at_once_never_exceed_the_dial_rate() {
    let down = Duration::from_secs(3);
    let busy = Fault::Status {
        code: 503,
        headers: [].into(),
        body: "busy".into(),
    };
    let mut herd = Herd::gather(STREAMS, LIMIT).await;
    let seen = most_in_a_second(&arrivals(&herd.log()));
    assert!(seen <= 100, "{seen} dials in a second at the start");

    let took = herd
        .lose_venue_for(down, Rule::during(Duration::ZERO, down, busy))
        .await;
    let log = herd.log();
    let (all, seen) = (arrivals(&log), most_in_a_second(&arrivals(&log)));
    assert!(seen <= 100, "{seen} dials in a second");
    let refused = log
        .iter()
        .filter(|entry| matches!(entry.what, What::UpgradeRefused { .. }))
        .count();
    assert!(refused >= 180, "it was dialled all the while: {refused}");
    assert_eq!(all.len(), refused + STREAMS, "who is back stays");
    // 300 dials at 100 a second; the benchmark looks closer.
    assert!(took <= Duration::from_millis(4500), "back after {took:?}");
}

#[tokio::test]
async fn a_venue_that_asks_one_of_many_for_rest_is_left_alone_by_all_of_them() {
    let rest = Duration::from_secs(3);
    let rule = Rule::connections(
        1,
        1,
        Fault::Status {
            code: 429,
            headers: [("Retry-After".to_owned(), rest.as_secs().to_string())].into(),
            body: String::new(),
        },
    );
    let mut herd = Herd::gather(50, LIMIT).await;
    herd.lose_venue_for(Duration::ZERO, rule).await;
    let log = herd.log();
    let refused = log
        .iter()
        .find(|entry| matches!(entry.what, What::UpgradeRefused { .. }))
        .unwrap()
        .at;
    let early = |at: &&Duration| **at > refused && **at < refused + rest;
    let arrivals = arrivals(&log);
    // Who had got his turn a moment before may still be on his way.
    let on_their_way = arrivals
        .iter()
        .filter(early)
        .filter(|at| **at < refused + Duration::from_millis(100))
        .count();
    assert!(on_their_way <= 10, "{on_their_way}");
    assert_eq!(arrivals.iter().filter(early).count(), on_their_way, "{arrivals:?}");
    assert_eq!(
        log.iter()
            .filter(|entry| matches!(entry.what, What::UpgradeRefused { .. }))
            .count(),
        1
    );
}
