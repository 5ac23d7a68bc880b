//! The dialogue of one connection: requests with ids, and answers that repeat them.

use super::decode::Event;
use crate::venue::Heard;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::wire;
use serde_json::json;

/// So many streams in one request: a frame may be 4 KiB.
const STREAMS_PER_REQUEST: usize = 100;

pub(super) struct BinanceDialogue;

impl Dialogue for BinanceDialogue {
    /// The id of a request.
    type Key = u64;

    fn batch(&self) -> Batch {
        Batch::Together(STREAMS_PER_REQUEST)
    }

    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String {
        let stream = |(channel, symbol): &Pair<'_>| format!("{}@{channel}", symbol.as_str().to_lowercase());
        let streams: Vec<_> = pairs.iter().map(stream).collect();
        json!({"method": verb.word().to_uppercase(), "params": streams, "id": id}).to_string()
    }

    fn key(&self, id: u64, _: Pair<'_>) -> u64 {
        id
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<u64>) -> Option<Heard> {
        let event: Event<'_> = serde_json::from_str(frame).ok()?;
        if event.name == Some("serverShutdown") {
            return Some(Heard::Leaving("serverShutdown".into()));
        }
        let id = event.id.and_then(|id| id.get().parse().ok());
        let answer = match (event.error, id) {
            (None, id) => asked.accept(&id?),
            (Some(error), Some(id)) => asked.refuse(&id, wire::refusal(Some(error))),
            (Some(error), None) => asked.refuse_rest(wire::refusal(Some(error))),
        };
        answer.map(Heard::Answer)
    }
}
