//! This side's own books of one connection.

use super::journal::Journal;
use super::promise::Promise;
use feedwatch::market::Cause;
use feedwatch::supervise::{BreakerState, Notice, Stage, State};
use std::time::Instant;

/// A dial that is to take over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Successor {
    /// The network has seen it begin.
    pub(crate) dialled: bool,
}

/// What one connection does, by what it reported.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is put down for itself")]
pub(crate) struct Line {
    pub(crate) state: State,
    /// Where it dials from now on, where that was told: it is not the first.
    pub(crate) host: Option<String>,
    pub(crate) breaker: BreakerState,
    pub(crate) failures: u32,
    pub(crate) due: Option<Instant>,
    pub(crate) stale: bool,
    /// Of the instruments that were asked for.
    pub(crate) desired: usize,
    pub(crate) active: usize,
    /// Whether it has a root open in the traces.
    pub(crate) in_root: bool,
    /// The network has seen the dial that is under way.
    pub(crate) dialled: bool,
    pub(crate) successor: Option<Successor>,
    pub(crate) probed: bool,
}

impl Line {
    pub(crate) const NEW: Self = Self {
        state: State::Idle,
        host: None,
        breaker: BreakerState::Closed,
        failures: 0,
        due: None,
        stale: false,
        desired: 0,
        active: 0,
        in_root: false,
        dialled: false,
        successor: None,
        probed: false,
    };

    pub(crate) const fn go(&mut self, state: State) {
        self.state = state;
        self.due = None;
        self.stale = false;
    }

    pub(crate) const fn fail(&mut self, cause: Cause) {
        self.go(State::BackingOff);
        if cause.is_failure() {
            self.failures += 1;
        }
    }

    /// An outage has taken the dial of the successor over.
    pub(crate) fn go_on_with_successor(&mut self, stage: Stage) {
        self.dialled = self.successor.take().is_some_and(|successor| successor.dialled);
        self.go(match stage {
            Stage::Connect => State::Connecting,
            Stage::Subscribe => State::Subscribing,
            _ => unreachable!("another stage"),
        });
    }

    /// Attempts under way: its own, and that of a successor.
    pub(crate) fn in_flight(&self) -> u64 {
        u64::from(self.is_dialling()) + u64::from(self.successor.is_some())
    }

    /// Those of them that the network has not seen.
    pub(crate) fn undialled(&self) -> u64 {
        let successor = self.successor.is_some_and(|successor| !successor.dialled);
        u64::from(self.is_dialling() && !self.dialled) + u64::from(successor)
    }

    const fn is_dialling(&self) -> bool {
        matches!(self.state, State::Connecting | State::Subscribing)
    }

    /// The network sees a dial of the connection begin, beside so many of its dials and sockets.
    pub(crate) fn dial_begins(&mut self, journal: &Journal, who: &str, open: usize) {
        let open_breaker = matches!(self.breaker, BreakerState::Open { .. });
        journal.expect(Promise::BreakerHoldsDials, !open_breaker, who, || {
            format!("it dials with the breaker {}", self.breaker.as_str())
        });
        if let Some(successor) = &mut self.successor {
            successor.dialled = true;
            journal.expect(Promise::OneSocket, open <= 1, who, || {
                format!("a successor is dialled with {open} open")
            });
            return;
        }
        self.dialled = true;
        journal.expect(Promise::OneSocket, open == 0, who, || {
            format!("it dials with {open} open")
        });
        if self.breaker == BreakerState::HalfOpen {
            let probed = std::mem::replace(&mut self.probed, true);
            journal.expect(Promise::OneProbe, !probed, who, || "a second dial".into());
        }
    }
}

/// What a stream does whose connections do that, and are to carry so many instruments.
pub(crate) fn state_of(connections: &[(State, usize)]) -> State {
    let is = |wanted: State| connections.iter().any(|(state, _)| *state == wanted);
    let has_begun = |(state, _): &(State, usize)| !matches!(state, State::Idle | State::Stopped);
    if !connections.iter().any(has_begun) {
        return if is(State::Stopped) {
            State::Stopped
        } else {
            State::Idle
        };
    }
    // What a connection is to carry is missing, whether it has begun or not.
    let is_missed = |(state, instruments): &(State, usize)| *state == State::Idle && *instruments > 0;
    let is_missing = connections.iter().any(is_missed);
    let worst_first = [
        (State::CoolingDown, false),
        (State::BackingOff, false),
        (State::Connecting, is_missing),
        (State::Subscribing, false),
    ];
    let worst = worst_first.into_iter().find(|(state, as_well)| is(*state) || *as_well);
    worst.map_or(State::Live, |(state, _)| state)
}

/// The breaker of a stream whose connections have these, but for its moment.
pub(crate) fn breaker_of(breakers: &[BreakerState]) -> &'static str {
    let is_open = |breaker: &BreakerState| matches!(breaker, BreakerState::Open { .. });
    if breakers.iter().any(is_open) {
        "open"
    } else if breakers.contains(&BreakerState::HalfOpen) {
        "half_open"
    } else {
        "closed"
    }
}

/// A notice without moments, which are others in each run.
pub(crate) fn said(notice: &Notice, now: Instant) -> String {
    let left = |due: &Instant| due.saturating_duration_since(now);
    match notice {
        Notice::BackingOff { delay, failures, .. } => format!("backs off for {delay:?} after {failures} failures"),
        Notice::CoolingDown { due } => format!("goes on cooling down for {:?}", left(due)),
        Notice::Held { due, state } => format!("waits {:?} for its turn, {state}", left(due)),
        Notice::RenewalFailed { stage, cause, due, .. } => {
            let again = due.as_ref().map(left);
            format!("no renewal: {cause} at {stage}, again in {again:?}")
        }
        Notice::Breaker(moved) => {
            let (from, to) = (moved.from.as_str(), moved.to.as_str());
            format!(
                "breaker: {from} to {to} by {}, {} failures",
                moved.trigger, moved.failures
            )
        }
        notice => format!("{notice:?}"),
    }
}
