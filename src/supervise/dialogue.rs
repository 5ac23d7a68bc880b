//! What the supervisor and its driver say to each other.

use super::Policy;
use crate::market::Failure;
use std::time::Instant;

/// What to do next. Derived from the phase: asking twice changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing, until an input comes.
    Idle,
    /// Dial, and say [`Input::Connected`] or [`Input::Failed`] by the deadline.
    Connect {
        /// When the dial has failed.
        deadline: Instant,
    },
    /// Subscribe, and say [`Input::Subscribed`] or [`Input::Failed`] by the deadline.
    Subscribe {
        /// When the subscription has failed.
        deadline: Instant,
    },
    /// Receive; say [`Input::Data`] for data, and [`Input::Elapsed`] when the deadline has passed and nothing is left to read.
    Receive {
        /// When something is due even without data.
        deadline: Option<Instant>,
    },
    /// Wait, then say [`Input::Elapsed`]; or [`Input::Held`], and that later, where the gate of the host says so.
    Wait {
        /// When the next dial is due, as far as this stream alone is concerned.
        due: Instant,
    },
    /// Close and end.
    Stop,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// There is something to subscribe to. No effect unless idle.
    Start,
    /// There is nothing (left) to subscribe to.
    Idle,
    /// The upgrade was answered.
    Connected,
    /// The subscriptions were answered.
    Subscribed {
        /// Instruments in effect.
        accepted: usize,
        /// Instruments left out or refused.
        refused: usize,
    },
    /// Market data came.
    Data,
    /// The attempt failed, or the connection was lost.
    Failed(Failure),
    /// The attempt failed at one endpoint, and another is left: the same, but a fatal cause trips nothing by itself.
    TurnedAway(Failure),
    /// The deadline of the action may have passed. Too early is harmless.
    Elapsed,
    /// A dial is due, and the gate of the host lets it through no sooner than then. No effect unless idle, which it ends, or
    /// waiting.
    Held {
        /// When it may be asked again.
        due: Instant,
    },
    /// From now on another policy. When a live stream is stable or stale follows it at once; a wait, a dial or a
    /// subscription that has begun keeps its deadline.
    Policy(Box<Policy>),
    /// Reconnect now. No effect unless the breaker is closed: reset it first.
    Reconnect,
    /// Close the breaker and clear the failure count; if it was open, dial now.
    ResetBreaker,
    /// End for good.
    Stop,
    /// The same, of a stream that nobody wants any more while the program goes on.
    Retire,
}
