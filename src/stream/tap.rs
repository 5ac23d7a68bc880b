//! A tap: a copy of all that passes on the connections of a stream, for a recorder.
//!
//! It never blocks a stream. Whoever reads too slowly misses frames, and is told how many.

use crate::clock::Moment;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::SystemTime;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// So many frames wait for the reader at most.
const MAX_FRAMES: usize = 262_144;

/// Copies every text and binary frame that the connections of a stream receive, and every text that they send: also heartbeats
/// and acknowledgements, which no consumer gets. Control frames of the WebSocket protocol are left out.
///
/// Its clones share one reader. What waits for the reader is bounded; frames beyond that are missed: [`TappedConnection::missed`].
///
/// ```
/// use feedwatch::clock::Moment;
/// use feedwatch::market::StreamName;
/// use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
/// use feedwatch::stream::{Endpoint, NoObserver, Tap, TlsTrust, TransportOptions, WebSocketStream};
/// use feedwatch::venue::{Polymarket, Venue};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = Endpoint::parse(Polymarket.default_url())?;
/// let info = StreamInfo::new(StreamName::new("elections")?, endpoint.host(), endpoint.scheme());
/// let cells = Arc::new(StreamCells::new(info, Streams::new().venue(Polymarket.name()), Moment::now().mono));
/// let (options, trust) = (TransportOptions::default(), TlsTrust::only([])?);
/// let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, Arc::new(NoObserver));
///
/// let (tap, mut reader) = Tap::new(16 * 1024 * 1024);
/// let socket = socket.with_tap(tap);
/// // The reader, on a task of its own, ends with the stream.
/// let reading = tokio::spawn(async move {
///     while let Some(frame) = reader.recv().await {
///         println!("{} {:?}: {} bytes", frame.connection.number(), frame.direction, frame.payload.len());
///     }
///     reader.missed()
/// });
/// drop(socket);
/// assert_eq!(reading.await?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tap {
    sender: mpsc::Sender<TappedFrame>,
    shared: Arc<Shared>,
}

/// The reader's end of a [`Tap`].
pub struct TapReader {
    waiting: mpsc::Receiver<TappedFrame>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Payload that waits for the reader.
    bytes: AtomicUsize,
    max_bytes: usize,
    connections: AtomicU64,
    missed: AtomicU64,
}

/// A frame that has passed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TappedFrame {
    /// On which connection.
    pub connection: Arc<TappedConnection>,
    /// Which way.
    pub direction: TapDirection,
    /// When it was read, or handed to the socket.
    pub at: SystemTime,
    /// Whether it is a text; the others are binary.
    pub is_text: bool,
    /// The payload, exactly.
    pub payload: Bytes,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapDirection {
    /// From the venue.
    Received,
    /// To the venue.
    Sent,
}

/// What is known of a connection beside its frames.
#[derive(Debug)]
pub struct TappedConnection {
    number: u64,
    missed: AtomicU64,
    over: AtomicBool,
}

impl TappedConnection {
    /// Counted from 1, in the order in which the upgrades were answered.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// So many of its frames did not reach the reader, because too many were waiting.
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    /// Whether it has ended. What it handed over before may still wait for the reader.
    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

impl Tap {
    /// A tap and its reader. At most `max_bytes` of payload, and 262,144 frames, wait for the reader.
    pub fn new(max_bytes: usize) -> (Self, TapReader) {
        let (sender, waiting) = mpsc::channel(MAX_FRAMES);
        let shared = Arc::new(Shared {
            bytes: AtomicUsize::new(0),
            max_bytes,
            connections: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        });
        let tap = Self {
            sender,
            shared: shared.clone(),
        };
        (tap, TapReader { waiting, shared })
    }

    /// Of a connection that has just been upgraded.
    pub(crate) fn connection(&self) -> ConnectionTap {
        ConnectionTap {
            tap: self.clone(),
            connection: Arc::new(TappedConnection {
                number: self.shared.connections.fetch_add(1, Relaxed) + 1,
                missed: AtomicU64::new(0),
                over: AtomicBool::new(false),
            }),
        }
    }
}

/// The tap of one connection, which is over when this is dropped.
pub(crate) struct ConnectionTap {
    tap: Tap,
    connection: Arc<TappedConnection>,
}

impl ConnectionTap {
    /// Copies what was received at `at`; control frames are left out.
    pub(crate) fn received(&self, at: Moment, message: &Message) {
        match message {
            Message::Text(text) => self.pass(at, TapDirection::Received, true, text.as_bytes()),
            Message::Binary(payload) => self.pass(at, TapDirection::Received, false, payload),
            _ => {}
        }
    }

