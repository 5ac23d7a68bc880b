//! A log line for each fact: what changes what a person would do is `info` or above, the rest is `debug`.

use super::{About, GapNews};
use crate::market::{Instrument, cut};
use crate::stream::{DataFact, Fact, TransportFact, WhenFull};
use crate::supervise::{BreakerState, Notice, Transition};
use tracing::{debug, error, info, warn};

/// The name of an instrument is cut to so many characters: one of Polymarket has 77.
const LONGEST_NAME: usize = 80;

macro_rules! line {
    ($level:ident, $about:expr, $($rest:tt)+) => {
        $level!(
            stream = $about.cells.info().stream.as_str(),
            venue = $about.cells.venue().name(),
            connection = $about.further(),
            trace_id = $about.trace.map(tracing::field::display),
            $($rest)+
        )
    };
}

#[derive(Default)]
pub(super) struct Memory {
    /// One frame of garbage is news, the next thousand are not: told once for each connection.
    told_parse_error: bool,
    gaps: GapNews,
    checksums: GapNews,
}

pub(super) fn write(about: About<'_>, memory: &mut Memory, fact: &Fact) {
    match fact {
        Fact::Supervisor(notice) => {
            if matches!(notice, Notice::Attempt { .. } | Notice::Renewing { .. }) {
                memory.told_parse_error = false;
            }
            notice_line(about, notice);
        }
        Fact::Transport(TransportFact::Endpoint(endpoint)) => {
            line!(
                info,
                about,
                server_address = endpoint.host(),
                server_port = endpoint.port(),
                "on to another endpoint"
            );
        }
        Fact::Transport(TransportFact::Peer(address)) => line!(debug, about, %address, "reached"),
        Fact::Transport(TransportFact::PhaseBegan(phase)) => {
            line!(debug, about, phase = phase.as_str(), "phase begins");
        }
        Fact::Transport(TransportFact::Answered { status }) => line!(debug, about, status, "upgrade answered"),
        Fact::Transport(TransportFact::PhaseEnded { phase, took }) => {
            line!(
                debug,
                about,
                phase = phase.as_str(),
                took_ms = took.as_millis(),
                "phase over"
            );
        }
        Fact::Transport(TransportFact::Certificate { not_after }) => line!(debug, about, not_after, "certificate"),
        Fact::Transport(TransportFact::RoundTrip(took)) => line!(debug, about, took_ms = took.as_millis(), "pong"),
        Fact::Transport(TransportFact::WaitedAtGate(waited)) => {
            line!(
                debug,
                about,
                waited_ms = waited.as_millis(),
                "waited at the gate of the host"
            );
        }
        Fact::Transport(TransportFact::WaitsAtGate { time, reason, planned }) => {
            let (wait_ms, reason) = (time.as_millis(), reason.as_str());
            if *planned {
                line!(
                    info,
                    about,
                    wait_ms,
                    reason,
                    "a planned reconnect waits at the gate of the host"
                );
            } else {
                line!(info, about, wait_ms, reason, "a dial waits at the gate of the host");
            }
        }
        Fact::Transport(TransportFact::Panicked { message }) => {
            line!(
                error,
                about,
                message,
                "panic: the connection is given up, the stream goes on"
            );
        }
        Fact::Data(fact) => data_line(about, memory, fact),
    }
}

fn data_line(about: About<'_>, memory: &mut Memory, fact: &DataFact) {
    match fact {
        DataFact::QueueFull(WhenFull::DropOldest) => {
            line!(warn, about, "the consumer is too slow: the oldest events are dropped");
        }
        DataFact::QueueFull(WhenFull::Block) => {
            line!(
                warn,
                about,
                "the consumer is too slow: nothing is read, and no ping is sent or answered"
            );
        }
        DataFact::CaughtUp { dropped, after } => {
            line!(
                info,
                about,
                dropped,
                after_ms = after.as_millis(),
                "the consumer has caught up"
            );
        }
        DataFact::Subscriptions { desired, active } => {
            line!(debug, about, desired, active, "subscriptions");
        }
        DataFact::SubscriptionFailed {
            reason,
            instruments,
            some,
            detail,
        } => {
            line!(
                warn,
                about,
                reason = reason.as_str(),
                instruments,
                names = named(some, *instruments),
                detail = told(detail),
                "instruments not subscribed"
            );
        }
        DataFact::SequenceGap { missed } => {
            if memory.gaps.is_news(about.at.mono) {
                line!(
                    warn,
                    about,
                    missed,
                    "events are missing, by their numbers; for a minute more gaps are only counted"
                );
            } else {
                line!(debug, about, missed, "events are missing");
            }
        }
        DataFact::ChecksumFailed => {
            if memory.checksums.is_news(about.at.mono) {
                line!(
                    warn,
                    about,
                    "a book is not the venue's, by its checksum; for a minute more such are only counted"
                );
            } else {
                line!(debug, about, "a book is not the venue's");
            }
        }
        DataFact::Resync => line!(info, about, "subscribing anew for what is missing"),
        DataFact::Leaving { detail } => {
            line!(
                info,
                about,
                detail = told(detail),
                "the venue will end the connection: another one is made first"
            );
        }
        DataFact::Ended { instruments } => line!(info, about, instruments, "instruments have ended"),
        DataFact::ParseError(reason) => {
            if std::mem::replace(&mut memory.told_parse_error, true) {
                line!(debug, about, %reason, "frame not understood");
            } else {
                line!(warn, about, %reason, "frame not understood; later ones of this connection are only counted");
            }
        }
    }
}

