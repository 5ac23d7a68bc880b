//! The dialogue of one connection: a request for each subscription, and an answer that repeats it, with more fields maybe.

use super::decode::Message;
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// A channel, its interval included, and a coin.
type Asked = (String, Instrument);

#[derive(Debug)]
pub(super) struct HyperliquidSession {
    channels: Vec<String>,
    ledger: Ledger<Asked>,
}

/// The name of a channel, and its interval, if it has one.
pub(super) fn parts(channel: &str) -> (&str, Option<&str>) {
    channel
        .split_once(':')
        .map_or((channel, None), |(name, interval)| (name, Some(interval)))
}

impl HyperliquidSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            ledger: Ledger::default(),
        }
    }

    fn asked(&self, instruments: &[Instrument]) -> Vec<Asked> {
        let each = |instrument: &Instrument| {
            let instrument = instrument.clone();
            self.channels
                .iter()
                .map(move |channel| (channel.clone(), instrument.clone()))
        };
        instruments.iter().flat_map(each).collect()
    }

    /// An error says what it is about in words such as `Invalid subscription {"type":"trades","coin":"NOPE"}`, if at all.
    fn failed(&mut self, words: Cow<'_, str>) -> Option<Answer> {
        let named = words.find('{').and_then(|at| {
            let mut json = serde_json::Deserializer::from_str(words.get(at..)?);
            Subscription::deserialize(&mut json).ok()?.asked()
        });
        match named {
            Some(asked) if words.starts_with("Already subscribed") => self.ledger.accept(&asked),
            _ if words.starts_with("Already unsubscribed") => None,
            Some(asked) => self.ledger.refuse(&asked, words.into_owned()),
            None => self.ledger.refuse_rest(words.into_owned()),
        }
    }
}

fn request(method: &str, (channel, instrument): &Asked) -> String {
    let (name, interval) = parts(channel);
    let mut subscription = json!({"type": name, "coin": instrument.as_str()});
    if let (Some(interval), Some(fields)) = (interval, subscription.as_object_mut()) {
        fields.insert("interval".to_owned(), Value::from(interval));
    }
    json!({"method": method, "subscription": subscription}).to_string()
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

impl Session for HyperliquidSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let asked = self.asked(instruments);
        let texts = asked.iter().map(|asked| request("subscribe", asked)).collect();
        for asked in asked {
            let instrument = asked.1.clone();
            self.ledger.ask(asked, [instrument]);
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let asked = self.asked(instruments);
        asked.iter().map(|asked| request("unsubscribe", asked)).collect()
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers have a channel of their own.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame.trim()).ok()?;
        let answer = match (message.channel, message.data) {
            ("pong", _) => return Some(Heard::Pong),
            ("subscriptionResponse", Some(data)) => {
                let response: Response<'_> = serde_json::from_str(data.get()).ok()?;
                let asked = response.subscription.asked()?;
                (response.method == "subscribe").then(|| self.ledger.accept(&asked))?
            }
            ("error", Some(data)) => self.failed(serde_json::from_str(data.get()).ok()?),
            _ => None,
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
