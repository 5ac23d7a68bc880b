//! What must hold at each scrape, whatever the venues do.

use crate::exposition::Exposition;
use crate::harness::{LIMIT, Service, busy, config, venue};
use crate::invariants::{OfStream, check_growth};
use feedwatch::sim::{Fault, Rule, SimulatedVenue, What};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Scrapes at least; more where the streams have not met everything by then.
const SCRAPES: usize = 150;
const RESTLESS: &str = "initial_delay_ms = 10, max_delay_ms = 40, max_consecutive_failures = 3, \
                        circuit_breaker_cooldown_ms = 60, stable_after_ms = 60, connect_timeout_ms = 50, \
                        subscribe_timeout_ms = 50";
const STATES: [&str; 7] = [
    "idle",
    "connecting",
    "subscribing",
    "live",
    "backing_off",
    "cooling_down",
    "stopped",
];

fn after(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn close(code: u16, millis: u64) -> Fault {
    Fault::Close {
        code: Some(code),
        reason: String::new(),
        after: after(millis),
    }
}

/// A venue whose connections meet these faults in turn.
fn in_turn(faults: &[Fault]) -> SimulatedVenue {
    let faults = faults.iter().cycle().take(5000);
    venue(
        (1..)
            .zip(faults)
            .map(|(number, fault)| Rule::connections(number, number, fault.clone()))
            .collect(),
    )
}

/// A scrape, and the time within which its figures were read.
pub(crate) struct Seen {
    pub(crate) exposition: Exposition,
    asked: Instant,
    answered: Instant,
}

impl Seen {
    pub(crate) async fn now(service: &Service) -> Self {
        let asked = Instant::now();
        let exposition = service.scrape().await;
        Self {
            exposition,
            asked,
            answered: Instant::now(),
        }
    }

    pub(crate) fn stream<'s>(&'s self, stream: &'s str) -> OfStream<'s> {
        let exposition = &self.exposition;
        OfStream { exposition, stream }
    }

    /// Time live and time down are the time that has passed.
    pub(crate) fn check_clocks(&self, before: &Self, stream: &str) {
        let grown = |name| self.stream(stream).sum(name) - before.stream(stream).sum(name);
        let (up, observed) = (
            grown("feedwatch_stream_up_seconds_total"),
            grown("feedwatch_stream_observed_seconds_total"),
        );
        let least = (self.asked - before.answered).as_secs_f64();
        let most = (self.answered - before.asked).as_secs_f64();
        let rounding = 1e-6;
        assert!(
            observed >= least - rounding && observed <= most + rounding,
            "{observed} s of {least} to {most}"
        );
        assert!(up <= observed + rounding, "{stream}: {up} s up of {observed}");
    }
}

#[tokio::test]
async fn the_identities_hold_at_each_scrape_while_connections_flap() {
    let cut = Fault::Cut { after: after(20) };
    let reset = Fault::Reset { after: after(0) };
    let venues = [
        (
            "flaps",
            in_turn(&[close(1000, 0), close(1012, 10), close(1001, 30)]),
            RESTLESS,
        ),
        (
            "fails",
            in_turn(&[busy(), Fault::Hang, Fault::RejectSubscription, Fault::NoAnswer, cut]),
            RESTLESS,
        ),
        (
            "recovers",
            in_turn(&[
                close(1011, 150),
                busy(),
                busy(),
                busy(),
                busy(),
                reset,
                close(1001, 100),
            ]),
            RESTLESS,
        ),
        ("steady", venue(Vec::new()), ""),
    ];
    let urls = venues.each_ref().map(|(_, venue, _)| venue.url());
    let streams: Vec<_> = venues
        .iter()
        .zip(&urls)
        .map(|((name, _, own), url)| (*name, url.as_str(), *own))
        .collect();
    let service = Service::run(&config("", &streams)).await;

    let begun = Instant::now();
    let mut before = Seen::now(&service).await;
    let mut states = BTreeSet::new();
    for scrapes in 1.. {
        // Counted before the scrape: each of them was an attempt before the venue knew of it.
        let arrived = venues.each_ref().map(|(_, venue, _)| {
            let entries = venue.log().entries();
            entries.iter().filter(|entry| entry.what == What::Accepted).count()
        });
        let seen = Seen::now(&service).await;
        for ((stream, ..), arrived) in streams.iter().zip(arrived) {
            seen.stream(stream).check();
            seen.check_clocks(&before, stream);
            assert!(
                seen.stream(stream).sum("feedwatch_connect_attempts_total") >= arrived as f64,
                "{stream}"
            );
            states.insert(seen.stream(stream).state("feedwatch_stream_state"));
        }
        check_growth(&before.exposition, &seen.exposition);
        let answered = [("handler", "metrics"), ("code", "200")];
        assert_eq!(
            seen.exposition.value("feedwatch_http_requests_total", &answered),
            scrapes as f64
        );
        assert_eq!(
            seen.exposition.value("feedwatch_scrapes_in_flight", &[]),
            1.0,
            "this one"
        );
        before = seen;

        let met_everything = before.stream("recovers").transitions("half_open", "closed") >= 1.0
            && before
                .stream("fails")
                .labelled("feedwatch_connect_failures_total", ("cause", "upgrade_timeout"))
                >= 1.0
            && before
                .stream("fails")
                .labelled("feedwatch_connect_failures_total", ("cause", "subscribe_timeout"))
                >= 1.0
            && before
                .stream("flaps")
                .labelled("feedwatch_disconnects_total", ("cause", "close_normal"))
                >= 2.0
            && states.len() >= STATES.len() - 2;
        if scrapes >= SCRAPES && met_everything {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "not met in time; states {states:?}");
    }
    assert!(states.iter().all(|state| STATES.contains(&state.as_str())));
    assert_eq!(before.stream("steady").sum("feedwatch_connect_attempts_total"), 1.0);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
