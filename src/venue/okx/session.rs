//! The dialogue of one connection: requests for many pairs of channel and instrument, and an answer for each pair.
//!
//! A pair that is refused is named in the words of the error, if at all; where it is not, the error repeats the id of the
//! request.

use super::decode::{Arg, PONG};
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// So many pairs in one request: it may be 64 KiB long, and a pair with the longest names makes 123 bytes.
const PAIRS_PER_REQUEST: usize = 400;

/// The venue will end the connection for an upgrade.
const UPGRADE: &str = "64008";

/// A channel, and an instrument.
type Pair = (String, Instrument);

#[derive(Debug)]
pub(super) struct OkxSession {
    channels: Vec<String>,
    last_id: u64,
    ledger: Ledger<Pair>,
    /// What was asked for in requests that are not all answered, by their id.
    requests: HashMap<u64, Vec<Pair>>,
}

impl OkxSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            last_id: 0,
            ledger: Ledger::default(),
            requests: HashMap::new(),
        }
    }

    fn requests(&mut self, op: &str, instruments: &[Instrument]) -> Vec<(u64, Vec<Pair>, String)> {
        let mut requests = Vec::new();
        let pairs: Vec<Pair> = instruments
            .iter()
            .flat_map(|instrument| {
                self.channels
                    .iter()
                    .map(|channel| (channel.clone(), instrument.clone()))
            })
            .collect();
        for batch in pairs.chunks(PAIRS_PER_REQUEST) {
            self.last_id += 1;
            let args: Vec<_> = batch
                .iter()
                .map(|(channel, instrument)| json!({"channel": channel, "instId": instrument.as_str()}))
                .collect();
            let request = json!({"id": self.last_id.to_string(), "op": op, "args": args});
            requests.push((self.last_id, batch.to_vec(), request.to_string()));
        }
        requests
    }

    fn refuse(&mut self, control: &Control<'_>) -> Option<Answer> {
        let code = control.code.map_or("unknown", |code| code.get().trim_matches('"'));
        let words = format!(
            "{} (code {code})",
            control.msg.as_deref().unwrap_or("the venue does not say why")
        );
        let named = control
            .arg
            .as_ref()
            .and_then(pair)
            .or_else(|| named(control.msg.as_deref()?));
        if let Some(pair) = named {
            return self.ledger.refuse(&pair, words);
        }
        match control.id.and_then(|id| id.get().trim_matches('"').parse::<u64>().ok()) {
            // One that is not known ends subscriptions.
            Some(id) => self
                .requests
                .remove(&id)
                .and_then(|pairs| self.ledger.refuse_each(&pairs, words)),
            None => self.ledger.refuse_rest(words),
        }
    }
}

#[derive(Deserialize)]
struct Control<'f> {
    #[serde(borrow)]
    event: &'f str,
    #[serde(default, borrow)]
    id: Option<&'f RawValue>,
    #[serde(default, borrow)]
    arg: Option<Arg<'f>>,
    /// In quotes, mostly.
    #[serde(default, borrow)]
    code: Option<&'f RawValue>,
    #[serde(default, borrow)]
    msg: Option<Cow<'f, str>>,
}

fn pair(arg: &Arg<'_>) -> Option<Pair> {
    Some((arg.channel?.to_owned(), Instrument::new(arg.instrument?)))
}

/// The pair in words such as `Wrong URL or channel:books,instId:BTC-USDX doesn't exist.`
fn named(words: &str) -> Option<Pair> {
    let after = |name: &str| {
        let (_, rest) = words.split_once(name)?;
        rest.split([',', ' ']).next().filter(|word| !word.is_empty())
    };
    Some((after("channel:")?.to_owned(), Instrument::new(after("instId:")?)))
}

impl Session for OkxSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        if !self.ledger.is_awaiting() {
            self.requests.clear();
        }
        let mut texts = Vec::new();
        for (id, pairs, text) in self.requests("subscribe", instruments) {
            for (channel, instrument) in &pairs {
                self.ledger
                    .ask((channel.clone(), instrument.clone()), [instrument.clone()]);
            }
            self.requests.insert(id, pairs);
            texts.push(text);
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let requests = self.requests("unsubscribe", instruments);
        requests.into_iter().map(|(_, _, text)| text).collect()
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers say what they are.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let text = frame.trim();
        if text == PONG {
            return Some(Heard::Pong);
        }
        let control: Control<'_> = serde_json::from_str(text).ok()?;
        let answer = match control.event {
            "subscribe" => self.ledger.accept(&pair(control.arg.as_ref()?)?),
            "error" => self.refuse(&control),
            "notice" => {
                let code = control.code?.get().trim_matches('"');
                let words = control.msg.unwrap_or_default();
                return (code == UPGRADE).then(|| Heard::Leaving(format!("{words} (code {code})").into()));
            }
            _ => None,
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
