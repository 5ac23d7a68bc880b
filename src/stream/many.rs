//! One stream over as many connections as its instruments need.

use super::{MarketDataStream, Observer, ReconnectingDataStream};
use crate::market::{Failure, Instrument, MarketEvent, Subscribed};
use crate::supervise::Policy;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::AtomicWaker;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tokio::task::coop;

/// A stream with more instruments than one connection carries: it spreads them over several, each of which reconnects by
/// itself.
///
/// A further connection is made when all others are full, and closed when nothing is left for it to carry; what moves is
/// never an instrument that is in effect. [`MarketEvent::Disconnected`] and [`MarketEvent::Reconnected`] name the instruments
/// that they concern. As with [`ReconnectingDataStream`], nothing happens while nobody polls it, and `next_event` is
/// cancel-safe.
///
/// The figures of all connections add up to those of one stream where each is told to a
/// [`crate::observe::StreamObserver::connection`].
///
/// ```
/// use feedwatch::ReconnectionConfig;
/// use feedwatch::market::{Instrument, MarketEvent};
/// use feedwatch::stream::{ManyConnections, MarketDataStream, ReconnectingDataStream};
/// # use feedwatch::clock::Moment;
/// # use feedwatch::market::{Failure, Frame, Subscribed};
/// # struct Mock(u32);
/// # impl MarketDataStream for Mock {
/// #     async fn connect(&mut self) -> Result<(), Failure> { Ok(()) }
/// #     async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
/// #         Ok(Subscribed { accepted: instruments.to_vec(), ..Subscribed::default() })
/// #     }
/// #     async fn next_event(&mut self) -> Option<MarketEvent> {
/// #         if self.0 == 1 { return None; }
/// #         std::future::pending().await
/// #     }
/// #     fn exchange_name(&self) -> &'static str { "mock" }
/// # }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let instruments: Vec<_> = ["1", "2", "3", "4", "5"].map(Instrument::new).into();
/// let make = |number| ReconnectingDataStream::new(Mock(number), ReconnectionConfig::default());
/// let mut stream = ManyConnections::new(2, make);
/// stream.subscribe(&instruments).await.unwrap();
/// stream.connect().await.unwrap();
/// assert_eq!(stream.connections(), 3);
///
/// // The second connection is lost, and the books of its instruments with it; the others go on.
/// let Some(MarketEvent::Disconnected { instruments: lost, .. }) = stream.next_event().await else { unreachable!() };
/// assert_eq!(lost, ["3", "4"].map(Instrument::new));
///
/// stream.unsubscribe(&instruments[2..]).await.unwrap();
/// assert_eq!(stream.connections(), 1, "what carries nothing is closed");
/// # }
/// ```
///
/// It is polled by its consumer. Where each connection is to have a task and a queue of its own, spawn them one by one, as
/// `examples/connections.rs` does.
pub struct ManyConnections<S: MarketDataStream, O: Observer, F> {
    make: F,
    most: usize,
    venue: Box<str>,
    /// In the order in which they were made; only after the end there is none.
    members: Vec<Member<S, O>>,
    /// Of the connection that is made next.
    number: u32,
    leaving: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>,
    wanted: bool,
    /// That of the connections from now on, where it is not the one that they are made with.
    policy: Option<Policy>,
    /// Which member is asked first: they take turns.
    turn: usize,
}

struct Member<S: MarketDataStream, O: Observer> {
    stream: ReconnectingDataStream<S, O>,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

/// Tells which member is to be polled: there may be many, and mostly one of them has something.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.listener.wake();
    }
}

impl<S: MarketDataStream + 'static, O: Observer + 'static> Member<S, O> {
    fn new(stream: ReconnectingDataStream<S, O>) -> Self {
        let bell = Arc::new(Bell::default());
        bell.rung.store(true, Ordering::Relaxed);
        Self {
            stream,
            waker: bell.clone().into(),
            bell,
        }
    }

