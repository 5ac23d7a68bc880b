//! B6: CPU time a message when the same rate comes over more streams.

use super::contenders::{Bare, Contender, Feedwatch, Wanted};
use super::cpu::{nanos, runtime};
use super::frames::Shape;
use super::support::{Limit, Row, begin_table, cpu_of_thread, has_flag, median};
use super::venue::{Course, Venue};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Messages a second, over all streams.
const RATE: usize = 10_000;
const MOST: f64 = 1.3;

pub(crate) fn streams() {
    begin_table("10,000 messages of 180 B a second in all, one write a frame, over more streams (B6)");
    let sizes: &[usize] = if has_flag("--full") {
        &[1, 100, 9_000]
    } else {
        &[1, 100]
    };
    let rounds = if has_flag("--full") { 7 } else { 3 };
    let round = |_| {
        let costs = sizes
            .iter()
            .map(|streams| [cost(*streams, false), cost(*streams, true)]);
        costs.collect::<Vec<_>>()
    };
    let measured: Vec<_> = (0..rounds).map(round).collect();
    // What the system itself takes for more sockets is told beside it.
    for (contender, name, limit) in [(0, "", Limit::Ratio(MOST)), (1, " of the bare loop", Limit::None)] {
        for (at, streams) in sizes.iter().enumerate().skip(1) {
            let of = |at: usize| median(measured.iter().map(|round| round[at][contender]));
            let ratios = measured.iter().map(|round| round[at][contender] / round[0][contender]);
            Row {
                what: format!("B6 {streams} streams{name}, against one"),
                unit: "ns",
                figure: of(at),
                reference: Some(of(0)),
                ratio: Some(median(ratios)),
                limit,
            }
            .print();
        }
    }
}

/// CPU nanoseconds a message, of so many streams on one thread.
fn cost(streams: usize, is_bare: bool) -> f64 {
    let venue = Venue::start();
    let url = Venue::url(venue.port, Course::Shared);
    let runtime = runtime();
    let taken = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        for _ in 0..streams {
            let wanted = Wanted::all(Shape::Small.market());
            if is_bare {
                count(Bare::live(&url, &wanted).await, taken.clone());
            } else {
                count(Feedwatch::live(&url, &wanted).await, taken.clone());
            }
        }
        let begin = Venue::url(venue.port, Course::Begin(Shape::Small, RATE));
        let _begun = Bare::live(&begin, &Wanted::one()).await;
        sleep(Duration::from_millis(100)).await;
        let (before, taken_before) = (cpu_of_thread(), taken.load(Ordering::Relaxed));
        sleep(Duration::from_secs(1)).await;
        let taken = taken.load(Ordering::Relaxed) - taken_before;
        nanos(cpu_of_thread().saturating_sub(before)) / taken as f64
    })
}

fn count(mut contender: impl Contender + Send + 'static, taken: Arc<AtomicUsize>) {
    tokio::spawn(async move {
        loop {
            contender.next().await;
            taken.fetch_add(1, Ordering::Relaxed);
        }
    });
}
