//! The set of streams that are shown.

use super::stream::StreamCells;
use super::venue::VenueCells;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

/// The streams whose figures are shown, as long as somebody else holds them.
#[derive(Debug, Default)]
pub struct Streams {
    members: RwLock<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// By venue and stream: the order in which they are shown.
    streams: BTreeMap<(String, String), Weak<StreamCells>>,
    venues: BTreeMap<String, Weak<VenueCells>>,
}

impl Streams {
    /// Without a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The figures of that venue: those that its streams hold already, or new ones.
    pub fn venue(&self, name: &str) -> Arc<VenueCells> {
        let mut members = self.write();
        if let Some(venue) = members.venues.get(name).and_then(Weak::upgrade) {
            return venue;
        }
        let venue = Arc::new(VenueCells::new(name));
        members.venues.retain(|_, venue| venue.strong_count() > 0);
        members.venues.insert(name.to_owned(), Arc::downgrade(&venue));
        venue
    }

    /// Shows a stream until its last handle is dropped. One of the same venue and name takes the place of the one before.
    pub fn add(&self, stream: &Arc<StreamCells>) {
        let key = (
            stream.venue().name().to_owned(),
            stream.info().stream.as_str().to_owned(),
        );
        let mut members = self.write();
        members.streams.retain(|_, stream| stream.strong_count() > 0);
        members.streams.insert(key, Arc::downgrade(stream));
    }

    /// The streams there are, by venue and name.
    pub fn all(&self) -> Vec<Arc<StreamCells>> {
        self.read().streams.values().filter_map(Weak::upgrade).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.read()
            .streams
            .values()
            .filter(|stream| stream.strong_count() > 0)
            .count()
    }

    fn read(&self) -> RwLockReadGuard<'_, Members> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Members> {
        self.members.write().unwrap_or_else(PoisonError::into_inner)
    }
}