    async fn subscribe(&mut self, instruments: &[Instrument]) {
        if !instruments.is_empty() {
            // Records the wish; never fails.
            let _ = self.stream.subscribe(instruments).await;
            self.bell.wake_by_ref();
        }
    }

    /// Pending also where it was not woken.
    fn poll_event(&mut self, cx: &Context<'_>) -> Poll<Option<MarketEvent>> {
        // First listen, then look: what rings in between wakes.
        self.bell.listener.register(cx.waker());
        if !self.bell.rung.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let event = pin!(self.stream.next_event()).poll(&mut Context::from_waker(&self.waker));
        if event.is_ready() {
            // There may be more.
            self.bell.rung.store(true, Ordering::Relaxed);
        }
        event
    }
}

impl<S, O, F> ManyConnections<S, O, F>
where
    S: MarketDataStream + 'static,
    O: Observer + 'static,
    F: FnMut(u32) -> ReconnectingDataStream<S, O> + Send,
{
    /// `make` makes a connection from its number: 0, 1, ..., each used once. None of them carries more than `most`
    /// instruments (at least one).
    pub fn new(most: usize, mut make: F) -> Self {
        let first = make(0);
        Self {
            venue: first.exchange_name().into(),
            members: vec![Member::new(first)],
            make,
            most: most.max(1),
            number: 1,
            leaving: FuturesUnordered::new(),
            wanted: false,
            policy: None,
            turn: 0,
        }
    }

    /// How many connections it is spread over.
    pub const fn connections(&self) -> usize {
        self.members.len()
    }

    /// Every instrument that is asked for.
    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.members.iter().flat_map(|member| member.stream.instruments())
    }

    /// Reconnects each connection whose breaker is closed.
    pub fn reconnect(&mut self) {
        self.each(ReconnectingDataStream::reconnect);
    }

    /// Replaces each connection without a gap, as [`ReconnectingDataStream::renew`] does.
    pub fn renew(&mut self) {
        self.each(ReconnectingDataStream::renew);
    }

    /// Closes each breaker and clears the failure counts; those that were open dial now.
    pub fn reset_breaker(&mut self) {
        self.each(ReconnectingDataStream::reset_breaker);
    }

    /// Follows another policy from now on, without reconnecting; so do the connections that are made later.
    pub fn set_policy(&mut self, policy: Policy) {
        self.each(|stream| stream.set_policy(policy.clone()));
        self.policy = Some(policy);
    }

    /// Has every connection polled next time: something that they follow has changed.
    pub fn look_again(&mut self) {
        self.each(|_| ());
    }

    /// Ends the stream for good, as [`MarketDataStream::close`] does, where the program goes on without it: the cause is
    /// `reload`.
    pub async fn retire(&mut self) {
        join_all(self.members.iter_mut().map(|member| member.stream.retire())).await;
        self.settle_end().await;
    }

    /// What is being closed is closed, and what is left to tell is asked for.
    async fn settle_end(&mut self) {
        while self.leaving.next().await.is_some() {}
        self.each(|_| ());
    }

    fn each(&mut self, mut act: impl FnMut(&mut ReconnectingDataStream<S, O>)) {
        for member in &mut self.members {
            act(&mut member.stream);
            member.bell.wake_by_ref();
        }
    }

    async fn make_member(&mut self) -> Member<S, O> {
        let mut member = Member::new((self.make)(self.number));
        self.number = self.number.saturating_add(1);
        if let Some(policy) = &self.policy {
            member.stream.set_policy(policy.clone());
        }
        if self.wanted {
            // Records the wish; never fails.
            let _ = member.stream.connect().await;
        }
        member
    }

    /// Closes the connections that carry nothing, but for the last one.
    fn close_empty(&mut self) {
        let mut index = 0;
        while index < self.members.len() && self.members.len() > 1 {
            let carries = |member: &Member<S, O>| member.stream.instruments().next().is_some();
            if self.members.get(index).is_some_and(carries) {
                index += 1;
                continue;
            }
            let mut stream = self.members.remove(index).stream;
            self.leaving.push(Box::pin(async move { stream.close().await }));
        }
    }

    /// Its connections, the oldest first; what nothing is left for is none of them any more. To look at: what changes one of them
    /// goes through the stream.
    pub fn streams(&self) -> impl Iterator<Item = &ReconnectingDataStream<S, O>> {
        self.members.iter().map(|member| &member.stream)
    }

    /// The next event of those that are `wanted`. Cancel-safe.
    pub(super) async fn next_of(
        &mut self,
        wanted: impl Fn(&ReconnectingDataStream<S, O>) -> bool + Send,
    ) -> Option<MarketEvent> {
        poll_fn(|cx| self.poll_event(cx, &wanted)).await
    }

    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        wanted: &impl Fn(&ReconnectingDataStream<S, O>) -> bool,
    ) -> Poll<Option<MarketEvent>> {
        while let Poll::Ready(Some(())) = self.leaving.poll_next_unpin(cx) {}
        let first = self.turn;
        let (mut asked, mut has_turns) = (0, coop::has_budget_remaining());
        while asked < self.members.len() {
            let index = (first + asked) % self.members.len();
            asked += 1;
            let member = self.members.get_mut(index).filter(|member| wanted(&member.stream));
            let Some(member) = member else {
                continue;
            };
            match member.poll_event(cx) {
                Poll::Ready(Some(event)) => {
                    self.turn = index + 1;
                    if matches!(event, MarketEvent::Ended { .. }) {
                        self.close_empty();
                    }
                    return Poll::Ready(Some(event));
                }
                // It was closed, and has told everything.
                Poll::Ready(None) => {
                    self.members.remove(index);
                    asked = 0;
                }
                // What floods it, with nothing to tell, has taken all turns of this task: next time another comes first.
                Poll::Pending if has_turns && !coop::has_budget_remaining() => {
                    has_turns = false;
                    self.turn = index + 1;
                }
                Poll::Pending => {}
            }
        }
        if self.members.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

impl<S, O, F> MarketDataStream for ManyConnections<S, O, F>
where
    S: MarketDataStream + 'static,
    O: Observer + 'static,
    F: FnMut(u32) -> ReconnectingDataStream<S, O> + Send,
{
    /// Records the wish. Never fails.
    async fn connect(&mut self) -> Result<(), Failure> {
        self.wanted = true;
        for member in &mut self.members {
            let _ = member.stream.connect().await;
            member.bell.wake_by_ref();
        }
        Ok(())
    }

    /// Adds to the set of instruments. Never fails; what the venue refuses is told to the observer.
    async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        let known: BTreeSet<_> = self.instruments().cloned().collect();
        let new: BTreeSet<_> = instruments
            .iter()
            .filter(|new| !known.contains(*new))
            .cloned()
            .collect();
        let new: Vec<_> = new.into_iter().collect();
        let mut rest = new.as_slice();
        for member in &mut self.members {
            let room = self.most.saturating_sub(member.stream.instruments().len());
            let (placed, left) = rest.split_at(room.min(rest.len()));
            rest = left;
            member.subscribe(placed).await;
        }
        for placed in rest.chunks(self.most) {
            let mut member = self.make_member().await;
            member.subscribe(placed).await;
            self.members.push(member);
        }
        Ok(Subscribed::default())
    }

    /// Takes instruments out of the set. Never fails.
    async fn unsubscribe(&mut self, instruments: &[Instrument]) -> Result<(), Failure> {
        for member in &mut self.members {
            let _ = member.stream.unsubscribe(instruments).await;
            member.bell.wake_by_ref();
        }
        self.close_empty();
        Ok(())
    }

    async fn next_event(&mut self) -> Option<MarketEvent> {
        self.next_of(|_| true).await
    }

    fn exchange_name(&self) -> &str {
        &self.venue
    }

    /// Ends the stream for good: closes every connection, and from then on `next_event` yields what is left to tell, then
    /// `None`.
    async fn close(&mut self) {
        let members = self.members.iter_mut().map(|member| member.stream.close());
        join_all(members).await;
        self.settle_end().await;
    }
}
