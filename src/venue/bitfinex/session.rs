//! The dialogue of one connection: a request for each channel of each instrument, and answers that repeat what was asked.

use super::channel::Channel;
use super::decode::{Event, Message, read};
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Heard, Session, wire};
use serde_json::json;
use std::collections::HashMap;

/// A time at the end of each list, and before it a number.
const TIME: u32 = 1 << 15;
const SEQUENCE: u32 = 1 << 16;
const CHECKSUMS: u32 = 1 << 17;

/// The request was one too many: it is in effect already.
const DUPLICATE: i64 = 10301;

/// Codes of errors that answer a request: unknown events and pairs, and all that begin with 103.
const REFUSALS: [std::ops::RangeInclusive<i64>; 2] = [10_000..=10_001, 10_300..=10_399];

/// What is asked for at once.
type Key = (Channel, Instrument);

#[derive(Debug)]
pub(super) struct BitfinexSession {
    channels: Vec<Channel>,
    flags: u32,
    is_configured: bool,
    /// Asked for and not answered, also late; whether it still is wanted.
    asked: HashMap<Key, bool>,
    /// In effect, by the number that unsubscribes.
    open: HashMap<Key, u64>,
    ledger: Ledger<Key>,
}

impl BitfinexSession {
    pub(super) fn new(channels: Vec<Channel>, checksums: bool) -> Self {
        Self {
            channels,
            flags: TIME | SEQUENCE | if checksums { CHECKSUMS } else { 0 },
            is_configured: false,
            asked: HashMap::new(),
            open: HashMap::new(),
            ledger: Ledger::default(),
        }
    }

    fn keys<'s>(&'s self, instruments: &'s [Instrument]) -> impl Iterator<Item = Key> + 's {
        let of_channel = |channel: &'s Channel| {
            let key = |instrument: &Instrument| (channel.clone(), instrument.clone());
            instruments.iter().map(key)
        };
        self.channels.iter().flat_map(of_channel)
    }

    /// What that answer is to.
    fn asked_by(&self, answer: &Event<'_>) -> Option<Key> {
        let is_meant = |(channel, instrument): &&Key| channel.is_meant_by(answer, instrument.as_str());
        self.asked.keys().find(is_meant).cloned()
    }

    fn hear_subscribed(&mut self, event: &Event<'_>) -> Option<Heard> {
        let (key, number) = (self.asked_by(event)?, event.number?);
        let is_wanted = self.asked.remove(&key)?;
        let answer = self.ledger.accept(&key);
        if is_wanted {
            self.open.insert(key, number);
            answer.map(Heard::Answer)
        } else {
            // Taken back before its number was known.
            Some(Heard::Reply(unsubscribe(number)))
        }
    }

    fn hear_error(&mut self, event: &Event<'_>) -> Option<Heard> {
        let code = event.code.unwrap_or_default();
        let key = self.asked_by(event);
        if let (Some(key), DUPLICATE) = (&key, code) {
            self.asked.remove(key);
            return self.ledger.accept(key).map(Heard::Answer);
        }
        let words = format!("{} (code {code})", event.words.as_deref().unwrap_or(wire::NO_WORDS));
        let answer = match key {
            Some(key) => {
                self.asked.remove(&key);
                self.ledger.refuse(&key, words)
            }
            // That there are too many subscriptions is said without a word of which.
            None if event.channel.is_none() && REFUSALS.iter().any(|codes| codes.contains(&code)) => {
                self.asked.values_mut().for_each(|is_wanted| *is_wanted = false);
                self.ledger.refuse_rest(words)
            }
            None => None,
        };
        answer.map(Heard::Answer)
    }
}

fn unsubscribe(number: u64) -> String {
    json!({"event": "unsubscribe", "chanId": number}).to_string()
}

impl Session for BitfinexSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        if !std::mem::replace(&mut self.is_configured, true) {
            texts.push(json!({"event": "conf", "flags": self.flags}).to_string());
        }
        let keys: Vec<_> = self.keys(instruments).collect();
        for key in keys {
            let (channel, instrument) = &key;
            // What is on its way already would only be refused as a duplicate.
            if !self.asked.contains_key(&key) {
                texts.push(channel.request(instrument.as_str()).to_string());
            }
            self.ledger.ask(key.clone(), [instrument.clone()]);
            self.asked.insert(key, true);
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let keys: Vec<_> = self.keys(instruments).collect();
        let mut texts = Vec::new();
        for key in keys {
            if let Some(number) = self.open.remove(&key) {
                texts.push(unsubscribe(number));
            }
            if let Some(is_wanted) = self.asked.get_mut(&key) {
                *is_wanted = false;
            }
        }
        texts
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers are events, and data are lists.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        if frame.starts_with('[') {
            return None;
        }
        let Ok(Message::Event(event)) = read(frame) else {
            return None;
        };
        match (event.name, event.code) {
            ("pong", _) => Some(Heard::Pong),
            ("subscribed", _) => self.hear_subscribed(&event),
            ("error", _) => self.hear_error(&event),
            ("info", Some(20_051)) => Some(Heard::Leaving("the server restarts (code 20051)".into())),
            // The venue advises to subscribe to all of it anew, which another connection does without a gap. What begins a
            // maintenance, 20060, asks for nothing.
            ("info", Some(20_061)) => Some(Heard::Leaving("a maintenance has ended (code 20061)".into())),
            _ => None,
        }
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
