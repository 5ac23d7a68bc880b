//! Time as it is: a process that was stopped, and a wall clock that is set.

use crate::harness::{Service, TempFile, closed_venue, config, eventually, json, venue};
use crate::identities::Seen;
use crate::invariants::check_growth;
use feedwatch::clock::{Moment, unix_seconds};
use feedwatch::sim::{Fault, Rule, SimOptions, SimulatedVenue, Traffic};
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// Longer than every limit of the streams that are stopped for it.
const FREEZE: Duration = Duration::from_secs(60);
/// How long the clock stays as it was set, at least.
const PHASE: Duration = Duration::from_secs(4);
/// Of the breaker whose clock is set: seconds.
const COOLDOWN: f64 = 600.0;
/// A stream that a wrong verdict on its time costs its connection.
const BUSY: &str = "stale_after_ms = 5000, on_stale = \"reconnect\", ping_interval_ms = 300, pong_timeout_ms = 5000";
/// The answer to the harness's subscription.
const BOOKS: &str =
    r#"[{"event_type":"book","asset_id":"11","timestamp":"1"},{"event_type":"book","asset_id":"22","timestamp":"1"}]"#;

/// Its pauses are far shorter than [`BUSY`] allows, and what it sends in a minute fits into the buffers of a socket that
/// nobody reads.
fn busy_venue() -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 20.0,
        },
        ..SimOptions::default()
    })
    .unwrap()
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Owed {
    Upgrade,
    Subscription,
    Pong,
}

/// A venue that is asked for something, and answers when it is told to.
struct SlowVenue {
    address: SocketAddr,
    asked: watch::Receiver<bool>,
    answer: watch::Sender<bool>,
}

impl SlowVenue {
    async fn that_owes(owed: Owed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ask, asked) = watch::channel(false);
        let (answer, mut told) = watch::channel(false);
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut wait = async |step| {
                if step == owed {
                    ask.send_replace(true);
                    told.wait_for(|told| *told).await.unwrap();
                }
            };
            wait(Owed::Upgrade).await;
            let mut socket = accept_async(socket).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                let (step, reply) = match message {
                    Message::Text(text) if text == "PING" => (Owed::Pong, "PONG"),
                    Message::Text(_) => (Owed::Subscription, BOOKS),
                    _ => continue,
                };
                wait(step).await;
                if socket.send(Message::text(reply)).await.is_err() {
                    break;
                }
            }
        });
        Self { address, asked, answer }
    }

    fn url(&self) -> String {
        format!("ws://{}/ws/market", self.address)
    }

    async fn is_asked(&self) {
        eventually("the venue is asked", async || *self.asked.borrow()).await;
    }
}

