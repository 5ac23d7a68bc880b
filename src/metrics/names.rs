//! The names that a stream watches, and what came of looking them up.

use super::snapshot::unix;
use crate::clock::Moment;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A name, and what came of looking it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameStatus {
    /// As it is configured.
    pub name: String,
    /// How many instruments it stands for.
    pub instruments: usize,
    /// When that was learned; `None` = never.
    pub resolved: Option<Instant>,
    /// Why the last look-up failed, or brought nothing where none has brought anything; `None` where neither is so. Never holds a
    /// secret.
    pub error: Option<String>,
}

impl NameStatus {
    /// Whether what is known of it is what the venue said last.
    pub const fn is_resolved(&self) -> bool {
        self.resolved.is_some() && self.error.is_none()
    }

    /// When it was learned what it stands for: Unix time, in seconds. `None` = never.
    pub fn resolved_unix(&self, at: Moment) -> Option<f64> {
        self.resolved.map(|resolved| unix(at, resolved))
    }
}

/// The names of a stream; none where it watches none.
#[derive(Debug, Default)]
pub(super) struct NameCells {
    all: Mutex<Vec<NameStatus>>,
    watched: AtomicU64,
    unresolved: AtomicU64,
    /// When all of them were last looked up without a failure: a stamp; 0 = never.
    success: AtomicU64,
}

/// The figures of a stream's names at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameFigures {
    pub(super) watched: u64,
    pub(super) unresolved: u64,
    pub(super) success: u64,
}

impl NameCells {
    /// `stamp` makes a figure of a moment.
    pub(super) fn set(&self, all: Vec<NameStatus>, stamp: impl Fn(Instant) -> u64) {
        let unresolved = all.iter().filter(|name| !name.is_resolved()).count();
        self.watched.store(all.len() as u64, Relaxed);
        self.unresolved.store(unresolved as u64, Relaxed);
        if unresolved == 0 {
            let oldest = all.iter().filter_map(|name| name.resolved).min();
            self.success.store(oldest.map_or(0, stamp), Relaxed);
        }
        *self.all.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    pub(super) fn all(&self) -> Vec<NameStatus> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn figures(&self) -> NameFigures {
        NameFigures {
            watched: self.watched.load(Relaxed),
            unresolved: self.unresolved.load(Relaxed),
            success: self.success.load(Relaxed),
        }
    }
}
