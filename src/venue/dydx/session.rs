//! The dialogue of one connection: a request for each subscription, and an answer that holds the first data.
//!
//! An error names what it is about in its words only, if at all.

use super::decode::Message;
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde_json::json;

/// A channel, and an id within it.
type Asked = (String, String);

#[derive(Debug)]
pub(super) struct DydxSession {
    channels: Vec<String>,
    ledger: Ledger<Asked>,
}

/// The name of a channel, and the resolution of candles, if it has one.
pub(super) fn parts(channel: &str) -> (&str, Option<&str>) {
    channel
        .split_once('/')
        .map_or((channel, None), |(name, resolution)| (name, Some(resolution)))
}

impl DydxSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            ledger: Ledger::default(),
        }
    }

    fn asked(&self, instruments: &[Instrument]) -> Vec<(Asked, Instrument)> {
        let each = |instrument: &Instrument| {
            let instrument = instrument.clone();
            self.channels.iter().map(move |channel| {
                let (name, resolution) = parts(channel);
                let id = match resolution {
                    Some(resolution) => format!("{}/{resolution}", instrument.as_str()),
                    None => instrument.as_str().to_owned(),
                };
                ((name.to_owned(), id), instrument.clone())
            })
        };
        instruments.iter().flat_map(each).collect()
    }

    fn failed(&mut self, message: &Message<'_>) -> Option<Answer> {
        let words = message.words.as_deref().unwrap_or("the venue does not say why");
        match named(words) {
            // It has been asked for before its answer came.
            Some(asked) if words.contains("already subscribed") => self.ledger.accept(&asked),
            Some(asked) => self.ledger.refuse(&asked, words.to_owned()),
            None => self.ledger.refuse_rest(words.to_owned()),
        }
    }
}

/// What words such as `Invalid subscription id for channel: (v4_trades-NOPE-USD)` name.
fn named(words: &str) -> Option<Asked> {
    let (_, rest) = words.split_once("v4_")?;
    let word = rest.split([')', ' ']).next()?.trim_end_matches('.');
    let (channel, id) = word.split_once('-')?;
    Some((format!("v4_{channel}"), id.to_owned()))
}

fn request(kind: &str, (channel, id): &Asked) -> String {
    json!({"type": kind, "channel": channel, "id": id}).to_string()
}

impl Session for DydxSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        for (asked, instrument) in self.asked(instruments) {
            texts.push(request("subscribe", &asked));
            self.ledger.ask(asked, [instrument]);
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let asked = self.asked(instruments);
        asked.iter().map(|(asked, _)| request("unsubscribe", asked)).collect()
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers say what they are, beside the data that they hold.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame.trim()).ok()?;
        let answer = match message.form {
            "subscribed" => self
                .ledger
                .accept(&(message.channel?.to_owned(), message.id?.to_owned())),
            "error" => self.failed(&message),
            _ => None,
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
