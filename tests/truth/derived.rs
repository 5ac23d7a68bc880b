//! What a correct client must have told, from the venue's log alone, and from what each of its faults means to a client.

use crate::case::{Case, STABLE_AFTER};
use feedwatch::sim::{Entry, What};
use std::collections::BTreeMap;
use std::time::Duration;

/// By a label's value.
pub(crate) type Counted = BTreeMap<String, u64>;

#[derive(Debug, Default)]
pub(crate) struct Derived {
    pub(crate) attempts: u64,
    /// By kind, the first dial left out.
    pub(crate) redials: Counted,
    /// Failed attempts by cause.
    pub(crate) failures: Counted,
    /// Losses by cause.
    pub(crate) losses: Counted,
    pub(crate) went_live: u64,
    pub(crate) outages: u64,
    /// By trigger.
    pub(crate) trips: Counted,
    /// By the states before and after.
    pub(crate) transitions: BTreeMap<(&'static str, &'static str), u64>,
    /// Waits that are no cooldown.
    pub(crate) delays: u64,
    /// Upgrades that were answered with success.
    pub(crate) upgraded: u64,
    pub(crate) stale_episodes: u64,
    /// The least time that the outages can have lasted: from the next arrival after each loss until live again.
    pub(crate) least_outage: Duration,
}

/// One connection as its venue saw it.
#[derive(Default)]
struct Connection {
    accepted: Duration,
    status: Option<u16>,
    retry_after: u64,
    upgraded: bool,
    live: Option<Duration>,
    /// It was sent more than the answer to its subscription.
    fed: bool,
    fault: &'static str,
    /// How the venue ended it.
    ending: Option<&'static str>,
    code: Option<u16>,
    ended: Option<Duration>,
}

impl Derived {
    pub(crate) fn from(entries: &[Entry], script: &Case) -> Self {
        let mut derived = Self::default();
        let mut breaker = Breaker::default();
        let (mut in_outage, mut since, mut forbidden) = (false, Duration::ZERO, 0);
        let mut needs_data = false;
        for (number, connection) in connections(entries).values().enumerate() {
            derived.attempts += 1;
            if number > 0 {
                let kind = if breaker.probe(&mut derived) {
                    "probe"
                } else {
                    "backoff"
                };
                *derived.redials.entry(kind.into()).or_default() += 1;
            }
            derived.upgraded += u64::from(connection.upgraded);
            if in_outage && since == Duration::MAX {
                since = connection.accepted;
            }
            forbidden = if connection.status == Some(403) {
                forbidden + 1
            } else {
                0
            };
            if let Some(live) = connection.live {
                derived.went_live += 1;
                if std::mem::take(&mut in_outage) {
                    derived.least_outage += live.saturating_sub(since);
                }
                let Some(cause) = connection.loss() else { continue };
                let lived = connection.ended.unwrap().saturating_sub(live);
                if lived >= STABLE_AFTER && (connection.fed || !needs_data) {
                    breaker.stable(&mut derived);
                    needs_data = false;
                }
                needs_data |= cause == "stale";
                derived.stale_episodes += u64::from(cause == "stale");
                *derived.losses.entry(cause.into()).or_default() += 1;
                derived.outages += 1;
                (in_outage, since) = (true, Duration::MAX);
                breaker.fail(script.threshold, false, &mut derived);
            } else {
                let Some(cause) = connection.failure(forbidden) else {
                    continue;
                };
                *derived.failures.entry(cause.into()).or_default() += 1;
                if !std::mem::replace(&mut in_outage, true) {
                    derived.outages += 1;
                    since = connection.accepted;
                }
                let fatal = cause == "unauthorized" || connection.retry_after > 0;
                breaker.fail(script.threshold, fatal, &mut derived);
            }
        }
        // The last one is live for good, and stable.
        breaker.stable(&mut derived);
        derived
    }
}

