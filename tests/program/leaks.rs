//! What thousands of faults leave behind in the program: neither memory, nor descriptors, tasks or threads.
#![cfg(target_os = "linux")]

use crate::exposition::Exposition;
use crate::harness::{LIMIT, Service, busy, config, venue};
use feedwatch::sim::{BadFrame, Fault, Rule, SimulatedVenue, UpgradeFault};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Everything that a venue keeps is in place by then: histories are full, buffers grown, threads started.
const WARM: f64 = 1000.0;
/// So many faults more.
const MORE: f64 = 3000.0;
/// What the allocator may keep of them. The read buffers alone of those that were upgraded would be twenty times as much.
const MEMORY: f64 = 1.5 * 1024.0 * 1024.0;

/// Each connection meets one of these, in turn: those that take no time.
fn venue_of_all_faults() -> SimulatedVenue {
    let after = Duration::ZERO;
    let bad = |kind| Fault::BadFrame { kind, after };
    let faults = [
        busy(),
        Fault::RejectSubscription,
        Fault::Upgrade(UpgradeFault::WrongAccept),
        Fault::Upgrade(UpgradeFault::Headers { bytes: 64 * 1024 }),
        Fault::Upgrade(UpgradeFault::Cut),
        Fault::Cut { after },
        Fault::CutInFrame { after },
        bad(BadFrame::InvalidUtf8),
        bad(BadFrame::Masked),
        Fault::TooBig { bytes: 1 << 30, after },
        Fault::Close {
            code: Some(1001),
            reason: "away".into(),
            after,
        },
    ];
    let faults = faults.iter().cycle().take(10_000);
    let rules = (1..).zip(faults);
    venue(
        rules
            .map(|(number, fault)| Rule::connections(number, number, fault.clone()))
            .collect(),
    )
}

/// A scrape after so many attempts.
async fn after(service: &Service, attempts: f64) -> Exposition {
    let begun = Instant::now();
    loop {
        let scrape = service.scrape().await;
        if scrape.sum("feedwatch_connect_attempts_total", &[]) >= attempts {
            return scrape;
        }
        assert!(begun.elapsed() < 6 * LIMIT, "fewer than {attempts} attempts");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn thousands_of_faults_leave_nothing_behind() {
    let venue = venue_of_all_faults();
    let restless = "initial_delay_ms = 1, max_delay_ms = 1, max_consecutive_failures = 1000000";
    let url = venue.url();
    let streams = ["a", "b", "c", "d"].map(|name| (name, &*url, restless));
    let service = Service::run(&config("", &streams)).await;

    let before = after(&service, WARM).await;
    let then = after(&service, WARM + MORE).await;
    let grown = |name: &str| then.sum(name, &[]) - before.sum(name, &[]);
    let memory = grown("process_resident_memory_bytes");
    assert!(memory < MEMORY, "{memory} bytes of {MORE} faults");
    // A socket and its task for each stream are on their way at any moment.
    let streams = streams.len() as f64;
    for (name, most) in [
        ("process_open_fds", 2.0 * streams),
        ("feedwatch_runtime_alive_tasks", 2.0 * streams),
        ("process_threads", 2.0),
    ] {
        assert!(grown(name) <= most, "{name} has grown by {}", grown(name));
    }
    assert_eq!(then.sum("feedwatch_breaker_trips_total", &[]), 0.0);
    assert_eq!(service.stop("TERM").await.code, Some(0));
    venue.shutdown().await;
}
