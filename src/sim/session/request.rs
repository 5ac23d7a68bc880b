//! What a client asks for, and the answers.

use super::{INVALID, Session, Turn};
use crate::clock::Moment;
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
            return self.begin_recording();
        }
        if text == "PING" {
            return self.send(Message::text("PONG")).await;
        }
        let Ok(request) = serde_json::from_str::<Request>(text) else {
            return self.send(Message::text(INVALID)).await;
        };
        match (request.operation.as_deref(), request.r#type.as_deref()) {
            (None, Some("market")) if self.feed.is_none() => self.first_subscription(&request.assets_ids).await,
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

    /// What the client says first begins the recording, in which the answers are.
    fn begin_recording(&mut self) -> Result<(), Turn> {
        if self.feed.is_some() {
            return Ok(());
        }
        self.log.note(What::Subscribed {
            accepted: 0,
            refused: 0,
        });
        self.begin_feed();
        Err(Turn::Subscribed)
    }

    fn begin_feed(&mut self) {
        let now = Moment::now().mono;
        self.feed = Some(Feed::new(self.venue.traffic.clone(), now));
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
