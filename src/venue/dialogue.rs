//! The session of a venue that answers each request: what is alike in all of them.

use super::ledger::Ledger;
use super::{Heard, Session};
use crate::market::Instrument;
use std::hash::Hash;

/// A channel, and an instrument of it.
pub(super) type Pair<'p> = (&'p str, &'p Instrument);

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    Subscribe,
    Unsubscribe,
}

impl Verb {
    /// The word that most venues have for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

/// How much goes into one request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Batch {
    /// So many pairs, one instrument after the other.
    Pairs(usize),
    /// So many pairs. An instrument stands in one request with all its channels, as far as these fit, so that what is refused is
    /// known as well as can be.
    Together(usize),
    /// So many instruments, with all their channels.
    Instruments(usize),
    /// So many instruments of a channel, one channel after the other.
    OfChannel(usize),
}

/// How a venue is asked, and how its answers read; [`Answered`] is the rest of the session.
pub(super) trait Dialogue: Send {
    /// What an answer names: a request, or a part of one.
    type Key: Eq + Hash + Send;

    /// How much goes into one request.
    fn batch(&self) -> Batch;

    /// What has to be said first of all, as request number `id`.
    fn hello(&self, _id: u64) -> Option<String> {
        None
    }

    /// The text of request number `id`, which no other of the connection has. The numbers begin with 1.
    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String;

    /// What the answer to the subscription of that pair names, which was asked for in request number `id`. Pairs of a request that
    /// have one key are answered as one.
    fn key(&self, id: u64, pair: Pair<'_>) -> Self::Key;

    /// The same where it was unsubscribed, at a venue that refuses without saying what: this may be what it means. Nothing of it is
    /// awaited.
    fn key_of_end(&self, _pair: Pair<'_>) -> Option<Self::Key> {
        None
    }

    /// Whether data may be an answer. Elsewhere an answer says that it is one.
    fn answers_with_data(&self) -> bool {
        false
    }

    /// What a received frame says to this side, to what was asked for.
    fn hear(&mut self, frame: &str, asked: &mut Ledger<Self::Key>) -> Option<Heard>;
}

/// The session of such a venue.
pub(super) struct Answered<D: Dialogue> {
    dialogue: D,
    channels: Vec<String>,
    has_said_hello: bool,
    last_id: u64,
    asked: Ledger<D::Key>,
}

impl<D: Dialogue + 'static> Answered<D> {
    /// A session that asks for these channels of each instrument.
    pub(super) fn session(dialogue: D, channels: Vec<String>) -> Box<dyn Session> {
        Box::new(Self {
            dialogue,
            channels,
            has_said_hello: false,
            last_id: 0,
            asked: Ledger::default(),
        })
    }

    fn requests(&mut self, verb: Verb, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        for pairs in self.dialogue.batch().split(&self.channels, instruments) {
            self.last_id += 1;
            texts.push(self.dialogue.request(verb, self.last_id, &pairs));
            match verb {
                Verb::Subscribe => {
                    for (key, instruments) in by_key(&pairs, |pair| self.dialogue.key(self.last_id, pair)) {
                        self.asked.ask_in(self.last_id, key, instruments);
                    }
                }
                Verb::Unsubscribe => {
                    for key in pairs.iter().filter_map(|pair| self.dialogue.key_of_end(*pair)) {
                        self.asked.ask_in(self.last_id, key, []);
                    }
                }
            }
        }
        texts
    }
}

impl<D: Dialogue + 'static> Session for Answered<D> {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        if !std::mem::replace(&mut self.has_said_hello, true)
            && let Some(hello) = self.dialogue.hello(self.last_id + 1)
        {
            self.last_id += 1;
            texts.push(hello);
        }
        texts.extend(self.requests(Verb::Subscribe, instruments));
        texts
    }

    fn count_requests(&self, instruments: &[Instrument]) -> Option<usize> {
        let says_hello = !self.has_said_hello && self.dialogue.hello(self.last_id + 1).is_some();
        let batches = self.dialogue.batch().split(&self.channels, instruments);
        Some(batches.len() + usize::from(says_hello))
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.asked.forget(instruments);
        self.requests(Verb::Unsubscribe, instruments)
    }

    fn is_awaiting(&self) -> bool {
        self.asked.is_awaiting()
    }

    fn hears_data(&self) -> bool {
        self.dialogue.answers_with_data() && self.asked.is_open()
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        self.dialogue.hear(frame.trim(), &mut self.asked)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.asked.give_up()
    }
}

