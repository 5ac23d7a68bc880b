//! A stream with several endpoints, on a paused clock: which of them is dialled when, and what is told of it.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::panic,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::stream::{DialGate, Dialler, MarketDataStream};
use feedwatch::supervise::{DialLimit, Policy};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::pipe::serve_first_subscription;
use support::rig::{Rig, among, of_spans};
use support::rows::{millis, options};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

const URLS: [&str; 3] = [
    "ws://a.example/ws/market",
    "ws://b.example:81/other?key=hunter2",
    "ws://c.example/ws/market",
];

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The first failure waits a second, the next two, and so on up to eight.
fn policy() -> Policy {
    Policy {
        initial_delay: secs(1),
        max_delay: secs(8),
        jitter: 0.0,
        max_consecutive_failures: 9,
        circuit_breaker_cooldown: secs(100),
        stable_after: secs(1000),
        ..Policy::default()
    }
}

/// What a dial meets.
#[derive(Clone, Copy, Debug)]
enum Meets {
    Refused,
    /// An answer to the upgrade, without its blank line.
    Answer(&'static str),
    /// Goes live, and ends after that time.
    Live(Duration),
}

/// By the first letter of the host what its dials meet, in order; from then on they are refused.
#[derive(Clone, Default)]
struct Hosts {
    to_come: Arc<Mutex<BTreeMap<char, VecDeque<Meets>>>>,
    dials: Arc<Mutex<Vec<(char, u64)>>>,
    begun: Option<Instant>,
}

impl Hosts {
    fn new(hosts: &[(char, &[Meets])]) -> Self {
        let to_come = hosts
            .iter()
            .map(|(host, meets)| (*host, meets.iter().copied().collect()));
        Self {
            to_come: Arc::new(Mutex::new(to_come.collect())),
            dials: Arc::default(),
            begun: Some(Instant::now()),
        }
    }

    /// The hosts in the order in which they were dialled.
    fn order(&self) -> String {
        self.dials.lock().unwrap().iter().map(|(host, _)| host).collect()
    }

    /// When each was dialled, in whole seconds since the begin.
    fn dials(&self) -> Vec<(char, u64)> {
        self.dials.lock().unwrap().clone()
    }
}

impl Dialler for Hosts {
    type Io = DuplexStream;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let letter = host.as_bytes()[0];
        let seconds = self.begun.unwrap().elapsed().as_secs();
        self.dials.lock().unwrap().push((char::from(letter), seconds));
        Ok(vec![([192, 0, 2, letter], port).into()])
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<DuplexStream> {
        let SocketAddr::V4(address) = address else {
            panic!("{address}")
        };
        let host = char::from(address.ip().octets()[3]);
        let mut to_come = self.to_come.lock().unwrap();
        let meets = to_come.get_mut(&host).and_then(VecDeque::pop_front);
        let (client, mut server) = tokio::io::duplex(4096);
        match meets.unwrap_or(Meets::Refused) {
            Meets::Refused => return Err(io::ErrorKind::ConnectionRefused.into()),
            Meets::Answer(answer) => {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = server.read(&mut request).await;
                    let _ = server.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await;
                    sleep(secs(1)).await;
                });
            }
            Meets::Live(after) => {
                tokio::spawn(async move {
                    let _socket = serve_first_subscription(server).await;
                    sleep(after).await;
                });
            }
        }
        Ok(client)
    }
}

fn gates(count: usize) -> Vec<DialGate> {
    let limit = DialLimit {
        per_second: 1000.0,
        burst: 1000,
    };
    (0..count).map(|_| DialGate::new(limit)).collect()
}

async fn dial(hosts: &Hosts, policy: Policy, gates: Vec<DialGate>) -> Rig<Hosts> {
    among(&URLS, policy, quiet(), hosts.clone(), gates).await
}

fn quiet() -> feedwatch::stream::TransportOptions {
    feedwatch::stream::TransportOptions {
        ping_interval: Some(secs(10_000)),
        ..options()
    }
}

/// Polls the stream for so long.
async fn run<S: MarketDataStream>(stream: &mut S, time: Duration) {
    let _ = timeout(time, async { while stream.next_event().await.is_some() {} }).await;
}

