//! This side's own books of one stream, kept from the facts that its connections reported and nothing else.

use super::journal::Journal;
use super::line::{Line, Successor, breaker_of, said, state_of};
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
    /// What the open roots of all connections have lasted, each for itself.
    pub(crate) rooted: Duration,
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
    pub(crate) rooted: Duration,
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
    before: Times,
    has_roots: bool,
}

pub(crate) struct Ledger {
    policy: Policy,
    /// The host that each connection begins with.
    first_host: String,
    /// So many facts were put down.
    pub(crate) facts: u64,
    /// By number. Of those that have ended one is kept, where there is no other.
    pub(crate) lines: BTreeMap<u32, Line>,
    pub(crate) times: Times,
    settled: Instant,
    pub(crate) attempts: u64,
    pub(crate) attempts_failed: BTreeMap<&'static str, u64>,
    pub(crate) losses: BTreeMap<&'static str, u64>,
    pub(crate) made_live: u64,
    /// Of the attempts those that ended before the network saw them.
    pub(crate) undialled: u64,
    pub(crate) dials: u64,
    pub(crate) trips: u64,
    was_stale: bool,
    pub(crate) stale_episodes: u64,
    pub(crate) outages: u64,
    pub(crate) outage: Option<Instant>,
    gap: Option<OpenGap>,
    pub(crate) gaps: Vec<Gap>,
}

impl Ledger {
    pub(crate) fn new(policy: Policy, first_host: &str, now: Instant) -> Self {
        Self {
            policy,
            first_host: first_host.to_owned(),
            facts: 0,
            lines: BTreeMap::new(),
            times: Times::default(),
            settled: now,
            attempts: 0,
            attempts_failed: BTreeMap::new(),
            losses: BTreeMap::new(),
            made_live: 0,
            undialled: 0,
            dials: 0,
            trips: 0,
            was_stale: false,
            stale_episodes: 0,
            outages: 0,
            outage: None,
            gap: None,
            gaps: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> State {
        let lines: Vec<_> = self.lines.values().map(|line| (line.state, line.desired)).collect();
        state_of(&lines)
    }

    pub(crate) fn breaker(&self) -> &'static str {
        let breakers: Vec<_> = self.lines.values().map(|line| line.breaker).collect();
        breaker_of(&breakers)
    }

    pub(crate) fn failures(&self) -> u32 {
        self.lines.values().map(|line| line.failures).max().unwrap_or(0)
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.state() == State::Live && self.lines.values().any(|line| line.stale)
    }

    /// The next dial of any connection.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lines.values().filter_map(|line| line.due).min()
    }

    pub(crate) fn open_until(&self) -> Option<Instant> {
        let until = |line: &Line| match line.breaker {
            BreakerState::Open { until } => Some(until),
            BreakerState::Closed | BreakerState::HalfOpen => None,
        };
        self.lines.values().filter_map(until).min()
    }

    pub(crate) fn desired(&self) -> usize {
        self.lines.values().map(|line| line.desired).sum()
    }

    pub(crate) fn active(&self) -> usize {
        self.lines.values().map(|line| line.active).sum()
    }

    pub(crate) fn live(&self) -> usize {
        self.lines.values().filter(|line| line.state == State::Live).count()
    }

