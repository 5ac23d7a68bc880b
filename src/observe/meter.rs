//! What a fact changes in the metrics.

use crate::clock::Moment;
use crate::market::TraceId;
use crate::metrics::{StreamCells, StreamWriter};
use crate::stream::{DataFact, Fact, TransportFact};
use crate::supervise::{BreakerState, Notice, State, Transition};
use std::time::Instant;

#[derive(Default)]
pub(super) struct Memory {
    /// Not live since then, and supposed to be.
    down: Option<Instant>,
    /// In an outage since then. A start is one only once an attempt has failed.
    outage: Option<Instant>,
    live: Option<Instant>,
}

pub(super) fn record(cells: &StreamCells, memory: &mut Memory, at: Moment, fact: &Fact, trace: Option<TraceId>) {
    match fact {
        Fact::Supervisor(notice) => {
            observe_durations(cells, memory, at, notice, trace);
            cells.update(at.mono, |writer| write_notice(writer, memory, at, notice, trace));
        }
        // An address and a status are nothing for a label, a phase is counted at its end; what has ended is told by the
        // subscriptions that are left, and a queue counts by itself, frame by frame.
        Fact::Transport(TransportFact::Peer(_) | TransportFact::PhaseBegan(_) | TransportFact::Answered { .. })
        | Fact::Data(DataFact::Ended { .. } | DataFact::QueueFull(_) | DataFact::CaughtUp { .. }) => {}
        Fact::Transport(TransportFact::PhaseEnded { phase, took }) => cells.venue().connect_phase(*phase, *took),
        Fact::Transport(TransportFact::Certificate { not_after }) => {
            cells.venue().set_certificate_not_after(*not_after);
        }
        Fact::Transport(TransportFact::Panicked { .. }) => cells.venue().task_restarted(),
        Fact::Transport(TransportFact::RoundTrip(took)) => cells.venue().ping_rtt.observe(*took),
        Fact::Data(DataFact::Subscriptions { desired, active }) => {
            cells.update(at.mono, |writer| writer.subscriptions(*desired, *active));
        }
        Fact::Data(DataFact::SubscriptionFailed { reason, instruments }) => {
            cells.update(at.mono, |writer| writer.subscription_failed(*reason, *instruments));
        }
        Fact::Data(DataFact::ParseError(reason)) => cells.update(at.mono, |writer| writer.parse_error(*reason)),
    }
}

/// The histograms of the venue.
fn observe_durations(cells: &StreamCells, memory: &mut Memory, at: Moment, notice: &Notice, trace: Option<TraceId>) {
    let now = at.mono;
    match notice {
        Notice::BackingOff { delay, .. } => cells.venue().reconnect_delay.observe_traced(*delay, at, trace),
        Notice::Up { .. } => {
            if let Some(since) = memory.outage {
                let took = now.saturating_duration_since(since);
                cells.venue().outage_duration.observe_traced(took, at, trace);
            }
        }
        Notice::Lost { .. } => {
            if let Some(since) = memory.live.take() {
                cells
                    .venue()
                    .connection_duration
                    .observe(now.saturating_duration_since(since));
            }
        }
        _ => {}
    }
}

fn write_notice(writer: &mut StreamWriter, memory: &mut Memory, at: Moment, notice: &Notice, trace: Option<TraceId>) {
    let now = at.mono;
    match notice {
        Notice::Attempt { kind, .. } => {
            memory.down.get_or_insert(now);
            writer.attempt(kind.redial_index());
        }
        Notice::Connected => writer.set_state(State::Subscribing),
        Notice::AttemptFailed { cause, .. } => {
            writer.attempt_failed(*cause);
            if let (Some(since), true) = (memory.down, cause.is_outage()) {
                begin_outage(writer, memory, since);
            }
        }
        Notice::Up { .. } => {
            writer.live_made();
            end_outage(writer, memory);
            memory.live = Some(now);
        }
        Notice::Stable | Notice::Reset => writer.consecutive_failures(0),
        Notice::Policy { threshold, stale_after } => {
            writer.threshold(*threshold);
            writer.stale_after(*stale_after);
        }
        Notice::Lost { cause, .. } => {
            writer.lost(*cause);
            memory.down = Some(now);
            if cause.is_outage() {
                begin_outage(writer, memory, now);
            }
        }
        Notice::Stale => writer.set_stale(true),
        Notice::Fresh => writer.set_stale(false),
        Notice::BackingOff { delay, due, failures } => {
            memory.down.get_or_insert(now);
            writer.set_state(State::BackingOff);
            writer.consecutive_failures(*failures);
            writer.set_wait(Some((*delay, *due)));
        }
        Notice::CoolingDown { due } => {
            memory.down.get_or_insert(now);
            cool_down(writer, now, *due);
        }
        Notice::Breaker(transition) => write_transition(writer, at, transition, trace),
        Notice::Idle => {
            writer.set_state(State::Idle);
            end_outage(writer, memory);
        }
        Notice::Stopped => {
            writer.set_state(State::Stopped);
            end_outage(writer, memory);
        }
    }
}

fn write_transition(writer: &mut StreamWriter, at: Moment, transition: &Transition, trace: Option<TraceId>) {
    writer.transition(transition.from, transition.to);
    writer.set_breaker(transition.to);
    writer.consecutive_failures(transition.failures);
    if let BreakerState::Open { until } = transition.to {
        if transition.from == BreakerState::Closed {
            writer.tripped(transition.trigger, at, trace);
        }
        cool_down(writer, at.mono, until);
    }
}

fn cool_down(writer: &mut StreamWriter, now: Instant, until: Instant) {
    writer.set_state(State::CoolingDown);
    writer.set_wait(Some((until.saturating_duration_since(now), until)));
}

fn begin_outage(writer: &mut StreamWriter, memory: &mut Memory, since: Instant) {
    if memory.outage.is_none() {
        memory.outage = Some(since);
        writer.outage_began(since);
    }
}

fn end_outage(writer: &mut StreamWriter, memory: &mut Memory) {
    memory.down = None;
    memory.outage = None;
    writer.outage_ended();
}
