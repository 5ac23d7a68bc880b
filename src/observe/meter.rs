//! What a fact changes in the metrics.

use super::About;
use crate::metrics::StreamWriter;
use crate::stream::{DataFact, Fact, TransportFact};
use crate::supervise::{AttemptKind, BreakerState, Notice, State, Transition};
use std::time::Instant;

/// Of the stream.
#[derive(Default)]
pub(super) struct Memory {
    /// Not live since then, and supposed to be.
    down: Option<Instant>,
    /// In an outage since then. A start is one only once an attempt has failed.
    outage: Option<Instant>,
}

/// Of a connection.
#[derive(Default)]
pub(super) struct OfConnection {
    live: Option<Instant>,
}

pub(super) fn record(about: About<'_>, memory: &mut Memory, connection: &mut OfConnection, fact: &Fact) {
    let About { cells, at, .. } = about;
    let update = |change: &mut dyn FnMut(&mut StreamWriter)| cells.update_connection(about.number, at.mono, change);
    match fact {
        Fact::Supervisor(notice) => {
            observe_connection(about, connection, notice);
            update(&mut |writer| write_notice(writer, memory, about, notice));
            settle_outage(about, memory);
        }
        // An address and a status are nothing for a label, a phase and a wait are counted at their ends; what has ended is told
        // by the subscriptions that are left, and a queue counts by itself, frame by frame.
        Fact::Transport(
            TransportFact::Peer(_)
            | TransportFact::PhaseBegan(_)
            | TransportFact::Answered { .. }
            | TransportFact::WaitsAtGate { .. },
        )
        | Fact::Data(
            DataFact::Ended { .. } | DataFact::QueueFull(_) | DataFact::CaughtUp { .. } | DataFact::Leaving { .. },
        ) => {}
        Fact::Data(DataFact::SequenceGap { missed }) => {
            cells.venue().missed(missed.unwrap_or(0));
            update(&mut |writer| writer.sequence_gap());
        }
        Fact::Data(DataFact::ChecksumFailed) => update(&mut |writer| writer.checksum_failed()),
        Fact::Data(DataFact::Resync) => cells.venue().resynced(),
        Fact::Transport(TransportFact::Endpoint(endpoint)) => {
            cells.set_endpoint(about.number, endpoint.authority());
        }
        Fact::Transport(TransportFact::PhaseEnded { phase, took }) => cells.venue().connect_phase(*phase, *took),
        Fact::Transport(TransportFact::Certificate { not_after }) => {
            cells.venue().set_certificate_not_after(*not_after);
        }
        Fact::Transport(TransportFact::Panicked { .. }) => cells.venue().task_restarted(),
        Fact::Transport(TransportFact::RoundTrip(took)) => cells.venue().ping_rtt.observe(*took),
        Fact::Transport(TransportFact::WaitedAtGate(waited)) => cells.venue().waited_at_gate(*waited),
        Fact::Data(DataFact::Subscriptions { desired, active }) => {
            update(&mut |writer| writer.subscriptions(*desired, *active));
        }
        Fact::Data(DataFact::SubscriptionFailed {
            reason, instruments, ..
        }) => {
            update(&mut |writer| writer.subscription_failed(*reason, *instruments));
        }
        Fact::Data(DataFact::ParseError(reason)) => update(&mut |writer| writer.parse_error(*reason)),
    }
}

/// The histograms of the venue that are of single connections.
fn observe_connection(about: About<'_>, connection: &mut OfConnection, notice: &Notice) {
    let (venue, now) = (about.cells.venue(), about.at.mono);
    match notice {
        Notice::BackingOff { delay, .. } => venue.reconnect_delay.observe_traced(*delay, about.at, about.trace),
        Notice::Up { .. } => connection.live = Some(now),
        Notice::Lost { .. } => {
            if let Some(since) = connection.live.take() {
                venue.connection_duration.observe(now.saturating_duration_since(since));
            }
        }
        Notice::Renewed { .. } => {
            if let Some(since) = connection.live.replace(now) {
                venue.connection_duration.observe(now.saturating_duration_since(since));
            }
        }
        _ => {}
    }
}

