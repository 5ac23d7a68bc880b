//! Twenty hours of bad weather in a minute: dozens of streams over several hosts, in a network and in a time that exist only
//! here, in which everything that goes wrong is decided by a seed.
//!
//! What must hold all the while is written down in `promise`. A seed that breaks one names itself. To see what happened:
//!
//! ```text
//! FEEDWATCH_SEED=123 cargo test --test simulation -- --nocapture
//! ```
//!
//! `FEEDWATCH_SEED=200..2000` runs others than the usual ones.
//!
//! Nothing here reads a real clock or opens a real socket: the runtime has its time paused and no I/O driver. So a seed has one
//! history, whatever the machine does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::print_stdout,
    reason = "tests may fail, and show what happened"
)]

mod chance;
mod consumer;
mod journal;
mod ledger;
mod line;
mod network;
mod promise;
mod scrape;
mod stream;
mod traces;
mod venue;
mod weather;
mod wire;
mod world;

use promise::Promise;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use world::Account;

/// The seeds that are run every time.
const SEEDS: Range<u64> = 0..200;
/// So many lines of the history are shown of a seed that fails among others.
const TAIL: usize = 40;

/// The seeds that are wanted, and whether what happens is to be shown: it is of a single one.
fn wanted() -> (Range<u64>, bool) {
    let Ok(wanted) = std::env::var("FEEDWATCH_SEED") else {
        return (SEEDS, false);
    };
    let number = |text: &str| {
        text.parse()
            .expect("FEEDWATCH_SEED is a number, or two as in 200..1000")
    };
    match wanted.split_once("..") {
        Some((first, end)) => (number(first)..number(end), false),
        None => (number(&wanted)..number(&wanted) + 1, true),
    }
}

/// Runs seeds on as many threads as there are processors, each world on one of them. The history of those that go well is
/// thrown away unless it is to be shown: it takes a megabyte.
fn run_all(seeds: Range<u64>, is_shown: bool) -> Vec<Account> {
    let next = AtomicU64::new(seeds.start);
    let accounts = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let mut account = world::run(seed);
                    if account.broken.is_empty() && !is_shown {
                        account.history = Vec::new();
                    }
                    accounts.lock().unwrap().push(account);
                }
            });
        }
    });
    let mut accounts = accounts.into_inner().unwrap();
    accounts.sort_by_key(|account| account.seed);
    accounts
}

#[test]
fn every_promise_holds_in_any_weather() {
    let (seeds, is_shown) = wanted();
    let accounts = run_all(seeds.clone(), is_shown);
    if is_shown {
        accounts
            .iter()
            .flat_map(|account| &account.history)
            .for_each(|line| println!("{line}"));
    }
    let failed: Vec<_> = accounts.iter().filter(|account| !account.broken.is_empty()).collect();
    if let Some(first) = failed.first() {
        let seeds: Vec<_> = failed.iter().map(|account| account.seed).collect();
        let breaches: Vec<_> = failed
            .iter()
            .map(|account| format!("{:>4} {}", account.seed, account.broken[0]))
            .collect();
        panic!(
            "{}\n\n{} of {} seeds failed: {seeds:?}\n{}",
            first.verdict(TAIL),
            seeds.len(),
            accounts.len(),
            breaches.join("\n")
        );
    }
    if seeds != SEEDS {
        return;
    }

    // A promise that was never put to the test was not kept either.
    for promise in Promise::ALL {
        let checked: u64 = accounts.iter().map(|account| account.checked[promise.index()]).sum();
        assert!(checked > 0, "never looked at: {}", promise.says());
    }
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, times) in accounts.iter().flat_map(|account| &account.met) {
        *met.entry(what).or_default() += times;
    }
    for what in world::TO_BE_MET {
        assert!(
            met.get(what).is_some_and(|times| *times > 0),
            "never met: {what}; met: {met:?}"
        );
    }
}

#[test]
fn a_seed_has_one_history() {
    for seed in [3, 19, 101] {
        let (one, other) = (world::run(seed), world::run(seed));
        let differ = one.history.iter().zip(&other.history).find(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(one.history.len(), other.history.len(), "seed {seed}");
        assert!(one.history.len() > 1000, "seed {seed}: hardly anything happened");
    }
    assert_ne!(world::run(3).history, world::run(4).history);
}
