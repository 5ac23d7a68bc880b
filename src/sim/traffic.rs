//! What a connection is sent after its subscription was answered, and when.

use super::capture::Capture;
use super::desk::Desk;
use crate::clock::Moment;
use crate::supervise::later;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// Frames that are recorded without a time come so far apart.
const UNTIMED_GAP: Duration = Duration::from_millis(50);
/// So many frames are handed out at once at most.
const BATCH: usize = 64;
/// Traffic that is further behind its schedule than this (a slow reader) does not catch up on all of it.
const MAX_BACKLOG: Duration = Duration::from_secs(1);

/// What the venue sends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Traffic {
    /// Plausible events of the markets that are subscribed to, in bursts.
    Generated {
        /// The mean rate on one connection.
        events_per_second: f64,
    },
    /// Recorded frames, byte for byte, whatever is subscribed to. Every connection starts at the beginning.
    Replay {
        /// What connections received. Of several, a connection is played one in whose course the same was sent
        /// ([`Capture::with_sent`]), and of several such the one that was played least, in their order.
        recordings: Vec<Arc<Capture>>,
        /// How fast.
        speed: Speed,
        /// Whether it starts again after the last frame; otherwise the venue is quiet then.
        repeat: bool,
    },
    /// No data beyond the answers to subscriptions.
    Silent,
}

/// How fast recorded frames are played.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Speed {
    /// So many times as fast as they were recorded. Frames without a time come 50 ms apart, divided by this.
    Factor(f64),
    /// As fast as the client reads them: the next frame is sent when the socket takes it.
    AsFastAsRead,
}

impl Traffic {
    /// What it plays.
    pub(super) fn recordings(&self) -> &[Arc<Capture>] {
        match self {
            Self::Replay { recordings, .. } => recordings,
            _ => &[],
        }
    }

    /// What makes no sense about it.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Generated { events_per_second } if !(0.0..=1e6).contains(events_per_second) => Some(format!(
                "events_per_second must be from 0 to 1,000,000, not {events_per_second}"
            )),
            Self::Replay {
                speed: Speed::Factor(factor),
                ..
            } if !(factor.is_finite() && *factor > 0.0) => Some(format!("the speed must be more than 0, not {factor}")),
            Self::Replay { recordings, .. } => {
                let is_empty = recordings.iter().all(|recording| recording.frames().is_empty());
                is_empty.then(|| "replay: the recordings have no frames".to_owned())
            }
            _ => None,
        }
    }
}

/// The traffic of one connection, from its answered subscription on.
#[derive(Debug)]
pub(super) struct Feed {
    traffic: Traffic,
    /// Replay: which recording.
    recording: usize,
    /// When the next frames are due; `None` = never.
    due: Option<Instant>,
    /// Replay: the next frame.
    next: usize,
}

impl Feed {
    /// Begins at `now`; where it is a replay, with that recording.
    pub(super) fn new(traffic: Traffic, recording: usize, now: Instant) -> Self {
        let due = match &traffic {
            Traffic::Generated { events_per_second } => *events_per_second > 0.0,
            Traffic::Replay { recordings, .. } => recordings.get(recording).is_some_and(|it| !it.frames().is_empty()),
            Traffic::Silent => false,
        };
        Self {
            traffic,
            recording,
            due: due.then_some(now),
            next: 0,
        }
    }

    /// When the next frames are due; `None` = never.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The frames that are due, in order; a bounded number, so ask [`Feed::due`] again.
    pub(super) fn take(&mut self, now: Moment, desk: &mut Desk) -> Vec<Message> {
        match &self.traffic {
            Traffic::Silent => Vec::new(),
            Traffic::Generated { events_per_second } => {
                let events = desk.burst(now.unix_millis());
                // After a burst of n, a pause that is n mean gaps long on average: the rate holds.
                let mean = events.len().max(1) as f64 / events_per_second;
                let pause = Duration::try_from_secs_f64(-(1.0 - desk.chance()).ln() * mean).unwrap_or(Duration::MAX);
                self.due = self.due.map(|due| {
                    let earliest = now.mono.checked_sub(MAX_BACKLOG).unwrap_or(due);
                    later(due.max(earliest), pause)
                });
                events.into_iter().map(Message::text).collect()
            }
            Traffic::Replay { .. } => self.replay(now.mono),
        }
    }

