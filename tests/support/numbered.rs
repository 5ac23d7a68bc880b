//! A venue of the tests' own, whose events are numbered, whose books have checksums, and which wants its requests slowly.
//!
//! A request is `SUB 1 11 12` or `UNSUB 2 11`: its number, then instruments. `OK 1 11 12` answers it, or `NO 1 11`. Events stand
//! behind each other in a frame, with `;` between them, each with its instrument and numbers: see [`event`]. `bye` says that the
//! venue will end the connection, and `ask x` wants `re x` in return.

use super::rig::{Rig, feeding};
use super::rows::options;
use feedwatch::market::{
    Cause, DecodeError, Envelope, EventKind, Failure, Instrument, Place, Sequence, Series, Subscribed, Value,
    ValueError,
};
use feedwatch::supervise::{DialLimit, Policy};
use feedwatch::venue::{
    Answer, Checksums, Decoder, Feed, Heard, Heartbeat, Limits, Ping, Polymarket, Resync, Session, Venue,
};
use futures_util::{SinkExt, StreamExt};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

/// The protocol, with what differs between venues.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) resync: Resync,
    /// Requests a second, and at once.
    pub(crate) requests: Option<(f64, u32)>,
    /// So many instruments in a request.
    pub(crate) batch: usize,
    pub(crate) max_connection_age: Option<Duration>,
    /// Whether it answers what it is asked for.
    pub(crate) answers: bool,
}

impl Numbered {
    /// Never dropped, as the venues that are built in.
    pub(crate) fn with(resync: Resync) -> &'static Self {
        Self {
            resync,
            requests: None,
            batch: 100,
            max_connection_age: None,
            answers: true,
        }
        .leak()
    }

    pub(crate) fn leak(self) -> &'static Self {
        Box::leak(Box::new(self))
    }
}

impl Venue for Numbered {
    fn name(&self) -> &str {
        Polymarket.name()
    }

    fn default_url(&self) -> &'static str {
        "wss://numbered.example/ws"
    }

    fn limits(&self) -> Limits {
        let dial = DialLimit {
            per_second: 100.0,
            burst: 10,
        };
        let mut limits = Limits::new(10_000, dial);
        limits.max_connection_age = self.max_connection_age;
        match self.requests {
            Some((per_second, burst)) => limits.with_requests(per_second, burst),
            None => limits,
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            interval: Duration::from_secs(30),
            ping: Ping::text("ping"),
        }
    }

    fn stale_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn check_instrument(&self, _id: &str) -> Result<(), Cow<'static, str>> {
        Ok(())
    }

    fn has_sequences(&self) -> bool {
        true
    }

    fn resync(&self) -> Resync {
        self.resync
    }

    fn session(&self, _feed: &Feed) -> Box<dyn Session> {
        Box::new(NumberedSession {
            batch: self.batch,
            answers: self.answers,
            last: 0,
            asked: BTreeMap::new(),
        })
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(NumberedDecoder)
    }

    fn checksums(&self) -> Option<Box<dyn Checksums>> {
        Some(Box::new(Sums::default()))
    }
}

/// A book is wrong where the venue says so: `sum 11`. Of one that has not come whole nothing is known.
#[derive(Default)]
struct Sums {
    books: BTreeSet<String>,
}

impl Checksums for Sums {
    fn check(&mut self, frame: &str, is_asked_for: &dyn Fn(&str) -> bool, differs: &mut dyn FnMut(&str)) {
        for event in frame.split(';') {
            let mut words = event.split(' ');
            match (words.next(), words.next()) {
                (Some("book"), Some(instrument)) if is_asked_for(instrument) => {
                    self.books.insert(instrument.to_owned());
                }
                (Some("sum"), Some(instrument)) if is_asked_for(instrument) && self.books.remove(instrument) => {
                    differs(instrument);
                }
                _ => {}
            }
        }
    }

    fn forget(&mut self, instrument: &str) {
        self.books.remove(instrument);
    }
}

struct NumberedDecoder;

impl Decoder for NumberedDecoder {
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        frame.split(';').try_for_each(|text| event(text, visit))
    }

    fn values<'f>(&'f mut self, _frame: &'f str, _visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {}
}

/// What an event is.
fn event(text: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
    let words: Vec<_> = text.split(' ').collect();
    let number = |index: usize| {
        words
            .get(index)
            .and_then(|word| word.parse().ok())
            .ok_or(DecodeError::Schema)
    };
    let of = Series::Instrument(0);
    let control = match words[0] {
        "OK" => Some(EventKind::Ack),
        "NO" => Some(EventKind::Error),
        "pong" => Some(EventKind::Heartbeat),
        "bye" | "ask" => Some(EventKind::Status),
        _ => None,
    };
    if let Some(kind) = control {
        visit(Envelope::new(kind));
        return Ok(());
    }
    let (kind, series, place) = match words[0] {
        "sum" => (EventKind::BookDelta, of, None),
        "end" => (EventKind::Status, of, None),
        "book" => (EventKind::BookSnapshot, of, Some(Place::Start(number(2)?))),
        "next" => (EventKind::BookDelta, of, Some(Place::Next(number(2)?))),
        "late" => (
            EventKind::Trade,
            Series::Instrument(1),
            Some(Place::Unordered(number(2)?)),
        ),
        "all" => (EventKind::Trade, Series::Connection, Some(Place::Next(number(2)?))),
        "range" => {
            let (first, last) = (number(2)?, number(3)?);
            (EventKind::BookDelta, of, Some(Place::Range { first, last }))
        }
        "after" => {
            let (previous, number) = (number(2)?, number(3)?);
            (EventKind::BookDelta, of, Some(Place::After { previous, number }))
        }
        _ => return Err(DecodeError::Schema),
    };
    let sequence = place.map(|place| Sequence { series, place });
    visit(Envelope {
        instrument: Some(words[1]),
        sequence: sequence.as_ref(),
        ended: words[0] == "end",
        ..Envelope::new(kind)
    });
    Ok(())
}

