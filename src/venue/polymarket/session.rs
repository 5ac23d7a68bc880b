//! The subscription dialogue of one connection.

use super::decode::{INVALID_OPERATION, NO_NEW_ASSETS, PONG, decode};
use crate::market::{Cause, EventKind, Failure, Instrument, Subscribed};
use crate::venue::{Answer, Heard, Session};
use serde_json::json;
use std::collections::{HashSet, VecDeque};

#[derive(Debug, Default)]
pub(super) struct PolymarketSession {
    /// The first request names the channel, later ones the operation.
    greeted: bool,
    /// Asked for and not answered yet, the oldest first. A request whose instruments were all taken back stays: its answer
    /// comes all the same, and must not be taken for another's.
    requests: VecDeque<Vec<Instrument>>,
    /// No longer awaited. The answer may still come.
    late: Vec<Instrument>,
}

impl PolymarketSession {
    /// The request that an array with these tokens answers: the oldest of which one is in it, since it is told by nothing
    /// else. An array with no token of any answers the oldest.
    fn answered_by(&mut self, active: &HashSet<String>) -> Option<Vec<Instrument>> {
        let asks = |request: &Vec<Instrument>| request.iter().any(|asked| active.contains(asked.as_str()));
        let index = self.requests.iter().position(asks).unwrap_or(0);
        self.requests.remove(index)
    }

    fn settle(&mut self, active: &HashSet<String>) -> Option<Answer> {
        let is_active = |asked: &Instrument| active.contains(asked.as_str());
        let came_late: Vec<_> = self.late.extract_if(.., |asked| is_active(asked)).collect();
        if came_late.is_empty() && self.requests.is_empty() {
            return None;
        }
        let request = if came_late.is_empty() {
            self.answered_by(active).unwrap_or_default()
        } else {
            Vec::new()
        };
        let (mut accepted, refused): (Vec<_>, _) = request.into_iter().partition(is_active);
        accepted.extend(came_late);
        Some(Answer::Settled(Subscribed {
            accepted,
            refused,
            ..Subscribed::default()
        }))
    }
}

impl Session for PolymarketSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.requests.push_back(instruments.to_vec());
        let request = if std::mem::replace(&mut self.greeted, true) {
            json!({"assets_ids": ids(instruments), "operation": "subscribe"})
        } else {
            json!({"assets_ids": ids(instruments), "type": "market"})
        };
        vec![request.to_string()]
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        for asked in self.requests.iter_mut().chain([&mut self.late]) {
            asked.retain(|asked| !instruments.contains(asked));
        }
        vec![json!({"assets_ids": ids(instruments), "operation": "unsubscribe"}).to_string()]
    }

    fn is_awaiting(&self) -> bool {
        self.requests.iter().any(|asked| !asked.is_empty())
    }

    fn hears_data(&self) -> bool {
        !self.requests.is_empty() || !self.late.is_empty()
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let text = frame.trim();
        if text == PONG {
            return Some(Heard::Pong);
        }
        self.answer(text).map(Heard::Answer)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        let unanswered: Vec<_> = self.requests.drain(..).flatten().collect();
        self.late.extend(unanswered.iter().cloned());
        unanswered
    }
}

impl PolymarketSession {
    fn answer(&mut self, text: &str) -> Option<Answer> {
        match text {
            NO_NEW_ASSETS => {
                // All were subscribed already, so all are in effect.
                let accepted = self.requests.pop_front()?;
                Some(Answer::Settled(Subscribed {
                    accepted,
                    ..Subscribed::default()
                }))
            }
            INVALID_OPERATION => {
                let refused = self.requests.pop_front()?;
                let detail = "the venue answered the subscription with INVALID OPERATION";
                Some(Answer::Rejected(
                    refused,
                    Failure::new(Cause::SubscribeRejected).with_detail(detail),
                ))
            }
            text if text.starts_with('[') => {
                let mut active = HashSet::new();
                // What else is wrong with the frame is told by whoever decodes it as data.
                let _ = decode(text, &mut |event| {
                    if let (EventKind::BookSnapshot, Some(id)) = (event.kind, event.instrument) {
                        active.insert(id.to_owned());
                    }
                });
                // An array of other events, or of garbage, is no answer.
                let is_answer = text == "[]" || !active.is_empty();
                if is_answer { self.settle(&active) } else { None }
            }
            _ => None,
        }
    }
}

