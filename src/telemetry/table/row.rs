//! What the table says of a stream.

use super::layout::COLUMNS;
use crate::clock::{Moment, unix_seconds};
use crate::market::Cause;
use crate::metrics::{StreamCells, StreamSnapshot, Streams};
use crate::supervise::State;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How well a stream is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// The breaker is open.
    ShutOut,
    /// Not live, and at it.
    Down,
    /// Live, without data for too long.
    Stale,
    /// Live.
    Well,
    /// Has nothing to do.
    Out,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) health: Health,
    /// In the order of the columns.
    pub(super) cells: [String; COLUMNS.len()],
}

/// A rate is taken over this time at least: of a shorter one it is chance.
const RATE_TIME: Duration = Duration::from_millis(500);

/// Makes rows; remembers how many messages each stream had got before, to tell how many it gets.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// By venue and stream.
    counted: HashMap<(String, String), Counted>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    messages: u64,
    at: Instant,
    /// Messages a second until then, if that is known.
    rate: Option<f64>,
}

impl Counted {
    fn again(self, messages: u64, at: Instant) -> Self {
        let passed = at.saturating_duration_since(self.at);
        if passed < RATE_TIME {
            return self;
        }
        let rate = messages.saturating_sub(self.messages) as f64 / passed.as_secs_f64();
        Self {
            messages,
            at,
            rate: Some(rate),
        }
    }
}

impl Rows {
    /// A row for each stream, by venue and name.
    pub(super) fn at(&mut self, streams: &Streams, now: Moment) -> Vec<Row> {
        let mut counted = HashMap::new();
        let mut row = |cells: Arc<StreamCells>| {
            let stream = cells.snapshot(now);
            let (venue, name) = (cells.venue().name(), cells.info().stream.as_str());
            let key = (venue.to_owned(), name.to_owned());
            let messages = stream.messages();
            let first = Counted {
                messages,
                at: now.mono,
                rate: None,
            };
            let count = self
                .counted
                .get(&key)
                .map_or(first, |before| before.again(messages, now.mono));
            counted.insert(key, count);
            row(name, venue, &stream, count.rate, now)
        };
        let rows = streams.all().into_iter().map(&mut row).collect();
        self.counted = counted;
        rows
    }
}

fn row(name: &str, venue: &str, stream: &StreamSnapshot, rate: Option<f64>, now: Moment) -> Row {
    let health = match stream.state() {
        State::CoolingDown => Health::ShutOut,
        State::Connecting | State::Subscribing | State::BackingOff => Health::Down,
        State::Live if stream.is_stale() => Health::Stale,
        State::Live => Health::Well,
        State::Idle | State::Stopped => Health::Out,
    };
    let state = if health == Health::Stale {
        "stale"
    } else {
        stream.state().as_str()
    };
    let unix = unix_seconds(now.wall);
    let (failures, threshold) = stream.failures();
    let breaker = match stream.breaker_open_until() {
        Some(until) => format!("{} {}", stream.breaker(), seconds(until - unix)),
        None if failures > 0 => format!("{} {failures}/{threshold}", stream.breaker()),
        None => stream.breaker().to_owned(),
    };
    let missing = || "-".to_owned();
    let cells = [
        name.to_owned(),
        venue.to_owned(),
        state.to_owned(),
        seconds(unix - stream.state_since()),
        breaker,
        stream.data_age().map_or_else(missing, age),
        rate.map_or_else(missing, |rate| format!("{rate:.1}")),
        stream.attempts().to_string(),
        stream
            .last_cause()
            .map_or_else(missing, |(cause, _): (Cause, f64)| cause.as_str().to_owned()),
    ];
    Row { health, cells }
}

/// A difference of Unix times. They are rounded to the millisecond, so it may be a little below a whole second, or below 0.
fn seconds(seconds: f64) -> String {
    let rounded = (seconds * 1000.0).round() / 1000.0;
    age(Duration::try_from_secs_f64(rounded).unwrap_or_default())
}

/// `7s`, `2m05s`, `3h09m`, `4d01h`: at most seven characters for three years.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{EventKind, StreamName};
    use crate::metrics::StreamInfo;
    use crate::supervise::{BreakerState, Transition, Trigger};

    fn moment(start: Moment, seconds: u64) -> Moment {
        let later = Duration::from_secs(seconds);
        Moment {
            mono: start.mono + later,
            wall: start.wall + later,
        }
    }

    fn stream(streams: &Streams, name: &str, start: Moment) -> Arc<StreamCells> {
        let info = StreamInfo {
            stream: StreamName::new(name).unwrap(),
            server_address: "venue.example".into(),
            transport: "ws".into(),
            page_on_stale: false,
        };
        let cells = Arc::new(StreamCells::new(info, streams.venue("v"), start.mono));
        streams.add(&cells);
        cells
    }

    #[test]
    fn a_row_says_what_a_stream_does_since_when_and_why() {
        let (streams, start) = (Streams::new(), Moment::now());
        let cells = stream(&streams, "a", start);
        let mut rows = Rows::default();
        let mut told = |seconds| {
            let row = rows.at(&streams, moment(start, seconds)).remove(0);
            (row.health, row.cells.join(" "))
        };
        assert_eq!(told(0), (Health::Out, "a v idle 0s closed - - 0 -".to_owned()));

        cells.update(moment(start, 2).mono, |figures| {
            figures.threshold(4);
            figures.attempt(None);
            figures.live_made();
        });
        cells.data(moment(start, 3).mono);
        for _ in 0..15 {
            cells.message(EventKind::Trade);
        }
        assert_eq!(told(10), (Health::Well, "a v live 8s closed 7s 1.5 1 -".to_owned()));
        assert_eq!(told(10).1, "a v live 8s closed 7s 1.5 1 -", "not over no time at all");
        cells.update(moment(start, 11).mono, |figures| figures.set_stale(true));
        assert_eq!(told(12), (Health::Stale, "a v stale 10s closed 9s 0.0 1 -".to_owned()));

        cells.update(moment(start, 13).mono, |figures| {
            figures.lost(Cause::Eof);
            figures.consecutive_failures(1);
        });
        let (health, text) = told(13);
        assert_eq!(
            (health, text.as_str()),
            (Health::Down, "a v backing_off 0s closed 1/4 10s 0.0 1 eof")
        );
        cells.update(moment(start, 14).mono, |figures| {
            let trip = Transition {
                from: BreakerState::Closed,
                to: BreakerState::Open {
                    until: moment(start, 80).mono,
                },
                trigger: Trigger::ConsecutiveFailures,
                failures: 4,
            };
            figures.breaker_moved(&trip, moment(start, 14), None);
            figures.set_state(State::CoolingDown);
        });
        let (health, text) = told(15);
        assert_eq!(
            (health, text.as_str()),
            (Health::ShutOut, "a v cooling_down 1s open 1m05s 12s 0.0 1 eof")
        );
    }

    #[test]
    fn an_age_is_short() {
        let told = |seconds| age(Duration::from_secs(seconds));
        assert_eq!([0, 59, 60, 125].map(told), ["0s", "59s", "1m00s", "2m05s"]);
        assert_eq!([3599, 11_340, 349_200].map(told), ["59m59s", "3h09m", "4d01h"]);
        assert_eq!(seconds(-0.0004), "0s");
        assert_eq!(seconds(f64::NAN), "0s");
    }
}
