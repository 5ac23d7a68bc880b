//! What happened, as the supervisor reports it: each thing once.

use super::{BreakerState, Transition};
use crate::market::Cause;
use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, Instant};

/// Why a dial was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptKind {
    /// The first dial of the stream.
    First,
    /// After a backoff delay.
    Backoff,
    /// After a cooldown, through the half-open breaker.
    Probe,
    /// Asked for: a reconnect, or a reset of the breaker.
    Forced,
    /// After the stream had nothing to subscribe to, or to replace a connection while it lives.
    Planned,
}

impl AttemptKind {
    /// The kinds of a redial, in the order of [`AttemptKind::redial_index`].
    pub const REDIALS: &'static [&'static str] = &["backoff", "probe", "forced", "planned"];

    /// The name in logs and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Backoff => "backoff",
            Self::Probe => "probe",
            Self::Forced => "forced",
            Self::Planned => "planned",
        }
    }

    /// The position in [`AttemptKind::REDIALS`]; `None` for the first dial.
    pub const fn redial_index(self) -> Option<usize> {
        match self {
            Self::First => None,
            Self::Backoff => Some(0),
            Self::Probe => Some(1),
            Self::Forced => Some(2),
            Self::Planned => Some(3),
        }
    }
}

impl fmt::Display for AttemptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

closed_set! {
    /// Where an attempt failed.
    pub enum Stage {
        /// Before the upgrade was answered.
        Connect => "connect",
        /// Upgraded, but not subscribed.
        Subscribe => "subscribe",
    }
}

closed_set! {
    /// What a stream is doing.
    pub enum State {
        /// Nothing to subscribe to, or not started.
        Idle => "idle",
        /// Dialling.
        Connecting => "connecting",
        /// Upgraded, waiting for the subscriptions to be answered.
        Subscribing => "subscribing",
        /// Upgraded, and each subscription answered.
        Live => "live",
        /// Waiting for the next dial.
        BackingOff => "backing_off",
        /// Waiting for the breaker's cooldown to end.
        CoolingDown => "cooling_down",
        /// Ended for good.
        Stopped => "stopped",
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A dial starts.
    Attempt {
        /// Counts the dials since the stream was last live: 1, 2, ...
        number: u32,
        /// Why it is made.
        kind: AttemptKind,
    },
    /// The upgrade was answered; the subscriptions are sent.
    Connected,
    /// The attempt is over, without success.
    AttemptFailed {
        /// How far it came.
        stage: Stage,
        /// Why it failed.
        cause: Cause,
        /// A sentence for the log.
        detail: Cow<'static, str>,
    },
    /// Live.
    Up {
        /// Instruments in effect.
        accepted: usize,
        /// Instruments that the venue left out or refused.
        refused: usize,
    },
    /// Live for `stable_after` without a loss: the failure count is cleared.
    Stable,
    /// A live connection was lost.
    Lost {
        /// Why.
        cause: Cause,
        /// A sentence for the log.
        detail: Cow<'static, str>,
    },
    /// Another connection is dialled, beside the one that is live: a dial of the kind [`AttemptKind::Planned`].
    Renewing {
        /// Counts the dials of this renewal: 1, 2, ...
        number: u32,
    },
    /// The upgrade of the successor was answered; the subscriptions are sent.
    SuccessorConnected,
    /// The dial of the successor is over, without success, and the connection stays. No failure of the stream.
    RenewalFailed {
        /// How far it came.
        stage: Stage,
        /// Why it failed.
        cause: Cause,
        /// A sentence for the log.
        detail: Cow<'static, str>,
        /// When the next one is due; `None` = the renewal is given up.
        due: Option<Instant>,
    },
    /// The successor is live and takes over: the stream is live as it was, and the connection before is lost on purpose, with
    /// the cause `planned`.
    Renewed {
        /// Instruments in effect.
        accepted: usize,
        /// Instruments that the venue left out or refused.
        refused: usize,
    },
    /// The connection was lost while its successor was dialled: that dial is now the one that ends the outage.
    TakenOver {
        /// How far it has come.
        stage: Stage,
        /// The failures in a row.
        failures: u32,
    },
    /// Live, and no data for `stale_after`.
    Stale,
    /// Data again after [`Notice::Stale`], or another policy that allows the silence.
    Fresh,
    /// The next dial waits.
    BackingOff {
        /// How long, after jitter.
        delay: Duration,
        /// Until when.
        due: Instant,
        /// The failures in a row.
        failures: u32,
    },
    /// There is something to subscribe to again, but the breaker is still open.
    CoolingDown {
        /// When the probe is due.
        due: Instant,
    },
    /// The next dial waits for its turn at the gate of its host. Told again when that changes.
    Held {
        /// When the turn comes, as far as is known.
        due: Instant,
        /// What the stream is doing meanwhile: backing off, or cooling down.
        state: State,
    },
    /// The breaker moved.
    Breaker(Transition),
    /// The failure count was cleared by hand.
    Reset,
    /// Another policy is in force.
    Policy {
        /// So many failures in a row trip the breaker.
        threshold: u32,
        /// Live without data for so long is stale; `None` = never.
        stale_after: Option<Duration>,
        /// The same of each instrument.
        instrument_stale_after: Option<Duration>,
    },
    /// Nothing (left) to subscribe to.
    Idle,
    /// Ended for good.
    Stopped,
}

/// What one input brought about, in order. Empty for most inputs, and then nothing is allocated.
pub type Notices = Vec<Notice>;

impl Notice {
    /// The state that a stream is in after this notice; `None` where it is the same as before.
    pub const fn state(&self) -> Option<State> {
        match self {
            Self::Attempt { .. } => Some(State::Connecting),
            Self::Connected => Some(State::Subscribing),
            Self::Up { .. } => Some(State::Live),
            Self::TakenOver { stage, .. } => Some(match stage {
                Stage::Connect => State::Connecting,
                Stage::Subscribe => State::Subscribing,
            }),
            Self::BackingOff { .. } => Some(State::BackingOff),
            Self::CoolingDown { .. }
            | Self::Breaker(Transition {
                to: BreakerState::Open { .. },
                ..
            }) => Some(State::CoolingDown),
            Self::Held { state, .. } => Some(*state),
            Self::Idle => Some(State::Idle),
            Self::Stopped => Some(State::Stopped),
            Self::AttemptFailed { .. }
            | Self::Stable
            | Self::Lost { .. }
            | Self::Renewing { .. }
            | Self::SuccessorConnected
            | Self::RenewalFailed { .. }
            | Self::Renewed { .. }
            | Self::Stale
            | Self::Fresh
            | Self::Reset
            | Self::Policy { .. }
            | Self::Breaker(_) => None,
        }
    }
}
