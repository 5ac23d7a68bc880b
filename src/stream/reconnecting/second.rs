//! The second place for a connection: that of a successor until it takes over, and then of the one that it has succeeded.
//!
//! The other side is asked to end that one, and what it still sends is yielded before anything of the successor: so nothing that
//! was sent on either is lost, and nothing old comes behind something new. What both were sent comes twice.

use super::calm::Calm;
use super::turn::Wish;
use super::{MarketDataStream, Moment, Observer, ReconnectingDataStream};
use crate::market::MarketEvent;
use crate::stream::slot::{Outcome, Slot, Step, Task};
use crate::supervise::{Input, Renewal, Stage, later};
use std::time::{Duration, Instant};

/// Who hangs up has so long to come to an end, whatever limits of its own it has.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// A venue that says to each connection that it will end has them replaced no more often than this.
const LEAST_STAY: Duration = Duration::from_secs(10);

/// What a venue has said about the end of the connection.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    /// It is to be replaced, from then on.
    due: Option<Instant>,
    /// When one was last replaced for that.
    last: Option<Instant>,
}

/// On the heap: most streams never need it.
pub(super) enum Second<S> {
    /// Nobody has needed it.
    Unmade,
    /// The inner stream makes no other.
    Impossible,
    /// A successor, or what is left of one.
    Successor(Box<Slot<S>>),
    /// The connection that was succeeded, until then at the latest.
    Leaving(Box<Slot<S>>, Instant),
}

impl<S: MarketDataStream + 'static> Second<S> {
    fn slot(&self) -> Option<&Slot<S>> {
        match self {
            Self::Unmade | Self::Impossible => None,
            Self::Successor(slot) | Self::Leaving(slot, _) => Some(slot),
        }
    }

    fn slot_mut(&mut self) -> Option<&mut Slot<S>> {
        match self {
            Self::Unmade | Self::Impossible => None,
            Self::Successor(slot) | Self::Leaving(slot, _) => Some(slot),
        }
    }

    /// Whether there is or may be a connection in it.
    pub(super) fn is_busy(&self) -> bool {
        self.is_leaving() || self.slot().is_some_and(Slot::is_busy)
    }

    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self, Self::Leaving(..))
    }

    /// Gives up what is under way, and closes what there is.
    pub(super) fn give_up(&mut self) {
        if let Some(slot) = self.slot_mut() {
            slot.release();
        }
    }

    /// Waits until nothing is under way.
    pub(super) async fn settle(&mut self) {
        if let Some(slot) = self.slot_mut() {
            slot.settle().await;
        }
    }

    pub(super) fn take_panic(&mut self) -> Option<String> {
        self.slot_mut().and_then(Slot::take_panic)
    }

    /// What comes first of it. Cancel-safe, as [`Slot::next`] is.
    pub(super) async fn next(&mut self) -> Step {
        match self {
            Self::Unmade | Self::Impossible => std::future::pending().await,
            Self::Successor(slot) => slot.next(false).await,
            Self::Leaving(slot, _) => slot.next(true).await,
        }
    }
}

