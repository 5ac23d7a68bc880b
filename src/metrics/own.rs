//! The figures of the program itself, in a `prometheus::Registry`.

use super::catalogue::{self, CODES, HANDLERS, Kind, LEVELS, Metric};
use super::runtime::{RuntimeCollector, RuntimeFigures};
use super::snapshot::unix;
use crate::clock::Moment;
use crate::market::{ExportError, LookupOutcome};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use prometheus::{IntGaugeVec, Opts, Registry};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A wall clock that differs by more than this from what it was was set: seconds.
const CLOCK_SET: f64 = 0.01;

/// Which build runs.
#[derive(Clone, Debug)]
pub struct BuildInfo {
    /// The package's version.
    pub version: String,
    /// The revision of the source.
    pub revision: String,
    /// The compiler.
    pub rustversion: String,
}

/// Who answers an HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handler {
    /// `/metrics`
    Metrics,
    /// `/-/healthy`
    Healthy,
    /// `/-/ready`
    Ready,
    /// `/`
    Landing,
    /// `/api/v1/streams`
    ApiStreams,
    /// `/api/v1/streams/{name}`
    ApiStream,
    /// `/api/v1/events`
    ApiEvents,
    /// `/probe`
    Probe,
    /// Every path that does not exist.
    Other,
}

/// The figures of the program itself.
#[derive(Debug)]
pub struct OwnMetrics {
    registry: Registry,
    streams: IntGauge,
    config_hash: Gauge,
    config_successful: IntGauge,
    config_success_time: Gauge,
    /// When the configuration in force was taken over: a wall clock that is set moves the time that is shown.
    config_since: Mutex<Option<Instant>>,
    log_messages: Vec<IntCounter>,
    log_lines_dropped: IntCounter,
    dropped_lines: DroppedLines,
    spans_exported: IntCounter,
    /// In the order of [`ExportError`].
    span_export_failures: Vec<IntCounter>,
    spans_dropped: IntCounter,
    /// In the order of [`LookupOutcome`].
    name_lookups: Vec<IntCounter>,
    http: Vec<HandlerCells>,
    scrapes_in_flight: IntGauge,
    runtime: RuntimeCollector,
    tick_lag: Histogram,
}

/// Who knows how many log lines have been dropped.
#[derive(Default)]
struct DroppedLines {
    count: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
    /// Two scrapes at once must not count the same lines.
    turn: Mutex<()>,
}

impl std::fmt::Debug for DroppedLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DroppedLines")
    }
}

/// The figures of a handler.
#[derive(Debug)]
struct HandlerCells {
    /// In the order of [`CODES`].
    requests: Vec<IntCounter>,
    duration: Histogram,
}

impl OwnMetrics {
    /// All at 0, every series there. The error is that of the `prometheus` crate for a table that it does not accept.
    pub fn new(build: &BuildInfo) -> Result<Self, Error> {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(super::process::ProcessCollector::new()?))?;

        let info = find("feedwatch_build_info")?;
        let build_info = register(&registry, IntGaugeVec::new(options(info), info.labels.names())?)?;
        let values = [&build.version, &build.revision, &build.rustversion];
        build_info.get_metric_with_label_values(&values)?.set(1);

        let gauge = |name| register(&registry, Gauge::with_opts(options(find(name)?))?);
        let counter = |name| register(&registry, IntCounter::with_opts(options(find(name)?))?);
        let counters = |name, values: &[&str]| {
            let metric = find(name)?;
            let vector = register(&registry, IntCounterVec::new(options(metric), metric.labels.names())?)?;
            let each = values.iter().map(|value| vector.get_metric_with_label_values(&[value]));
            each.collect::<Result<Vec<_>, _>>()
        };

