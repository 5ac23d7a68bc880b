//! The circuit breaker: stops dialling a venue that keeps failing, and lets one probe through after the cooldown.

use super::later;
use std::fmt;
use std::time::{Duration, Instant};

/// The breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Dials pass.
    Closed,
    /// No dial until `until`.
    Open {
        /// When the probe is due.
        until: Instant,
    },
    /// One probe is under way, or live and not yet stable.
    HalfOpen,
}

impl BreakerState {
    /// The index of [`BreakerState::Open`].
    pub const OPEN: usize = 1;
    /// The names in the order of [`BreakerState::index`].
    pub const NAMES: [&'static str; 3] = ["closed", "open", "half_open"];

    /// The position in [`BreakerState::NAMES`].
    pub const fn index(self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Open { .. } => Self::OPEN,
            Self::HalfOpen => 2,
        }
    }

    /// The name in labels and in the API.
    pub const fn as_str(self) -> &'static str {
        let [closed, open, half_open] = Self::NAMES;
        match self {
            Self::Closed => closed,
            Self::Open { .. } => open,
            Self::HalfOpen => half_open,
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

closed_set! {
    /// Why the breaker moved.
    pub enum Trigger {
        /// As many failures in a row as the threshold.
        ConsecutiveFailures => "consecutive_failures",
        /// A cause that redialling cannot heal, or a `Retry-After` longer than `retry_after_max`.
        FatalError => "fatal_error",
        /// The cooldown is over: time for the probe.
        CooldownElapsed => "cooldown_elapsed",
        /// The probe failed, or its connection was lost before it was stable.
        ProbeFailed => "probe_failed",
        /// The probe's connection is stable.
        Stable => "stable",
        /// Reset by hand.
        Reset => "reset",
    }
}

/// A move of the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: BreakerState,
    /// The state now.
    pub to: BreakerState,
    /// Why.
    pub trigger: Trigger,
    /// The failures in a row at that moment.
    pub failures: u32,
}

/// Counts failures in a row, and opens at a threshold.
///
/// Only [`CircuitBreaker::stable`] and [`CircuitBreaker::reset`] clear the count: a venue that accepts and closes again has
/// not recovered.
///
/// ```
/// use feedwatch::supervise::{BreakerState, CircuitBreaker, Trigger};
/// use std::time::{Duration, Instant};
///
/// let (cooldown, now) = (Duration::from_secs(300), Instant::now());
/// let mut breaker = CircuitBreaker::new();
/// assert_eq!(breaker.fail(2, false, cooldown, now), None);
/// let trip = breaker.fail(2, false, cooldown, now).unwrap();
/// assert_eq!((trip.trigger, trip.failures), (Trigger::ConsecutiveFailures, 2));
///
/// // One probe, and not before the cooldown is over.
/// assert_eq!(breaker.try_probe(now), None);
/// assert!(breaker.try_probe(now + cooldown).is_some());
/// assert_eq!(breaker.state(), BreakerState::HalfOpen);
/// assert_eq!(breaker.stable().unwrap().to, BreakerState::Closed);
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    state: BreakerState,
    failures: u32,
}

impl CircuitBreaker {
    /// A closed breaker without failures.
    pub const fn new() -> Self {
        Self {
            state: BreakerState::Closed,
            failures: 0,
        }
    }

    /// The state.
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// The failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure. Opens for `cooldown` when the count reaches `threshold` or `fatal` is set, or when half-open.
    pub fn fail(&mut self, threshold: u32, fatal: bool, cooldown: Duration, now: Instant) -> Option<Transition> {
        self.failures = self.failures.saturating_add(1);
        let trigger = match self.state {
            BreakerState::HalfOpen => Trigger::ProbeFailed,
            BreakerState::Closed if fatal => Trigger::FatalError,
            BreakerState::Closed if self.failures >= threshold => Trigger::ConsecutiveFailures,
            BreakerState::Closed | BreakerState::Open { .. } => return None,
        };
        Some(self.go(
            BreakerState::Open {
                until: later(now, cooldown),
            },
            trigger,
        ))
    }

