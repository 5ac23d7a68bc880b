//! The dialogue of one connection: JSON-RPC requests, and answers with their ids.

use super::decode::Message;
use super::{TEST, split};
use crate::venue::Heard;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::wire;
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashSet;

/// So many channels in one request.
const CHANNELS_PER_REQUEST: usize = 100;

/// Seconds between the venue's heartbeats; less than 10 it does not take.
const HEARTBEAT: u64 = 15;

pub(super) struct DeribitDialogue;

/// Number 0 is that of all tests.
fn request(id: u64, method: &str, params: &serde_json::Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

impl Dialogue for DeribitDialogue {
    /// A channel, with its instrument in it: some of a request may be refused.
    type Key = String;

    fn batch(&self) -> Batch {
        Batch::Together(CHANNELS_PER_REQUEST)
    }

    fn hello(&self, id: u64) -> Option<String> {
        Some(request(id, "public/set_heartbeat", &json!({"interval": HEARTBEAT})))
    }

    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String {
        let channels: Vec<_> = pairs.iter().map(|pair| self.key(id, *pair)).collect();
        request(id, &format!("public/{}", verb.word()), &json!({"channels": channels}))
    }

    fn key(&self, _: u64, (channel, instrument): Pair<'_>) -> String {
        match split(channel) {
            (kind, "") => format!("{kind}.{instrument}"),
            (kind, pace) => format!("{kind}.{instrument}.{pace}"),
        }
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<String>) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame).ok()?;
        match (message.method, message.params) {
            (Some("heartbeat"), Some(params)) if params.name == Some("test_request") => {
                return Some(Heard::Reply(TEST.to_owned()));
            }
            (Some(_), _) => return None,
            (None, _) => {}
        }
        let answer = match (message.id, message.result, message.error) {
            (Some(id), _, Some(error)) => asked.refuse_request(id, wire::refusal(Some(error))),
            (None, _, Some(error)) => asked.refuse_rest(wire::refusal(Some(error))),
            (Some(0), Some(result), None) if result.get().starts_with('{') => return Some(Heard::Pong),
            // What is in the list is in effect, and the rest of the request was refused.
            (Some(id), Some(result), None) => {
                let in_effect: HashSet<Cow<'_, str>> = serde_json::from_str(result.get()).unwrap_or_default();
                asked.settle_request(id, |channel| in_effect.contains(channel.as_str()))
            }
            _ => None,
        };
        answer.map(Heard::Answer)
    }
}
