//! A scene: streams, and what happens to them, a line each.
//!
//! ```text
//! venue poly"market
//! address "two\nlines"
//! stream a
//! wait 1500
//! attempt backoff
//! failed dns
//! breaker open 300000 fatal_error 4bf92f3577b34da6
//! ```
//!
//! `venue`, `address` and `transport` hold for the streams that follow; what follows these words is a JSON string, or else stands
//! for itself. `stream` begins a stream, or goes back to one, and what follows happens to it. `wait` lets time pass; `wall`
//! says by how many seconds the wall clock is wrong from then on. Figures are whole; times are milliseconds; traces are
//! hexadecimal. A line that cannot be understood has no effect.

use super::model::{Clock, StreamModel, Traced, seconds};
use super::venue_model::VenueModel;
use feedwatch::clock::{Moment, unix_seconds};
use feedwatch::market::{Cause, DecodeError, DialPhase, EventKind, StreamName, SubscriptionFailure, TraceId};
use feedwatch::metrics::{Direction, Opcode, StreamCells, StreamInfo, StreamWriter, Streams};
use feedwatch::supervise::{AttemptKind, BreakerState, State, Transition, Trigger};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Each is about a hundred series.
const MOST_STREAMS: usize = 3;
/// No scene is much longer, in milliseconds: a century, in which figures are still exact.
const LONGEST: u64 = 100 * 365 * 86_400_000;
/// The wall clock at the origin: milliseconds since the Unix epoch.
const START: i64 = 1_793_000_000_000;

pub(crate) struct Scene {
    pub(crate) streams: Streams,
    pub(crate) clock: Clock,
    pub(crate) venues: BTreeMap<String, VenueModel>,
    origin: Instant,
    all: Vec<Stream>,
    /// The position of the stream to which things happen.
    present: usize,
    venue: String,
    address: String,
    transport: String,
    page_on_stale: bool,
}

/// A stream, and what it must show.
pub(crate) struct Stream {
    pub(crate) venue: String,
    pub(crate) name: String,
    /// The labels of its info, besides venue and stream.
    pub(crate) info: [(&'static str, String); 3],
    pub(crate) cells: Arc<StreamCells>,
    pub(crate) model: StreamModel,
}

impl Scene {
    pub(crate) fn play(input: &str) -> Self {
        let mut scene = Self {
            streams: Streams::new(),
            clock: Clock { mono: 0, wall: START },
            venues: BTreeMap::new(),
            origin: Moment::now().mono,
            all: Vec::new(),
            present: 0,
            venue: "polymarket".to_owned(),
            address: String::new(),
            transport: "wss".to_owned(),
            page_on_stale: false,
        };
        for line in input.split('\n') {
            let _ = scene.line(line);
        }
        scene
    }

    pub(crate) fn now(&self) -> Moment {
        let wall = Duration::from_millis(self.clock.wall.unsigned_abs());
        Moment {
            mono: self.mono(self.clock.mono),
            wall: if self.clock.wall < 0 {
                UNIX_EPOCH - wall
            } else {
                UNIX_EPOCH + wall
            },
        }
    }

    /// Every stream.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Stream> {
        self.all.iter()
    }

    fn mono(&self, millis: u64) -> Instant {
        self.origin + Duration::from_millis(millis)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "venue" => self.venue = text(rest),
            "address" => self.address = text(rest),
            "transport" => self.transport = text(rest),
            "page" => self.page_on_stale = rest == "true",
            "stream" => self.enter(rest)?,
            "wait" => {
                let wait: u32 = rest.parse().ok().filter(|_| self.clock.mono < LONGEST)?;
                self.clock.mono += u64::from(wait);
                self.clock.wall += i64::from(wait);
            }
            "wall" => {
                let seconds: i32 = rest.parse().ok()?;
                self.clock.wall = START + self.clock.mono.cast_signed() + i64::from(seconds) * 1000;
            }
            _ => self.happens(word, rest)?,
        }
        Some(())
    }

