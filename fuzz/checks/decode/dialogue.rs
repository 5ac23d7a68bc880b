//! The subscription dialogue, with a ledger of what is owed.

use super::reading::Seen;
use feedwatch::market::{Cause, EventKind, Instrument, Subscribed};
use feedwatch::venue::{Answer, Feed, Heard, Polymarket, Session, Venue};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Two sessions that are told the same and must do the same, and what they must do.
pub(crate) struct Dialogue {
    session: Box<dyn Session>,
    twin: Box<dyn Session>,
    greeted: bool,
    /// Not answered, the oldest first.
    requests: VecDeque<Vec<Instrument>>,
    /// No longer waited for, and not answered either.
    late: Vec<Instrument>,
}

impl Dialogue {
    pub(crate) fn new() -> Self {
        Self {
            session: Polymarket.session(&Feed::default()),
            twin: Polymarket.session(&Feed::default()),
            greeted: false,
            requests: VecDeque::new(),
            late: Vec::new(),
        }
    }

    pub(crate) fn subscribe(&mut self, ids: &[Instrument]) {
        let expected = if self.greeted {
            json!({"operation": "subscribe", "assets_ids": texts(ids)})
        } else {
            json!({"type": "market", "assets_ids": texts(ids)})
        };
        self.greeted = true;
        self.requests.push_back(ids.to_vec());
        self.sends(|session| session.subscribe(ids), &expected);
    }

    pub(crate) fn unsubscribe(&mut self, ids: &[Instrument]) {
        for asked in self.requests.iter_mut().chain([&mut self.late]) {
            asked.retain(|asked| !ids.contains(asked));
        }
        let expected = json!({"operation": "unsubscribe", "assets_ids": texts(ids)});
        self.sends(|session| session.unsubscribe(ids), &expected);
    }

    pub(crate) fn give_up(&mut self) {
        let owed: Vec<_> = self.requests.drain(..).flatten().collect();
        self.late.extend(owed.iter().cloned());
        assert_eq!(self.both(|session| session.give_up()), owed);
    }

    /// `seen` is what the decoder saw in the frame.
    pub(crate) fn frame(&mut self, frame: &str, seen: &[Seen]) {
        let books: Vec<_> = seen
            .iter()
            .filter(|event| event.kind == EventKind::BookSnapshot)
            .filter_map(|event| event.instrument.as_deref())
            .collect();
        if frame.trim() == "PONG" {
            assert_eq!(self.both(|session| session.hear(frame)), Some(Heard::Pong));
            return;
        }
        let expected = match frame.trim() {
            "NO NEW ASSETS" => self.requests.pop_front().map(|asked| Ok((asked, Vec::new()))),
            "INVALID OPERATION" => self.requests.pop_front().map(Err),
            "[]" => self.answered(&[]).map(Ok),
            text if text.starts_with('[') && !books.is_empty() => self.answered(&books).map(Ok),
            _ => None,
        };
        let told = self.both(|session| session.hear(frame)).map(|heard| match heard {
            Heard::Answer(Answer::Settled(Subscribed {
                accepted,
                refused,
                unanswered,
                words,
            })) => {
                assert_eq!(unanswered, [], "nobody has given up");
                assert_eq!(words, "", "what it leaves out it says nothing of");
                Ok((accepted, refused))
            }
            Heard::Answer(Answer::Rejected(refused, failure)) => {
                assert_eq!(failure.cause, Cause::SubscribeRejected);
                Err(refused)
            }
            other => panic!("{other:?} is said by nobody here"),
        });
        assert_eq!(told, expected, "(told, expected)");
    }

    /// What the array with these books settles: accepted and refused.
    fn answered(&mut self, books: &[&str]) -> Option<(Vec<Instrument>, Vec<Instrument>)> {
        let is_active = |asked: &Instrument| books.contains(&asked.as_str());
        let (came, late): (Vec<_>, _) = std::mem::take(&mut self.late).into_iter().partition(is_active);
        self.late = late;
        if !came.is_empty() {
            return Some((came, Vec::new()));
        }
        let asks = |request: &Vec<Instrument>| request.iter().any(is_active);
        let index = self.requests.iter().position(asks).unwrap_or(0);
        Some(self.requests.remove(index)?.into_iter().partition(is_active))
    }

    fn sends(&mut self, act: impl Fn(&mut dyn Session) -> Vec<String>, expected: &Value) {
        let sent = self.both(act);
        let sent: Vec<Value> = sent.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert_eq!(sent, std::slice::from_ref(expected));
    }

    fn both<T: PartialEq + std::fmt::Debug>(&mut self, act: impl Fn(&mut dyn Session) -> T) -> T {
        let (told, again) = (act(&mut *self.session), act(&mut *self.twin));
        assert_eq!(told, again, "the same session does something else");
        let owes = !self.requests.is_empty() || !self.late.is_empty();
        assert_eq!(
            self.session.hears_data(),
            owes,
            "owed: {:?}, {:?}",
            self.requests,
            self.late
        );
        told
    }
}

fn texts(ids: &[Instrument]) -> Vec<&str> {
    ids.iter().map(Instrument::as_str).collect()
}
