//! The dialogue of one connection: a request for each pair of feed and product, and an answer that names both.

use crate::market::Instrument;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::{self, Ledger};
use crate::venue::wire;
use crate::venue::{Answer, Heard};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::VecDeque;

/// A feed, and a product of it.
type Asked = (String, Instrument);

#[derive(Default)]
pub(super) struct FuturesDialogue {
    /// Requests without an answer in the order in which they leave.
    unanswered: VecDeque<(Verb, Asked)>,
}

#[derive(Deserialize)]
struct Reply<'f> {
    #[serde(borrow)]
    event: Cow<'f, str>,
    #[serde(borrow)]
    feed: Option<Cow<'f, str>>,
    #[serde(default)]
    product_ids: Vec<String>,
    #[serde(borrow)]
    message: Option<Cow<'f, str>>,
}

impl FuturesDialogue {
    fn on_named(
        &mut self,
        verb: Verb,
        named: &Asked,
        words: Option<&str>,
        asked: &mut Ledger<Asked>,
    ) -> Option<Answer> {
        let is_meant = |(of, pair): &(Verb, Asked)| (*of, pair) == (verb, named);
        let position = self.unanswered.iter().position(is_meant)?;
        self.unanswered.remove(position);
        match (verb, words) {
            (Verb::Unsubscribe, _) => None,
            (Verb::Subscribe, None) => asked.accept(named),
            (Verb::Subscribe, Some(words)) => asked.refuse(named, words.to_owned()),
        }
    }
}

impl Dialogue for FuturesDialogue {
    type Key = Asked;

    fn batch(&self) -> Batch {
        Batch::OfChannel(1)
    }

    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String {
        for pair in pairs {
            let asked = (verb, self.key(id, *pair));
            ledger::expect(&mut self.unanswered, asked);
        }
        let feed = pairs.first().map(|(feed, _)| feed);
        let products: Vec<_> = pairs.iter().map(|(_, product)| product.as_str()).collect();
        json!({"event": verb.word(), "feed": feed, "product_ids": products}).to_string()
    }

    fn key(&self, _: u64, (feed, product): Pair<'_>) -> Asked {
        (feed.to_owned(), product.clone())
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<Asked>) -> Option<Heard> {
        let reply: Reply<'_> = serde_json::from_str(frame).ok()?;
        let words = reply.message.as_deref().unwrap_or(wire::NO_WORDS);
        let (verb, words) = match &*reply.event {
            "subscribed" => (Verb::Subscribe, None),
            "subscribed_failed" => (Verb::Subscribe, Some(words)),
            "unsubscribed" | "unsubscribed_failed" => (Verb::Unsubscribe, None),
            "error" => {
                let (verb, oldest) = self.unanswered.front().cloned()?;
                return self.on_named(verb, &oldest, Some(words), asked).map(Heard::Answer);
            }
            _ => return None,
        };
        let product = Instrument::new(reply.product_ids.first()?);
        let named = (reply.feed?.into_owned(), product);
        self.on_named(verb, &named, words, asked).map(Heard::Answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_venue_that_never_answers_the_oldest_requests_are_forgotten() {
        let mut dialogue = FuturesDialogue::default();
        let product = Instrument::new("PF_XBTUSD");
        for feed in ["trade", "book"] {
            for id in 0..ledger::MOST_UNANSWERED as u64 {
                dialogue.request(Verb::Subscribe, id, &[(feed, &product)]);
            }
        }
        assert_eq!(dialogue.unanswered.len(), ledger::MOST_UNANSWERED);
        assert!(dialogue.unanswered.iter().all(|(_, (feed, _))| feed == "book"));
    }
}
