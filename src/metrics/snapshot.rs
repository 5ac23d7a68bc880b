//! A stream's figures at one moment, for all who show them.

use super::catalogue::Part;
use super::figures::{Figures, breaker_name};
use super::instruments::{Silence, Silent};
use super::names::NameFigures;
use super::queue::QueueSnapshot;
use super::skew;
use super::stream::{Parts, Traffic, nanos_between};
use crate::clock::Moment;
use crate::market::{Cause, Instrument};
use crate::supervise::State;
use crate::supervise::later;
use std::time::{Duration, Instant};

/// All figures of a stream at one moment; those that belong together agree.
///
/// Unix times are seconds, to the millisecond, judged from the clocks at the moment of the snapshot; never 0 or less.
#[derive(Clone, Debug)]
pub struct StreamSnapshot {
    pub(super) at: Moment,
    pub(super) origin: Instant,
    pub(super) figures: Figures,
    pub(super) traffic: Traffic,
    pub(super) silence: Silence,
    /// `None` where no consumer is attached.
    pub(super) queue: Option<QueueSnapshot>,
    pub(super) names: NameFigures,
    pub(super) parts: Parts,
}

/// An instrument in effect, and for how long nothing has come of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SilentInstrument {
    /// Which.
    pub instrument: Instrument,
    /// When data of it came last: Unix time, in seconds. `None` = never.
    pub last_data: Option<f64>,
    /// How long ago that was, or the subscription came into effect, by the monotonic clock.
    pub silent: Duration,
}

impl SilentInstrument {
    pub(super) fn new(silent: Silent, origin: Instant, at: Moment) -> Self {
        let instant = |nanos| later(origin, Duration::from_nanos(nanos));
        Self {
            last_data: (silent.last_data != 0).then(|| unix(at, instant(silent.last_data))),
            silent: at.mono.saturating_duration_since(instant(silent.quiet_since)),
            instrument: silent.instrument,
        }
    }
}

impl StreamSnapshot {
    /// What the stream is doing.
    pub fn state(&self) -> State {
        self.figures.state()
    }

    /// Since when: Unix time.
    pub fn state_since(&self) -> f64 {
        self.unix(self.figures.state_since)
    }

    /// Upgraded, and each subscription answered.
    pub fn is_live(&self) -> bool {
        self.state() == State::Live
    }

    /// Live without data for longer than the threshold.
    pub const fn is_stale(&self) -> bool {
        self.figures.is_stale()
    }

    /// The breaker's state, by name.
    pub fn breaker(&self) -> &'static str {
        breaker_name(self.figures.breaker())
    }

    /// Until when the breaker is open: Unix time. `None` unless it is.
    pub fn breaker_open_until(&self) -> Option<f64> {
        self.unix_if_any(self.figures.open_until)
    }

    /// The failures in a row, and the number of them at which the breaker trips.
    pub const fn failures(&self) -> (u64, u64) {
        (self.figures.consecutive_failures, self.figures.threshold)
    }

    /// Why the last attempt failed or the last connection was lost, and when: Unix time.
    pub fn last_cause(&self) -> Option<(Cause, f64)> {
        let index = usize::try_from(self.figures.last_cause.checked_sub(1)?).ok()?;
        Some((*Cause::ALL.get(index)?, self.unix(self.figures.last_cause_at)))
    }

    /// When the outage began: Unix time. `None` outside one.
    pub fn outage_since(&self) -> Option<f64> {
        self.unix_if_any(self.figures.outage_since)
    }

    /// When the next dial is due: Unix time. `None` unless one is.
    pub fn next_attempt(&self) -> Option<f64> {
        self.unix_if_any(self.figures.next_attempt)
    }

    /// Instruments asked for, and in effect.
    pub const fn subscriptions(&self) -> (u64, u64) {
        (self.figures.desired, self.figures.active)
    }

    /// Connections that are meant to be live, and that are.
    pub const fn connections(&self) -> (u64, u64) {
        (self.figures.meant, self.figures.live)
    }

    /// Instruments in effect that have been silent for longer than the threshold; 0 where there is none.
    pub const fn stale_instruments(&self) -> u64 {
        self.silence.stale
    }

    /// When the last frame came: Unix time.
    pub fn last_frame(&self) -> Option<f64> {
        self.unix_if_any(self.traffic.last_frame)
    }

    /// When data of the most silent instrument in effect came: Unix time. `None` = never, or none is in effect.
    pub(super) fn oldest_data(&self) -> Option<f64> {
        self.unix_if_any(self.silence.oldest)
    }

    /// The names that it watches, and those of them whose last look-up failed, or that were never looked up.
    pub const fn names(&self) -> (u64, u64) {
        (self.names.watched, self.names.unresolved)
    }

    /// When all names that it watches were known: Unix time. `None` = never, or it watches none.
    pub fn names_resolved(&self) -> Option<f64> {
        self.unix_if_any(self.names.success)
    }

    /// When the last market data came: Unix time.
    pub fn last_data(&self) -> Option<f64> {
        self.unix_if_any(self.traffic.last_data)
    }

    /// Dials started.
    pub const fn attempts(&self) -> u64 {
        self.figures.attempts
    }

    /// Messages of every kind.
    pub fn messages(&self) -> u64 {
        self.traffic.messages.iter().sum()
    }

    /// How long ago the last market data came, by the monotonic clock.
    pub fn data_age(&self) -> Option<Duration> {
        let stamp = Some(self.traffic.last_data).filter(|stamp| *stamp != 0)?;
        Some(self.at.mono.saturating_duration_since(self.instant(stamp)))
    }

    /// From the venue's event time to receipt, smoothed: seconds.
    pub(super) const fn lag(&self) -> f64 {
        f64::from_bits(self.traffic.lag)
    }

    /// How far events came lately before the venue's time of them: seconds.
    pub(super) fn clock_skew(&self) -> f64 {
        skew::shown(&self.traffic, nanos_between(self.origin, self.at.mono))
    }

    /// Whether the stream has that part.
    pub(super) const fn has(&self, part: Part) -> bool {
        match part {
            Part::Queue => self.queue.is_some(),
            Part::Sequences => self.parts.sequences,
            Part::Checksums => self.parts.checksums,
        }
    }

    fn unix_if_any(&self, stamp: u64) -> Option<f64> {
        (stamp != 0).then(|| self.unix(stamp))
    }

    fn unix(&self, nanos: u64) -> f64 {
        unix(self.at, self.instant(nanos))
    }

    fn instant(&self, nanos: u64) -> Instant {
        later(self.origin, Duration::from_nanos(nanos))
    }
}

/// Unix time of a moment, judged from the clocks at `at`.
pub(super) fn unix(at: Moment, moment: Instant) -> f64 {
    let seconds = at.unix_seconds_at(moment);
    // A clock that was set to 1970 puts what happened before then; as a figure, 0 would say that it never did.
    ((seconds * 1000.0).round() / 1000.0).max(0.001)
}
