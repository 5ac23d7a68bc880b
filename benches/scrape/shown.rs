//! Streams with figures like those of a service that has run for a day.

use feedwatch::clock::Moment;
use feedwatch::market::{Cause, DialPhase, EventKind, StreamName, TraceId};
use feedwatch::metrics::{Direction, Opcode, StreamCells, StreamInfo, StreamWriter, Streams};
use feedwatch::supervise::{BreakerState, State, Transition, Trigger};
use std::sync::Arc;
use std::time::Duration;

const DAY: u64 = 86_400_000;

/// The streams of one venue, and what keeps them shown.
pub(crate) struct Shown {
    pub(crate) streams: Arc<Streams>,
    pub(crate) cells: Vec<Arc<StreamCells>>,
    /// A moment after all that has happened.
    pub(crate) now: Moment,
}

impl Shown {
    pub(crate) fn new(count: usize) -> Self {
        let start = Moment::now();
        let streams = Arc::new(Streams::new());
        let cells = (0_u64..).take(count).map(|number| stream(&streams, number, start));
        Self {
            cells: cells.collect(),
            streams,
            now: after(start, DAY),
        }
    }
}

fn after(start: Moment, millis: u64) -> Moment {
    let passed = Duration::from_millis(millis);
    Moment {
        mono: start.mono + passed,
        wall: start.wall + passed,
    }
}

/// Live again after losses, failed dials and trips, of which all that can be is traced; its figures are those of its number.
fn stream(streams: &Streams, number: u64, start: Moment) -> Arc<StreamCells> {
    let info = StreamInfo {
        stream: StreamName::new(&format!("stream-{number:05}")).unwrap(),
        server_address: "ws-subscriptions-clob.polymarket.com".into(),
        transport: "wss".into(),
        page_on_stale: number.is_multiple_of(2),
    };
    let cells = Arc::new(StreamCells::new(info, streams.venue("polymarket"), start.mono));
    streams.add(&cells);
    // Any number that looks like none.
    let odd = |below: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) % below;
    let at = |millis: u64| after(start, millis);
    let trace = TraceId::from_bits(u128::from(number + 1) * 0x0123_4567_89ab_cdef_0fed);

    cells.update(at(1).mono, |w| {
        w.threshold(5);
        w.stale_after(Some(Duration::from_secs(30)));
        w.instrument_stale_after(Some(Duration::from_secs(300)));
        w.subscriptions(50, 0);
        w.attempt(None);
        w.set_state(State::Subscribing);
    });
    cells.update(at(200 + odd(100)).mono, |w| {
        w.live_made();
        w.subscriptions(50, 50);
    });
    for loss in 0..odd(12) {
        let lost = 1_000_000 + loss * 5_000_000 + odd(60_000);
        let cause = [Cause::Eof, Cause::TcpReset, Cause::Stale, Cause::PongTimeout][usize::try_from(odd(4)).unwrap()];
        cells.update(at(lost).mono, |w| {
            w.lost(cause);
            w.outage_began(at(lost).mono);
        });
        cells.update(at(lost + 500).mono, |w| w.attempt(Some(0)));
        cells.update(at(lost + 700).mono, |w| w.attempt_failed(Cause::TcpTimeout));
        cells.update(at(lost + 2000).mono, |w| w.attempt(Some(0)));
        cells.update(at(lost + 2300).mono, StreamWriter::live_made);
    }
    for trigger in [Trigger::ConsecutiveFailures, Trigger::FatalError] {
        let (closed, until) = (BreakerState::Closed, at(80_000_000 + odd(100_000)).mono);
        let open = BreakerState::Open { until };
        let moved = |from, to, trigger| Transition {
            from,
            to,
            trigger,
            failures: 0,
        };
        let tripped = at(79_000_000 + odd(50_000));
        cells.update(tripped.mono, |w| {
            w.breaker_moved(&moved(closed, open, trigger), tripped, trace);
        });
        cells.update(until, |w| {
            w.breaker_moved(&moved(open, closed, Trigger::Reset), at(80_000_000), None);
        });
    }
    for _ in 0..100 + odd(1000) {
        cells.frame_received(180 + usize::try_from(odd(2000)).unwrap(), at(DAY - 1 - odd(900)).mono);
        cells.message(EventKind::BookDelta);
    }
    for _ in 0..odd(100) {
        cells.frame_sent(10);
        cells.message(EventKind::Trade);
        cells.control_frame(Opcode::Ping, Direction::Received);
    }
    cells.data(at(DAY - 1 - odd(900)).mono);
    let received = at(DAY - 1);
    cells.latency(received.unix_millis() - 3 - odd(200).cast_signed(), received);
    let venue = cells.venue();
    venue.connect_phase(DialPhase::Tls, Duration::from_millis(odd(400)));
    venue
        .reconnect_delay
        .observe_traced(Duration::from_millis(odd(400_000)), received, trace);
    venue
        .outage_duration
        .observe_traced(Duration::from_millis(odd(4_000_000)), received, trace);
    cells
}
