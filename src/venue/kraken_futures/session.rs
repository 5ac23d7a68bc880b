//! The dialogue of one connection: a request for each pair of feed and product, and an answer that names both.

use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::VecDeque;

/// A feed, and a product of it.
type Pair = (String, Instrument);

#[derive(Debug)]
pub(super) struct FuturesSession {
    feeds: Vec<String>,
    ledger: Ledger<Pair>,
    /// Requests without an answer in the order in which they leave, and whether they subscribe.
    unanswered: VecDeque<(Pair, bool)>,
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

impl FuturesSession {
    pub(super) fn new(feeds: Vec<String>) -> Self {
        Self {
            feeds,
            ledger: Ledger::default(),
            unanswered: VecDeque::new(),
        }
    }

    fn request(&mut self, event: &str, pair: Pair, subscribes: bool) -> String {
        let text = json!({"event": event, "feed": pair.0, "product_ids": [pair.1.as_str()]}).to_string();
        self.unanswered.push_back((pair, subscribes));
        text
    }

    fn pairs(&self, instruments: &[Instrument]) -> Vec<Pair> {
        let of = |feed: &String| -> Vec<Pair> {
            instruments
                .iter()
                .map(|product| (feed.clone(), product.clone()))
                .collect()
        };
        self.feeds.iter().flat_map(of).collect()
    }

    fn on_named(&mut self, pair: &Pair, subscribes: bool, words: Option<&str>) -> Option<Answer> {
        let position = self
            .unanswered
            .iter()
            .position(|asked| *asked == (pair.clone(), subscribes))?;
        self.unanswered.remove(position);
        match words {
            _ if !subscribes => None,
            None => self.ledger.accept(pair),
            Some(words) => self.ledger.refuse(pair, words.to_owned()),
        }
    }
}

impl Session for FuturesSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        for pair in self.pairs(instruments) {
            self.ledger.ask(pair.clone(), [pair.1.clone()]);
            texts.push(self.request("subscribe", pair, true));
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let pairs = self.pairs(instruments);
        pairs
            .into_iter()
            .map(|pair| self.request("unsubscribe", pair, false))
            .collect()
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
        let words = reply.message.as_deref().unwrap_or("the venue refused the subscription");
        let (subscribes, words) = match &*reply.event {
            "subscribed" => (true, None),
            "subscribed_failed" => (true, Some(words)),
            "unsubscribed" | "unsubscribed_failed" => (false, None),
            "error" => {
                let (pair, subscribes) = self.unanswered.front().cloned()?;
                return self.on_named(&pair, subscribes, Some(words)).map(Heard::Answer);
            }
            _ => return None,
        };
        let product = Instrument::new(reply.product_ids.first()?);
        let pair = (reply.feed?.into_owned(), product);
        self.on_named(&pair, subscribes, words).map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