/// What the venue did with each connection, by its number.
fn connections(entries: &[Entry]) -> BTreeMap<u64, Connection> {
    let mut connections = BTreeMap::<u64, Connection>::new();
    for entry in entries.iter().filter(|entry| entry.connection > 0) {
        let connection = connections.entry(entry.connection).or_default();
        match &entry.what {
            What::Accepted => connection.accepted = entry.at,
            What::UpgradeRefused {
                status,
                retry_after_seconds,
            } => {
                connection.status = Some(*status);
                connection.retry_after = retry_after_seconds.unwrap_or(0);
            }
            What::Upgraded => connection.upgraded = true,
            What::Subscribed { .. } => connection.live = Some(entry.at),
            What::Fed => connection.fed = true,
            What::Rejected => connection.ending = Some("rejected"),
            What::FaultBegan { name } => connection.fault = name,
            What::ClosedByVenue { code } => {
                connection.ending.get_or_insert("close");
                connection.code = *code;
            }
            What::Reset => drop(connection.ending.get_or_insert("reset")),
            What::Cut => drop(connection.ending.get_or_insert("cut")),
            What::Ended => connection.ended = Some(entry.at),
            _ => {}
        }
    }
    connections
}

impl Connection {
    /// Why it did not go live; `None` while it is not over.
    fn failure(&self, forbidden: u32) -> Option<&'static str> {
        self.ended?;
        Some(match (self.status, self.fault) {
            (Some(401 | 451), _) => "unauthorized",
            (Some(403), _) if forbidden >= 3 => "unauthorized",
            (Some(418 | 429), _) => "rate_limited",
            (Some(200..=399), _)
            | (None, "upgrade_wrong_accept" | "upgrade_no_accept" | "upgrade_headers" | "upgrade_extension") => {
                "upgrade"
            }
            (Some(_), _) => "http_status",
            (None, "hang") => "upgrade_timeout",
            (None, "no_answer") => "subscribe_timeout",
            (None, "reject_subscription") => "subscribe_rejected",
            (None, "upgrade_cut") => "eof",
            (None, _) => "what no fault explains",
        })
    }

    /// Why it was lost; `None` while it is not.
    fn loss(&self) -> Option<&'static str> {
        self.ended?;
        Some(match (self.ending, self.fault) {
            (Some("close"), _) => match self.code {
                None | Some(1000) => "close_normal",
                Some(1001) => "close_going_away",
                Some(1008) => "close_policy",
                Some(1011) => "close_server_error",
                // The library takes this registered code for an illegal one.
                Some(1014) => "protocol",
                Some(_) => "close_other",
            },
            (Some("reset"), _) => "tcp_reset",
            (Some("cut"), _) => "eof",
            (_, "mute") => "pong_timeout",
            (_, "bad_frame_invalid_utf8") => "invalid_utf8",
            (_, fault) if fault.starts_with("bad_frame_") => "protocol",
            (_, "silence" | "heartbeats_only") => "stale",
            _ => "what no fault explains",
        })
    }
}

/// A breaker by the rules of its documentation.
#[derive(Default)]
struct Breaker {
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

impl Breaker {
    /// Whether the dial that is made now is a probe.
    fn probe(&mut self, derived: &mut Derived) -> bool {
        let opens = self.state == State::Open;
        if opens {
            self.go(State::HalfOpen, derived);
        }
        opens
    }

    fn stable(&mut self, derived: &mut Derived) {
        self.failures = 0;
        if self.state == State::HalfOpen {
            self.go(State::Closed, derived);
        }
    }

    fn fail(&mut self, threshold: u32, fatal: bool, derived: &mut Derived) {
        self.failures += 1;
        let trigger = match self.state {
            State::HalfOpen => None,
            _ if fatal => Some("fatal_error"),
            _ if self.failures >= threshold => Some("consecutive_failures"),
            _ => {
                derived.delays += 1;
                return;
            }
        };
        if let Some(trigger) = trigger {
            *derived.trips.entry(trigger.into()).or_default() += 1;
        }
        self.go(State::Open, derived);
    }

    fn go(&mut self, to: State, derived: &mut Derived) {
        let name = |state| match state {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
        };
        let from = std::mem::replace(&mut self.state, to);
        *derived.transitions.entry((name(from), name(to))).or_default() += 1;
    }
}
