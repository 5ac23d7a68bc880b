//! The dialogue of one connection: requests with ids, and answers that repeat them.

use super::decode::Event;
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Heard, Session};
use serde::Deserialize;
use serde_json::json;

/// So many streams in one request: a frame may be 4 KiB.
const STREAMS_PER_REQUEST: usize = 100;

#[derive(Debug)]
pub(super) struct BinanceSession {
    channels: Vec<String>,
    last_id: u64,
    ledger: Ledger<u64>,
}

impl BinanceSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            last_id: 0,
            ledger: Ledger::default(),
        }
    }

    /// Instruments stand in one request with all their channels, so that what is refused is known as well as can be.
    fn requests(&mut self, method: &str, instruments: &[Instrument]) -> Vec<(u64, Vec<Instrument>, String)> {
        let most = (STREAMS_PER_REQUEST / self.channels.len().max(1)).max(1);
        let mut requests = Vec::new();
        for batch in instruments.chunks(most) {
            self.last_id += 1;
            let streams: Vec<_> = batch.iter().flat_map(|instrument| self.streams(instrument)).collect();
            let request = json!({"method": method, "params": streams, "id": self.last_id});
            requests.push((self.last_id, batch.to_vec(), request.to_string()));
        }
        requests
    }

    fn streams(&self, instrument: &Instrument) -> impl Iterator<Item = String> + use<'_> {
        let symbol = instrument.as_str().to_lowercase();
        self.channels.iter().map(move |channel| format!("{symbol}@{channel}"))
    }
}

/// Why a request was refused.
#[derive(Deserialize)]
struct Refusal<'f> {
    code: i64,
    #[serde(borrow)]
    msg: std::borrow::Cow<'f, str>,
}

impl Session for BinanceSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let requests = self.requests("SUBSCRIBE", instruments);
        let mut texts = Vec::new();
        for (id, batch, text) in requests {
            self.ledger.ask(id, batch);
            texts.push(text);
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let requests = self.requests("UNSUBSCRIBE", instruments);
        requests.into_iter().map(|(_, _, text)| text).collect()
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers carry the id of their request, which makes them no data.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let event: Event<'_> = serde_json::from_str(frame.trim()).ok()?;
        if event.name == Some("serverShutdown") {
            return Some(Heard::Leaving("serverShutdown".into()));
        }
        let id = event.id.and_then(|id| id.get().parse().ok());
        let answer = match event.error {
            None => self.ledger.accept(&id?),
            Some(error) => {
                let words = serde_json::from_str::<Refusal<'_>>(error.get()).map_or_else(
                    |_| "the venue refused the subscription".to_owned(),
                    |refusal| format!("{} (code {})", refusal.msg, refusal.code),
                );
                match id {
                    Some(id) => self.ledger.refuse(&id, words),
                    None => self.ledger.refuse_rest(words),
                }
            }
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
