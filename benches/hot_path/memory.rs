//! B4: resident memory of a stream that is live and idle, its figures included. Each contender holds its connections in a process
//! of its own.

use super::contenders::{Bare, Contender, Feedwatch, Wanted};
use super::cpu::runtime;
use super::support::{Limit, Row, begin_table, has_flag, resident_bytes};
use super::venue::{Course, Venue};
use rustix::process::{Resource, getrlimit};
use std::future::pending;
use std::process::{Command, Stdio};

const ROLE: &str = "--holding";
const MOST_KIB: f64 = 12.0;
const MOST_RATIO: f64 = 0.1;
/// File descriptors for other things.
const SPARE: u64 = 100;

pub(crate) fn idle_streams() {
    let allowed = getrlimit(Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
        .saturating_sub(SPARE);
    let wanted: u64 = if has_flag("--full") { 10_000 } else { 2_000 };
    let streams = wanted.min(allowed);
    begin_table(&format!(
        "Resident memory of one of {streams} idle, live streams over plain ws (B4)"
    ));
    if streams < wanted {
        println!("{wanted} were wanted; the limit of open files allows {streams}");
    }
    let venue = Venue::start();
    let held = |contender: &str| {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([ROLE, contender, &streams.to_string(), &venue.port.to_string()])
            .stdout(Stdio::piped())
            .spawn();
        let output = child.unwrap().wait_with_output().unwrap();
        let bytes: f64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        bytes / 1024.0
    };
    let (figure, reference) = (held("feedwatch"), held("bare"));
    let row = |limit| Row {
        what: "B4 a stream, against the bare default".into(),
        unit: "KiB",
        figure,
        reference: Some(reference),
        ratio: Some(figure / reference),
        limit,
    };
    row(Limit::Figure(MOST_KIB)).print();
    row(Limit::Ratio(MOST_RATIO)).print();
}

/// Never returns where this process holds connections for a parent.
pub(crate) fn hold_if_asked() {
    let mut arguments = std::env::args().skip_while(|argument| argument != ROLE).skip(1);
    let Some(contender) = arguments.next() else { return };
    let mut number = || arguments.next().unwrap().parse::<u16>().unwrap();
    let (streams, port) = (number(), number());
    let url = Venue::url(port, Course::Idle);
    let before = resident_bytes();
    runtime().block_on(async {
        for _ in 0..streams {
            let wanted = Wanted::one();
            if contender == "bare" {
                hold(Bare::live(&url, &wanted).await);
            } else {
                hold(Feedwatch::live(&url, &wanted).await);
            }
        }
        // Everybody is polled once more.
        tokio::task::yield_now().await;
        println!("{}", (resident_bytes() - before) / u64::from(streams));
    });
    std::process::exit(0);
}

fn hold(mut contender: impl Contender + Send + 'static) {
    tokio::spawn(async move {
        contender.next().await;
        pending::<()>().await;
    });
}
