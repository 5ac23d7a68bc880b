//! The dialogue of one upgraded connection, in Polymarket's protocol, and the faults in its course.

mod request;

use super::Venue;
use super::choice::Choice;
use super::connection::Io;
use super::desk::{Desk, market_resolved};
use super::ending::{Ending, leave};
use super::extra::{Extra, Outgoing, fragments};
use super::fault::Fault;
use super::frame;
use super::log::{ConnectionLog, What};
use super::traffic::Feed;
use crate::clock::Moment;
use crate::supervise::later;
use futures_util::{SinkExt, StreamExt};
use std::future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

/// The venue's answer to what it does not understand.
const INVALID: &str = "INVALID OPERATION";
/// How far apart unprompted heartbeats are.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Why the dialogue is interrupted.
enum Turn {
    /// The subscription was answered: a fault may have a time now.
    Subscribed,
    /// The client sent a close frame, which is noted and answered.
    ClosedByClient,
    /// The client went away without one.
    LostByClient,
    /// The scripted fault is due.
    FaultDue,
    /// The venue stops.
    Stopped,
}

impl From<tungstenite::Error> for Turn {
    fn from(_: tungstenite::Error) -> Self {
        Self::LostByClient
    }
}

/// An upgraded connection.
pub(super) struct Session {
    pub(super) venue: Arc<Venue>,
    pub(super) log: ConnectionLog,
    pub(super) socket: WebSocketStream<Io>,
    fault: Fault,
    desk: Desk,
    /// The recordings that may be this connection's.
    choice: Choice,
    /// When one of them is played, whatever else the client says.
    choice_due: Option<Instant>,
    /// There is one as soon as the subscription is answered.
    feed: Option<Feed>,
    /// The feed has begun.
    fed: bool,
    /// No more data, for good.
    silent: bool,
    /// When the next unprompted heartbeat is due.
    heartbeat_due: Option<Instant>,
    /// When the fault begins, where it waits.
    fault_due: Option<Instant>,
    /// What the fault sends, until all is sent.
    extra: Option<Extra>,
    paused: watch::Receiver<bool>,
    resolved: broadcast::Receiver<Arc<[String]>>,
}

impl Session {
    pub(super) fn new(venue: Arc<Venue>, log: ConnectionLog, socket: WebSocketStream<Io>, fault: Fault) -> Self {
        Self {
            desk: Desk::new(venue.seed, log.number()),
            paused: venue.paused.subscribe(),
            resolved: venue.resolved.subscribe(),
            choice: Choice::of(venue.traffic.recordings()),
            choice_due: None,
            feed: None,
            fed: false,
            silent: false,
            heartbeat_due: None,
            fault_due: None,
            extra: None,
            venue,
            log,
            socket,
            fault,
        }
    }

    /// Runs to the connection's end.
    pub(super) async fn run(mut self) -> ConnectionLog {
        let stop = self.venue.stop.clone();
        loop {
            let fault_due = self.fault_due;
            let turn = tokio::select! {
                // The end first, then the fault: a flood of traffic must not put them off. The dialogue may be dropped at
                // any await: a frame is counted when the socket has taken it, and what follows a fault is not data.
                biased;
                () = stop.cancelled() => Turn::Stopped,
                () = super::until(fault_due) => Turn::FaultDue,
                turn = self.converse() => turn,
            };
            let ending = match turn {
                Turn::Subscribed => continue,
                Turn::FaultDue => match self.begin_fault() {
                    Some(ending) => ending,
                    None => continue,
                },
                Turn::ClosedByClient => return leave(self).await,
                Turn::LostByClient => {
                    self.log.note(What::LostByClient);
                    return self.log;
                }
                Turn::Stopped => Ending::Close(Some(1001), "going away".into()),
            };
            return ending.carry_out(self).await;
        }
    }

    /// The fault's moment has come: an ending, or a change of behaviour.
    fn begin_fault(&mut self) -> Option<Ending> {
        self.fault_due = None;
        self.note_fault();
        match &self.fault {
            Fault::Close { code, reason, .. } => return Some(Ending::Close(*code, reason.clone())),
            Fault::Flap => return Some(Ending::Close(Some(1000), String::new())),
            Fault::Reset { .. } => return Some(Ending::Reset { in_frame: false }),
            Fault::ResetInFrame { .. } => return Some(Ending::Reset { in_frame: true }),
            Fault::Cut { .. } => return Some(Ending::Cut { in_frame: false }),
            Fault::CutInFrame { .. } => return Some(Ending::Cut { in_frame: true }),
            Fault::BadFrame { kind, .. } => return Some(Ending::Unreadable(frame::bad(*kind))),
            Fault::TooBig { bytes, .. } => return Some(Ending::Unreadable(frame::too_big(*bytes))),
            Fault::EndlessFragments { bytes, fragments, .. } => {
                return Some(Ending::Unreadable(frame::endless_fragments(*bytes, *fragments)));
            }
            Fault::Mute { .. } => return Some(Ending::Mute),
            Fault::HeartbeatsOnly { .. } => {
                self.silent = true;
                self.heartbeat_due = Some(later(Moment::now().mono, HEARTBEAT));
            }
            Fault::Silence { .. } => self.silent = true,
            // The others are not waited for.
            fault => self.extra = Extra::of(fault),
        }
        None
    }

