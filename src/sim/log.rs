//! What the simulated venue did: entries in the order of their happening, and counters of frames and bytes.

use crate::clock::{Moment, unix_seconds};
use serde::{Serialize, Serializer};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Message;

/// So many entries, and so many connections' own counters, are kept; the totals are always complete.
pub const LOG_LIMIT: usize = 100_000;
/// So many entries wait for a subscriber that is slow, before it misses some.
const NEWS_CAPACITY: usize = 1024;

/// One thing that the venue did, or that was done to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// When, since the venue's start. As JSON: `elapsed_seconds`.
    #[serde(rename = "elapsed_seconds", serialize_with = "seconds")]
    pub at: Duration,
    /// When, by the wall clock. As JSON: `time`, in seconds since the Unix epoch.
    #[serde(rename = "time", serialize_with = "unix_time")]
    pub wall: SystemTime,
    /// Which connection, counted from 1; 0 = the venue itself.
    pub connection: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. As JSON: the field `what`, and the fields of the variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// The port is closed from now on: dials are refused by the kernel, and the venue does not see them.
    PortClosed,
    /// The port is open again.
    PortOpened,
    /// A TCP connection was accepted.
    Accepted,
    /// The upgrade was answered with this status.
    UpgradeRefused {
        /// The HTTP status.
        status: u16,
        /// The answer's `Retry-After`. Not where a script wrote a date into the headers by itself.
        retry_after_seconds: Option<u64>,
    },
    /// The upgrade will never be answered.
    Hung,
    /// The upgrade was answered.
    Upgraded,
    /// The first subscription was answered: the moment at which the answer was handed to the socket.
    Subscribed {
        /// Tokens in effect; the answer has a book for each.
        accepted: usize,
        /// Tokens left out.
        refused: usize,
    },
    /// The REST part was asked for something.
    Asked {
        /// The path, the first 200 characters of it.
        path: String,
        /// The HTTP status of the answer; `None` where there was no whole one.
        status: Option<u16>,
    },
    /// Of several recordings, this one is played to the connection.
    Replayed {
        /// Which one, counted from 1.
        recording: usize,
    },
    /// Traffic has begun: what is sent from now on is more than the answer.
    Fed,
    /// The first subscription was refused.
    Rejected,
    /// The subscriptions of the open connection changed.
    SubscriptionChanged {
        /// Tokens added.
        added: usize,
        /// Tokens left out.
        refused: usize,
        /// Tokens taken out.
        removed: usize,
    },
    /// The scripted fault takes effect.
    FaultBegan {
        /// Its name, as in a script.
        name: &'static str,
    },
    /// The venue sent a close frame.
    ClosedByVenue {
        /// Its code, where it has one.
        code: Option<u16>,
    },
    /// The venue reset the TCP connection.
    Reset,
    /// The venue ended the TCP connection without a close frame.
    Cut,
    /// The client sent a close frame.
    ClosedByClient {
        /// Its code, where it has one.
        code: Option<u16>,
    },
    /// The client went away without a close frame, or never asked for the upgrade.
    LostByClient,
    /// The venue has let go of the connection: its counters are final.
    Ended,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn unix_time<S: Serializer>(wall: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(unix_seconds(*wall))
}

/// Frames of one direction, by opcode. A message in several fragments counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameCounts {
    /// Text frames.
    pub text: u64,
    /// Binary frames.
    pub binary: u64,
    /// Ping frames.
    pub ping: u64,
    /// Pong frames.
    pub pong: u64,
    /// Close frames.
    pub close: u64,
    /// Payload bytes of all of them; a close frame's are two for its code, and its reason.
    pub payload_bytes: u64,
}

impl FrameCounts {
    /// Frames of all opcodes.
    pub const fn frames(&self) -> u64 {
        self.text + self.binary + self.ping + self.pong + self.close
    }
}

/// Frames of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// What the venue sent: exactly what a client reads that reads until the connection's end.
    pub sent: FrameCounts,
    /// The part of `sent` that answers a client's close frame: a client may leave without reading it.
    pub close_replies: FrameCounts,
    /// What the venue received.
    pub received: FrameCounts,
}

#[derive(Debug, Default)]
struct Tally {
    text: AtomicU64,
    binary: AtomicU64,
    ping: AtomicU64,
    pong: AtomicU64,
    close: AtomicU64,
    payload_bytes: AtomicU64,
}