fn notice_line(about: About<'_>, notice: &Notice) {
    match notice {
        Notice::Attempt { number, kind } => line!(info, about, number, kind = kind.as_str(), "dialling"),
        Notice::Connected => line!(debug, about, "connected, subscribing"),
        Notice::AttemptFailed { cause, .. } if cause.is_on_purpose() => {
            line!(info, about, cause = cause.as_str(), "attempt given up");
        }
        Notice::AttemptFailed { stage, cause, detail } => {
            line!(
                warn,
                about,
                cause = cause.as_str(),
                stage = stage.as_str(),
                detail = told(detail),
                "attempt failed"
            );
        }
        Notice::Up { accepted: 0, refused } => {
            line!(
                warn,
                about,
                accepted = 0,
                refused,
                "live, but the venue knows none of the instruments"
            );
        }
        Notice::Up { accepted, refused } => line!(info, about, accepted, refused, "live"),
        Notice::Stable => line!(info, about, "stable"),
        Notice::Lost { cause, detail } if cause.is_on_purpose() => {
            line!(
                info,
                about,
                cause = cause.as_str(),
                detail = told(detail),
                "connection ended"
            );
        }
        Notice::Lost { cause, detail } => line!(
            warn,
            about,
            cause = cause.as_str(),
            detail = told(detail),
            "connection lost"
        ),
        Notice::Renewing { .. }
        | Notice::SuccessorConnected
        | Notice::RenewalFailed { .. }
        | Notice::Renewed { .. }
        | Notice::TakenOver { .. } => renewal_line(about, notice),
        Notice::Stale => line!(warn, about, "stale: live, but no data"),
        Notice::Fresh => line!(info, about, "no longer stale"),
        Notice::BackingOff { delay, failures, .. } => {
            line!(info, about, delay_ms = delay.as_millis(), failures, "backing off");
        }
        Notice::CoolingDown { .. } => line!(info, about, "the breaker is still open"),
        Notice::Held { due, .. } => {
            let turn_in_ms = due.saturating_duration_since(about.at.mono).as_millis();
            line!(debug, about, turn_in_ms, "waiting at the gate of the host");
        }
        Notice::Breaker(transition) => breaker_line(about, transition),
        Notice::Reset => line!(info, about, "failure count cleared"),
        Notice::Policy { threshold, .. } => line!(info, about, threshold, "another policy is in force"),
        Notice::Idle => line!(info, about, "idle: nothing to subscribe to"),
        Notice::Stopped => line!(info, about, "stopped"),
    }
}

/// What becomes of the connection that is to take over.
fn renewal_line(about: About<'_>, notice: &Notice) {
    match notice {
        Notice::Renewing { number } => {
            line!(
                info,
                about,
                number,
                kind = "planned",
                "dialling: another connection is to take over"
            );
        }
        Notice::SuccessorConnected => line!(debug, about, "the other one is connected, subscribing"),
        Notice::RenewalFailed { cause, due: None, .. } => {
            line!(info, about, cause = cause.as_str(), "planned reconnect given up");
        }
        Notice::RenewalFailed {
            stage,
            cause,
            detail,
            due: Some(due),
        } => {
            let again_in_ms = due.saturating_duration_since(about.at.mono).as_millis();
            line!(
                warn,
                about,
                cause = cause.as_str(),
                stage = stage.as_str(),
                detail = told(detail),
                again_in_ms,
                "planned reconnect failed: the connection stays"
            );
        }
        Notice::Renewed { accepted, refused } => {
            line!(info, about, accepted, refused, "another connection has taken over");
        }
        Notice::TakenOver { stage, failures } => {
            line!(
                info,
                about,
                stage = stage.as_str(),
                failures,
                "the dial under way is to end the outage"
            );
        }
        _ => {}
    }
}

/// No field at all where there is nothing to tell.
fn told(detail: &str) -> Option<&str> {
    Some(detail).filter(|detail| !detail.is_empty())
}

/// Some of so many instruments.
fn named(some: &[Instrument], all: usize) -> Option<String> {
    let mut names: Vec<_> = some.iter().map(|one| cut(one.as_str(), LONGEST_NAME)).collect();
    if names.is_empty() {
        return None;
    }
    if all > some.len() {
        names.push(format!("and {} more", all - some.len()));
    }
    Some(names.join(", "))
}

fn breaker_line(about: About<'_>, transition: &Transition) {
    let Transition {
        from,
        to,
        trigger,
        failures,
    } = *transition;
    let trigger = trigger.as_str();
    match (from, to) {
        (BreakerState::Closed, BreakerState::Open { until }) => {
            let probe_in_ms = until.saturating_duration_since(about.at.mono).as_millis();
            line!(error, about, trigger, failures, probe_in_ms, "breaker tripped");
        }
        (_, BreakerState::Open { until }) => {
            let probe_in_ms = until.saturating_duration_since(about.at.mono).as_millis();
            line!(warn, about, trigger, failures, probe_in_ms, "breaker open again");
        }
        (_, BreakerState::HalfOpen) => line!(info, about, trigger, failures, "breaker half-open: one probe"),
        (_, BreakerState::Closed) => line!(info, about, trigger, "breaker closed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_names_are_told_and_how_many_more_there_are() {
        let some = ["a", "b\u{1b}", &"c".repeat(100)].map(Instrument::new);
        let long = format!("{}\u{2026}", "c".repeat(79));
        assert_eq!(named(&some, 3), Some(format!("a, b , {long}")));
        assert_eq!(named(&some[..1], 12), Some("a, and 11 more".to_owned()));
        assert_eq!(named(&[], 12), None);
    }
}