fn ids(instruments: &[Instrument]) -> Vec<&str> {
    instruments.iter().map(Instrument::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruments(ids: &[&str]) -> Vec<Instrument> {
        ids.iter().copied().map(Instrument::new).collect()
    }

    fn asked(ids: &[&str]) -> PolymarketSession {
        let mut session = PolymarketSession::default();
        session.subscribe(&instruments(ids));
        session
    }

    #[test]
    fn the_first_request_names_the_channel_and_later_ones_the_operation() {
        let mut session = PolymarketSession::default();
        assert_eq!(
            session.subscribe(&instruments(&["1"])),
            [r#"{"assets_ids":["1"],"type":"market"}"#]
        );
        assert_eq!(
            session.subscribe(&instruments(&["2"])),
            [r#"{"assets_ids":["2"],"operation":"subscribe"}"#]
        );
        assert_eq!(
            session.unsubscribe(&instruments(&["2"])),
            [r#"{"assets_ids":["2"],"operation":"unsubscribe"}"#]
        );
    }

    fn settled(accepted: &[&str], refused: &[&str]) -> Answer {
        let (accepted, refused) = (instruments(accepted), instruments(refused));
        Answer::Settled(Subscribed {
            accepted,
            refused,
            ..Subscribed::default()
        })
    }

    #[test]
    fn tokens_in_the_first_array_are_active_and_absent_ones_refused() {
        let mut session = asked(&["1", "2"]);
        assert_eq!(
            session.answer(r#"{"event_type":"book","asset_id":"1"}"#),
            None,
            "an object is no answer"
        );
        let answer = session.answer(r#"[{"event_type":"book","asset_id":"2","timestamp":"1"}]"#);
        assert_eq!(answer, Some(settled(&["2"], &["1"])));
        assert!(!session.is_awaiting());
        assert_eq!(session.answer("[]"), None, "only an awaited answer is one");
        let mut session = asked(&["1"]);
        let trade = r#"[{"event_type":"last_trade_price","asset_id":"1","timestamp":"1"}]"#;
        for other in [trade, "[!!!", "[1]"] {
            assert_eq!(session.answer(other), None, "{other}");
        }
    }

    #[test]
    fn an_empty_array_is_live_with_none_active() {
        assert_eq!(asked(&["1"]).hear("[]\n"), Some(Heard::Answer(settled(&[], &["1"]))));
    }

    #[test]
    fn a_refusal_with_a_reason_names_what_was_refused() {
        let answer = asked(&["1"]).answer("INVALID OPERATION");
        let Some(Answer::Rejected(refused, failure)) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (refused, failure.cause),
            (instruments(&["1"]), Cause::SubscribeRejected)
        );
    }

    #[test]
    fn nothing_new_means_all_in_effect() {
        assert_eq!(asked(&["1"]).answer("NO NEW ASSETS"), Some(settled(&["1"], &[])));
    }

    #[test]
    fn each_answer_settles_the_request_that_it_belongs_to() {
        let mut session = asked(&["1"]);
        session.subscribe(&instruments(&["2"]));
        session.subscribe(&instruments(&["3"]));
        let books = |id: &str| format!(r#"[{{"event_type":"book","asset_id":"{id}","timestamp":"1"}}]"#);
        assert_eq!(session.answer(&books("1")), Some(settled(&["1"], &[])));
        assert_eq!(
            session.answer(&books("3")),
            Some(settled(&["3"], &[])),
            "also out of turn"
        );
        assert_eq!(session.answer("[]"), Some(settled(&[], &["2"])));
        assert!(!session.is_awaiting());
    }

    #[test]
    fn an_answer_that_comes_late_still_counts() {
        let mut session = asked(&["1", "2"]);
        assert_eq!(session.give_up(), instruments(&["1", "2"]));
        session.unsubscribe(&instruments(&["2"]));
        let books = r#"[{"event_type":"book","asset_id":"1","timestamp":"1"}]"#;
        assert_eq!(session.answer(books), Some(settled(&["1"], &[])));
        assert_eq!(session.answer(books), None);
    }
}