    fn enter(&mut self, name: &str) -> Option<()> {
        let before = self
            .all
            .iter()
            .position(|stream| stream.venue == self.venue && stream.name == name);
        if let Some(position) = before {
            self.present = position;
            return Some(());
        }
        if self.all.len() == MOST_STREAMS {
            return None;
        }
        let info = StreamInfo {
            stream: StreamName::new(name).ok()?,
            server_address: self.address.clone(),
            transport: self.transport.clone(),
            page_on_stale: self.page_on_stale,
        };
        let cells = Arc::new(StreamCells::new(info, self.streams.venue(&self.venue), self.origin));
        self.streams.add(&cells);
        self.venues.entry(self.venue.clone()).or_default();
        self.present = self.all.len();
        self.all.push(Stream {
            venue: self.venue.clone(),
            name: name.to_owned(),
            info: [
                ("server_address", self.address.clone()),
                ("transport", self.transport.clone()),
                ("page_on_stale", self.page_on_stale.to_string()),
            ],
            cells,
            model: StreamModel::new(),
        });
        Some(())
    }

    /// Something happens to the present stream, or to its venue.
    fn happens(&mut self, word: &str, rest: &str) -> Option<()> {
        let (now, clock) = (self.now(), self.clock);
        let origin = self.origin;
        let stream = self.all.get_mut(self.present)?;
        let venue = self.venues.get_mut(&stream.venue)?;
        let event = Event {
            words: rest.split(' ').collect(),
            now,
            clock,
        };
        event
            .of_stream(word, stream, origin)
            .or_else(|| event.of_traffic(word, stream, venue))
            .or_else(|| event.of_venue(word, stream, venue))
    }
}

struct Event<'l> {
    words: Vec<&'l str>,
    now: Moment,
    clock: Clock,
}

