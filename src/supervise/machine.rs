//! The supervisor of one connection.

use super::failing::Forbidden;
use super::phase::{Live, Phase, Successor};
use super::{
    Action, AttemptKind, BreakerState, CircuitBreaker, Input, Notice, Notices, OnStale, Policy, Stage, State, later,
};
use crate::market::Cause;
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// A longer `Retry-After` than this is not honoured in full: nobody means it.
pub(crate) const RETRY_AFTER_CAP: Duration = Duration::from_secs(3 * 24 * 3600);

/// Decides for one connection. See the module's page.
///
/// ```
/// use feedwatch::market::Cause;
/// use feedwatch::supervise::{Action, BreakerState, Input, Notice, Policy, Supervisor};
/// use std::time::Instant;
///
/// let now = Instant::now();
/// let mut supervisor = Supervisor::new(Policy::default(), 7);
/// let notices = supervisor.apply(Input::Start, now);
/// assert!(matches!(notices[..], [Notice::Attempt { number: 1, .. }]));
/// assert!(matches!(supervisor.action(), Action::Connect { .. }));
///
/// // A certificate that is not the venue's trips the breaker at once.
/// let notices = supervisor.apply(Input::Failed(Cause::TlsCertificate.into()), now);
/// assert!(notices.iter().any(|notice| matches!(notice, Notice::Breaker(moved) if moved.from == BreakerState::Closed)));
/// ```
#[derive(Clone, Debug)]
pub struct Supervisor {
    pub(super) policy: Policy,
    pub(super) random: fastrand::Rng,
    pub(super) phase: Phase,
    pub(super) breaker: CircuitBreaker,
    /// Dials since the stream was last live.
    pub(super) attempts: u32,
    ever_dialled: bool,
    pub(super) forbidden: Forbidden,
    /// After a loss for want of data, going live is not enough to be stable: data must come, or a dead venue would be
    /// redialled for ever and never trip.
    pub(super) needs_data: bool,
    /// The wait that was under way when there was nothing left to subscribe to: the venue is left alone all the same.
    not_before: Option<Instant>,
}

