//! The dialogue of one connection: requests without ids, answered in their turn.

use super::Coinbase;
use crate::market::{Cause, Failure, Instrument, Subscribed};
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// So many products in one request of Advanced Trade, which leaves out those that it does not know.
const PRODUCTS_PER_REQUEST: usize = 50;

/// What a request is refused with that is answered without it.
const LEFT_OUT: &str = "the venue does not list it among what is subscribed to";

#[derive(Debug)]
pub(super) struct CoinbaseSession {
    api: Coinbase,
    channels: Vec<String>,
    last_id: u64,
    /// By number of the request, and product.
    ledger: Ledger<(u64, Instrument)>,
    /// Requests without an answer, in the order in which they leave.
    unanswered: VecDeque<Request>,
    has_heartbeats: bool,
}

#[derive(Debug)]
struct Request {
    id: u64,
    /// Empty = one that is not awaited: it ends something, or asks for heartbeats.
    products: Vec<Instrument>,
    channels: Vec<String>,
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

impl CoinbaseSession {
    pub(super) fn new(api: Coinbase, channels: Vec<String>) -> Self {
        Self {
            api,
            channels,
            last_id: 0,
            ledger: Ledger::default(),
            unanswered: VecDeque::new(),
            has_heartbeats: false,
        }
    }

    /// The requests, and for each of them what it asks for.
    fn requests(&mut self, method: &str, instruments: &[Instrument]) -> Vec<(Value, Request)> {
        let mut requests = Vec::new();
        let mut push = |text: Value, products: &[Instrument], channels: &[String]| {
            self.last_id += 1;
            let request = Request {
                id: self.last_id,
                products: products.to_vec(),
                channels: channels.to_vec(),
            };
            requests.push((text, request));
        };
        match self.api {
            Coinbase::Advanced => {
                for channel in &self.channels {
                    for batch in instruments.chunks(PRODUCTS_PER_REQUEST) {
                        let products: Vec<_> = batch.iter().map(Instrument::as_str).collect();
                        let text = json!({"type": method, "channel": channel, "product_ids": products});
                        push(text, batch, std::slice::from_ref(channel));
                    }
                }
            }
            // An unknown product would spoil a request of several.
            Coinbase::Exchange => {
                for instrument in instruments {
                    let product = [instrument.as_str()];
                    let names = self.channels.iter().map(String::as_str).chain(["heartbeat"]);
                    let channels: Vec<_> = names
                        .map(|name| json!({"name": name, "product_ids": product}))
                        .collect();
                    let text = json!({"type": method, "channels": channels});
                    push(text, std::slice::from_ref(instrument), &self.channels);
                }
            }
        }
        requests
    }

    /// The answer to the oldest request. What it asked for is in effect where it is listed.
    fn on_listed(&mut self, is_listed: impl Fn(&str, &Instrument) -> bool) -> Option<Answer> {
        let request = self.unanswered.pop_front()?;
        let (mut accepted, mut refused, mut failure) = (Vec::new(), Vec::new(), None);
        for product in request.products {
            let in_effect = request.channels.iter().all(|channel| is_listed(channel, &product));
            let key = (request.id, product);
            let answer = if in_effect {
                self.ledger.accept(&key)
            } else {
                self.ledger.refuse(&key, LEFT_OUT)
            };
            match answer {
                Some(Answer::Settled(settled)) => {
                    accepted.extend(settled.accepted);
                    refused.extend(settled.refused);
                }
                Some(Answer::Rejected(rejected, why)) => {
                    refused.extend(rejected);
                    failure = Some(why);
                }
                None => {}
            }
        }
        if accepted.is_empty() && refused.is_empty() {
            return None;
        }
        if accepted.is_empty() {
            let failure = failure.unwrap_or_else(|| Failure::new(Cause::SubscribeRejected).with_detail(LEFT_OUT));
            return Some(Answer::Rejected(refused, failure));
        }
        Some(Answer::Settled(Subscribed {
            accepted,
            refused,
            ..Subscribed::default()
        }))
    }

    fn on_error(&mut self, words: &str) -> Option<Answer> {
        let request = self.unanswered.pop_front()?;
        let keys: Vec<_> = request
            .products
            .into_iter()
            .map(|product| (request.id, product))
            .collect();
        self.ledger.refuse_each(&keys, words.to_owned())
    }
}

impl Session for CoinbaseSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        if self.api == Coinbase::Advanced && !std::mem::replace(&mut self.has_heartbeats, true) {
            texts.push(json!({"type": "subscribe", "channel": "heartbeats"}).to_string());
            self.unanswered.push_back(Request {
                id: 0,
                products: Vec::new(),
                channels: Vec::new(),
            });
        }
        for (text, request) in self.requests("subscribe", instruments) {
            for product in &request.products {
                self.ledger.ask((request.id, product.clone()), [product.clone()]);
            }
            self.unanswered.push_back(request);
            texts.push(text.to_string());
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let mut texts = Vec::new();
        for (text, request) in self.requests("unsubscribe", instruments) {
            // It is answered as well, in its turn.
            self.unanswered.push_back(Request {
                products: Vec::new(),
                ..request
            });
            texts.push(text.to_string());
        }
        texts
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers say that they are such.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let reply: Reply<'_> = serde_json::from_str(frame.trim()).ok()?;
        let answer = match (reply.name, reply.channel) {
            (Some("error"), None) => {
                let words = [reply.message.as_deref(), reply.reason.as_deref()];
                let words: Vec<_> = words.into_iter().flatten().collect();
                self.on_error(&words.join(": "))
            }
            (None, Some("subscriptions")) => self.on_listed(|channel, product| {
                let lists = reply.events.iter().filter_map(|event| event.subscriptions.get(channel));
                lists.flatten().any(|listed| listed == product.as_str())
            }),
            (Some("subscriptions"), None) => self.on_listed(|channel, product| {
                let mut lists = reply.channels.iter().filter(|listed| is_same(&listed.name, channel));
                lists.any(|list| list.product_ids.iter().any(|listed| listed == product.as_str()))
            }),
            _ => None,
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}

/// The venue lists `level2_batch` by another name, which says how often it comes.
fn is_same(listed: &str, asked: &str) -> bool {
    listed == asked || asked == "level2_batch" && listed.starts_with("level2")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(products: &[&str]) -> String {
        json!({"type": "subscriptions", "channels": [{"name": "matches", "product_ids": products}]}).to_string()
    }

    #[test]
    fn an_answer_is_of_the_oldest_request_even_of_one_that_ends_something() {
        let mut session = CoinbaseSession::new(Coinbase::Exchange, vec!["matches".into()]);
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
