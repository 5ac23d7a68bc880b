//! Streams that share the gate of their host, on a paused clock: no socket, no real time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "tests: helpers may fail the test, too"
)]

#[path = "support/rate.rs"]
mod rate;
mod support;

use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Failure, Instrument, MarketEvent, StreamName, Subscribed};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams, text};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{
    DialGate, Fact, GateReason, MarketDataStream, Observer, ReconnectingDataStream, TransportFact,
};
use feedwatch::supervise::{AttemptKind, BreakerState, DialLimit, Notice, Policy, State};
use rate::most_in_a_second;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::Scrape;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What the host does to a dial.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Host {
    Up,
    Refuses,
    Hangs,
    /// 429, with a `Retry-After` or without.
    Limits(Option<Duration>),
}

/// A host that is dialled by several streams. What it is now decides over every dial, and ends every connection unless up.
#[derive(Clone)]
struct World {
    host: watch::Sender<Host>,
    begun: Instant,
    dials: Arc<Mutex<Vec<(usize, Duration)>>>,
    told: Arc<Mutex<Vec<Told>>>,
}

#[derive(Clone, Debug)]
struct Told {
    stream: usize,
    at: Duration,
    fact: Fact,
}

impl World {
    fn new(host: Host) -> Self {
        Self {
            host: watch::Sender::new(host),
            begun: Instant::now(),
            dials: Arc::default(),
            told: Arc::default(),
        }
    }

    fn becomes(&self, host: Host) {
        self.host.send_replace(host);
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn client(&self, stream: usize) -> Client {
        Client {
            stream,
            host: self.host.subscribe(),
            world: self.clone(),
        }
    }

    async fn stream(&self, stream: usize, policy: Policy, gate: &DialGate) -> Stream {
        let (client, teller) = (self.client(stream), self.client(stream));
        let mut stream =
            ReconnectingDataStream::with_observer(client, policy, stream as u64, Teller(teller)).with_gate(gate);
        stream.subscribe(&[Instrument::new("a")]).await.unwrap();
        stream.connect().await.unwrap();
        stream
    }

    /// As many streams as that, each polled by a task of its own until the end of the test.
    async fn run(&self, streams: usize, policy: &Policy, gate: &DialGate) -> Vec<AbortHandle> {
        let mut tasks = Vec::new();
        for stream in 0..streams {
            let mut stream = self.stream(stream, policy.clone(), gate).await;
            let task = async move { while stream.next_event().await.is_some() {} };
            tasks.push(tokio::spawn(task).abort_handle());
        }
        tasks
    }

    /// When dials were made, from `since` on.
    fn dials(&self, since: Duration) -> Vec<Duration> {
        let dials = self.dials.lock().unwrap();
        dials.iter().map(|(_, at)| *at).filter(|at| *at >= since).collect()
    }

    fn notices(&self, of: impl Fn(&Notice) -> bool) -> Vec<(usize, Duration)> {
        let told = self.told.lock().unwrap();
        let matching = told
            .iter()
            .filter(|told| matches!(&told.fact, Fact::Supervisor(notice) if of(notice)));
        matching.map(|told| (told.stream, told.at)).collect()
    }

    fn waited(&self) -> Duration {
        let told = self.told.lock().unwrap();
        let waits = told.iter().filter_map(|told| match told.fact {
            Fact::Transport(TransportFact::WaitedAtGate(waited)) => Some(waited),
            _ => None,
        });
        waits.sum()
    }

    /// What was told of long waits: of which stream, when, how long and why.
    fn long_waits(&self) -> Vec<(usize, Duration, Duration, GateReason)> {
        let told = self.told.lock().unwrap();
        let waits = told.iter().filter_map(|told| match told.fact {
            Fact::Transport(TransportFact::WaitsAtGate { time, reason, .. }) => {
                Some((told.stream, told.at, time, reason))
            }
            _ => None,
        });
        waits.collect()
    }
}

struct Client {
    stream: usize,
    host: watch::Receiver<Host>,
    world: World,
}

impl MarketDataStream for Client {
    async fn connect(&mut self) -> Result<(), Failure> {
        let (stream, now) = (self.stream, self.world.now());
        self.world.dials.lock().unwrap().push((stream, now));
        sleep(millis(2)).await;
        let host = *self.host.borrow();
        match host {
            Host::Up => Ok(()),
            Host::Refuses => Err(Cause::TcpRefused.into()),
            Host::Hangs => std::future::pending().await,
            Host::Limits(retry_after) => Err(Failure {
                retry_after,
                status: Some(429),
                ..Failure::new(Cause::RateLimited)
            }),
        }
    }

