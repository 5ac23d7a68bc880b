//! The dialogue of one connection: a request for each instrument, whose answer is what it begins with.

use super::BOOK;
use super::decode::{Frame, is_candles};
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Heard, Session};
use serde_json::json;

#[derive(Debug)]
pub(super) struct GeminiSession {
    channels: Vec<String>,
    ledger: Ledger<String>,
}

impl GeminiSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            ledger: Ledger::default(),
        }
    }

    fn request(&self, name: &str, instrument: &Instrument) -> String {
        let of = |channel| json!({"name": channel, "symbols": [instrument.as_str()]});
        let subscriptions: Vec<_> = self.channels.iter().map(of).collect();
        json!({"type": name, "subscriptions": subscriptions}).to_string()
    }

    /// A request is granted as a whole. Where it is for a book, changes of an earlier subscription are no answer.
    fn is_answer(&self, frame: &Frame<'_>) -> bool {
        if self.channels.iter().any(|channel| channel == BOOK) {
            frame.is_whole_book()
        } else {
            frame.name.is_some_and(is_candles)
        }
    }
}

fn words(frame: Frame<'_>) -> String {
    match (frame.reason, frame.message) {
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        (Some(words), None) | (None, Some(words)) => words.into_owned(),
        (None, None) => "the venue refused the subscription".to_owned(),
    }
}

impl Session for GeminiSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        for instrument in instruments {
            self.ledger.ask(instrument.as_str().to_owned(), [instrument.clone()]);
            texts.push(self.request("subscribe", instrument));
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let text = |instrument| self.request("unsubscribe", instrument);
        instruments.iter().map(text).collect()
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    fn hears_data(&self) -> bool {
        self.ledger.is_open()
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let frame: Frame<'_> = serde_json::from_str(frame).ok()?;
        let answer = if frame.is_refusal() {
            self.ledger.refuse_unnamed(words(frame))
        } else if self.is_answer(&frame) {
            self.ledger.accept(&frame.symbol?.to_owned())
        } else {
            None
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