    /// Attempts under way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.lines.values().map(Line::in_flight).sum()
    }

    /// Those of them that the network has not seen.
    pub(crate) fn waiting(&self) -> u64 {
        self.lines.values().map(Line::undialled).sum()
    }

    /// Whether a connection has failed so often that its breaker must not be closed, and is.
    pub(crate) fn should_have_tripped(&self) -> bool {
        let limit = self.policy.max_consecutive_failures;
        let mut lines = self.lines.values();
        lines.any(|line| line.breaker == BreakerState::Closed && line.failures >= limit)
    }

    /// Time passes until then.
    pub(crate) fn settle(&mut self, now: Instant) {
        let passed = now.duration_since(self.settled);
        self.settled = now;
        let (state, is_stale, breaker) = (self.state(), self.is_stale(), self.breaker());
        let roots = self.lines.values().filter(|line| line.in_root).count();
        let times = &mut self.times;
        match state {
            State::Live => times.up += passed,
            State::Idle | State::Stopped => times.unobserved += passed,
            _ => times.down += passed,
        }
        times.rooted += passed * u32::try_from(roots).unwrap();
        if roots == 0 && self.gap.is_some() {
            times.rootless += passed;
        }
        if is_stale {
            times.stale += passed;
        }
        if breaker == "open" {
            times.open += passed;
        }
    }

    /// The network sees a dial of a connection begin, beside so many of its dials and sockets.
    pub(crate) fn dial_begins(&mut self, number: u32, journal: &Journal, who: &str, host: &str, open: usize) {
        self.dials += 1;
        let line = self.lines.entry(number).or_insert(Line::NEW);
        let told = line.host.as_ref().unwrap_or(&self.first_host);
        journal.expect(Promise::EndpointTold, told == host, who, || {
            format!("it dials {host}, and told of {told}")
        });
        line.dial_begins(journal, who, open);
    }

    pub(crate) fn record(&mut self, number: u32, journal: &Journal, who: &str, now: Instant, fact: &Fact) {
        self.facts += 1;
        // What of the second connection and those after it is told, is told of them.
        let name = if number == 0 {
            who.to_owned()
        } else {
            format!("{who}/{number}")
        };
        match fact {
            Fact::Supervisor(notice) => {
                journal.expect(Promise::InOrder, now >= self.settled, &name, || {
                    let late = self.settled.duration_since(now);
                    format!("{late:?} too late: {}", said(notice, now))
                });
                self.settle(now);
                self.notice(number, journal, &name, now, notice);
                self.add_up(journal, now);
            }
            Fact::Data(DataFact::Subscriptions { desired, active }) => {
                journal.note(&name, format_args!("subscriptions: {active} of {desired}"));
                self.settle(now);
                let line = self.lines.entry(number).or_insert(Line::NEW);
                (line.desired, line.active) = (*desired, *active);
                self.add_up(journal, now);
            }
            Fact::Transport(TransportFact::WaitedAtGate(waited)) => {
                journal.note(&name, format_args!("has waited {waited:?} for its turn"));
                journal.met("waited at the gate");
            }
            Fact::Transport(TransportFact::Endpoint(endpoint)) => {
                journal.note(&name, format_args!("on to {endpoint}"));
                journal.met("another endpoint");
                let line = self.lines.entry(number).or_insert(Line::NEW);
                line.host = Some(endpoint.host().to_owned());
            }
            Fact::Transport(TransportFact::PhaseEnded { phase, took }) => {
                journal.note(&name, format_args!("{phase:?} took {took:?}"));
            }
            fact => journal.note(&name, format_args!("{fact:?}")),
        }
    }

    /// The connection is no more.
    pub(crate) fn forget(&mut self, number: u32, journal: &Journal, now: Instant) {
        self.settle(now);
        if let Some(line) = self.lines.get_mut(&number) {
            line.go(State::Stopped);
            self.add_up(journal, now);
        }
    }

    /// What the stream is, after one of its connections has changed.
    fn add_up(&mut self, journal: &Journal, now: Instant) {
        let has_ended = |line: &Line| line.state == State::Stopped;
        if self.lines.values().all(has_ended) {
            while self.lines.len() > 1 {
                self.lines.pop_last();
            }
        } else {
            self.lines.retain(|_, line| !has_ended(line));
        }
        if self.live() > 1 {
            journal.met("several live connections");
        }
        let is_stale = self.is_stale();
        self.stale_episodes += u64::from(is_stale && !self.was_stale);
        self.was_stale = is_stale;
        match self.state() {
            state @ (State::Live | State::Idle | State::Stopped) => self.end_gap(now, state == State::Live),
            _ => {
                self.open_gap(now);
            }
        }
    }

    fn open_gap(&mut self, now: Instant) -> &mut OpenGap {
        let before = self.times;
        self.gap.get_or_insert(OpenGap {
            since: now,
            before,
            has_roots: false,
        })
    }

    fn end_gap(&mut self, now: Instant, is_over: bool) {
        let outage = self.outage.take();
        let Some(OpenGap {
            since,
            before,
            has_roots,
        }) = self.gap.take()
        else {
            return;
        };
        self.gaps.push(Gap {
            lasted: now.duration_since(since),
            rooted: self.times.rooted.saturating_sub(before.rooted),
            rootless: self.times.rootless.saturating_sub(before.rootless),
            is_outage: outage.is_some(),
            is_over,
            has_roots,
        });
    }

    fn begin_outage(&mut self, now: Instant) {
        let since = self.open_gap(now).since;
        if self.outage.is_none() {
            self.outages += 1;
            self.outage = Some(since);
        }
    }

    /// The connection has a root from now on, if it had none.
    fn open_root(&mut self, number: u32, now: Instant) {
        self.open_gap(now).has_roots = true;
        self.lines.entry(number).or_insert(Line::NEW).in_root = true;
    }

    fn attempt_failed(&mut self, cause: Cause, dialled: bool, journal: &Journal) {
        journal.met(cause.as_str());
        self.undialled += u64::from(!dialled);
        *self.attempts_failed.entry(cause.as_str()).or_default() += 1;
    }

    fn lost(&mut self, cause: Cause, journal: &Journal) {
        journal.met(cause.as_str());
        *self.losses.entry(cause.as_str()).or_default() += 1;
    }

    fn notice(&mut self, number: u32, journal: &Journal, who: &str, now: Instant, notice: &Notice) {
        journal.note(who, format_args!("{}", said(notice, now)));
        let breaker_before = self.breaker();
        let was_live = self.state() == State::Live;
        let line = self.lines.entry(number).or_insert(Line::NEW);
        match notice {
            Notice::Attempt { kind, .. } => {
                line.go(State::Connecting);
                line.dialled = false;
                self.attempts += 1;
                self.open_root(number, now);
                match kind {
                    AttemptKind::Forced => journal.met("forced attempt"),
                    AttemptKind::Planned => journal.met("planned attempt"),
                    AttemptKind::Probe => journal.met("probe"),
                    AttemptKind::First | AttemptKind::Backoff => {}
                    kind => panic!("nothing judges an attempt of kind {}", kind.as_str()),
                }
            }
            Notice::AttemptFailed { cause, .. } => {
                let dialled = line.dialled;
                line.fail(*cause);
                self.attempt_failed(*cause, dialled, journal);
                if cause.is_outage() {
                    self.begin_outage(now);
                }
            }
            Notice::Lost { cause, .. } => {
                line.fail(*cause);
                self.lost(*cause, journal);
                if cause.is_outage() {
                    self.open_root(number, now);
                    self.begin_outage(now);
                }
            }
            Notice::Renewing { .. } => {
                line.successor = Some(Successor { dialled: false });
                self.attempts += 1;
            }
            Notice::RenewalFailed { cause, due, .. } => {
                let dialled = line.successor.take().is_some_and(|successor| successor.dialled);
                self.attempt_failed(*cause, dialled, journal);
                journal.met(if due.is_some() {
                    "renewal failed"
                } else {
                    "renewal given up"
                });
            }
            Notice::Renewed { .. } => {
                line.successor = None;
                self.lost(Cause::Planned, journal);
                self.made_live += 1;
                journal.met(if was_live {
                    "renewed"
                } else {
                    "renewed, another one missing"
                });
            }
            Notice::BackingOff { due, .. } => {
                line.go(State::BackingOff);
                line.due = Some(*due);
                self.open_root(number, now);
            }
            Notice::CoolingDown { due } => {
                line.go(State::CoolingDown);
                line.due = Some(*due);
            }
            Notice::Held { due, state } => {
                line.go(*state);
                line.due = Some(*due);
            }
            Notice::Breaker(moved) => {
                journal.met(match moved.trigger {
                    Trigger::ConsecutiveFailures => "trip by failures",
                    Trigger::FatalError => "trip by a fatal error",
                    Trigger::CooldownElapsed => "cooldown over",
                    Trigger::ProbeFailed => "reopening",
                    Trigger::Stable => "recovery",
                    Trigger::Reset => "reset by hand",
                    trigger => panic!("nothing judges a breaker moved by {trigger}"),
                });
                line.breaker = moved.to;
                if let BreakerState::Open { until } = moved.to {
                    line.in_root = false;
                    line.go(State::CoolingDown);
                    line.due = Some(until);
                    let wait = until.saturating_duration_since(now);
                    let cooldown = self.policy.circuit_breaker_cooldown;
                    journal.expect(Promise::BreakerTrips, wait >= cooldown, who, || {
                        format!("open for {wait:?}, the cooldown is {cooldown:?}")
                    });
                    // The stream trips with its first breaker.
                    self.trips += u64::from(breaker_before == "closed");
                } else if moved.to == BreakerState::HalfOpen {
                    line.probed = false;
                }
            }
            _ => self.plain_notice(number, journal, notice),
        }
    }

    /// Those that say no time.
    fn plain_notice(&mut self, number: u32, journal: &Journal, notice: &Notice) {
        let line = self.lines.entry(number).or_insert(Line::NEW);
        match notice {
            Notice::Connected => line.go(State::Subscribing),
            Notice::TakenOver { stage, .. } => {
                line.go_on_with_successor(*stage);
                journal.met("dial of a successor taken over");
            }
            Notice::Up { .. } => {
                line.go(State::Live);
                line.in_root = false;
                self.made_live += 1;
            }
            Notice::Stable | Notice::Reset => line.failures = 0,
            Notice::Stale => {
                journal.met("stale");
                line.stale = true;
            }
            Notice::Fresh => line.stale = false,
            Notice::Idle => {
                journal.met("idle");
                // A probe that was given up on purpose has not told anything: the next one is the first again.
                line.probed = false;
                line.go(State::Idle);
                line.in_root = false;
            }
            Notice::Stopped => {
                line.go(State::Stopped);
                line.in_root = false;
            }
            _ => {}
        }
    }
}
