//! The gate of one host: how fast its streams dial, all together, and which of them probes for all.
//!
//! As pure as the supervisor: time comes in as an argument. A stream that wants to dial asks, and is told to dial now or when
//! to ask again. Turns are given out in the order of asking and keep their time, so nobody has to be woken for another's
//! sake, and who does not come to a turn holds nobody up.

use super::limit::DialLimit;
use super::{BreakerState, Notice, later};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// No more dials than a second may hold pass within this time: a venue counts arrivals, and dials that left a second apart
/// may arrive closer together.
const WINDOW: Duration = Duration::from_millis(1020);
/// Who comes so much too late to a turn, and right behind another dial, stands in line again: what was missed while the
/// process stood still is not made up for in one go.
const LATE: Duration = Duration::from_millis(50);
/// Fewer open breakers than this say nothing about their host.
const LEAST_OPEN: usize = 3;

/// What a stream wants to dial for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dial {
    /// Anything but a probe.
    Plain,
    /// A single look by somebody who is no stream of the host. It takes a turn like any other, and says nothing about whether
    /// the host is down.
    Visit,
    /// To find out whether the venue is back, through a breaker that is not closed.
    Probe {
        /// The cooldown of the stream's own policy: it need not wait longer for the next probe's turn.
        cooldown: Duration,
        /// A probe that is neither live nor failed after this time is no longer waited for.
        verdict_within: Duration,
    },
}

/// The gate's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Dial, exactly once.
    Now,
    /// Ask again then.
    At(Instant),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Has nothing to dial for: is no stream of the host as yet, or any more.
    Away,
    Closed,
    /// The breaker is open or half-open.
    Open,
}

/// How one stream stands with the gate of its host.
#[derive(Debug)]
pub struct Standing {
    id: u64,
    role: Role,
    /// The turn that it was given, by the gate's clock.
    turn: Option<Duration>,
    held: bool,
    /// The time that the host was down, if the stream went live in it and still is.
    proof: Option<u64>,
}

impl Standing {
    /// Whether it waits for the probe of another stream, or for the next probe's turn.
    pub const fn is_held(&self) -> bool {
        self.held
    }
}

/// Lets the streams of one host dial. See the module's page.
///
/// Within any second no more dials pass than the limit's rate or its burst, whichever is larger. While it is closed, the
/// gate's clock stands still: everybody's turn moves on, and nobody's place in line.
///
/// While more than half of the streams, and at least three, have a breaker that is not closed, one probes for all. If it goes
/// live the others may follow; if it fails they wait for the next probe's turn, one cooldown later.
///
/// ```
/// use feedwatch::supervise::{Dial, DialLimit, HostGate, Turn};
/// use std::time::{Duration, Instant};
///
/// let now = Instant::now();
/// let mut gate = HostGate::new(DialLimit { per_second: 1.0, burst: 1 }, now);
/// let (mut first, mut second) = (gate.join(), gate.join());
/// assert_eq!(gate.ask(&mut first, Dial::Plain, now), Turn::Now);
/// let Turn::At(due) = gate.ask(&mut second, Dial::Plain, now) else { unreachable!() };
/// assert!(due >= now + Duration::from_secs(1));
///
/// // The first was answered with 429: nobody dials for a minute, and the second keeps its place in line.
/// gate.close(now + Duration::from_secs(60), now);
/// let Turn::At(later) = gate.ask(&mut second, Dial::Plain, due) else { unreachable!() };
/// assert!(later >= now + Duration::from_secs(60));
/// assert_eq!(gate.ask(&mut second, Dial::Plain, later), Turn::Now);
/// ```
#[derive(Debug)]
pub struct HostGate {
    spacing: Duration,
    burst: u32,
    /// So many dials within a second.
    most: usize,
    /// When the last dials passed, at most `most`.
    passed: VecDeque<Instant>,
    /// Where the gate's clock began; moves on by as much time as the gate was closed.
    origin: Instant,
    not_before: Instant,
    /// The first turn that is free, by the gate's clock; `None` before the first.
    next: Option<Duration>,
    /// Turns that may be had at once, since nobody came for a while. They are paid back: the turn after them is as late as if
    /// they had been spread.
    credit: u32,
    streams: usize,
    open: usize,
    /// Counts the times that the host was down.
    downtime: u64,
    /// Streams that went live since it is down, and still are.
    proofs: usize,
    /// The stream that probes for all, and until when it is waited for.
    probe: Option<(u64, Instant)>,
    /// When a probe failed last, and how long its own stream waits.
    failed: Option<(Instant, Duration)>,
    ids: u64,
}

