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

/// What to do beside receiving: how a live connection is replaced before it ends, without a gap. Derived from the phase as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing: the stream is not live, or its breaker is not closed, or nobody wants another connection.
    None,
    /// Wait, then say [`Input::Renew`] when it is this stream's turn.
    Wait {
        /// When another connection is due.
        due: Instant,
    },
    /// Dial another connection, and say [`Input::SuccessorConnected`] or [`Input::SuccessorFailed`] by the deadline.
    Connect {
        /// When the dial has failed.
        deadline: Instant,
    },
    /// Subscribe on it, and say [`Input::SuccessorSubscribed`] or [`Input::SuccessorFailed`] by the deadline.
    Subscribe {
        /// When the subscription has failed.
        deadline: Instant,
    },
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
    /// Replace the connection while it lives. No effect unless live with a closed breaker, nor while that is under way.
    Renew,
    /// The upgrade of the successor was answered.
    SuccessorConnected,
    /// The subscriptions on the successor were answered: it takes over.
    SuccessorSubscribed {
        /// Instruments in effect.
        accepted: usize,
        /// Instruments left out or refused.
        refused: usize,
    },
    /// The successor cannot go live. The connection stays.
    SuccessorFailed(Failure),
    /// The same, and another endpoint is left: a loss does not have to wait for as long as this one wants to be left alone.
    SuccessorTurnedAway(Failure),
    /// Close the breaker and clear the failure count; if it was open, dial now.
    ResetBreaker,
    /// End for good.
    Stop,
    /// The same, of a stream that nobody wants any more while the program goes on.
    Retire,
}