/// An outage is over when every connection is live. Of a stream with nothing to do it has no length.
fn settle_outage(about: About<'_>, memory: &mut Memory) {
    let (state, now) = (about.cells.state(), about.at.mono);
    if !matches!(state, State::Live | State::Idle | State::Stopped) {
        memory.down.get_or_insert(now);
        return;
    }
    if let (Some(since), State::Live) = (memory.outage, state) {
        let took = now.saturating_duration_since(since);
        about
            .cells
            .venue()
            .outage_duration
            .observe_traced(took, about.at, about.trace);
    }
    *memory = Memory::default();
}

fn write_notice(writer: &mut StreamWriter, memory: &mut Memory, about: About<'_>, notice: &Notice) {
    let now = about.at.mono;
    match notice {
        Notice::Attempt { kind, .. } => writer.attempt(kind.redial_index()),
        Notice::Connected => writer.set_state(State::Subscribing),
        Notice::AttemptFailed { cause, .. } => {
            writer.attempt_failed(*cause);
            if cause.is_outage() {
                begin_outage(writer, memory, now);
            }
        }
        Notice::Up { .. } => writer.live_made(),
        // The connection stays as it was, live and no outage, whatever becomes of its successor.
        Notice::Renewing { .. } => writer.successor_attempt(AttemptKind::Planned.redial_index()),
        Notice::RenewalFailed { cause, .. } => writer.successor_failed(*cause),
        Notice::SuccessorConnected => {}
        Notice::Renewed { .. } => writer.renewed(),
        Notice::TakenOver { failures, .. } => {
            if let Some(state) = notice.state() {
                writer.set_state(state);
            }
            writer.consecutive_failures(*failures);
        }
        Notice::Stable | Notice::Reset => writer.consecutive_failures(0),
        Notice::Policy {
            threshold,
            stale_after,
            instrument_stale_after,
        } => {
            writer.threshold(*threshold);
            writer.stale_after(*stale_after);
            writer.instrument_stale_after(*instrument_stale_after);
        }
        Notice::Lost { cause, .. } => {
            writer.lost(*cause);
            if cause.is_outage() {
                begin_outage(writer, memory, now);
            }
        }
        Notice::Stale => writer.set_stale(true),
        Notice::Fresh => writer.set_stale(false),
        Notice::BackingOff { delay, due, failures } => {
            writer.set_state(State::BackingOff);
            writer.consecutive_failures(*failures);
            writer.set_wait(Some((*delay, *due)));
        }
        Notice::CoolingDown { due } => cool_down(writer, now, *due),
        // A start that may not dial yet is as much down as one that does.
        Notice::Held { due, state } => {
            writer.set_state(*state);
            writer.set_wait(Some((due.saturating_duration_since(now), *due)));
        }
        Notice::Breaker(transition) => write_transition(writer, about, transition),
        Notice::Idle => writer.set_state(State::Idle),
        Notice::Stopped => writer.set_state(State::Stopped),
    }
}

fn write_transition(writer: &mut StreamWriter, about: About<'_>, transition: &Transition) {
    writer.breaker_moved(transition, about.at, about.trace);
    if let BreakerState::Open { until } = transition.to {
        cool_down(writer, about.at.mono, until);
    }
}

fn cool_down(writer: &mut StreamWriter, now: Instant, until: Instant) {
    writer.set_state(State::CoolingDown);
    writer.set_wait(Some((until.saturating_duration_since(now), until)));
}

/// Since the stream is down, which it may have been before this.
fn begin_outage(writer: &mut StreamWriter, memory: &mut Memory, now: Instant) {
    let since = *memory.down.get_or_insert(now);
    memory.outage.get_or_insert(since);
    writer.outage_began(since);
}
