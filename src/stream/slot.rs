//! Where the driver keeps its stream: at hand, or inside the operation that is under way.
//!
//! The operation owns the stream, and the slot owns the operation. A consumer that drops its call loses nothing: the next
//! call goes on where the last one was. What panics here has failed, and nothing more: the stream is closed then, and connected
//! anew.

use super::MarketDataStream;
use super::deadline::by;
use super::isolation::caught;
use super::subscriptions::Change;
use crate::market::{Cause, DialPhase, Failure, Instrument, MarketEvent, Subscribed};
use crate::supervise::later;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A stream that does not close by itself within this time is dropped as it is.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// What the stream is asked to do.
pub(super) enum Task {
    /// To the endpoint at this place.
    Connect(usize),
    /// On a new connection.
    Subscribe(Vec<Instrument>),
    /// On a live connection.
    Change(Change),
    HangUp,
}

/// What an operation came to.
pub(super) enum Outcome {
    Connected(Result<(), Failure>),
    Subscribed(Result<Subscribed, Failure>),
    /// A change of subscriptions of so many instruments was sent on the open connection.
    Changed(usize, Result<Subscribed, Failure>),
    /// Whether what still comes is yielded.
    HungUp(bool),
    /// The connection is closed, or the operation was given up.
    Released,
}

/// What came of the stream.
pub(super) enum Step {
    Outcome(Outcome),
    Event(Option<MarketEvent>),
}

/// The stream is back from an operation.
struct Ended<S> {
    stream: S,
    outcome: Outcome,
    /// What a panic in it said.
    panic: Option<String>,
}

type Operation<S> = Pin<Box<dyn Future<Output = Ended<S>> + Send>>;

enum Place<S> {
    AtHand(S),
    Busy(Operation<S>, CancellationToken),
    Closing(Operation<S>),
    /// Only while one place is made from another.
    Moving,
}

pub(super) struct Slot<S> {
    place: Place<S>,
    /// What a panic said, until it has been told.
    panic: Option<String>,
    /// One panic ends a connection. Others while it is closed are no news.
    has_panicked: bool,
}

impl<S: MarketDataStream + 'static> Slot<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            place: Place::AtHand(stream),
            panic: None,
            has_panicked: false,
        }
    }

    /// The stream, unless something is under way.
    pub(super) const fn at_hand(&self) -> Option<&S> {
        match &self.place {
            Place::AtHand(stream) => Some(stream),
            Place::Busy(..) | Place::Closing(_) | Place::Moving => None,
        }
    }

    /// The same to receive from. Where that panics, [`Slot::lose`] has to be told.
    pub(super) const fn at_hand_mut(&mut self) -> Option<&mut S> {
        match &mut self.place {
            Place::AtHand(stream) => Some(stream),
            Place::Busy(..) | Place::Closing(_) | Place::Moving => None,
        }
    }

    pub(super) const fn is_busy(&self) -> bool {
        !matches!(self.place, Place::AtHand(_))
    }

    /// Whether the last connection is still being closed.
    pub(super) const fn is_closing(&self) -> bool {
        matches!(self.place, Place::Closing(_))
    }

    /// Starts an operation on the stream at hand; it ends by the deadline.
    pub(super) fn begin(&mut self, task: Task, deadline: Instant) {
        if self.is_busy() {
            return;
        }
        let Place::AtHand(mut stream) = std::mem::replace(&mut self.place, Place::Moving) else {
            return;
        };
        if matches!(task, Task::Connect(_)) {
            self.has_panicked = false;
        }
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let operation = async move {
            let failed = task.panicked();
            let running = async {
                tokio::select! {
                    biased; // what is given up must not win over a result that came at the same moment
                    () = cancelled.cancelled() => Outcome::Released,
                    outcome = run(&mut stream, task, deadline) => outcome,
                }
            };
            let (outcome, panic) = match caught(running).await {
                Ok(outcome) => (outcome, None),
                Err(panic) => (failed, Some(panic)),
            };
            Ended { stream, outcome, panic }
        };
        self.place = Place::Busy(Box::pin(operation), cancel);
    }

    /// Gives up what is under way and closes the connection.
    pub(super) fn release(&mut self) {
        self.place = match std::mem::replace(&mut self.place, Place::Moving) {
            Place::AtHand(stream) => Place::Closing(Box::pin(close(stream, None))),
            Place::Busy(operation, cancel) => {
                cancel.cancel();
                Place::Closing(Box::pin(async move {
                    let ended = operation.await;
                    close(ended.stream, ended.panic).await
                }))
            }
            place @ (Place::Closing(_) | Place::Moving) => place,
        };
    }

    /// What comes first of the stream: the outcome of the operation under way, or else its next event if `receiving`.
    ///
    /// Cancel-safe: the operation stays in the slot, and [`MarketDataStream::next_event`] loses nothing.
    pub(super) async fn next(&mut self, receiving: bool) -> Step {
        match &mut self.place {
            Place::Busy(operation, _) | Place::Closing(operation) => {
                let Ended { stream, outcome, panic } = operation.await;
                self.place = Place::AtHand(stream);
                self.note(panic);
                Step::Outcome(outcome)
            }
            Place::AtHand(stream) if receiving => match caught(stream.next_event()).await {
                Ok(event) => Step::Event(event),
                Err(panic) => Step::Event(Some(self.lose(panic))),
            },
            Place::AtHand(_) | Place::Moving => std::future::pending().await,
        }
    }

    /// Receiving panicked with these words: the connection is lost.
    pub(super) fn lose(&mut self, panic: String) -> MarketEvent {
        self.note(Some(panic));
        let Failure { cause, detail, .. } = panicked();
        MarketEvent::Disconnected {
            cause,
            detail,
            instruments: Vec::new(),
        }
    }

    /// Waits until nothing is under way.
    pub(super) async fn settle(&mut self) {
        while self.is_busy() {
            self.next(false).await;
        }
    }

    /// What a panic said of which nobody has been told: at most one for each connection.
    pub(super) fn take_panic(&mut self) -> Option<String> {
        self.panic.take()
    }

    fn note(&mut self, panic: Option<String>) {
        if panic.is_some() && !std::mem::replace(&mut self.has_panicked, true) {
            self.panic = panic;
        }
    }
}

