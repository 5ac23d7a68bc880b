//! This side's own books of one stream, kept from the facts that it reported and nothing else.

use super::journal::Journal;
use super::promise::Promise;
use feedwatch::market::Cause;
use feedwatch::stream::{DataFact, Fact, TransportFact};
use feedwatch::supervise::{AttemptKind, BreakerState, Notice, Policy, State, Trigger};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a stream was in what.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) up: Duration,
    pub(crate) down: Duration,
    pub(crate) stale: Duration,
    pub(crate) open: Duration,
    /// Meant to be live, and without a root in the traces: a cooldown, or a turn at the gate that is waited for after one or
    /// before the first dial.
    pub(crate) rootless: Duration,
    /// With nothing to do: idle or stopped.
    pub(crate) unobserved: Duration,
}

/// A time that the stream was not live and was meant to be: an outage, or a start that succeeded at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) lasted: Duration,
    /// So much of it without a root.
    pub(crate) rootless: Duration,
    pub(crate) is_outage: bool,
    /// It ended with the stream live.
    pub(crate) is_over: bool,
    /// Something happened in it that has a root. Waiting for the end of an old cooldown has none.
    pub(crate) has_roots: bool,
}

/// A gap that is not over.
struct OpenGap {
    since: Instant,
    rootless_before: Duration,
    has_roots: bool,
    /// Whether a root is open.
    in_root: bool,
}

pub(crate) struct Ledger {
    policy: Policy,
    /// The host of the attempts from now on.
    pub(crate) endpoint: String,
    /// So many facts were put down.
    pub(crate) facts: u64,
    pub(crate) state: State,
    pub(crate) breaker: BreakerState,
    pub(crate) failures: u32,
    pub(crate) due: Option<Instant>,
    pub(crate) stale: bool,
    pub(crate) times: Times,
    settled: Instant,
    pub(crate) attempts: u64,
    pub(crate) attempts_failed: BTreeMap<&'static str, u64>,
    pub(crate) losses: BTreeMap<&'static str, u64>,
    pub(crate) made_live: u64,
    /// Of the attempts those that ended before the network saw them.
    pub(crate) undialled: u64,
    dialled: bool,
    pub(crate) dials: u64,
    probed: bool,
    pub(crate) trips: u64,
    pub(crate) stale_episodes: u64,
    pub(crate) outages: u64,
    pub(crate) outage: Option<Instant>,
    gap: Option<OpenGap>,
    pub(crate) gaps: Vec<Gap>,
    /// Of the instruments that were asked for.
    pub(crate) desired: usize,
    pub(crate) active: usize,
}

impl Ledger {
    pub(crate) fn new(policy: Policy, endpoint: &str, now: Instant) -> Self {
        Self {
            policy,
            endpoint: endpoint.to_owned(),
            facts: 0,
            state: State::Idle,
            breaker: BreakerState::Closed,
            failures: 0,
            due: None,
            stale: false,
            times: Times::default(),
            settled: now,
            attempts: 0,
            attempts_failed: BTreeMap::new(),
            losses: BTreeMap::new(),
            made_live: 0,
            undialled: 0,
            dialled: false,
            dials: 0,
            probed: false,
            trips: 0,
            stale_episodes: 0,
            outages: 0,
            outage: None,
            gap: None,
            gaps: Vec::new(),
            desired: 0,
            active: 0,
        }
    }

    /// Time passes until then.
    pub(crate) fn settle(&mut self, now: Instant) {
        let passed = now.duration_since(self.settled);
        self.settled = now;
        let times = &mut self.times;
        match self.state {
            State::Live => times.up += passed,
            State::Idle | State::Stopped => times.unobserved += passed,
            _ => times.down += passed,
        }
        if self.gap.as_ref().is_some_and(|gap| !gap.in_root) {
            times.rootless += passed;
        }
        if self.stale {
            times.stale += passed;
        }
        if matches!(self.breaker, BreakerState::Open { .. }) {
            times.open += passed;
        }
    }

