//! The dialogue of one connection: requests for a few topics, which are answered as one, or, of options, topic by topic.

use super::decode::Message;
use crate::market::Subscribed;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::wire;
use crate::venue::{Answer, Heard};
use serde::Deserialize;
use serde_json::json;

/// So many topics in one request; spot takes no more.
const TOPICS_PER_REQUEST: usize = 10;

pub(super) struct BybitDialogue {
    pub(super) is_answered_by_topic: bool,
}

fn topic((channel, instrument): Pair<'_>) -> String {
    format!("{channel}.{instrument}")
}

impl BybitDialogue {
    /// Each topic stands in one of two lists.
    fn answered_by_topic(topics: &Topics<'_>, asked: &mut Ledger<String>) -> Option<Answer> {
        let mut settled = Subscribed::default();
        let mut refusal = None;
        for topic in &topics.accepted {
            if let Some(Answer::Settled(answer)) = asked.accept(&(*topic).to_owned()) {
                settled.accepted.extend(answer.accepted);
                settled.refused.extend(answer.refused);
            }
        }
        for topic in &topics.refused {
            let words = format!("the venue does not have {topic}");
            if let Some(Answer::Rejected(refused, failure)) = asked.refuse(&(*topic).to_owned(), words) {
                settled.refused.extend(refused);
                refusal.get_or_insert(failure);
            }
        }
        match refusal {
            Some(failure) if settled.accepted.is_empty() => Some(Answer::Rejected(settled.refused, failure)),
            _ if settled == Subscribed::default() => None,
            failure => {
                settled.words = failure.map(|failure| failure.detail).unwrap_or_default();
                Some(Answer::Settled(settled))
            }
        }
    }

    fn answered(&self, message: Message<'_>, asked: &mut Ledger<String>) -> Option<Answer> {
        let id = message.req_id.filter(|id| !id.is_empty()).map(str::to_owned);
        match (message.success?, message.op) {
            // Answers of version 4 name no request, and none of that time is open.
            (true, _) => asked.accept(&id?),
            (false, Some("unsubscribe")) => None,
            (false, _) => {
                let words = message
                    .words
                    .map_or_else(|| wire::NO_WORDS.to_owned(), std::borrow::Cow::into_owned);
                match id.filter(|_| !self.is_answered_by_topic) {
                    Some(id) => asked.refuse(&id, words),
                    None => asked.refuse_rest(words),
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Topics<'f> {
    #[serde(rename = "successTopics", default, borrow)]
    accepted: Vec<&'f str>,
    #[serde(rename = "failTopics", default, borrow)]
    refused: Vec<&'f str>,
}

impl Dialogue for BybitDialogue {
    /// A topic, or the id of a request.
    type Key = String;

    fn batch(&self) -> Batch {
        Batch::Together(TOPICS_PER_REQUEST)
    }

    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String {
        let topics: Vec<_> = pairs.iter().copied().map(topic).collect();
        json!({"req_id": id.to_string(), "op": verb.word(), "args": topics}).to_string()
    }

    fn key(&self, id: u64, pair: Pair<'_>) -> String {
        if self.is_answered_by_topic {
            topic(pair)
        } else {
            id.to_string()
        }
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<String>) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame).ok()?;
        if message.is_pong() {
            return Some(Heard::Pong);
        }
        let answer = match (message.form, message.data) {
            (Some("COMMAND_RESP"), Some(topics)) => {
                Self::answered_by_topic(&serde_json::from_str(topics.get()).ok()?, asked)
            }
            _ => self.answered(message, asked),
        };
        answer.map(Heard::Answer)
    }
}
