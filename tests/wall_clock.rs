//! The wall clock is set while a stream lives, is down, waits, or has its breaker open. Clocks made by hand: no time passes.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail; times are exact to the millisecond"
)]

mod support;

use feedwatch::clock::{Moment, unix_seconds};
use feedwatch::market::{Cause, StreamName};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams, text};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{Fact, Observer};
use feedwatch::supervise::{AttemptKind, BreakerState, Notice, Policy, Transition, Trigger};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use support::Scrape;

const HOUR: u64 = 3600;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A stream with clocks of its own.
struct Bench {
    shown: Streams,
    cells: Arc<StreamCells>,
    observer: StreamObserver,
    now: Moment,
}

impl Bench {
    /// At an hour in which nothing has happened yet.
    fn new() -> Self {
        let now = Moment {
            wall: UNIX_EPOCH + secs(1_700_000_000),
            ..Moment::now()
        };
        let shown = Streams::new();
        let info = StreamInfo {
            stream: StreamName::new("test").unwrap(),
            server_address: "venue.example".into(),
            transport: "wss".into(),
            page_on_stale: false,
        };
        let cells = Arc::new(StreamCells::new(info, shown.venue("polymarket"), now.mono));
        shown.add(&cells);
        let observer = StreamObserver::new(cells.clone(), &Policy::default());
        let mut bench = Self {
            shown,
            cells,
            observer,
            now,
        };
        bench.pass(10);
        bench
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono += secs(seconds);
        self.now.wall += secs(seconds);
    }

    fn tell(&self, notice: Notice) {
        self.observer.observe(self.now, &Fact::Supervisor(notice));
    }

    fn dial(&self, kind: AttemptKind) {
        self.tell(Notice::Attempt { number: 1, kind });
    }

    fn go_live(&self) {
        self.tell(Notice::Connected);
        self.tell(Notice::Up {
            accepted: 1,
            refused: 0,
        });
    }

    fn lose(&self) {
        self.tell(Notice::Lost {
            cause: Cause::Eof,
            detail: "".into(),
        });
    }

    fn lose_and_wait(&self, seconds: u64) {
        self.lose();
        self.tell(Notice::BackingOff {
            delay: secs(seconds),
            due: self.now.mono + secs(seconds),
            failures: 1,
        });
    }

    /// Data comes, of a venue whose clock goes right.
    fn data(&self, venue_time: Moment) {
        self.cells.frame_received(100, self.now.mono);
        self.cells.data(self.now.mono);
        self.cells.latency(venue_time.unix_millis(), self.now);
    }

    fn scrape(&self) -> Scrape {
        Scrape::read(&text::render(&self.shown, self.now))
    }

    fn sum(&self, name: &str) -> f64 {
        self.scrape().sum(name, &[])
    }

    /// `time() - x`, as a rule computes it.
    fn age(&self, name: &str) -> f64 {
        let at = self.sum(name);
        assert!(at > 0.0, "{name}");
        let age = unix_seconds(self.now.wall) - at;
        (age * 1000.0).round() / 1000.0
    }

    /// The lines that are shown, but for the moments, which follow the clock.
    fn durations_and_counts(&self) -> Vec<String> {
        let text = text::render(&self.shown, self.now);
        let lines = text.lines().filter(|line| !line.contains("_timestamp_seconds"));
        lines.map(str::to_owned).collect()
    }

    /// Sets the clock an hour ahead, then two hours back, then right again; `check` must hold each time, and but for the
    /// moments nothing may change.
    fn set_clock_and_check(&mut self, check: impl Fn(&Self)) {
        check(self);
        let before = self.durations_and_counts();
        let right = self.now.wall;
        for wall in [right + secs(HOUR), right - secs(HOUR), right] {
            self.now.wall = wall;
            check(self);
            assert_eq!(self.durations_and_counts(), before);
        }
    }
}

#[test]
fn a_live_stream_keeps_its_ages_and_times() {
    let mut bench = Bench::new();
    bench.dial(AttemptKind::First);
    bench.pass(2);
    bench.go_live();
    bench.pass(30);
    bench.data(bench.now);
    bench.pass(5);
    bench.set_clock_and_check(|bench| {
        assert_eq!(bench.age("feedwatch_last_data_timestamp_seconds"), 5.0);
        assert_eq!(bench.age("feedwatch_last_frame_timestamp_seconds"), 5.0);
        assert_eq!(bench.sum("feedwatch_stream_up_seconds_total"), 35.0);
        assert_eq!(bench.sum("feedwatch_stream_observed_seconds_total"), 37.0);
        assert_eq!(bench.sum("feedwatch_stream_stale"), 0.0);
    });
    bench.tell(Notice::Stale);
    bench.pass(7);
    bench.set_clock_and_check(|bench| {
        assert_eq!(bench.sum("feedwatch_stream_stale_seconds_total"), 7.0);
        assert_eq!(bench.age("feedwatch_last_data_timestamp_seconds"), 12.0);
    });
}

