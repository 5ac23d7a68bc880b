//! The dialogue of one connection: a request for each channel of each instrument, and an answer to each.

use super::decode::Frame;
use crate::market::Instrument;
use crate::venue::ledger::Ledger;
use crate::venue::{Heard, Session};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;

#[derive(Debug)]
pub(super) struct BitstampSession {
    channels: Vec<String>,
    ledger: Ledger<Request>,
}

/// A request, by the name in its answer.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Request {
    Subscribe(String),
    /// Not awaited, but a refusal that names nothing may be its answer.
    Unsubscribe(String),
}

/// Why a request was refused.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal<'f> {
    code: Option<i64>,
    #[serde(borrow)]
    message: Cow<'f, str>,
}

impl BitstampSession {
    pub(super) fn new(channels: Vec<String>) -> Self {
        Self {
            channels,
            ledger: Ledger::default(),
        }
    }

    fn names(&self, instrument: &Instrument) -> Vec<String> {
        let name = |channel| format!("{channel}_{}", instrument.as_str());
        self.channels.iter().map(name).collect()
    }
}

fn text(event: &str, name: &str) -> String {
    json!({"event": event, "data": {"channel": name}}).to_string()
}

fn words(frame: &Frame<'_>) -> String {
    let refusal = frame
        .data
        .and_then(|data| serde_json::from_str::<Refusal<'_>>(data.get()).ok());
    match refusal.unwrap_or_default() {
        Refusal { message, .. } if message.is_empty() => "the venue refused the subscription".to_owned(),
        Refusal {
            code: Some(code),
            message,
        } => format!("{message} (code {code})"),
        Refusal { message, .. } => message.into_owned(),
    }
}

impl Session for BitstampSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        for instrument in instruments {
            for name in self.names(instrument) {
                texts.push(text("bts:subscribe", &name));
                self.ledger.ask(Request::Subscribe(name), [instrument.clone()]);
            }
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.ledger.forget(instruments);
        let mut texts = Vec::new();
        for instrument in instruments {
            for name in self.names(instrument) {
                texts.push(text("bts:unsubscribe", &name));
                self.ledger.ask(Request::Unsubscribe(name), []);
            }
        }
        texts
    }

    fn is_awaiting(&self) -> bool {
        self.ledger.is_awaiting()
    }

    /// Answers are events of their own.
    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let frame: Frame<'_> = serde_json::from_str(frame).ok()?;
        let name = frame.channel.unwrap_or_default();
        let answer = match frame.event? {
            "bts:heartbeat" => return Some(Heard::Pong),
            "bts:request_reconnect" => return Some(Heard::Leaving("bts:request_reconnect".into())),
            "bts:subscription_succeeded" => self.ledger.accept(&Request::Subscribe(name.to_owned())),
            "bts:unsubscription_succeeded" => self.ledger.accept(&Request::Unsubscribe(name.to_owned())),
            "bts:error" if name.is_empty() => self.ledger.refuse_unnamed(words(&frame)),
            "bts:error" => self.ledger.refuse(&Request::Subscribe(name.to_owned()), words(&frame)),
            _ => None,
        };
        answer.map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.ledger.give_up()
    }
}
