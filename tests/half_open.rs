//! Networks that swallow packets: connections that are half open, addresses and hosts that are cut off. Made for real, in network
//! namespaces, out of which no packet goes.

#![cfg(all(feature = "service", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::panic,
    reason = "tests may fail, and counts are exact"
)]

#[path = "support/namespaces.rs"]
mod namespaces;
mod support;

use feedwatch::market::Instrument;
use feedwatch::sim::{SimOptions, SimulatedVenue, Traffic};
use feedwatch::stream::{Dialler, MarketDataStream, TcpDialler, TcpIo, TcpOptions, TlsTrust, TransportOptions};
use feedwatch::supervise::Policy;
use namespaces::{Inside, Network};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::rig::{Rig, among, of_spans};
use support::rows::{millis, options, policy};
use tokio::sync::watch;
use tokio::time::Instant;

/// How late something may be seen on a busy machine, the second look at a deadline included.
const SLACK: Duration = millis(1500);

/// The network of the streams, and that of a venue.
struct Pair {
    /// Ends before the network does.
    _inside: Inside,
    here: Network,
    there: Network,
    /// At which it can be reached.
    address: Ipv4Addr,
}

impl Pair {
    /// From now on this thread is in the network of the streams.
    fn new() -> Self {
        let (here, there) = (Network::new(), Network::new());
        let (_, address) = here.join(&there, 1);
        Self {
            _inside: here.enter(),
            here,
            there,
            address,
        }
    }

    /// Every packet is dropped, on both sides.
    fn cut(&self) {
        self.here.cut_off();
        self.there.cut_off();
    }

    fn mend(&self) {
        self.here.restore();
        self.there.restore();
    }
}

/// A venue that listens in a network.
fn venue(network: &Network, address: Ipv4Addr, traffic: Traffic) -> SimulatedVenue {
    let _inside = network.enter();
    SimulatedVenue::start(SimOptions {
        listen: (address, 0).into(),
        traffic,
        ..SimOptions::default()
    })
    .unwrap()
}

fn lively() -> Traffic {
    SimOptions::default().traffic
}

async fn dial(url: &str, policy: Policy, options: TransportOptions, tcp: TcpOptions) -> Rig {
    let dialler = TcpDialler::default().with_options(watch::channel(tcp).1);
    Rig::new(url, policy, options, TlsTrust::only([]).unwrap(), dialler).await
}

/// A stream that never pings: only the kernel finds out.
fn without_pings() -> TransportOptions {
    TransportOptions {
        ping_interval: Some(Duration::from_secs(3600)),
        ..options()
    }
}

const OFF: TcpOptions = TcpOptions {
    keepalive: None,
    user_timeout: None,
};

fn losses(scrape: &Scrape) -> f64 {
    scrape.sum("feedwatch_disconnects_total", &[])
}

/// The stream has lost its connection for this cause alone, and has failed to dial since, for want of an answer; when packets
/// pass again it is live, and that was all.
async fn loses_and_comes_back(rig: &mut Rig, pair: &Pair, cause: &str) {
    let scrape = rig.until("dialling again", |scrape| {
        scrape.sum("feedwatch_connect_failures_total", &[("cause", "tcp_timeout")]) >= 2.0
    });
    let scrape = scrape.await;
    assert_eq!(scrape.nonzero("feedwatch_disconnects_total", "cause"), [cause]);
    assert_eq!(
        scrape.nonzero("feedwatch_connect_failures_total", "cause"),
        ["tcp_timeout"]
    );
    assert!(scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "backoff")]) >= 2.0);
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
    pair.mend();
    let scrape = rig.until_live().await;
    assert_eq!(losses(&scrape), 1.0);
    assert_eq!(rig.causes_of_outages(), [cause]);
    assert!(rig.error_types().iter().all(|told| told == "tcp_timeout"));
    assert_eq!(scrape.sum("feedwatch_outage_duration_seconds_count", &[]), 1.0);
}