    fn note_fault(&self) {
        self.log.note(What::FaultBegan {
            name: self.fault.name(),
        });
    }

    async fn converse(&mut self) -> Turn {
        loop {
            if let Err(turn) = self.converse_once().await {
                return turn;
            }
        }
    }

    async fn converse_once(&mut self) -> Result<(), Turn> {
        let flows = !*self.paused.borrow_and_update();
        let data_due = self.feed.as_ref().filter(|_| flows && !self.silent).and_then(Feed::due);
        let heartbeat_due = self.heartbeat_due.filter(|_| flows);
        let choice_due = self.choice_due;
        tokio::select! {
            // Requests before data: a venue under load still answers.
            biased;
            message = self.socket.next() => self.receive(message).await,
            _ = self.paused.changed() => Ok(()), // read above; the venue that we hold keeps the sender
            resolved = self.resolved.recv() => self.tell_resolved(resolved).await,
            () = super::until(choice_due), if choice_due.is_some() => self.begin_recording(),
            () = future::ready(()), if self.extra.is_some() => self.send_extra().await,
            () = super::until(heartbeat_due) => {
                self.heartbeat_due = Some(later(Moment::now().mono, HEARTBEAT));
                self.send(Message::text("PONG")).await
            }
            () = super::until(data_due) => self.send_data().await,
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<(), Turn> {
        let message = message.ok_or(Turn::LostByClient)??;
        self.log.received(&message);
        match message {
            Message::Text(text) => self.answer(&text).await,
            Message::Binary(said) if self.venue.as_recorded => self.hear_as_recorded(&said),
            Message::Binary(_) => self.send(Message::text(INVALID)).await,
            Message::Ping(payload) => {
                // The library has queued the pong; flushed before the next read, it is neither late nor replaced.
                self.socket.flush().await?;
                self.log.sent(&Message::Pong(payload));
                Ok(())
            }
            Message::Close(frame) => {
                // Before the reply, so that what the client does next is later in the log.
                let code = frame.as_ref().map(|frame| frame.code.into());
                self.log.note(What::ClosedByClient { code });
                // The library has queued the reply, which is the same frame.
                if self.socket.flush().await.is_ok() {
                    self.log.replied_to_close(&Message::Close(frame));
                }
                Err(Turn::ClosedByClient)
            }
            Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    async fn tell_resolved(&mut self, resolved: Result<Arc<[String]>, RecvError>) -> Result<(), Turn> {
        // Lagged behind by more than is kept: those markets stay silent towards this client, as after a reconnect.
        let Ok(tokens) = resolved else { return Ok(()) };
        if !tokens.iter().any(|token| self.desk.is_subscribed(token)) {
            return Ok(());
        }
        self.desk.unsubscribe(&tokens);
        if self.silent {
            return Ok(());
        }
        self.send(Message::text(market_resolved(&tokens, Moment::now().unix_millis())))
            .await
    }

    async fn send_data(&mut self) -> Result<(), Turn> {
        let Some(feed) = &mut self.feed else { return Ok(()) };
        for message in feed.take(Moment::now(), &mut self.desk) {
            self.feed(message).await?;
            if !std::mem::replace(&mut self.fed, true) {
                self.log.note(What::Fed);
            }
        }
        Ok(self.socket.flush().await?)
    }

    async fn send_extra(&mut self) -> Result<(), Turn> {
        let Some(extra) = &mut self.extra else { return Ok(()) };
        let token = self.desk.first_token().unwrap_or("1");
        let batch = extra.take(token, Moment::now().unix_millis());
        if batch.is_empty() {
            self.extra = None;
        }
        for outgoing in batch {
            match outgoing {
                Outgoing::Whole(message) => self.feed(message).await?,
                Outgoing::Fragmented(message, count) => {
                    let copy = message.clone(); // the payload is shared
                    for fragment in fragments(message, count) {
                        self.socket.feed(fragment).await?;
                    }
                    self.log.sent(&copy);
                }
            }
        }
        Ok(self.socket.flush().await?)
    }

    async fn send(&mut self, message: Message) -> Result<(), Turn> {
        self.feed(message).await?;
        Ok(self.socket.flush().await?)
    }

    /// Hands a frame to the socket, and counts it. It leaves with the next flush at the latest.
    async fn feed(&mut self, message: Message) -> Result<(), Turn> {
        let copy = message.clone(); // the payload is shared
        self.socket.feed(message).await?;
        self.log.sent(&copy);
        Ok(())
    }
}
