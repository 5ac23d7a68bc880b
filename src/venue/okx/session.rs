//! The dialogue of one connection: requests for many pairs of channel and instrument, and an answer for each pair.
//!
//! A pair that is refused is named in the words of the error, if at all; where it is not, the error repeats the id of the
//! request.

use super::decode::{Arg, PONG};
use crate::market::Instrument;
use crate::venue::dialogue::{Batch, Dialogue, Pair, Verb};
use crate::venue::ledger::Ledger;
use crate::venue::wire::{NO_WORDS, unquoted};
use crate::venue::{Answer, Heard};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// So many pairs in one request: it may be 64 KiB long, and a pair with the longest names makes 123 bytes.
const PAIRS_PER_REQUEST: usize = 400;

/// The venue will end the connection for an upgrade.
const UPGRADE: &str = "64008";

/// A channel, and an instrument.
type Asked = (String, Instrument);

pub(super) struct OkxDialogue;

fn refuse(control: &Control<'_>, asked: &mut Ledger<Asked>) -> Option<Answer> {
    let code = control.code.map_or("unknown", |code| unquoted(code.get()));
    let said = control.msg.as_deref();
    let words = format!("{} (code {code})", said.unwrap_or(NO_WORDS));
    let named = control.arg.as_ref().and_then(pair).or_else(|| named(said?));
    match (named, control.id.map(|id| unquoted(id.get()).parse())) {
        (Some(pair), _) => asked.refuse(&pair, words),
        // One that is not known ends subscriptions.
        (None, Some(Ok(id))) => asked.refuse_request(id, words),
        (None, _) => asked.refuse_rest(words),
    }
}

#[derive(Deserialize)]
struct Control<'f> {
    #[serde(borrow)]
    event: &'f str,
    #[serde(default, borrow)]
    id: Option<&'f RawValue>,
    #[serde(default, borrow)]
    arg: Option<Arg<'f>>,
    /// In quotes, mostly.
    #[serde(default, borrow)]
    code: Option<&'f RawValue>,
    #[serde(default, borrow)]
    msg: Option<Cow<'f, str>>,
}

fn pair(arg: &Arg<'_>) -> Option<Asked> {
    Some((arg.channel?.to_owned(), Instrument::new(arg.instrument?)))
}

/// The pair in words such as `Wrong URL or channel:books,instId:BTC-USDX doesn't exist.`
fn named(words: &str) -> Option<Asked> {
    let after = |name: &str| {
        let (_, rest) = words.split_once(name)?;
        rest.split([',', ' ']).next().filter(|word| !word.is_empty())
    };
    Some((after("channel:")?.to_owned(), Instrument::new(after("instId:")?)))
}

impl Dialogue for OkxDialogue {
    type Key = Asked;

    fn batch(&self) -> Batch {
        Batch::Pairs(PAIRS_PER_REQUEST)
    }

    fn request(&mut self, verb: Verb, id: u64, pairs: &[Pair<'_>]) -> String {
        let arg = |(channel, instrument): &Pair<'_>| json!({"channel": channel, "instId": instrument.as_str()});
        let args: Vec<_> = pairs.iter().map(arg).collect();
        json!({"id": id.to_string(), "op": verb.word(), "args": args}).to_string()
    }

    fn key(&self, _: u64, (channel, instrument): Pair<'_>) -> Asked {
        (channel.to_owned(), instrument.clone())
    }

    fn hear(&mut self, frame: &str, asked: &mut Ledger<Asked>) -> Option<Heard> {
        if frame == PONG {
            return Some(Heard::Pong);
        }
        let control: Control<'_> = serde_json::from_str(frame).ok()?;
        let answer = match control.event {
            "subscribe" => asked.accept(&pair(control.arg.as_ref()?)?),
            "error" => refuse(&control, asked),
            "notice" => {
                let code = unquoted(control.code?.get());
                let words = control.msg.unwrap_or_default();
                return (code == UPGRADE).then(|| Heard::Leaving(format!("{words} (code {code})").into()));
            }
            _ => None,
        };
        answer.map(Heard::Answer)
    }
}