#[tokio::test]
#[ignore = "needs root, ip and iptables"]
async fn a_connection_that_is_half_open_is_found_by_the_next_ping() {
    let pair = Pair::new();
    leaves_nothing_behind(async || {
        let venue = venue(&pair.there, pair.address, lively());
        let mut rig = dial(&venue.url(), policy(), options(), TcpOptions::default()).await;
        rig.until_live().await;
        pair.cut();
        let begun = Instant::now();
        rig.until("lost", |scrape| losses(scrape) == 1.0).await;
        let TransportOptions {
            ping_interval,
            pong_timeout,
            ..
        } = options();
        let (took, most) = (begun.elapsed(), ping_interval.unwrap() + pong_timeout);
        assert!(took < most + SLACK, "{took:?}, where {most:?} are allowed");
        loses_and_comes_back(&mut rig, &pair, "pong_timeout").await;
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs root, ip and iptables"]
async fn a_frame_that_nobody_acknowledges_ends_the_connection() {
    let pair = Pair::new();
    leaves_nothing_behind(async || {
        let venue = venue(&pair.there, pair.address, Traffic::Silent);
        let tcp = TcpOptions {
            user_timeout: Some(millis(1500)),
            ..OFF
        };
        let mut rig = dial(&venue.url(), policy(), without_pings(), tcp).await;
        rig.until_live().await;
        pair.cut();
        let begun = Instant::now();
        rig.stream.subscribe(&[Instrument::new("13")]).await.unwrap();
        rig.until("lost", |scrape| losses(scrape) == 1.0).await;
        // Left alone, Linux goes on for a quarter of an hour.
        let took = begun.elapsed();
        assert!(took >= millis(1400) && took < Duration::from_secs(8), "{took:?}");
        loses_and_comes_back(&mut rig, &pair, "tcp_timeout").await;
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs root, ip and iptables"]
async fn a_peer_that_is_gone_is_found_by_keep_alives_where_nothing_is_sent() {
    let pair = Pair::new();
    leaves_nothing_behind(async || {
        let venue = venue(&pair.there, pair.address, Traffic::Silent);
        let tcp = TcpOptions {
            keepalive: Some(Duration::from_secs(1)),
            ..OFF
        };
        let mut rig = dial(&venue.url(), policy(), without_pings(), tcp).await;
        rig.until_live().await;
        pair.cut();
        let begun = Instant::now();
        rig.until("lost", |scrape| losses(scrape) == 1.0).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?}");
        loses_and_comes_back(&mut rig, &pair, "tcp_timeout").await;
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs root, ip and iptables"]
async fn a_syn_that_is_swallowed_fails_the_attempt_until_packets_pass() {
    let pair = Pair::new();
    leaves_nothing_behind(async || {
        let venue = venue(&pair.there, pair.address, lively());
        // By the time limit of the dial, and by the kernel's.
        let quick = TcpOptions {
            user_timeout: Some(Duration::from_secs(1)),
            ..OFF
        };
        let patient = Policy {
            connect_timeout: Duration::from_secs(600),
            ..policy()
        };
        for (policy, tcp) in [(policy(), TcpOptions::default()), (patient, quick)] {
            pair.cut();
            let mut rig = dial(&venue.url(), policy, options(), tcp).await;
            let failed = |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &[]) == 2.0;
            let scrape = rig.until("failed twice", failed).await;
            assert_eq!(
                scrape.nonzero("feedwatch_connect_failures_total", "cause"),
                ["tcp_timeout"]
            );
            assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
            assert_eq!(rig.error_types(), ["tcp_timeout", "tcp_timeout"]);
            pair.mend();
            let scrape = rig.until_live().await;
            assert!(scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "backoff")]) >= 2.0);
            rig.stream.close().await;
        }
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs root, ip and iptables"]
async fn a_host_to_which_no_way_leads_is_unreachable_until_one_does() {
    let pair = Pair::new();
    leaves_nothing_behind(async || {
        let venue = venue(&pair.there, pair.address, lively());
        // The network that no route leads to, and the host that a router says is not there.
        pair.here.ip("route delete 10.77.1.0/24 dev v1");
        for (route, undo) in [
            ("route show", "route show"),
            (
                "route add unreachable 10.77.1.0/24",
                "route delete unreachable 10.77.1.0/24",
            ),
        ] {
            pair.here.ip(route);
            let mut rig = dial(&venue.url(), policy(), options(), TcpOptions::default()).await;
            let failed = |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &[]) >= 2.0;
            let scrape = rig.until("failed twice", failed).await;
            let causes = scrape.nonzero("feedwatch_connect_failures_total", "cause");
            assert_eq!(causes, ["tcp_unreachable"], "{route}");
            assert_eq!(rig.error_types()[..2], ["tcp_unreachable"; 2]);
            assert!(scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "backoff")]) >= 1.0);
            pair.here.ip(undo);
            pair.here.ip("route add 10.77.1.0/24 dev v1");
            rig.until_live().await;
            rig.stream.close().await;
            pair.here.ip("route delete 10.77.1.0/24 dev v1");
        }
        venue.shutdown().await;
    })
    .await;
}

/// Dials like the service a host that has these addresses.
#[derive(Clone)]
struct Named {
    addresses: Vec<SocketAddr>,
    tcp: TcpDialler,
}

impl Dialler for Named {
    type Io = TcpIo;

    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.addresses.clone())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpIo> {
        self.tcp.connect(address).await
    }
}

#[tokio::test]
#[ignore = "needs root, ip and iptables"]
async fn an_address_that_swallows_packets_costs_no_more_than_its_head_start() {
    let pair = Pair::new();
    let cut_off = Network::new();
    let (_, swallows) = pair.here.join(&cut_off, 2);
    cut_off.cut_off();
    leaves_nothing_behind(async || {
        let venue = venue(&pair.there, pair.address, lively());
        let named = Named {
            addresses: vec![(swallows, venue.address().port()).into(), venue.address()],
            tcp: TcpDialler::default(),
        };
        let patient = Policy {
            connect_timeout: Duration::from_secs(10),
            ..policy()
        };
        let trust = TlsTrust::only([]).unwrap();
        let begun = Instant::now();
        let mut rig = Rig::new("ws://venue.example/ws/market", patient, options(), trust, named).await;
        let scrape = rig.until_live().await;
        let (took, head_start) = (begun.elapsed(), options().connect_attempt_delay);
        assert!(took >= head_start && took < head_start + SLACK, "{took:?}");
        assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[]), 0.0);
        assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0);
        let reached = of_spans(&rig.spans("tcp.connect"), "network.peer.address");
        assert_eq!(reached, [pair.address.to_string()]);
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs root, ip and iptables"]
async fn a_stream_goes_on_at_its_second_endpoint_when_the_first_is_cut_off() {
    let pair = Pair::new();
    let other = Network::new();
    let (_, address) = pair.here.join(&other, 2);
    leaves_nothing_behind(async || {
        let (first, second) = (
            venue(&pair.there, pair.address, lively()),
            venue(&other, address, lively()),
        );
        let urls = [first.url(), second.url()];
        let urls = urls.each_ref().map(String::as_str);
        let mut rig = among(&urls, policy(), options(), TcpDialler::default(), Vec::new()).await;
        rig.until_live().await;
        pair.there.cut_off();
        let live_again =
            |scrape: &Scrape| losses(scrape) == 1.0 && scrape.sum("feedwatch_stream_connected", &[]) == 1.0;
        let scrape = rig.until("live again", live_again).await;
        assert_eq!(scrape.nonzero("feedwatch_disconnects_total", "cause"), ["pong_timeout"]);
        // The first dial after the loss went to the second one.
        assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 2.0);
        assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[]), 0.0);
        assert_eq!(rig.causes_of_outages(), ["pong_timeout"]);
        let dialled = of_spans(&rig.spans("stream.connect"), "server.address");
        assert_eq!(dialled, [pair.address.to_string(), address.to_string()]);
        let cells = &rig.shown.all()[0];
        assert_eq!(cells.endpoints(), [second.address().to_string()]);

        // Back it goes only when that one is lost, too.
        pair.there.restore();
        other.cut_off();
        let back = |scrape: &Scrape| losses(scrape) == 2.0 && scrape.sum("feedwatch_stream_connected", &[]) == 1.0;
        rig.until("back at the first", back).await;
        assert_eq!(cells.endpoints(), [first.address().to_string()]);
        rig.stream.close().await;
        first.shutdown().await;
        second.shutdown().await;
    })
    .await;
}
