//! What waits for the consumer, in order and bounded: a digest of what was given up, then events as they came. Pure.

use super::digest::Digest;
use crate::market::{Instrument, MarketEvent, Subscribed};
use bytes::Bytes;
use std::collections::VecDeque;

/// So many events wait as they are. A frame shares the read buffer of its socket, and one that waits keeps all of it, 16 KiB and
/// more: those that wait behind these are copied, so that the bytes that are counted are the bytes that are held.
const SHARED: usize = 16;

#[derive(Debug)]
pub(super) struct Backlog {
    /// Older than all that is kept.
    given_up: Digest,
    kept: VecDeque<MarketEvent>,
    /// What the kept ones cost.
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

impl Backlog {
    pub(super) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            given_up: Digest::default(),
            kept: VecDeque::new(),
            bytes: 0,
            max_events,
            max_bytes,
        }
    }

    /// Events that wait, and what they cost in bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    /// Whether there is room for one more. One is always taken: its size has a limit of its own.
    pub(super) fn has_room(&self) -> bool {
        self.kept.is_empty() || (self.kept.len() < self.max_events && self.bytes < self.max_bytes)
    }

    /// Whether no more events wait than there may, and so many besides.
    pub(super) fn has_spare(&self, spare: usize) -> bool {
        self.kept.len() < self.max_events.saturating_add(spare)
    }

    /// Whether nothing is left to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.given_up.is_empty()
    }

    /// Adds an event, whether there is room or not.
    pub(super) fn push(&mut self, mut event: MarketEvent) {
        if let MarketEvent::Frame(frame) = &mut event
            && self.kept.len() >= SHARED
        {
            frame.payload = Bytes::copy_from_slice(&frame.payload);
        }
        self.bytes = self.bytes.saturating_add(cost(&event));
        self.kept.push_back(event);
    }

    /// Gives up the oldest until no more are kept than there is room for, but never the last one. Returns how many frames are
    /// lost.
    pub(super) fn give_up_oldest(&mut self) -> u64 {
        let mut lost = 0;
        while self.kept.len() > 1 && (self.kept.len() > self.max_events || self.bytes > self.max_bytes) {
            if let Some(event) = self.pop_kept() {
                lost += self.given_up.absorb(event);
            }
        }
        lost
    }

    /// The next event for the consumer.
    pub(super) fn pop(&mut self) -> Option<MarketEvent> {
        self.given_up.take().or_else(|| self.pop_kept())
    }

    fn pop_kept(&mut self) -> Option<MarketEvent> {
        let event = self.kept.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(&event));
        Some(event)
    }
}

