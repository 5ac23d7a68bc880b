//! How a dial of this stream gets its turn at the gate of the host.
//!
//! The gate is asked before the supervisor is told what makes it dial: so an attempt is still one dial, and what it waited is
//! neither the attempt's time nor in its span.

use super::calm::Calm;
use super::{Fact, GatePlace, MarketDataStream, Moment, Observer, ReconnectingDataStream, TransportFact};
use crate::market::{Cause, Failure};
use crate::stream::DialGate;
use crate::supervise::{Action, BreakerState, Dial, Input, Notice, RETRY_AFTER_CAP, Renewal, State, Turn, later};
use std::time::{Duration, Instant};

/// A probe has so much time beyond its own limits before the others of its host no longer wait for it.
const VERDICT_SLACK: Duration = Duration::from_secs(5);

/// What waits for a turn beside the supervisor's own dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Reconnect,
    Renew,
    /// A renewal that nobody asked for: the connection is old, or its last successor failed a while ago.
    RenewIfDue,
    ResetBreaker,
}

impl Wish {
    const fn input(self) -> Input {
        match self {
            Self::Reconnect => Input::Reconnect,
            Self::Renew | Self::RenewIfDue => Input::Renew,
            Self::ResetBreaker => Input::ResetBreaker,
        }
    }

    pub(super) const fn is_renewal(self) -> bool {
        matches!(self, Self::Renew | Self::RenewIfDue)
    }
}

