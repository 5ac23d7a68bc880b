//! The figures of the queues between a stream and its consumer. A stream that is read directly has none; one of which several
//! connections are spawned has one for each.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The figures of one queue. Dropping the last handle removes its series.
#[derive(Debug)]
pub struct QueueCells {
    capacity: u64,
    depth: AtomicU64,
    /// Of all queues that the stream has ever had: a counter does not fall when one of them ends.
    dropped: Arc<AtomicU64>,
}

/// The figures of a stream's queues at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueSnapshot {
    pub(super) capacity: u64,
    pub(super) depth: u64,
    pub(super) dropped: u64,
}

impl QueueCells {
    /// Of an empty queue that holds so many events.
    pub fn new(capacity: usize) -> Self {
        Self::counting(capacity, Arc::default())
    }

    const fn counting(capacity: usize, dropped: Arc<AtomicU64>) -> Self {
        Self {
            capacity: capacity as u64,
            depth: AtomicU64::new(0),
            dropped,
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
}

/// The queues of a stream, as long as somebody else holds them. Only who attaches one and who scrapes comes here.
#[derive(Debug, Default)]
pub(super) struct AttachedQueues {
    queues: Mutex<Vec<Weak<QueueCells>>>,
    dropped: Arc<AtomicU64>,
}

impl AttachedQueues {
    pub(super) fn attach(&self, capacity: usize) -> Arc<QueueCells> {
        let queue = Arc::new(QueueCells::counting(capacity, self.dropped.clone()));
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(&queue));
        queue
    }

    /// What they add up to; `None` where there is none.
    pub(super) fn snapshot(&self) -> Option<QueueSnapshot> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let held = queues.iter().filter_map(Weak::upgrade);
        let figures = held.map(|queue| (queue.capacity, queue.depth.load(Relaxed)));
        let sum =
            figures.reduce(|(capacity, depth), one| (capacity.saturating_add(one.0), depth.saturating_add(one.1)));
        sum.map(|(capacity, depth)| QueueSnapshot {
            capacity,
            depth,
            dropped: self.dropped.load(Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_of_a_stream_add_up_for_as_long_as_they_are_held() {
        let attached = AttachedQueues::default();
        assert_eq!(attached.snapshot(), None);
        let (one, other) = (attached.attach(10), attached.attach(5));
        one.set_depth(3);
        other.set_depth(1);
        other.dropped(7);
        let snapshot = |capacity, depth, dropped| QueueSnapshot {
            capacity,
            depth,
            dropped,
        };
        assert_eq!(attached.snapshot(), Some(snapshot(15, 4, 7)));
        drop(other);
        assert_eq!(attached.snapshot(), Some(snapshot(10, 3, 7)));
        drop(one);
        assert_eq!(attached.snapshot(), None);
        let _later = attached.attach(2);
        assert_eq!(attached.snapshot(), Some(snapshot(2, 0, 7)));
    }
}
