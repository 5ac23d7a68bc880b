//! The table of all metrics: what each is called, counts and means, and where its value is read.
//!
//! Exposition, documentation and tests walk [`all`]; what is registered takes name, help and buckets from it.
//!
//! ```
//! use feedwatch::metrics::catalogue::{self, Kind, Scope};
//!
//! let losses = catalogue::find("feedwatch_disconnects_total").unwrap();
//! assert_eq!((losses.kind, losses.scope()), (Kind::Counter, Scope::Stream));
//! assert_eq!(losses.labels.names(), ["cause"]);
//! // What 20 more streams of a venue cost a Prometheus.
//! let series = catalogue::series(21, 1) - catalogue::series(1, 1);
//! assert_eq!(series % 20, 0);
//! // Gaps are counted only where the venue numbers its events.
//! let gaps = catalogue::find("feedwatch_sequence_gaps_total").unwrap();
//! assert_eq!(gaps.part(), Some(catalogue::Part::Sequences));
//! ```

mod process;
mod stream;
mod venue;

#[cfg(feature = "service")]
pub(super) use process::{CODES, HANDLERS, LEVELS};

use super::exemplar::Exemplar;
use super::histogram::Histogram;
use super::snapshot::StreamSnapshot;
use super::venue::VenueCells;
use crate::market::Cause;
use crate::supervise::{BreakerState, Trigger};

/// Every metric: those of a stream, of a venue, then of the process.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    [stream::METRICS, venue::METRICS, process::METRICS]
        .into_iter()
        .flatten()
}

/// The metric of that name.
pub fn find(name: &str) -> Option<&'static Metric> {
    all().find(|metric| metric.name == name)
}

/// The series that a scrape has of so many streams on so many venues, those of the program included. Those of a part that not
/// every stream has are left out: see [`series_of`].
pub fn series(streams: usize, venues: usize) -> usize {
    let shown = |metric: &&Metric| cfg!(target_os = "linux") || !metric.name.starts_with("process_");
    let of = |metric: &Metric| match metric.scope() {
        Scope::Stream => metric.samples() * streams,
        Scope::Venue => metric.samples() * venues,
        Scope::Process => metric.samples(),
    };
    all().filter(shown).filter(|metric| metric.is_always()).map(of).sum()
}

/// The further series of a stream that has this part.
pub fn series_of(part: Part) -> usize {
    all()
        .filter(|metric| metric.part() == Some(part))
        .map(Metric::samples)
        .sum()
}

/// An entry of the table.
#[derive(Debug)]
pub struct Metric {
    /// The whole name.
    pub name: &'static str,
    /// What it is, for Prometheus.
    pub kind: Kind,
    /// The labels besides those of its scope.
    pub labels: Labels,
    /// What it tells, in one sentence.
    pub help: &'static str,
    pub(super) source: Source,
    pub(super) exemplars: Exemplars,
}

impl Metric {
    /// Of what there is one each.
    pub const fn scope(&self) -> Scope {
        match self.source {
            Source::Stream(_) | Source::Part(..) => Scope::Stream,
            Source::Venue(_) | Source::Histogram(_) => Scope::Venue,
            Source::Process => Scope::Process,
        }
    }

    /// The names of all labels of a series: of what there is one each, then its own.
    pub fn label_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.scope().labels().iter().chain(self.labels.names()).copied()
    }

    /// The series that there are of it, for each that it is of.
    fn samples(&self) -> usize {
        let of_each = match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            // Besides the bounds there are the bucket that has none, the sum and the count.
            Kind::Histogram(bounds) => bounds.len() + 3,
        };
        self.labels.series().len() * of_each
    }

    /// Whether all of its scope have it.
    pub const fn is_always(&self) -> bool {
        self.part().is_none()
    }

    /// The part of a stream that it tells of, where not every stream has that part. Of the others there is no series.
    pub const fn part(&self) -> Option<Part> {
        match self.source {
            Source::Part(part, _) => Some(part),
            _ => None,
        }
    }

    /// Whether its samples carry exemplars, in a format that knows them.
    pub const fn has_exemplars(&self) -> bool {
        !matches!(self.exemplars, Exemplars::None)
    }

    /// The same, with exemplars that are read there.
    const fn with_exemplars(self, exemplars: Exemplars) -> Self {
        Self { exemplars, ..self }
    }
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Seconds, in buckets with these upper bounds; one more has no bound.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word in the exposition format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Of what a metric has one value each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// A stream: labels `venue` and `stream`.
    Stream,
    /// A venue: label `venue`.
    Venue,
    /// The program: no labels.
    Process,
}

