//! B5, B5b and the scrapes of B6: what a scrape costs in CPU time, in memory and in the delay of messages, and how it grows.
//!
//! `cargo bench --bench scrape` prints one table; with the name of a part (`cpu`, `gzip`, `memory`, `delay`, `growth`) that part
//! alone. Linux only: it asks the system for peaks of memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails and prints"
)]

#[path = "scrape/child.rs"]
mod child;
#[path = "scrape/parts.rs"]
mod parts;
#[path = "scrape/reference.rs"]
mod reference;
#[path = "scrape/shown.rs"]
mod shown;
mod support;

use child::Player;
use feedwatch::clock::Moment;
use feedwatch::metrics::Format;
use reference::Reference;
use shown::Shown;
use std::hint::black_box;
use std::time::Duration;
use support::{Limit, Row, median, take_turns};
use tokio::runtime::Runtime;

const STREAMS: usize = 10_000;
const MIB: f64 = 1024.0 * 1024.0;
const OPENMETRICS: &str = "Accept: application/openmetrics-text;version=1.0.0";
/// What Prometheus asks for.
const ZIPPED: &str = "Accept: application/openmetrics-text;version=1.0.0|Accept-Encoding: gzip";

fn main() {
    match child::part() {
        Some((part, argument)) => match part.as_str() {
            "scraper" => parts::scraper(argument.parse().unwrap()),
            "server" => parts::server(argument.parse().unwrap()),
            "receiver" => parts::receiver(argument.parse().unwrap()),
            "sender" => parts::sender(argument.parse().unwrap()),
            other => panic!("no such part: {other}"),
        },
        None => measure(),
    }
}

fn measure() {
    support::begin_table(&format!(
        "One scrape of {STREAMS} streams; in CPU time where nothing else is said"
    ));
    // First of all, while this process holds nothing.
    let parts: [(&str, fn()); 5] = [
        ("memory", memory),
        ("delay", delay),
        ("growth", growth),
        ("gzip", gzip),
        ("cpu", cpu),
    ];
    for (_, part) in parts.iter().filter(|(name, _)| support::is_wanted(name)) {
        part();
    }
}

/// The text, as it is written for a client: piece by piece.
fn written(shown: &Shown, format: Format) -> usize {
    let mut exposition = format.exposition(&shown.streams, &[], shown.now);
    let (mut piece, mut bytes, mut is_more) = (String::new(), 0, true);
    while is_more {
        piece.clear();
        is_more = exposition.write_piece(&mut piece);
        bytes += black_box(&piece).len();
    }
    bytes
}

/// Milliseconds of CPU time that something takes.
fn cpu_of<T>(clock: fn() -> Duration, what: impl FnOnce() -> T) -> f64 {
    let before = clock();
    black_box(what());
    clock().saturating_sub(before).as_secs_f64() * 1e3
}

fn cpu() {
    let shown = Shown::new(STREAMS);
    let (reference, mut out) = (Reference::of(&shown), Vec::new());
    let lengths = [reference.scrape(&mut out), written(&shown, Format::Text)];
    assert!(lengths[0].abs_diff(lengths[1]) < 1000, "not the same: {lengths:?}");
    let rounds = take_turns(
        5,
        [
            &mut || cpu_of(support::cpu_of_thread, || written(&shown, Format::Text)),
            &mut || cpu_of(support::cpu_of_thread, || written(&shown, Format::OpenMetrics)),
            &mut || cpu_of(support::cpu_of_thread, || reference.scrape(&mut out)),
        ],
    );
    let what = format!("{} series, {:.0} MB", reference.series, lengths[0] as f64 / 1e6);
    let beside = "beside prometheus gather and TextEncoder";
    rounds
        .row(format!("B5 text, {what}, {beside}"), "ms", (0, 2), 0.06)
        .print();
    rounds
        .row(format!("B5 OpenMetrics with exemplars, {beside}"), "ms", (1, 2), 0.1)
        .print();
}

