//! The figures of the queue between a stream and its consumer. A stream that is read directly has none.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The figures of one queue. Dropping the last handle removes its series.
#[derive(Debug)]
pub struct QueueCells {
    capacity: u64,
    depth: AtomicU64,
    dropped: AtomicU64,
}

/// The figures of a queue at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueSnapshot {
    pub(super) capacity: u64,
    pub(super) depth: u64,
    pub(super) dropped: u64,
}

impl QueueCells {
    /// Of an empty queue that holds so many events.
    pub const fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity as u64,
            depth: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// So many events wait now.
    pub fn set_depth(&self, events: usize) {
        self.depth.store(events as u64, Relaxed);
    }

    /// So many frames more were dropped.
    pub fn dropped(&self, frames: u64) {
        self.dropped.fetch_add(frames, Relaxed);
    }

    fn snapshot(&self) -> QueueSnapshot {
        QueueSnapshot {
            capacity: self.capacity,
            depth: self.depth.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }
}

/// The queue of a stream, as long as somebody else holds it. Only who attaches one and who scrapes comes here.
#[derive(Debug, Default)]
pub(super) struct AttachedQueue(Mutex<Weak<QueueCells>>);

impl AttachedQueue {
    pub(super) fn attach(&self, capacity: usize) -> Arc<QueueCells> {
        let queue = Arc::new(QueueCells::new(capacity));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&queue);
        queue
    }

    pub(super) fn snapshot(&self) -> Option<QueueSnapshot> {
        let queue = self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
        Some(queue.snapshot())
    }
}
