//! An exposition that is written piece by piece says what it would say as a whole, of the moment at which it was begun.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail; figures are exact"
)]

#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/openmetrics.rs"]
mod openmetrics;
#[path = "support/queries.rs"]
mod queries;

use exposition::Exposition;
use feedwatch::clock::Moment;
use feedwatch::market::{Cause, EventKind, StreamName, TraceId};
use feedwatch::metrics::{Format, QueueCells, StreamCells, StreamInfo, Streams};
use feedwatch::supervise::{BreakerState, Transition, Trigger};
use openmetrics::OpenMetrics;
use std::sync::Arc;
use std::time::Duration;

const PIECE: usize = 64 * 1024;

/// Streams of several venues, each with figures of its own; some have a queue, some an exemplar.
struct Herd {
    shown: Streams,
    start: Moment,
    cells: Vec<Arc<StreamCells>>,
    queues: Vec<Arc<QueueCells>>,
}

impl Herd {
    fn new(count: u64) -> Self {
        let mut herd = Self {
            shown: Streams::new(),
            start: Moment::now(),
            cells: Vec::new(),
            queues: Vec::new(),
        };
        for number in 0..count {
            herd.add(number);
        }
        herd
    }

    fn add(&mut self, number: u64) {
        let info = StreamInfo {
            stream: StreamName::new(&format!("stream-{number}")).unwrap(),
            server_address: "ws.example.com".to_owned(),
            transport: "wss".to_owned(),
            page_on_stale: number.is_multiple_of(3),
        };
        let venue = self.shown.venue(["a", "b", "c"][usize::try_from(number % 3).unwrap()]);
        let cells = Arc::new(StreamCells::new(info, venue, self.start.mono));
        self.shown.add(&cells);
        let at = self.after(number);
        for _ in 0..number {
            cells.update(at.mono, |w| w.attempt(None));
            cells.update(at.mono, |w| w.attempt_failed(Cause::Dns));
            cells.message(EventKind::Trade);
        }
        cells.frame_received(usize::MAX, at.mono);
        cells.venue().outage_duration.observe_traced(
            Duration::from_millis(number * 40),
            at,
            TraceId::from_bits(u128::from(number)),
        );
        if number.is_multiple_of(5) {
            let trip = Transition {
                from: BreakerState::Closed,
                to: BreakerState::Open { until: at.mono },
                trigger: Trigger::FatalError,
                failures: 1,
            };
            let trace = TraceId::from_bits(u128::from(number) << 64);
            cells.update(at.mono, |w| w.breaker_moved(&trip, at, trace));
        }
        if number.is_multiple_of(7) {
            let queue = cells.attach_queue(100);
            queue.set_depth(usize::try_from(number).unwrap());
            self.queues.push(queue);
        }
        self.cells.push(cells);
    }

    fn after(&self, millis: u64) -> Moment {
        let wait = Duration::from_millis(millis);
        Moment {
            mono: self.start.mono + wait,
            wall: self.start.wall + wait,
        }
    }
}

#[test]
fn pieces_are_whole_lines_of_bounded_length_and_add_up_to_the_whole() {
    let herd = Herd::new(200);
    let at = herd.after(10_000);
    for format in Format::ALL {
        let whole = format.render(&herd.shown, &[], at);
        let mut exposition = format.exposition(&herd.shown, &[], at);
        let (mut joined, mut pieces) = (String::new(), 0);
        loop {
            let mut piece = String::new();
            let is_more = exposition.write_piece(&mut piece);
            assert!(piece.ends_with('\n'));
            // At most one stream's samples of one metric more.
            assert!(piece.len() < PIECE + 8 * 1024, "{}", piece.len());
            assert!(piece.len() >= PIECE || !is_more);
            joined.push_str(&piece);
            pieces += 1;
            if !is_more {
                break;
            }
        }
        assert!(pieces > 10, "{pieces}");
        assert!(joined == whole, "{format:?}");
    }
    let read = OpenMetrics::parse(&Format::OpenMetrics.render(&herd.shown, &[], at)).unwrap();
    assert!(read.exemplars.len() > 40, "{}", read.exemplars.len());
    let text = read.as_text();
    let failed = [("stream", "stream-199"), ("cause", "dns")];
    assert_eq!(text.value("feedwatch_connect_failures_total", &failed), 199.0);
    assert_eq!(text.family("feedwatch_queue_depth").samples.len(), herd.queues.len());
    let paging = text.series("feedwatch_stream_info", &[("page_on_stale", "true")]);
    assert_eq!(paging.len(), 67);
}

#[test]
fn it_shows_the_moment_at_which_it_was_begun_and_keeps_no_stream_alive() {
    let mut herd = Herd::new(100);
    let at = herd.after(10_000);
    let before = Format::OpenMetrics.render(&herd.shown, &[], at);
    let mut exposition = Format::OpenMetrics.exposition(&herd.shown, &[], at);
    let mut text = String::new();
    assert!(exposition.write_piece(&mut text));

    let now = herd.after(20_000);
    for cells in &herd.cells {
        cells.update(now.mono, |w| w.attempt(None));
        cells.frame_received(1, now.mono);
        let venue = cells.venue();
        venue.outage_duration.observe(Duration::ZERO);
        venue.task_restarted();
    }
    herd.cells.truncate(1);
    herd.queues.clear();
    let after = Exposition::parse(&Format::Text.render(&herd.shown, &[], now)).unwrap();
    assert_eq!(after.family("feedwatch_connect_attempts_total").samples.len(), 1);

    while exposition.write_piece(&mut text) {}
    assert!(text == before);
}
