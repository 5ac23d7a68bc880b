//! The dialogue of one connection: requests for a few topics, which are answered as one, or, of options, topic by topic.

use super::decode::Message;
use crate::market::{Instrument, Subscribed};
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde::Deserialize;
use serde_json::json;

/// So many topics in one request; spot takes no more.
const TOPICS_PER_REQUEST: usize = 10;

#[derive(Debug)]
pub(super) struct BybitSession {
    channels: Vec<String>,
    is_answered_by_topic: bool,
    last_id: u64,
    /// By topic, or by the id of the request.
    ledger: Ledger<String>,
}

struct Request {
    id: String,
    topics: Vec<String>,
    instruments: Vec<Instrument>,
    text: String,
}

impl BybitSession {
    pub(super) fn new(channels: Vec<String>, is_answered_by_topic: bool) -> Self {
        Self {
            channels,
            is_answered_by_topic,
            last_id: 0,
            ledger: Ledger::default(),
        }
    }

    /// Instruments stand in one request with all their channels, as far as these fit, so that what is refused is known as well
    /// as can be.
    fn requests(&mut self, op: &str, instruments: &[Instrument]) -> Vec<Request> {
        let most = (TOPICS_PER_REQUEST / self.channels.len().max(1)).max(1);
        let mut requests = Vec::new();
        for batch in instruments.chunks(most) {
            let topic = |instrument: &Instrument, channel: &str| format!("{channel}.{}", instrument.as_str());
            let topics: Vec<_> = batch
                .iter()
                .flat_map(|instrument| self.channels.iter().map(move |channel| topic(instrument, channel)))
                .collect();
            for topics in topics.chunks(TOPICS_PER_REQUEST) {
                self.last_id += 1;
                let id = self.last_id.to_string();
                let text = json!({"req_id": id, "op": op, "args": topics}).to_string();
                requests.push(Request {
                    id,
                    topics: topics.to_vec(),
                    instruments: batch.to_vec(),
                    text,
                });
            }
        }
        requests
    }

    /// Each topic stands in one of two lists.
    fn answered_by_topic(&mut self, topics: &Topics<'_>) -> Option<Answer> {
        let mut settled = Subscribed::default();
        let mut refusal = None;
        for topic in &topics.accepted {
            if let Some(Answer::Settled(answer)) = self.ledger.accept(&(*topic).to_owned()) {
                settled.accepted.extend(answer.accepted);
                settled.refused.extend(answer.refused);
            }
        }
        for topic in &topics.refused {
            let words = format!("the venue does not have {topic}");
            if let Some(Answer::Rejected(refused, failure)) = self.ledger.refuse(&(*topic).to_owned(), words) {
                settled.refused.extend(refused);
                refusal.get_or_insert(failure);
            }
        }
        match refusal {
            Some(failure) if settled.accepted.is_empty() => Some(Answer::Rejected(settled.refused, failure)),
            _ if settled == Subscribed::default() => None,
            _ => Some(Answer::Settled(settled)),
        }
    }

    fn answered(&mut self, message: Message<'_>) -> Option<Answer> {
        let id = message.req_id.filter(|id| !id.is_empty()).map(str::to_owned);
        match (message.success?, message.op) {
            // Answers of version 4 name no request, and none of that time is open.
            (true, _) => self.ledger.accept(&id?),
            (false, Some("unsubscribe")) => None,
            (false, _) => {
                let words = message.words.map_or_else(
                    || "the venue refused the subscription".to_owned(),
                    std::borrow::Cow::into_owned,
                );
                match id.filter(|_| !self.is_answered_by_topic) {
                    Some(id) => self.ledger.refuse(&id, words),
                    None => self.ledger.refuse_rest(words),
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

impl Session for BybitSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        for request in self.requests("subscribe", instruments) {
            if self.is_answered_by_topic {
                for topic in request.topics {
                    let symbol = topic.rsplit_once('.').map_or("", |(_, symbol)| symbol);
                    let instrument = Instrument::new(symbol);
                    self.ledger.ask(topic, [instrument]);
                }
            } else {
                self.ledger.ask(request.id, request.instruments);
            }
            texts.push(request.text);
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let requests = self.requests("unsubscribe", instruments);
        requests.into_iter().map(|request| request.text).collect()
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers have no topic.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame.trim()).ok()?;
        if message.is_pong() {
            return Some(Heard::Pong);
        }
        let answer = match (message.form, message.data) {
            (Some("COMMAND_RESP"), Some(topics)) => self.answered_by_topic(&serde_json::from_str(topics.get()).ok()?),
            _ => self.answered(message),
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
