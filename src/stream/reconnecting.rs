//! The driver: does what the [`Supervisor`] decides, and tells the observer and the consumer what happened.

mod action;
mod calm;
mod endpoints;
mod outcome;
mod second;
mod turn;

use super::deadline::Deadline;
use super::gate::GatePlace;
use super::slot::{Outcome, Slot, Step};
use super::subscriptions::Subscriptions;
use super::timer::Timer;
use super::{DataFact, Fact, MarketDataStream, NoObserver, Observer, TransportFact};
use crate::clock::Moment;
use crate::market::{DialPhase, Failure, Instrument, MarketEvent, Subscribed};
use crate::supervise::{Action, BreakerState, Input, Notice, Policy, State, Supervisor};
use calm::Calm;
use endpoints::Endpoints;
use second::{Farewell, Second};
use std::collections::VecDeque;
use std::time::Instant;
use turn::Wish;

/// A stream that reconnects and resubscribes by itself, and never hides a gap.
///
/// [`MarketDataStream::connect`] and [`MarketDataStream::subscribe`] record the wish and return at once;
/// [`MarketDataStream::next_event`] dials, waits and receives. It yields [`MarketEvent::Disconnected`] for each loss and
/// [`MarketEvent::Reconnected`] once it is live again, so that the consumer can throw its books away; after
/// [`MarketDataStream::close`] it yields `None`.
///
/// `next_event` is cancel-safe in every phase: a wait or an attempt belongs to the stream and not to the call, so it may be
/// polled in a `select!` with a tick however short. Nothing happens while nobody polls it: no pong is sent and no redial made.
/// [`ReconnectingDataStream::spawn`] has a task of its own poll it.
///
/// ```
/// use feedwatch::ReconnectionConfig;
/// use feedwatch::market::{Instrument, MarketEvent};
/// use feedwatch::stream::{MarketDataStream, ReconnectingDataStream};
/// # use feedwatch::clock::Moment;
/// # use feedwatch::market::{Failure, Frame, Subscribed};
/// # struct Mock(Vec<&'static str>);
/// # impl MarketDataStream for Mock {
/// #     async fn connect(&mut self) -> Result<(), Failure> { Ok(()) }
/// #     async fn subscribe(&mut self, _: &[Instrument]) -> Result<Subscribed, Failure> { Ok(Subscribed::default()) }
/// #     async fn next_event(&mut self) -> Option<MarketEvent> {
/// #         let payload = self.0.pop()?.into();
/// #         Some(MarketEvent::Frame(Frame { payload, received: Moment::now(), is_data: true }))
/// #     }
/// #     fn exchange_name(&self) -> &'static str { "mock" }
/// # }
///
/// async fn watch<S: MarketDataStream + 'static>(venue: S) -> (u32, u32) {
///     let (mut frames, mut losses) = (0, 0);
///     let mut stream = ReconnectingDataStream::new(venue, ReconnectionConfig::default());
///     // Both record the wish, and never fail.
///     let _ = stream.subscribe(&[Instrument::new("71321045679252212594626385532706912750332728571942532289631379312455583992563")]).await;
///     let _ = stream.connect().await;
///     while let Some(event) = stream.next_event().await {
///         match event {
///             MarketEvent::Frame(_) => frames += 1,
///             // Here a bot throws its books away.
///             MarketEvent::Disconnected { .. } => losses += 1,
///             MarketEvent::Reconnected { .. } => stream.close().await,
///             _ => {}
///         }
///     }
///     (frames, losses)
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// // A mock of a venue, which sends two frames and is lost; then the stream is closed, which is told as well.
/// assert_eq!(watch(Mock(vec!["0.46", "0.45"])).await, (2, 2));
/// # }
/// ```
pub struct ReconnectingDataStream<S: MarketDataStream, O: Observer = NoObserver> {
    slot: Slot<S>,
    second: Second<S>,
    farewell: Farewell,
    venue: Box<str>,
    supervisor: Supervisor,
    observer: O,
    /// The consumer asked for a connection.
    wanted: bool,
    subscriptions: Subscriptions,
    /// Told before anything else is received. A handful: only notices of one input go in at a time.
    events: VecDeque<MarketEvent>,
    /// The consumer knows of a loss, and not yet of its end.
    gap: bool,
    /// Since when a successor is listened to: what it has received before counts from then on, or a fact would be told after a
    /// later one.
    succeeded: Option<Moment>,
    subscribing_since: Option<Instant>,
    /// When a live stream is stable or stale, if nothing comes that says otherwise.
    verdict: Option<Deadline>,
    timer: Timer,
    endpoints: Endpoints,
    /// At the gate of the endpoint's host, if there is one.
    gate: Option<GatePlace>,
    /// Asked for by hand, and waiting for its turn.
    wish: Option<Wish>,
    /// Whoever changes what the driver looks at ends it.
    calm: Calm,
}

