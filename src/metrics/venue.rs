//! The figures that the streams of one venue share.

use super::catalogue::{CONTROL_FRAMES, buckets};
use super::histogram::Histogram;
use super::labels::LabelSet;
use crate::market::DialPhase;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The kinds of WebSocket control frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A close frame.
    Close,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the venue.
    Received,
    /// To the venue.
    Sent,
}

/// Histograms and counters of a venue; shared by its streams. Nothing here allocates, and nothing of a single frame locks.
#[derive(Debug)]
pub struct VenueCells {
    name: String,
    pub(super) identity: LabelSet,
    /// Delays chosen before a redial, after jitter.
    pub reconnect_delay: Histogram,
    /// Outages, observed when live again.
    pub outage_duration: Histogram,
    /// Lives of connections, observed when they end.
    pub connection_duration: Histogram,
    /// Ping to pong.
    pub ping_rtt: Histogram,
    /// The venue's time of an event to its receipt. Fed by [`super::StreamCells::latency`].
    pub(super) message_latency: Histogram,
    pub(super) clock_skew: AtomicU64,
    pub(super) task_restarts: AtomicU64,
    pub(super) sequence_missed: AtomicU64,
    pub(super) resyncs: AtomicU64,
    pub(super) connect_duration: [Histogram; DialPhase::COUNT],
    pub(super) control_frames: [AtomicU64; CONTROL_FRAMES.len()],
    pub(super) certificate_not_after: AtomicU64,
    /// Nanoseconds.
    pub(super) dial_limiter_wait: AtomicU64,
}

impl VenueCells {
    /// All at 0.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            identity: LabelSet::new([("venue", name)]),
            reconnect_delay: Histogram::with_exemplars(buckets::RECONNECT_DELAY),
            outage_duration: Histogram::with_exemplars(buckets::OUTAGE_DURATION),
            connection_duration: Histogram::new(buckets::CONNECTION_DURATION),
            ping_rtt: Histogram::new(buckets::PING_RTT),
            message_latency: Histogram::new(buckets::MESSAGE_LATENCY),
            clock_skew: AtomicU64::new(0),
            task_restarts: AtomicU64::new(0),
            sequence_missed: AtomicU64::new(0),
            resyncs: AtomicU64::new(0),
            connect_duration: std::array::from_fn(|_| Histogram::new(buckets::CONNECT_DURATION)),
            control_frames: [const { AtomicU64::new(0) }; CONTROL_FRAMES.len()],
            certificate_not_after: AtomicU64::new(0),
            dial_limiter_wait: AtomicU64::new(0),
        }
    }

    /// The venue's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A phase of an attempt is over.
    pub fn connect_phase(&self, phase: DialPhase, took: Duration) {
        if let Some(histogram) = self.connect_duration.get(phase.index()) {
            histogram.observe(took);
        }
    }

    /// A dial waited so much longer at the gate of its host.
    pub fn waited_at_gate(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.dial_limiter_wait.fetch_add(nanos, Relaxed);
    }

    /// Something of a stream panicked, and is begun anew.
    pub fn task_restarted(&self) {
        self.task_restarts.fetch_add(1, Relaxed);
    }

    /// So many events are missing in a gap.
    pub fn missed(&self, events: u64) {
        self.sequence_missed.fetch_add(events, Relaxed);
    }

    /// An instrument is subscribed to anew because something of it was missing.
    pub fn resynced(&self) {
        self.resyncs.fetch_add(1, Relaxed);
    }

    /// The end of the certificate seen last: seconds since the Unix epoch.
    pub fn set_certificate_not_after(&self, unix_seconds: i64) {
        let seconds = u64::try_from(unix_seconds).unwrap_or(0);
        self.certificate_not_after.store(seconds, Relaxed);
    }

    pub(super) fn control_frame(&self, opcode: Opcode, direction: Direction) {
        if let Some(cell) = self.control_frames.get(opcode as usize * 2 + direction as usize) {
            cell.fetch_add(1, Relaxed);
        }
    }
}
