//! The dialogue of one connection: requests without ids, answered in their turn.

use super::Coinbase;
use crate::market::{Cause, Failure, Instrument};
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::{self, Ledger};
use crate::venue::{Answer, Heard};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// So many products in one request of Advanced Trade, which leaves out those that it does not know.
const PRODUCTS_PER_REQUEST: usize = 50;

/// The number of the request that is said first.
const HELLO: u64 = 1;

/// What a request is refused with that is answered without it.
const LEFT_OUT: &str = "the venue does not list it among what is subscribed to";

/// Number of the request, channel and product.
type Asked = (u64, String, Instrument);

pub(super) struct CoinbaseDialogue {
    api: Coinbase,
    /// Requests without an answer in the order in which they leave, those included of which none is awaited.
    unanswered: VecDeque<u64>,
}

/// An answer of either interface.
#[derive(Deserialize)]
struct Reply<'f> {
    #[serde(rename = "type", borrow)]
    name: Option<&'f str>,
    /// Of Advanced Trade.
    #[serde(borrow)]
    channel: Option<&'f str>,
    #[serde(default)]
    events: Vec<Listing>,
    /// Of the Exchange.
    #[serde(default)]
    channels: Vec<Listed>,
    #[serde(borrow)]
    message: Option<Cow<'f, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'f, str>>,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    subscriptions: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    product_ids: Vec<String>,
}

impl CoinbaseDialogue {
    pub(super) fn new(api: Coinbase) -> Self {
        // What is said first, if anything, is answered first.
        let hello = (api == Coinbase::Advanced).then_some(HELLO);
        Self {
            api,
            unanswered: hello.into_iter().collect(),
        }
    }

    /// The answer to the oldest request. What it asked for is in effect where it is listed.
    fn on_listed(
        &mut self,
        asked: &mut Ledger<Asked>,
        is_listed: impl Fn(&str, &Instrument) -> bool,
    ) -> Option<Answer> {
        let id = self.unanswered.pop_front()?;
        match asked.settle_request(id, |(_, channel, product)| is_listed(channel, product))? {
            Answer::Settled(settled) if settled.accepted.is_empty() => {
                let failure = Failure::new(Cause::SubscribeRejected).with_detail(LEFT_OUT);
                Some(Answer::Rejected(settled.refused, failure))
            }
            answer => Some(answer),
        }
    }
}

impl Dialogue for CoinbaseDialogue {
    type Key = Asked;

    fn batch(&self) -> Batch {
        match self.api {
            Coinbase::Advanced => Batch::OfChannel(PRODUCTS_PER_REQUEST),
            // An unknown product would spoil a request of several.
            Coinbase::Exchange => Batch::Instruments(1),
        }
    }

    fn hello(&self, _: u64) -> Option<String> {
        let heartbeats = || json!({"type": "subscribe", "channel": "heartbeats"}).to_string();
        (self.api == Coinbase::Advanced).then(heartbeats)
    }

    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String {
        ledger::expect(&mut self.unanswered, id);
        let first = pairs.first();
        let text = match self.api {
            Coinbase::Advanced => {
                let products: Vec<_> = pairs.iter().map(|(_, product)| product.as_str()).collect();
                json!({"type": verb.word(), "channel": first.map(|(channel, _)| channel), "product_ids": products})
            }
            Coinbase::Exchange => {
                let product: Vec<_> = first.iter().map(|(_, product)| product.as_str()).collect();
                let names = pairs.iter().map(|(channel, _)| *channel).chain(["heartbeat"]);
                let channels: Vec<_> = names
                    .map(|name| json!({"name": name, "product_ids": product}))
                    .collect();
                json!({"type": verb.word(), "channels": channels})
            }
        };
        text.to_string()
    }

    fn key(&self, id: u64, (channel, product): Pair<'_>) -> Asked {
        (id, channel.to_owned(), product.clone())
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<Asked>) -> Option<Heard> {
        let reply: Reply<'_> = serde_json::from_str(frame).ok()?;
        let answer = match (reply.name, reply.channel) {
            (Some("error"), None) => {
                let words = [reply.message.as_deref(), reply.reason.as_deref()];
                let words: Vec<_> = words.into_iter().flatten().collect();
                let id = self.unanswered.pop_front()?;
                asked.refuse_request(id, words.join(": "))
            }
            (None, Some("subscriptions")) => self.on_listed(asked, |channel, product| {
                let lists = reply.events.iter().filter_map(|event| event.subscriptions.get(channel));
                lists.flatten().any(|listed| listed == product.as_str())
            }),
            (Some("subscriptions"), None) => self.on_listed(asked, |channel, product| {
                let mut lists = reply.channels.iter().filter(|listed| is_same(&listed.name, channel));
                lists.any(|list| list.product_ids.iter().any(|listed| listed == product.as_str()))
            }),
            _ => None,
        };
        answer.map(Heard::Answer)
    }
}

/// The venue lists `level2_batch` by another name, which says how often it comes.
fn is_same(listed: &str, asked: &str) -> bool {
    listed == asked || asked == "level2_batch" && listed.starts_with("level2")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::{Feed, Venue};

    fn listed(products: &[&str]) -> String {
        json!({"type": "subscriptions", "channels": [{"name": "matches", "product_ids": products}]}).to_string()
    }

    #[test]
    fn of_a_venue_that_never_answers_the_oldest_requests_are_forgotten() {
        let mut dialogue = CoinbaseDialogue::new(Coinbase::Exchange);
        let most = ledger::MOST_UNANSWERED as u64;
        for id in 1..=most + 10 {
            dialogue.request(Verb::Subscribe, id, &[]);
        }
        let ends = (dialogue.unanswered.front(), dialogue.unanswered.back());
        assert_eq!(ends, (Some(&11), Some(&(most + 10))));
    }

    #[test]
    fn an_answer_is_of_the_oldest_request_even_of_one_that_ends_something() {
        let mut session = Coinbase::Exchange.session(&Feed::of(["matches"]));
        let [a, b] = ["A-USD", "B-USD"].map(Instrument::new);
        session.subscribe(&[a.clone(), b.clone()]);
        assert!(session.hear(&listed(&["A-USD"])).is_some() && session.hear(&listed(&["A-USD", "B-USD"])).is_some());

        session.unsubscribe(&[b]);
        session.unsubscribe(std::slice::from_ref(&a));
        session.subscribe(std::slice::from_ref(&a));
        assert_eq!(
            session.hear(&listed(&["A-USD"])),
            None,
            "it is still the subscription before"
        );
        assert_eq!(session.hear(&listed(&[])), None, "that is no refusal");
        let Some(Heard::Answer(Answer::Settled(settled))) = session.hear(&listed(&["A-USD"])) else {
            panic!("it is subscribed to again")
        };
        assert_eq!((settled.accepted, session.is_awaiting()), (vec![a], false));
    }
}