impl<S: MarketDataStream + 'static> ReconnectingDataStream<S> {
    /// Wraps a stream. Nothing is dialled before [`MarketDataStream::next_event`].
    pub fn new(inner: S, policy: Policy) -> Self {
        Self::with_observer(inner, policy, fastrand::u64(..), NoObserver)
    }
}

impl<S: MarketDataStream + 'static, O: Observer> ReconnectingDataStream<S, O> {
    /// The same with an observer that is told every fact, and a seed for the jitter: the page of [`Observer`] shows one.
    pub fn with_observer(inner: S, policy: Policy, seed: u64, observer: O) -> Self {
        Self {
            venue: inner.exchange_name().into(),
            endpoints: Endpoints::new(inner.endpoints()),
            slot: Slot::new(inner),
            second: Second::Unmade,
            farewell: Farewell::default(),
            supervisor: Supervisor::new(policy, seed),
            observer,
            wanted: false,
            subscriptions: Subscriptions::default(),
            events: VecDeque::new(),
            gap: false,
            succeeded: None,
            subscribing_since: None,
            verdict: None,
            timer: Timer::default(),
            gate: None,
            wish: None,
            calm: Calm::No,
        }
    }

    /// Follows another policy from now on, without reconnecting.
    pub fn set_policy(&mut self, policy: Policy) {
        self.apply(Input::Policy(Box::new(policy)), Moment::now());
    }

    /// Every instrument that is asked for.
    pub fn instruments(&self) -> impl ExactSizeIterator<Item = &Instrument> {
        self.subscriptions.iter()
    }

    /// Ends the stream for good, as [`MarketDataStream::close`] does, where the program goes on without it: the cause is
    /// `reload`.
    pub async fn retire(&mut self) {
        self.end(Input::Retire).await;
    }

    /// Whether it was closed, and has told all that there is to tell.
    pub(super) fn is_over(&self) -> bool {
        self.state() == State::Stopped && self.events.is_empty()
    }

    pub(super) const fn observer(&self) -> &O {
        &self.observer
    }

    /// What the stream is doing.
    pub fn state(&self) -> State {
        self.supervisor.state()
    }

    /// The breaker's state.
    pub fn breaker(&self) -> BreakerState {
        self.supervisor.breaker()
    }

    async fn end(&mut self, input: Input) {
        if !self.subscriptions.is_wanted() {
            // It would hang up all the same, and not because of this.
            self.apply(Input::Idle, Moment::now());
        }
        self.apply(input, Moment::now());
        tokio::join!(self.slot.settle(), self.second.settle());
        self.tell_panic();
    }

    fn apply(&mut self, input: Input, now: Moment) {
        self.calm = Calm::No;
        for notice in self.supervisor.apply(input, now.mono) {
            self.tell_gate(&notice, now);
            self.endpoints.take_note(&notice);
            match &notice {
                Notice::AttemptFailed { .. } => self.leave_connection(now),
                Notice::RenewalFailed { .. } => self.second.give_up(),
                Notice::Renewed { .. } => self.take_over(now),
                Notice::TakenOver { stage, .. } => self.go_on_with_successor(*stage),
                Notice::Lost { cause, detail } => {
                    self.forget_farewell();
                    self.finish_leaving();
                    self.leave_connection(now);
                    self.gap = true;
                    self.events.push_back(MarketEvent::Disconnected {
                        cause: *cause,
                        detail: detail.clone(),
                        instruments: self.instruments().cloned().collect(),
                    });
                }
                Notice::Up { .. } if std::mem::take(&mut self.gap) => {
                    let instruments = self.instruments().cloned().collect();
                    self.events.push_back(MarketEvent::Reconnected { instruments });
                }
                Notice::Connected | Notice::SuccessorConnected => self.subscribing_since = Some(now.mono),
                _ => {}
            }
            let is_subscribing = matches!(notice, Notice::Connected | Notice::SuccessorConnected);
            self.observer.observe(now, &Fact::Supervisor(notice));
            if is_subscribing {
                let began = TransportFact::PhaseBegan(DialPhase::Subscribe);
                self.observer.observe(now, &Fact::Transport(began));
            }
        }
    }

    fn leave_connection(&mut self, now: Moment) {
        self.slot.release();
        if self.subscriptions.disconnect() {
            self.tell_subscriptions(now);
        }
    }

    /// What panicked has failed already, with the cause `internal`.
    fn tell_panic(&mut self) {
        for message in [self.slot.take_panic(), self.second.take_panic()].into_iter().flatten() {
            let fact = Fact::Transport(TransportFact::Panicked { message });
            self.observer.observe(Moment::now(), &fact);
        }
    }

    pub(super) fn tell(&self, now: Moment, fact: DataFact) {
        self.observer.observe(now, &Fact::Data(fact));
    }

    fn tell_subscriptions(&self, now: Moment) {
        let (desired, active) = (self.subscriptions.desired(), self.subscriptions.active());
        self.tell(now, DataFact::Subscriptions { desired, active });
    }
}

