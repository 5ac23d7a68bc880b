//! What must hold at each scrape, whatever the venues do.

use crate::exposition::Exposition;
use crate::harness::{LIMIT, Service, config, venue};
use feedwatch::sim::{Fault, Rule, SimulatedVenue, What};
use std::collections::{BTreeMap, BTreeSet};
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

fn busy() -> Fault {
    Fault::Status {
        code: 503,
        headers: BTreeMap::new(),
        body: "busy".into(),
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

    pub(crate) fn of(&self, stream: &str, name: &str) -> f64 {
        self.exposition.sum(name, &[("stream", stream)])
    }

    fn labelled(&self, stream: &str, name: &str, label: (&str, &str)) -> f64 {
        self.exposition.sum(name, &[("stream", stream), label])
    }

    /// The state that is 1, which must be exactly one.
    pub(crate) fn state(&self, stream: &str, name: &str) -> String {
        let all = [("stream", stream)];
        let series = self.exposition.series(name, &all);
        assert!(series.iter().all(|(_, value)| [0.0, 1.0].contains(value)), "{series:?}");
        match series
            .iter()
            .filter(|(_, value)| *value == 1.0)
            .collect::<Vec<_>>()
            .as_slice()
        {
            [(labels, _)] => labels["state"].clone(),
            set => panic!("{stream}: {set:?}"),
        }
    }

    pub(crate) fn transitions(&self, stream: &str, from: &str, to: &str) -> f64 {
        let series = [("stream", stream), ("from", from), ("to", to)];
        self.exposition.value("feedwatch_breaker_transitions_total", &series)
    }

    pub(crate) fn check_connections(&self, stream: &str) {
        let state = self.state(stream, "feedwatch_stream_state");
        let (is_live, in_flight) = (state == "live", matches!(state.as_str(), "connecting" | "subscribing"));
        let attempts = self.of(stream, "feedwatch_connect_attempts_total");
        let failures = self.of(stream, "feedwatch_connect_failures_total");
        let losses = self.of(stream, "feedwatch_disconnects_total");
        let made = losses + f64::from(u8::from(is_live));
        assert_eq!(
            attempts,
            made + failures + f64::from(u8::from(in_flight)),
            "{stream}, {state}"
        );
        let redials = self.of(stream, "feedwatch_reconnect_attempts_total");
        assert_eq!(
            redials,
            (attempts - 1.0).max(0.0),
            "{stream}: each dial but the first is a redial"
        );

        let live = f64::from(u8::from(is_live));
        assert_eq!(self.of(stream, "feedwatch_stream_connected"), live, "{stream}");
        assert_eq!(self.of(stream, "feedwatch_connections_live"), live, "{stream}");
        let is_waiting = matches!(state.as_str(), "backing_off" | "cooling_down");
        let delay = self.of(stream, "feedwatch_reconnect_current_delay_seconds");
        let next = self.of(stream, "feedwatch_reconnect_next_attempt_timestamp_seconds");
        assert_eq!(delay > 0.0, next > 0.0, "{stream}: {delay} s until {next}");
        assert!(is_waiting || next == 0.0, "{stream}, {state}: next at {next}");
        let outage_since = self.of(stream, "feedwatch_outage_start_timestamp_seconds");
        assert!(
            !is_live || outage_since == 0.0,
            "{stream}: live in an outage since {outage_since}"
        );
        assert!(
            self.of(stream, "feedwatch_outages_total") <= losses + failures,
            "{stream}"
        );
        assert!(self.of(stream, "feedwatch_subscriptions_active") <= 2.0, "{stream}");
    }

    pub(crate) fn check_breaker(&self, stream: &str) {
        let state = self.state(stream, "feedwatch_breaker_state");
        let moved = |from, to| self.transitions(stream, from, to);
        let enters = moved("closed", "open") + moved("half_open", "open");
        let leaves = moved("open", "half_open") + moved("open", "closed");
        assert_eq!(
            enters - leaves,
            f64::from(u8::from(state == "open")),
            "{stream}: {state}"
        );
        let half_open = moved("open", "half_open") - moved("half_open", "open") - moved("half_open", "closed");
        assert_eq!(
            half_open,
            f64::from(u8::from(state == "half_open")),
            "{stream}: {state}"
        );
        assert_eq!(
            self.of(stream, "feedwatch_breaker_trips_total"),
            moved("closed", "open"),
            "{stream}"
        );
        let until = self.of(stream, "feedwatch_breaker_open_until_timestamp_seconds");
        assert_eq!(until > 0.0, state == "open", "{stream}, {state}: until {until}");
    }

    /// Time live and time down are the time that has passed.
    pub(crate) fn check_clocks(&self, before: &Self, stream: &str) {
        let grown = |name| self.of(stream, name) - before.of(stream, name);
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
        let [up, observed] =
            ["up", "observed"].map(|what| self.of(stream, &format!("feedwatch_stream_{what}_seconds_total")));
        assert!(up <= observed, "{stream}: {up} s up of {observed}");
    }

    pub(crate) fn check_growth(&self, before: &Self) {
        let earlier: BTreeMap<_, _> = before.exposition.growing().collect();
        let later: BTreeMap<_, _> = self.exposition.growing().collect();
        assert!(earlier.keys().eq(later.keys()), "series come or go");
        for (series, value) in later {
            assert!(
                value >= earlier[&series],
                "{series:?} went from {} to {value}",
                earlier[&series]
            );
        }
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
            seen.check_connections(stream);
            seen.check_breaker(stream);
            seen.check_clocks(&before, stream);
            assert!(
                seen.of(stream, "feedwatch_connect_attempts_total") >= arrived as f64,
                "{stream}"
            );
            states.insert(seen.state(stream, "feedwatch_stream_state"));
        }
        seen.check_growth(&before);
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

        let met_everything = before.transitions("recovers", "half_open", "closed") >= 1.0
            && before.labelled(
                "fails",
                "feedwatch_connect_failures_total",
                ("cause", "upgrade_timeout"),
            ) >= 1.0
            && before.labelled(
                "fails",
                "feedwatch_connect_failures_total",
                ("cause", "subscribe_timeout"),
            ) >= 1.0
            && before.labelled("flaps", "feedwatch_disconnects_total", ("cause", "close_normal")) >= 2.0
            && states.len() >= STATES.len() - 2;
        if scrapes >= SCRAPES && met_everything {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "not met in time; states {states:?}");
    }
    assert!(states.iter().all(|state| STATES.contains(&state.as_str())));
    assert_eq!(before.of("steady", "feedwatch_connect_attempts_total"), 1.0);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
