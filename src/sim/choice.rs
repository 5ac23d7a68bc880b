//! Which recording a connection is played, where there are several: the one in whose course its client says the same.

use super::capture::Capture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a client says first may be what all of them say, a heartbeat's set-up for instance. So long is waited for more.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// How often each recording was played.
#[derive(Debug)]
pub(super) struct Plays(Mutex<Vec<u64>>);

impl Plays {
    pub(super) fn of(recordings: &[Arc<Capture>]) -> Self {
        Self(Mutex::new(vec![0; recordings.len()]))
    }

    /// The one of these that was played least, the first of several; it is played now.
    pub(super) fn take(&self, choice: &Choice) -> usize {
        let mut plays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let played = |index: &&usize| plays.get(**index).copied();
        let chosen = choice.0.iter().min_by_key(played).copied().unwrap_or_default();
        if let Some(played) = plays.get_mut(chosen) {
            *played += 1;
        }
        chosen
    }
}

/// The recordings that may be that of a connection, by what its client has said.
#[derive(Debug)]
pub(super) struct Choice(Vec<usize>);

impl Choice {
    pub(super) fn of(recordings: &[Arc<Capture>]) -> Self {
        Self((0..recordings.len()).collect())
    }

    /// The client says this. What was said in none of them tells nothing.
    pub(super) fn hear(&mut self, said: &[u8], recordings: &[Arc<Capture>]) {
        let was_sent = |index: &usize| recordings.get(*index).is_some_and(|recording| recording.was_sent(said));
        let fitting: Vec<_> = self.0.iter().copied().filter(was_sent).collect();
        if !fitting.is_empty() {
            self.0 = fitting;
        }
    }

    /// Whether what is said next may tell more.
    pub(super) fn is_open(&self, recordings: &[Arc<Capture>]) -> bool {
        let tells = |index: &usize| recordings.get(*index).is_some_and(|recording| recording.knows_sent());
        self.0.len() > 1 && self.0.iter().any(tells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::CapturedFrame;

    fn recording(sent: &[&str]) -> Arc<Capture> {
        let frames = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| CapturedFrame::text(None, text))
                .collect::<Capture>()
        };
        Arc::new(frames(&["x"]).with_sent(&frames(sent)))
    }

    #[test]
    fn what_is_said_tells_which_recording_and_those_that_remain_take_turns() {
        let all = [
            recording(&["conf", "a"]),
            recording(&["conf", "b"]),
            recording(&["conf", "b"]),
        ];
        let (plays, chosen) = (Plays::of(&all), |texts: &[&str]| {
            let mut choice = Choice::of(&all);
            for text in texts {
                choice.hear(text.as_bytes(), &all);
            }
            choice
        });
        assert!(chosen(&["conf"]).is_open(&all) && !chosen(&["conf", "a"]).is_open(&all));
        let played: Vec<_> = [
            ["conf", "b"],
            ["conf", "a"],
            ["conf", "b"],
            ["conf", "b"],
            ["?", "a"],
            ["conf", "!"],
        ]
        .iter()
        .map(|texts| plays.take(&chosen(texts)))
        .collect();
        assert_eq!(played, [1, 0, 2, 1, 0, 2]);
    }

    #[test]
    fn recordings_of_which_only_the_frames_are_there_take_turns_at_once() {
        let all = [recording(&[]), recording(&[])];
        let (plays, mut choice) = (Plays::of(&all), Choice::of(&all));
        choice.hear(b"conf", &all);
        assert!(!choice.is_open(&all));
        assert_eq!([(); 3].map(|()| plays.take(&choice)), [0, 1, 0]);
    }
}
