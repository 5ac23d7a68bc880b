//! What is exported, read back and held against this side's own books.

use super::journal::Journal;
use super::ledger::Ledger;
use super::promise::Promise;
use feedwatch::clock::Moment;
use feedwatch::market::Cause;
use feedwatch::metrics::{Streams, text};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Sums of `f64` seconds are exact to this.
const CLOSE: f64 = 1e-6;

pub(crate) struct Scrape(HashMap<String, f64>);

impl Scrape {
    pub(crate) fn take(shown: &Streams, at: Moment) -> Self {
        let text = text::render(shown, at);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("a sample is a series and a value");
            (series.to_owned(), value.parse().expect("a value is a number"))
        };
        Self(samples.map(sample).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no series {series}"))
    }

    /// A figure of a stream.
    fn of(&self, stream: &str, name: &str) -> f64 {
        self.at(&format!(r#"{name}{{venue="polymarket",stream="{stream}"}}"#))
    }

    /// A figure of a stream with one more label.
    fn labelled(&self, stream: &str, name: &str, key: &str, value: &str) -> f64 {
        self.at(&format!(
            r#"{name}{{venue="polymarket",stream="{stream}",{key}="{value}"}}"#
        ))
    }

    /// The figures of a stream that are not 0, by their cause.
    fn by_cause(&self, stream: &str, name: &str, possible: fn(Cause) -> bool) -> BTreeMap<&'static str, u64> {
        let causes = Cause::ALL.iter().filter(|cause| possible(**cause));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let counts = causes.map(|cause| {
            let count = self.labelled(stream, name, "cause", cause.as_str());
            (cause.as_str(), count as u64)
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Holds one stream against its books, which have to be settled.
    pub(crate) fn compare(&self, journal: &Journal, who: &str, ledger: &Ledger, watched: Duration) {
        let failed = self.by_cause(who, "feedwatch_connect_failures_total", Cause::fails_attempts);
        let lost = self.by_cause(who, "feedwatch_disconnects_total", Cause::ends_connections);
        let attempts = self.of(who, "feedwatch_connect_attempts_total");
        let live = self.of(who, "feedwatch_stream_connected");
        let connections = self.of(who, "feedwatch_connections_live");
        let in_flight = ledger.in_flight() as f64;
        let sum = |counts: &BTreeMap<_, u64>| counts.values().sum::<u64>() as f64;
        let explained = sum(&failed) + sum(&lost) + connections + in_flight;
        journal.expect(Promise::Attempts, attempts == explained, who, || {
            format!("{attempts} attempts, {failed:?} failed, {lost:?} lost, live {connections}, in flight {in_flight}")
        });
        let made = ledger.made_live as f64 + sum(&failed) + in_flight;
        journal.expect(Promise::Attempts, attempts == made, who, || {
            format!("{attempts} attempts, {} made live, {failed:?} failed", ledger.made_live)
        });

        let counters = |what: &str, shown: &dyn std::fmt::Debug, is: &dyn std::fmt::Debug, same: bool| {
            journal.expect(Promise::Counters, same, who, || {
                format!("{what}: {shown:?} is exported, and it is {is:?}")
            });
        };
        let is = &ledger.attempts_failed;
        counters("failures", &failed, is, failed == *is);
        counters("losses", &lost, &ledger.losses, lost == ledger.losses);
        let meant = self.of(who, "feedwatch_connections_desired");
        let all_live = meant > 0.0 && connections == meant;
        counters("live, for its connections", &live, &all_live, (live == 1.0) == all_live);
        counters(
            "live connections",
            &connections,
            &ledger.live(),
            connections == ledger.live() as f64,
        );
        let trips = ["consecutive_failures", "fatal_error"]
            .map(|trigger| self.labelled(who, "feedwatch_breaker_trips_total", "trigger", trigger));
        for (name, shown, is) in [
            ("attempts", attempts, ledger.attempts),
            ("trips", trips.iter().sum(), ledger.trips),
            ("outages", self.of(who, "feedwatch_outages_total"), ledger.outages),
            (
                "stale episodes",
                self.of(who, "feedwatch_stale_episodes_total"),
                ledger.stale_episodes,
            ),
        ] {
            counters(name, &shown, &is, shown == is as f64);
        }
        for (name, is) in [
            ("feedwatch_breaker_open_seconds_total", ledger.times.open),
            ("feedwatch_stream_stale_seconds_total", ledger.times.stale),
        ] {
            let shown = self.of(who, name);
            counters(name, &shown, &is, is_close(shown, is));
        }

        let up = self.of(who, "feedwatch_stream_up_seconds_total");
        let observed = self.of(who, "feedwatch_stream_observed_seconds_total");
        let times = ledger.times;
        let holds = is_close(up, times.up)
            && is_close(observed, times.up + times.down)
            && is_close(observed, watched.saturating_sub(times.unobserved));
        journal.expect(Promise::UpAndDown, holds, who, || {
            format!("up {up}, observed {observed} are exported; of {watched:?} it was {times:?}")
        });
        let dialled = ledger.dials + ledger.undialled + ledger.waiting();
        journal.expect(Promise::OneAttemptOneDial, attempts == dialled as f64, who, || {
            format!("{attempts} attempts, {dialled} of them were dialled, given up before, or are about to be dialled")
        });
    }

    /// Holds the histogram of outages and the clocks of all streams against each other, at the end.
    pub(crate) fn compare_outages(&self, journal: &Journal, ledgers: &[&Ledger], names: &[String]) {
        let gaps = || ledgers.iter().flat_map(|ledger| &ledger.gaps);
        let recovered: Vec<_> = gaps().filter(|gap| gap.is_outage && gap.is_over).collect();
        let lasted: Duration = recovered.iter().map(|gap| gap.lasted).sum();
        let of_venue = |name: &str| self.at(&format!(r#"{name}{{venue="polymarket"}}"#));
        let count = of_venue("feedwatch_outage_duration_seconds_count");
        let sum = of_venue("feedwatch_outage_duration_seconds_sum");
        let holds = count == recovered.len() as f64 && is_close(sum, lasted);
        journal.expect(Promise::OutagesAreDown, holds, "all", || {
            format!(
                "{count} outages of {sum} s in the histogram, and there were {} of {lasted:?}",
                recovered.len()
            )
        });
        let all: Duration = gaps().map(|gap| gap.lasted).sum();
        let down = |name: &String| {
            self.of(name, "feedwatch_stream_observed_seconds_total")
                - self.of(name, "feedwatch_stream_up_seconds_total")
        };
        let down: f64 = names.iter().map(down).sum();
        journal.expect(Promise::OutagesAreDown, is_close(down, all), "all", || {
            format!("{down} s down by the clocks, {all:?} by outages and starts")
        });
    }
}

fn is_close(shown: f64, is: Duration) -> bool {
    (shown - is.as_secs_f64()).abs() < CLOSE
}
