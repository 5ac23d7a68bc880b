//! What came of the connection: the outcomes of operations, and events.

use super::{
    DataFact, DialPhase, Fact, Failure, Input, Instrument, MarketDataStream, MarketEvent, Moment, Observer, Outcome,
    ReconnectingDataStream, Step, Subscribed, TransportFact,
};
use crate::market::{Cause, SubscriptionFailure};
use std::borrow::Cow;

/// So many instruments are named where some are not subscribed.
const NAMED: usize = 5;

impl<S: MarketDataStream + 'static, O: Observer> ReconnectingDataStream<S, O> {
    /// Takes note of what came of the connection. Some of it is for the consumer.
    pub(super) fn on_step(&mut self, step: Step) -> Option<MarketEvent> {
        self.tell_panic();
        match step {
            Step::Outcome(outcome) => {
                self.on_outcome(outcome);
                None
            }
            Step::Event(event) => self.on_event(event),
        }
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        let now = Moment::now();
        match outcome {
            Outcome::Connected(Ok(())) => self.apply(Input::Connected, now),
            Outcome::Connected(Err(failure)) => {
                let input = self.endpoints.judge(failure.clone(), now.mono);
                self.apply(input, now);
                self.leave_host_alone(&failure, now);
            }
            Outcome::Subscribed(result) => {
                self.tell_answered(now);
                match result {
                    Ok(answer) => {
                        let input = Input::Subscribed {
                            accepted: answer.accepted.len(),
                            refused: answer.refused.len(),
                        };
                        self.on_answer(answer, now);
                        self.apply(input, now);
                    }
                    Err(failure) => {
                        self.tell_subscription_failure(now, &failure, None);
                        self.apply(Input::Failed(failure), now);
                    }
                }
            }
            Outcome::Changed(_, Ok(answer)) => self.on_answer(answer, now),
            Outcome::Changed(instruments, Err(failure)) => {
                self.tell_subscription_failure(now, &failure, Some(instruments));
                self.apply(Input::Failed(failure), now);
            }
            Outcome::HungUp(_) | Outcome::Released => {}
        }
    }

    pub(super) fn tell_answered(&mut self, now: Moment) {
        if let Some(since) = self.subscribing_since.take() {
            let took = now.mono.saturating_duration_since(since);
            let fact = TransportFact::PhaseEnded {
                phase: DialPhase::Subscribe,
                took,
            };
            self.observer.observe(now, &Fact::Transport(fact));
        }
    }

    /// Only a failure of the subscription itself: a connection may also be lost while it is under way. `changed`: of so many, or
    /// of all that is asked for.
    pub(super) fn tell_subscription_failure(&self, now: Moment, failure: &Failure, changed: Option<usize>) {
        let reason = match failure.cause {
            Cause::SubscribeRejected => SubscriptionFailure::Rejected,
            Cause::SubscribeTimeout => SubscriptionFailure::Timeout,
            Cause::SendTimeout => SubscriptionFailure::SendError,
            _ => return,
        };
        let some = match changed {
            None => self.subscriptions.iter().take(NAMED).cloned().collect(),
            Some(_) => Vec::new(),
        };
        let fact = DataFact::SubscriptionFailed {
            reason,
            instruments: changed.unwrap_or(self.subscriptions.desired()),
            some,
            detail: failure.detail.clone(),
        };
        self.tell(now, fact);
    }

    pub(super) fn on_answer(&mut self, answer: Subscribed, now: Moment) {
        for (reason, instruments, detail) in [
            (SubscriptionFailure::Rejected, &answer.refused, answer.words),
            (SubscriptionFailure::Timeout, &answer.unanswered, Cow::Borrowed("")),
        ] {
            if !instruments.is_empty() {
                let fact = DataFact::SubscriptionFailed {
                    reason,
                    instruments: instruments.len(),
                    some: instruments.iter().take(NAMED).cloned().collect(),
                    detail,
                };
                self.tell(now, fact);
            }
        }
        self.subscriptions.refuse(&answer.refused);
        self.subscriptions.accept(answer.accepted);
        self.tell_subscriptions(now);
    }

    /// Takes note of what the connection yielded. `None`: the consumer is told through `events`, if at all.
    pub(super) fn on_event(&mut self, event: Option<MarketEvent>) -> Option<MarketEvent> {
        match &event {
            Some(MarketEvent::Frame(frame)) => self.on_frame(frame),
            Some(MarketEvent::Reconnected { .. } | MarketEvent::Renewed { .. } | MarketEvent::Missed { .. }) => {}
            Some(MarketEvent::Gap { instruments }) => {
                if instruments.is_empty() {
                    let instruments = self.instruments().cloned().collect();
                    return Some(MarketEvent::Gap { instruments });
                }
            }
            Some(MarketEvent::Leaving { detail }) => {
                let (detail, now) = (detail.clone(), Moment::now());
                self.tell(now, DataFact::Leaving { detail });
                self.move_away(now);
            }
            Some(MarketEvent::Subscribed(answer)) => self.on_answer(answer.clone(), Moment::now()),
            Some(MarketEvent::Ended { instruments }) => return self.on_ended(instruments),
            Some(MarketEvent::Disconnected { cause, detail, .. }) => {
                let failure = Failure::new(*cause).with_detail(detail.clone());
                self.apply(Input::Failed(failure), Moment::now());
                return None;
            }
            None => {
                self.apply(Input::Failed(Cause::Eof.into()), Moment::now());
                return None;
            }
        }
        event
    }

    /// A venue may tell the end of markets that nobody here has asked for: only what was asked for is told on.
    fn on_ended(&mut self, instruments: &[Instrument]) -> Option<MarketEvent> {
        let ended = self.subscriptions.end(instruments);
        if ended.is_empty() {
            return None;
        }
        let now = Moment::now();
        self.tell(
            now,
            DataFact::Ended {
                instruments: ended.len(),
            },
        );
        self.tell_subscriptions(now);
        Some(MarketEvent::Ended { instruments: ended })
    }
}