impl Event<'_> {
    /// `None` = something else, or not understood.
    fn of_stream(&self, word: &str, stream: &mut Stream, origin: Instant) -> Option<()> {
        let Stream { cells, model, .. } = stream;
        let update = |change: &dyn Fn(&mut StreamWriter)| cells.update(self.now.mono, |writer| change(writer));
        let now = self.clock.mono;
        let at = |millis: u64| origin + Duration::from_millis(millis);
        model.settle(now);
        match word {
            "state" => {
                let state = self.named(State::ALL, State::as_str)?;
                update(&|w| w.set_state(state));
                model.state(state);
            }
            "attempt" => {
                let kind = AttemptKind::REDIALS.iter().position(|kind| *kind == self.word(0));
                update(&|w| w.attempt(kind));
                model.attempt(kind.map(|kind| AttemptKind::REDIALS[kind]));
            }
            "failed" => {
                let cause = self.named(Cause::ALL, Cause::as_str)?;
                update(&|w| w.attempt_failed(cause));
                model.attempt_failed(cause);
            }
            "live" => {
                update(&StreamWriter::live_made);
                model.state(State::Live);
            }
            "lost" => {
                let cause = self.named(Cause::ALL, Cause::as_str)?;
                update(&|w| w.lost(cause));
                model.lost(cause);
            }
            "outage" => {
                let since = now.saturating_sub(u64::from(self.figure(0).unwrap_or(0)));
                update(&|w| w.outage_began(at(since)));
                model.outage(since);
            }
            "delay" => {
                let delay = self.figure(0).map(u64::from);
                let wait = delay.map(|delay| (Duration::from_millis(delay), at(now + delay)));
                update(&|w| w.set_wait(wait));
                model.wait(delay, now);
            }
            "breaker" => {
                let until = now + u64::from(self.figure(1).unwrap_or(0));
                let (from, to) = (breaker(model.breaker, at(now))?, breaker(self.word(0), at(until))?);
                let of_word = |trigger: &&Trigger| trigger.as_str() == self.word(2);
                let trigger = *Trigger::ALL.iter().find(of_word).unwrap_or(&Trigger::Reset);
                let moved = Transition {
                    from,
                    to,
                    trigger,
                    failures: self.figure(1).unwrap_or(0),
                };
                update(&|w| w.breaker_moved(&moved, self.now, self.trace(3)));
                model.breaker_moved(&moved, until, self.traced(3, 1.0));
            }
            "stale" => {
                let stale = self.word(0) == "true";
                update(&|w| w.set_stale(stale));
                model.stale(stale);
            }
            _ => return self.of_figures(word, stream),
        }
        Some(())
    }

    /// What is simply counted or set.
    fn of_figures(&self, word: &str, stream: &mut Stream) -> Option<()> {
        let Stream { cells, model, .. } = stream;
        let update = |change: &dyn Fn(&mut StreamWriter)| cells.update(self.now.mono, |writer| change(writer));
        match word {
            "failures" => {
                let failures = self.figure(0)?;
                update(&|w| w.consecutive_failures(failures));
                model.set("feedwatch_breaker_consecutive_failures", failures.into());
            }
            "threshold" => {
                let failures = self.figure(0)?;
                update(&|w| w.threshold(failures));
                model.set("feedwatch_breaker_failure_threshold", failures.into());
            }
            "stale_after" => {
                let limit = self.figure(0).map(u64::from);
                update(&|w| w.stale_after(limit.map(Duration::from_millis)));
                model.set("feedwatch_stale_after_seconds", seconds(limit.unwrap_or(0)));
            }
            "subscriptions" => {
                let (desired, active) = (self.figure(0)?, self.figure(1)?);
                update(&|w| w.subscriptions(desired as usize, active as usize));
                model.set("feedwatch_subscriptions_desired", desired.into());
                model.set("feedwatch_subscriptions_active", active.into());
            }
            "refused" => {
                let reason = self.named(SubscriptionFailure::ALL, SubscriptionFailure::as_str)?;
                let instruments = self.figure(1)?;
                update(&|w| w.subscription_failed(reason, instruments as usize));
                model.add("feedwatch_subscription_failures_total", reason.as_str(), instruments);
            }
            "garbage" => {
                let reason = self.named(DecodeError::ALL, DecodeError::as_str)?;
                update(&|w| w.parse_error(reason));
                model.add("feedwatch_parse_errors_total", reason.as_str(), 1);
            }
            _ => return None,
        }
        Some(())
    }

    fn of_traffic(&self, word: &str, stream: &mut Stream, venue: &mut VenueModel) -> Option<()> {
        let Stream { cells, model, .. } = stream;
        match word {
            "frame" => {
                let bytes = self.figure(0)?;
                cells.frame_received(bytes as usize, self.now.mono);
                model.frame(bytes, self.clock.mono);
            }
            "sent" => {
                let bytes = self.figure(0)?;
                cells.frame_sent(bytes as usize);
                model.add("feedwatch_frames_sent_total", "", 1);
                model.add("feedwatch_sent_bytes_total", "", bytes);
            }
            "message" => {
                let kind = self.named(EventKind::ALL, EventKind::as_str)?;
                cells.message(kind);
                model.add("feedwatch_messages_total", kind.as_str(), 1);
            }
            "data" => {
                cells.data(self.now.mono);
                model.data(self.clock.mono);
            }
            "latency" => {
                let late: i64 = self.word(0).parse().ok()?;
                let venue_time = self.clock.wall.checked_sub(late)?;
                cells.latency(venue_time, self.now);
                let took = unix_seconds(self.now.wall) - venue_time as f64 / 1000.0;
                if (0.0..=86_400.0).contains(&took) {
                    venue.observe("feedwatch_message_latency_seconds", "", took, None);
                    model.lag(took, self.clock.mono);
                } else {
                    venue.add("feedwatch_message_clock_skew_total", "");
                    if (-86_400.0..0.0).contains(&took) {
                        model.skew(-took, self.clock.mono);
                    }
                }
            }
            "control" => {
                let opcodes = [("ping", Opcode::Ping), ("pong", Opcode::Pong), ("close", Opcode::Close)];
                let directions = [("received", Direction::Received), ("sent", Direction::Sent)];
                let (opcode, kind) = opcodes.into_iter().find(|(name, _)| *name == self.word(0))?;
                let (direction, way) = directions.into_iter().find(|(name, _)| *name == self.word(1))?;
                cells.control_frame(kind, way);
                venue.add("feedwatch_control_frames_total", &format!("{opcode} {direction}"));
            }
            _ => return None,
        }
        Some(())
    }

    fn of_venue(&self, word: &str, stream: &Stream, venue: &mut VenueModel) -> Option<()> {
        let cells = stream.cells.venue();
        let duration = |index| Some(Duration::from_millis(self.word(index).parse().ok()?));
        match word {
            "redial" | "recovered" => {
                let took = duration(0)?;
                let (histogram, name) = if word == "redial" {
                    (&cells.reconnect_delay, "feedwatch_reconnect_delay_seconds")
                } else {
                    (&cells.outage_duration, "feedwatch_outage_duration_seconds")
                };
                histogram.observe_traced(took, self.now, self.trace(1));
                let seconds = took.as_secs_f64();
                venue.observe(name, "", seconds, self.traced(1, seconds));
            }
            "lived" => {
                let took = duration(0)?;
                cells.connection_duration.observe(took);
                venue.observe("feedwatch_connection_duration_seconds", "", took.as_secs_f64(), None);
            }
            "phase" => {
                let phase = self.named(DialPhase::ALL, DialPhase::as_str)?;
                let took = duration(1)?;
                cells.connect_phase(phase, took);
                venue.observe(
                    "feedwatch_connect_duration_seconds",
                    phase.as_str(),
                    took.as_secs_f64(),
                    None,
                );
            }
            "round_trip" => {
                // In seconds, as it comes: also what is no duration.
                let seconds: f64 = self.word(0).parse().ok()?;
                cells.ping_rtt.observe_seconds(seconds);
                if seconds.is_finite() && seconds >= 0.0 {
                    venue.observe("feedwatch_ping_rtt_seconds", "", seconds, None);
                }
            }
            "certificate" => {
                let ends: i64 = self.word(0).parse().ok()?;
                cells.set_certificate_not_after(ends);
                let name = "feedwatch_tls_certificate_not_after_timestamp_seconds";
                venue.set(name, ends.max(0) as f64);
            }
            _ => return None,
        }
        Some(())
    }

    fn word(&self, index: usize) -> &str {
        self.words.get(index).copied().unwrap_or_default()
    }

    fn figure(&self, index: usize) -> Option<u32> {
        self.word(index).parse().ok()
    }

    /// The one of that name.
    fn named<T: Copy>(&self, all: &[T], name: fn(T) -> &'static str) -> Option<T> {
        all.iter().copied().find(|one| name(*one) == self.word(0))
    }

    fn trace(&self, index: usize) -> Option<TraceId> {
        let bits = u128::from_str_radix(self.word(index), 16).ok()?;
        TraceId::from_bits(bits)
    }

    fn traced(&self, index: usize, value: f64) -> Option<Traced> {
        Some(Traced {
            trace: self.trace(index)?,
            value,
            unix_millis: self.clock.wall,
        })
    }
}

fn breaker(name: &str, until: Instant) -> Option<BreakerState> {
    let states = [
        BreakerState::Closed,
        BreakerState::Open { until },
        BreakerState::HalfOpen,
    ];
    states.into_iter().find(|state| state.as_str() == name)
}

/// A JSON string, or what stands there.
fn text(rest: &str) -> String {
    serde_json::from_str(rest).unwrap_or_else(|_| rest.to_owned())
}