impl HostGate {
    /// An open gate, with all of the burst at hand.
    pub fn new(limit: DialLimit, now: Instant) -> Self {
        Self {
            spacing: limit.spacing(),
            burst: limit.burst(),
            most: limit.most_in_a_second(),
            passed: VecDeque::new(),
            origin: now,
            not_before: now,
            next: None,
            credit: 0,
            streams: 0,
            open: 0,
            downtime: 0,
            proofs: 0,
            probe: None,
            failed: None,
            ids: 0,
        }
    }

    /// Follows another limit from now on. Turns that were given out keep their time; no second has more dials than the new
    /// limit allows all the same.
    pub fn set_limit(&mut self, limit: DialLimit) {
        self.spacing = limit.spacing();
        self.burst = limit.burst();
        self.most = limit.most_in_a_second();
        self.credit = self.credit.min(self.burst.saturating_sub(1));
        let too_many = self.passed.len().saturating_sub(self.most);
        self.passed.drain(..too_many);
    }

    /// One more stream.
    pub fn join(&mut self) -> Standing {
        self.ids += 1;
        Standing {
            id: self.ids,
            role: Role::Away,
            turn: None,
            held: false,
            proof: None,
        }
    }

    /// Whether the stream may dial now, and otherwise when it is to ask again. Asking early or twice changes nothing.
    pub fn ask(&mut self, standing: &mut Standing, dial: Dial, now: Instant) -> Turn {
        if standing.role == Role::Away && dial != Dial::Visit {
            let is_probe = matches!(dial, Dial::Probe { .. });
            self.take_role(standing, if is_probe { Role::Open } else { Role::Closed });
        }
        if let Some(until) = self.held_until(standing, dial, now) {
            (standing.held, standing.turn) = (true, None);
            return Turn::At(until);
        }
        standing.held = false;
        let mut turn = standing.turn.unwrap_or_else(|| self.reserve(now));
        let mut due = self.time_of(turn);
        let is_late = now.saturating_duration_since(due) > LATE;
        if is_late && self.is_crowded(now) {
            turn = self.reserve(now);
            due = self.time_of(turn);
        }
        if let Some(free) = self.full_until(now) {
            due = due.max(free);
        }
        if now < due {
            standing.turn = Some(turn);
            return Turn::At(due);
        }
        standing.turn = None;
        if is_late {
            // It was not planned for now: nobody else is, right behind it.
            let after = self.clock(now).saturating_add(self.spacing);
            self.next = self.next.max(Some(after));
        }
        self.pass(standing, dial, now);
        Turn::Now
    }

    /// The stream no longer wants to dial. A turn that is still to come stays its own: asking and giving up by turns does not
    /// push the others back.
    pub fn give_up(&mut self, standing: &mut Standing, now: Instant) {
        standing.held = false;
        standing.turn = standing.turn.filter(|turn| self.time_of(*turn) > now);
    }

    /// Lets nobody through before then: the venue wants to be left alone.
    pub fn close(&mut self, until: Instant, now: Instant) {
        let from = now.max(self.not_before);
        if let Some(longer) = until.checked_duration_since(from) {
            self.origin = later(self.origin, longer);
            self.not_before = from + longer;
        }
    }

    /// Until when nobody is let through, if the venue wants to be left alone.
    pub fn shut_until(&self, now: Instant) -> Option<Instant> {
        Some(self.not_before).filter(|until| *until > now)
    }

    /// Takes note of what happened to a stream. Returns whether those that are held should ask again.
    pub fn take_note(&mut self, standing: &mut Standing, notice: &Notice, now: Instant) -> bool {
        let was_down = self.is_down();
        let is_news = match notice {
            Notice::Breaker(moved) => match moved.to {
                BreakerState::Open { until } => {
                    let is_verdict = moved.from == BreakerState::HalfOpen;
                    self.drop_proof(standing);
                    self.take_role(standing, Role::Open);
                    if is_verdict && self.is_down() {
                        self.failed = Some((now, until.saturating_duration_since(now)));
                    }
                    self.end_probe(standing) || is_verdict
                }
                BreakerState::HalfOpen => {
                    self.take_role(standing, Role::Open);
                    false
                }
                BreakerState::Closed => {
                    self.take_role(standing, Role::Closed);
                    self.end_probe(standing)
                }
            },
            Notice::Up { .. } => {
                self.end_probe(standing);
                self.prove(standing);
                was_down
            }
            Notice::Lost { .. } => {
                self.drop_proof(standing);
                false
            }
            Notice::Idle | Notice::Stopped => self.leave(standing, now),
            _ => false,
        };
        is_news || was_down != self.is_down()
    }

