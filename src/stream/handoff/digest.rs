//! What is left of events that the consumer did not take in time: short, however many there were. Pure.

use crate::market::{Cause, Instrument, MarketEvent, Subscribed};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The sum of events that are told no more one by one. It holds no frames, so all that it tells is older than every frame that
/// the consumer still gets.
#[derive(Debug, Default)]
pub(super) struct Digest {
    /// The last loss.
    loss: Option<(Cause, Cow<'static, str>)>,
    /// What was lost, by it or by one before.
    lost: BTreeSet<Instrument>,
    /// What is live again after its last loss. `None` = nothing is.
    reconnected: Option<BTreeSet<Instrument>>,
    /// What another connection has taken over, and is not lost since.
    renewed: BTreeSet<Instrument>,
    ended: BTreeSet<Instrument>,
    /// Of what something is missing.
    gaps: BTreeSet<Instrument>,
    /// The last answer for each instrument.
    answers: BTreeMap<Instrument, Standing>,
    missed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Accepted,
    Refused,
    Unanswered,
}

impl Digest {
    /// Adds an event. Returns how many frames are lost with it.
    pub(super) fn absorb(&mut self, event: MarketEvent) -> u64 {
        match event {
            MarketEvent::Frame(_) => {
                self.missed = self.missed.saturating_add(1);
                return 1;
            }
            // Somebody else has counted them.
            MarketEvent::Missed { frames } => self.missed = self.missed.saturating_add(frames),
            MarketEvent::Disconnected {
                cause,
                detail,
                instruments,
            } => {
                self.loss = Some((cause, detail));
                if let Some(live) = &mut self.reconnected {
                    live.retain(|live| !instruments.contains(live));
                }
                self.reconnected.take_if(|live| live.is_empty());
                for instrument in &instruments {
                    self.renewed.remove(instrument);
                }
                self.lost.extend(instruments);
            }
            MarketEvent::Reconnected { instruments } => self.reconnected.get_or_insert_default().extend(instruments),
            MarketEvent::Renewed { instruments } => self.renewed.extend(instruments),
            MarketEvent::Subscribed(answer) => self.answer(answer),
            MarketEvent::Gap { instruments } => self.gaps.extend(instruments),
            // It has been followed, and asks nothing of the consumer.
            MarketEvent::Leaving { .. } => {}
            MarketEvent::Ended { instruments } => {
                for instrument in instruments {
                    self.answers.remove(&instrument);
                    self.ended.insert(instrument);
                }
            }
        }
        0
    }

    /// The next event to tell. The frames that are missing come last: right before those that are there.
    pub(super) fn take(&mut self) -> Option<MarketEvent> {
        if let Some((cause, detail)) = self.loss.take() {
            return Some(MarketEvent::Disconnected {
                cause,
                detail,
                instruments: std::mem::take(&mut self.lost).into_iter().collect(),
            });
        }
        if let Some(live) = self.reconnected.take() {
            let instruments = live.into_iter().collect();
            return Some(MarketEvent::Reconnected { instruments });
        }
        if !self.renewed.is_empty() {
            let instruments = std::mem::take(&mut self.renewed).into_iter().collect();
            return Some(MarketEvent::Renewed { instruments });
        }
        if !self.ended.is_empty() {
            let instruments = std::mem::take(&mut self.ended).into_iter().collect();
            return Some(MarketEvent::Ended { instruments });
        }
        if !self.answers.is_empty() {
            return Some(MarketEvent::Subscribed(self.take_answers()));
        }
        if !self.gaps.is_empty() {
            let instruments = std::mem::take(&mut self.gaps).into_iter().collect();
            return Some(MarketEvent::Gap { instruments });
        }
        let frames = std::mem::take(&mut self.missed);
        (frames > 0).then_some(MarketEvent::Missed { frames })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.loss.is_none()
            && self.reconnected.is_none()
            && self.renewed.is_empty()
            && self.ended.is_empty()
            && self.answers.is_empty()
            && self.gaps.is_empty()
            && self.missed == 0
    }

    fn answer(&mut self, answer: Subscribed) {
        for (instruments, standing) in [
            (answer.accepted, Standing::Accepted),
            (answer.refused, Standing::Refused),
            (answer.unanswered, Standing::Unanswered),
        ] {
            let answers = instruments.into_iter().map(|instrument| (instrument, standing));
            self.answers.extend(answers);
        }
    }

