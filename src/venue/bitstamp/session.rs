//! The dialogue of one connection: a request for each channel of each instrument, and an answer to each.

use super::decode::Frame;
use crate::venue::Heard;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::wire;
use serde_json::json;

pub(super) struct BitstampDialogue;

fn name((channel, instrument): Pair<'_>) -> String {
    format!("{channel}_{instrument}")
}

impl Dialogue for BitstampDialogue {
    /// What a request does, and the name in its answer.
    type Key = (Verb, String);

    fn batch(&self) -> Batch {
        Batch::Pairs(1)
    }

    fn request(&mut self, verb: Verb, _: u64, pairs: &[Pair<'_>]) -> String {
        let name: String = pairs.iter().copied().map(name).collect();
        json!({"event": format!("bts:{}", verb.word()), "data": {"channel": name}}).to_string()
    }

    fn key(&self, _: u64, pair: Pair<'_>) -> (Verb, String) {
        (Verb::Subscribe, name(pair))
    }

    fn key_of_end(&self, pair: Pair<'_>) -> Option<(Verb, String)> {
        Some((Verb::Unsubscribe, name(pair)))
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<(Verb, String)>) -> Option<Heard> {
        let frame: Frame<'_> = serde_json::from_str(frame).ok()?;
        let name = frame.channel.unwrap_or_default().to_owned();
        let answer = match frame.event? {
            "bts:heartbeat" => return Some(Heard::Pong),
            "bts:request_reconnect" => return Some(Heard::Leaving("bts:request_reconnect".into())),
            "bts:subscription_succeeded" => asked.accept(&(Verb::Subscribe, name)),
            "bts:unsubscription_succeeded" => asked.accept(&(Verb::Unsubscribe, name)),
            "bts:error" if name.is_empty() => asked.refuse_unnamed(wire::refusal(frame.data)),
            "bts:error" => asked.refuse(&(Verb::Subscribe, name), wire::refusal(frame.data)),
            _ => None,
        };
        answer.map(Heard::Answer)
    }
}