impl<S: MarketDataStream + 'static, O: Observer> ReconnectingDataStream<S, O> {
    /// Replaces the connection without a gap, now or as soon as the gate of the host lets it: another one is made, and once it is
    /// live it takes over, and the one before is closed. [`MarketEvent::Renewed`] tells it. Where the other one does not go live,
    /// the connection stays, and it is tried again with growing delays.
    ///
    /// No effect unless live with a closed breaker, nor where the inner stream makes no other one
    /// ([`MarketDataStream::another`]).
    ///
    /// ```
    /// use feedwatch::stream::{MarketDataStream, Observer, ReconnectingDataStream};
    ///
    /// /// The venue says that it will restart this server.
    /// fn move_away<S: MarketDataStream + 'static, O: Observer>(stream: &mut ReconnectingDataStream<S, O>) {
    ///     stream.renew();
    /// }
    /// ```
    pub fn renew(&mut self) {
        // What was asked for goes further.
        if self.wish != Some(Wish::Reconnect) {
            self.pursue_renewal(Wish::Renew, Moment::now());
        }
    }

    /// The venue will end the connection: it is replaced as soon as that can be. A probe has to show first what it is worth, and
    /// a successor that is under way will do.
    pub(super) fn move_away(&mut self, now: Moment) {
        let soonest = self.farewell.last.map(|last| later(last, LEAST_STAY));
        self.farewell.due = Some(soonest.map_or(now.mono, |soonest| soonest.max(now.mono)));
        self.renew_if_due(now);
    }

    /// Of the connection that the venue spoke of nothing is left.
    pub(super) const fn forget_farewell(&mut self) {
        self.farewell.due = None;
    }

    /// The venue has said that it will end, its age asks for it, or its last successor failed a while ago.
    pub(super) fn renew_if_due(&mut self, now: Moment) {
        if let Second::Leaving(_, until) = self.second
            && until <= now.mono
        {
            self.finish_leaving();
        }
        if self.farewell_due().is_some_and(|due| due <= now.mono) {
            self.farewell = Farewell {
                due: None,
                last: Some(now.mono),
            };
            return self.pursue_renewal(Wish::Renew, now);
        }
        if self.wish.is_none() && self.is_renewal_due(now) {
            self.pursue_renewal(Wish::RenewIfDue, now);
        }
    }

    pub(super) fn is_renewal_due(&self, now: Moment) -> bool {
        matches!(self.supervisor.renewal(), Renewal::Wait { due } if due <= now.mono)
    }

    /// When to replace it for what the venue has said, where it can be.
    fn farewell_due(&self) -> Option<Instant> {
        self.farewell.due.filter(|_| self.wish.is_none() && self.can_renew())
    }

    /// When to look again: for the age of the connection or what the venue has said, or for the end of the one before.
    pub(super) fn renewal_due(&self) -> Option<Instant> {
        if let Second::Leaving(_, until) = self.second {
            return Some(until);
        }
        let of_age = match self.supervisor.renewal() {
            Renewal::Wait { due } if self.wish.is_none() && !matches!(self.second, Second::Impossible) => Some(due),
            _ => None,
        };
        of_age.into_iter().chain(self.farewell_due()).min()
    }

    /// A renewal that had to wait for the second place, and need not any more.
    pub(super) fn follow_renewal(&mut self) {
        let Some(wish) = self.wish.filter(|wish| wish.is_renewal()) else {
            return;
        };
        if self.turn_due().is_none() && self.is_second_free() {
            let now = Moment::now();
            self.wish = None;
            if self.would_dial(wish, now) {
                self.pursue_renewal(wish, now);
            }
        }
    }

    pub(super) fn can_renew(&self) -> bool {
        self.supervisor.can_renew() && !matches!(self.second, Second::Impossible)
    }

    /// Dials the successor, if it is this stream's turn; otherwise that is wished for.
    pub(super) fn pursue_renewal(&mut self, wish: Wish, now: Moment) {
        self.calm = Calm::No;
        if let (Second::Unmade, Some(stream)) = (&self.second, self.slot.at_hand()) {
            let another = stream.another().map(|stream| Box::new(Slot::new(stream)));
            self.second = another.map_or(Second::Impossible, Second::Successor);
        }
        if !self.can_renew() {
            return;
        }
        self.wish = Some(wish);
        if self.is_second_free() && self.has_plain_turn(now) {
            self.wish = None;
            self.apply(Input::Renew, now);
        }
    }

    fn is_second_free(&self) -> bool {
        matches!(&self.second, Second::Successor(slot) if !slot.is_busy())
            || matches!(self.second, Second::Unmade) && !self.slot.is_busy()
    }

    /// Starts what the renewal asks for, where that is an operation.
    pub(super) fn begin_successor(&mut self) {
        if !matches!(&self.second, Second::Successor(slot) if !slot.is_busy()) {
            return;
        }
        let (task, deadline) = match self.supervisor.renewal() {
            Renewal::None | Renewal::Wait { .. } => return,
            Renewal::Connect { .. } => {
                let now = Moment::now();
                if !self.may_leave(now) {
                    return;
                }
                // Where the connection is, since that place is well.
                let place = self.endpoints.at();
                (
                    Task::Connect(place),
                    later(now.mono, self.supervisor.policy().connect_timeout),
                )
            }
            Renewal::Subscribe { deadline } => (Task::Subscribe(self.subscriptions.request_of_successor()), deadline),
        };
        if let Some(slot) = self.second.slot_mut() {
            slot.begin(task, deadline);
        }
    }

    /// Takes note of what came of the second place. Some of it is for the consumer.
    pub(super) fn on_second(&mut self, step: Step) -> Option<MarketEvent> {
        match step {
            Step::Outcome(outcome) => {
                self.on_outcome_of_second(outcome);
                None
            }
            Step::Event(None | Some(MarketEvent::Disconnected { .. })) => {
                self.finish_leaving();
                None
            }
            // The successor was asked as well, and its answer counts.
            // And it leaves already.
            Step::Event(Some(MarketEvent::Subscribed(_) | MarketEvent::Leaving { .. })) => None,
            Step::Event(event) => self.on_event(event),
        }
    }

    fn on_outcome_of_second(&mut self, outcome: Outcome) {
        let now = Moment::now();
        match outcome {
            Outcome::Connected(Ok(())) => self.apply(Input::SuccessorConnected, now),
            Outcome::Connected(Err(failure)) => {
                let input = self.endpoints.judge_successor(failure.clone(), now.mono);
                self.apply(input, now);
                self.leave_host_alone(&failure, now);
            }
            Outcome::Subscribed(result) => {
                self.tell_answered(now);
                match result {
                    Ok(answer) => {
                        let input = Input::SuccessorSubscribed {
                            accepted: answer.accepted.len(),
                            refused: answer.refused.len(),
                        };
                        self.apply(input, now);
                        self.on_answer(answer, now);
                    }
                    Err(failure) => {
                        self.tell_subscription_failure(now, &failure, None);
                        self.apply(Input::SuccessorFailed(failure), now);
                    }
                }
            }
            Outcome::HungUp(false) => self.finish_leaving(),
            Outcome::HungUp(true) | Outcome::Changed(..) | Outcome::Released => {}
        }
    }

    /// The successor is the connection from now on, and the one before leaves.
    pub(super) fn take_over(&mut self, now: Moment) {
        self.exchange();
        self.forget_farewell();
        self.subscriptions.succeed();
        if let Second::Successor(mut before) = std::mem::replace(&mut self.second, Second::Unmade) {
            let until = later(now.mono, LEAVE_LIMIT);
            before.begin(Task::HangUp, until);
            self.second = Second::Leaving(before, until);
        }
    }

    /// The connection is lost, and is being closed; the dial of its successor goes on in its place.
    pub(super) fn go_on_with_successor(&mut self, stage: Stage) {
        self.exchange();
        if stage == Stage::Subscribe {
            self.subscriptions.succeed();
        }
    }

    /// The connection before has nothing more to tell.
    pub(super) fn finish_leaving(&mut self) {
        if !self.second.is_leaving() {
            return;
        }
        if let Second::Leaving(mut before, _) = std::mem::replace(&mut self.second, Second::Unmade) {
            before.release();
            self.second = Second::Successor(before);
        }
        self.succeeded = Some(Moment::now());
        let instruments = self.instruments().cloned().collect();
        self.events.push_back(MarketEvent::Renewed { instruments });
    }

    fn exchange(&mut self) {
        if let Some(second) = self.second.slot_mut() {
            std::mem::swap(&mut self.slot, second);
        }
    }
}