#[tokio::test(start_paused = true)]
async fn each_failure_and_each_loss_moves_on_and_live_stays() {
    let hosts = Hosts::new(&[
        ('b', &[Meets::Live(secs(50))]),
        ('a', &[Meets::Refused, Meets::Live(secs(500))]),
    ]);
    let mut rig = dial(&hosts, policy(), gates(3)).await;
    run(&mut rig.stream, secs(200)).await;
    // Refused at a, live for fifty seconds at b, lost there, refused at c.
    assert_eq!(hosts.dials(), [('a', 0), ('b', 1), ('c', 53), ('a', 57)]);
    let scrape = rig.scrape();
    assert_eq!(scrape.sum("feedwatch_stream_connected", &[]), 1.0);
    let first = [("server_address", "a.example")];
    assert_eq!(scrape.sum("feedwatch_stream_info", &first), 1.0, "the identity stays");

    // The spans tell the endpoint that was dialled, and no secret of it.
    let attempts = rig.spans("stream.connect");
    let expected = ["a.example", "b.example", "c.example", "a.example"];
    assert_eq!(of_spans(&attempts, "server.address"), expected);
    assert_eq!(of_spans(&attempts, "server.port"), ["80", "81", "80", "80"]);
    assert_eq!(of_spans(&rig.spans("dns.lookup"), "server.address"), expected);
    let shown = ["ws://b.example:81/REDACTED", "ws://a.example/ws/market"];
    assert_eq!(of_spans(&rig.spans("GET"), "url.full"), shown);

    // So do the history and the figures for the API.
    let cells = &rig.shown.all()[0];
    let mut entries = cells.history().newest_first();
    entries.reverse();
    let told = entries.into_iter().filter(|entry| entry.what == "endpoint");
    let told: Vec<_> = told.map(|entry| entry.detail.into_owned()).collect();
    assert_eq!(told, ["b.example:81", "c.example:80", "a.example:80"]);
    assert_eq!(cells.endpoints(), ["a.example:80"]);
    rig.stream.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_by_hand_stays_where_it_is() {
    let hosts = Hosts::new(&[('a', &[Meets::Live(secs(500)), Meets::Live(secs(500))])]);
    let mut rig = dial(&hosts, policy(), gates(3)).await;
    run(&mut rig.stream, secs(10)).await;
    rig.stream.reconnect();
    run(&mut rig.stream, secs(10)).await;
    assert_eq!(hosts.order(), "aa");
    rig.stream.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_by_hand_does_not_wait_at_the_gate_of_an_endpoint_that_has_failed() {
    let slow = DialGate::new(DialLimit {
        per_second: 0.01,
        burst: 1,
    });
    let hosts = Hosts::new(&[('a', &[Meets::Live(secs(5))]), ('b', &[Meets::Live(secs(500))])]);
    let mut gates = gates(3);
    gates[0] = slow;
    let mut rig = dial(&hosts, policy(), gates).await;
    run(&mut rig.stream, secs(1)).await;
    rig.stream.reconnect();
    run(&mut rig.stream, secs(50)).await;
    assert_eq!(hosts.dials(), [('a', 0), ('b', 6)]);
    rig.stream.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_is_turned_away_holds_up_no_dial_elsewhere() {
    let limited = Meets::Answer("429 Too Many Requests\r\nRetry-After: 600");
    for gates in [Vec::new(), gates(3)] {
        let hosts = Hosts::new(&[
            ('a', &[Meets::Live(secs(5)), limited]),
            ('b', &[Meets::Live(secs(500))]),
        ]);
        let mut rig = dial(&hosts, policy(), gates).await;
        run(&mut rig.stream, secs(2)).await;
        rig.stream.renew();
        run(&mut rig.stream, secs(50)).await;
        assert_eq!(hosts.dials(), [('a', 0), ('a', 2), ('b', 6)]);
        assert_eq!(rig.scrape().sum("feedwatch_stream_connected", &[]), 1.0);
        rig.stream.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_rest_shuts_the_gate_of_its_host_alone_and_holds_up_nobody_else() {
    let limited = Meets::Answer("429 Too Many Requests\r\nRetry-After: 60");
    let hosts = Hosts::new(&[
        ('a', &[limited]),
        ('b', &[Meets::Live(secs(5))]),
        ('c', &[Meets::Live(secs(45))]),
    ]);
    let gates = gates(3);
    let mut rig = dial(&hosts, policy(), gates.clone()).await;
    run(&mut rig.stream, secs(1)).await;
    // Another stream has a alone, and keeps to what this one was told.
    let mut other = among(&URLS[..1], policy(), quiet(), hosts.clone(), gates[..1].to_vec()).await;
    tokio::join!(run(&mut rig.stream, secs(58)), run(&mut other.stream, secs(58)));
    // b is dialled after the ordinary delay; the loss of b leads to c, and that of c back to b, past a.
    assert_eq!(hosts.order(), "abcb");
    assert_eq!(hosts.dials()[1], ('b', 1));
    tokio::join!(run(&mut rig.stream, secs(20)), run(&mut other.stream, secs(20)));
    let of_a: Vec<_> = hosts.dials().into_iter().filter(|(host, _)| *host == 'a').collect();
    assert!(of_a.len() > 2 && of_a[1..].iter().all(|(_, at)| *at >= 60), "{of_a:?}");
    assert_eq!(rig.scrape().sum("feedwatch_breaker_trips_total", &[]), 0.0);
    rig.stream.close().await;
    other.stream.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_more_than_the_longest_wait_trips_only_where_every_endpoint_has_it() {
    let (long, longer) = (
        Meets::Answer("503 Service Unavailable\r\nRetry-After: 2000"),
        Meets::Answer("429 Too Many Requests\r\nRetry-After: 3000"),
    );
    let hosts = Hosts::new(&[('a', &[long]), ('b', &[longer]), ('c', &[longer])]);
    // Without gates the rotation alone keeps to it.
    let mut rig = dial(&hosts, policy(), Vec::new()).await;
    run(&mut rig.stream, secs(2)).await;
    assert_eq!(rig.scrape().sum("feedwatch_breaker_trips_total", &[]), 0.0);
    run(&mut rig.stream, secs(1990)).await;
    assert_eq!(hosts.dials(), [('a', 0), ('b', 1), ('c', 3)]);
    assert_eq!(rig.scrape().sum("feedwatch_breaker_trips_total", &[]), 1.0);
    run(&mut rig.stream, secs(20)).await;
    assert_eq!(hosts.dials()[3..], [('a', 2000)]);
    rig.stream.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_fatal_answer_of_one_endpoint_leaves_the_stream_to_the_others() {
    let away = Meets::Answer("401 Unauthorized");
    let hosts = Hosts::new(&[
        ('a', &[away]),
        ('b', &[Meets::Refused, Meets::Live(secs(50))]),
        ('c', &[away]),
    ]);
    let mut rig = dial(&hosts, policy(), gates(3)).await;
    run(&mut rig.stream, secs(30)).await;
    assert_eq!(hosts.order(), "abcb");
    let scrape = rig.scrape();
    assert_eq!(scrape.sum("feedwatch_stream_connected", &[]), 1.0);
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
    let unauthorized = [("cause", "unauthorized")];
    assert_eq!(scrape.sum("feedwatch_connect_failures_total", &unauthorized), 2.0);
    rig.stream.close().await;

    let hosts = Hosts::new(&[('a', &[away]), ('b', &[away]), ('c', &[away])]);
    let mut rig = dial(&hosts, policy(), gates(3)).await;
    run(&mut rig.stream, secs(90)).await;
    assert_eq!(hosts.order(), "abc");
    let fatal = [("trigger", "fatal_error")];
    assert_eq!(rig.scrape().sum("feedwatch_breaker_trips_total", &fatal), 1.0);
    // After the cooldown the probes go round as before.
    run(&mut rig.stream, secs(130)).await;
    assert_eq!(hosts.order(), "abcab");
    rig.stream.close().await;
}

#[tokio::test(start_paused = true)]
async fn each_dial_asks_the_gate_of_its_own_host() {
    let slow = DialGate::new(DialLimit {
        per_second: 0.01,
        burst: 1,
    });
    let hosts = Hosts::new(&[('b', &[Meets::Live(secs(500))]), ('a', &[Meets::Live(millis(1500))])]);
    let mut gates = gates(3);
    gates[0] = slow.clone();
    // The one turn of a that there is for a long time is another stream's, which is lost there soon.
    let mut first = dial(&hosts, policy(), gates.clone()).await;
    run(&mut first.stream, secs(1)).await;
    let mut second = dial(&hosts, policy(), gates.clone()).await;
    tokio::join!(run(&mut first.stream, secs(50)), run(&mut second.stream, secs(50)));
    // The first one goes on to b, which has a gate of its own; the second waits for its turn at a.
    assert_eq!(hosts.dials(), [('a', 0), ('b', 2)]);
    tokio::join!(run(&mut first.stream, secs(60)), run(&mut second.stream, secs(60)));
    assert!(hosts.order().starts_with("aba"), "{}", hosts.order());
    assert!(hosts.dials()[2].1 >= 100, "{:?}", hosts.dials());
    first.stream.close().await;
    second.stream.close().await;
}
