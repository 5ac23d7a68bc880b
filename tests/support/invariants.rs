//! What must hold of a stream at each scrape, whatever the venue does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

use crate::exposition::Exposition;

/// A stream in a scrape.
#[derive(Clone, Copy)]
pub(crate) struct OfStream<'e> {
    pub(crate) exposition: &'e Exposition,
    pub(crate) stream: &'e str,
}

impl OfStream<'_> {
    pub(crate) fn sum(self, name: &str) -> f64 {
        self.exposition.sum(name, &[("stream", self.stream)])
    }

    pub(crate) fn labelled(self, name: &str, label: (&str, &str)) -> f64 {
        self.exposition.sum(name, &[("stream", self.stream), label])
    }

    /// The state that is 1, which must be exactly one.
    pub(crate) fn state(self, name: &str) -> String {
        let all = [("stream", self.stream)];
        let series = self.exposition.series(name, &all);
        assert!(series.iter().all(|(_, value)| [0.0, 1.0].contains(value)), "{series:?}");
        match series
            .iter()
            .filter(|(_, value)| *value == 1.0)
            .collect::<Vec<_>>()
            .as_slice()
        {
            [(labels, _)] => labels["state"].clone(),
            set => panic!("{}: {set:?}", self.stream),
        }
    }

    pub(crate) fn transitions(self, from: &str, to: &str) -> f64 {
        let series = [("stream", self.stream), ("from", from), ("to", to)];
        self.exposition.value("feedwatch_breaker_transitions_total", &series)
    }

    /// Every identity of a single scrape.
    pub(crate) fn check(self) {
        self.check_connections();
        self.check_breaker();
    }

    fn check_connections(self) {
        let stream = self.stream;
        let state = self.state("feedwatch_stream_state");
        let (is_live, in_flight) = (state == "live", matches!(state.as_str(), "connecting" | "subscribing"));
        let attempts = self.sum("feedwatch_connect_attempts_total");
        let failures = self.sum("feedwatch_connect_failures_total");
        let losses = self.sum("feedwatch_disconnects_total");
        let made = losses + f64::from(u8::from(is_live));
        assert_eq!(
            attempts,
            made + failures + f64::from(u8::from(in_flight)),
            "{stream}, {state}"
        );
        let redials = self.sum("feedwatch_reconnect_attempts_total");
        assert_eq!(
            redials,
            (attempts - 1.0).max(0.0),
            "{stream}: each dial but the first is a redial"
        );

        let live = f64::from(u8::from(is_live));
        assert_eq!(self.sum("feedwatch_stream_connected"), live, "{stream}");
        assert_eq!(self.sum("feedwatch_connections_live"), live, "{stream}");
        let is_waiting = matches!(state.as_str(), "backing_off" | "cooling_down");
        let delay = self.sum("feedwatch_reconnect_current_delay_seconds");
        let next = self.sum("feedwatch_reconnect_next_attempt_timestamp_seconds");
        assert_eq!(delay > 0.0, next > 0.0, "{stream}: {delay} s until {next}");
        assert!(is_waiting || next == 0.0, "{stream}, {state}: next at {next}");
        let outage_since = self.sum("feedwatch_outage_start_timestamp_seconds");
        assert!(
            !is_live || outage_since == 0.0,
            "{stream}: live in an outage since {outage_since}"
        );
        assert!(self.sum("feedwatch_outages_total") <= losses + failures, "{stream}");
        let (desired, active) = ("feedwatch_subscriptions_desired", "feedwatch_subscriptions_active");
        assert!(self.sum(active) <= self.sum(desired), "{stream}");
        let (up, observed) = (
            "feedwatch_stream_up_seconds_total",
            "feedwatch_stream_observed_seconds_total",
        );
        assert!(self.sum(up) <= self.sum(observed), "{stream}");
    }

    fn check_breaker(self) {
        let stream = self.stream;
        let state = self.state("feedwatch_breaker_state");
        let moved = |from, to| self.transitions(from, to);
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
            self.sum("feedwatch_breaker_trips_total"),
            moved("closed", "open"),
            "{stream}"
        );
        let until = self.sum("feedwatch_breaker_open_until_timestamp_seconds");
        assert_eq!(until > 0.0, state == "open", "{stream}, {state}: until {until}");
    }
}

/// What can only grow has grown or stayed, and no series has come or gone.
pub(crate) fn check_growth(before: &Exposition, after: &Exposition) {
    let earlier: std::collections::BTreeMap<_, _> = before.growing().collect();
    let later: std::collections::BTreeMap<_, _> = after.growing().collect();
    assert!(earlier.keys().eq(later.keys()), "series come or go");
    for (series, value) in later {
        let earlier = earlier[&series];
        assert!(value >= earlier, "{series:?} went from {earlier} to {value}");
    }
}
