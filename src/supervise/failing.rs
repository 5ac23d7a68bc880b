//! What follows a failed attempt or a lost connection: a wait, a trip, or the dial of a successor that is under way.

use super::machine::{RETRY_AFTER_CAP, Supervisor};
use super::phase::{Phase, Successor};
use super::{AttemptKind, BreakerState, Notice, Notices, Transition, later};
use crate::market::{Cause, Failure};
use std::time::Instant;

/// The answers in a row that were 403. They come from firewalls with moods as well as from venues: only the third is believed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forbidden {
    in_a_row: u32,
}

impl Forbidden {
    const STATUS: u16 = 403;
    const BELIEVED: u32 = 3;

    /// Takes note of the status of a dial that failed, if it has one. Whether it is believed.
    pub(super) fn is_believed(&mut self, status: Option<u16>) -> bool {
        self.in_a_row = if status == Some(Self::STATUS) {
            self.in_a_row.saturating_add(1)
        } else {
            0
        };
        self.in_a_row >= Self::BELIEVED
    }
}

impl Supervisor {
    /// A fatal cause trips at once where this was the last endpoint that was left.
    pub(super) fn fail(&mut self, failure: &Failure, was_last: bool, now: Instant, notices: &mut Notices) {
        let cause = self.judge(failure);
        self.needs_data |= matches!(cause, Cause::Stale | Cause::SequenceGap);
        self.end(cause, failure.detail.clone(), notices);
        let successor = if let Phase::Live(live) = self.phase {
            live.successor
        } else {
            Successor::None
        };

        let retry_after = failure.retry_after.unwrap_or_default();
        let excessive = cause.is_failure() && retry_after > self.policy.retry_after_max;
        let floor = retry_after
            .min(if excessive {
                RETRY_AFTER_CAP
            } else {
                self.policy.retry_after_max
            })
            .max(cause.least_delay())
            .max(successor.rest(now).min(self.policy.retry_after_max));
        let cooldown = self
            .policy
            .backoff()
            .lengthen(self.policy.circuit_breaker_cooldown, self.random.f64())
            .max(floor);
        let opened = if cause.is_failure() {
            let threshold = self.policy.max_consecutive_failures;
            self.breaker
                .fail(threshold, (was_last && cause.is_fatal()) || excessive, cooldown, now)
        } else {
            self.breaker.abandon_probe(cooldown, now)
        };
        if let Some(
            transition @ Transition {
                to: BreakerState::Open { until },
                ..
            },
        ) = opened
        {
            if let Some(stage) = successor.stage() {
                // An open breaker stands for no dial at all.
                notices.push(Notice::given_up(stage, Cause::Forced));
            }
            self.wait(until, AttemptKind::Backoff);
            notices.push(Notice::Breaker(transition));
        } else if !self.goes_on_with(successor, notices) {
            let delay = self
                .policy
                .backoff()
                .delay(self.breaker.failures(), self.random.f64())
                .max(floor);
            let due = later(now, delay);
            self.wait(due, AttemptKind::Backoff);
            notices.push(Notice::BackingOff {
                delay,
                due,
                failures: self.breaker.failures(),
            });
        }
    }

    /// The cause as it counts: one that can happen in this phase, and the third 403 in a row as `unauthorized`.
    fn judge(&mut self, failure: &Failure) -> Cause {
        if matches!(self.phase, Phase::Live(_)) {
            return failure.cause.of_loss();
        }
        self.judge_attempt(failure)
    }

    /// The same of a dial.
    pub(super) fn judge_attempt(&mut self, failure: &Failure) -> Cause {
        if self.forbidden.is_believed(failure.status) {
            Cause::Unauthorized
        } else {
            failure.cause.of_attempt()
        }
    }
}
