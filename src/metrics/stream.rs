//! The figures of one stream: one struct of atomics.
//!
//! What changes with each frame is counted in atomics of its own, without a lock, an allocation or a label look-up. What
//! changes when the stream moves stands behind a sequence lock, so that a scrape sees each move whole.

use super::figures::Figures;
use super::labels::LabelSet;
use super::queue::{AttachedQueue, QueueCells};
use super::seqlock::{Plain, SeqLock, cells};
use super::snapshot::StreamSnapshot;
use super::venue::{Direction, Opcode, VenueCells};
use super::writer::StreamWriter;
use crate::clock::{Moment, unix_seconds};
use crate::history::History;
use crate::market::{EventKind, StreamName};
use crate::supervise::State;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, fence};
use std::time::{Duration, Instant};

/// What a lag of the past still weighs after this long: 1/e.
const LAG_MEMORY_SECONDS: f64 = 10.0;
/// An event that is older than a day when it comes has a wrong time: no venue is that late.
const OLDEST_EVENT_SECONDS: f64 = 86_400.0;

/// Who a stream is.
#[derive(Clone, Debug)]
pub struct StreamInfo {
    /// The stream's name.
    pub stream: StreamName,
    /// Where it is served, without credentials: `ws-subscriptions-clob.polymarket.com`.
    pub server_address: String,
    /// `ws` or `wss`.
    pub transport: String,
    /// Whether somebody is to be woken when it is stale.
    pub page_on_stale: bool,
}

cells! {
    /// What changes with each frame.
    Traffic, TrafficCells {
        frames_received: u64,
        frames_sent: u64,
        received_bytes: u64,
        sent_bytes: u64,
        messages: [u64; EventKind::COUNT],
        /// Nanoseconds since the origin; 0 = never. So are the next two.
        last_frame: u64,
        last_data: u64,
        lag_at: u64,
        /// The bits of an `f64`: seconds.
        lag: u64,
    }
}

/// The figures of one stream. Dropping the last handle removes all its series.
#[derive(Debug)]
pub struct StreamCells {
    info: StreamInfo,
    venue: Arc<VenueCells>,
    origin: Instant,
    pub(super) identity: LabelSet,
    pub(super) info_labels: LabelSet,
    figures: SeqLock<Figures>,
    /// Until when the clocks have been shown: nanoseconds since the origin.
    shown: AtomicU64,
    traffic: TrafficCells,
    history: History,
    queue: AttachedQueue,
}

impl StreamCells {
    /// All at 0, and idle. `origin` is a moment before everything that will be reported, the present for instance.
    pub fn new(info: StreamInfo, venue: Arc<VenueCells>, origin: Instant) -> Self {
        let page_on_stale = if info.page_on_stale { "true" } else { "false" };
        Self {
            identity: LabelSet::new([("venue", venue.name()), ("stream", info.stream.as_str())]),
            info_labels: LabelSet::new([
                ("server_address", info.server_address.as_str()),
                ("transport", info.transport.as_str()),
                ("page_on_stale", page_on_stale),
            ]),
            info,
            venue,
            origin,
            figures: SeqLock::new(&Figures::ZERO),
            shown: AtomicU64::new(0),
            traffic: Traffic::ZERO.to_atomic(),
            history: History::default(),
            queue: AttachedQueue::default(),
        }
    }

    /// Who the stream is.
    pub const fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// The figures of its venue.
    pub const fn venue(&self) -> &Arc<VenueCells> {
        &self.venue
    }

    /// What happened to the stream last.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// A consumer is attached, whose queue holds so many events. Its series are shown for as long as its figures are held.
    pub fn attach_queue(&self, capacity: usize) -> Arc<QueueCells> {
        self.queue.attach(capacity)
    }

    /// What the stream is doing.
    pub fn state(&self) -> State {
        Figures::unpack_state(self.figures.twin().phase.load(Relaxed))
    }