/// What an event costs while it waits: an empty frame is not free.
fn cost(event: &MarketEvent) -> usize {
    let names = |instruments: &[Instrument]| -> usize {
        let bytes = instruments.iter().map(|instrument| instrument.as_str().len());
        bytes.sum::<usize>() + size_of_val(instruments)
    };
    let more = match event {
        MarketEvent::Frame(frame) => frame.payload.len(),
        MarketEvent::Disconnected {
            detail, instruments, ..
        } => detail.len() + names(instruments),
        MarketEvent::Subscribed(Subscribed {
            accepted,
            refused,
            unanswered,
            words,
        }) => names(accepted) + names(refused) + names(unanswered) + words.len(),
        MarketEvent::Ended { instruments }
        | MarketEvent::Reconnected { instruments }
        | MarketEvent::Renewed { instruments }
        | MarketEvent::Gap { instruments } => names(instruments),
        MarketEvent::Leaving { detail } => detail.len(),
        MarketEvent::Missed { .. } => 0,
    };
    size_of::<MarketEvent>() + more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::market::{Cause, Frame};
    use proptest::prelude::*;

    fn frame(payload: &[u8]) -> MarketEvent {
        MarketEvent::Frame(Frame {
            payload: Bytes::copy_from_slice(payload),
            received: Moment::now(),
            is_data: true,
        })
    }

    fn payload(event: &MarketEvent) -> Bytes {
        match event {
            MarketEvent::Frame(frame) => frame.payload.clone(),
            other => panic!("{other:?} is no frame"),
        }
    }

    const EMPTY: usize = size_of::<MarketEvent>();

    #[test]
    fn it_is_full_by_events_or_by_bytes_and_one_is_always_taken() {
        let mut backlog = Backlog::new(2, 1000);
        backlog.push(frame(&[0; 5000]));
        assert!(!backlog.has_room());
        assert_eq!(backlog.give_up_oldest(), 0, "never the only one");
        assert_eq!(backlog.waiting(), (1, EMPTY + 5000));
        assert!(backlog.pop().is_some() && backlog.has_room());
        assert_eq!(backlog.waiting(), (0, 0));

        backlog.push(frame(b""));
        assert!(backlog.has_room());
        backlog.push(frame(b""));
        assert!(!backlog.has_room());
    }

    #[test]
    fn the_oldest_go_first_and_the_gap_is_told_in_their_place() {
        let mut backlog = Backlog::new(2, usize::MAX);
        for name in ["a", "b", "c", "d"] {
            backlog.push(frame(name.as_bytes()));
            backlog.give_up_oldest();
        }
        assert_eq!(backlog.pop(), Some(MarketEvent::Missed { frames: 2 }));
        assert_eq!(payload(&backlog.pop().unwrap()), "c");
        assert_eq!(payload(&backlog.pop().unwrap()), "d");
        assert_eq!(backlog.pop(), None);
    }

    #[test]
    fn a_large_frame_costs_as_many_as_it_takes_the_room_of() {
        let mut backlog = Backlog::new(usize::MAX, 10 * EMPTY);
        for _ in 0..9 {
            backlog.push(frame(b""));
        }
        backlog.push(frame(&[0; 4 * EMPTY]));
        assert_eq!(backlog.give_up_oldest(), 4);
        assert_eq!(backlog.waiting(), (6, 10 * EMPTY));
    }

    #[test]
    fn what_waits_far_behind_holds_no_read_buffer() {
        let buffer = Bytes::from(vec![b'x'; 16 * 1024]);
        let mut backlog = Backlog::new(usize::MAX, usize::MAX);
        for at in 0..=SHARED {
            let mut event = frame(b"");
            if let MarketEvent::Frame(frame) = &mut event {
                frame.payload = buffer.slice(at..=at);
            }
            backlog.push(event);
        }
        let is_shared = |event: &MarketEvent| buffer.as_ptr_range().contains(&payload(event).as_ptr());
        let shared: Vec<_> = backlog.kept.iter().map(is_shared).collect();
        assert_eq!(shared.iter().filter(|shared| **shared).count(), SHARED);
        assert!(!shared[SHARED]);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Frame(usize),
        Lost,
        Live,
        Take,
    }

    proptest! {
        #[test]
        fn whatever_happens_it_is_bounded_and_every_frame_is_received_or_missed(
            steps in prop::collection::vec(
                prop_oneof![
                    6 => (0_usize..400).prop_map(Step::Frame),
                    1 => Just(Step::Lost),
                    1 => Just(Step::Live),
                    3 => Just(Step::Take),
                ],
                0..400,
            ),
            max_events in 1_usize..20,
            max_bytes in 1_usize..4000,
        ) {
            let mut backlog = Backlog::new(max_events, max_bytes);
            let (mut sent, mut dropped) = (0, 0);
            let (mut received, mut missed, mut is_lost) = (0, 0, false);
            let mut take = |backlog: &mut Backlog| match backlog.pop() {
                Some(MarketEvent::Frame(_)) => { received += 1; true }
                Some(MarketEvent::Missed { frames }) => { missed += frames; true }
                Some(MarketEvent::Disconnected { .. }) => { is_lost = true; true }
                Some(MarketEvent::Reconnected { .. }) => { is_lost = false; true }
                _ => false,
            };
            let mut was_lost = false;
            for step in steps {
                match step {
                    Step::Frame(bytes) => { sent += 1; backlog.push(frame(&vec![0; bytes])); }
                    Step::Lost => {
                        was_lost = true;
                        backlog.push(MarketEvent::Disconnected { cause: Cause::Eof, detail: "".into(), instruments: Vec::new() });
                    }
                    Step::Live => { was_lost = false; backlog.push(MarketEvent::Reconnected { instruments: Vec::new() }); }
                    Step::Take => { take(&mut backlog); }
                }
                dropped += backlog.give_up_oldest();
                let (events, bytes) = backlog.waiting();
                prop_assert!(events <= max_events.max(1));
                prop_assert!(events == 1 || bytes <= max_bytes);
            }
            while take(&mut backlog) {}
            prop_assert_eq!(received + missed, sent);
            prop_assert_eq!(missed, dropped);
            prop_assert_eq!(is_lost, was_lost, "the last word on the connection is always told");
            prop_assert_eq!(backlog.waiting(), (0, 0));
        }
    }
}
