//! What a client asks for, and the answers.

use super::{INVALID, Session, Turn};
use crate::clock::Moment;
use crate::sim::choice::PATIENCE;
use crate::sim::fault::Fault;
use crate::sim::log::What;
use crate::sim::traffic::Feed;
use crate::supervise::later;
use futures_util::SinkExt;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Message;

/// The venue's answer to a subscription that adds nothing.
const NOTHING_NEW: &str = "NO NEW ASSETS";

/// What a client asks for.
#[derive(Deserialize)]
struct Request {
    assets_ids: Vec<String>,
    r#type: Option<String>,
    operation: Option<String>,
}

impl Session {
    pub(super) async fn answer(&mut self, text: &str) -> Result<(), Turn> {
        if self.venue.as_recorded {
            return self.hear_as_recorded(text.as_bytes());
        }
        if text == "PING" {
            return self.send(Message::text("PONG")).await;
        }
        let Ok(request) = serde_json::from_str::<Request>(text) else {
            return self.send(Message::text(INVALID)).await;
        };
        match (request.operation.as_deref(), request.r#type.as_deref()) {
            (None, Some("market")) if self.feed.is_none() => {
                self.choice.hear(text.as_bytes(), self.venue.traffic.recordings());
                self.first_subscription(&request.assets_ids).await
            }
            (Some("subscribe"), _) if self.feed.is_some() => self.subscribe(&request.assets_ids).await,
            (Some("unsubscribe"), _) if self.feed.is_some() => {
                let removed = self.desk.unsubscribe(&request.assets_ids);
                self.log.note(What::SubscriptionChanged {
                    added: 0,
                    refused: 0,
                    removed,
                });
                Ok(())
            }
            _ => self.send(Message::text(INVALID)).await,
        }
    }

    /// What the client says first begins the recording, in which the answers are. Where there are several, it may take a little
    /// more of it to tell which.
    pub(super) fn hear_as_recorded(&mut self, said: &[u8]) -> Result<(), Turn> {
        if self.feed.is_some() {
            return Ok(());
        }
        let recordings = self.venue.traffic.recordings();
        self.choice.hear(said, recordings);
        if self.choice.is_open(recordings) {
            self.choice_due
                .get_or_insert_with(|| later(Moment::now().mono, PATIENCE));
            return Ok(());
        }
        self.begin_recording()
    }

    pub(super) fn begin_recording(&mut self) -> Result<(), Turn> {
        self.choice_due = None;
        self.log.note(What::Subscribed {
            accepted: 0,
            refused: 0,
        });
        self.begin_feed();
        Err(Turn::Subscribed)
    }

    fn begin_feed(&mut self) {
        let now = Moment::now().mono;
        let recording = self.venue.plays.take(&self.choice);
        if self.venue.traffic.recordings().len() > 1 {
            self.log.note(What::Replayed {
                recording: recording + 1,
            });
        }
        self.feed = Some(Feed::new(self.venue.traffic.clone(), recording, now));
        self.fault_due = self.fault.after().map(|after| later(now, after));
    }

    async fn first_subscription(&mut self, tokens: &[String]) -> Result<(), Turn> {
        match self.fault {
            Fault::NoAnswer => {
                self.note_fault();
                return Ok(());
            }
            Fault::RejectSubscription => {
                self.note_fault();
                self.log.note(What::Rejected);
                return self.send(Message::text(INVALID)).await;
            }
            _ => {}
        }
        let venue = &self.venue;
        let answer = self
            .desk
            .subscribe(tokens, |token| venue.is_unknown(token), Moment::now().unix_millis());
        let (frame, accepted, refused) = answer.map_or_else(
            || ("[]\n".into(), 0, 0),
            |answer| (answer.frame, answer.accepted, answer.refused),
        );
        self.feed(Message::text(frame)).await?;
        self.log.note(What::Subscribed { accepted, refused });
        self.begin_feed();
        self.socket.flush().await?;
        Err(Turn::Subscribed)
    }

    async fn subscribe(&mut self, tokens: &[String]) -> Result<(), Turn> {
        let venue = &self.venue;
        let answer = self
            .desk
            .subscribe(tokens, |token| venue.is_unknown(token), Moment::now().unix_millis());
        let Some(answer) = answer else {
            return self.send(Message::text(NOTHING_NEW)).await;
        };
        self.log.note(What::SubscriptionChanged {
            added: answer.accepted,
            refused: answer.refused,
            removed: 0,
        });
        self.send(Message::text(answer.frame)).await
    }
}
