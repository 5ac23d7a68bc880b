//! What goes wrong before there is a connection, with the system's own resolver and sockets.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::sim::{SimOptions, SimulatedVenue};
use feedwatch::stream::{Dialler, TcpDialler, TcpIo, TlsTrust};
use feedwatch::supervise::Policy;
use std::io;
use std::net::SocketAddr;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::rig::{Rig, of_spans};
use support::rows::{dial, millis, options, policy};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

/// Every attempt fails for `cause`, and waits follow: judged in the second of them.
async fn keeps_failing(url: &str, cause: &str) {
    let patient = Policy {
        initial_delay: millis(200),
        max_delay: millis(400),
        connect_timeout: millis(300),
        ..policy()
    };
    let mut rig = dial(url, patient).await;
    let waits_again = |scrape: &Scrape| {
        scrape.sum("feedwatch_connect_failures_total", &[]) == 2.0
            && scrape.sum("feedwatch_stream_state", &[("state", "backing_off")]) == 1.0
    };
    let scrape = rig.until("waiting again", waits_again).await;
    assert_eq!(scrape.nonzero("feedwatch_connect_failures_total", "cause"), [cause]);
    assert_eq!(rig.error_types(), [cause, cause]);
    assert_eq!(
        scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "backoff")]),
        1.0
    );
    assert_eq!(scrape.sum("feedwatch_reconnect_current_delay_seconds", &[]), 0.4);
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
    rig.end().await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    leaves_nothing_behind(async || {
        // No name has so long a part, so no name server is asked.
        keeps_failing(&format!("ws://{}/ws/market", "a".repeat(64)), "dns").await;
    })
    .await;
}

/// A port that somebody holds and at which nobody listens is refused, and nobody else takes it meanwhile.
#[tokio::test]
async fn a_port_that_is_closed() {
    leaves_nothing_behind(async || {
        let held = TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = held.local_addr().unwrap();
        keeps_failing(&format!("ws://{address}/ws/market"), "tcp_refused").await;
        keeps_failing(&format!("wss://{address}/ws/market"), "tcp_refused").await;
    })
    .await;
}

/// Where nobody accepts and the queue is full, Linux drops each further SYN, as a firewall does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_syn_that_is_swallowed() {
    leaves_nothing_behind(async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(connected) = timeout(millis(200), TcpStream::connect(address)).await {
            queue.push(connected.unwrap());
            assert!(queue.len() < 100, "the queue has no end");
        }
        keeps_failing(&format!("ws://{address}/ws/market"), "tcp_timeout").await;
    })
    .await;
}

/// A host whose first address never answers.
struct HalfDeaf {
    addresses: [SocketAddr; 2],
    tcp: TcpDialler,
}

impl Dialler for HalfDeaf {
    type Io = TcpIo;

    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.addresses.to_vec())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpIo> {
        if address == self.addresses[0] {
            return std::future::pending().await;
        }
        self.tcp.connect(address).await
    }
}

#[tokio::test]
async fn an_address_that_never_answers_is_overtaken_and_the_one_that_did_is_told() {
    leaves_nothing_behind(async || {
        let venue = SimulatedVenue::start(SimOptions::default()).unwrap();
        let deaf = HalfDeaf {
            addresses: [([0_u16; 8], 1).into(), venue.address()],
            tcp: TcpDialler::default(),
        };
        let begun = Instant::now();
        let trust = TlsTrust::only([]).unwrap();
        let mut rig = Rig::new("ws://venue.example/ws/market", policy(), options(), trust, deaf).await;
        let scrape = rig.until_live().await;
        assert!(begun.elapsed() >= options().connect_attempt_delay);
        assert_eq!(scrape.sum("feedwatch_connect_failures_total", &[]), 0.0);
        assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0);
        for span in ["tcp.connect", "GET"] {
            let peer = of_spans(&rig.spans(span), "network.peer.port");
            assert_eq!(peer, [venue.address().port().to_string()], "{span}");
        }
        rig.end().await;
        venue.shutdown().await;
    })
    .await;
}