    /// A probe that ended for a reason which is not the venue's: reopens without counting. No effect unless half-open.
    pub fn abandon_probe(&mut self, cooldown: Duration, now: Instant) -> Option<Transition> {
        matches!(self.state, BreakerState::HalfOpen).then(|| {
            self.go(
                BreakerState::Open {
                    until: later(now, cooldown),
                },
                Trigger::ProbeFailed,
            )
        })
    }

    /// Half-opens when the cooldown is over: the caller sends exactly one probe.
    pub fn try_probe(&mut self, now: Instant) -> Option<Transition> {
        match self.state {
            BreakerState::Open { until } if until <= now => {
                Some(self.go(BreakerState::HalfOpen, Trigger::CooldownElapsed))
            }
            _ => None,
        }
    }

    /// A connection is stable: clears the count, and closes a half-open breaker.
    pub fn stable(&mut self) -> Option<Transition> {
        self.failures = 0;
        matches!(self.state, BreakerState::HalfOpen).then(|| self.go(BreakerState::Closed, Trigger::Stable))
    }

    /// Clears the count and closes the breaker by hand.
    pub fn reset(&mut self) -> Option<Transition> {
        self.failures = 0;
        (self.state != BreakerState::Closed).then(|| self.go(BreakerState::Closed, Trigger::Reset))
    }

    fn go(&mut self, to: BreakerState, trigger: Trigger) -> Transition {
        let from = std::mem::replace(&mut self.state, to);
        Transition {
            from,
            to,
            trigger,
            failures: self.failures,
        }
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(5);

    fn start() -> Instant {
        crate::clock::Moment::now().mono
    }

    #[test]
    fn three_failures_trip_a_threshold_of_three() {
        let (mut breaker, now) = (CircuitBreaker::new(), start());
        assert_eq!(breaker.fail(3, false, COOLDOWN, now), None);
        assert_eq!(breaker.fail(3, false, COOLDOWN, now), None);
        let trip = breaker.fail(3, false, COOLDOWN, now).unwrap();
        assert_eq!((trip.trigger, trip.failures), (Trigger::ConsecutiveFailures, 3));
        assert_eq!(breaker.state(), BreakerState::Open { until: now + COOLDOWN });
    }

    #[test]
    fn after_the_cooldown_exactly_one_probe_and_a_failed_one_reopens() {
        let (mut breaker, now) = (CircuitBreaker::new(), start());
        breaker.fail(1, false, COOLDOWN, now).unwrap();
        assert_eq!(
            breaker.try_probe(now + COOLDOWN.saturating_sub(Duration::from_nanos(1))),
            None
        );
        assert_eq!(breaker.try_probe(now + COOLDOWN).unwrap().to, BreakerState::HalfOpen);
        assert_eq!(breaker.try_probe(now + COOLDOWN * 9), None, "the second probe at once");
        assert_eq!(
            breaker.fail(1, false, COOLDOWN, now + COOLDOWN).unwrap().trigger,
            Trigger::ProbeFailed
        );
        assert_eq!(
            breaker.state(),
            BreakerState::Open {
                until: now + COOLDOWN * 2
            }
        );
    }

    #[test]
    fn a_stable_probe_closes_and_clears() {
        let (mut breaker, now) = (CircuitBreaker::new(), start());
        breaker.fail(1, false, COOLDOWN, now).unwrap();
        breaker.try_probe(now + COOLDOWN).unwrap();
        assert_eq!(breaker.stable().unwrap().to, BreakerState::Closed);
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn a_reset_restores_all() {
        let (mut breaker, now) = (CircuitBreaker::new(), start());
        breaker.fail(1, false, COOLDOWN, now).unwrap();
        assert_eq!(breaker.reset().unwrap().trigger, Trigger::Reset);
        assert_eq!((breaker.state(), breaker.failures()), (BreakerState::Closed, 0));
        assert_eq!(
            breaker.fail(2, false, COOLDOWN, now),
            None,
            "counts from the start again"
        );
    }
}
