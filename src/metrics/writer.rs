//! The words in which changes of a stream are reported.

use super::catalogue::{TRANSITIONS, TRIP_TRIGGERS};
use super::exemplar::ExemplarWords;
use super::figures::{Figures, breaker_index};
use super::stream::stamp;
use crate::clock::Moment;
use crate::market::{Cause, DecodeError, SubscriptionFailure, TraceId};
use crate::supervise::{BreakerState, State, Trigger};
use std::time::{Duration, Instant};

/// Changes a stream's figures, within [`super::StreamCells::update`].
///
/// An attempt, its failure, going live and a loss bring their state with them, so that at every moment
/// `attempts = losses + live + failures + the one in flight`.
#[derive(Debug)]
pub struct StreamWriter {
    figures: Figures,
    origin: Instant,
}

impl StreamWriter {
    /// The figures are settled: their clocks have run until now.
    pub(super) const fn new(figures: Figures, origin: Instant) -> Self {
        Self { figures, origin }
    }

    pub(super) fn into_figures(self) -> Figures {
        self.figures
    }

    /// The stream does this from now on. Ends staleness unless live, and the wait unless waiting.
    pub fn set_state(&mut self, state: State) {
        let figures = &mut self.figures;
        if figures.state() != state {
            figures.state_since = figures.settled;
        }
        figures.pack(state, figures.breaker(), figures.is_stale());
        if !figures.is_waiting() {
            self.set_wait(None);
        }
    }

    /// The breaker is in this state from now on.
    pub fn set_breaker(&mut self, breaker: BreakerState) {
        let figures = &mut self.figures;
        figures.open_until = match breaker {
            BreakerState::Open { until } => stamp(self.origin, until),
            BreakerState::Closed | BreakerState::HalfOpen => 0,
        };
        figures.pack(figures.state(), breaker_index(breaker), figures.is_stale());
    }

    /// A dial starts. `redial` is the position in [`crate::supervise::AttemptKind::REDIALS`], `None` for a first dial.
    pub fn attempt(&mut self, redial: Option<usize>) {
        add(&mut self.figures.attempts, 1);
        if let Some(cell) = redial.and_then(|index| self.figures.redials.get_mut(index)) {
            add(cell, 1);
        }
        self.set_state(State::Connecting);
    }

    /// The attempt failed. Until the next step is reported, the stream backs off.
    pub fn attempt_failed(&mut self, cause: Cause) {
        let cause = cause.of_attempt();
        if let Some(cell) = self.figures.failures.get_mut(cause.index()) {
            add(cell, 1);
        }
        self.failed(cause);
    }

    /// The attempt succeeded: live.
    pub fn live_made(&mut self) {
        self.set_state(State::Live);
    }

    /// A live connection was lost. Until the next step is reported, the stream backs off.
    pub fn lost(&mut self, cause: Cause) {
        let cause = cause.of_loss();
        if let Some(cell) = self.figures.losses.get_mut(cause.index()) {
            add(cell, 1);
        }
        self.failed(cause);
    }

    /// An outage began at `at`. No effect during one.
    pub fn outage_began(&mut self, at: Instant) {
        if self.figures.outage_since == 0 {
            add(&mut self.figures.outages, 1);
            self.figures.outage_since = stamp(self.origin, at);
        }
    }

    /// The outage is over.
    pub fn outage_ended(&mut self) {
        self.figures.outage_since = 0;
    }

    /// The next dial waits for so long, until then. `None` = it waits no more.
    pub fn set_wait(&mut self, wait: Option<(Duration, Instant)>) {
        (self.figures.delay, self.figures.next_attempt) = match wait {
            Some((delay, due)) => (nanos(delay), stamp(self.origin, due)),
            None => (0, 0),
        };
    }

    /// The breaker tripped: closed to open. Triggers that do not trip have no effect.
    ///
    /// `trace` is the trace that tells of it, if that is recorded.
    pub fn tripped(&mut self, trigger: Trigger, at: Moment, trace: Option<TraceId>) {
        let figures = &mut self.figures;
        let cells = figures.trips.iter_mut().zip(&mut figures.traced_trips);
        let of_trigger = TRIP_TRIGGERS.iter().zip(cells).find(|(trip, _)| **trip == trigger);
        if let Some((_, (trips, traced))) = of_trigger {
            add(trips, 1);
            if let Some(trace) = trace {
                *traced = ExemplarWords::new(trace, 1.0, at);
            }
        }
    }

    /// The breaker moved. Counts it; [`StreamWriter::set_breaker`] sets the state.
    pub fn transition(&mut self, from: BreakerState, to: BreakerState) {
        let pair = (from.as_str(), to.as_str());
        let index = TRANSITIONS.iter().position(|legal| *legal == pair);
        if let Some(cell) = index.and_then(|index| self.figures.transitions.get_mut(index)) {
            add(cell, 1);
        }
    }

    /// The failures in a row.
    pub fn consecutive_failures(&mut self, failures: u32) {
        self.figures.consecutive_failures = failures.into();
    }

    /// The failures in a row at which the breaker trips.
    pub fn threshold(&mut self, failures: u32) {
        self.figures.threshold = failures.into();
    }

    /// Instruments asked for, and in effect.
    pub fn subscriptions(&mut self, desired: usize, active: usize) {
        self.figures.desired = desired as u64;
        self.figures.active = active as u64;
    }

    /// So many instruments are not in effect.
    pub fn subscription_failed(&mut self, reason: SubscriptionFailure, instruments: usize) {
        if let Some(cell) = self.figures.subscription_failures.get_mut(reason.index()) {
            add(cell, instruments as u64);
        }
    }

    /// Live without data for too long, or no longer so. Only a live stream is stale.
    pub fn set_stale(&mut self, stale: bool) {
        let figures = &mut self.figures;
        let was_stale = figures.is_stale();
        figures.pack(figures.state(), figures.breaker(), stale);
        if figures.is_stale() && !was_stale {
            add(&mut figures.stale_episodes, 1);
        }
    }

    /// For how long a live stream may be without data; `None` = for ever.
    pub fn stale_after(&mut self, limit: Option<Duration>) {
        self.figures.stale_after = limit.map_or(0, nanos);
    }

    /// A frame could not be decoded.
    pub fn parse_error(&mut self, reason: DecodeError) {
        if let Some(cell) = self.figures.parse_errors.get_mut(reason.index()) {
            add(cell, 1);
        }
    }

    fn failed(&mut self, cause: Cause) {
        self.figures.last_cause = cause.index() as u64 + 1;
        self.figures.last_cause_at = self.figures.settled.max(1);
        self.set_state(State::BackingOff);
    }
}

const fn add(cell: &mut u64, more: u64) {
    *cell = cell.saturating_add(more);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