impl Task {
    /// What it comes to where it panics.
    fn panicked(&self) -> Outcome {
        match self {
            Self::Connect(_) => Outcome::Connected(Err(panicked())),
            Self::Subscribe(_) => Outcome::Subscribed(Err(panicked())),
            Self::Change(change) => Outcome::Changed(change.instruments(), Err(panicked())),
            Self::HangUp => Outcome::HungUp(false),
        }
    }
}

impl Change {
    const fn instruments(&self) -> usize {
        self.added.len() + self.removed.len()
    }
}

async fn run<S: MarketDataStream>(stream: &mut S, task: Task, deadline: Instant) -> Outcome {
    match task {
        Task::Connect(endpoint) => {
            stream.choose_endpoint(endpoint);
            let result = by(deadline, stream.connect()).await;
            Outcome::Connected(result.unwrap_or_else(|| Err(too_late(stream.dial_phase()))))
        }
        Task::Subscribe(instruments) => {
            let deadline = later(deadline, stream.time_to_ask(&instruments));
            let result = by(deadline, stream.subscribe(&instruments)).await;
            Outcome::Subscribed(result.unwrap_or_else(|| Err(too_late(DialPhase::Subscribe))))
        }
        Task::HangUp => Outcome::HungUp(by(deadline, stream.hang_up()).await.unwrap_or(false)),
        Task::Change(change) => {
            let instruments = change.instruments();
            let Change { added, removed } = change;
            let change = async {
                if !removed.is_empty() {
                    stream.unsubscribe(&removed).await?;
                }
                if added.is_empty() {
                    Ok(Subscribed::default())
                } else {
                    stream.subscribe(&added).await
                }
            };
            let result = by(deadline, change).await;
            Outcome::Changed(
                instruments,
                result.unwrap_or_else(|| {
                    let detail =
                        "a change of subscriptions did not leave in time: more requests wait than the venue takes";
                    Err(Failure::new(Cause::SendTimeout).with_detail(detail))
                }),
            )
        }
    }
}

async fn close<S: MarketDataStream>(mut stream: S, panic: Option<String>) -> Ended<S> {
    // However that ends, the connection is no longer of interest.
    let closed = caught(timeout(CLOSE_LIMIT, stream.close())).await;
    Ended {
        stream,
        outcome: Outcome::Released,
        panic: panic.or(closed.err()),
    }
}

fn panicked() -> Failure {
    Failure::new(Cause::Internal).with_detail("the venue's adapter or the transport panicked")
}

fn too_late(phase: DialPhase) -> Failure {
    Failure::new(phase.timeout_cause()).with_detail("not finished within its time limit")
}