impl Batch {
    fn split<'p>(self, channels: &'p [String], instruments: &'p [Instrument]) -> Vec<Vec<Pair<'p>>> {
        let whole = |most: usize| instruments.chunks(most).map(|batch| pairs(channels, batch));
        let in_chunks = |pairs: Vec<Pair<'p>>, most| pairs.chunks(most).map(<[_]>::to_vec).collect::<Vec<_>>();
        match self {
            Self::Pairs(most) => in_chunks(pairs(channels, instruments), most),
            Self::Together(most) => {
                let instruments = (most / channels.len().max(1)).max(1);
                whole(instruments).flat_map(|pairs| in_chunks(pairs, most)).collect()
            }
            Self::Instruments(most) => whole(most).collect(),
            Self::OfChannel(most) => {
                let of = |channel| instruments.chunks(most).map(move |batch| pairs(channel, batch));
                channels.chunks(1).flat_map(of).collect()
            }
        }
    }
}

fn pairs<'p>(channels: &'p [String], instruments: &'p [Instrument]) -> Vec<Pair<'p>> {
    let of = |instrument: &'p Instrument| channels.iter().map(move |channel| (channel.as_str(), instrument));
    instruments.iter().flat_map(of).collect()
}

/// What is asked for by one name: such pairs stand together.
fn by_key<K: PartialEq>(pairs: &[Pair<'_>], key: impl Fn(Pair<'_>) -> K) -> Vec<(K, Vec<Instrument>)> {
    let mut asked: Vec<(K, Vec<Instrument>)> = Vec::new();
    for pair in pairs {
        let (key, instrument) = (key(*pair), pair.1);
        match asked.last_mut() {
            Some((last, of)) if *last == key => {
                if of.last() != Some(instrument) {
                    of.push(instrument.clone());
                }
            }
            _ => asked.push((key, vec![instrument.clone()])),
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::{ALL, Feed};
    use std::collections::HashSet;

    #[test]
    fn a_batch_holds_no_more_than_it_may_and_each_pair_stands_in_one() {
        let instruments: Vec<_> = (0..101).map(|id| Instrument::new(&id.to_string())).collect();
        for channels in [1, 3, 12] {
            let channels: Vec<_> = (0..channels).map(|channel| format!("c{channel}")).collect();
            for batch in [
                Batch::Pairs(1),
                Batch::Pairs(7),
                Batch::Together(7),
                Batch::Instruments(7),
                Batch::OfChannel(7),
            ] {
                let requests = batch.split(&channels, &instruments);
                let all: HashSet<_> = requests.iter().flatten().collect();
                let count = requests.iter().map(Vec::len).sum::<usize>();
                assert_eq!(
                    (all.len(), count),
                    (101 * channels.len(), 101 * channels.len()),
                    "{batch:?}"
                );
                for pairs in requests {
                    let of = pairs.iter().map(|(_, instrument)| instrument).collect::<HashSet<_>>();
                    let is_whole = of.len() * channels.len() == pairs.len();
                    let is_legal = match batch {
                        Batch::Pairs(most) => pairs.len() <= most,
                        Batch::Together(most) if channels.len() <= most => pairs.len() <= most && is_whole,
                        Batch::Together(most) => pairs.len() <= most && of.len() == 1,
                        Batch::Instruments(most) => of.len() <= most && is_whole,
                        Batch::OfChannel(most) => pairs.len() <= most && pairs.iter().all(|pair| pair.0 == pairs[0].0),
                    };
                    assert!(is_legal, "{batch:?}: {pairs:?}");
                }
            }
        }
    }

    #[test]
    fn requests_are_counted_as_they_are_made() {
        let instruments: Vec<_> = (0..500).map(|id| Instrument::new(&format!("A{id}/B"))).collect();
        let mut counted = 0;
        for venue in ALL {
            let mut session = venue.session(&Feed::default());
            for count in [500, 101, 1, 0] {
                if let Some(requests) = session.count_requests(&instruments[..count]) {
                    let made = session.subscribe(&instruments[..count]).len();
                    assert_eq!(requests, made, "{} of {}", count, venue.name());
                    counted += 1;
                }
            }
        }
        assert!(counted > 50, "most venues count: {counted}");
    }
}
