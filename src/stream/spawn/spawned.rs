//! What runs on a task of its own: a stream of one connection, or of several.

use crate::clock::Moment;
use crate::market::MarketEvent;
use crate::metrics::QueueCells;
use crate::stream::{DataFact, ManyConnections, MarketDataStream, Observer, ReconnectingDataStream};
use crate::supervise::{Policy, State};
use std::sync::Arc;

/// What is asked of the stream itself, and not of what it is subscribed to.
#[derive(Debug)]
pub(super) enum Order {
    Reconnect,
    Renew,
    ResetBreaker,
    Policy(Box<Policy>),
}

/// A stream that reconnects by itself, as its task sees it.
pub(super) trait Spawned: MarketDataStream {
    fn obey(&mut self, order: Order);

    /// Whether a connection is live: one that yields data.
    fn has_live(&self) -> bool;

    /// As [`MarketDataStream::next_event`], of the connections that are not live. Cancel-safe, too.
    fn next_of_others(&mut self) -> impl Future<Output = Option<MarketEvent>> + Send;

    /// Tells the observer of the stream.
    fn tell(&self, now: Moment, fact: DataFact);

    fn attach_queue(&self, capacity: usize) -> Option<Arc<QueueCells>>;
}

impl<S: MarketDataStream + 'static, O: Observer> Spawned for ReconnectingDataStream<S, O> {
    fn obey(&mut self, order: Order) {
        match order {
            Order::Reconnect => self.reconnect(),
            Order::Renew => self.renew(),
            Order::ResetBreaker => self.reset_breaker(),
            Order::Policy(policy) => self.set_policy(*policy),
        }
    }

    fn has_live(&self) -> bool {
        self.state() == State::Live
    }

    async fn next_of_others(&mut self) -> Option<MarketEvent> {
        if self.has_live() {
            std::future::pending().await
        } else {
            self.next_event().await
        }
    }

    fn tell(&self, now: Moment, fact: DataFact) {
        Self::tell(self, now, fact);
    }

    fn attach_queue(&self, capacity: usize) -> Option<Arc<QueueCells>> {
        self.observer().attach_queue(capacity)
    }
}

impl<S, O, F> Spawned for ManyConnections<S, O, F>
where
    S: MarketDataStream + 'static,
    O: Observer + 'static,
    F: FnMut(u32) -> ReconnectingDataStream<S, O> + Send,
{
    fn obey(&mut self, order: Order) {
        match order {
            Order::Reconnect => self.reconnect(),
            Order::Renew => self.renew(),
            Order::ResetBreaker => self.reset_breaker(),
            Order::Policy(policy) => self.set_policy(*policy),
        }
    }

    fn has_live(&self) -> bool {
        self.streams().any(|stream| stream.state() == State::Live)
    }

    async fn next_of_others(&mut self) -> Option<MarketEvent> {
        self.next_of(|stream| stream.state() != State::Live).await
    }

    /// The queue is the stream's: the oldest connection speaks for all. After the end there is none, and nothing to tell.
    fn tell(&self, now: Moment, fact: DataFact) {
        if let Some(stream) = self.streams().next() {
            stream.tell(now, fact);
        }
    }

    fn attach_queue(&self, capacity: usize) -> Option<Arc<QueueCells>> {
        self.streams().next()?.observer().attach_queue(capacity)
    }
}
