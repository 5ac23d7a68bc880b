//! The subscription dialogue of one connection.

use super::decode::{INVALID_OPERATION, NO_NEW_ASSETS, decode};
use crate::market::{Cause, EventKind, Failure, Instrument, Subscribed};
use crate::venue::{Answer, Session};
use serde_json::json;
use std::collections::HashSet;

#[derive(Debug, Default)]
pub(super) struct PolymarketSession {
    /// The first request names the channel, later ones the operation.
    greeted: bool,
    /// Asked for, and not answered yet.
    pending: Option<Vec<Instrument>>,
}

impl PolymarketSession {
    fn settle(&mut self, is_active: impl Fn(&Instrument) -> bool) -> Answer {
        let (accepted, refused) = self.give_up().into_iter().partition(is_active);
        Answer::Settled(Subscribed {
            accepted,
            refused,
            ..Subscribed::default()
        })
    }
}

impl Session for PolymarketSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.pending.get_or_insert_default().extend_from_slice(instruments);
        let request = if std::mem::replace(&mut self.greeted, true) {
            json!({"assets_ids": ids(instruments), "operation": "subscribe"})
        } else {
            json!({"assets_ids": ids(instruments), "type": "market"})
        };
        vec![request.to_string()]
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        if let Some(pending) = &mut self.pending {
            pending.retain(|asked| !instruments.contains(asked));
        }
        vec![json!({"assets_ids": ids(instruments), "operation": "unsubscribe"}).to_string()]
    }

    fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    fn answer(&mut self, frame: &str) -> Option<Answer> {
        self.pending.as_ref()?;
        match frame.trim() {
            // All were subscribed already, so all are in effect.
            NO_NEW_ASSETS => Some(self.settle(|_| true)),
            INVALID_OPERATION => {
                let detail = "the venue answered the subscription with INVALID OPERATION";
                let failure = Failure::new(Cause::SubscribeRejected).with_detail(detail);
                Some(Answer::Rejected(self.give_up(), failure))
            }
            text if text.starts_with('[') => {
                let mut active = HashSet::new();
                // What else is wrong with the frame is told by whoever decodes it as data.
                let _ = decode(text, &mut |event| {
                    if let (EventKind::BookSnapshot, Some(id)) = (event.kind, event.instrument) {
                        active.insert(id.to_owned());
                    }
                });
                Some(self.settle(|asked| active.contains(asked.as_str())))
            }
            _ => None,
        }
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.pending.take().unwrap_or_default()
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
            unanswered: vec![],
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
        assert!(!session.is_pending());
        assert_eq!(session.answer("[]"), None, "only an awaited answer is one");
    }

    #[test]
    fn an_empty_array_is_live_with_none_active() {
        assert_eq!(asked(&["1"]).answer("[]\n"), Some(settled(&[], &["1"])));
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
}