    fn take_answers(&mut self) -> Subscribed {
        let mut told = Subscribed::default();
        for (instrument, standing) in std::mem::take(&mut self.answers) {
            match standing {
                Standing::Accepted => told.accepted.push(instrument),
                Standing::Refused => told.refused.push(instrument),
                Standing::Unanswered => told.unanswered.push(instrument),
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(cause: Cause) -> MarketEvent {
        lost_all(cause, &[])
    }

    fn lost_all(cause: Cause, ids: &[&str]) -> MarketEvent {
        MarketEvent::Disconnected {
            cause,
            detail: "".into(),
            instruments: instruments(ids),
        }
    }

    fn live(ids: &[&str]) -> MarketEvent {
        MarketEvent::Reconnected {
            instruments: instruments(ids),
        }
    }

    fn missed(frames: u64) -> MarketEvent {
        MarketEvent::Missed { frames }
    }

    fn instruments(ids: &[&str]) -> Vec<Instrument> {
        ids.iter().copied().map(Instrument::new).collect()
    }

    fn answered(accepted: &[&str], refused: &[&str], unanswered: &[&str]) -> MarketEvent {
        MarketEvent::Subscribed(Subscribed {
            accepted: instruments(accepted),
            refused: instruments(refused),
            unanswered: instruments(unanswered),
            ..Subscribed::default()
        })
    }

    fn ended(ids: &[&str]) -> MarketEvent {
        MarketEvent::Ended {
            instruments: instruments(ids),
        }
    }

    fn digest(events: impl IntoIterator<Item = MarketEvent>) -> Vec<MarketEvent> {
        let mut digest = Digest::default();
        for event in events {
            digest.absorb(event);
        }
        std::iter::from_fn(|| digest.take()).collect()
    }

    #[test]
    fn of_losses_the_last_is_told_and_whether_it_is_over() {
        let twice = [lost(Cause::Eof), live(&[]), lost(Cause::TcpReset)];
        assert_eq!(digest(twice.clone()), [lost(Cause::TcpReset)]);
        let over = twice.into_iter().chain([live(&[])]);
        assert_eq!(digest(over), [lost(Cause::TcpReset), live(&[])]);
        assert_eq!(digest([live(&[])]), [live(&[])]);
    }

    #[test]
    fn of_several_connections_all_is_told_that_was_lost_and_what_of_it_is_live_again() {
        let story = [
            lost_all(Cause::Eof, &["a", "b"]),
            lost_all(Cause::TcpReset, &["c"]),
            live(&["a", "b"]),
            live(&["c"]),
            lost_all(Cause::Eof, &["c"]),
        ];
        assert_eq!(
            digest(story),
            [lost_all(Cause::Eof, &["a", "b", "c"]), live(&["a", "b"])]
        );
    }

    #[test]
    fn what_another_connection_has_taken_over_is_told_unless_it_was_lost_since() {
        let renewed = |ids| MarketEvent::Renewed {
            instruments: instruments(ids),
        };
        assert_eq!(
            digest([renewed(&["a", "b"]), missed(1), renewed(&["b"])]),
            [renewed(&["a", "b"]), missed(1)]
        );
        let lost = lost_all(Cause::Eof, &["a"]);
        assert_eq!(digest([renewed(&["a"]), lost.clone()]), [lost]);
    }

    #[test]
    fn what_is_missing_is_told_last_and_in_all() {
        assert_eq!(
            digest([missed(2), lost(Cause::Eof), missed(3)]),
            [lost(Cause::Eof), missed(5)]
        );
        assert_eq!(digest([]), []);
    }

    #[test]
    fn of_each_instrument_the_last_word_is_told() {
        let story = [
            answered(&["a", "b"], &["c"], &["d"]),
            answered(&["c", "d"], &["a"], &[]),
            ended(&["b", "x"]),
            ended(&["x"]),
        ];
        assert_eq!(digest(story), [ended(&["b", "x"]), answered(&["c", "d"], &["a"], &[])]);
        let again = [ended(&["a"]), answered(&["a"], &[], &[])];
        assert_eq!(digest(again.clone()), again, "asked for again after its end");
    }
}