        Ok(Self {
            streams: register(&registry, IntGauge::with_opts(options(find("feedwatch_streams")?))?)?,
            config_hash: gauge("feedwatch_config_hash")?,
            config_successful: register(
                &registry,
                IntGauge::with_opts(options(find("feedwatch_config_last_reload_successful")?))?,
            )?,
            config_success_time: gauge("feedwatch_config_last_reload_success_timestamp_seconds")?,
            config_since: Mutex::default(),
            log_messages: counters("feedwatch_log_messages_total", &LEVELS)?,
            log_lines_dropped: counter("feedwatch_log_lines_dropped_total")?,
            spans_exported: counter("feedwatch_otel_spans_exported_total")?,
            span_export_failures: counters(
                "feedwatch_otel_span_export_failures_total",
                &ExportError::ALL.iter().map(|error| error.as_str()).collect::<Vec<_>>(),
            )?,
            spans_dropped: counter("feedwatch_otel_spans_dropped_total")?,
            name_lookups: counters(
                "feedwatch_name_lookups_total",
                &LookupOutcome::ALL
                    .iter()
                    .map(|outcome| outcome.as_str())
                    .collect::<Vec<_>>(),
            )?,
            dropped_lines: DroppedLines::default(),
            http: http(&registry)?,
            scrapes_in_flight: register(
                &registry,
                IntGauge::with_opts(options(find("feedwatch_scrapes_in_flight")?))?,
            )?,
            runtime: register(&registry, RuntimeCollector::new()?)?,
            tick_lag: register(
                &registry,
                Histogram::with_opts(histogram_options(find("feedwatch_runtime_tick_lag_seconds")?))?,
            )?,
            registry,
        })
    }

    /// For further collectors.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// What the program itself tells of itself: no part of the API.
#[doc(hidden)]
impl OwnMetrics {
    /// Asks `count` at each scrape how many log lines have been dropped by now. Once.
    pub fn count_dropped_lines(&self, count: impl Fn() -> u64 + Send + Sync + 'static) {
        // A second one would count the same lines again.
        let _ = self.dropped_lines.count.set(Box::new(count));
    }

    /// Asks `read` at each scrape how the runtime is. Once.
    pub fn show_runtime(&self, read: impl Fn() -> RuntimeFigures + Send + Sync + 'static) {
        self.runtime.read_with(Box::new(read));
    }

    /// A timer of the runtime fired so late.
    pub fn tick_lagged(&self, lag: Duration) {
        self.tick_lag.observe(lag.as_secs_f64());
    }
}

impl OwnMetrics {
    /// What the registry holds at `at`.
    pub fn gather(&self, at: Moment) -> Vec<MetricFamily> {
        if let Some(since) = *self.config_since.lock().unwrap_or_else(PoisonError::into_inner) {
            let time = unix(at, since);
            // The two clocks are not read at quite the same moment: only one that was set moves what is shown, or a scrape that
            // sees another millisecond would see another reload.
            if (time - self.config_success_time.get()).abs() > CLOCK_SET {
                self.config_success_time.set(time);
            }
        }
        if let Some(count) = self.dropped_lines.count.get() {
            let _turn = self.dropped_lines.turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.log_lines_dropped
                .inc_by(count().saturating_sub(self.log_lines_dropped.get()));
        }
        self.registry.gather()
    }
}

/// What the program itself tells of itself: no part of the API.
#[doc(hidden)]
impl OwnMetrics {
    /// So many streams are shown.
    pub fn set_streams(&self, streams: usize) {
        self.streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
    }

    /// The configuration of this hash is in force since `at`. A gauge holds 53 bits exactly.
    pub fn config_in_force(&self, hash: u64, at: Moment) {
        self.config_hash.set(hash as f64);
        *self.config_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(at.mono);
        self.config_success_time.set(unix(at, at.mono));
        self.config_successful.set(1);
    }

    /// A configuration was refused: the one before it stays in force.
    pub fn config_refused(&self) {
        self.config_successful.set(0);
    }

    /// A log line was written.
    pub fn log_message(&self, level: tracing::Level) {
        let name = level.as_str();
        let index = LEVELS.iter().position(|level| level.eq_ignore_ascii_case(name));
        if let Some(counter) = index.and_then(|index| self.log_messages.get(index)) {
            counter.inc();
        }
    }

    /// The tracing backend took so many spans.
    pub fn spans_exported(&self, spans: u64) {
        self.spans_exported.inc_by(spans);
    }

    /// So many spans are lost.
    pub fn spans_dropped(&self, spans: u64) {
        self.spans_dropped.inc_by(spans);
    }

    /// An export of spans failed.
    pub fn span_export_failed(&self, error: ExportError) {
        if let Some(counter) = self.span_export_failures.get(error.index()) {
            counter.inc();
        }
    }