    async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        Ok(Subscribed {
            accepted: instruments.to_vec(),
            ..Subscribed::default()
        })
    }

    async fn next_event(&mut self) -> Option<MarketEvent> {
        self.host.wait_for(|host| *host != Host::Up).await.unwrap();
        None
    }

    fn exchange_name(&self) -> &'static str {
        "mock"
    }
}

struct Teller(Client);

impl Observer for Teller {
    fn observe(&self, _at: Moment, fact: &Fact) {
        let Client { stream, world, .. } = &self.0;
        world.told.lock().unwrap().push(Told {
            stream: *stream,
            at: world.now(),
            fact: fact.clone(),
        });
    }
}

type Stream = ReconnectingDataStream<Client, Teller>;

/// Delays that are short against the wait at the gate, and no breaker.
fn eager() -> Policy {
    Policy {
        initial_delay: millis(10),
        max_delay: millis(100),
        max_consecutive_failures: 99,
        connect_timeout: secs(3),
        ..Policy::default()
    }
}

/// The breaker trips at once, and stays open for a minute.
fn tripping() -> Policy {
    Policy {
        max_consecutive_failures: 2,
        circuit_breaker_cooldown: secs(60),
        ..eager()
    }
}

fn gate(per_second: f64, burst: u32) -> DialGate {
    DialGate::new(DialLimit { per_second, burst })
}

fn is_attempt(notice: &Notice) -> bool {
    matches!(notice, Notice::Attempt { .. })
}

fn is_kind(kind: AttemptKind) -> impl Fn(&Notice) -> bool {
    move |notice| matches!(notice, Notice::Attempt { kind: made, .. } if *made == kind)
}

fn opens(notice: &Notice) -> bool {
    matches!(notice, Notice::Breaker(moved) if matches!(moved.to, BreakerState::Open { .. }))
}

/// They come close to so many in a second, and are never more.
fn assert_uses(times: &[Duration], per_second: usize) {
    let most = most_in_a_second(times);
    assert!(most <= per_second && most * 10 >= per_second * 9, "{most} in a second");
}