/// The third field of `/proc/PID/stat`: `T` is stopped.
fn state_of(process: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

/// A whole minute, since the point is that every limit passes, the defaults of up to 30 s as well.
pub(crate) async fn a_process_that_was_stopped_reads_before_it_judges() {
    let (busy, quiet, closed) = (busy_venue(), venue(Vec::new()), closed_venue());
    let owing = [
        SlowVenue::that_owes(Owed::Upgrade).await,
        SlowVenue::that_owes(Owed::Subscription).await,
        SlowVenue::that_owes(Owed::Pong).await,
    ];
    let [upgrades, subscribes, pings] = owing.each_ref().map(SlowVenue::url);
    let [busy_url, quiet_url, closed_url] = [&busy, &quiet, &closed].map(SimulatedVenue::url);
    let streams = [
        ("busy", busy_url.as_str(), BUSY),
        ("quiet", &quiet_url, "ping_interval_ms = 300, pong_timeout_ms = 5000"),
        ("silent", &quiet_url, "stale_after_ms = 30000"),
        ("upgrades", &upgrades, "connect_timeout_ms = 30000"),
        ("subscribes", &subscribes, "subscribe_timeout_ms = 30000"),
        ("pings", &pings, "ping_interval_ms = 1000, pong_timeout_ms = 30000"),
        ("waits", &closed_url, "initial_delay_ms = 40000, jitter = 0.0"),
        (
            "tripped",
            &closed_url,
            "circuit_breaker_cooldown_ms = 40000, jitter = 0.0, max_consecutive_failures = 1",
        ),
    ];
    let mut service = Service::run(&config("", &streams)).await;
    for (stream, message) in [
        ("busy", "live"),
        ("quiet", "live"),
        ("silent", "live"),
        ("pings", "live"),
        ("waits", "backing off"),
        ("tripped", "breaker tripped"),
    ] {
        service.logged(stream, message).await;
    }
    for venue in &owing {
        venue.is_asked().await;
    }

    let before = Seen::now(&service).await;
    let process = service.program.id();
    service.program.signal("STOP");
    eventually("it is stopped", async || state_of(process) == 'T').await;
    let sent_before = busy.log().totals().sent.frames();
    for venue in &owing {
        venue.answer.send_replace(true);
    }
    sleep(FREEZE).await;
    busy.pause_traffic();
    service.program.signal("CONT");

    let mut after = Seen::now(&service).await;
    // The last thing that happens: the verdicts come a second after waking.
    eventually("it has caught up", async || {
        after = Seen::now(&service).await;
        after.stream("silent").sum("feedwatch_stale_episodes_total") == 1.0
            && ["upgrades", "subscribes"]
                .iter()
                .all(|stream| after.stream(stream).sum("feedwatch_stream_connected") == 1.0)
            && ["waits", "tripped"]
                .iter()
                .all(|stream| after.stream(stream).sum("feedwatch_connect_failures_total") == 2.0)
    })
    .await;

    for (stream, ..) in &streams {
        let of = |name| after.stream(stream).sum(name);
        let redialled = matches!(*stream, "waits" | "tripped");
        assert_eq!(of("feedwatch_disconnects_total"), 0.0, "{stream}");
        assert_eq!(of("feedwatch_subscription_failures_total"), 0.0, "{stream}");
        let attempts = if redialled { 2.0 } else { 1.0 };
        assert_eq!(of("feedwatch_connect_attempts_total"), attempts, "{stream}");
        let failures = if redialled { 2.0 } else { 0.0 };
        assert_eq!(of("feedwatch_connect_failures_total"), failures, "{stream}");
        let episodes = if *stream == "silent" { 1.0 } else { 0.0 };
        assert_eq!(of("feedwatch_stale_episodes_total"), episodes, "{stream}");
        after.stream(stream).check();
        // Time live and time down are the time that has passed, the minute included.
        after.check_clocks(&before, stream);
    }
    check_growth(&before.exposition, &after.exposition);
    assert_eq!(
        after.stream("tripped").transitions("open", "half_open"),
        1.0,
        "one probe"
    );
    assert_eq!(after.stream("tripped").sum("feedwatch_breaker_trips_total"), 1.0);

    let sent = busy.log().totals().sent;
    assert!(sent.frames() >= sent_before + 500, "the venue went on sending");
    assert_eq!(
        after.stream("busy").sum("feedwatch_frames_received_total"),
        sent.frames() as f64
    );
    assert_eq!(
        after.stream("busy").sum("feedwatch_received_bytes_total"),
        sent.payload_bytes as f64
    );
    // What has waited was late, and by no more than that.
    let latency = |bound| {
        let bucket = [("le", bound)];
        after.exposition.value("feedwatch_message_latency_seconds", &bucket)
    };
    assert!(latency("inf") - latency("30") >= 200.0);
    assert_eq!(after.exposition.sum("feedwatch_message_clock_skew_total", &[]), 0.0);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

/// The program's wall clock, which it reads from a file. Its monotonic clock is the system's.
struct FakeClock {
    library: PathBuf,
    file: TempFile,
    /// Seconds that it is ahead.
    offset: i64,
}

impl FakeClock {
    fn new() -> Self {
        let folders = std::fs::read_dir("/usr/lib")
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let library = folders
            .chain(["/usr/lib".into()])
            .map(|folder| folder.join("faketime/libfaketime.so.1"))
            .find(|library| library.is_file())
            .expect("libfaketime.so.1 below /usr/lib: install the package faketime");
        Self {
            library,
            file: TempFile::new("clock", "+0"),
            offset: 0,
        }
    }

    /// Sets it so many seconds ahead of the right time, or back.
    fn set(&mut self, offset: i64) {
        // In one step: the program reads the file whenever it asks for the time.
        let next = format!("{}.next", self.file.name());
        std::fs::write(&next, format!("{offset:+}")).unwrap();
        std::fs::rename(next, self.file.name()).unwrap();
        self.offset = offset;
    }

    /// What it shows: Unix time.
    fn now(&self) -> f64 {
        unix_seconds(Moment::now().wall) + self.offset as f64
    }

    fn variables(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.name()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}

/// Nothing is negative, and no moment is one at which nothing can have happened or be due.
fn check_sanity(seen: &Seen, clock: &FakeClock) {
    let now = clock.now();
    for (name, family) in &seen.exposition.families {
        for (series, value) in &family.samples {
            assert!(*value >= 0.0, "{name} {series:?} {value}");
            if name.ends_with("_timestamp_seconds") && *value != 0.0 {
                let possible = (now - 60.0).max(0.0)..now + COOLDOWN;
                assert!(
                    *value == 0.001 || possible.contains(value),
                    "{name} {series:?} {value} at {now}"
                );
            }
        }
    }
}

#[ignore = "needs faketime"]
#[tokio::test]
async fn a_wall_clock_that_is_set_moves_the_moments_and_nothing_else() {
    const DOWN: &str = "feedwatch_outage_start_timestamp_seconds";
    const NEXT: &str = "feedwatch_reconnect_next_attempt_timestamp_seconds";
    const UNTIL: &str = "feedwatch_breaker_open_until_timestamp_seconds";
    const MOMENTS: [(&str, &str); 4] = [("down", DOWN), ("down", NEXT), ("tripped", DOWN), ("tripped", UNTIL)];

    // A venue that is busy by its own clock, which neither goes with ours nor with the real one.
    let dates = [
        ("Date", "Sun, 06 Nov 1994 08:49:00 GMT"),
        ("Retry-After", "Sun, 06 Nov 1994 08:49:03 GMT"),
    ];
    let limited = venue(vec![Rule::always(Fault::Status {
        code: 429,
        headers: dates.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: String::new(),
    })]);
    let (busy, closed) = (busy_venue(), closed_venue());
    let [busy_url, limited_url, closed_url] = [&busy, &limited, &closed].map(SimulatedVenue::url);
    let streams = [
        ("busy", busy_url.as_str(), BUSY),
        ("down", &closed_url, "initial_delay_ms = 60000, jitter = 0.0"),
        (
            "tripped",
            &closed_url,
            "circuit_breaker_cooldown_ms = 600000, jitter = 0.0, max_consecutive_failures = 1",
        ),
        (
            "limited",
            &limited_url,
            "initial_delay_ms = 10, max_delay_ms = 10, max_consecutive_failures = 1000",
        ),
    ];
    let mut clock = FakeClock::new();
    let mut service = Service::run_with(&config("", &streams), &[], &clock.variables()).await;
    for (stream, message) in [
        ("busy", "live"),
        ("down", "backing off"),
        ("tripped", "breaker tripped"),
    ] {
        service.logged(stream, message).await;
    }
    let first = Seen::now(&service).await;
    let begun = MOMENTS.map(|(stream, name)| first.stream(stream).sum(name));
    let mut before = first;

    // An hour ahead, two hours back, and to ten seconds after the beginning of 1970.
    let to_1970 = 10 - Moment::now().unix_millis() / 1000;
    for offset in [3600, -3600, to_1970] {
        clock.set(offset);
        let redials = before.stream("limited").sum("feedwatch_connect_attempts_total") + 2.0;
        let until = Instant::now() + PHASE;
        let mut scrapes = 0;
        let mut seen = Seen::now(&service).await;
        while Instant::now() < until || seen.stream("limited").sum("feedwatch_connect_attempts_total") < redials {
            sleep(Duration::from_millis(200)).await;
            let asked = clock.now();
            seen = Seen::now(&service).await;
            check_sanity(&seen, &clock);
            for ((stream, name), at_first) in MOMENTS.iter().zip(begun) {
                let shifted = (at_first + offset as f64).max(0.001);
                let shown = seen.stream(stream).sum(name);
                assert!(
                    (shown - shifted).abs() < 0.01,
                    "{stream} {name}: {shown}, not {shifted}"
                );
            }
            let last_data = seen.stream("busy").sum("feedwatch_last_data_timestamp_seconds");
            assert!(
                (asked - 3.0..=clock.now() + 0.01).contains(&last_data),
                "{last_data} at {asked}"
            );
            assert_eq!(seen.stream("busy").sum("feedwatch_stream_stale"), 0.0);
            if seen.stream("limited").state("feedwatch_stream_state") == "backing_off" {
                assert_eq!(
                    seen.stream("limited").sum("feedwatch_reconnect_current_delay_seconds"),
                    3.0
                );
            }
            for (stream, ..) in &streams {
                seen.stream(stream).check();
                seen.check_clocks(&before, stream);
            }
            check_growth(&before.exposition, &seen.exposition);
            scrapes += 1;
        }
        assert!(scrapes > 5);
        let grown = |name| seen.exposition.sum(name, &[]) - before.exposition.sum(name, &[]);
        let skew = grown("feedwatch_message_clock_skew_total");
        assert_eq!(skew > 0.0, offset < 0, "{skew} events from the future at {offset}");
        let api = json(&service.get("/api/v1/streams").await.body);
        let age = api["streams"][0]["data_age_seconds"].as_f64().unwrap();
        assert!((0.0..3.0).contains(&age), "{api}");
        before = seen;
    }
    assert_eq!(before.stream("busy").sum("feedwatch_connect_attempts_total"), 1.0);
    assert_eq!(before.exposition.sum("feedwatch_disconnects_total", &[]), 0.0);
    assert_eq!(before.exposition.sum("feedwatch_stale_episodes_total", &[]), 0.0);
    assert_eq!(before.exposition.sum("feedwatch_breaker_trips_total", &[]), 1.0);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
