//! What a probe has found as metrics: a table, and the text of one probe.
//!
//! Names that `blackbox_exporter` has are used for what it means by them, so that rules which know them go on working.
//! Source: <https://github.com/prometheus/blackbox_exporter>
//!
//! ```
//! use feedwatch::probe::metrics::METRICS;
//!
//! assert!(METRICS.iter().any(|metric| metric.name == "probe_success"));
//! ```

use super::report::{ProbeReport, Verdict};
use crate::clock::Moment;
use crate::market::{Cause, DialPhase};
use crate::metrics::{Format, Streams};
use prometheus::{Error, Gauge, GaugeVec, Opts, Registry};
use std::fmt::Write;
use std::time::Duration;

/// A metric of a probe, always a gauge: each probe has figures of its own.
#[derive(Debug)]
pub struct ProbeMetric {
    /// The whole name.
    pub name: &'static str,
    /// What it tells.
    pub help: &'static str,
    read: Read,
}

#[derive(Debug)]
enum Read {
    /// One figure; left out where there is none.
    One(fn(&ProbeReport) -> Option<f64>),
    /// A figure for each value of a label.
    Each {
        label: &'static str,
        values: fn() -> Vec<&'static str>,
        figure: fn(&ProbeReport, usize) -> f64,
    },
}

const fn one(name: &'static str, help: &'static str, read: fn(&ProbeReport) -> Option<f64>) -> ProbeMetric {
    let read = Read::One(read);
    ProbeMetric { name, help, read }
}

/// Every metric of a probe.
pub const METRICS: &[ProbeMetric] = &[
    one("probe_success", "Whether nothing is wrong: 1 or 0", |report| {
        Some(flag(report.verdict.is_well()))
    }),
    one(
        "probe_duration_seconds",
        "How long the probe took, the wait at the gate and the close included",
        |report| seconds(Some(report.took)),
    ),
    one(
        "probe_dns_lookup_time_seconds",
        "How long the name look-up took; left out where the dial did not get so far",
        |report| seconds(report.phase(DialPhase::Resolve)),
    ),
    one(
        "probe_ip_protocol",
        "4 or 6: which of the protocols the connection uses; left out without one",
        |report| report.peer.map(|peer| if peer.is_ipv4() { 4.0 } else { 6.0 }),
    ),
    one(
        "probe_http_status_code",
        "The status that the upgrade was answered with, 101 where it succeeded; 0 = not answered",
        |report| Some(report.status.unwrap_or(0).into()),
    ),
    one(
        "probe_ssl_earliest_cert_expiry",
        "When the venue's certificate ends, as a Unix time; left out without a TLS handshake that succeeded",
        |report| report.certificate_not_after.map(|end| end as f64),
    ),
    ProbeMetric {
        name: "feedwatch_probe_verdict",
        help: "What the probe came to: 1 for that, 0 for all others",
        read: Read::Each {
            label: "verdict",
            values: || Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect(),
            figure: |report, i| flag(report.verdict.index() == i),
        },
    },
    ProbeMetric {
        name: "feedwatch_probe_failure",
        help: "Why the connection did not come about or was lost: 1 for that cause, 0 for all others",
        read: Read::Each {
            label: "cause",
            values: || Cause::ALL.iter().map(|cause| cause.as_str()).collect(),
            figure: |report, i| {
                flag(
                    report
                        .failure
                        .as_ref()
                        .is_some_and(|failure| failure.cause.index() == i),
                )
            },
        },
    },
    ProbeMetric {
        name: "feedwatch_probe_phase_seconds",
        help: "How long a phase of the attempt took; 0 = not reached, or not needed",
        read: Read::Each {
            label: "phase",
            values: || DialPhase::ALL.iter().map(|phase| phase.as_str()).collect(),
            figure: |report, i| {
                let phase = DialPhase::ALL.get(i).and_then(|phase| report.phase(*phase));
                phase.unwrap_or_default().as_secs_f64()
            },
        },
    },
    one(
        "feedwatch_probe_gate_wait_seconds",
        "How long the probe waited for its turn to dial",
        |report| seconds(Some(report.waited)),
    ),
    ProbeMetric {
        name: "feedwatch_probe_subscriptions",
        help: "Instruments by what the venue answered",
        read: Read::Each {
            label: "answer",
            values: || vec!["accepted", "refused", "unanswered"],
            figure: |report, i| {
                let (accepted, refused, unanswered) = report.subscriptions();
                [accepted, refused, unanswered]
                    .get(i)
                    .map_or(0.0, |count| *count as f64)
            },
        },
    },
    one(
        "feedwatch_probe_first_frame_seconds",
        "From the beginning of the dial to the first frame; left out where none came",
        |report| seconds(report.first_frame),
    ),
    one(
        "feedwatch_probe_first_data_seconds",
        "From the beginning of the dial to the first market data; left out where none came",
        |report| seconds(report.first_data),
    ),
    one(
        "feedwatch_probe_round_trip_seconds",
        "From a ping to its answer; left out where none came",
        |report| seconds(report.round_trip),
    ),
    one(
        "feedwatch_probe_frames",
        "Frames that came, without heartbeats and acknowledgements",
        |report| Some(report.frames as f64),
    ),
    one("feedwatch_probe_data_frames", "Frames with market data", |report| {
        Some(report.data_frames as f64)
    }),
    one(
        "feedwatch_probe_unreadable_frames",
        "Frames that could not be read",
        |report| Some(report.unreadable_frames as f64),
    ),
    one("feedwatch_probe_received_bytes", "The size of all frames", |report| {
        Some(report.bytes as f64)
    }),
];

impl ProbeMetric {
    fn register(&self, registry: &Registry, report: &ProbeReport) -> Result<(), Error> {
        let options = Opts::new(self.name, self.help);
        match &self.read {
            Read::One(read) => {
                let Some(value) = read(report) else { return Ok(()) };
                let gauge = Gauge::with_opts(options)?;
                gauge.set(value);
                registry.register(Box::new(gauge))
            }
            Read::Each { label, values, figure } => {
                let gauges = GaugeVec::new(options, &[label])?;
                for (i, value) in values().into_iter().enumerate() {
                    gauges.get_metric_with_label_values(&[value])?.set(figure(report, i));
                }
                registry.register(Box::new(gauges))
            }
        }
    }

    fn labels(&self) -> String {
        match &self.read {
            Read::One(_) => String::new(),
            Read::Each { label, values, .. } => format!("`{label}` = {}", values().join(", ")),
        }
    }
}

/// The metrics of one probe, in a format that scrapers read.
pub fn render(report: &ProbeReport, format: Format) -> Result<String, Error> {
    let registry = Registry::new();
    for metric in METRICS {
        metric.register(&registry, report)?;
    }
    Ok(format.render(&Streams::new(), &registry.gather(), Moment::now()))
}

/// The table for `docs/probe.md`.
pub fn markdown() -> String {
    let mut out = String::from("| name | label | what it tells |\n| --- | --- | --- |\n");
    for metric in METRICS {
        let (name, labels, help) = (metric.name, metric.labels(), metric.help);
        let _ = writeln!(out, "| `{name}` | {labels} | {help} |");
    }
    out
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "what may be missing and what never is are read alike"
)]
fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}
