//! A venue that keeps to a script: one connection, over a real socket.

use super::fixture::{Answers, Step, message, text};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream as Socket, accept_async};

pub(crate) struct Listening(TcpListener);

pub(crate) struct Client(Socket<TcpStream>);

impl Listening {
    pub(crate) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) async fn accept(&self) -> Client {
        let (stream, _) = self.0.accept().await.unwrap();
        Client(accept_async(stream).await.unwrap())
    }
}

impl Client {
    /// The next text that it says; `None` = it is gone.
    pub(crate) async fn text(&mut self) -> Option<String> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Text(text) => return Some(text.as_str().to_owned()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Whether it could be said: the client may be gone.
    pub(crate) async fn try_say(&mut self, message: &Value) -> bool {
        self.0.send(Message::text(text(message))).await.is_ok()
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(text(message))).await.unwrap();
    }

    /// As it was recorded; flushed with what comes after it.
    pub(crate) async fn feed(&mut self, message: Message) {
        self.0.feed(message).await.unwrap();
    }

    pub(crate) async fn flush(&mut self) {
        self.0.flush().await.unwrap();
    }

    /// As long as the client is there.
    pub(crate) async fn try_feed(&mut self, frames: Vec<String>) {
        for frame in frames {
            if self.0.feed(Message::text(frame)).await.is_err() {
                return;
            }
        }
        let _ = self.0.flush().await;
    }

    /// Where the client is still there.
    pub(crate) async fn close(&mut self) {
        let _ = self.0.close(None).await;
    }

    pub(crate) async fn play(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Client(expected) => {
                    for expected in expected {
                        let said = self.text().await.expect("the client has more to say");
                        assert_eq!(message(&said), *expected);
                    }
                }
                Step::Venue(frames) => {
                    for frame in frames {
                        self.say(frame).await;
                    }
                }
            }
        }
    }
}

/// What the venue answers to a request.
pub(crate) fn answer(answers: &Answers, request: &str) -> Vec<String> {
    let Value::Object(request) = message(request) else {
        return Vec::new();
    };
    let request = Value::Object(request);
    let Some(pointer) = &answers.for_each else {
        return vec![fill(&answers.template, &request, &Value::Null).to_string()];
    };
    let items = request
        .pointer(pointer)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let each = |item| fill(&answers.template, &request, item).to_string();
    items.iter().map(each).collect()
}

fn fill(template: &Value, request: &Value, item: &Value) -> Value {
    match template {
        Value::String(text) => {
            if let Some(pointer) = text.strip_prefix("$item") {
                item.pointer(pointer).cloned().unwrap_or(Value::Null)
            } else if let Some(pointer) = text.strip_prefix('$') {
                request.pointer(pointer).cloned().unwrap_or(Value::Null)
            } else {
                template.clone()
            }
        }
        Value::Array(items) => items.iter().map(|part| fill(part, request, item)).collect(),
        Value::Object(fields) => {
            let filled = fields
                .iter()
                .map(|(name, part)| (name.clone(), fill(part, request, item)));
            Value::Object(filled.collect())
        }
        plain => plain.clone(),
    }
}
