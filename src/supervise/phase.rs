//! What a supervisor is in the middle of.

use std::time::Instant;

/// What is under way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Idle,
    Connecting { since: Instant },
    Subscribing { since: Instant },
    Live(Live),
    Waiting { due: Instant },
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
