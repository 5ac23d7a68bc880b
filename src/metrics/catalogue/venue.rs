//! Metrics that the streams of a venue share.

use super::Value::{Float, Int};
use super::{CONTROL_FRAMES, Exemplars, Kind, Labels, Metric, Source, Value, buckets, one, two};
use crate::market::DialPhase;
use crate::metrics::histogram::Histogram;
use crate::metrics::venue::VenueCells;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub(super) const METRICS: &[Metric] = &[
    histogram(
        "feedwatch_reconnect_delay_seconds",
        buckets::RECONNECT_DELAY,
        "Delays chosen before a redial, after jitter",
        Labels::None,
        |venue, _| Some(&venue.reconnect_delay),
    )
    .with_exemplars(Exemplars::Buckets),
    histogram(
        "feedwatch_outage_duration_seconds",
        buckets::OUTAGE_DURATION,
        "Outages, observed when live again",
        Labels::None,
        |venue, _| Some(&venue.outage_duration),
    )
    .with_exemplars(Exemplars::Buckets),
    histogram(
        "feedwatch_message_latency_seconds",
        buckets::MESSAGE_LATENCY,
        "From the venue's event time to receipt",
        Labels::None,
        |venue, _| Some(&venue.message_latency),
    ),
    metric(
        "feedwatch_message_clock_skew_total",
        Kind::Counter,
        "Events whose venue time lies in the future or more than a day ago; not in the latency histogram",
        Labels::None,
        |venue, _| Int(venue.clock_skew.load(Relaxed)),
    ),
    metric(
        "feedwatch_control_frames_total",
        Kind::Counter,
        "WebSocket control frames; a venue's own text pings are none",
        Labels::Closed {
            names: &["opcode", "direction"],
            series: || two(&CONTROL_FRAMES),
        },
        |venue, i| Int(venue.control_frames.get(i).map_or(0, |cell| cell.load(Relaxed))),
    ),
    metric(
        "feedwatch_task_restarts_total",
        Kind::Counter,
        "Panics of the venue's adapter or of the transport: the stream goes on, with another connection",
        Labels::None,
        |venue, _| Int(venue.task_restarts.load(Relaxed)),
    ),
    metric(
        "feedwatch_sequence_missed_total",
        Kind::Counter,
        "Events that were missing in gaps, where the numbers tell how many",
        Labels::None,
        |venue, _| Int(venue.sequence_missed.load(Relaxed)),
    ),
    metric(
        "feedwatch_resyncs_total",
        Kind::Counter,
        "Instruments that were subscribed to anew because something of them was missing",
        Labels::None,
        |venue, _| Int(venue.resyncs.load(Relaxed)),
    ),
    histogram(
        "feedwatch_connect_duration_seconds",
        buckets::CONNECT_DURATION,
        "Phases of attempts, ended well or ill",
        Labels::Closed {
            names: &["phase"],
            series: || one(DialPhase::ALL.iter().map(|phase| phase.as_str())),
        },
        |venue, i| venue.connect_duration.get(i),
    ),
    histogram(
        "feedwatch_connection_duration_seconds",
        buckets::CONNECTION_DURATION,
        "Lives of connections, observed when they end",
        Labels::None,
        |venue, _| Some(&venue.connection_duration),
    ),
    histogram(
        "feedwatch_ping_rtt_seconds",
        buckets::PING_RTT,
        "From a ping to its pong",
        Labels::None,
        |venue, _| Some(&venue.ping_rtt),
    ),
    metric(
        "feedwatch_dial_limiter_wait_seconds_total",
        Kind::Counter,
        "Time that dials waited at the gate of their host: for their turn, for the end of a Retry-After, or for another stream's probe",
        Labels::None,
        |venue, _| Float(Duration::from_nanos(venue.dial_limiter_wait.load(Relaxed)).as_secs_f64()),
    ),
    metric(
        "feedwatch_tls_certificate_not_after_timestamp_seconds",
        Kind::Gauge,
        "When the certificate seen last ends; 0 = none seen",
        Labels::None,
        |venue, _| Int(venue.certificate_not_after.load(Relaxed)),
    ),
];

const fn metric(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    labels: Labels,
    read: fn(&VenueCells, usize) -> Value,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
        source: Source::Venue(read),
        exemplars: Exemplars::None,
    }
}

const fn histogram(
    name: &'static str,
    bounds: &'static [f64],
    help: &'static str,
    labels: Labels,
    read: fn(&VenueCells, usize) -> Option<&Histogram>,
) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram(bounds),
        labels,
        help,
        source: Source::Histogram(read),
        exemplars: Exemplars::None,
    }
}
