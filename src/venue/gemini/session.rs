//! The dialogue of one connection: a request for each instrument, whose answer is what it begins with.

use super::BOOK;
use super::decode::{Frame, is_candles};
use crate::market::Instrument;
use crate::venue::Heard;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::wire;
use serde_json::json;

pub(super) struct GeminiDialogue {
    asks_for_books: bool,
}

impl GeminiDialogue {
    pub(super) fn new(channels: &[String]) -> Self {
        Self {
            asks_for_books: channels.iter().any(|channel| channel == BOOK),
        }
    }

    /// A request is granted as a whole. Where it is for a book, changes of an earlier subscription are no answer.
    fn is_answer(&self, frame: &Frame<'_>) -> bool {
        if self.asks_for_books {
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
        (None, None) => wire::NO_WORDS.to_owned(),
    }
}

impl Dialogue for GeminiDialogue {
    type Key = Instrument;

    fn batch(&self) -> Batch {
        Batch::Instruments(1)
    }

    fn request(&mut self, verb: Verb, _: u64, pairs: &[Pair<'_>]) -> String {
        let of = |(channel, symbol): &Pair<'_>| json!({"name": channel, "symbols": [symbol.as_str()]});
        let subscriptions: Vec<_> = pairs.iter().map(of).collect();
        json!({"type": verb.word(), "subscriptions": subscriptions}).to_string()
    }

    fn key(&self, _: u64, (_, instrument): Pair<'_>) -> Instrument {
        instrument.clone()
    }

    fn answers_with_data(&self) -> bool {
        true
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<Instrument>) -> Option<Heard> {
        let frame: Frame<'_> = serde_json::from_str(frame).ok()?;
        let answer = if frame.is_refusal() {
            asked.refuse_unnamed(words(frame))
        } else if self.is_answer(&frame) {
            asked.accept(&Instrument::new(frame.symbol?))
        } else {
            None
        };
        answer.map(Heard::Answer)
    }
}
