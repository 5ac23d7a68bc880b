//! The dialogue of one connection: requests for several topics, and an answer to each topic.

use super::decode::{Frame, PONG, Request};
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use serde_json::json;

/// So many topics in one request: more than twenty are refused, and of candles more than eighteen.
const TOPICS_PER_REQUEST: usize = 18;

/// An error that is none: the topic is behind it.
const IN_EFFECT: &str = "You are already subscribed to this topic: ";

/// How errors begin that are about one topic, whichever; the others are about the request.
const UNKNOWN: &str = "Unknown";

#[derive(Debug)]
pub(super) struct BitmexSession {
    channels: Vec<String>,
    ledger: Ledger<String>,
}

impl BitmexSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            ledger: Ledger::default(),
        }
    }

    /// Topics and whose they are.
    fn topics(&self, instruments: &[Instrument]) -> Vec<(String, Instrument)> {
        let mut topics = Vec::new();
        for instrument in instruments {
            for channel in &self.channels {
                topics.push((format!("{channel}:{}", instrument.as_str()), instrument.clone()));
            }
        }
        topics
    }

    fn refused(&mut self, error: &str, status: Option<i64>, request: Option<&Request<'_>>) -> Option<Answer> {
        if let Some(topic) = error.strip_prefix(IN_EFFECT) {
            return self.ledger.accept(&topic.to_owned());
        }
        let words = status.map_or_else(|| error.to_owned(), |status| format!("{error} (status {status})"));
        let Some(request) = request else {
            return self.ledger.refuse_rest(words);
        };
        // No answer to an unsubscription is awaited.
        if request.op != Some("subscribe") {
            return None;
        }
        let topics = request.topics();
        if error.starts_with(UNKNOWN) && topics.len() > 1 {
            return self.ledger.refuse_unnamed(words);
        }
        let mut answer = None;
        for topic in &topics {
            match (&mut answer, self.ledger.refuse(topic, words.clone())) {
                (Some(Answer::Rejected(refused, _)), Some(Answer::Rejected(more, _))) => refused.extend(more),
                (_, Some(first)) => answer = Some(first),
                (_, None) => {}
            }
        }
        answer
    }
}

impl Request<'_> {
    fn topics(&self) -> Vec<String> {
        let Some(args) = self.args else { return Vec::new() };
        let one = |_| serde_json::from_str(args.get()).map(|topic| vec![topic]);
        serde_json::from_str(args.get()).or_else(one).unwrap_or_default()
    }
}

fn requests(op: &str, topics: &[(String, Instrument)]) -> Vec<String> {
    let mut requests = Vec::new();
    for batch in topics.chunks(TOPICS_PER_REQUEST) {
        let args: Vec<_> = batch.iter().map(|(topic, _)| topic).collect();
        requests.push(json!({"op": op, "args": args}).to_string());
    }
    requests
}

impl Session for BitmexSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let topics = self.topics(instruments);
        let texts = requests("subscribe", &topics);
        for (topic, instrument) in topics {
            self.ledger.ask(topic, [instrument]);
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        requests("unsubscribe", &self.topics(instruments))
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers are frames without a table.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let text = frame.trim();
        if text == PONG {
            return Some(Heard::Pong);
        }
        let frame: Frame<'_> = serde_json::from_str(text).ok()?;
        let answer = match (frame.error, frame.subscribe) {
            (Some(error), _) => self.refused(&error, frame.status, frame.request.as_ref()),
            (None, Some(topic)) => self.ledger.accept(&topic.to_owned()),
            (None, None) => None,
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
