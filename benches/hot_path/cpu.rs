//! CPU time a message.

use super::contenders::{Bare, ByHand, Contender, Feedwatch, Wanted};
use super::frames::Shape;
use super::support::{Rounds, begin_table, cpu_of_thread, has_flag, take_turns};
use super::venue::{Course, Venue};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const BYTES_BLASTED: usize = 40_000_000;
const PACE: usize = 10_000;

/// B1 and B2.
pub(crate) fn blasted() {
    begin_table("Blasted over loopback: CPU time a message, against a bare loop (B1) and a loop with serde_json (B2)");
    let venue = Venue::start();
    let rounds = if has_flag("--full") { 15 } else { 7 };
    for (shape, most) in [
        (Shape::Small, 1.8),
        (Shape::Trade, 1.8),
        (Shape::Change, 1.8),
        (Shape::Book, 1.5),
        (Shape::Array, 1.5),
        (Shape::Numbered, 1.8),
        (Shape::Depth, 1.5),
    ] {
        let bytes = shape.frames(1)[0].len();
        let count = BYTES_BLASTED / bytes.max(400);
        let measured = contest(
            shape,
            rounds,
            &Venue::url(venue.port, Course::Blast(shape, count)),
            count,
        );
        measured
            .row(format!("B1 {} ({bytes} B)", shape.name()), "ns", (0, 1), most)
            .print();
        measured.row(format!("B2 {}", shape.name()), "ns", (0, 2), 0.5).print();
    }
}

/// B1p.
pub(crate) fn paced() {
    begin_table("Paced at 10,000 messages a second, one write a frame: CPU time a message (B1p)");
    let venue = Venue::start();
    let rounds = if has_flag("--full") { 11 } else { 5 };
    for shape in [Shape::Small, Shape::Book, Shape::Numbered] {
        let url = Venue::url(venue.port, Course::Paced(shape, PACE));
        let measured = contest(shape, rounds, &url, PACE * 3 / 10);
        measured.row(format!("B1p {}", shape.name()), "ns", (0, 1), 1.1).print();
        measured
            .row(format!("B2 paced {}", shape.name()), "ns", (0, 2), 0.5)
            .print();
    }
}

/// feedwatch, the bare loop, and the one with `serde_json`.
fn contest(shape: Shape, rounds: usize, url: &str, count: usize) -> Rounds<3> {
    let runtime = runtime();
    let wanted = Wanted::all(shape.market());
    if has_flag("--alone") {
        // For a profiler.
        let mut alone = || runtime.block_on(async { take(&mut Feedwatch::live(url, &wanted).await, count).await });
        return take_turns(rounds, [&mut alone, &mut || f64::NAN, &mut || f64::NAN]);
    }
    take_turns(
        rounds,
        [
            &mut || runtime.block_on(async { take(&mut Feedwatch::live(url, &wanted).await, count).await }),
            &mut || runtime.block_on(async { take(&mut Bare::live(url, &wanted).await, count).await }),
            &mut || runtime.block_on(async { take(&mut ByHand::live(url, &wanted).await, count).await }),
        ],
    )
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// CPU nanoseconds for each of so many messages.
async fn take(contender: &mut impl Contender, count: usize) -> f64 {
    let before = cpu_of_thread();
    for _ in 0..count {
        contender.next().await;
    }
    nanos(cpu_of_thread().saturating_sub(before)) / count as f64
}

pub(crate) fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