    /// The network sees a dial of the stream begin.
    pub(crate) fn dial_begins(&mut self, journal: &Journal, who: &str) {
        self.dials += 1;
        self.dialled = true;
        let open = matches!(self.breaker, BreakerState::Open { .. });
        journal.expect(Promise::BreakerHoldsDials, !open, who, || {
            format!("it dials with the breaker {}", self.breaker.as_str())
        });
        if self.breaker == BreakerState::HalfOpen {
            let probed = std::mem::replace(&mut self.probed, true);
            journal.expect(Promise::OneProbe, !probed, who, || "a second dial".into());
        }
    }

    pub(crate) fn record(&mut self, journal: &Journal, who: &str, now: Instant, fact: &Fact) {
        self.facts += 1;
        match fact {
            Fact::Supervisor(notice) => {
                self.settle(now);
                self.notice(journal, who, now, notice);
            }
            Fact::Data(DataFact::Subscriptions { desired, active }) => {
                journal.note(who, format_args!("subscriptions: {active} of {desired}"));
                (self.desired, self.active) = (*desired, *active);
            }
            Fact::Transport(TransportFact::WaitedAtGate(waited)) => {
                journal.note(who, format_args!("has waited {waited:?} for its turn"));
                journal.met("waited at the gate");
            }
            Fact::Transport(TransportFact::Endpoint(endpoint)) => {
                journal.note(who, format_args!("on to {endpoint}"));
                journal.met("another endpoint");
                endpoint.host().clone_into(&mut self.endpoint);
            }
            Fact::Transport(TransportFact::PhaseEnded { phase, took }) => {
                journal.note(who, format_args!("{phase:?} took {took:?}"));
            }
            fact => journal.note(who, format_args!("{fact:?}")),
        }
    }

    fn notice(&mut self, journal: &Journal, who: &str, now: Instant, notice: &Notice) {
        match notice {
            Notice::Attempt { kind, .. } => {
                journal.note(who, format_args!("{notice:?}"));
                self.go(State::Connecting);
                self.attempts += 1;
                self.dialled = false;
                self.begin_gap(now, true);
                match kind {
                    AttemptKind::Forced => journal.met("forced attempt"),
                    AttemptKind::Planned => journal.met("planned attempt"),
                    AttemptKind::Probe => journal.met("probe"),
                    AttemptKind::First | AttemptKind::Backoff => {}
                    kind => panic!("nothing judges an attempt of kind {}", kind.as_str()),
                }
            }
            Notice::AttemptFailed { cause, .. } => {
                journal.note(who, format_args!("{notice:?}"));
                journal.met(cause.as_str());
                self.undialled += u64::from(!self.dialled);
                *self.attempts_failed.entry(cause.as_str()).or_default() += 1;
                if cause.is_outage() {
                    self.begin_outage(now);
                }
                self.fail(*cause);
            }
            Notice::Lost { cause, .. } => {
                journal.note(who, format_args!("{notice:?}"));
                journal.met(cause.as_str());
                *self.losses.entry(cause.as_str()).or_default() += 1;
                if cause.is_outage() {
                    self.begin_gap(now, true);
                    self.begin_outage(now);
                }
                self.fail(*cause);
            }
            Notice::BackingOff { delay, due, failures } => {
                journal.note(who, format_args!("backs off for {delay:?} after {failures} failures"));
                self.begin_gap(now, true);
                self.go(State::BackingOff);
                self.due = Some(*due);
            }
            Notice::CoolingDown { due } => {
                let left = due.saturating_duration_since(now);
                journal.note(who, format_args!("goes on cooling down for {left:?}"));
                self.begin_gap(now, false);
                self.go(State::CoolingDown);
                self.due = Some(*due);
            }
            Notice::Held { due, state } => {
                let left = due.saturating_duration_since(now);
                journal.note(who, format_args!("waits {left:?} for its turn, {state}"));
                self.begin_gap(now, false);
                self.go(*state);
                self.due = Some(*due);
            }
            Notice::Breaker(moved) => {
                journal.note(
                    who,
                    format_args!(
                        "breaker: {} to {} by {}, {} failures",
                        moved.from.as_str(),
                        moved.to.as_str(),
                        moved.trigger,
                        moved.failures
                    ),
                );
                journal.met(match moved.trigger {
                    Trigger::ConsecutiveFailures => "trip by failures",
                    Trigger::FatalError => "trip by a fatal error",
                    Trigger::CooldownElapsed => "cooldown over",
                    Trigger::ProbeFailed => "reopening",
                    Trigger::Stable => "recovery",
                    Trigger::Reset => "reset by hand",
                    trigger => panic!("nothing judges a breaker moved by {trigger}"),
                });
                self.breaker = moved.to;
                match moved.to {
                    BreakerState::Open { until } => {
                        self.trips += u64::from(moved.from == BreakerState::Closed);
                        if let Some(gap) = &mut self.gap {
                            gap.in_root = false;
                        }
                        self.go(State::CoolingDown);
                        self.due = Some(until);
                        let wait = until.saturating_duration_since(now);
                        let cooldown = self.policy.circuit_breaker_cooldown;
                        journal.expect(Promise::BreakerTrips, wait >= cooldown, who, || {
                            format!("open for {wait:?}, the cooldown is {cooldown:?}")
                        });
                    }
                    BreakerState::HalfOpen => self.probed = false,
                    BreakerState::Closed => {}
                }
            }
            _ => {
                journal.note(who, format_args!("{notice:?}"));
                self.plain_notice(journal, now, notice);
            }
        }
    }

