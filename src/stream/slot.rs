//! Where the driver keeps its stream: at hand, or inside the operation that is under way.
//!
//! The operation owns the stream, and the slot owns the operation. A consumer that drops its call loses nothing: the next
//! call goes on where the last one was.

use super::MarketDataStream;
use super::deadline::by;
use super::subscriptions::Change;
use crate::market::{Cause, DialPhase, Failure, Instrument, MarketEvent, Subscribed};
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A stream that does not close by itself within this time is dropped as it is.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// What the stream is asked to do.
pub(super) enum Task {
    Connect,
    /// On a new connection.
    Subscribe(Vec<Instrument>),
    /// On a live connection.
    Change(Change),
}

/// What an operation came to.
pub(super) enum Outcome {
    Connected(Result<(), Failure>),
    Subscribed(Result<Subscribed, Failure>),
    /// A change of subscriptions of so many instruments was sent on the open connection.
    Changed(usize, Result<Subscribed, Failure>),
    /// The connection is closed, or the operation was given up.
    Released,
}

/// What came of the stream.
pub(super) enum Step {
    Outcome(Outcome),
    Event(Option<MarketEvent>),
}

type Operation<S> = Pin<Box<dyn Future<Output = (S, Outcome)> + Send>>;

enum Place<S> {
    AtHand(S),
    Busy(Operation<S>, CancellationToken),
    Closing(Operation<S>),
    /// Only while one place is made from another.
    Moving,
}

pub(super) struct Slot<S>(Place<S>);

impl<S: MarketDataStream + 'static> Slot<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self(Place::AtHand(stream))
    }

    pub(super) const fn is_busy(&self) -> bool {
        !matches!(self.0, Place::AtHand(_))
    }

    /// Whether the last connection is still being closed.
    pub(super) const fn is_closing(&self) -> bool {
        matches!(self.0, Place::Closing(_))
    }

    /// Starts an operation on the stream at hand; it ends by the deadline.
    pub(super) fn begin(&mut self, task: Task, deadline: Instant) {
        if self.is_busy() {
            return;
        }
        let Place::AtHand(mut stream) = std::mem::replace(&mut self.0, Place::Moving) else {
            return;
        };
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let operation = async move {
            let outcome = tokio::select! {
                biased; // what is given up must not win over a result that came at the same moment
                () = cancelled.cancelled() => Outcome::Released,
                outcome = run(&mut stream, task, deadline) => outcome,
            };
            (stream, outcome)
        };
        self.0 = Place::Busy(Box::pin(operation), cancel);
    }

    /// Gives up what is under way and closes the connection.
    pub(super) fn release(&mut self) {
        self.0 = match std::mem::replace(&mut self.0, Place::Moving) {
            Place::AtHand(stream) => Place::Closing(Box::pin(close(stream))),
            Place::Busy(operation, cancel) => {
                cancel.cancel();
                Place::Closing(Box::pin(async move { close(operation.await.0).await }))
            }
            place @ (Place::Closing(_) | Place::Moving) => place,
        };
    }

    /// What comes first of the stream: the outcome of the operation under way, or else its next event if `receiving`.
    ///
    /// Cancel-safe: the operation stays in the slot, and [`MarketDataStream::next_event`] loses nothing.
    pub(super) async fn next(&mut self, receiving: bool) -> Step {
        match &mut self.0 {
            Place::Busy(operation, _) | Place::Closing(operation) => {
                let (stream, outcome) = operation.await;
                self.0 = Place::AtHand(stream);
                Step::Outcome(outcome)
            }
            Place::AtHand(stream) if receiving => Step::Event(stream.next_event().await),
            Place::AtHand(_) | Place::Moving => std::future::pending().await,
        }
    }
}

async fn run<S: MarketDataStream>(stream: &mut S, task: Task, deadline: Instant) -> Outcome {
    match task {
        Task::Connect => {
            let result = by(deadline, stream.connect()).await;
            Outcome::Connected(result.unwrap_or_else(|| Err(too_late(stream.dial_phase()))))
        }
        Task::Subscribe(instruments) => {
            let result = by(deadline, stream.subscribe(&instruments)).await;
            Outcome::Subscribed(result.unwrap_or_else(|| Err(too_late(DialPhase::Subscribe))))
        }
        Task::Change(Change { added, removed }) => {
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
                added.len() + removed.len(),
                result.unwrap_or_else(|| Err(Failure::new(Cause::SendTimeout))),
            )
        }
    }
}

async fn close<S: MarketDataStream>(mut stream: S) -> (S, Outcome) {
    // Either way the connection is no longer of interest.
    let _ = timeout(CLOSE_LIMIT, stream.close()).await;
    (stream, Outcome::Released)
}

fn too_late(phase: DialPhase) -> Failure {
    Failure::new(phase.timeout_cause()).with_detail("not finished within its time limit")
}