    /// Copies a text that is sent at `at`.
    pub(crate) fn sent(&self, at: Moment, text: &str) {
        self.pass(at, TapDirection::Sent, true, text.as_bytes());
    }

    fn pass(&self, at: Moment, direction: TapDirection, is_text: bool, payload: &[u8]) {
        let shared = &self.tap.shared;
        let before = shared.bytes.fetch_add(payload.len(), Relaxed);
        // One is always taken: its size has a limit of its own.
        let has_room = before == 0 || before.saturating_add(payload.len()) <= shared.max_bytes;
        let permit = self.tap.sender.try_reserve().ok().filter(|_| has_room);
        if let Some(permit) = permit {
            permit.send(TappedFrame {
                connection: self.connection.clone(),
                direction,
                at: at.wall,
                is_text,
                // A copy: a part of what was read at once would keep all of that in memory.
                payload: Bytes::copy_from_slice(payload),
            });
        } else {
            shared.bytes.fetch_sub(payload.len(), Relaxed);
            shared.missed.fetch_add(1, Relaxed);
            self.connection.missed.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for ConnectionTap {
    fn drop(&mut self) {
        self.connection.over.store(true, SeqCst);
    }
}

impl TapReader {
    /// The next frame, in the order of each connection; `None` when every tap is gone and all was read. Loses nothing when it is
    /// not polled again.
    pub async fn recv(&mut self) -> Option<TappedFrame> {
        let frame = self.waiting.recv().await?;
        self.shared.bytes.fetch_sub(frame.payload.len(), Relaxed);
        Some(frame)
    }

    /// How many frames are waiting.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// So many frames of all connections did not get here, because too many were waiting.
    pub fn missed(&self) -> u64 {
        self.shared.missed.load(Relaxed)
    }

    /// The next frame, if one is waiting.
    pub fn try_recv(&mut self) -> Option<TappedFrame> {
        let frame = self.waiting.try_recv().ok()?;
        self.shared.bytes.fetch_sub(frame.payload.len(), Relaxed);
        Some(frame)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl fmt::Debug for TapReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting();
        f.debug_struct("TapReader")
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tap: &ConnectionTap, text: &str) {
        tap.received(Moment::now(), &Message::text(text));
    }

    #[tokio::test]
    async fn all_frames_but_control_frames_are_copied_in_order() {
        let (tap, mut reader) = Tap::new(1000);
        let (first, second) = (tap.connection(), tap.connection());
        first.sent(Moment::now(), "PING");
        text(&first, "PONG");
        first.received(Moment::now(), &Message::Ping(Bytes::new()));
        first.received(Moment::now(), &Message::binary(vec![0, 255]));
        text(&second, "[]\n");
        drop((first, second, tap));
        let mut seen = Vec::new();
        while let Some(frame) = reader.recv().await {
            assert!(frame.connection.is_over());
            seen.push((frame.connection.number(), frame.direction, frame.is_text, frame.payload));
        }
        let expected: [(u64, TapDirection, bool, &[u8]); 4] = [
            (1, TapDirection::Sent, true, b"PING"),
            (1, TapDirection::Received, true, b"PONG"),
            (1, TapDirection::Received, false, &[0, 255]),
            (2, TapDirection::Received, true, b"[]\n"),
        ];
        let expected = expected.map(|(number, way, is_text, payload)| (number, way, is_text, Bytes::from(payload)));
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn who_reads_too_slowly_misses_frames_and_is_told() {
        let (tap, mut reader) = Tap::new(10);
        let connection = tap.connection();
        text(&connection, "1234567890123");
        text(&connection, "1");
        assert_eq!(
            connection.connection.missed(),
            1,
            "one is always taken, and no more beside it"
        );
        assert_eq!(reader.recv().await.unwrap().payload.len(), 13);
        text(&connection, "1234567890");
        text(&connection, "1");
        assert_eq!(reader.recv().await.unwrap().connection.missed(), 2);
        for _ in 0..=MAX_FRAMES {
            text(&connection, "");
        }
        assert_eq!(
            connection.connection.missed(),
            3,
            "frames without a byte are bounded, too"
        );
        let mut waiting = 0;
        while reader.try_recv().is_some() {
            waiting += 1;
        }
        assert_eq!(waiting, MAX_FRAMES);
        drop(reader);
        text(&connection, "1");
        assert_eq!(connection.connection.missed(), 4, "nobody reads any more");
    }
}