impl Scope {
    /// The scopes in the order of the table.
    pub const ALL: &'static [Self] = &[Self::Stream, Self::Venue, Self::Process];

    /// The name in the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Venue => "venue",
            Self::Process => "process",
        }
    }

    /// The labels that every metric of the scope has.
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Stream => &["venue", "stream"],
            Self::Venue => &["venue"],
            Self::Process => &[],
        }
    }
}

/// What not every stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// A queue between it and its consumer: where a program that embeds it has spawned it.
    Queue,
    /// Numbers, by which missing events are seen: [`crate::venue::Venue::has_sequences`].
    Sequences,
    /// Checksums that books are compared with: [`crate::venue::Feed::checksums`], where the venue sends any.
    Checksums,
}

impl Part {
    /// All parts.
    pub const ALL: &'static [Self] = &[Self::Queue, Self::Sequences, Self::Checksums];
    pub(super) const COUNT: usize = Self::ALL.len();

    /// The position in [`Part::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The name in the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Sequences => "sequences",
            Self::Checksums => "checksums",
        }
    }
}

/// The labels of a metric besides those of its scope.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Labels {
    /// None.
    None,
    /// A closed set: each of these series exists from the start.
    Closed {
        /// The labels' names.
        names: &'static [&'static str],
        /// The values of each series, in the order of the names.
        series: fn() -> Vec<Vec<&'static str>>,
    },
    /// One series that says who or what something is.
    Info {
        /// The labels' names.
        names: &'static [&'static str],
    },
}

impl Labels {
    /// The labels' names.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Closed { names, .. } | Self::Info { names } => names,
        }
    }

    /// The values of each series; one series without values where the set is not closed.
    pub fn series(self) -> Vec<Vec<&'static str>> {
        match self {
            Self::Closed { series, .. } => series(),
            Self::None | Self::Info { .. } => vec![Vec::new()],
        }
    }
}

/// A value at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// Written exactly.
    Int(u64),
    /// Anything else.
    Float(f64),
}

impl Value {
    pub(super) const fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// Where the value of series i is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Stream(fn(&StreamSnapshot, usize) -> Value),
    /// Only of streams that have that part.
    Part(Part, fn(&StreamSnapshot) -> Value),
    Venue(fn(&VenueCells, usize) -> Value),
    Histogram(fn(&VenueCells, usize) -> Option<&Histogram>),
    /// In a `prometheus::Registry`.
    Process,
}

/// Where the exemplar of series i is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exemplars {
    /// There is none.
    None,
    Stream(fn(&StreamSnapshot, usize) -> Option<Exemplar>),
    /// In the histogram, one a bucket.
    Buckets,
}

/// Bounds of histograms: seconds.
pub(super) mod buckets {
    pub(in crate::metrics) const RECONNECT_DELAY: &[f64] =
        &[0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 120.0, 300.0];
    pub(in crate::metrics) const OUTAGE_DURATION: &[f64] = &[
        0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
    ];
    pub(in crate::metrics) const MESSAGE_LATENCY: &[f64] = &[
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ];
    pub(in crate::metrics) const CONNECT_DURATION: &[f64] =
        &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    pub(in crate::metrics) const CONNECTION_DURATION: &[f64] =
        &[1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0];
    pub(in crate::metrics) const PING_RTT: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
    pub(in crate::metrics) const TICK_LAG: &[f64] = &[0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];
    pub(in crate::metrics) const HTTP_REQUEST: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
}

/// Opcode and direction, both directions of an opcode together.
pub(super) const CONTROL_FRAMES: [(&str, &str); 6] = [
    ("ping", "received"),
    ("ping", "sent"),
    ("pong", "received"),
    ("pong", "sent"),
    ("close", "received"),
    ("close", "sent"),
];
/// The triggers that trip a closed breaker.
pub(super) const TRIP_TRIGGERS: [Trigger; 2] = [Trigger::ConsecutiveFailures, Trigger::FatalError];
/// The moves that a breaker makes; open and half-open can be closed by hand.
pub(super) const TRANSITIONS: [(&str, &str); 5] = {
    let [closed, open, half_open] = BreakerState::NAMES;
    [
        (closed, open),
        (open, half_open),
        (half_open, open),
        (half_open, closed),
        (open, closed),
    ]
};