struct NumberedSession {
    batch: usize,
    answers: bool,
    last: u64,
    asked: BTreeMap<u64, Vec<Instrument>>,
}

impl NumberedSession {
    fn request(&mut self, method: &str, instruments: &[Instrument]) -> String {
        self.last += 1;
        let ids: Vec<_> = instruments.iter().map(Instrument::as_str).collect();
        format!("{method} {} {}", self.last, ids.join(" "))
    }
}

impl Session for NumberedSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let mut texts = Vec::new();
        for batch in instruments.chunks(self.batch) {
            texts.push(self.request("SUB", batch));
            if self.answers {
                self.asked.insert(self.last, batch.to_vec());
            }
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        vec![self.request("UNSUB", instruments)]
    }

    fn is_awaiting(&self) -> bool {
        !self.asked.is_empty()
    }

    fn hears_data(&self) -> bool {
        false
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let (word, rest) = frame.split_once(' ').unwrap_or((frame, ""));
        match word {
            "bye" => return Some(Heard::Leaving(rest.to_owned().into())),
            "ask" => return Some(Heard::Reply(format!("re {rest}"))),
            "pong" => return Some(Heard::Pong),
            _ => {}
        }
        let asked = self.asked.remove(&rest.split(' ').next()?.parse().ok()?)?;
        Some(Heard::Answer(if word == "NO" {
            Answer::Rejected(
                asked,
                Failure::new(Cause::SubscribeRejected).with_detail("no such thing"),
            )
        } else {
            Answer::Settled(Subscribed {
                accepted: asked,
                ..Subscribed::default()
            })
        }))
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        std::mem::take(&mut self.asked).into_values().flatten().collect()
    }
}

/// What the server says to what it is sent, on which connection.
pub(crate) type Says = dyn Fn(usize, &str) -> Vec<String> + Send + Sync;

/// Grants all subscriptions, and answers pings.
pub(crate) fn grants(_connection: usize, text: &str) -> Vec<String> {
    let answer = text.strip_prefix("SUB ").map(|rest| format!("OK {rest}"));
    answer
        .or_else(|| (text == "ping").then(|| "pong".to_owned()))
        .into_iter()
        .collect()
}

/// A text that came, when, and on which connection; `open` and `closed` for its beginning and its end.
pub(crate) type Came = (usize, Instant, String);

/// A server on loopback. Connections are counted from 0.
pub(crate) struct Server {
    url: String,
    came: Arc<Mutex<Vec<Came>>>,
    /// What each connection is to say.
    says: Arc<Mutex<Vec<UnboundedSender<String>>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(says: impl Fn(usize, &str) -> Vec<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let (came, senders) = (Arc::default(), Arc::default());
        let answers: Arc<Says> = Arc::new(says);
        let task = tokio::spawn(listen(listener, answers, Arc::clone(&came), Arc::clone(&senders)));
        Self {
            url,
            came,
            says: senders,
            task,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A stream of the instruments 11 and 12 of that venue, from here.
    pub(crate) async fn watched(&self, venue: &'static dyn Venue, feed: Feed, policy: Policy) -> Rig {
        feeding(
            venue,
            feed,
            &["11", "12"].map(Instrument::new),
            &self.url,
            policy,
            options(),
        )
        .await
    }

    /// Sends a text on a connection that is there.
    pub(crate) fn say(&self, connection: usize, text: &str) {
        // Nobody hears it where the connection has ended meanwhile.
        let _ = self.says.lock().unwrap()[connection].send(text.to_owned());
    }

    /// What has come so far.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// The requests among that, of one connection.
    pub(crate) fn requests(&self, connection: usize) -> Vec<String> {
        let came = self.came().into_iter().filter(|(of, ..)| *of == connection);
        came.map(|(.., text)| text)
            .filter(|text| text.contains("SUB "))
            .collect()
    }

    /// When something came first.
    pub(crate) fn when(&self, connection: usize, what: &str) -> Option<Instant> {
        let came = self.came();
        let found = came.iter().find(|(of, _, text)| *of == connection && text == what);
        found.map(|(_, at, _)| *at)
    }

    pub(crate) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn listen(
    listener: TcpListener,
    says: Arc<Says>,
    came: Arc<Mutex<Vec<Came>>>,
    senders: Arc<Mutex<Vec<UnboundedSender<String>>>>,
) {
    for number in 0.. {
        let (end, _) = listener.accept().await.unwrap();
        let (sender, orders) = unbounded_channel();
        senders.lock().unwrap().push(sender);
        tokio::spawn(serve(end, number, says.clone(), came.clone(), orders));
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve<Io: AsyncRead + AsyncWrite + Unpin>(
    io: Io,
    number: usize,
    says: Arc<Says>,
    came: Arc<Mutex<Vec<Came>>>,
    mut orders: UnboundedReceiver<String>,
) {
    let note = |text: &str| came.lock().unwrap().push((number, Instant::now(), text.to_owned()));
    let Ok(mut socket) = tokio_tungstenite::accept_async(io).await else {
        return;
    };
    note("open");
    loop {
        let texts = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    note(text.as_str());
                    says(number, text.as_str())
                }
                Some(Ok(_)) => Vec::new(),
                Some(Err(_)) | None => break,
            },
            Some(text) = orders.recv() => vec![text],
        };
        for text in texts {
            if socket.send(Message::text(text)).await.is_err() {
                break;
            }
        }
    }
    note("closed");
}
