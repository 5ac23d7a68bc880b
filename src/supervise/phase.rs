//! What a supervisor is in the middle of.

use super::AttemptKind;
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
    pub(super) since: Instant,
    /// The last data, or `since`.
    pub(super) data_clock: Instant,
    pub(super) has_data: bool,
    pub(super) stable: bool,
    pub(super) stale: bool,
}