impl Supervisor {
    /// An idle supervisor; `seed` decides its jitter.
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self {
            policy,
            random: fastrand::Rng::with_seed(seed),
            phase: Phase::Idle,
            breaker: CircuitBreaker::new(),
            attempts: 0,
            ever_dialled: false,
            forbidden: Forbidden::default(),
            needs_data: false,
            not_before: None,
        }
    }

    /// What to do next.
    pub fn action(&self) -> Action {
        match self.phase {
            Phase::Idle => Action::Idle,
            Phase::Connecting { since } => Action::Connect {
                deadline: later(since, self.policy.connect_timeout),
            },
            Phase::Subscribing { since } => Action::Subscribe {
                deadline: later(since, self.policy.subscribe_timeout),
            },
            Phase::Live(live) => Action::Receive {
                deadline: self.stable_due(&live).into_iter().chain(self.stale_due(&live)).min(),
            },
            Phase::Waiting { due, .. } => Action::Wait { due },
            Phase::Stopped => Action::Stop,
        }
    }

    /// Moves on `input` at `now`, and returns what happened. Inputs that do not fit the phase have no effect.
    pub fn apply(&mut self, input: Input, now: Instant) -> Notices {
        let mut notices = Notices::new();
        match (input, self.phase) {
            (_, Phase::Stopped) => {}
            (Input::Start, Phase::Idle) => self.start(now, &mut notices),
            (Input::Idle, phase) if !matches!(phase, Phase::Idle) => {
                self.not_before = if let Phase::Waiting { due, .. } = phase {
                    Some(due)
                } else {
                    None
                };
                self.end_all(Cause::Planned, "nothing is left to subscribe to", &mut notices);
                self.phase = Phase::Idle;
                notices.push(Notice::Idle);
            }
            (Input::Connected, Phase::Connecting { .. }) => {
                self.phase = Phase::Subscribing { since: now };
                notices.push(Notice::Connected);
            }
            (Input::Subscribed { accepted, refused }, Phase::Subscribing { since }) => {
                self.attempts = 0;
                self.forbidden = Forbidden::default();
                self.phase = Phase::Live(Live {
                    since: now,
                    born: since,
                    chance: self.random.f64(),
                    data_clock: now,
                    has_data: false,
                    stable: false,
                    stale: false,
                    successor: Successor::None,
                    failed_successors: 0,
                });
                notices.push(Notice::Up { accepted, refused });
            }
            (Input::Data, Phase::Live(live)) => self.data(live, now, &mut notices),
            (Input::Failed(failure), Phase::Connecting { .. } | Phase::Subscribing { .. } | Phase::Live(_)) => {
                self.fail(&failure, true, now, &mut notices);
            }
            (Input::TurnedAway(failure), Phase::Connecting { .. }) => self.fail(&failure, false, now, &mut notices),
            (Input::Elapsed, phase) => self.elapsed(phase, now, &mut notices),
            (Input::Held { due }, phase) => self.hold(phase, due, now, &mut notices),
            (Input::Policy(policy), _) => {
                let had_age = self.policy.max_connection_age.is_some();
                self.policy = *policy;
                if had_age && self.policy.max_connection_age.is_none() {
                    self.forget_age();
                }
                notices.push(Notice::Policy {
                    threshold: self.policy.max_consecutive_failures,
                    stale_after: self.policy.stale_after,
                    instrument_stale_after: self.policy.instrument_stale_after,
                });
                if let Phase::Live(live) = self.phase {
                    self.judge_silence_anew(live, now, &mut notices);
                }
            }
            (Input::Reconnect, phase) => self.reconnect(phase, now, &mut notices),
            (Input::Renew, Phase::Live(live)) => self.renew(live, now, &mut notices),
            (Input::SuccessorConnected, Phase::Live(live)) => self.successor_connected(live, now, &mut notices),
            (Input::SuccessorSubscribed { accepted, refused }, Phase::Live(live)) => {
                self.take_over(live, (accepted, refused), &mut notices);
            }
            (Input::SuccessorFailed(failure), Phase::Live(live)) => {
                self.successor_failed(live, &failure, true, now, &mut notices);
            }
            (Input::SuccessorTurnedAway(failure), Phase::Live(live)) => {
                self.successor_failed(live, &failure, false, now, &mut notices);
            }
            (Input::ResetBreaker, phase) => self.reset(phase, now, &mut notices),
            (Input::Stop, _) => self.stop(Cause::Shutdown, &mut notices),
            (Input::Retire, _) => self.stop(Cause::Reload, &mut notices),
            _ => {}
        }
        notices
    }

    /// The same as [`Input::Data`] where that does nothing but move the clock of the data on: nearly always. `false` = it would do
    /// more, and was not done.
    pub(crate) fn goes_on(&mut self, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Live(live) if live.has_data && !live.stale => {
                live.data_clock = live.data_clock.max(now);
                true
            }
            _ => false,
        }
    }

    /// What the stream is doing.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Idle,
            Phase::Connecting { .. } => State::Connecting,
            Phase::Subscribing { .. } => State::Subscribing,
            Phase::Live(_) => State::Live,
            Phase::Waiting { .. } if matches!(self.breaker.state(), BreakerState::Open { .. }) => State::CoolingDown,
            Phase::Waiting { .. } => State::BackingOff,
            Phase::Stopped => State::Stopped,
        }
    }

    /// The breaker's state.
    pub const fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// The failures in a row.
    pub const fn failures(&self) -> u32 {
        self.breaker.failures()
    }

    /// The policy in force.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The wait with which a start goes on, if there is one.
    pub const fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    fn start(&mut self, now: Instant, notices: &mut Notices) {
        let due = self.not_before.take().unwrap_or(now);
        match self.breaker.state() {
            BreakerState::Open { .. } if due > now => {
                self.wait(due, AttemptKind::Backoff);
                notices.push(Notice::CoolingDown { due });
            }
            BreakerState::Open { .. } => self.probe(now, notices),
            _ if due > now => {
                self.wait(due, AttemptKind::Backoff);
                let failures = self.breaker.failures();
                notices.push(Notice::BackingOff {
                    delay: due.saturating_duration_since(now),
                    due,
                    failures,
                });
            }
            // A probe that was ended on purpose has neither failed nor succeeded: this goes on where it stopped.
            BreakerState::Closed | BreakerState::HalfOpen => self.dial(self.kind_of_start(), now, notices),
        }
    }

    fn stop(&mut self, cause: Cause, notices: &mut Notices) {
        self.end_all(cause, "", notices);
        self.phase = Phase::Stopped;
        notices.push(Notice::Stopped);
    }

    const fn kind_of_start(&self) -> AttemptKind {
        if self.ever_dialled {
            AttemptKind::Planned
        } else {
            AttemptKind::First
        }
    }

    fn hold(&mut self, phase: Phase, due: Instant, now: Instant, notices: &mut Notices) {
        match phase {
            Phase::Idle => {
                let own = self.not_before.take().unwrap_or(now);
                self.wait(own, self.kind_of_start());
            }
            Phase::Waiting { .. } => {}
            _ => return,
        }
        let state = self.state();
        notices.push(Notice::Held { due, state });
    }

    pub(super) const fn wait(&mut self, due: Instant, kind: AttemptKind) {
        self.phase = Phase::Waiting { due, kind };
    }

    fn reset(&mut self, phase: Phase, now: Instant, notices: &mut Notices) {
        self.forbidden = Forbidden::default();
        self.needs_data = false;
        let closed = self.breaker.reset();
        notices.extend(closed.map(Notice::Breaker));
        notices.push(Notice::Reset);
        if closed.is_some() {
            self.not_before = None;
            if matches!(phase, Phase::Waiting { .. }) {
                self.dial(AttemptKind::Forced, now, notices);
            }
        }
    }

    fn dial(&mut self, kind: AttemptKind, now: Instant, notices: &mut Notices) {
        self.ever_dialled = true;
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Connecting { since: now };
        notices.push(Notice::Attempt {
            number: self.attempts,
            kind,
        });
    }

    fn probe(&mut self, now: Instant, notices: &mut Notices) {
        if let Some(transition) = self.breaker.try_probe(now) {
            notices.push(Notice::Breaker(transition));
            self.dial(AttemptKind::Probe, now, notices);
        }
    }

    /// Data proves nothing of what came after it: a loss may be waiting behind it. So it makes nothing stable; only time does.
    fn data(&mut self, live: Live, now: Instant, notices: &mut Notices) {
        if live.stale {
            notices.push(Notice::Fresh);
        }
        self.phase = Phase::Live(Live {
            // It may have been read before the subscription was answered.
            data_clock: live.data_clock.max(now),
            // The answer itself says nothing of what follows: a venue may answer with books and be dead.
            has_data: live.has_data || now > live.since,
            stale: false,
            ..live
        });
    }

    fn elapsed(&mut self, phase: Phase, now: Instant, notices: &mut Notices) {
        match phase {
            Phase::Waiting { due, kind } if due <= now => match self.breaker.state() {
                BreakerState::Open { .. } => self.probe(now, notices),
                _ => self.dial(kind, now, notices),
            },
            Phase::Connecting { since } if later(since, self.policy.connect_timeout) <= now => {
                self.fail(&Cause::TcpTimeout.into(), true, now, notices);
            }
            Phase::Subscribing { since } if later(since, self.policy.subscribe_timeout) <= now => {
                self.fail(&Cause::SubscribeTimeout.into(), true, now, notices);
            }
            Phase::Live(live) => self.settle(live, now, notices),
            _ => {}
        }
    }

    /// Becomes stable, then stale, where that is due.
    fn settle(&mut self, mut live: Live, now: Instant, notices: &mut Notices) {
        if self.stable_due(&live).is_some_and(|due| due <= now) {
            live.stable = true;
            self.needs_data = false;
            self.phase = Phase::Live(live);
            notices.push(Notice::Stable);
            notices.extend(self.breaker.stable().map(Notice::Breaker));
        }
        if self.stale_due(&live).is_some_and(|due| due <= now) {
            live.stale = true;
            self.phase = Phase::Live(live);
            notices.push(Notice::Stale);
            if self.policy.on_stale == OnStale::Reconnect {
                self.fail(&Cause::Stale.into(), true, now, notices);
            }
        }
    }

    /// By another policy, where the one before it has called the stream stale.
    fn judge_silence_anew(&mut self, live: Live, now: Instant, notices: &mut Notices) {
        if !live.stale {
            return;
        }
        let live = Live { stale: false, ..live };
        if self.stale_due(&live).is_none_or(|due| due > now) {
            self.phase = Phase::Live(live);
            notices.push(Notice::Fresh);
        } else if self.policy.on_stale == OnStale::Reconnect {
            self.fail(&Cause::Stale.into(), true, now, notices);
        }
    }

    fn stable_due(&self, live: &Live) -> Option<Instant> {
        let possible = !live.stable && (live.has_data || !self.needs_data);
        possible.then(|| later(live.since, self.policy.stable_after))
    }

    fn stale_due(&self, live: &Live) -> Option<Instant> {
        let stale_after = self.policy.stale_after.filter(|_| !live.stale)?;
        Some(later(live.data_clock, stale_after))
    }

    fn reconnect(&mut self, phase: Phase, now: Instant, notices: &mut Notices) {
        if self.breaker.state() == BreakerState::Closed && !matches!(phase, Phase::Idle) {
            self.end_all(Cause::Forced, "a reconnect was asked for", notices);
            self.dial(AttemptKind::Forced, now, notices);
        }
    }

    /// Reports the end of what this side ends on purpose: what is under way, and what was to take its place.
    fn end_all(&self, cause: Cause, detail: &'static str, notices: &mut Notices) {
        if let Phase::Live(live) = self.phase {
            notices.extend(live.successor.stage().map(|stage| Notice::given_up(stage, cause)));
        }
        self.end(cause, detail.into(), notices);
    }

    /// Reports the end of what is under way.
    pub(super) fn end(&self, cause: Cause, detail: Cow<'static, str>, notices: &mut Notices) {
        let stage = match self.phase {
            Phase::Connecting { .. } => Stage::Connect,
            Phase::Subscribing { .. } => Stage::Subscribe,
            Phase::Live(_) => {
                return notices.push(Notice::Lost {
                    cause: cause.of_loss(),
                    detail,
                });
            }
            Phase::Idle | Phase::Waiting { .. } | Phase::Stopped => return,
        };
        notices.push(Notice::AttemptFailed {
            stage,
            cause: cause.of_attempt(),
            detail,
        });
    }
}
