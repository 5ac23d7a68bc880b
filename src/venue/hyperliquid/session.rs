//! The dialogue of one connection: a request for each subscription, and an answer that repeats it, with more fields maybe.

use super::decode::Message;
use crate::market::Instrument;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// A channel, its interval included, and a coin.
type Asked = (String, Instrument);

pub(super) struct HyperliquidDialogue;

/// The name of a channel, and its interval, if it has one.
pub(super) fn parts(channel: &str) -> (&str, Option<&str>) {
    channel
        .split_once(':')
        .map_or((channel, None), |(name, interval)| (name, Some(interval)))
}

/// An error says what it is about in words such as `Invalid subscription {"type":"trades","coin":"NOPE"}`, if at all.
fn failed(words: Cow<'_, str>, asked: &mut Ledger<Asked>) -> Option<Answer> {
    let named = words.find('{').and_then(|at| {
        let mut json = serde_json::Deserializer::from_str(words.get(at..)?);
        Subscription::deserialize(&mut json).ok()?.asked()
    });
    match named {
        Some(named) if words.starts_with("Already subscribed") => asked.accept(&named),
        _ if words.starts_with("Already unsubscribed") => None,
        Some(named) => asked.refuse(&named, words.into_owned()),
        None => asked.refuse_rest(words.into_owned()),
    }
}

fn subscription((channel, instrument): &Pair<'_>) -> Value {
    let (name, interval) = parts(channel);
    let mut subscription = json!({"type": name, "coin": instrument.as_str()});
    if let (Some(interval), Some(fields)) = (interval, subscription.as_object_mut()) {
        fields.insert("interval".to_owned(), Value::from(interval));
    }
    subscription
}

#[derive(Deserialize)]
struct Response<'f> {
    #[serde(borrow)]
    method: Cow<'f, str>,
    #[serde(borrow)]
    subscription: Subscription<'f>,
}

#[derive(Deserialize)]
struct Subscription<'f> {
    #[serde(rename = "type", borrow)]
    name: Cow<'f, str>,
    #[serde(default, borrow)]
    coin: Option<Cow<'f, str>>,
    #[serde(default, borrow)]
    interval: Option<Cow<'f, str>>,
}

impl Subscription<'_> {
    fn asked(&self) -> Option<Asked> {
        let channel = match &self.interval {
            Some(interval) => format!("{}:{interval}", self.name),
            None => self.name.clone().into_owned(),
        };
        Some((channel, Instrument::new(self.coin.as_deref()?)))
    }
}

impl Dialogue for HyperliquidDialogue {
    type Key = Asked;

    fn batch(&self) -> Batch {
        Batch::Pairs(1)
    }

    fn request(&mut self, verb: Verb, _: u64, pairs: &[Pair<'_>]) -> String {
        json!({"method": verb.word(), "subscription": pairs.first().map(subscription)}).to_string()
    }

    fn key(&self, _: u64, (channel, instrument): Pair<'_>) -> Asked {
        (channel.to_owned(), instrument.clone())
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<Asked>) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame).ok()?;
        let answer = match (message.channel, message.data) {
            ("pong", _) => return Some(Heard::Pong),
            ("subscriptionResponse", Some(data)) => {
                let response: Response<'_> = serde_json::from_str(data.get()).ok()?;
                let named = response.subscription.asked()?;
                (response.method == "subscribe").then(|| asked.accept(&named))?
            }
            ("error", Some(data)) => failed(serde_json::from_str(data.get()).ok()?, asked),
            _ => None,
        };
        answer.map(Heard::Answer)
    }
}
