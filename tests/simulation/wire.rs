//! A TCP connection that exists only in memory: two lanes with latency, which can be blocked, reset, or lost.

use bytes::{Buf, Bytes};
use fastrand::Rng;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What fits into a lane before its writer has to wait.
const CAPACITY: usize = 64 * 1024;

/// How long a chunk is on its way: milliseconds at least, and so many more by chance.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    pub(crate) least: AtomicU64,
    pub(crate) spread: AtomicU64,
}

impl Latency {
    pub(crate) fn draw(&self, rng: &mut Rng) -> Duration {
        let (least, spread) = (self.least.load(Relaxed), self.spread.load(Relaxed));
        Duration::from_millis(least + rng.u64(0..=spread))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    /// Both ends are told at once.
    Reset,
    /// The other machine is gone: nothing arrives any more, and nobody says so.
    Lost,
}

/// One direction.
struct Lane {
    chunks: VecDeque<(Instant, Bytes)>,
    queued: usize,
    /// The writer has left; the reader learns of it then.
    end: Option<Instant>,
    reader_left: bool,
    /// Nothing gets through; it arrives when the way is free again.
    blocked: bool,
    fate: Fate,
    /// Nothing overtakes what was sent before.
    last_due: Instant,
    latency: Arc<Latency>,
    rng: Rng,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn due(&mut self) -> Instant {
        self.last_due = self.last_due.max(Instant::now() + self.latency.draw(&mut self.rng));
        self.last_due
    }
}

/// Counts whoever is alive.
pub(crate) struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    pub(crate) fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Relaxed);
        Self(alive.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// One end of a connection.
pub(crate) struct Wire {
    incoming: Arc<Mutex<Lane>>,
    outgoing: Arc<Mutex<Lane>>,
    timer: Pin<Box<Sleep>>,
    _tickets: Vec<Ticket>,
}

/// A hand on both lanes of a connection, for as long as one of its ends is alive.
pub(crate) struct Link([Weak<Mutex<Lane>>; 2]);

/// Lays a connection; the tickets are those of its ends.
pub(crate) fn lay(
    latency: &Arc<Latency>,
    rng: &mut Rng,
    near: impl Into<Vec<Ticket>>,
    far: impl Into<Vec<Ticket>>,
) -> (Wire, Wire, Link) {
    let mut lane = || {
        Arc::new(Mutex::new(Lane {
            chunks: VecDeque::new(),
            queued: 0,
            end: None,
            reader_left: false,
            blocked: false,
            fate: Fate::Whole,
            last_due: Instant::now(),
            latency: latency.clone(),
            rng: Rng::with_seed(rng.u64(..)),
            reader: None,
            writer: None,
        }))
    };
    let (up, down) = (lane(), lane());
    let link = Link([Arc::downgrade(&up), Arc::downgrade(&down)]);
    let end = |incoming: &Arc<Mutex<Lane>>, outgoing: &Arc<Mutex<Lane>>, tickets| Wire {
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
        timer: Box::pin(sleep_until(Instant::now())),
        _tickets: tickets,
    };
    (end(&down, &up, near.into()), end(&up, &down, far.into()), link)
}

impl Link {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.iter().any(|lane| lane.strong_count() > 0)
    }

    /// Nothing gets through, or does again.
    pub(crate) fn block(&self, blocked: bool) {
        self.each(|lane| lane.blocked = blocked);
    }

    pub(crate) fn reset(&self) {
        self.each(|lane| lane.fate = Fate::Reset);
    }

    pub(crate) fn lose(&self) {
        self.each(|lane| lane.fate = Fate::Lost);
    }

    fn each(&self, change: impl Fn(&mut Lane)) {
        for lane in self.0.iter().filter_map(Weak::upgrade) {
            let mut lane = lane.lock().unwrap();
            change(&mut lane);
            lane.wake();
        }
    }
}

impl Wire {
    /// Ends the connection with a reset, for both.
    pub(crate) fn reset(&self) {
        for lane in [&self.incoming, &self.outgoing] {
            let mut lane = lane.lock().unwrap();
            lane.fate = Fate::Reset;
            lane.wake();
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut outgoing = self.outgoing.lock().unwrap();
        let due = outgoing.due();
        outgoing.end.get_or_insert(due);
        outgoing.wake();
        drop(outgoing);
        let mut incoming = self.incoming.lock().unwrap();
        incoming.reader_left = true;
        incoming.chunks.clear();
        incoming.queued = 0;
        incoming.wake();
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let due = {
                let mut lane = self.incoming.lock().unwrap();
                if lane.fate == Fate::Reset {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                lane.reader = Some(cx.waker().clone());
                if lane.blocked || lane.fate == Fate::Lost {
                    return Poll::Pending;
                }
                let now = Instant::now();
                let mut read = false;
                while buf.remaining() > 0
                    && let Some((due, chunk)) = lane.chunks.front_mut()
                    && *due <= now
                {
                    let length = chunk.len().min(buf.remaining());
                    buf.put_slice(&chunk[..length]);
                    chunk.advance(length);
                    if chunk.is_empty() {
                        lane.chunks.pop_front();
                    }
                    lane.queued -= length;
                    read = true;
                }
                if read {
                    if let Some(writer) = lane.writer.take() {
                        writer.wake();
                    }
                    return Poll::Ready(Ok(()));
                }
                match (lane.chunks.front(), lane.end) {
                    (Some((due, _)), _) => *due,
                    (None, Some(end)) if end <= now => return Poll::Ready(Ok(())),
                    (None, Some(end)) => end,
                    (None, None) => return Poll::Pending,
                }
            };
            self.timer.as_mut().reset(due);
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut lane = self.outgoing.lock().unwrap();
        match lane.fate {
            Fate::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            // The kernel takes it, and sends it again and again.
            Fate::Lost => return Poll::Ready(Ok(bytes.len())),
            Fate::Whole => {}
        }
        if lane.reader_left && !lane.blocked {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY.saturating_sub(lane.queued).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let due = lane.due();
        lane.chunks.push_back((due, Bytes::copy_from_slice(&bytes[..room])));
        lane.queued += room;
        if let Some(reader) = lane.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut lane = self.outgoing.lock().unwrap();
        let due = lane.due();
        lane.end.get_or_insert(due);
        lane.wake();
        Poll::Ready(Ok(()))
    }
}