    /// Reports what changed at `now`, as one change: a scrape sees all of it or nothing.
    pub fn update(&self, now: Instant, change: impl FnOnce(&mut StreamWriter)) {
        let now = nanos_between(self.origin, now);
        self.figures.write(|figures| {
            // A change that was stamped before a scrape and is reported after it must not take back what was shown.
            figures.settle(now.max(self.shown.load(Relaxed)));
            let mut writer = StreamWriter::new(figures.clone(), self.origin);
            change(&mut writer);
            *figures = writer.into_figures();
        });
    }

    /// All figures at `at`, those that grow with time included.
    pub fn snapshot(&self, at: Moment) -> StreamSnapshot {
        let until = nanos_between(self.origin, at.mono);
        self.shown.fetch_max(until, Relaxed);
        fence(SeqCst);
        let mut figures = self.figures.read();
        figures.settle(until);
        StreamSnapshot {
            at,
            origin: self.origin,
            figures,
            traffic: Traffic::load(&self.traffic),
            queue: self.queue.snapshot(),
        }
    }

    /// A frame of any kind came, with a payload of so many bytes.
    pub fn frame_received(&self, bytes: usize, at: Instant) {
        self.traffic.frames_received.fetch_add(1, Relaxed);
        self.traffic.received_bytes.fetch_add(bytes as u64, Relaxed);
        self.traffic.last_frame.fetch_max(stamp(self.origin, at), Relaxed);
    }

    /// A frame of any kind was sent, with a payload of so many bytes.
    pub fn frame_sent(&self, bytes: usize) {
        self.traffic.frames_sent.fetch_add(1, Relaxed);
        self.traffic.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A control frame came or went. It is a frame as well: report that too.
    pub fn control_frame(&self, opcode: Opcode, direction: Direction) {
        self.venue.control_frame(opcode, direction);
    }

    /// A message: one event of a frame.
    pub fn message(&self, kind: EventKind) {
        if let Some(cell) = self.traffic.messages.get(kind.index()) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// Market data came: feeds the data clock.
    pub fn data(&self, at: Instant) {
        self.traffic.last_data.fetch_max(stamp(self.origin, at), Relaxed);
    }

    /// An event of the venue's time `venue_time_ms` (milliseconds since the Unix epoch) came at `received`.
    ///
    /// A time in the future or more than a day ago is no latency: it counts as clock skew, and touches neither histogram nor
    /// lag.
    /// One task reports at a time.
    pub fn latency(&self, venue_time_ms: i64, received: Moment) {
        let seconds = unix_seconds(received.wall) - venue_time_ms as f64 / 1000.0;
        if !(0.0..=OLDEST_EVENT_SECONDS).contains(&seconds) {
            self.venue.clock_skew.fetch_add(1, Relaxed);
            return;
        }
        self.venue.message_latency.observe_seconds(seconds);
        self.smooth_lag(seconds, stamp(self.origin, received.mono));
    }

    /// Exponential smoothing over irregular intervals. Of events that come together the first one counts.
    fn smooth_lag(&self, seconds: f64, now: u64) {
        let last = self.traffic.lag_at.load(Relaxed);
        if now <= last {
            return;
        }
        let lag = if last == 0 {
            seconds
        } else {
            let before = f64::from_bits(self.traffic.lag.load(Relaxed));
            let passed = Duration::from_nanos(now - last).as_secs_f64();
            before + (seconds - before) * -(-passed / LAG_MEMORY_SECONDS).exp_m1()
        };
        self.traffic.lag.store(lag.to_bits(), Relaxed);
        self.traffic.lag_at.store(now, Relaxed);
    }
}

/// Nanoseconds from `origin` to `at`: 0 if it is earlier.
fn nanos_between(origin: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(origin).as_nanos()).unwrap_or(u64::MAX)
}

/// `at` as a figure in which 0 means never.
pub(super) fn stamp(origin: Instant, at: Instant) -> u64 {
    nanos_between(origin, at).max(1)
}
