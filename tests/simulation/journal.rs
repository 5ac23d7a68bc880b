//! What happened in a world, line by line, and what should not have.

use super::promise::Promise;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// More than so many breaches of one promise say nothing new.
const ENOUGH: u64 = 3;

pub(crate) struct Journal {
    begun: Instant,
    pages: Mutex<Pages>,
}

#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) history: Vec<String>,
    pub(crate) broken: Vec<String>,
    pub(crate) checked: Vec<u64>,
    breaches: Vec<u64>,
    /// What was met, and how often.
    pub(crate) met: BTreeMap<&'static str, u64>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let none = vec![0; Promise::ALL.len()];
        Self {
            begun: Instant::now(),
            pages: Mutex::new(Pages {
                checked: none.clone(),
                breaches: none,
                ..Pages::default()
            }),
        }
    }

    /// Virtual time since the world began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) const fn begun(&self) -> Instant {
        self.begun
    }

    pub(crate) fn note(&self, who: &str, what: std::fmt::Arguments<'_>) {
        let mut line = String::with_capacity(80);
        let _ = write!(line, "{:>12.6} {who:<10} {what}", self.elapsed().as_secs_f64());
        self.pages.lock().unwrap().history.push(line);
    }

    /// So that no kind of weather goes missing unnoticed.
    pub(crate) fn met(&self, what: &'static str) {
        *self.pages.lock().unwrap().met.entry(what).or_default() += 1;
    }

    /// A look at a promise; `why` says how it was broken.
    pub(crate) fn expect(&self, promise: Promise, holds: bool, who: &str, why: impl FnOnce() -> String) {
        let mut pages = self.pages.lock().unwrap();
        pages.checked[promise.index()] += 1;
        if holds || pages.breaches[promise.index()] >= ENOUGH {
            return;
        }
        pages.breaches[promise.index()] += 1;
        let at = self.elapsed().as_secs_f64();
        let line = format!("{at:>12.6} {who:<10} BROKEN: {}: {}", promise.says(), why());
        pages.history.push(line.clone());
        pages.broken.push(line);
    }

    pub(crate) fn close(&self) -> Pages {
        std::mem::take(&mut *self.pages.lock().unwrap())
    }
}
