//! The dialogue of one connection: a request for each subscription, and an answer that holds the first data.
//!
//! An error names what it is about in its words only, if at all.

use super::decode::Message;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, wire};
use serde_json::json;

/// A channel, and an id within it.
type Asked = (String, String);

pub(super) struct DydxDialogue;

/// The name of a channel, and the resolution of candles, if it has one.
pub(super) fn parts(channel: &str) -> (&str, Option<&str>) {
    channel
        .split_once('/')
        .map_or((channel, None), |(name, resolution)| (name, Some(resolution)))
}

fn asked_for((channel, instrument): Pair<'_>) -> Asked {
    let (name, resolution) = parts(channel);
    let id = resolution.map_or_else(
        || instrument.to_string(),
        |resolution| format!("{instrument}/{resolution}"),
    );
    (name.to_owned(), id)
}

fn failed(message: &Message<'_>, asked: &mut Ledger<Asked>) -> Option<Answer> {
    let words = message.words.as_deref().unwrap_or(wire::NO_WORDS);
    match named(words) {
        // It has been asked for before its answer came.
        Some(named) if words.contains("already subscribed") => asked.accept(&named),
        Some(named) => asked.refuse(&named, words.to_owned()),
        None => asked.refuse_rest(words.to_owned()),
    }
}

/// What words such as `Invalid subscription id for channel: (v4_trades-NOPE-USD)` name.
fn named(words: &str) -> Option<Asked> {
    let (_, rest) = words.split_once("v4_")?;
    let word = rest.split([')', ' ']).next()?.trim_end_matches('.');
    let (channel, id) = word.split_once('-')?;
    Some((format!("v4_{channel}"), id.to_owned()))
}

impl Dialogue for DydxDialogue {
    type Key = Asked;

    fn batch(&self) -> Batch {
        Batch::Pairs(1)
    }

    fn request(&mut self, verb: Verb, _: u64, pairs: &[Pair<'_>]) -> String {
        let (channel, id) = pairs.first().copied().map(asked_for).unwrap_or_default();
        json!({"type": verb.word(), "channel": channel, "id": id}).to_string()
    }

    fn key(&self, _: u64, pair: Pair<'_>) -> Asked {
        asked_for(pair)
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<Asked>) -> Option<Heard> {
        let message: Message<'_> = serde_json::from_str(frame).ok()?;
        let answer = match message.form {
            "subscribed" => asked.accept(&(message.channel?.to_owned(), message.id?.to_owned())),
            "error" => failed(&message, asked),
            _ => None,
        };
        answer.map(Heard::Answer)
    }
}