/// One label with these values.
fn one(values: impl IntoIterator<Item = &'static str>) -> Vec<Vec<&'static str>> {
    values.into_iter().map(|value| vec![value]).collect()
}

/// Two labels with these pairs of values.
fn two(pairs: &[(&'static str, &'static str)]) -> Vec<Vec<&'static str>> {
    pairs.iter().map(|(first, second)| vec![*first, *second]).collect()
}

/// The causes for which attempts fail.
fn attempt_causes() -> impl Iterator<Item = Cause> {
    Cause::ALL.iter().copied().filter(|cause| cause.fails_attempts())
}

/// The causes for which connections are lost.
fn loss_causes() -> impl Iterator<Item = Cause> {
    Cause::ALL.iter().copied().filter(|cause| cause.ends_connections())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut seen = HashSet::new();
        for metric in all() {
            let name = metric.name;
            assert!(seen.insert(name), "{name} twice");
            assert!(name.starts_with("feedwatch_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}");
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(name.ends_with("_seconds"), "{name}");
                assert!(bounds.is_sorted_by(|a, b| a < b), "{name}");
            }
            for label in metric.labels.names() {
                assert!(!metric.scope().labels().contains(label), "{name}: {label}");
            }
        }
    }

    /// OpenMetrics names the family of a counter without `_total`, and reserves what its samples could be called.
    #[test]
    fn no_sample_of_a_metric_can_be_taken_for_one_of_another() {
        let mut taken = HashMap::new();
        for metric in all() {
            let (family, suffixes): (&str, &[&str]) = match metric.kind {
                Kind::Counter => (metric.name.trim_end_matches("_total"), &["", "_total", "_created"]),
                Kind::Gauge => (metric.name, &[""]),
                Kind::Histogram(_) => (metric.name, &["", "_bucket", "_sum", "_count", "_created"]),
            };
            for suffix in suffixes {
                let before = taken.insert(format!("{family}{suffix}"), metric.name);
                assert_eq!(before, None, "{} might be read as {family}{suffix}", metric.name);
            }
        }
    }

    #[test]
    fn histograms_keep_exemplars_where_the_table_says_so_and_counters_alone_have_them_besides() {
        let venue = VenueCells::new("v");
        let mut traced = 0;
        for metric in all() {
            traced += usize::from(metric.has_exemplars());
            if let Source::Histogram(read) = metric.source {
                let histogram = read(&venue, 0).unwrap();
                let declared = matches!(metric.exemplars, Exemplars::Buckets);
                assert_eq!(histogram.keeps_exemplars(), declared, "{}", metric.name);
            } else if metric.has_exemplars() {
                // OpenMetrics allows them nowhere else.
                assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
                let read = matches!(
                    (metric.source, metric.exemplars),
                    (Source::Stream(_), Exemplars::Stream(_))
                );
                assert!(read, "{}: nobody reads them there", metric.name);
            }
        }
        assert_eq!(traced, 3);
    }

    #[test]
    fn every_series_of_a_closed_set_is_declared_once_and_in_full() {
        for metric in all() {
            let series = metric.labels.series();
            let distinct: HashSet<_> = series.iter().collect();
            assert_eq!(distinct.len(), series.len(), "{}", metric.name);
            if let Labels::Closed { names, .. } = metric.labels {
                assert!(
                    series.iter().all(|values| values.len() == names.len()),
                    "{}",
                    metric.name
                );
            }
        }
    }

    #[test]
    fn a_stream_stays_within_its_budget_of_series() {
        let series: usize = all()
            .filter(|metric| metric.scope() == Scope::Stream && metric.is_always())
            .map(|metric| metric.labels.series().len())
            .sum();
        assert!((80..=135).contains(&series), "{series}");
        let of_parts: usize = Part::ALL.iter().map(|part| series_of(*part)).sum();
        assert!(of_parts <= 5, "{of_parts}");
    }
}
