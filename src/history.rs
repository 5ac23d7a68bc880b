//! The last things that happened to a stream, for people and programs that ask later: bounded, the oldest go first.
//!
//! ```
//! use feedwatch::clock::Moment;
//! use feedwatch::market::{Cause, StreamName};
//! use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
//! use feedwatch::observe::StreamObserver;
//! use feedwatch::stream::{Fact, Observer};
//! use feedwatch::supervise::{Notice, Policy};
//! use std::sync::Arc;
//!
//! let info = StreamInfo::new(StreamName::new("bot").unwrap(), "venue.example", "wss");
//! let cells = Arc::new(StreamCells::new(info, Streams::new().venue("polymarket"), Moment::now().mono));
//! let observer = StreamObserver::new(cells.clone(), &Policy::default());
//!
//! // The stream tells its observer what happens; the observer keeps it with the stream's figures.
//! let lost = Notice::Lost { cause: Cause::Eof, detail: "".into() };
//! observer.observe(Moment::now(), &Fact::Supervisor(lost));
//! let newest = &cells.history().newest_first()[0];
//! assert_eq!((newest.what, newest.cause), ("lost", Some(Cause::Eof)));
//! ```

use crate::clock::Moment;
use crate::market::{Cause, DialPhase, TraceId};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many entries of a stream are kept.
pub const LENGTH: usize = 50;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When. It is shown by the wall clock of that moment, as in the log, however the clock is set later.
    pub at: Moment,
    /// What, in a word: `lost`, `backing_off`.
    pub what: &'static str,
    /// Why an attempt failed or a connection was lost.
    pub cause: Option<Cause>,
    /// A sentence, or nothing; never holds a secret.
    pub detail: Cow<'static, str>,
    /// What else there is to tell of it, by name.
    pub figures: Vec<(&'static str, Figure)>,
    /// How long the phases of the attempt took that ends here.
    pub phases: Vec<(DialPhase, Duration)>,
    /// The recorded trace of the outage that it belongs to.
    pub trace: Option<TraceId>,
}

/// A figure of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Figure {
    /// A number of something.
    Count(u64),
    /// A length of time.
    Time(Duration),
    /// A word of a closed set.
    Word(&'static str),
}

/// The last [`LENGTH`] entries of a stream.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Entry>>);

impl History {
    /// Adds an entry; the oldest goes where there are too many.
    pub fn push(&self, entry: Entry) {
        let mut entries = self.entries();
        if entries.len() == LENGTH {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// The entries, the newest first.
    pub fn newest_first(&self) -> Vec<Entry> {
        self.entries().iter().rev().cloned().collect()
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_go_first() {
        let history = History::default();
        let begun = Moment::now();
        let entry = |second| Entry {
            at: Moment {
                mono: begun.mono + Duration::from_secs(second),
                ..begun
            },
            what: "lost",
            cause: Some(Cause::Eof),
            detail: "".into(),
            figures: Vec::new(),
            phases: Vec::new(),
            trace: None,
        };
        for second in 0..LENGTH as u64 + 2 {
            history.push(entry(second));
        }
        let kept = history.newest_first();
        assert_eq!(kept.len(), LENGTH);
        assert_eq!(kept.first(), Some(&entry(LENGTH as u64 + 1)));
        assert_eq!(kept.last(), Some(&entry(2)));
    }
}