impl<S: MarketDataStream + 'static, O: Observer> ReconnectingDataStream<S, O> {
    /// Dials only when the gate lets it: the dial rate is then one for all streams that share it.
    ///
    /// ```
    /// use feedwatch::ReconnectionConfig;
    /// use feedwatch::stream::{DialGate, MarketDataStream, ReconnectingDataStream};
    /// use feedwatch::supervise::DialLimit;
    ///
    /// fn gated<S: MarketDataStream + 'static>(streams: Vec<S>) -> Vec<ReconnectingDataStream<S>> {
    ///     let gate = DialGate::new(DialLimit { per_second: 5.0, burst: 1 });
    ///     let gated = |inner| ReconnectingDataStream::new(inner, ReconnectionConfig::default()).with_gate(&gate);
    ///     streams.into_iter().map(gated).collect()
    /// }
    /// ```
    #[must_use]
    pub fn with_gate(mut self, gate: &DialGate) -> Self {
        self.gate = Some(gate.join());
        self
    }

    /// Reconnects now, or as soon as the gate of the host lets it. No effect unless the breaker is closed.
    pub fn reconnect(&mut self) {
        // A dial is announced already, and waits for the last connection to be closed or for its turn: one attempt is one dial.
        let is_dialling = self.slot.is_busy() && !self.slot.is_closing();
        if self.state() == State::Connecting && !is_dialling {
            return;
        }
        self.fulfil(Wish::Reconnect, Moment::now());
    }

    /// Closes the breaker and clears the failure count; if it was open, dials, and all that as soon as the gate of the host
    /// lets it.
    ///
    /// ```
    /// use feedwatch::ReconnectionConfig;
    /// use feedwatch::market::{Cause, Failure, Instrument, MarketEvent, Subscribed};
    /// use feedwatch::stream::{MarketDataStream, ReconnectingDataStream};
    /// use feedwatch::supervise::{BreakerState, State};
    /// use std::time::Duration;
    ///
    /// /// Its certificate is another's.
    /// struct Mock;
    ///
    /// impl MarketDataStream for Mock {
    ///     async fn connect(&mut self) -> Result<(), Failure> {
    ///         Err(Cause::TlsCertificate.into())
    ///     }
    /// #   async fn subscribe(&mut self, _: &[Instrument]) -> Result<Subscribed, Failure> { Ok(Subscribed::default()) }
    /// #   async fn next_event(&mut self) -> Option<MarketEvent> { None }
    /// #   fn exchange_name(&self) -> &'static str { "mock" }
    ///     // ...
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let mut stream = ReconnectingDataStream::new(Mock, ReconnectionConfig::default());
    /// stream.subscribe(&[Instrument::new("71")]).await.unwrap();
    /// stream.connect().await.unwrap();
    /// let second = Duration::from_secs(1);
    /// assert!(tokio::time::timeout(second, stream.next_event()).await.is_err(), "there is nothing to tell");
    /// assert!(matches!(stream.breaker(), BreakerState::Open { .. }));
    ///
    /// stream.reset_breaker();
    /// assert_eq!((stream.breaker(), stream.state()), (BreakerState::Closed, State::Connecting));
    /// # }
    /// ```
    pub fn reset_breaker(&mut self) {
        self.fulfil(Wish::ResetBreaker, Moment::now());
    }

    /// Begins to watch: at once, or after the wait that was under way when there was nothing left to subscribe to.
    pub(super) fn start(&mut self, now: Moment) {
        if self.supervisor.not_before().is_some_and(|due| due > now.mono) {
            self.apply(Input::Start, now);
        } else {
            self.dial(Input::Start, now);
        }
    }

    /// Says what makes the supervisor dial, if it is this stream's turn.
    pub(super) fn dial(&mut self, input: Input, now: Moment) {
        if self.has_turn(self.kind_of_dial(), now) {
            self.apply(input, now);
        }
    }

    /// Whether the dial that was let through may leave. Where it was kept, by the last connection that had to be closed or by
    /// a consumer that looked elsewhere, it needs another turn: venues count dials when they come.
    pub(super) fn may_leave(&mut self, now: Moment) -> bool {
        let Some(gate) = &mut self.gate else { return true };
        if gate.leave(now.mono) {
            return true;
        }
        // A probe has been let through as such.
        let (_, waited) = gate.ask(Dial::Plain, now.mono);
        let may_leave = gate.leave(now.mono);
        self.tell_waited(waited, now);
        self.tell_long_wait(now);
        may_leave
    }

    /// Does what was asked for by hand, when it is this stream's turn.
    pub(super) fn fulfil(&mut self, wish: Wish, now: Moment) {
        self.calm = Calm::No;
        if !self.would_dial(wish, now) {
            // It waits for nothing, and what was asked for before goes on waiting.
            return self.apply(wish.input(), now);
        }
        if wish.is_renewal() {
            return self.pursue_renewal(wish, now);
        }
        let has_turn = self.has_plain_turn(now);
        self.wish = (!has_turn).then_some(wish);
        if has_turn {
            self.apply(wish.input(), now);
        }
    }

    /// Looks after what waits for its turn. Returns whether nothing else is to be done: a dial waits for one turn only.
    pub(super) fn minds_wish(&mut self, action: Action, now: Moment) -> bool {
        let Some(wish) = self.wish else { return false };
        if !self.would_dial(wish, now) {
            // What it is for has come about, or can no longer be done.
            self.wish = None;
            self.give_up_turn(now);
            return false;
        }
        let is_due = self.turn_due().is_none_or(|due| due <= now.mono);
        if is_due {
            self.fulfil(wish, now);
        }
        is_due || matches!(action, Action::Wait { .. })
    }

    /// When to ask the gate again, if a dial waits there.
    pub(super) fn turn_due(&self) -> Option<Instant> {
        let turn = self.gate.as_ref().and_then(GatePlace::due)?;
        match self.supervisor.action() {
            // The next dial goes elsewhere: the turn here is waited for no longer than the stream would wait without it.
            Action::Wait { due } if self.endpoints.is_to_move() => Some(turn.min(due)),
            _ => Some(turn),
        }
    }

    /// Tells the gate of the host what happened here.
    pub(super) fn tell_gate(&mut self, notice: &Notice, now: Moment) {
        let is_moot = match notice {
            Notice::Idle | Notice::Stopped => true,
            // Another connection is coming anyhow.
            Notice::Lost { .. } => self.wish.is_some_and(Wish::is_renewal),
            _ => false,
        };
        if is_moot {
            self.wish = None;
            self.give_up_turn(now);
        }
        if let Some(gate) = &mut self.gate {
            gate.take_note(notice, now.mono);
        }
    }

    /// A venue that asks for rest means all streams of the host.
    pub(super) fn leave_host_alone(&self, failure: &Failure, now: Moment) {
        let Some(gate) = &self.gate else { return };
        let due = match (self.supervisor.action(), self.supervisor.renewal()) {
            (Action::Wait { due }, _) | (_, Renewal::Wait { due }) => Some(due),
            _ => None,
        };
        let rest = match (failure.retry_after, due) {
            (Some(asked), _) => asked.min(RETRY_AFTER_CAP),
            // It does not say for how long: as long as this stream waits, but not for a whole cooldown.
            (None, Some(due)) if failure.cause == Cause::RateLimited => {
                let own = due.saturating_duration_since(now.mono);
                own.min(self.supervisor.policy().max_delay)
            }
            _ => return,
        };
        gate.close(later(now.mono, rest), now.mono);
    }

    pub(super) fn has_plain_turn(&mut self, now: Moment) -> bool {
        self.has_turn(Dial::Plain, now)
    }

    fn has_turn(&mut self, dial: Dial, now: Moment) -> bool {
        // The gate that is asked is that of the host that will be dialled.
        self.move_on(now);
        let Some(gate) = &mut self.gate else { return true };
        let due_before = gate.due();
        let (turn, waited) = gate.ask(dial, now.mono);
        self.tell_waited(waited, now);
        match turn {
            Turn::Now => true,
            Turn::At(due) => {
                if due_before != Some(due) {
                    self.apply(Input::Held { due }, now);
                }
                self.tell_long_wait(now);
                false
            }
        }
    }

    pub(super) fn give_up_turn(&mut self, now: Moment) {
        if let Some(gate) = &mut self.gate {
            let waited = gate.give_up(now.mono);
            self.tell_waited(waited, now);
        }
    }

    fn tell_waited(&self, waited: Duration, now: Moment) {
        if !waited.is_zero() {
            let fact = TransportFact::WaitedAtGate(waited);
            self.observer.observe(now, &Fact::Transport(fact));
        }
    }

    fn tell_long_wait(&mut self, now: Moment) {
        let told = self.gate.as_mut().and_then(|gate| gate.tell_long_wait(now.mono));
        if let Some((time, reason)) = told {
            let planned = self.wish.is_some_and(Wish::is_renewal);
            let fact = TransportFact::WaitsAtGate { time, reason, planned };
            self.observer.observe(now, &Fact::Transport(fact));
        }
    }

    fn kind_of_dial(&self) -> Dial {
        if self.breaker() == BreakerState::Closed {
            return Dial::Plain;
        }
        let policy = self.supervisor.policy();
        Dial::Probe {
            cooldown: policy.circuit_breaker_cooldown,
            verdict_within: policy
                .connect_timeout
                .saturating_add(policy.subscribe_timeout)
                .saturating_add(VERDICT_SLACK),
        }
    }

    pub(super) fn would_dial(&self, wish: Wish, now: Moment) -> bool {
        let is_closed = self.breaker() == BreakerState::Closed;
        match (wish, self.state()) {
            (Wish::Reconnect, State::Idle | State::Stopped) => false,
            (Wish::Reconnect, _) => is_closed,
            (Wish::Renew, _) => self.can_renew(),
            (Wish::RenewIfDue, _) => self.can_renew() && self.is_renewal_due(now),
            (Wish::ResetBreaker, State::BackingOff | State::CoolingDown) => !is_closed,
            (Wish::ResetBreaker, _) => false,
        }
    }
}

/// Resolves when a dial that is held should ask the gate again. Cancel-safe.
pub(super) async fn news(gate: &mut Option<GatePlace>) {
    match gate {
        Some(gate) => gate.news().await,
        None => std::future::pending().await,
    }
}
