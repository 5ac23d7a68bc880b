//! What a supervisor is in the middle of.

use super::{AttemptKind, Stage};
use std::time::Instant;

/// What is under way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Idle,
    Connecting {
        since: Instant,
    },
    Subscribing {
        since: Instant,
    },
    Live(Live),
    /// For a dial of this kind, or for a probe where the breaker is open.
    Waiting {
        due: Instant,
        kind: AttemptKind,
    },
    Stopped,
}

/// A live connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    /// A renewal is no loss: what was live before it still is.
    pub(super) since: Instant,
    /// Since when there is the connection that carries it now.
    pub(super) born: Instant,
    /// What makes its greatest age another than that of the next one: 0 to 1.
    pub(super) chance: f64,
    /// The last data, or `since`.
    pub(super) data_clock: Instant,
    /// Of the time since then.
    pub(super) has_data: bool,
    pub(super) stable: bool,
    pub(super) stale: bool,
    pub(super) successor: Successor,
    /// Successors in a row that did not go live.
    pub(super) failed_successors: u32,
}

/// The connection that is to take a live one's place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Successor {
    /// There is none, and none has failed.
    None,
    /// The last one failed, and the next is tried then. Until `rest` the venue wants to be left alone by any dial.
    Waiting {
        due: Instant,
        rest: Instant,
    },
    Connecting {
        since: Instant,
    },
    Subscribing {
        since: Instant,
    },
}

impl Successor {
    /// How far it has come; `None` = nothing is under way.
    pub(super) const fn stage(self) -> Option<Stage> {
        match self {
            Self::None | Self::Waiting { .. } => None,
            Self::Connecting { .. } => Some(Stage::Connect),
            Self::Subscribing { .. } => Some(Stage::Subscribe),
        }
    }
}
