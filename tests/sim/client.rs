//! A raw WebSocket client that counts what it reads, and venues for it.

use feedwatch::sim::{Entry, FrameCounts, Rule, Script, SimLog, SimOptions, SimulatedVenue, Traffic, What};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Nothing here takes so long; what does has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// The largest message that a client reads.
pub(crate) const READS: usize = 1 << 20;
/// How long nothing must come to be called nothing.
pub(crate) const NOTHING: Duration = Duration::from_millis(300);
pub(crate) const SUBSCRIBE: &str = r#"{"assets_ids":["11","22"],"type":"market"}"#;

pub(crate) fn silent(rules: Vec<Rule>) -> SimOptions {
    SimOptions {
        traffic: Traffic::Silent,
        script: Script { rules },
        ..SimOptions::default()
    }
}

pub(crate) fn generated(rules: Vec<Rule>) -> SimOptions {
    SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 500.0,
        },
        ..silent(rules)
    }
}

pub(crate) fn start(options: SimOptions) -> SimulatedVenue {
    SimulatedVenue::start(options).unwrap()
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it takes too long")
}

/// Waits until the log has an entry like this.
pub(crate) async fn logged(log: &SimLog, wanted: impl Fn(&Entry) -> bool) -> Entry {
    within(async {
        loop {
            if let Some(entry) = log.entries().into_iter().find(|entry| wanted(entry)) {
                return entry;
            }
            sleep(millis(5)).await;
        }
    })
    .await
}

pub(crate) async fn ended(log: &SimLog, connection: u64) {
    logged(log, |entry| entry.connection == connection && entry.what == What::Ended).await;
}

/// What happened on a connection, but for when its traffic began.
pub(crate) fn whats(log: &SimLog, connection: u64) -> Vec<What> {
    let entries = log.entries().into_iter();
    entries
        .filter(|entry| entry.connection == connection)
        .map(|entry| entry.what)
        .filter(|what| *what != What::Fed)
        .collect()
}

/// A client that reads to the end and counts, as the venue does.
pub(crate) struct Client<Io = TcpStream> {
    pub(crate) socket: WebSocketStream<Io>,
    pub(crate) read: FrameCounts,
}

impl Client {
    pub(crate) async fn dial(venue: &SimulatedVenue) -> Result<Self, Error> {
        Self::over(TcpStream::connect(venue.address()).await?, venue).await
    }

    pub(crate) async fn connected(venue: &SimulatedVenue) -> Self {
        Self::dial(venue).await.unwrap()
    }

    /// Connects, subscribes to two tokens, and reads the answer.
    pub(crate) async fn subscribed(venue: &SimulatedVenue) -> Self {
        let mut client = Self::connected(venue).await;
        client.subscribe().await;
        client
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Client<Io> {
    /// Asks for the upgrade of a connection.
    pub(crate) async fn over(io: Io, venue: &SimulatedVenue) -> Result<Self, Error> {
        let config = WebSocketConfig::default()
            .max_frame_size(Some(READS))
            .max_message_size(Some(READS));
        let (socket, _) = within(client_async_with_config(venue.url(), io, Some(config))).await?;
        Ok(Self {
            socket,
            read: FrameCounts::default(),
        })
    }

    /// On a connection that has been upgraded by hand.
    pub(crate) async fn upgraded(io: Io) -> Self {
        Self {
            socket: WebSocketStream::from_raw_socket(io, Role::Client, None).await,
            read: FrameCounts::default(),
        }
    }

    /// Subscribes to two tokens, and reads the answer.
    pub(crate) async fn subscribe(&mut self) {
        assert!(self.ask(SUBSCRIBE).await.starts_with(r#"[{"market":"#));
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Option<Result<Message, Error>> {
        let next = within(self.socket.next()).await;
        if let Some(Ok(message)) = &next {
            let (opcode, bytes) = match message {
                Message::Text(text) => (&mut self.read.text, text.len()),
                Message::Binary(payload) => (&mut self.read.binary, payload.len()),
                Message::Ping(payload) => (&mut self.read.ping, payload.len()),
                Message::Pong(payload) => (&mut self.read.pong, payload.len()),
                Message::Close(frame) => (
                    &mut self.read.close,
                    frame.as_ref().map_or(0, |frame| 2 + frame.reason.len()),
                ),
                Message::Frame(_) => panic!("a raw frame"),
            };
            *opcode += 1;
            self.read.payload_bytes += bytes as u64;
        }
        next
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    pub(crate) async fn ask(&mut self, text: &str) -> String {
        self.send(text).await;
        self.text().await
    }

    pub(crate) async fn hears_nothing(&mut self) {
        let next = timeout(NOTHING, self.socket.next()).await;
        assert!(next.is_err(), "{next:?}");
    }

    /// Reads to the end of the connection: the close frame's code, or the error.
    pub(crate) async fn end(&mut self) -> Result<Option<u16>, Error> {
        let mut code = None;
        while let Some(next) = self.next().await {
            if let Message::Close(frame) = next? {
                code = frame.map(|frame| frame.code.into());
            }
        }
        Ok(code)
    }
}