#[test]
fn an_outage_and_a_wait_last_as_long_as_they_do() {
    let mut bench = Bench::new();
    bench.dial(AttemptKind::First);
    bench.go_live();
    bench.pass(60);
    bench.lose_and_wait(20);
    bench.pass(5);
    bench.set_clock_and_check(|bench| {
        assert_eq!(bench.age("feedwatch_outage_start_timestamp_seconds"), 5.0);
        assert_eq!(bench.age("feedwatch_reconnect_next_attempt_timestamp_seconds"), -15.0);
        assert_eq!(bench.sum("feedwatch_reconnect_current_delay_seconds"), 20.0);
        assert_eq!(bench.sum("feedwatch_stream_up_seconds_total"), 60.0);
    });
    bench.now.wall -= secs(HOUR);
    bench.pass(15);
    bench.dial(AttemptKind::Backoff);
    bench.now.wall += secs(3 * HOUR);
    bench.go_live();
    bench.set_clock_and_check(|bench| {
        assert_eq!(bench.sum("feedwatch_outage_duration_seconds_sum"), 20.0);
        assert_eq!(bench.sum("feedwatch_connection_duration_seconds_sum"), 60.0);
        assert_eq!(bench.sum("feedwatch_outage_start_timestamp_seconds"), 0.0);
    });
}

#[test]
fn an_open_breaker_opens_no_sooner_and_no_later() {
    let mut bench = Bench::new();
    bench.dial(AttemptKind::First);
    bench.go_live();
    bench.lose();
    let until = bench.now.mono + secs(300);
    bench.tell(Notice::Breaker(Transition {
        from: BreakerState::Closed,
        to: BreakerState::Open { until },
        trigger: Trigger::ConsecutiveFailures,
        failures: 10,
    }));
    bench.pass(100);
    bench.set_clock_and_check(|bench| {
        assert_eq!(bench.age("feedwatch_breaker_open_until_timestamp_seconds"), -200.0);
        assert_eq!(bench.age("feedwatch_reconnect_next_attempt_timestamp_seconds"), -200.0);
        assert_eq!(bench.age("feedwatch_outage_start_timestamp_seconds"), 100.0);
        assert_eq!(bench.sum("feedwatch_breaker_open_seconds_total"), 100.0);
    });
}

#[test]
fn an_event_from_the_future_is_skew_and_never_a_latency() {
    let mut bench = Bench::new();
    bench.dial(AttemptKind::First);
    bench.go_live();
    let mut venue = bench.now;
    bench.pass(1);
    bench.data(venue);
    let counts = |bench: &Bench| {
        let names = [
            "message_latency_seconds_count",
            "message_latency_seconds_sum",
            "message_clock_skew_total",
        ];
        names.map(|name| bench.sum(&format!("feedwatch_{name}")))
    };
    assert_eq!(counts(&bench), [1.0, 1.0, 0.0]);
    assert_eq!(bench.sum("feedwatch_stream_lag_seconds"), 1.0);

    // An hour behind the venue.
    bench.now.wall -= secs(HOUR);
    bench.pass(1);
    bench.data(venue);
    assert_eq!(counts(&bench), [1.0, 1.0, 1.0]);
    assert_eq!(
        bench.sum("feedwatch_stream_lag_seconds"),
        1.0,
        "the last that was known"
    );

    // An hour ahead of it: late, as far as can be told.
    bench.now.wall += secs(2 * HOUR);
    venue.wall += secs(2);
    bench.data(venue);
    assert_eq!(counts(&bench), [2.0, 3601.0, 1.0]);

    // Right again: within a minute the lag is as well.
    bench.now.wall -= secs(HOUR);
    for _ in 0..60 {
        venue.wall += secs(2);
        bench.pass(2);
        bench.data(venue);
    }
    let lag = bench.sum("feedwatch_stream_lag_seconds");
    assert!((0.0..1.1).contains(&lag), "{lag}");
}

#[test]
fn a_clock_that_is_set_to_1970_shows_no_moment_before_it() {
    let mut bench = Bench::new();
    bench.dial(AttemptKind::First);
    bench.go_live();
    bench.data(bench.now);
    bench.pass(60);
    bench.lose_and_wait(20);
    bench.pass(10);
    for (wall, next_attempt) in [
        (UNIX_EPOCH + secs(5), 15.0),
        (UNIX_EPOCH + Duration::from_micros(10_000_200), 20.0),
        (UNIX_EPOCH - secs(HOUR), 0.001),
    ] {
        bench.now.wall = wall;
        // 0 would say that there is none.
        for happened in ["last_data", "last_frame", "outage_start"] {
            let at = bench.sum(&format!("feedwatch_{happened}_timestamp_seconds"));
            assert_eq!(at, 0.001, "{happened}");
        }
        let next = bench.sum("feedwatch_reconnect_next_attempt_timestamp_seconds");
        assert_eq!(next, next_attempt);
        assert_eq!(bench.sum("feedwatch_breaker_open_until_timestamp_seconds"), 0.0);
    }
}
