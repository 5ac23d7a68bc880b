//! The dialogue of one connection: requests with numbers, and an answer for each symbol.

use super::Channel;
use super::decode::Frame;
use crate::market::Instrument;
use crate::venue::Heard;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// So many symbols in one request.
const SYMBOLS_PER_REQUEST: usize = 100;

/// The trading engine stops, and connections with it.
const MAINTENANCE: &str = "maintenance";

#[derive(Debug, Default)]
pub(super) struct KrakenDialogue {
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

impl KrakenDialogue {
    /// A connection that is told of maintenance while it lasts is about to end. One that is told so at its start is not: it
    /// was made since, and another would be told the same.
    fn on_status(&mut self, data: &RawValue) -> Option<Heard> {
        let [status]: [Status<'_>; 1] = serde_json::from_str(data.get()).ok()?;
        let is_in = status.system == MAINTENANCE;
        let was_in = self.in_maintenance.replace(is_in)?;
        (is_in && !was_in).then(|| Heard::Leaving("the venue's status is maintenance".into()))
    }
}

impl Dialogue for KrakenDialogue {
    /// The number of the request, and the symbol.
    type Key = (u64, Instrument);

    fn batch(&self) -> Batch {
        Batch::OfChannel(SYMBOLS_PER_REQUEST)
    }

    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String {
        let symbols: Vec<_> = pairs.iter().map(|(_, symbol)| symbol.as_str()).collect();
        let channel = pairs.first().map_or("", |(channel, _)| channel);
        let (name, parameter) = Channel::read(channel).map_or((channel, None), |read| (read.name, read.parameter));
        let mut params = json!({"channel": name, "symbol": symbols});
        if let (Some((name, value)), Some(params)) = (parameter, params.as_object_mut()) {
            params.insert(name.to_owned(), value.into());
        }
        json!({"method": verb.word(), "params": params, "req_id": id}).to_string()
    }

    fn key(&self, id: u64, (_, symbol): Pair<'_>) -> (u64, Instrument) {
        (id, symbol.clone())
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<(u64, Instrument)>) -> Option<Heard> {
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
        let answer = match (reply.error, reply.req_id, symbol.as_deref().map(Instrument::new)) {
            (None, id, symbol) => asked.accept(&(id?, symbol?)),
            (Some(words), Some(id), Some(symbol)) => asked.refuse(&(id, symbol), words.into_owned()),
            // One that says only that the request is wrong is about all of it.
            (Some(words), Some(id), None) => asked.refuse_request(id, words.into_owned()),
            (Some(words), None, _) => asked.refuse_rest(words.into_owned()),
        };
        answer.map(Heard::Answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_maintenance_that_begins_while_connected_is_reason_to_leave() {
        let (mut dialogue, mut ledger) = (KrakenDialogue::default(), Ledger::default());
        let mut hear = |system: &str| {
            let status =
                json!({"channel": "status", "type": "update", "data": [{"system": system, "api_version": "v2"}]});
            dialogue.hear(&status.to_string(), &mut ledger)
        };
        assert_eq!(hear("maintenance"), None, "a new connection is told the same");
        assert_eq!(hear("online"), None);
        assert_eq!(hear("cancel_only"), None, "data goes on");
        assert!(matches!(hear("maintenance"), Some(Heard::Leaving(_))));
        assert_eq!(hear("maintenance"), None, "told once");
    }
}
