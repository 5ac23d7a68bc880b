//! Metrics of the program itself. Their values stand in a `prometheus::Registry`.

use super::Kind::{Counter, Gauge, Histogram};
use super::{Exemplars, Kind, Labels, Metric, Source, buckets, one};
use crate::market::{ExportError, LookupOutcome};

/// The levels of log lines.
pub(in crate::metrics) const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// The handlers of HTTP requests; `other` is every path that does not exist.
pub(in crate::metrics) const HANDLERS: [&str; 9] = [
    "metrics",
    "healthy",
    "ready",
    "landing",
    "api_streams",
    "api_stream",
    "api_events",
    "probe",
    "other",
];
/// The HTTP status codes that handlers answer.
pub(in crate::metrics) const CODES: [&str; 6] = ["200", "400", "404", "405", "500", "503"];
pub(super) const METRICS: &[Metric] = &[
    metric(
        "feedwatch_build_info",
        Gauge,
        "Which build runs: always 1",
        Labels::Info {
            names: &["version", "revision", "rustversion"],
        },
    ),
    metric(
        "feedwatch_streams",
        Gauge,
        "Streams whose figures are shown",
        Labels::None,
    ),
    metric(
        "feedwatch_config_hash",
        Gauge,
        "A hash of the configuration in force: differs when that differs",
        Labels::None,
    ),
    metric(
        "feedwatch_config_last_reload_successful",
        Gauge,
        "1 where the configuration that was read last is in force, 0 where it was refused and the one before it is",
        Labels::None,
    ),
    metric(
        "feedwatch_config_last_reload_success_timestamp_seconds",
        Gauge,
        "When a configuration was last taken over, at the start or by a reload",
        Labels::None,
    ),
    metric(
        "feedwatch_log_messages_total",
        Counter,
        "Log lines written",
        Labels::Closed {
            names: &["level"],
            series: || one(LEVELS),
        },
    ),
    metric(
        "feedwatch_log_lines_dropped_total",
        Counter,
        "Log lines that were not written because nobody read stderr",
        Labels::None,
    ),
    metric(
        "feedwatch_otel_spans_exported_total",
        Counter,
        "Spans that the tracing backend took",
        Labels::None,
    ),
    metric(
        "feedwatch_otel_span_export_failures_total",
        Counter,
        "Exports of a batch of spans that failed, after what is worth trying again was tried again",
        Labels::Closed {
            names: &["error"],
            series: || one(ExportError::ALL.iter().map(|error| error.as_str())),
        },
    ),
    metric(
        "feedwatch_otel_spans_dropped_total",
        Counter,
        "Spans lost: the queue was full, or their export failed",
        Labels::None,
    ),
    metric(
        "feedwatch_name_lookups_total",
        Counter,
        "Look-ups of a name that a stream watches, at its venue's REST API",
        Labels::Closed {
            names: &["result"],
            series: || one(LookupOutcome::ALL.iter().map(|outcome| outcome.as_str())),
        },
    ),
    metric(
        "feedwatch_http_requests_total",
        Counter,
        "HTTP requests answered",
        Labels::Closed {
            names: &["handler", "code"],
            series: || {
                let codes_of = |handler| CODES.iter().map(move |code| vec![handler, *code]);
                HANDLERS.into_iter().flat_map(codes_of).collect()
            },
        },
    ),
    metric(
        "feedwatch_http_request_duration_seconds",
        Histogram(buckets::HTTP_REQUEST),
        "From a request's headers to the beginning of the answer",
        Labels::Closed {
            names: &["handler"],
            series: || one(HANDLERS),
        },
    ),
    metric(
        "feedwatch_scrapes_in_flight",
        Gauge,
        "Scrapes that are being encoded or sent",
        Labels::None,
    ),
    metric(
        "feedwatch_runtime_workers",
        Gauge,
        "Threads of the runtime that run tasks",
        Labels::None,
    ),
    metric(
        "feedwatch_runtime_alive_tasks",
        Gauge,
        "Tasks that have not ended",
        Labels::None,
    ),
    metric(
        "feedwatch_runtime_global_queue_depth",
        Gauge,
        "Tasks that are to run, and wait for any worker that is free",
        Labels::None,
    ),
    metric(
        "feedwatch_runtime_worker_busy_seconds_total",
        Counter,
        "Time for which workers were not idle, all of them together",
        Labels::None,
    ),
    metric(
        "feedwatch_runtime_tick_lag_seconds",
        Histogram(buckets::TICK_LAG),
        "How late a timer fires that is set for every tenth of a second; those that were due during a stall count each",
        Labels::None,
    ),
    metric(
        "process_cpu_seconds_total",
        Counter,
        "CPU time of the process, in user and in system mode",
        Labels::None,
    ),
    metric(
        "process_open_fds",
        Gauge,
        "File descriptors that are open",
        Labels::None,
    ),
    metric(
        "process_max_fds",
        Gauge,
        "File descriptors that may be open",
        Labels::None,
    ),
    metric(
        "process_virtual_memory_bytes",
        Gauge,
        "Virtual memory of the process",
        Labels::None,
    ),
    metric(
        "process_resident_memory_bytes",
        Gauge,
        "Memory of the process that is resident",
        Labels::None,
    ),
    metric("process_threads", Gauge, "Threads of the process", Labels::None),
    metric(
        "process_start_time_seconds",
        Gauge,
        "When the process started",
        Labels::None,
    ),
];

const fn metric(name: &'static str, kind: Kind, help: &'static str, labels: Labels) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
        source: Source::Process,
        exemplars: Exemplars::None,
    }
}
