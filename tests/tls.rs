//! `wss` over real sockets: a proxy that ends TLS, with certificates made for the test, in front of the simulated venue.

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
use feedwatch::stream::{TcpDialler, TlsTrust, TransportOptions};
use feedwatch::supervise::{OnStale, Policy};
use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::pipe::{BOOK, Pipe, serve_first_subscription};
use support::rig::Rig;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_tungstenite::tungstenite::Message;

/// 2100-01-01.
const NOT_AFTER: i64 = 4_102_444_800;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's configuration with a certificate for `host` that ends in January of `year`.
fn server(authority: &Authority, host: &str, year: i32) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

/// What stands in front of the venue.
enum Front {
    Tls(Arc<ServerConfig>),
    /// Accepts, and never says a word.
    Silent,
    /// Answers the handshake with something else.
    Garbage,
}

/// Runs until the set is dropped.
async fn front(front: Front, venue: SocketAddr) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            match &front {
                Front::Tls(config) => {
                    let acceptor = TlsAcceptor::from(config.clone());
                    connections.spawn(async move {
                        // A client that does not like the certificate goes away: its own test judges that.
                        if let Ok(mut secured) = acceptor.accept(socket).await {
                            let mut plain = TcpStream::connect(venue).await.unwrap();
                            let _ = copy_bidirectional(&mut secured, &mut plain).await;
                        }
                    });
                }
                Front::Silent => drop(connections.spawn(async move {
                    let _socket = socket;
                    std::future::pending::<()>().await;
                })),
                Front::Garbage => drop(connections.spawn(async move {
                    let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                })),
            }
        }
    });
    (port, tasks)
}

/// A stream that dials `wss://HOST:port`.
async fn dial(host: &str, port: u16, trust: TlsTrust) -> Rig {
    let policy = Policy {
        connect_timeout: Duration::from_millis(700),
        ..Policy::default()
    };
    let url = format!("wss://{host}:{port}/ws/market");
    Rig::new(&url, policy, TransportOptions::default(), trust, TcpDialler::default()).await
}

fn trusting(authority: &Authority) -> TlsTrust {
    TlsTrust::only([authority.der().to_vec()]).unwrap()
}

fn tripped(scrape: &Scrape) -> bool {
    scrape.sum("feedwatch_breaker_trips_total", &[("trigger", "fatal_error")]) == 1.0
}

#[tokio::test]
async fn a_venue_with_a_good_certificate_goes_live_and_its_end_is_told() {
    leaves_nothing_behind(async || {
        let (authority, venue) = (authority(), SimulatedVenue::start(SimOptions::default()).unwrap());
        let (port, _front) = front(Front::Tls(server(&authority, "localhost", 2100)), venue.address()).await;
        let scrape = dial("localhost", port, trusting(&authority)).await.until_live().await;
        assert_eq!(
            scrape.sum("feedwatch_tls_certificate_not_after_timestamp_seconds", &[]),
            NOT_AFTER as f64
        );
        assert_eq!(
            scrape.sum("feedwatch_connect_duration_seconds_count", &[("phase", "tls")]),
            1.0
        );
        assert_eq!(scrape.sum("feedwatch_stream_info", &[("transport", "wss")]), 1.0);
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_trips_at_once() {
    leaves_nothing_behind(async || {
        let (authority, stranger) = (authority(), authority());
        let venue = SimulatedVenue::start(SimOptions::default()).unwrap();
        for (what, server, trust) in [
            ("expired", server(&authority, "localhost", 2001), trusting(&authority)),
            (
                "of another host",
                server(&authority, "venue.example", 2100),
                trusting(&authority),
            ),
            (
                "of an unknown authority",
                server(&authority, "localhost", 2100),
                trusting(&stranger),
            ),
        ] {
            let (port, _front) = front(Front::Tls(server), venue.address()).await;
            let mut rig = dial("localhost", port, trust).await;
            let scrape = rig.until("tripped", tripped).await;
            assert_eq!(rig.error_types(), ["tls_certificate"], "{what}");
            assert_eq!(
                scrape.nonzero("feedwatch_connect_failures_total", "cause"),
                ["tls_certificate"],
                "{what}"
            );
            assert_eq!(
                scrape.sum("feedwatch_connect_attempts_total", &[]),
                1.0,
                "{what}: redialling cannot heal it"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_handshake_that_hangs_or_is_none_backs_off() {
    leaves_nothing_behind(async || {
        for (kind, cause) in [(Front::Silent, "tls_timeout"), (Front::Garbage, "tls")] {
            let (port, _front) = front(kind, ([127, 0, 0, 1], 1).into()).await;
            let trust = TlsTrust::only([]).unwrap();
            let failed = |scrape: &Scrape| scrape.sum("feedwatch_connect_failures_total", &[("cause", cause)]) == 1.0;
            let mut rig = dial("localhost", port, trust).await;
            let scrape = rig.until(cause, failed).await;
            assert_eq!(scrape.sum("feedwatch_breaker_state", &[("state", "closed")]), 1.0);
            assert_eq!(rig.error_types()[0], cause);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn records_that_wait_are_read_before_anything_is_missed() {
    let authority = authority();
    let acceptor = TlsAcceptor::from(server(&authority, "venue.example", 2100));
    // Of a record only a part fits.
    let (pipe, end) = Pipe::new(1000);
    tokio::spawn(async move {
        let mut server = serve_first_subscription(acceptor.accept(end).await.unwrap()).await;
        let book = Message::text(format!("{BOOK:10000}"));
        while let Some(Ok(message)) = server.next().await {
            if message == Message::text("PING") {
                sleep(Duration::from_secs(5)).await;
                for answer in [book.clone(), book.clone(), Message::text("PONG")] {
                    server.send(answer).await.unwrap();
                }
            }
        }
    });
    let policy = Policy {
        stale_after: Some(Duration::from_secs(30)),
        on_stale: OnStale::Reconnect,
        ..Policy::default()
    };
    let options = TransportOptions::default();
    let url = "wss://venue.example/ws/market";
    let mut rig = Rig::new(url, policy, options, trusting(&authority), pipe).await;
    rig.until_live().await;
    // The first ping leaves, and nobody polls for a minute.
    let pinged = |scrape: &Scrape| scrape.sum("feedwatch_frames_sent_total", &[]) == 2.0;
    let before = rig.until("a ping", pinged).await;
    assert_eq!(before.sum("feedwatch_frames_received_total", &[]), 1.0);
    sleep(Duration::from_secs(60)).await;
    let all = |scrape: &Scrape| scrape.sum("feedwatch_frames_received_total", &[]) == 4.0;
    let after = rig.until("what waited", all).await;
    assert_eq!(after.sum("feedwatch_disconnects_total", &[]), 0.0);
    assert_eq!(after.sum("feedwatch_stale_episodes_total", &[]), 0.0);
}
