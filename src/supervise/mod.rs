//! Decides when to dial, wait, trip and give up: a pure state machine.
//!
//! No clock, no socket and no randomness of its own: time comes in as an argument and chance from a seed, so that everything
//! about backoff, breaker and deadlines is tested in microseconds. [`Supervisor::action`] says what to do next and is derived
//! from the phase, so asking twice changes nothing; [`Supervisor::apply`] moves the phase and returns what happened.
//! [`Supervisor::renewal`] says what to do beside that, where a live connection is to be replaced before it ends.
//! [`HostGate`] decides what the streams of one host share: how fast they dial, and which of them probes for all. [`Rotation`]
//! decides which of its endpoints a stream dials next.
//!
//! ```
//! use feedwatch::market::Cause;
//! use feedwatch::supervise::{Action, BreakerState, Input, Policy, State, Supervisor};
//! use std::time::{Duration, Instant};
//!
//! let policy = Policy { max_consecutive_failures: 4, jitter: 0.0, ..Policy::default() };
//! let begun = Instant::now();
//! let mut now = begun;
//! let mut supervisor = Supervisor::new(policy, 7);
//! supervisor.apply(Input::Start, now);
//!
//! // A venue that refuses every dial, and a driver that waits for nothing but what it is told to.
//! let mut dials = 0;
//! while supervisor.breaker() == BreakerState::Closed {
//!     match supervisor.action() {
//!         Action::Connect { .. } => {
//!             dials += 1;
//!             supervisor.apply(Input::Failed(Cause::TcpRefused.into()), now);
//!         }
//!         Action::Wait { due } => {
//!             now = due;
//!             supervisor.apply(Input::Elapsed, now);
//!         }
//!         action => unreachable!("{action:?}"),
//!     }
//! }
//! assert_eq!((dials, supervisor.state()), (4, State::CoolingDown));
//! assert_eq!(now - begun, Duration::from_secs(1 + 2 + 4));
//! ```
//!
//! [`Action`] and [`Turn`] may be matched without a last arm: whoever drives a supervisor or asks a gate has to know each of them,
//! so another one would be a breaking change. What is only told, [`Notice`] and its words, may grow.

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
mod rotation;

pub use backoff::Backoff;
pub use breaker::{BreakerState, CircuitBreaker, Transition, Trigger};
pub use dialogue::{Action, Input, Renewal};
pub use gate::{Dial, HostGate, Standing, Turn};
pub use limit::DialLimit;
pub use machine::Supervisor;
pub use notice::{AttemptKind, Notice, Notices, Stage, State};
pub use policy::{OnStale, Policy, PolicyError};
pub use rotation::Rotation;

pub(crate) use machine::RETRY_AFTER_CAP;
use std::time::{Duration, Instant};

/// `from + wait`, or a year later where that overflows: nothing waits longer.
pub(crate) fn later(from: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    from.checked_add(wait).unwrap_or_else(|| from + YEAR)
}