    /// Those that say no time.
    fn plain_notice(&mut self, journal: &Journal, now: Instant, notice: &Notice) {
        match notice {
            Notice::Connected => self.go(State::Subscribing),
            Notice::Up { .. } => {
                self.go(State::Live);
                self.made_live += 1;
                self.end_gap(now, true);
            }
            Notice::Stable | Notice::Reset => self.failures = 0,
            Notice::Stale => {
                journal.met("stale");
                self.stale = true;
                self.stale_episodes += 1;
            }
            Notice::Fresh => self.stale = false,
            Notice::Idle => {
                journal.met("idle");
                // A probe that was given up on purpose has not told anything: the next one is the first again.
                self.probed = false;
                self.go(State::Idle);
                self.end_gap(now, false);
            }
            Notice::Stopped => {
                self.go(State::Stopped);
                self.end_gap(now, false);
            }
            _ => {}
        }
    }

    fn go(&mut self, state: State) {
        self.state = state;
        self.due = None;
        self.stale = false;
    }

    fn fail(&mut self, cause: Cause) {
        self.go(State::BackingOff);
        if cause.is_failure() {
            self.failures += 1;
        }
    }

    fn begin_gap(&mut self, now: Instant, has_roots: bool) {
        let gap = self.gap.get_or_insert(OpenGap {
            since: now,
            rootless_before: self.times.rootless,
            has_roots,
            in_root: has_roots,
        });
        gap.has_roots |= has_roots;
        gap.in_root |= has_roots;
    }

    fn begin_outage(&mut self, now: Instant) {
        if self.outage.is_none() {
            self.outages += 1;
            self.outage = Some(self.gap.as_ref().map_or(now, |gap| gap.since));
        }
    }

    fn end_gap(&mut self, now: Instant, is_over: bool) {
        let outage = self.outage.take();
        if let Some(gap) = self.gap.take() {
            self.gaps.push(Gap {
                lasted: now.duration_since(gap.since),
                rootless: self.times.rootless.saturating_sub(gap.rootless_before),
                is_outage: outage.is_some(),
                is_over,
                has_roots: gap.has_roots,
            });
        }
    }

    /// Whether an attempt is under way.
    pub(crate) const fn is_in_flight(&self) -> bool {
        matches!(self.state, State::Connecting | State::Subscribing)
    }

    /// So many failures in a row keep the breaker from being closed.
    pub(crate) fn breaker_has_cause(&self) -> bool {
        self.failures >= self.policy.max_consecutive_failures
    }
}