    /// A name was looked up.
    pub fn name_lookup(&self, outcome: LookupOutcome) {
        if let Some(counter) = self.name_lookups.get(outcome.index()) {
            counter.inc();
        }
    }

    /// A request was answered.
    pub fn request(&self, handler: Handler, code: u16, took: Duration) {
        if let Some(cells) = self.http.get(handler as usize) {
            let counted = CODES.iter().zip(&cells.requests);
            for (_, counter) in counted.filter(|(name, _)| name.parse() == Ok(code)) {
                counter.inc();
            }
            cells.duration.observe(took.as_secs_f64());
        }
    }

    /// Scrapes that are being encoded or sent.
    pub const fn scrapes_in_flight(&self) -> &IntGauge {
        &self.scrapes_in_flight
    }
}

/// The entry of the table.
pub(super) fn find(name: &str) -> Result<&'static Metric, Error> {
    catalogue::find(name).ok_or_else(|| Error::Msg(format!("{name} is not in the table of metrics")))
}

fn options(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn histogram_options(metric: &Metric) -> HistogramOpts {
    let options = HistogramOpts::new(metric.name, metric.help);
    match metric.kind {
        Kind::Histogram(bounds) => options.buckets(bounds.to_vec()),
        Kind::Counter | Kind::Gauge => options,
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn http(registry: &Registry) -> Result<Vec<HandlerCells>, Error> {
    let requests = find("feedwatch_http_requests_total")?;
    let requests = register(
        registry,
        IntCounterVec::new(options(requests), requests.labels.names())?,
    )?;
    let duration = find("feedwatch_http_request_duration_seconds")?;
    let duration = register(
        registry,
        HistogramVec::new(histogram_options(duration), duration.labels.names())?,
    )?;
    let cells = |handler: &&str| {
        let counter = |code: &&str| requests.get_metric_with_label_values(&[handler, code]);
        Ok(HandlerCells {
            requests: CODES.iter().map(counter).collect::<Result<_, Error>>()?,
            duration: duration.get_metric_with_label_values(&[handler])?,
        })
    };
    HANDLERS.iter().map(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalogue::{Labels, Scope};
    use crate::metrics::{Format, Streams};
    use std::collections::BTreeSet;

    fn own() -> OwnMetrics {
        OwnMetrics::new(&BuildInfo {
            version: "1.2.3".into(),
            revision: "abc".into(),
            rustversion: "1.95".into(),
        })
        .unwrap()
    }

    #[test]
    fn the_registry_holds_what_the_table_says_from_the_start() {
        let families = own().gather(Moment::now());
        let gathered: BTreeSet<_> = families.iter().map(MetricFamily::name).collect();
        let declared = catalogue::all().filter(|metric| metric.scope() == Scope::Process);
        assert_eq!(gathered, declared.map(|metric| metric.name).collect());
        for family in &families {
            let metric = find(family.name()).unwrap();
            assert_eq!(family.help(), metric.help);
            let series: BTreeSet<Vec<_>> = family
                .get_metric()
                .iter()
                .map(|sample| {
                    let value_of = |name| {
                        sample
                            .get_label()
                            .iter()
                            .find(|pair| pair.name() == name)
                            .unwrap()
                            .value()
                    };
                    metric.labels.names().iter().map(|name| value_of(*name)).collect()
                })
                .collect();
            if !matches!(metric.labels, Labels::Info { .. }) {
                assert_eq!(series, metric.labels.series().into_iter().collect(), "{}", metric.name);
            }
        }
    }

    #[test]
    fn each_handler_level_and_code_finds_its_series() {
        let own = own();
        own.request(Handler::ApiStreams, 405, Duration::ZERO);
        own.log_message(tracing::Level::WARN);
        let now = crate::clock::Moment::now();
        let text = Format::Text.render(&Streams::new(), &own.gather(now), now);
        assert!(
            text.contains("feedwatch_http_requests_total{code=\"405\",handler=\"api_streams\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("feedwatch_log_messages_total{level=\"warn\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("feedwatch_log_messages_total{level=\"info\"} 0\n"),
            "{text}"
        );
    }
}