impl<S: MarketDataStream + 'static, O: Observer> MarketDataStream for ReconnectingDataStream<S, O> {
    /// Records the wish. Never fails.
    async fn connect(&mut self) -> Result<(), Failure> {
        self.wanted = true;
        Ok(())
    }

    /// Adds to the set of instruments, which every connection from now on is subscribed to. Never fails; what the venue
    /// refuses is told to the observer.
    async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        self.calm = Calm::No;
        self.subscriptions.want(instruments);
        self.tell_subscriptions(Moment::now());
        Ok(Subscribed::default())
    }

    /// Takes instruments out of the set. Never fails.
    async fn unsubscribe(&mut self, instruments: &[Instrument]) -> Result<(), Failure> {
        self.calm = Calm::No;
        self.subscriptions.take_back(instruments);
        self.tell_subscriptions(Moment::now());
        Ok(())
    }

    async fn next_event(&mut self) -> Option<MarketEvent> {
        loop {
            if self.calm != Calm::No {
                let event = self.next_in_calm().await;
                if event.is_some() {
                    return event;
                }
            }
            self.follow_wishes();
            self.follow_renewal();
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let action = self.supervisor.action();
            self.begin(action);
            self.begin_successor();
            let due = match action {
                Action::Stop => return None,
                // An operation ends by itself at its deadline, and nothing is read meanwhile. The next dial also waits until
                // the last connection is closed.
                _ if self.slot.is_busy() => None,
                Action::Receive { deadline } => {
                    let verdict = self.watch(deadline);
                    let other = self.turn_due().into_iter().chain(self.renewal_due());
                    verdict.into_iter().chain(other).min()
                }
                Action::Wait { due } => self.turn_due().or(Some(due)),
                Action::Connect { .. } => self.turn_due(),
                Action::Subscribe { .. } | Action::Idle => None,
            };
            if let Some(due) = due {
                self.timer.arm(due);
            }
            self.calm = self.calm_until(action, due);
            if self.calm != Calm::No {
                continue;
            }
            // What the connection before still brings comes first.
            let receiving = matches!(action, Action::Receive { .. }) && !self.second.is_leaving();
            let waiting = due.is_some() && matches!(action, Action::Wait { .. });
            // In order: what is under way, beside a flood of data first; what is there to read, and only then what is due, so that
            // after a pause the data that waits in the socket is not taken for silence.
            tokio::select! {
                biased;
                step = self.second.next() => {
                    self.tell_panic();
                    if let Some(event) = self.on_second(step) {
                        return Some(event);
                    }
                }
                step = self.slot.next(receiving) => {
                    if let Some(event) = self.on_step(step) {
                        return Some(event);
                    }
                }
                () = turn::news(&mut self.gate), if waiting => self.on_due(action),
                () = self.timer.elapsed(), if due.is_some() => self.on_due(action),
            }
        }
    }

    fn exchange_name(&self) -> &str {
        &self.venue
    }

    /// Ends the stream for good: closes the connection, and from then on `next_event` yields what is left to tell, then `None`.
    async fn close(&mut self) {
        self.end(Input::Stop).await;
    }
}
