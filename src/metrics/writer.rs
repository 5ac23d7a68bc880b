//! The words in which changes of a stream are reported.

use super::catalogue::{TRANSITIONS, TRIP_TRIGGERS};
use super::connections::{Connection, Connections};
use super::exemplar::ExemplarWords;
use super::figures::{Figures, breaker_name};
use super::stream::stamp;
use crate::clock::Moment;
use crate::market::{Cause, DecodeError, SubscriptionFailure, TraceId};
use crate::supervise::{BreakerState, State, Transition, Trigger};
use std::time::{Duration, Instant};

/// Changes a stream's figures by what one of its connections does, within [`super::StreamCells::update`].
///
/// An attempt, its failure, going live and a loss bring their state with them, so that at every moment
/// `attempts = losses + live + failures + those in flight`. One that is to take over from a live connection is in flight beside it.
#[derive(Debug)]
pub struct StreamWriter {
    figures: Figures,
    connection: Connection,
    /// The breaker of the connection opened.
    opened: Option<Opened>,
    origin: Instant,
}

#[derive(Debug)]
struct Opened {
    trigger: Trigger,
    at: Moment,
    trace: Option<TraceId>,
}

impl StreamWriter {
    /// The figures are settled: their clocks have run until now.
    pub(super) const fn new(figures: Figures, connection: Connection, origin: Instant) -> Self {
        Self {
            figures,
            connection,
            opened: None,
            origin,
        }
    }

    /// The figures of the stream, with what its connections add up to. What has an edge is counted at the edges of the sum.
    pub(super) fn finish(self, number: u32, connections: &mut Connections) -> Figures {
        let mut figures = self.figures;
        let (state, breaker, was_stale) = (figures.state(), figures.breaker(), figures.is_stale());
        connections.set(number, self.connection);
        connections.add_up(&mut figures);
        if figures.state() != state {
            figures.state_since = figures.settled;
        }
        if matches!(figures.state(), State::Live | State::Idle | State::Stopped) {
            figures.outage_since = 0;
        }
        if figures.is_stale() && !was_stale {
            add(&mut figures.stale_episodes, 1);
        }
        count_transition(&mut figures, breaker, self.opened);
        figures
    }

    /// The connection does this from now on. Ends staleness unless live, and the wait unless waiting.
    pub fn set_state(&mut self, state: State) {
        self.connection.state = state;
        self.connection.stale &= state == State::Live;
        if !matches!(state, State::BackingOff | State::CoolingDown) {
            self.set_wait(None);
        }
    }

    /// The breaker of the connection moved. The stream's trips when the first one opens, and is closed when all are.
    ///
    /// `trace` is the trace that tells of it, if that is recorded.
    pub fn breaker_moved(&mut self, moved: &Transition, at: Moment, trace: Option<TraceId>) {
        let connection = &mut self.connection;
        connection.breaker = moved.to.index() as u64;
        connection.consecutive_failures = moved.failures.into();
        connection.open_until = 0;
        if let BreakerState::Open { until } = moved.to {
            connection.open_until = stamp(self.origin, until);
            let trigger = moved.trigger;
            self.opened = Some(Opened { trigger, at, trace });
        }
    }

    /// A dial starts. `redial` is the position in [`crate::supervise::AttemptKind::REDIALS`], `None` for a first dial.
    pub fn attempt(&mut self, redial: Option<usize>) {
        self.successor_attempt(redial);
        self.set_state(State::Connecting);
    }

    /// The same of one that is to take over from a live connection, which stays as it is.
    pub fn successor_attempt(&mut self, redial: Option<usize>) {
        add(&mut self.figures.attempts, 1);
        if let Some(cell) = redial.and_then(|index| self.figures.redials.get_mut(index)) {
            add(cell, 1);
        }
    }

    /// The attempt failed. Until the next step is reported, the connection backs off.
    pub fn attempt_failed(&mut self, cause: Cause) {
        self.successor_failed(cause);
        self.set_state(State::BackingOff);
    }

    /// The same of one that was to take over from a live connection, which stays as it is.
    pub fn successor_failed(&mut self, cause: Cause) {
        let cause = cause.of_attempt();
        if let Some(cell) = self.figures.failures.get_mut(cause.index()) {
            add(cell, 1);
        }
        self.last_cause(cause);
    }

    /// The attempt succeeded: live.
    pub fn live_made(&mut self) {
        self.set_state(State::Live);
    }