/// All that the server does for one client, which is another process.
fn gzip() {
    let (runtime, shown) = (Runtime::new().unwrap(), Shown::new(STREAMS));
    let address = parts::serve(&runtime, &shown);
    let mut scrapers = [(); 2].map(|()| Player::start("scraper", address));
    let [plain, zipped] = &mut scrapers;
    let lengths = [plain.ask(OPENMETRICS), zipped.ask(ZIPPED)].map(|bytes| bytes.parse::<f64>().unwrap() / 1e6);
    let rounds = take_turns(
        7,
        [
            &mut || cpu_of(support::cpu_of_process, || plain.ask(OPENMETRICS)),
            &mut || cpu_of(support::cpu_of_process, || zipped.ask(ZIPPED)),
        ],
    );
    let what = format!(
        "B5b OpenMetrics over HTTP, gzip ({:.1} MB) beside plain ({:.0} MB)",
        lengths[1], lengths[0]
    );
    rounds.row(what, "ms", (1, 0), 4.0).print();
}

/// The first scrape of a process is the dearest: later ones use again what it has left.
fn memory() {
    for (what, headers) in [("plain", OPENMETRICS), ("gzip", ZIPPED)] {
        let extra = (0..2).map(|_| {
            let mut server = Player::start("server", STREAMS);
            let mut scraper = Player::start("scraper", server.listen());
            server.ask("begin");
            scraper.ask(headers);
            server.ask("end").parse::<f64>().unwrap() / MIB
        });
        let what = format!("B5 peak extra memory, OpenMetrics, {what}");
        Row::absolute(what, "MiB", extra.fold(0.0, f64::max), 8.0).print();
    }
}

/// The message that comes latest while scrapes follow each other, and in the same time without one.
fn delay() {
    const LOOK: Duration = Duration::from_millis(500);
    let mut receiver = Player::start("receiver", STREAMS);
    let addresses = receiver.listen();
    let (exporter, messages) = addresses.split_once(' ').unwrap();
    let mut scraper = Player::start("scraper", exporter);
    let _sender = Player::start("sender", messages);
    let mut latest = |is_scraped: bool| {
        receiver.ask("begin");
        let begun = Moment::now().mono;
        while begun.elapsed() < LOOK {
            if is_scraped {
                scraper.ask(ZIPPED);
                scraper.ask(OPENMETRICS);
            } else {
                std::thread::park_timeout(LOOK);
            }
        }
        let told = receiver.ask("end");
        let (nanos, messages) = told.split_once(' ').unwrap();
        assert!(messages.parse::<u64>().unwrap() > 1000, "only {messages} messages");
        nanos.parse::<f64>().unwrap() / 1e6
    };
    let rounds: Vec<_> = (0..9).map(|_| (latest(false), latest(true))).collect();
    Row {
        what: "B5 longest delay that scrapes add to a message, beside the longest without".into(),
        unit: "ms of wall time",
        figure: median(rounds.iter().map(|(without, with)| with - without)),
        reference: Some(median(rounds.iter().map(|(without, _)| *without))),
        ratio: None,
        limit: Limit::Figure(5.0),
    }
    .print();
}

/// Of each stream, in sets of different size; as many streams in all.
fn growth() {
    let sets = [100, 1000, STREAMS].map(Shown::new);
    let of_each = |shown: &Shown| {
        let times = STREAMS / shown.cells.len();
        let all = cpu_of(support::cpu_of_thread, || {
            for _ in 0..times {
                written(shown, Format::OpenMetrics);
            }
        });
        all * 1e3 / STREAMS as f64
    };
    let [small, middle, large] = &sets;
    let rounds = take_turns(
        9,
        [&mut || of_each(small), &mut || of_each(middle), &mut || of_each(large)],
    );
    for (reference, streams) in [(0, 100), (1, 1000)] {
        let what = format!("B6 a stream of {STREAMS}, beside one of {streams}");
        rounds.row(what, "us", (2, reference), 1.3).print();
    }
}