/// Polls for so long; what it yields is not of interest.
async fn poll_for(stream: &mut Stream, time: Duration) {
    let poll = async { while stream.next_event().await.is_some() {} };
    let _ = timeout(time, poll).await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_streams_lost_at_once_come_back_at_the_dial_rate() {
    let world = World::new(Host::Up);
    world.run(200, &eager(), &gate(20.0, 5)).await;
    sleep(secs(11)).await;
    assert_eq!(world.notices(|notice| matches!(notice, Notice::Up { .. })).len(), 200);
    assert_uses(&world.dials(Duration::ZERO), 20);
    // Down for ten seconds, all at once.
    let begun = world.now();
    world.becomes(Host::Refuses);
    sleep(secs(10)).await;
    let back = world.now();
    world.becomes(Host::Up);
    sleep(secs(12)).await;
    assert_uses(&world.dials(begun), 20);
    let ups = world.notices(|notice| matches!(notice, Notice::Up { .. }));
    let (_, last) = ups.last().unwrap();
    assert_eq!(ups.len(), 400);
    // 200 dials at 20 a second.
    let took = *last - back;
    assert!(took <= secs(10).mul_f64(1.2), "{took:?}");
    let mut streams: Vec<_> = ups[200..].iter().map(|(stream, _)| *stream).collect();
    streams.sort_unstable();
    assert!(streams.into_iter().eq(0..200), "each came back once");
    assert_eq!(
        world.notices(is_attempt).len(),
        world.dials(Duration::ZERO).len(),
        "one attempt is one dial"
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_at_the_gate_is_not_the_attempts() {
    let world = World::new(Host::Hangs);
    let gate = gate(0.1, 1);
    let _first = world.run(1, &eager(), &gate).await;
    sleep(millis(1)).await;
    let mut second = world.stream(1, eager(), &gate).await;
    poll_for(&mut second, secs(14)).await;
    let of_second = |times: Vec<(usize, Duration)>| times.into_iter().find(|(stream, _)| *stream == 1).unwrap().1;
    let attempt = of_second(world.notices(is_attempt));
    let failed = of_second(world.notices(|notice| matches!(notice, Notice::AttemptFailed { .. })));
    assert_eq!(attempt.as_millis(), 10_800, "its turn");
    assert_eq!(
        (failed - attempt).as_millis(),
        3001,
        "its connect time-out, and a second look"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_told_once_when_it_begins_with_its_length_and_why() {
    let world = World::new(Host::Up);
    let slow = gate(0.1, 1);
    world.run(1, &eager(), &slow).await;
    sleep(millis(1)).await;
    let mut second = world.stream(1, eager(), &slow).await;
    poll_for(&mut second, secs(14)).await;
    let waits = world.long_waits();
    assert_eq!(waits, [(1, millis(1), millis(10_799), GateReason::DialRate)]);

    // The first goes at once; the next one's turn is within the second, and those after it are not.
    let world = World::new(Host::Up);
    world.run(4, &eager(), &gate(2.0, 1)).await;
    sleep(secs(10)).await;
    let waits: Vec<_> = world.long_waits().into_iter().map(|(stream, ..)| stream).collect();
    assert_eq!(world.dials(Duration::ZERO).len(), 4);
    assert_eq!(waits, [2, 3], "{:?}", world.dials(Duration::ZERO));

    let world = World::new(Host::Up);
    let resting = gate(1000.0, 1000);
    resting.rest(secs(30));
    world.run(1, &eager(), &resting).await;
    sleep(secs(40)).await;
    assert_eq!(world.long_waits(), [(0, Duration::ZERO, secs(30), GateReason::Rest)]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_for_its_turn_backs_off_and_is_down() {
    let world = World::new(Host::Up);
    let gate = gate(0.1, 1);
    world.run(1, &eager(), &gate).await;
    sleep(millis(10)).await;

    let shown = Streams::new();
    let info = StreamInfo {
        stream: StreamName::new("second").unwrap(),
        server_address: "host".into(),
        transport: "wss".into(),
        page_on_stale: false,
    };
    let cells = Arc::new(StreamCells::new(info, shown.venue("mock"), Moment::now().mono));
    shown.add(&cells);
    let observer = Arc::new(StreamObserver::new(cells, &eager()));
    let mut stream = ReconnectingDataStream::with_observer(world.client(1), eager(), 1, observer).with_gate(&gate);
    stream.subscribe(&[Instrument::new("a")]).await.unwrap();
    stream.connect().await.unwrap();
    assert!(timeout(secs(4), stream.next_event()).await.is_err());
    assert_eq!(stream.state(), State::BackingOff);

    let now = Moment::now();
    let scrape = Scrape::read(&text::render(&shown, now));
    let is = |scrape: &Scrape, name: &str, expected: f64| {
        let value = scrape.sum(name, &[]);
        assert!((value - expected).abs() < 0.02, "{name}: {value}");
    };
    assert_eq!(scrape.nonzero("feedwatch_stream_state", "state"), ["backing_off"]);
    is(&scrape, "feedwatch_connect_attempts_total", 0.0);
    is(&scrape, "feedwatch_stream_observed_seconds_total", 4.0);
    is(&scrape, "feedwatch_stream_up_seconds_total", 0.0);
    is(&scrape, "feedwatch_outages_total", 0.0);
    let turn = now.unix_seconds_at(now.mono + millis(6790));
    is(&scrape, "feedwatch_reconnect_next_attempt_timestamp_seconds", turn);

    assert!(timeout(secs(7), stream.next_event()).await.is_err());
    assert_eq!(stream.state(), State::Live);
    let scrape = Scrape::read(&text::render(&shown, Moment::now()));
    is(&scrape, "feedwatch_connect_attempts_total", 1.0);
    is(&scrape, "feedwatch_reconnect_attempts_total", 0.0); // it is the first dial all the same
    is(&scrape, "feedwatch_stream_observed_seconds_total", 11.0);
    is(&scrape, "feedwatch_stream_up_seconds_total", 11.0 - 10.79);
    is(&scrape, "feedwatch_dial_limiter_wait_seconds_total", 10.79);
    is(&scrape, "feedwatch_reconnect_next_attempt_timestamp_seconds", 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_at_the_gate_that_is_polled_in_slices_is_one_dial_at_its_turn() {
    let world = World::new(Host::Up);
    let gate = gate(0.5, 1);
    world.run(1, &eager(), &gate).await;
    sleep(millis(1)).await;
    let mut stream = world.stream(1, eager(), &gate).await;
    while stream.state() != State::Live {
        let _ = timeout(millis(7), stream.next_event()).await;
        assert!(world.now() < secs(5), "it never dials");
    }
    let dials = world.dials(millis(1));
    assert_eq!(dials.len(), 1);
    assert!(dials[0] >= millis(2160) && dials[0] < millis(2170), "{dials:?}");
    let held = world.notices(|notice| matches!(notice, Notice::Held { .. }));
    assert_eq!(held.len(), 1, "told once, however often it is polled");
    assert_eq!(world.waited(), dials[0] - millis(1));
}

#[tokio::test(start_paused = true)]
async fn a_venue_that_asks_one_stream_for_rest_is_left_alone_by_all() {
    for (retry_after, rest) in [(Some(secs(30)), secs(30)), (None, millis(10))] {
        let world = World::new(Host::Up);
        let gate = gate(1000.0, 1000);
        world.run(20, &eager(), &gate).await;
        sleep(secs(1)).await;
        // One more comes, and is told to come back later, when all others are lost.
        world.becomes(Host::Limits(retry_after));
        let lost = world.now();
        let mut more = world.stream(99, Policy { jitter: 0.0, ..eager() }, &gate).await;
        poll_for(&mut more, millis(5)).await;
        world.becomes(Host::Up);
        poll_for(&mut more, secs(40)).await;
        let dials = world.dials(lost);
        let (told, others): (Vec<Duration>, Vec<Duration>) = dials.iter().partition(|at| **at < lost + millis(2));
        assert_eq!(told.len(), 1, "the others had not got so far: {dials:?}");
        assert_eq!(others.len(), 21);
        assert!(others.iter().all(|at| *at >= lost + millis(2) + rest), "{dials:?}");
        assert!(others.iter().all(|at| *at < lost + rest + secs(1)), "{dials:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_host_is_down_one_probes_for_all_and_when_it_is_back_all_follow() {
    let world = World::new(Host::Up);
    world.run(100, &tripping(), &gate(20.0, 5)).await;
    sleep(secs(10)).await;
    world.becomes(Host::Refuses);
    sleep(secs(20)).await;
    let down = world.now();
    assert_eq!(world.notices(opens).len(), 100, "each has tripped");
    // For an hour, one probe a cooldown and no more.
    sleep(secs(3600)).await;
    let probes = world.notices(is_kind(AttemptKind::Probe));
    assert!((48..=61).contains(&probes.len()), "{}", probes.len());
    assert_eq!(
        world.notices(opens).len(),
        100 + probes.len(),
        "and nobody trips for another's failure"
    );
    assert_eq!(world.dials(down).len(), probes.len());
    // Who waits is told when, at most twice a probe; all the rest is of those that probe.
    let told = |of: &dyn Fn(&Fact) -> bool| {
        let told = world.told.lock().unwrap();
        told.iter().filter(|told| told.at > down && of(&told.fact)).count()
    };
    let is_held = |fact: &Fact| matches!(fact, Fact::Supervisor(Notice::Held { .. }));
    let is_wait = |fact: &Fact| {
        matches!(
            fact,
            Fact::Transport(TransportFact::WaitedAtGate(_) | TransportFact::WaitsAtGate { .. })
        )
    };
    let held: Vec<_> = world
        .long_waits()
        .into_iter()
        .filter(|(_, at, ..)| *at > down)
        .collect();
    assert!(held.iter().all(|(.., reason)| *reason == GateReason::Probe), "{held:?}");
    // A wait lasts until its stream may probe.
    assert!((99..=100 + probes.len()).contains(&held.len()), "{}", held.len());
    assert!(told(&is_held) <= 100 * 2 * (probes.len() + 1), "{}", told(&is_held));
    let of_probes = told(&|fact| !is_held(fact) && !is_wait(fact));
    assert!(of_probes <= probes.len() * 5, "{of_probes}");
    // Back.
    world.becomes(Host::Up);
    let back = world.now();
    sleep(secs(130)).await;
    let ups = world.notices(|notice| matches!(notice, Notice::Up { .. }));
    assert_eq!(ups.len(), 200);
    assert_uses(&world.dials(back), 20);
    let (first, last) = (ups[100].1, ups[199].1);
    assert!(first - back <= secs(73), "the next probe's turn");
    assert!(
        last - first <= secs(15),
        "{:?}: at the dial rate, those that still cool down besides",
        last - first
    );
}

#[tokio::test(start_paused = true)]
async fn a_venue_that_is_back_for_a_moment_is_met_by_one_probe_and_who_followed_it() {
    let world = World::new(Host::Up);
    world.run(50, &tripping(), &gate(10.0, 1)).await;
    sleep(secs(10)).await;
    world.becomes(Host::Refuses);
    sleep(secs(120)).await;
    for _ in 0..5 {
        // Until somebody finds it back; and two seconds later it is away.
        let seen = world.notices(|notice| matches!(notice, Notice::Up { .. })).len();
        world.becomes(Host::Up);
        while world.notices(|notice| matches!(notice, Notice::Up { .. })).len() == seen {
            sleep(millis(10)).await;
        }
        sleep(secs(2)).await;
        world.becomes(Host::Refuses);
        let away = world.now();
        sleep(secs(50)).await;
        let dials = world.dials(away);
        assert!(dials.len() <= 2, "who was under way: {dials:?}, away at {away:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_by_hand_waits_for_its_turn_and_keeps_the_connection_meanwhile() {
    let world = World::new(Host::Up);
    let gate = gate(0.1, 2);
    let mut stream = world.stream(0, eager(), &gate).await;
    poll_for(&mut stream, secs(1)).await;
    stream.reconnect();
    poll_for(&mut stream, secs(1)).await;
    assert_eq!(world.dials(Duration::ZERO).len(), 2, "the burst: at once");
    stream.reconnect();
    stream.reconnect();
    poll_for(&mut stream, secs(10)).await;
    assert_eq!(stream.state(), State::Live, "as long as it has to wait");
    assert_eq!(world.dials(Duration::ZERO).len(), 2);
    poll_for(&mut stream, secs(20)).await;
    assert_eq!(world.dials(secs(3)), [millis(21_600)], "once");
    assert_eq!(world.notices(is_kind(AttemptKind::Forced)).len(), 2);
    // Wished for and then no longer needed: nothing is left to subscribe to.
    stream.reconnect();
    stream.unsubscribe(&[Instrument::new("a")]).await.unwrap();
    poll_for(&mut stream, secs(60)).await;
    assert_eq!((stream.state(), world.dials(secs(22)).len()), (State::Idle, 0));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_reset_by_hand_stays_open_until_it_is_its_turn() {
    let world = World::new(Host::Refuses);
    let gate = gate(0.1, 2);
    let mut stream = world.stream(0, tripping(), &gate).await;
    poll_for(&mut stream, secs(1)).await;
    assert_eq!(
        (stream.state(), world.dials(Duration::ZERO).len()),
        (State::CoolingDown, 2)
    );
    world.becomes(Host::Up);
    stream.reconnect();
    stream.reset_breaker();
    assert!(matches!(stream.breaker(), BreakerState::Open { .. }));
    poll_for(&mut stream, secs(19)).await;
    assert_eq!(stream.state(), State::CoolingDown);
    poll_for(&mut stream, secs(2)).await;
    assert_eq!((stream.state(), stream.breaker()), (State::Live, BreakerState::Closed));
    assert_eq!(world.notices(is_kind(AttemptKind::Forced)).len(), 1);
    assert_eq!(world.dials(secs(2)), [millis(21_600)]);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_polled_or_dropped_at_the_gate_holds_nobody_up() {
    let world = World::new(Host::Up);
    let gate = gate(1.0, 1);
    let mut first = world.stream(0, eager(), &gate).await;
    poll_for(&mut first, millis(10)).await;
    let mut left_alone = world.stream(1, eager(), &gate).await;
    poll_for(&mut left_alone, millis(10)).await;
    let mut dropped = world.stream(2, eager(), &gate).await;
    poll_for(&mut dropped, millis(10)).await;
    drop(dropped);
    let mut last = world.stream(3, eager(), &gate).await;
    poll_for(&mut last, secs(4)).await;
    assert_eq!((left_alone.state(), last.state()), (State::BackingOff, State::Live));
    assert_eq!(world.dials.lock().unwrap().last(), Some(&(3, millis(3240))));
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_kept_after_its_turn_takes_another() {
    let world = World::new(Host::Up);
    let gate = gate(1.0, 1);
    let mut first = world.stream(0, eager(), &gate).await;
    poll_for(&mut first, secs(5)).await;
    first.reconnect();
    // Its turn is now, and nobody polls it.
    sleep(millis(1500)).await;
    let mut second = world.stream(1, eager(), &gate).await;
    poll_for(&mut second, millis(10)).await;
    poll_for(&mut first, secs(3)).await;
    assert_eq!(first.state(), State::Live);
    assert_eq!(world.dials(secs(1)), [millis(6500), millis(7580)]);
    assert_eq!(
        world.notices(is_kind(AttemptKind::Forced)).len(),
        1,
        "one attempt is one dial"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_by_hand_is_not_forgotten_over_what_is_asked_for_next() {
    let world = World::new(Host::Up);
    let slow = gate(0.1, 1);
    let mut stream = world.stream(0, eager(), &slow).await;
    poll_for(&mut stream, secs(1)).await;
    stream.reconnect();
    stream.reset_breaker();
    poll_for(&mut stream, secs(15)).await;
    assert_eq!(world.dials(secs(1)), [millis(10_800)], "the reconnect");

    let world = World::new(Host::Refuses);
    let slow = gate(0.1, 2);
    let mut stream = world.stream(0, tripping(), &slow).await;
    poll_for(&mut stream, secs(1)).await;
    world.becomes(Host::Up);
    stream.reset_breaker();
    stream.reconnect();
    poll_for(&mut stream, secs(22)).await;
    assert_eq!(
        world.dials(secs(1)),
        [millis(21_600)],
        "the reset, long before the cooldown is over"
    );
    assert_eq!(stream.breaker(), BreakerState::Closed);
}
