//! Decides when to dial, wait, trip and give up: a pure state machine.
//!
//! No clock, no socket and no randomness of its own: time comes in as an argument and chance from a seed, so that everything
//! about backoff, breaker and deadlines is tested in microseconds. [`Supervisor::action`] says what to do next and is derived
//! from the phase, so asking twice changes nothing; [`Supervisor::apply`] moves the phase and returns what happened.
//! [`Supervisor::renewal`] says what to do beside that, where a live connection is to be replaced before it ends.
//! [`HostGate`] decides what the streams of one host share: how fast they dial, and which of them probes for all.

mod backoff;
mod breaker;
mod dialogue;
mod failing;
mod gate;
mod limit;
mod machine;
mod notice;
mod phase;
mod policy;
mod renewal;

pub use backoff::Backoff;
pub use breaker::{BreakerState, CircuitBreaker, Transition, Trigger};
pub use dialogue::{Action, Input, Renewal};
pub use gate::{Dial, HostGate, Standing, Turn};
pub use limit::DialLimit;
pub use machine::Supervisor;
pub use notice::{AttemptKind, Notice, Notices, Stage, State};
pub use policy::{OnStale, Policy, PolicyError};

pub(crate) use machine::RETRY_AFTER_CAP;
use std::time::{Duration, Instant};

/// `from + wait`, or a year later where that overflows: nothing waits longer.
pub fn later(from: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    from.checked_add(wait).unwrap_or_else(|| from + YEAR)
}
