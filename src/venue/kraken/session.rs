//! The dialogue of one connection: requests with numbers, and an answer for each symbol.

use super::Channel;
use super::decode::Frame;
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// So many symbols in one request.
const SYMBOLS_PER_REQUEST: usize = 100;

/// The trading engine stops, and connections with it.
const MAINTENANCE: &str = "maintenance";

#[derive(Debug)]
pub(super) struct KrakenSession {
    channels: Vec<String>,
    last_id: u64,
    ledger: Ledger<(u64, Instrument)>,
    /// Of each request, the symbols without an answer: one that says only that the request is wrong is about all of them.
    unanswered: HashMap<u64, Vec<Instrument>>,
    /// Whether the venue said of itself last that it is under maintenance; a connection is told at its start.
    in_maintenance: Option<bool>,
}

/// What the venue says of itself, at the start of a connection and whenever it changes.
#[derive(Deserialize)]
struct Status<'f> {
    #[serde(borrow)]
    system: Cow<'f, str>,
}

/// An answer: it repeats the number of the request, and names the symbol.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply<'f> {
    req_id: Option<u64>,
    #[serde(borrow)]
    symbol: Option<Cow<'f, str>>,
    #[serde(borrow)]
    result: Option<Subscription<'f>>,
    #[serde(alias = "Error", borrow)]
    error: Option<Cow<'f, str>>,
}

#[derive(Deserialize)]
struct Subscription<'f> {
    #[serde(borrow)]
    symbol: Option<Cow<'f, str>>,
}

impl KrakenSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            last_id: 0,
            ledger: Ledger::default(),
            unanswered: HashMap::new(),
            in_maintenance: None,
        }
    }

    fn requests(&mut self, method: &str, instruments: &[Instrument]) -> Vec<(u64, Vec<Instrument>, String)> {
        let mut requests = Vec::new();
        for channel in self.channels.iter().filter_map(|channel| Channel::read(channel)) {
            for batch in instruments.chunks(SYMBOLS_PER_REQUEST) {
                self.last_id += 1;
                let symbols: Vec<_> = batch.iter().map(Instrument::as_str).collect();
                let mut params = json!({"channel": channel.name, "symbol": symbols});
                if let (Some((name, value)), Some(params)) = (channel.parameter, params.as_object_mut()) {
                    params.insert(name.to_owned(), value.into());
                }
                let request = json!({"method": method, "params": params, "req_id": self.last_id});
                requests.push((self.last_id, batch.to_vec(), request.to_string()));
            }
        }
        requests
    }

    fn on_accepted(&mut self, id: u64, symbol: &str) -> Option<Answer> {
        let instrument = Instrument::new(symbol);
        self.answered(id, &instrument);
        self.ledger.accept(&(id, instrument))
    }

    fn on_refused(&mut self, id: Option<u64>, symbol: Option<&str>, words: String) -> Option<Answer> {
        match (id, symbol.map(Instrument::new)) {
            (Some(id), Some(instrument)) => {
                self.answered(id, &instrument);
                self.ledger.refuse(&(id, instrument), words)
            }
            (Some(id), None) => {
                let keys: Vec<_> = self
                    .unanswered
                    .remove(&id)?
                    .into_iter()
                    .map(|asked| (id, asked))
                    .collect();
                self.ledger.refuse_each(&keys, words)
            }
            (None, _) => {
                self.unanswered.clear();
                self.ledger.refuse_rest(words)
            }
        }
    }

    /// A connection that is told of maintenance while it lasts is about to end. One that is told so at its start is not: it
    /// was made since, and another would be told the same.
    fn on_status(&mut self, data: &RawValue) -> Option<Heard> {
        let [status]: [Status<'_>; 1] = serde_json::from_str(data.get()).ok()?;
        let is_in = status.system == MAINTENANCE;
        let was_in = self.in_maintenance.replace(is_in)?;
        (is_in && !was_in).then(|| Heard::Leaving("the venue's status is maintenance".into()))
    }

    fn answered(&mut self, id: u64, instrument: &Instrument) {
        if let Some(left) = self.unanswered.get_mut(&id) {
            left.retain(|asked| asked != instrument);
            if left.is_empty() {
                self.unanswered.remove(&id);
            }
        }
    }
}

impl Session for KrakenSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let requests = self.requests("subscribe", instruments);
        let mut texts = Vec::new();
        for (id, batch, text) in requests {
            for instrument in &batch {
                self.ledger.ask((id, instrument.clone()), [instrument.clone()]);
            }
            self.unanswered.insert(id, batch);
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

    /// Answers have a method, which makes them no data.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let frame = frame.trim();
        let known: Frame<'_> = serde_json::from_str(frame).ok()?;
        match (known.channel, known.method) {
            (Some("status"), _) => return self.on_status(known.data?),
            (None, Some("pong")) => return Some(Heard::Pong),
            (None, Some("subscribe")) => {}
            // An error that names no method may be of anything.
            (None, None) if known.error.is_some() => {}
            _ => return None,
        }
        let reply: Reply<'_> = serde_json::from_str(frame).ok()?;
        let symbol = reply.symbol.or(reply.result.and_then(|result| result.symbol));
        let answer = match reply.error {
            Some(words) => self.on_refused(reply.req_id, symbol.as_deref(), words.into_owned()),
            None => self.on_accepted(reply.req_id?, symbol.as_deref()?),
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(system: &str) -> String {
        json!({"channel": "status", "type": "update", "data": [{"system": system, "api_version": "v2"}]}).to_string()
    }

    #[test]
    fn only_maintenance_that_begins_while_connected_is_reason_to_leave() {
        let mut session = KrakenSession::new(vec!["trade".into()]);
        assert_eq!(
            session.hear(&status("maintenance")),
            None,
            "a new connection is told the same"
        );
        assert_eq!(session.hear(&status("online")), None);
        assert_eq!(session.hear(&status("cancel_only")), None, "data goes on");
        assert!(matches!(session.hear(&status("maintenance")), Some(Heard::Leaving(_))));
        assert_eq!(session.hear(&status("maintenance")), None, "told once");
    }
}