impl Tally {
    fn count(&self, message: &Message) {
        let (opcode, bytes) = match message {
            Message::Text(text) => (&self.text, text.len()),
            Message::Binary(payload) => (&self.binary, payload.len()),
            Message::Ping(payload) => (&self.ping, payload.len()),
            Message::Pong(payload) => (&self.pong, payload.len()),
            Message::Close(frame) => (&self.close, frame.as_ref().map_or(0, |frame| 2 + frame.reason.len())),
            Message::Frame(_) => return, // is never read, and never sent by this venue
        };
        opcode.fetch_add(1, Relaxed);
        self.payload_bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn read(&self) -> FrameCounts {
        FrameCounts {
            text: self.text.load(Relaxed),
            binary: self.binary.load(Relaxed),
            ping: self.ping.load(Relaxed),
            pong: self.pong.load(Relaxed),
            close: self.close.load(Relaxed),
            payload_bytes: self.payload_bytes.load(Relaxed),
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    sent: Tally,
    close_replies: Tally,
    received: Tally,
}

impl Counters {
    fn read(&self) -> Counts {
        Counts {
            sent: self.sent.read(),
            close_replies: self.close_replies.read(),
            received: self.received.read(),
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    /// The first is connection 1's.
    connections: Vec<Arc<Counters>>,
    overflowed: bool,
}

/// Everything that a simulated venue did.
#[derive(Debug)]
pub struct SimLog {
    started: Moment,
    kept: Mutex<Kept>,
    totals: Counters,
    news: broadcast::Sender<Entry>,
}

impl SimLog {
    pub(super) fn new() -> Self {
        Self {
            started: Moment::now(),
            kept: Mutex::default(),
            totals: Counters::default(),
            news: broadcast::Sender::new(NEWS_CAPACITY),
        }
    }

    /// When the venue started: [`Entry::at`] counts from here.
    pub const fn started(&self) -> Moment {
        self.started
    }

    /// The time since the venue's start.
    pub fn elapsed(&self) -> Duration {
        Moment::now().mono.saturating_duration_since(self.started.mono)
    }

    /// The entries up to now, the oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.kept().entries.clone()
    }

    /// Whether more happened than [`LOG_LIMIT`] lets it keep: the newest entries, or connections' counters, are missing.
    pub fn overflowed(&self) -> bool {
        self.kept().overflowed
    }

    /// Every entry from now on. A subscriber that is more than 1,024 entries behind misses some, and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<Entry> {
        self.news.subscribe()
    }

    /// The counters of all connections together.
    pub fn totals(&self) -> Counts {
        self.totals.read()
    }

    /// The counters of one connection, counted from 1.
    pub fn counts(&self, connection: u64) -> Option<Counts> {
        let index = usize::try_from(connection.checked_sub(1)?).ok()?;
        self.kept().connections.get(index).map(|counters| counters.read())
    }

    pub(super) fn note(&self, connection: u64, what: What) {
        let mut kept = self.kept();
        // Read under the lock, so that the entries' times never go back.
        let now = Moment::now();
        let entry = Entry {
            at: now.mono.saturating_duration_since(self.started.mono),
            wall: now.wall,
            connection,
            what,
        };
        if kept.entries.len() < LOG_LIMIT {
            kept.entries.push(entry.clone());
        } else {
            kept.overflowed = true;
        }
        drop(kept);
        let _ = self.news.send(entry); // an error only says that nobody listens
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's part of the log.
#[derive(Debug)]
pub(super) struct ConnectionLog {
    log: Arc<SimLog>,
    number: u64,
    own: Arc<Counters>,
}

impl ConnectionLog {
    /// Notes that connection `number` was accepted. Numbers are to come in order.
    pub(super) fn accepted(log: Arc<SimLog>, number: u64) -> Self {
        let own = Arc::new(Counters::default());
        {
            let mut kept = log.kept();
            if kept.connections.len() < LOG_LIMIT {
                kept.connections.push(Arc::clone(&own));
            } else {
                kept.overflowed = true;
            }
        }
        log.note(number, What::Accepted);
        Self { log, number, own }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn note(&self, what: What) {
        self.log.note(self.number, what);
    }

    pub(super) fn sent(&self, message: &Message) {
        self.own.sent.count(message);
        self.log.totals.sent.count(message);
    }

    pub(super) fn replied_to_close(&self, reply: &Message) {
        self.sent(reply);
        self.own.close_replies.count(reply);
        self.log.totals.close_replies.count(reply);
    }

    pub(super) fn received(&self, message: &Message) {
        self.own.received.count(message);
        self.log.totals.received.count(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    #[test]
    fn an_entry_is_one_flat_json_object() {
        let log = SimLog::new();
        log.note(3, What::ClosedByVenue { code: Some(1012) });
        let value = serde_json::to_value(&log.entries()[0]).unwrap();
        assert_eq!(value["what"], "closed_by_venue");
        assert_eq!(value["code"], 1012);
        assert_eq!(value["connection"], 3);
        assert!(value["elapsed_seconds"].as_f64().unwrap() >= 0.0);
        assert!(value["time"].as_f64().unwrap() > 1e9);
    }

    #[test]
    fn the_log_is_bounded_and_says_when_it_overflowed() {
        let log = SimLog::new();
        for _ in 0..LOG_LIMIT {
            log.note(1, What::Ended);
        }
        assert!(!log.overflowed());
        log.note(1, What::Ended);
        assert!(log.overflowed());
        assert_eq!(log.entries().len(), LOG_LIMIT);
    }

    #[test]
    fn frames_are_counted_by_opcode_for_the_connection_and_in_total() {
        let log = Arc::new(SimLog::new());
        let (one, two) = (
            ConnectionLog::accepted(Arc::clone(&log), 1),
            ConnectionLog::accepted(Arc::clone(&log), 2),
        );
        one.sent(&Message::text("PONG"));
        one.sent(&Message::Close(None));
        two.sent(&Message::Close(Some(CloseFrame {
            code: 1000.into(),
            reason: "bye".into(),
        })));
        two.received(&Message::Ping("x".into()));
        assert_eq!(log.counts(1).unwrap().sent.payload_bytes, 4);
        assert_eq!(log.counts(2).unwrap().sent.payload_bytes, 5);
        assert_eq!(log.counts(3), None);
        let totals = log.totals();
        assert_eq!(
            (totals.sent.frames(), totals.sent.close, totals.received.ping),
            (3, 2, 1)
        );
    }
}
