//! What an action of the supervisor leads to, and when to ask for the next one.

use super::ReconnectingDataStream;
use crate::clock::Moment;
use crate::stream::deadline::Deadline;
use crate::stream::slot::Task;
use crate::stream::{MarketDataStream, Observer};
use crate::supervise::{Action, Input, State, later};
use std::time::Instant;

impl<S: MarketDataStream + 'static, O: Observer> ReconnectingDataStream<S, O> {
    /// Brings the supervisor into line with what the consumer asked for.
    pub(super) fn follow_wishes(&mut self) {
        let idle = self.supervisor.state() == State::Idle;
        let is_free = !self.slot.is_busy() && !self.second.is_busy();
        if idle && self.wanted && self.subscriptions.is_wanted() && is_free {
            self.start(Moment::now());
        } else if !idle && !self.subscriptions.is_wanted() {
            self.apply(Input::Idle, Moment::now());
        }
    }

    /// When to look whether the stream has become stable or stale.
    pub(super) fn watch(&mut self, deadline: Option<Instant>) -> Option<Instant> {
        self.verdict = deadline.map(|due| self.verdict.map_or(Deadline::new(due), |verdict| verdict.or_new(due)));
        self.verdict.as_ref().map(Deadline::next)
    }

    pub(super) fn judge(&mut self, now: Moment) {
        if self.verdict.as_mut().is_some_and(|verdict| verdict.is_over(now.mono)) {
            self.apply(Input::Elapsed, now);
        }
    }

    pub(super) fn on_due(&mut self, action: Action) {
        let now = Moment::now();
        match action {
            _ if self.minds_wish(action, now) => {}
            Action::Receive { .. } => {
                self.judge(now);
                self.renew_if_due(now);
            }
            Action::Wait { due } if due <= now.mono => self.dial(Input::Elapsed, now),
            // Its turn has come: it is asked for once more when the dial begins.
            Action::Connect { .. } => {}
            _ => self.apply(Input::Elapsed, now),
        }
    }

    /// Starts what the action asks for, where that is an operation.
    pub(super) fn begin(&mut self, action: Action) {
        match action {
            _ if self.slot.is_busy() => {}
            // Closing the last connection, or the one before it, may have taken a while; that is not the dial's time.
            Action::Connect { .. } if self.second.is_busy() => {}
            Action::Connect { .. } => {
                let now = Moment::now();
                if self.may_leave(now) {
                    let deadline = later(now.mono, self.supervisor.policy().connect_timeout);
                    self.slot.begin(Task::Connect(self.endpoints.at()), deadline);
                }
            }
            Action::Subscribe { deadline } => {
                self.slot
                    .begin(Task::Subscribe(self.subscriptions.request_all()), deadline);
            }
            Action::Receive { .. } => {
                if let Some(change) = self.subscriptions.request_change() {
                    let deadline = later(Moment::now().mono, self.supervisor.policy().subscribe_timeout);
                    self.slot.begin(Task::Change(change), deadline);
                }
            }
            Action::Idle | Action::Wait { .. } | Action::Stop => {}
        }
    }
}
