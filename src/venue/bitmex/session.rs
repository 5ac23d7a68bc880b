//! The dialogue of one connection: requests for several topics, and an answer to each topic.

use super::decode::{Frame, PONG, Request};
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard};
use serde_json::json;

/// So many topics in one request: more than twenty are refused, and of candles more than eighteen.
const TOPICS_PER_REQUEST: usize = 18;

/// An error that is none: the topic is behind it.
const IN_EFFECT: &str = "You are already subscribed to this topic: ";

/// How errors begin that are about one topic, whichever; the others are about the request.
const UNKNOWN: &str = "Unknown";

pub(super) struct BitmexDialogue;

fn refused(
    asked: &mut Ledger<String>,
    error: &str,
    status: Option<i64>,
    request: Option<&Request<'_>>,
) -> Option<Answer> {
    if let Some(topic) = error.strip_prefix(IN_EFFECT) {
        return asked.accept(&topic.to_owned());
    }
    let words = status.map_or_else(|| error.to_owned(), |status| format!("{error} (status {status})"));
    let Some(request) = request else {
        return asked.refuse_rest(words);
    };
    // No answer to an unsubscription is awaited.
    if request.op != Some("subscribe") {
        return None;
    }
    let topics = request.topics();
    if error.starts_with(UNKNOWN) && topics.len() > 1 {
        return asked.refuse_unnamed(words);
    }
    asked.refuse_each(&topics, words)
}

impl Request<'_> {
    fn topics(&self) -> Vec<String> {
        let Some(args) = self.args else { return Vec::new() };
        let one = |_| serde_json::from_str(args.get()).map(|topic| vec![topic]);
        serde_json::from_str(args.get()).or_else(one).unwrap_or_default()
    }
}

impl Dialogue for BitmexDialogue {
    /// A topic.
    type Key = String;

    fn batch(&self) -> Batch {
        Batch::Pairs(TOPICS_PER_REQUEST)
    }

    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String {
        let topics: Vec<_> = pairs.iter().map(|pair| self.key(id, *pair)).collect();
        json!({"op": verb.word(), "args": topics}).to_string()
    }

    fn key(&self, _: u64, (channel, instrument): Pair<'_>) -> String {
        format!("{channel}:{instrument}")
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<String>) -> Option<Heard> {
        if frame == PONG {
            return Some(Heard::Pong);
        }
        let frame: Frame<'_> = serde_json::from_str(frame).ok()?;
        let answer = match (frame.error, frame.subscribe) {
            (Some(error), _) => refused(asked, &error, frame.status, frame.request.as_ref()),
            (None, Some(topic)) => asked.accept(&topic.to_owned()),
            (None, None) => None,
        };
        answer.map(Heard::Answer)
    }
}
