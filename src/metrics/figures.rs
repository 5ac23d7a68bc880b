//! What changes when a stream moves: its state, its counters, and the clocks that run in some states only.

use super::catalogue::{TRANSITIONS, TRIP_TRIGGERS};
use super::exemplar::ExemplarWords;
use super::seqlock::cells;
use crate::market::{Cause, DecodeError, SubscriptionFailure};
use crate::supervise::{AttemptKind, BreakerState, State};

cells! {
    /// Times are nanoseconds since the stream's origin; of those that may be missing 0 means never or none.
    Figures, FigureCells {
        /// State, breaker and staleness in one word: see [`Figures::pack`].
        phase: u64,
        state_since: u64,
        /// Until when the clocks below have been counted.
        settled: u64,
        up: u64,
        down: u64,
        stale: u64,
        open: u64,
        attempts: u64,
        redials: [u64; AttemptKind::REDIALS.len()],
        failures: [u64; Cause::COUNT],
        losses: [u64; Cause::COUNT],
        /// The position in [`Cause::ALL`], plus one; 0 = none.
        last_cause: u64,
        last_cause_at: u64,
        outages: u64,
        outage_since: u64,
        delay: u64,
        next_attempt: u64,
        trips: [u64; TRIP_TRIGGERS.len()],
        /// The trip of each trigger that was traced last.
        traced_trips: [ExemplarWords; TRIP_TRIGGERS.len()],
        transitions: [u64; TRANSITIONS.len()],
        open_until: u64,
        consecutive_failures: u64,
        threshold: u64,
        stale_episodes: u64,
        stale_after: u64,
        instrument_stale_after: u64,
        /// Connections that are live, and that are meant to be.
        live: u64,
        meant: u64,
        desired: u64,
        active: u64,
        subscription_failures: [u64; SubscriptionFailure::COUNT],
        parse_errors: [u64; DecodeError::COUNT],
        sequence_gaps: u64,
        checksum_failures: u64,
    }
}

impl Figures {
    const STATE: u64 = 0xff;
    const BREAKER_SHIFT: u32 = 8;
    const STALE: u64 = 1 << 16;

    pub(super) fn state(&self) -> State {
        Self::unpack_state(self.phase)
    }

    pub(super) fn unpack_state(phase: u64) -> State {
        let index = usize::try_from(phase & Self::STATE).unwrap_or(0);
        State::ALL.get(index).copied().unwrap_or(State::Idle)
    }

    /// The position in [`BreakerState::NAMES`].
    pub(super) const fn breaker(&self) -> u64 {
        (self.phase >> Self::BREAKER_SHIFT) & 0xff
    }

    pub(super) const fn is_stale(&self) -> bool {
        self.phase & Self::STALE != 0
    }

    /// Only a live stream is stale.
    pub(super) fn pack(&mut self, state: State, breaker: u64, no_data: bool) {
        let stale_bit = if no_data && state == State::Live {
            Self::STALE
        } else {
            0
        };
        self.phase = state.index() as u64 | breaker << Self::BREAKER_SHIFT | stale_bit;
    }

    fn is_observed(&self) -> bool {
        !matches!(self.state(), State::Idle | State::Stopped)
    }

    /// Adds the time since the last change to the clocks that ran. A `now` before it adds nothing.
    pub(super) fn settle(&mut self, now: u64) {
        let passed = now.saturating_sub(self.settled);
        self.settled = self.settled.max(now);
        if self.state() == State::Live {
            self.up = self.up.saturating_add(passed);
            if self.is_stale() {
                self.stale = self.stale.saturating_add(passed);
            }
        } else if self.is_observed() {
            self.down = self.down.saturating_add(passed);
        }
        if self.breaker() == BreakerState::OPEN as u64 {
            self.open = self.open.saturating_add(passed);
        }
    }
}

/// The name of the breaker's state that stands in [`Figures`].
pub(super) fn breaker_name(breaker: u64) -> &'static str {
    let index = usize::try_from(breaker).unwrap_or(usize::MAX);
    BreakerState::NAMES.get(index).copied().unwrap_or_default()
}
