//! The venue's side of a connection: a WebSocket server that speaks Polymarket's market channel over a [`Wire`].
//!
//! Each of its data frames says in `hash` of which connection it is and its number there: `3/17`.

use super::chance::millis;
use super::network::Host;
use super::weather::{Encounter, End, Greeting, Weather};
use super::wire::Wire;
use fastrand::Rng;
use futures_util::{SinkExt, StreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

/// How long the venue waits for a client to leave that was told to, and for a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection at its venue.
pub(crate) struct Visit {
    pub(crate) host: Arc<Host>,
    pub(crate) stream: usize,
    pub(crate) number: u64,
    pub(crate) encounter: Encounter,
    pub(crate) rng: Rng,
}

/// Serves one connection to its end.
pub(crate) async fn serve(visit: Visit, mut wire: Wire) {
    match visit.encounter.greeting {
        Greeting::Hangs => read_to_end(&mut wire).await,
        Greeting::Garbage => refuse(&mut wire, "220 mail.example ESMTP\r\n").await,
        Greeting::Status { code, retry_after } => {
            let wait = retry_after.map_or(String::new(), |seconds| format!("Retry-After: {seconds}\r\n"));
            let answer = format!("HTTP/1.1 {code} Sorry\r\n{wait}Content-Length: 0\r\n\r\n");
            refuse(&mut wire, &answer).await;
        }
        Greeting::Well | Greeting::NoAnswer | Greeting::Rejects => {
            let config = WebSocketConfig::default().read_buffer_size(2048).write_buffer_size(0);
            // Who leaves before is none of our business.
            if let Ok(Ok(socket)) = timeout(PATIENCE, accept_async_with_config(wire, Some(config))).await {
                Session::new(visit, socket).run().await;
            }
        }
    }
}

async fn read_to_end(wire: &mut Wire) {
    let mut buffer = [0; 1024];
    while matches!(wire.read(&mut buffer).await, Ok(1..)) {}
}

async fn refuse(wire: &mut Wire, answer: &str) {
    let refusing = async {
        let mut head = Vec::new();
        let mut buffer = [0; 1024];
        while !head.ends_with(b"\r\n\r\n") {
            match wire.read(&mut buffer).await {
                Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
                _ => return,
            }
        }
        if wire.write_all(answer.as_bytes()).await.is_ok() && wire.shutdown().await.is_ok() {
            read_to_end(wire).await;
        }
    };
    let _ = timeout(PATIENCE, refusing).await; // either way it is over
}

struct Session {
    visit: Visit,
    socket: WebSocketStream<Wire>,
    subscribed: BTreeSet<String>,
    frames: u64,
    /// The client has sent a close frame.
    closed_by_client: bool,
}

impl Session {
    fn new(visit: Visit, socket: WebSocketStream<Wire>) -> Self {
        let session = Self {
            visit,
            socket,
            subscribed: BTreeSet::new(),
            frames: 0,
            closed_by_client: false,
        };
        session.tell();
        session
    }

    /// Puts down what the connection is subscribed to.
    fn tell(&self) {
        let entry = (self.visit.stream, self.subscribed.clone());
        self.visit
            .host
            .sessions
            .lock()
            .unwrap()
            .insert(self.visit.number, entry);
    }

    async fn run(mut self) {
        let begun = Instant::now();
        let mut ending = self.visit.encounter.end.map(|(after, end)| (begun + after, end));
        let mut next_data = begun + millis(&mut self.visit.rng, 1_000..12_000);
        loop {
            let end_due = ending.map_or(next_data, |(due, _)| due);
            tokio::select! {
                biased; // one history a seed
                () = sleep_until(end_due), if ending.is_some() => {
                    let end = ending.take().map(|(_, end)| end);
                    if let Some(end) = end.filter(|_| !self.visit.host.is_calm()) {
                        return self.end(end).await;
                    }
                }
                message = self.socket.next() => {
                    let goes_on = match message {
                        Some(Ok(Message::Text(text))) => self.answer(text.as_str()).await,
                        // tungstenite has queued the answer, and the next read sends it.
                        Some(Ok(other)) => {
                            self.closed_by_client |= other.is_close();
                            true
                        }
                        Some(Err(_)) | None => false,
                    };
                    if !goes_on {
                        return;
                    }
                }
                () = sleep_until(next_data) => {
                    next_data = Instant::now() + millis(&mut self.visit.rng, 1_000..12_000);
                    if self.visit.host.now() != Weather::Silent && !self.send_data().await {
                        return;
                    }
                }
            }
        }
    }

    async fn send(&mut self, text: String) -> bool {
        self.socket.send(Message::text(text)).await.is_ok()
    }

    /// A book of the frame that is being made.
    fn book(&self, token: &str) -> String {
        let (connection, frame) = (self.visit.number, self.frames);
        // The wall clock is not simulated, so no venue time comes near it: these count as clock skew.
        format!(
            r#"{{"event_type":"book","asset_id":"{token}","timestamp":"1","hash":"{connection}/{frame}","bids":[],"asks":[]}}"#
        )
    }

    async fn send_data(&mut self) -> bool {
        let Some(token) = self.subscribed.iter().next().cloned() else {
            return true;
        };
        if self.closed_by_client {
            return true;
        }
        self.frames += 1;
        let book = self.book(&token);
        self.send(book).await
    }

    /// Answers a request. `false` = the client has gone.
    async fn answer(&mut self, text: &str) -> bool {
        if text == "PING" {
            return self.send("PONG".into()).await;
        }
        let request: serde_json::Value = serde_json::from_str(text).expect("a request of ours is JSON");
        let tokens = request["assets_ids"].as_array().expect("a request names tokens");
        let tokens: Vec<String> = tokens.iter().map(|token| token.as_str().unwrap().to_owned()).collect();
        if request["operation"] == "unsubscribe" {
            self.subscribed.retain(|token| !tokens.contains(token));
            self.tell();
            return true;
        }
        match self.visit.encounter.greeting {
            Greeting::NoAnswer => return true,
            Greeting::Rejects => return self.send("INVALID OPERATION".into()).await,
            _ => {}
        }
        let new: Vec<String> = tokens
            .into_iter()
            .filter(|token| self.subscribed.insert(token.clone()))
            .collect();
        self.tell();
        if new.is_empty() {
            return self.send("NO NEW ASSETS".into()).await;
        }
        // One frame, and so one number.
        self.frames += 1;
        let books: Vec<_> = new.iter().map(|token| self.book(token)).collect();
        self.send(format!("[{}]", books.join(","))).await
    }

    async fn end(mut self, end: End) {
        let (host, number) = (self.visit.host.clone(), self.visit.number);
        host.journal
            .note(&host.name, format_args!("connection {number} ends: {end:?}"));
        match end {
            End::Close(code) => {
                let frame = code.map(|code| CloseFrame {
                    code: code.into(),
                    reason: "".into(),
                });
                let _ = self.socket.close(frame).await; // who has gone misses nothing
                let _ = timeout(PATIENCE, async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
            }
            End::Reset => self.socket.get_ref().reset(),
            End::Cut => {}
            End::Mute => read_to_end(self.socket.get_mut()).await,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (host, number) = (&self.visit.host, &self.visit.number);
        host.sessions.lock().unwrap().remove(number);
        if self.closed_by_client {
            host.farewells.lock().unwrap().insert(*number, self.frames);
        }
        host.journal
            .note(&host.name, format_args!("connection {number} has ended"));
    }
}