    /// The stream is none of the host's any more, until it asks again. Returns whether those that are held should ask again.
    pub fn leave(&mut self, standing: &mut Standing, now: Instant) -> bool {
        let was_down = self.is_down();
        self.give_up(standing, now);
        self.drop_proof(standing);
        self.take_role(standing, Role::Away);
        self.end_probe(standing) || was_down != self.is_down()
    }

    /// Whether so many breakers are not closed that one stream probes for all.
    pub const fn is_down(&self) -> bool {
        self.open >= LEAST_OPEN && self.open * 2 > self.streams
    }

    /// Gives out a turn: at once, or after all that were given out before.
    fn reserve(&mut self, now: Instant) -> Duration {
        let asked = self.clock(now);
        let next = self.next.unwrap_or(asked);
        let turn = if next <= asked {
            let saved = match self.next {
                Some(_) => whole_parts(asked.saturating_sub(next), self.spacing),
                None => u32::MAX,
            };
            self.credit = saved.min(self.burst.saturating_sub(1));
            self.next = Some(asked.saturating_add(self.spacing));
            return asked;
        } else if self.credit > 0 {
            self.credit -= 1;
            asked
        } else {
            next
        };
        self.next = Some(next.saturating_add(self.spacing));
        turn
    }

    /// What the gate's clock shows.
    fn clock(&self, now: Instant) -> Duration {
        now.max(self.not_before).saturating_duration_since(self.origin)
    }

    fn time_of(&self, turn: Duration) -> Instant {
        later(self.origin, turn).max(self.not_before)
    }

    /// Whether the last dial was less than a turn ago.
    fn is_crowded(&self, now: Instant) -> bool {
        let last = self.passed.back();
        last.is_some_and(|last| now.saturating_duration_since(*last) < self.spacing)
    }

    /// Until when a second holds as many dials as it may, if it does.
    fn full_until(&self, now: Instant) -> Option<Instant> {
        let oldest = self.passed.front().filter(|_| self.passed.len() >= self.most)?;
        Some(*oldest + WINDOW).filter(|free| *free > now)
    }

    fn pass(&mut self, standing: &Standing, dial: Dial, now: Instant) {
        if self.passed.len() >= self.most {
            self.passed.pop_front();
        }
        self.passed.push_back(now);
        if let Dial::Probe { verdict_within, .. } = dial
            && self.is_shut_for_probes()
        {
            self.probe = Some((standing.id, later(now, verdict_within)));
        }
    }

    /// The host is down, and nobody has shown that it is back.
    const fn is_shut_for_probes(&self) -> bool {
        self.is_down() && self.proofs == 0
    }

    fn held_until(&self, standing: &Standing, dial: Dial, now: Instant) -> Option<Instant> {
        let Dial::Probe { cooldown, .. } = dial else {
            return None;
        };
        if !self.is_shut_for_probes() {
            return None;
        }
        let verdict = self.probe.filter(|(id, _)| *id != standing.id).map(|(_, until)| until);
        let turn = self.failed.map(|(at, wait)| later(at, wait.min(cooldown)));
        verdict.into_iter().chain(turn).find(|until| now < *until)
    }

    fn end_probe(&mut self, standing: &Standing) -> bool {
        self.probe.take_if(|(id, _)| *id == standing.id).is_some()
    }

    fn prove(&mut self, standing: &mut Standing) {
        if self.is_down() && standing.proof != Some(self.downtime) {
            standing.proof = Some(self.downtime);
            self.proofs += 1;
            self.failed = None;
        }
    }

    fn drop_proof(&mut self, standing: &mut Standing) {
        if standing.proof.take() == Some(self.downtime) {
            self.proofs = self.proofs.saturating_sub(1);
        }
    }

    fn take_role(&mut self, standing: &mut Standing, role: Role) {
        let was_down = self.is_down();
        match std::mem::replace(&mut standing.role, role) {
            Role::Away => self.streams += 1,
            Role::Closed => {}
            Role::Open => self.open = self.open.saturating_sub(1),
        }
        match role {
            Role::Away => self.streams = self.streams.saturating_sub(1),
            Role::Closed => {}
            Role::Open => self.open += 1,
        }
        if self.is_down() && !was_down {
            self.downtime += 1;
            (self.proofs, self.probe, self.failed) = (0, None, None);
        }
    }
}

/// How many whole parts fit into a time.
fn whole_parts(time: Duration, part: Duration) -> u32 {
    let parts = time.as_nanos().checked_div(part.as_nanos());
    parts.map_or(u32::MAX, |parts| u32::try_from(parts).unwrap_or(u32::MAX))
}
