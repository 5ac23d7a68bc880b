//! The dialogue of one connection: JSON-RPC requests, and answers with their ids.

use super::decode::Message;
use super::{TEST, split};
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// So many channels in one request.
const CHANNELS_PER_REQUEST: usize = 100;

/// Seconds between the venue's heartbeats; less than 10 it does not take.
const HEARTBEAT: u64 = 15;

#[derive(Debug)]
pub(super) struct DeribitSession {
    channels: Vec<String>,
    /// 0 is the id of all tests.
    last_id: u64,
    /// The channels of each request that is not answered.
    requests: HashMap<u64, Vec<String>>,
    /// By channel, with its instrument in it: some of a request may be refused.
    ledger: Ledger<String>,
}

/// Why a request was refused.
#[derive(Deserialize)]
struct Refusal<'f> {
    code: i64,
    #[serde(borrow)]
    message: Cow<'f, str>,
}

impl DeribitSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            last_id: 0,
            requests: HashMap::new(),
            ledger: Ledger::default(),
        }
    }

    fn request(&mut self, method: &str, params: &serde_json::Value) -> String {
        self.last_id += 1;
        json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}).to_string()
    }

    /// The channels of these in batches: an instrument stands in one with all of them.
    fn batches(&self, instruments: &[Instrument]) -> Vec<Vec<(String, Instrument)>> {
        let most = (CHANNELS_PER_REQUEST / self.channels.len().max(1)).max(1);
        let of_instrument = |instrument: &Instrument| {
            let named = |channel: &String| (named(channel, instrument), instrument.clone());
            self.channels.iter().map(named).collect::<Vec<_>>()
        };
        let batches = instruments.chunks(most);
        batches
            .map(|batch| batch.iter().flat_map(of_instrument).collect())
            .collect()
    }

    /// What is in the list is in effect, and the rest of the request was refused.
    fn settle(&mut self, id: u64, result: &str) -> Option<Answer> {
        let channels = self.requests.remove(&id)?;
        let in_effect: HashSet<Cow<'_, str>> = serde_json::from_str(result).unwrap_or_default();
        let verdict = |channel: String| {
            let is_granted = in_effect.contains(channel.as_str());
            (channel, is_granted)
        };
        self.ledger.settle(channels.into_iter().map(verdict))
    }

    fn refuse(&mut self, id: Option<u64>, error: &str) -> Option<Answer> {
        let words = serde_json::from_str::<Refusal<'_>>(error).map_or_else(
            |_| "the venue refused the subscription".to_owned(),
            |refusal| format!("{} (code {})", refusal.message, refusal.code),
        );
        let Some(id) = id else {
            self.requests.clear();
            return self.ledger.refuse_rest(words);
        };
        let channels = self.requests.remove(&id)?;
        self.ledger.refuse_each(&channels, words)
    }
}

fn named(channel: &str, instrument: &Instrument) -> String {
    match split(channel) {
        (kind, "") => format!("{kind}.{instrument}"),
        (kind, pace) => format!("{kind}.{instrument}.{pace}"),
    }
}

impl Session for DeribitSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        if self.last_id == 0 {
            texts.push(self.request("public/set_heartbeat", &json!({"interval": HEARTBEAT})));
        }
        for batch in self.batches(instruments) {
            let channels: Vec<_> = batch.iter().map(|(channel, _)| channel.clone()).collect();
            texts.push(self.request("public/subscribe", &json!({"channels": channels})));
            self.requests.insert(self.last_id, channels);
            for (channel, instrument) in batch {
                self.ledger.ask(channel, [instrument]);
            }
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let mut texts = Vec::new();
        for batch in self.batches(instruments) {
            let channels: Vec<_> = batch.into_iter().map(|(channel, _)| channel).collect();
            texts.push(self.request("public/unsubscribe", &json!({"channels": channels})));
        }
        texts
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers have an id, which makes them no data.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame).ok()?;
        match (message.method, message.params) {
            (Some("heartbeat"), Some(params)) if params.name == Some("test_request") => {
                return Some(Heard::Reply(TEST.to_owned()));
            }
            (Some(_), _) => return None,
            (None, _) => {}
        }
        let answer = match (message.id, message.result, message.error) {
            (id, _, Some(error)) => self.refuse(id, error.get()),
            (Some(0), Some(result), None) if result.get().starts_with('{') => return Some(Heard::Pong),
            (Some(id), Some(result), None) => self.settle(id, result.get()),
            _ => None,
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