    fn replay(&mut self, now: Instant) -> Vec<Message> {
        let Traffic::Replay { speed, repeat, .. } = &self.traffic else {
            return Vec::new();
        };
        let frames = self
            .traffic
            .recordings()
            .get(self.recording)
            .map_or(&[][..], |it| it.frames());
        let mut batch = Vec::new();
        while let Some(due) = self.due.filter(|due| *due <= now && batch.len() < BATCH) {
            let Some(frame) = frames.get(self.next) else {
                self.due = None;
                break;
            };
            batch.push(frame.message().clone());
            self.next += 1;
            if self.next == frames.len() && *repeat {
                self.next = 0;
            }
            self.due = frames.get(self.next).map(|next| match speed {
                Speed::AsFastAsRead => due,
                Speed::Factor(factor) => {
                    let gap = frame.at().zip(next.at()).filter(|_| self.next > 0);
                    let gap = gap.map_or(UNTIMED_GAP.as_secs_f64(), |(from, to)| (to - from).max(0.0));
                    later(due, Duration::try_from_secs_f64(gap / factor).unwrap_or(Duration::MAX))
                }
            });
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::CapturedFrame;

    fn replay(speed: Speed, repeat: bool) -> Traffic {
        let frames = [(Some(10.0), "a"), (Some(10.2), "b"), (Some(10.1), "c"), (None, "d")];
        Traffic::Replay {
            recordings: vec![Arc::new(
                frames.iter().map(|(at, text)| CapturedFrame::text(*at, text)).collect(),
            )],
            speed,
            repeat,
        }
    }

    /// What is sent, and how long after the start, in milliseconds.
    fn schedule(traffic: Traffic, frames: usize) -> Vec<(String, u128)> {
        let start = Moment::now();
        let (mut feed, mut desk) = (Feed::new(traffic, 0, start.mono), Desk::new(1, 1));
        let mut sent = Vec::new();
        while let Some(due) = feed.due().filter(|_| sent.len() < frames) {
            let batch = feed.take(Moment { mono: due, ..start }, &mut desk);
            let after = (due - start.mono).as_micros().div_ceil(1000);
            sent.extend(batch.into_iter().map(|message| (message.to_string(), after)));
        }
        sent
    }

    fn pairs(sent: &[(String, u128)]) -> Vec<(&str, u128)> {
        sent.iter().map(|(text, after)| (text.as_str(), *after)).collect()
    }

    #[test]
    fn frames_come_as_far_apart_as_they_were_recorded() {
        let sent = schedule(replay(Speed::Factor(1.0), false), 9);
        assert_eq!(pairs(&sent), [("a", 0), ("b", 200), ("c", 200), ("d", 250)]);
        let sent = schedule(replay(Speed::Factor(2.0), true), 5);
        assert_eq!(pairs(&sent), [("a", 0), ("b", 100), ("c", 100), ("d", 125), ("a", 150)]);
    }

    #[test]
    fn as_fast_as_read_is_always_due_in_bounded_batches() {
        let start = Moment::now();
        let (mut feed, mut desk) = (
            Feed::new(replay(Speed::AsFastAsRead, true), 0, start.mono),
            Desk::new(1, 1),
        );
        for _ in 0..10 {
            assert_eq!(feed.due(), Some(start.mono));
            assert_eq!(feed.take(start, &mut desk).len(), BATCH);
        }
    }

    #[test]
    fn generated_traffic_keeps_its_rate_and_comes_in_bursts() {
        let start = Moment::now();
        let traffic = Traffic::Generated {
            events_per_second: 100.0,
        };
        let (mut feed, mut desk) = (Feed::new(traffic, 0, start.mono), Desk::new(1, 1));
        desk.subscribe(&["1".into(), "2".into()], |_| false, 0).unwrap();
        let (mut events, mut bursts, mut at) = (0_usize, 0_usize, start.mono);
        while at - start.mono < Duration::from_secs(1000) {
            let batch = feed.take(Moment { mono: at, ..start }, &mut desk).len();
            events += batch;
            bursts += 1;
            at = feed.due().unwrap();
        }
        assert!((90_000..110_000).contains(&events), "{events}");
        assert!(events > 2 * bursts, "{bursts} bursts");
    }

    #[test]
    fn figures_that_make_no_sense_are_refused() {
        let generated = |events_per_second| Traffic::Generated { events_per_second };
        assert_eq!(generated(0.0).problem(), None);
        assert!(generated(f64::NAN).problem().is_some());
        assert!(generated(-1.0).problem().is_some());
        assert_eq!(replay(Speed::AsFastAsRead, false).problem(), None);
        assert!(replay(Speed::Factor(0.0), false).problem().is_some());
    }
}
