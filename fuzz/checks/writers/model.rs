//! What a stream must show, told by the same events: in whole milliseconds, and without atomics.

use feedwatch::market::{Cause, TraceId};
use feedwatch::metrics::catalogue;
use feedwatch::supervise::{State, Transition};
use std::collections::BTreeMap;

/// Both clocks, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    /// Since the origin of all streams.
    pub(crate) mono: u64,
    /// Since the Unix epoch.
    pub(crate) wall: i64,
}

impl Clock {
    /// The Unix time of a moment since the origin: seconds, and never before 1970. `None` is told as 0.
    fn unix(self, at: Option<u64>) -> f64 {
        let millis = |at: u64| self.wall - self.mono.cast_signed() + at.cast_signed();
        at.map_or(0.0, |at| (millis(at) as f64 / 1000.0).max(0.001))
    }
}

/// An observation that was traced.
#[derive(Clone, Copy)]
pub(crate) struct Traced {
    pub(crate) trace: TraceId,
    pub(crate) value: f64,
    pub(crate) unix_millis: i64,
}

pub(crate) struct StreamModel {
    state: State,
    stale: bool,
    pub(super) breaker: &'static str,
    /// Moments since the origin.
    open_until: Option<u64>,
    next_attempt: Option<u64>,
    outage_since: Option<u64>,
    last_frame: Option<u64>,
    last_data: Option<u64>,
    /// And when it was smoothed last: nanoseconds since the origin, 1 at least.
    lag: Option<(f64, u64)>,
    /// Windows of ten seconds, by their beginning: the most that an event came too early in each.
    skew: Vec<(u64, f64)>,
    /// Until when the clocks have run, in `values`.
    settled: u64,
    /// By metric and its own labels; what is not here is 0.
    values: BTreeMap<(&'static str, String), f64>,
    clocks: BTreeMap<&'static str, u64>,
    /// By trigger.
    pub(crate) traced_trips: BTreeMap<&'static str, Traced>,
}

impl StreamModel {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Idle,
            stale: false,
            breaker: "closed",
            open_until: None,
            next_attempt: None,
            outage_since: None,
            last_frame: None,
            last_data: None,
            lag: None,
            skew: Vec::new(),
            settled: 0,
            values: BTreeMap::new(),
            clocks: BTreeMap::new(),
            traced_trips: BTreeMap::new(),
        }
    }

    /// Of a series without its scope's labels.
    pub(crate) fn value(&self, metric: &'static str, own: &[&'static str], clock: Clock) -> f64 {
        let flag = |is: bool| f64::from(u8::from(is));
        let own = own.join(" ");
        let clocks = |names: &[&str]| {
            let names = names.iter();
            let settled: u64 = names
                .clone()
                .map(|name| self.clocks.get(name).copied().unwrap_or(0))
                .sum();
            let running = names.filter(|name| self.runs(name)).count() as u64;
            seconds(settled + running * (clock.mono - self.settled))
        };
        match metric {
            "feedwatch_stream_connected" | "feedwatch_connections_live" => flag(self.state == State::Live),
            "feedwatch_connections_desired" => flag(self.is_observed()),
            "feedwatch_stream_state" => flag(self.state.as_str() == own),
            "feedwatch_stream_stale" => flag(self.stale),
            "feedwatch_breaker_state" => flag(self.breaker == own),
            "feedwatch_breaker_open_until_timestamp_seconds" => clock.unix(self.open_until),
            "feedwatch_reconnect_next_attempt_timestamp_seconds" => clock.unix(self.next_attempt),
            "feedwatch_outage_start_timestamp_seconds" => clock.unix(self.outage_since),
            "feedwatch_last_frame_timestamp_seconds" => clock.unix(self.last_frame),
            "feedwatch_last_data_timestamp_seconds" => clock.unix(self.last_data),
            "feedwatch_stream_lag_seconds" => self.lag.map_or(0.0, |(lag, _)| lag),
            "feedwatch_stream_clock_skew_seconds" => {
                // The window that has begun, and the whole one before it.
                let shown = |(since, _): &&(u64, f64)| {
                    let last = self.skew.last().map_or(0, |(since, _)| *since);
                    clock.mono - since <= 20_000 && (*since == last || since + 10_000 == last)
                };
                self.skew
                    .iter()
                    .filter(shown)
                    .map(|(_, most)| *most)
                    .fold(0.0, f64::max)
            }
            "feedwatch_stream_up_seconds_total" => clocks(&["up"]),
            "feedwatch_stream_observed_seconds_total" => clocks(&["up", "down"]),
            "feedwatch_stream_stale_seconds_total" => clocks(&["stale"]),
            "feedwatch_breaker_open_seconds_total" => clocks(&["open"]),
            _ => self.values.get(&(metric, own)).copied().unwrap_or(0.0),
        }
    }

    fn is_observed(&self) -> bool {
        !matches!(self.state, State::Idle | State::Stopped)
    }

    fn runs(&self, clock: &str) -> bool {
        match clock {
            "up" => self.state == State::Live,
            "down" => self.is_observed() && self.state != State::Live,
            "stale" => self.stale,
            _ => self.breaker == "open",
        }
    }

    /// Lets the clocks run until now.
    pub(crate) fn settle(&mut self, now: u64) {
        for clock in ["up", "down", "stale", "open"] {
            if self.runs(clock) {
                *self.clocks.entry(clock).or_default() += now - self.settled;
            }
        }
        self.settled = now;
    }

    pub(crate) fn add(&mut self, metric: &'static str, own: &str, more: u32) {
        *self.values.entry((metric, own.to_owned())).or_default() += f64::from(more);
    }

    pub(crate) fn set(&mut self, metric: &'static str, value: f64) {
        self.values.insert((metric, String::new()), value);
    }

    pub(crate) fn state(&mut self, state: State) {
        self.state = state;
        self.stale &= state == State::Live;
        if !matches!(state, State::BackingOff | State::CoolingDown) {
            self.wait(None, 0);
        }
        self.end_outage();
    }

    pub(crate) fn attempt(&mut self, redial: Option<&'static str>) {
        self.add("feedwatch_connect_attempts_total", "", 1);
        if let Some(kind) = redial {
            self.add("feedwatch_reconnect_attempts_total", kind, 1);
        }
        self.state(State::Connecting);
    }

    pub(crate) fn attempt_failed(&mut self, cause: Cause) {
        self.add("feedwatch_connect_failures_total", cause.of_attempt().as_str(), 1);
        self.state(State::BackingOff);
    }

    pub(crate) fn lost(&mut self, cause: Cause) {
        self.add("feedwatch_disconnects_total", cause.of_loss().as_str(), 1);
        self.state(State::BackingOff);
    }

    /// Of a stream with one connection every move is the stream's.
    pub(crate) fn breaker_moved(&mut self, moved: &Transition, until: u64, traced: Option<Traced>) {
        const NAME: &str = "feedwatch_breaker_transitions_total";
        let (from, to) = (self.breaker, moved.to.as_str());
        let legal = catalogue::find(NAME).unwrap().labels.series();
        if legal.iter().any(|pair| *pair == [from, to]) {
            self.add(NAME, &format!("{from} {to}"), 1);
        }
        let trigger = moved.trigger.as_str();
        let trips = ["consecutive_failures", "fatal_error"].contains(&trigger);
        if (from, to, trips) == ("closed", "open", true) {
            self.add("feedwatch_breaker_trips_total", trigger, 1);
            self.traced_trips.extend(traced.map(|traced| (trigger, traced)));
        }
        self.set("feedwatch_breaker_consecutive_failures", f64::from(moved.failures));
        (self.breaker, self.open_until) = (to, (to == "open").then_some(until));
    }

    pub(crate) fn wait(&mut self, delay: Option<u64>, now: u64) {
        self.set("feedwatch_reconnect_current_delay_seconds", seconds(delay.unwrap_or(0)));
        self.next_attempt = delay.map(|delay| now + delay);
    }

    pub(crate) fn outage(&mut self, since: u64) {
        if self.outage_since.is_none() {
            self.add("feedwatch_outages_total", "", 1);
            self.outage_since = Some(since);
        }
        self.end_outage();
    }

    /// There is none of a stream that is live, or that has nothing to do.
    fn end_outage(&mut self) {
        if matches!(self.state, State::Live | State::Idle | State::Stopped) {
            self.outage_since = None;
        }
    }

    pub(crate) fn stale(&mut self, stale: bool) {
        let stale = stale && self.state == State::Live;
        if stale && !self.stale {
            self.add("feedwatch_stale_episodes_total", "", 1);
        }
        self.stale = stale;
    }

    pub(crate) fn frame(&mut self, bytes: u32, now: u64) {
        self.add("feedwatch_frames_received_total", "", 1);
        self.add("feedwatch_received_bytes_total", "", bytes);
        self.last_frame = Some(now);
    }

    pub(crate) fn data(&mut self, now: u64) {
        self.last_data = Some(now);
    }

    /// An event came so much too early.
    pub(crate) fn skew(&mut self, seconds: f64, now: u64) {
        match self.skew.last_mut() {
            Some((since, most)) if now - *since <= 10_000 => *most = most.max(seconds),
            Some((since, _)) if now - *since <= 20_000 => {
                let since = *since + 10_000;
                self.skew.push((since, seconds));
            }
            _ => self.skew.push((now, seconds)),
        }
    }

    /// Of events that come together the first one counts; what was before weighs 1/e after ten seconds.
    pub(crate) fn lag(&mut self, seconds: f64, now: u64) {
        let now = (now * 1_000_000).max(1);
        let lag = match self.lag {
            None => seconds,
            Some((_, last)) if last == now => return,
            Some((before, last)) => {
                let weight = (-((now - last) as f64) / 1e10).exp();
                before * weight + seconds * (1.0 - weight)
            }
        };
        self.lag = Some((lag, now));
    }
}

/// Of milliseconds.
pub(crate) fn seconds(millis: u64) -> f64 {
    (millis * 1_000_000) as f64 / 1e9
}
