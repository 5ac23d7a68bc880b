//! Metrics of which each stream has its own.

use super::Kind::{Counter, Gauge};
use super::Value::{Float, Int};
use super::{Exemplars, Kind, Labels, Metric, Part, Source, TRANSITIONS};
use super::{TRIP_TRIGGERS, Value, attempt_causes, loss_causes, one, two};
use crate::market::{Cause, DecodeError, EventKind, SubscriptionFailure};
use crate::metrics::exemplar::ExemplarWords;
use crate::metrics::queue::QueueSnapshot;
use crate::metrics::snapshot::StreamSnapshot;
use crate::supervise::{AttemptKind, BreakerState, State};
use std::sync::LazyLock;

pub(super) const METRICS: &[Metric] = &[
    metric(
        "feedwatch_stream_info",
        Gauge,
        "Who the stream is, for joins: always 1",
        Labels::Info {
            names: &["server_address", "transport", "page_on_stale"],
        },
        |_, _| Int(1),
    ),
    metric(
        "feedwatch_stream_connected",
        Gauge,
        "1 while live: upgraded, and each subscription answered",
        Labels::None,
        |stream, _| flag(stream.is_live()),
    ),
    metric(
        "feedwatch_stream_state",
        Gauge,
        "What the stream is doing: exactly one state is 1",
        Labels::Closed {
            names: &["state"],
            series: || one(State::ALL.iter().map(|state| state.as_str())),
        },
        |stream, i| flag(stream.state().index() == i),
    ),
    metric(
        "feedwatch_connect_attempts_total",
        Counter,
        "Dials started, the first one included",
        Labels::None,
        |stream, _| Int(stream.figures.attempts),
    ),
    metric(
        "feedwatch_connect_failures_total",
        Counter,
        "Dials that failed",
        Labels::Closed {
            names: &["cause"],
            series: || one(attempt_causes().map(Cause::as_str)),
        },
        |stream, i| {
            static CAUSES: LazyLock<Vec<Cause>> = LazyLock::new(|| attempt_causes().collect());
            of_cause(&stream.figures.failures, CAUSES.get(i))
        },
    ),
    metric(
        "feedwatch_reconnect_attempts_total",
        Counter,
        "Dials after the first one, by why they were made",
        Labels::Closed {
            names: &["kind"],
            series: || one(AttemptKind::REDIALS.iter().copied()),
        },
        |stream, i| at(&stream.figures.redials, i),
    ),
    metric(
        "feedwatch_reconnect_current_delay_seconds",
        Gauge,
        "The delay that is being waited for; 0 when not waiting",
        Labels::None,
        |stream, _| seconds(stream.figures.delay),
    ),
    metric(
        "feedwatch_reconnect_next_attempt_timestamp_seconds",
        Gauge,
        "When the next dial is due; 0 when none is",
        Labels::None,
        |stream, _| time(stream.next_attempt()),
    ),
    metric(
        "feedwatch_breaker_state",
        Gauge,
        "The circuit breaker's state: exactly one is 1",
        Labels::Closed {
            names: &["state"],
            series: || one(BreakerState::NAMES.iter().copied()),
        },
        |stream, i| flag(stream.figures.breaker() == i as u64),
    ),
    metric(
        "feedwatch_breaker_trips_total",
        Counter,
        "Moves of the breaker from closed to open",
        Labels::Closed {
            names: &["trigger"],
            series: || one(TRIP_TRIGGERS.iter().map(|trigger| trigger.as_str())),
        },
        |stream, i| at(&stream.figures.trips, i),
    )
    .with_exemplars(Exemplars::Stream(|stream, i| {
        stream.figures.traced_trips.get(i).and_then(ExemplarWords::exemplar)
    })),
    metric(
        "feedwatch_breaker_transitions_total",
        Counter,
        "Moves of the breaker, resets by hand included",
        Labels::Closed {
            names: &["from", "to"],
            series: || two(&TRANSITIONS),
        },
        |stream, i| at(&stream.figures.transitions, i),
    ),
    metric(
        "feedwatch_breaker_open_until_timestamp_seconds",
        Gauge,
        "When the breaker lets a probe through; 0 unless open",
        Labels::None,
        |stream, _| time(stream.breaker_open_until()),
    ),
    metric(
        "feedwatch_breaker_open_seconds_total",
        Counter,
        "Time that the breaker spent open; grows while it is",
        Labels::None,
        |stream, _| seconds(stream.figures.open),
    ),
    metric(
        "feedwatch_breaker_consecutive_failures",
        Gauge,
        "Failures in a row; cleared when a connection is stable",
        Labels::None,
        |stream, _| Int(stream.figures.consecutive_failures),
    ),
    metric(
        "feedwatch_breaker_failure_threshold",
        Gauge,
        "Failures in a row at which the breaker trips",
        Labels::None,
        |stream, _| Int(stream.figures.threshold),
    ),
    metric(
        "feedwatch_disconnects_total",
        Counter,
        "Losses of a live connection",
        Labels::Closed {
            names: &["cause"],
            series: || one(loss_causes().map(Cause::as_str)),
        },
        |stream, i| {
            static CAUSES: LazyLock<Vec<Cause>> = LazyLock::new(|| loss_causes().collect());
            of_cause(&stream.figures.losses, CAUSES.get(i))
        },
    ),
    metric(
        "feedwatch_outages_total",
        Counter,
        "Outages begun, failed starts included",
        Labels::None,
        |stream, _| Int(stream.figures.outages),
    ),
    metric(
        "feedwatch_outage_start_timestamp_seconds",
        Gauge,
        "When the outage began; 0 outside one",
        Labels::None,
        |stream, _| time(stream.outage_since()),
    ),
    metric(
        "feedwatch_stream_up_seconds_total",
        Counter,
        "Time live: numerator of the availability",
        Labels::None,
        |stream, _| seconds(stream.figures.up),
    ),
    metric(
        "feedwatch_stream_observed_seconds_total",
        Counter,
        "Time live or meant to be, idle and stopped left out: denominator of the availability",
        Labels::None,
        |stream, _| seconds(stream.figures.up.saturating_add(stream.figures.down)),
    ),
    metric(
        "feedwatch_connections_live",
        Gauge,
        "Connections of the stream that are live",
        Labels::None,
        |stream, _| Int(stream.figures.live),
    ),
    metric(
        "feedwatch_connections_desired",
        Gauge,
        "Connections that the stream is meant to have",
        Labels::None,
        |stream, _| Int(stream.figures.meant),
    ),
    metric(
        "feedwatch_frames_received_total",
        Counter,
        "Frames received, of every opcode",
        Labels::None,
        |stream, _| Int(stream.traffic.frames_received),
    ),
    metric(
        "feedwatch_frames_sent_total",
        Counter,
        "Frames sent, of every opcode",
        Labels::None,
        |stream, _| Int(stream.traffic.frames_sent),
    ),
    metric(
        "feedwatch_received_bytes_total",
        Counter,
        "Bytes of payload received",
        Labels::None,
        |stream, _| Int(stream.traffic.received_bytes),
    ),
    metric(
        "feedwatch_sent_bytes_total",
        Counter,
        "Bytes of payload sent",
        Labels::None,
        |stream, _| Int(stream.traffic.sent_bytes),
    ),
    metric(
        "feedwatch_messages_total",
        Counter,
        "Events received; a frame holds none, one or many",
        Labels::Closed {
            names: &["kind"],
            series: || one(EventKind::ALL.iter().map(|kind| kind.as_str())),
        },
        |stream, i| at(&stream.traffic.messages, i),
    ),
    metric(
        "feedwatch_parse_errors_total",
        Counter,
        "Frames that could not be decoded; the connection is kept",
        Labels::Closed {
            names: &["reason"],
            series: || one(DecodeError::ALL.iter().map(|reason| reason.as_str())),
        },
        |stream, i| at(&stream.figures.parse_errors, i),
    ),
    of_part(
        Part::Sequences,
        "feedwatch_sequence_gaps_total",
        Counter,
        "Times that events were missing, by the numbers that the venue gives them; only where it does",
        |stream| Int(stream.figures.sequence_gaps),
    ),
    of_part(
        Part::Checksums,
        "feedwatch_checksum_failures_total",
        Counter,
        "Books that were not the venue's, by the checksum that it sends; only where they are compared",
        |stream| Int(stream.figures.checksum_failures),
    ),
    metric(
        "feedwatch_last_frame_timestamp_seconds",
        Gauge,
        "When the last frame came, of every opcode; 0 = never",
        Labels::None,
        |stream, _| time(stream.last_frame()),
    ),
    metric(
        "feedwatch_last_data_timestamp_seconds",
        Gauge,
        "When the last market data came; 0 = never",
        Labels::None,
        |stream, _| time(stream.last_data()),
    ),
    metric(
        "feedwatch_stream_stale",
        Gauge,
        "1 while live without data for longer than the threshold, counted from the last data or from going live",
        Labels::None,
        |stream, _| flag(stream.is_stale()),
    ),
    metric(
        "feedwatch_stream_stale_seconds_total",
        Counter,
        "Time live but stale",
        Labels::None,
        |stream, _| seconds(stream.figures.stale),
    ),
    metric(
        "feedwatch_stale_episodes_total",
        Counter,
        "Times that the stream became stale",
        Labels::None,
        |stream, _| Int(stream.figures.stale_episodes),
    ),
    metric(
        "feedwatch_stale_after_seconds",
        Gauge,
        "For how long the stream may be live without data; 0 = off",
        Labels::None,
        |stream, _| seconds(stream.figures.stale_after),
    ),
    metric(
        "feedwatch_subscriptions_desired",
        Gauge,
        "Instruments asked for",
        Labels::None,
        |stream, _| Int(stream.figures.desired),
    ),
    metric(
        "feedwatch_subscriptions_active",
        Gauge,
        "Instruments that the venue accepted",
        Labels::None,
        |stream, _| Int(stream.figures.active),
    ),
    metric(
        "feedwatch_subscriptions_stale",
        Gauge,
        "Instruments in effect that have been silent for longer than the threshold; 0 where there is none",
        Labels::None,
        |stream, _| Int(stream.stale_instruments()),
    ),
    metric(
        "feedwatch_subscription_oldest_data_timestamp_seconds",
        Gauge,
        "When data of the most silent instrument in effect came last; 0 = never, or none is in effect",
        Labels::None,
        |stream, _| time(stream.oldest_data()),
    ),
    metric(
        "feedwatch_subscription_failures_total",
        Counter,
        "Subscriptions of an instrument that did not come into effect",
        Labels::Closed {
            names: &["reason"],
            series: || one(SubscriptionFailure::ALL.iter().map(|reason| reason.as_str())),
        },
        |stream, i| at(&stream.figures.subscription_failures, i),
    ),
    metric(
        "feedwatch_names_watched",
        Gauge,
        "Names that the stream watches, and that are looked up; 0 where it has instruments alone",
        Labels::None,
        |stream, _| Int(stream.names().0),
    ),
    metric(
        "feedwatch_names_unresolved",
        Gauge,
        "Names of which the last look-up failed, or no look-up has brought anything",
        Labels::None,
        |stream, _| Int(stream.names().1),
    ),
    metric(
        "feedwatch_name_lookup_last_success_timestamp_seconds",
        Gauge,
        "When all of the stream's names were last looked up without a failure; 0 = never, or it watches none",
        Labels::None,
        |stream, _| time(stream.names_resolved()),
    ),
    metric(
        "feedwatch_stream_lag_seconds",
        Gauge,
        "From the venue's event time to receipt, smoothed over about ten seconds; 0 = never seen",
        Labels::None,
        |stream, _| Float(stream.lag()),
    ),
    metric(
        "feedwatch_stream_clock_skew_seconds",
        Gauge,
        "How far events of the last ten seconds, twenty at most, came before the venue's time of them: by so much at least this side's clock is behind; 0 = none did",
        Labels::None,
        |stream, _| Float(stream.clock_skew()),
    ),
    of_part(
        Part::Queue,
        "feedwatch_queue_depth",
        Gauge,
        "Events that wait for the consumer; only where one is attached",
        |stream| of_queue(stream, |queue| queue.depth),
    ),
    of_part(
        Part::Queue,
        "feedwatch_queue_capacity",
        Gauge,
        "Events that may wait for the consumer; only where one is attached",
        |stream| of_queue(stream, |queue| queue.capacity),
    ),
    of_part(
        Part::Queue,
        "feedwatch_queue_dropped_total",
        Counter,
        "Frames that the consumer did not take in time, and that it has lost; only where one is attached",
        |stream| of_queue(stream, |queue| queue.dropped),
    ),
];

const fn of_part(
    part: Part,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&StreamSnapshot) -> Value,
) -> Metric {
    Metric {
        name,
        kind,
        labels: Labels::None,
        help,
        source: Source::Part(part, read),
        exemplars: Exemplars::None,
    }
}

fn of_queue(stream: &StreamSnapshot, read: fn(&QueueSnapshot) -> u64) -> Value {
    Int(stream.queue.as_ref().map_or(0, read))
}

const fn metric(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    labels: Labels,
    read: fn(&StreamSnapshot, usize) -> Value,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
        source: Source::Stream(read),
        exemplars: Exemplars::None,
    }
}

const fn flag(set: bool) -> Value {
    Int(set as u64)
}

fn seconds(nanos: u64) -> Value {
    Float(nanos as f64 / 1e9)
}

fn time(unix: Option<f64>) -> Value {
    Float(unix.unwrap_or(0.0))
}

fn at(cells: &[u64], index: usize) -> Value {
    Int(cells.get(index).copied().unwrap_or(0))
}

fn of_cause(cells: &[u64], cause: Option<&Cause>) -> Value {
    cause.map_or(Int(0), |cause| at(cells, cause.index()))
}
