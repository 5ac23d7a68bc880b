//! A log line for each fact: what changes what a person would do is `info` or above, the rest is `debug`.

use crate::clock::Moment;
use crate::metrics::StreamCells;
use crate::stream::{DataFact, Fact, TransportFact};
use crate::supervise::{BreakerState, Notice, Transition};
use tracing::{debug, error, info, warn};

#[derive(Default)]
pub(super) struct Memory {
    /// One frame of garbage is news, the next thousand are not: told once for each connection.
    told_parse_error: bool,
}

pub(super) fn write(cells: &StreamCells, memory: &mut Memory, at: Moment, fact: &Fact) {
    let (stream, venue) = (cells.info().stream.as_str(), cells.venue().name());
    match fact {
        Fact::Supervisor(notice) => {
            if matches!(notice, Notice::Attempt { .. }) {
                memory.told_parse_error = false;
            }
            notice_line(stream, venue, at, notice);
        }
        Fact::Transport(TransportFact::Peer(address)) => debug!(stream, venue, %address, "reached"),
        Fact::Transport(TransportFact::PhaseBegan(phase)) => {
            debug!(stream, venue, phase = phase.as_str(), "phase begins");
        }
        Fact::Transport(TransportFact::Answered { status }) => debug!(stream, venue, status, "upgrade answered"),
        Fact::Transport(TransportFact::PhaseEnded { phase, took }) => {
            debug!(
                stream,
                venue,
                phase = phase.as_str(),
                took_ms = took.as_millis(),
                "phase over"
            );
        }
        Fact::Transport(TransportFact::Certificate { not_after }) => debug!(stream, venue, not_after, "certificate"),
        Fact::Transport(TransportFact::RoundTrip(took)) => debug!(stream, venue, took_ms = took.as_millis(), "pong"),
        Fact::Data(DataFact::Subscriptions { desired, active }) => {
            debug!(stream, venue, desired, active, "subscriptions");
        }
        Fact::Data(DataFact::SubscriptionFailed { reason, instruments }) => {
            warn!(
                stream,
                venue,
                reason = reason.as_str(),
                instruments,
                "instruments not subscribed"
            );
        }
        Fact::Data(DataFact::Ended { instruments }) => info!(stream, venue, instruments, "instruments have ended"),
        Fact::Data(DataFact::ParseError(reason)) => {
            if std::mem::replace(&mut memory.told_parse_error, true) {
                debug!(stream, venue, %reason, "frame not understood");
            } else {
                warn!(stream, venue, %reason, "frame not understood; later ones of this connection are only counted");
            }
        }
    }
}

fn notice_line(stream: &str, venue: &str, at: Moment, notice: &Notice) {
    match notice {
        Notice::Attempt { number, kind } => info!(stream, venue, number, kind = kind.as_str(), "dialling"),
        Notice::Connected => debug!(stream, venue, "connected, subscribing"),
        Notice::AttemptFailed { cause, .. } if cause.is_on_purpose() => {
            info!(stream, venue, cause = cause.as_str(), "attempt given up");
        }
        Notice::AttemptFailed { stage, cause, detail } => {
            warn!(
                stream,
                venue,
                cause = cause.as_str(),
                stage = stage.as_str(),
                detail = told(detail),
                "attempt failed"
            );
        }
        Notice::Up { accepted: 0, refused } => {
            warn!(
                stream,
                venue,
                accepted = 0,
                refused,
                "live, but the venue knows none of the instruments"
            );
        }
        Notice::Up { accepted, refused } => info!(stream, venue, accepted, refused, "live"),
        Notice::Stable => info!(stream, venue, "stable"),
        Notice::Lost { cause, detail } if cause.is_on_purpose() => {
            info!(
                stream,
                venue,
                cause = cause.as_str(),
                detail = told(detail),
                "connection ended"
            );
        }
        Notice::Lost { cause, detail } => warn!(
            stream,
            venue,
            cause = cause.as_str(),
            detail = told(detail),
            "connection lost"
        ),
        Notice::Stale => warn!(stream, venue, "stale: live, but no data"),
        Notice::Fresh => info!(stream, venue, "data again"),
        Notice::BackingOff { delay, failures, .. } => {
            info!(stream, venue, delay_ms = delay.as_millis(), failures, "backing off");
        }
        Notice::CoolingDown { .. } => info!(stream, venue, "the breaker is still open"),
        Notice::Breaker(transition) => breaker_line(stream, venue, at, transition),
        Notice::Reset => info!(stream, venue, "failure count cleared by hand"),
        Notice::Policy { threshold, .. } => info!(stream, venue, threshold, "another policy is in force"),
        Notice::Idle => info!(stream, venue, "idle: nothing to subscribe to"),
        Notice::Stopped => info!(stream, venue, "stopped"),
    }
}

/// No field at all where there is nothing to tell.
fn told(detail: &str) -> Option<&str> {
    Some(detail).filter(|detail| !detail.is_empty())
}

fn breaker_line(stream: &str, venue: &str, at: Moment, transition: &Transition) {
    let Transition {
        from,
        to,
        trigger,
        failures,
    } = *transition;
    let trigger = trigger.as_str();
    match (from, to) {
        (BreakerState::Closed, BreakerState::Open { until }) => {
            let probe_in_ms = until.saturating_duration_since(at.mono).as_millis();
            error!(stream, venue, trigger, failures, probe_in_ms, "breaker tripped");
        }
        (_, BreakerState::Open { until }) => {
            let probe_in_ms = until.saturating_duration_since(at.mono).as_millis();
            warn!(stream, venue, trigger, failures, probe_in_ms, "breaker open again");
        }
        (_, BreakerState::HalfOpen) => info!(stream, venue, trigger, failures, "breaker half-open: one probe"),
        (_, BreakerState::Closed) => info!(stream, venue, trigger, "breaker closed"),
    }
}
