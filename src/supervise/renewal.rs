//! How a live connection is replaced before it ends, without a gap: another one is made beside it, and takes over once it is live.
//!
//! A successor that cannot go live is no failure of the stream: the connection stays, and the next one waits by the same ladder.
//! As many failures in a row as would trip the breaker have it wait for a cooldown each time, and nothing trips.

use super::failing::Forbidden;
use super::machine::{RETRY_AFTER_CAP, Supervisor};
use super::phase::{Live, Phase, Successor};
use super::{BreakerState, Notice, Notices, Renewal, Stage, later};
use crate::market::{Cause, Failure};
use std::borrow::Cow;
use std::time::{Duration, Instant};

impl Supervisor {
    /// What to do beside the action.
    pub fn renewal(&self) -> Renewal {
        let Phase::Live(live) = self.phase else {
            return Renewal::None;
        };
        let due = match live.successor {
            Successor::Connecting { since } => {
                return Renewal::Connect {
                    deadline: later(since, self.policy.connect_timeout),
                };
            }
            Successor::Subscribing { since } => {
                return Renewal::Subscribe {
                    deadline: later(since, self.policy.subscribe_timeout),
                };
            }
            Successor::Waiting { due, .. } => Some(due),
            Successor::None => self.policy.max_connection_age.map(|age| {
                let age = self.policy.backoff().shorten(age, live.chance);
                later(live.born, age)
            }),
        };
        match due {
            // Half-open, the connection is the probe: it has to show what it is worth.
            Some(due) if self.breaker.state() == BreakerState::Closed => Renewal::Wait { due },
            _ => Renewal::None,
        }
    }

    /// Whether [`super::Input::Renew`] would dial.
    pub fn can_renew(&self) -> bool {
        let Phase::Live(live) = self.phase else { return false };
        live.successor.stage().is_none() && self.breaker.state() == BreakerState::Closed
    }

    /// Nobody wants another connection for the age of this one any more.
    pub(super) const fn forget_age(&mut self) {
        if let Phase::Live(live) = &mut self.phase
            && live.successor.stage().is_none()
        {
            live.successor = Successor::None;
        }
    }

    pub(super) fn renew(&mut self, live: Live, now: Instant, notices: &mut Notices) {
        if self.can_renew() {
            self.phase = Phase::Live(Live {
                successor: Successor::Connecting { since: now },
                ..live
            });
            notices.push(Notice::Renewing {
                number: live.failed_successors.saturating_add(1),
            });
        }
    }

    pub(super) fn successor_connected(&mut self, live: Live, now: Instant, notices: &mut Notices) {
        if live.successor.stage() == Some(Stage::Connect) {
            self.phase = Phase::Live(Live {
                successor: Successor::Subscribing { since: now },
                ..live
            });
            notices.push(Notice::SuccessorConnected);
        }
    }

    /// Of the stream nothing ends: what it waits for, to be stable or stale, it goes on waiting for.
    pub(super) fn take_over(&mut self, live: Live, answered: (usize, usize), notices: &mut Notices) {
        let Successor::Subscribing { since } = live.successor else {
            return;
        };
        self.forbidden = Forbidden::default();
        self.phase = Phase::Live(Live {
            born: since,
            chance: self.random.f64(),
            successor: Successor::None,
            failed_successors: 0,
            ..live
        });
        let (accepted, refused) = answered;
        notices.push(Notice::Renewed { accepted, refused });
    }

    /// A loss has to keep to its wish for rest as well where this was the last endpoint that was left.
    pub(super) fn successor_failed(
        &mut self,
        live: Live,
        failure: &Failure,
        was_last: bool,
        now: Instant,
        notices: &mut Notices,
    ) {
        let Some(stage) = live.successor.stage() else { return };
        let cause = self.judge_attempt(failure);
        let failures = live.failed_successors.saturating_add(1);
        let backoff = self.policy.backoff();
        let mut delay = backoff.delay(failures, self.random.f64());
        if cause.is_fatal() || failures >= self.policy.max_consecutive_failures {
            let cooldown = self.policy.circuit_breaker_cooldown;
            delay = delay.max(backoff.lengthen(cooldown, self.random.f64()));
        }
        let asked = failure.retry_after.unwrap_or_default().min(RETRY_AFTER_CAP);
        let least = cause.least_delay();
        let due = later(now, delay.max(asked).max(least));
        let rest = later(now, if was_last { asked.max(least) } else { least });
        self.phase = Phase::Live(Live {
            successor: Successor::Waiting { due, rest },
            failed_successors: failures,
            ..live
        });
        notices.push(Notice::RenewalFailed {
            stage,
            cause,
            detail: failure.detail.clone(),
            due: Some(due),
        });
    }

    /// Has the dial of the successor, if there is one, end the outage that has begun.
    pub(super) fn goes_on_with(&mut self, successor: Successor, notices: &mut Notices) -> bool {
        let phase = match successor {
            Successor::Connecting { since } => Phase::Connecting { since },
            Successor::Subscribing { since } => Phase::Subscribing { since },
            Successor::None | Successor::Waiting { .. } => return false,
        };
        self.attempts = 1;
        self.phase = phase;
        let failures = self.breaker.failures();
        notices.extend(successor.stage().map(|stage| Notice::TakenOver { stage, failures }));
        true
    }
}

impl Successor {
    /// For how long the venue still wants to be left alone, by what it told the last one.
    pub(super) fn rest(self, now: Instant) -> Duration {
        match self {
            Self::Waiting { rest, .. } => rest.saturating_duration_since(now),
            Self::None | Self::Connecting { .. } | Self::Subscribing { .. } => Duration::ZERO,
        }
    }
}

impl Notice {
    pub(super) const fn given_up(stage: Stage, cause: Cause) -> Self {
        Self::RenewalFailed {
            stage,
            cause: cause.of_attempt(),
            detail: Cow::Borrowed(""),
            due: None,
        }
    }
}
