//! What a stream is to be subscribed to: what the configuration lists, and what its names stand for. Pure.

use crate::market::Instrument;
use std::collections::BTreeSet;

/// So many instruments that have ended are remembered.
const MOST_ENDED: usize = 10_000;

/// Where the wishes of a stream come from.
#[derive(Debug, Default)]
pub(in crate::app) struct Wishes {
    /// Of the configuration.
    listed: BTreeSet<Instrument>,
    /// What its names stand for, what has ended left out.
    named: BTreeSet<Instrument>,
    /// The venue said on the stream that these have ended: an answer over REST may be older than that.
    ended: BTreeSet<Instrument>,
}

/// What the stream is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::app) struct Told {
    pub(in crate::app) subscribe: Vec<Instrument>,
    pub(in crate::app) unsubscribe: Vec<Instrument>,
}

impl Wishes {
    /// Of a stream that is subscribed to these.
    pub(in crate::app) fn new(listed: &[Instrument]) -> Self {
        Self {
            listed: listed.iter().cloned().collect(),
            ..Self::default()
        }
    }

    /// The configuration lists these as well.
    pub(in crate::app) fn list(&mut self, instruments: &[Instrument]) {
        self.listed.extend(instruments.iter().cloned());
    }

    /// The configuration lists these no more. Returns those that nobody wants now.
    pub(in crate::app) fn unlist(&mut self, instruments: &[Instrument]) -> Vec<Instrument> {
        for instrument in instruments {
            self.listed.remove(instrument);
        }
        let is_unwanted = |instrument: &&Instrument| !self.named.contains(*instrument);
        instruments.iter().filter(is_unwanted).cloned().collect()
    }

    /// All of its names together stand for these now.
    pub(in crate::app) fn name(&mut self, instruments: Vec<Instrument>) -> Told {
        let all: BTreeSet<_> = instruments.into_iter().collect();
        let next: BTreeSet<_> = all.difference(&self.ended).cloned().collect();
        let unless_listed = |instrument: &&Instrument| !self.listed.contains(*instrument);
        let told = Told {
            subscribe: next.difference(&self.named).filter(unless_listed).cloned().collect(),
            unsubscribe: self.named.difference(&next).filter(unless_listed).cloned().collect(),
        };
        self.named = next;
        told
    }

    /// The venue says that these have ended. The stream wants them no more.
    pub(in crate::app) fn end(&mut self, instruments: &[Instrument]) {
        for instrument in instruments {
            self.listed.remove(instrument);
            self.named.remove(instrument);
            self.ended.insert(instrument.clone());
        }
        while self.ended.len() > MOST_ENDED {
            self.ended.pop_first();
        }
    }

    /// What has ended for the stream that was here before has ended for this one.
    pub(in crate::app) fn remember(&mut self, before: Self) {
        self.ended = before.ended;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(ids: &[u8]) -> Vec<Instrument> {
        ids.iter().map(|id| Instrument::new(&id.to_string())).collect()
    }

    #[test]
    fn what_has_ended_is_not_wanted_again_by_an_answer_that_is_older() {
        let mut wishes = Wishes::new(&[]);
        assert_eq!(wishes.name(all(&[1, 2])).subscribe, all(&[1, 2]));
        wishes.end(&all(&[1]));
        assert_eq!(wishes.name(all(&[1, 2])), Told::default());
        assert_eq!(wishes.name(all(&[2])), Told::default());
        assert_eq!(wishes.name(all(&[1, 2, 3])).subscribe, all(&[3]));
    }

    #[test]
    fn what_is_both_listed_and_named_stays_while_either_wants_it() {
        let mut wishes = Wishes::new(&all(&[1, 2]));
        assert_eq!(wishes.name(all(&[2, 3])).subscribe, all(&[3]));
        assert_eq!(wishes.unlist(&all(&[1, 2])), all(&[1]));
        wishes.list(&all(&[3]));
        assert_eq!(wishes.name(Vec::new()).unsubscribe, all(&[2]));
    }

    proptest! {
        /// Whatever comes in whatever order: the stream is subscribed to what is listed or named, less what has ended.
        #[test]
        fn a_stream_that_does_as_it_is_told_has_what_is_wanted(steps in prop::collection::vec((0..4_u8, prop::collection::btree_set(0..6_u8, 0..4)), 0..20)) {
            let (mut wishes, mut subscribed) = (Wishes::new(&[]), BTreeSet::new());
            let (mut listed, mut named, mut ended) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            for (kind, ids) in steps {
                let ids: Vec<_> = ids.into_iter().collect();
                let instruments = all(&ids);
                match kind {
                    0 => {
                        wishes.list(&instruments);
                        subscribed.extend(instruments);
                        listed.extend(ids);
                    }
                    1 => {
                        // As the difference of two configurations has it: only what was listed.
                        let gone: Vec<_> = ids.into_iter().filter(|id| listed.remove(id)).collect();
                        for instrument in wishes.unlist(&all(&gone)) {
                            subscribed.remove(&instrument);
                        }
                    }
                    2 => {
                        let told = wishes.name(instruments);
                        subscribed.extend(told.subscribe);
                        for instrument in told.unsubscribe {
                            subscribed.remove(&instrument);
                        }
                        named = ids.into_iter().collect();
                    }
                    _ => {
                        for instrument in &instruments {
                            subscribed.remove(instrument);
                        }
                        wishes.end(&instruments);
                        // What is listed ends as well, and is wanted again only by whoever lists it anew.
                        for id in &ids {
                            listed.remove(id);
                        }
                        ended.extend(ids);
                    }
                }
                let wanted: BTreeSet<u8> = named.difference(&ended).chain(&listed).copied().collect();
                prop_assert_eq!(&subscribed, &all(&wanted.into_iter().collect::<Vec<_>>()).into_iter().collect());
            }
        }
    }
}