    /// A live connection was lost. Until the next step is reported, the connection backs off.
    pub fn lost(&mut self, cause: Cause) {
        self.ended(cause.of_loss());
        self.set_state(State::BackingOff);
    }

    /// A live connection ended on purpose, when another one had taken over: still live.
    pub fn renewed(&mut self) {
        self.ended(Cause::Planned);
    }

    /// An outage began at `at`. No effect during one. It ends by itself when the stream is live, idle or stopped.
    pub fn outage_began(&mut self, at: Instant) {
        if self.figures.outage_since == 0 {
            add(&mut self.figures.outages, 1);
            self.figures.outage_since = stamp(self.origin, at);
        }
    }

    /// The next dial waits for so long, until then. `None` = it waits no more.
    pub fn set_wait(&mut self, wait: Option<(Duration, Instant)>) {
        (self.connection.delay, self.connection.next_attempt) = match wait {
            Some((delay, due)) => (nanos(delay), stamp(self.origin, due)),
            None => (0, 0),
        };
    }

    /// The failures in a row.
    pub fn consecutive_failures(&mut self, failures: u32) {
        self.connection.consecutive_failures = failures.into();
    }

    /// The failures in a row at which the breaker trips.
    pub fn threshold(&mut self, failures: u32) {
        self.figures.threshold = failures.into();
    }

    /// Instruments asked for, and in effect.
    pub fn subscriptions(&mut self, desired: usize, active: usize) {
        self.connection.desired = desired as u64;
        self.connection.active = active as u64;
    }

    /// So many instruments are not in effect.
    pub fn subscription_failed(&mut self, reason: SubscriptionFailure, instruments: usize) {
        if let Some(cell) = self.figures.subscription_failures.get_mut(reason.index()) {
            add(cell, instruments as u64);
        }
    }

    /// Live without data for too long, or no longer so. Only a live connection is stale.
    pub fn set_stale(&mut self, stale: bool) {
        self.connection.stale = stale && self.connection.state == State::Live;
    }

    /// For how long a live stream may be without data; `None` = for ever.
    pub fn stale_after(&mut self, limit: Option<Duration>) {
        self.figures.stale_after = limit.map_or(0, nanos);
    }

    /// For how long an instrument may be without data; `None` = for ever.
    pub fn instrument_stale_after(&mut self, limit: Option<Duration>) {
        self.figures.instrument_stale_after = limit.map_or(0, nanos);
    }

    /// A frame could not be decoded.
    pub fn parse_error(&mut self, reason: DecodeError) {
        if let Some(cell) = self.figures.parse_errors.get_mut(reason.index()) {
            add(cell, 1);
        }
    }

    /// Events are missing, by the numbers that the venue gives them.
    pub const fn sequence_gap(&mut self) {
        add(&mut self.figures.sequence_gaps, 1);
    }

    /// A book is not the venue's, by the checksum that it sends.
    pub const fn checksum_failed(&mut self) {
        add(&mut self.figures.checksum_failures, 1);
    }

    fn ended(&mut self, cause: Cause) {
        if let Some(cell) = self.figures.losses.get_mut(cause.index()) {
            add(cell, 1);
        }
        self.last_cause(cause);
    }

    const fn last_cause(&mut self, cause: Cause) {
        self.figures.last_cause = cause.index() as u64 + 1;
        self.figures.last_cause_at = if self.figures.settled == 0 {
            1
        } else {
            self.figures.settled
        };
    }
}

/// Counts the move of the stream's breaker from what it was `before`, if it moved.
fn count_transition(figures: &mut Figures, before: u64, opened: Option<Opened>) {
    let pair = (breaker_name(before), breaker_name(figures.breaker()));
    let index = TRANSITIONS.iter().position(|legal| *legal == pair);
    if let Some(cell) = index.and_then(|index| figures.transitions.get_mut(index)) {
        add(cell, 1);
    }
    let Some(Opened { trigger, at, trace }) = opened.filter(|_| before == 0) else {
        return;
    };
    let cells = figures.trips.iter_mut().zip(&mut figures.traced_trips);
    let of_trigger = TRIP_TRIGGERS.iter().zip(cells).find(|(trip, _)| **trip == trigger);
    if let Some((_, (trips, traced))) = of_trigger {
        add(trips, 1);
        if let Some(trace) = trace {
            *traced = ExemplarWords::new(trace, 1.0, at);
        }
    }
}

const fn add(cell: &mut u64, more: u64) {
    *cell = cell.saturating_add(more);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
