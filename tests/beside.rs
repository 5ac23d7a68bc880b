//! What floods one stream, or asks the exporter for too much, is not felt by another stream.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::panic,
    reason = "tests may fail, and counts are exact"
)]

#[path = "support/exposed.rs"]
mod exposed;
#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/queries.rs"]
mod queries;
mod support;

use exposed::{Exposed, LIMIT};
use exposition::Exposition;
use feedwatch::exporter::Limits;
use feedwatch::market::MarketEvent;
use feedwatch::sim::{Fault, Flood, Rule, Script, SimOptions, SimulatedVenue, Traffic};
use feedwatch::stream::MarketDataStream;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use support::aftermath::leaves_nothing_behind;
use support::rows::{dial, millis, policy, venue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A live stream in the same runtime, of a venue that sends five hundred events a second.
struct Beside {
    venue: SimulatedVenue,
    received: Arc<AtomicU64>,
    watching: JoinHandle<()>,
    stop: CancellationToken,
}

impl Beside {
    async fn live() -> Self {
        let traffic = Traffic::Generated {
            events_per_second: 500.0,
        };
        let venue = SimulatedVenue::start(SimOptions {
            traffic,
            ..SimOptions::default()
        })
        .unwrap();
        let mut rig = dial(&venue.url(), policy()).await;
        rig.until_live().await;
        let (received, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (count, stopped) = (received.clone(), stop.clone());
        let watching = tokio::spawn(async move {
            while let Some(event) = stopped.run_until_cancelled(rig.stream.next_event()).await {
                assert!(matches!(event, Some(MarketEvent::Frame(_))), "{event:?}");
                count.fetch_add(1, Relaxed);
            }
            rig.stream.close().await;
        });
        Self {
            venue,
            received,
            watching,
            stop,
        }
    }

    /// The frames up to now.
    fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Ends it. It must have received nothing but data.
    async fn end(self) {
        self.stop.cancel();
        self.watching.await.unwrap();
        self.venue.shutdown().await;
    }
}

fn assert_kept(scrape: &Exposition) {
    assert_eq!(scrape.sum("feedwatch_stream_connected", &[]), 1.0);
    assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1.0);
    assert_eq!(scrape.sum("feedwatch_disconnects_total", &[]), 0.0);
}

/// So many that a machine is busy with them for a while.
const FLOOD: u64 = 20_000;

/// Lets a flood pass, of which `figure` counts all: the connection is kept, and in the midst of it another stream gets its data
/// and scrapes are answered.
async fn flooded(of: Flood, figure: impl Fn(&Exposition) -> f64) -> (SimulatedVenue, Exposed, Exposition) {
    let beside = Beside::live().await;
    let flood = Fault::Flood {
        of,
        frames: FLOOD,
        after: Duration::ZERO,
    };
    let venue = SimulatedVenue::start(SimOptions {
        traffic: Traffic::Silent,
        script: Script {
            rules: vec![Rule::always(flood)],
        },
        ..SimOptions::default()
    })
    .unwrap();
    let mut exposed = Exposed::new(dial(&venue.url(), policy()).await, Limits::default()).await;
    let midst = RefCell::new(Vec::new());
    let scrape = exposed
        .until("the flood has passed", |scrape| {
            let passed = figure(scrape);
            if passed > 0.0 && passed < FLOOD as f64 {
                midst.borrow_mut().push(beside.received());
            }
            passed == FLOOD as f64
        })
        .await;
    let midst = midst.into_inner();
    assert!(midst.len() > 2, "{} scrapes in the midst", midst.len());
    assert!(midst[midst.len() - 1] > midst[0], "the other stream got {midst:?}");
    assert_kept(&scrape);
    beside.end().await;
    (venue, exposed, scrape)
}

#[tokio::test]
async fn each_ping_of_a_flood_is_answered() {
    leaves_nothing_behind(async || {
        let asked = [("opcode", "ping"), ("direction", "received")];
        let told = [("opcode", "pong"), ("direction", "sent")];
        let control =
            |scrape: &Exposition, labels: &[(&str, &str)]| scrape.sum("feedwatch_control_frames_total", labels);
        let (venue, mut exposed, scrape) = flooded(Flood::Pings, |scrape| control(scrape, &asked)).await;
        assert_eq!(control(&scrape, &told), FLOOD as f64);
        let log = venue.log();
        let answered = async {
            while log.totals().received.pong < FLOOD {
                sleep(millis(5)).await;
            }
        };
        exposed
            .meanwhile(timeout(LIMIT, answered))
            .await
            .expect("each pong arrives");
        assert_eq!(log.totals().received.pong, FLOOD);
        exposed.end().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn each_empty_frame_of_a_flood_is_counted_and_no_more() {
    leaves_nothing_behind(async || {
        let json = [("reason", "json")];
        let errors = |scrape: &Exposition| scrape.sum("feedwatch_parse_errors_total", &json);
        let (venue, exposed, _) = flooded(Flood::EmptyTexts, errors).await;
        exposed.end().await;
        venue.shutdown().await;
    })
    .await;
}

/// The time limits of the exporter where they are tried, far below the patience of those that try them.
const SHORT: Duration = millis(300);

/// A status alone; an answer that is cut short has none.
async fn status(exporter: SocketAddr, request: &[u8]) -> Option<u16> {
    let mut socket = TcpStream::connect(exporter).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // It may be a reset, where the exporter has not read all.
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1)?.parse().ok()
}

/// So many scrapes are asked for at once on one connection: more than all buffers on the way hold.
const IN_ONE_GO: usize = 400;

/// Takes the answers through a small window, a byte now and again, and at last what is left: how many answers came.
async fn reads_byte_by_byte(exporter: SocketAddr) -> usize {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut socket = socket.connect(exporter).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: feedwatch\r\n\r\n";
    socket.write_all(request.repeat(IN_ONE_GO).as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < 4 * SHORT {
        answers.push(socket.read_u8().await.unwrap());
        sleep(millis(20)).await;
    }
    // It may end with a reset.
    let _ = socket.read_to_end(&mut answers).await;
    String::from_utf8_lossy(&answers).matches("HTTP/1.1 200 OK").count()
}

/// Sends a header byte by byte until it is cut off.
async fn asks_byte_by_byte(exporter: SocketAddr) {
    let mut socket = TcpStream::connect(exporter).await.unwrap();
    for byte in b"GET /metrics HTTP/1.1\r\nX-Slow: ".iter().chain([b'x'].iter().cycle()) {
        if socket.write_all(&[*byte]).await.is_err() {
            return;
        }
        sleep(millis(20)).await;
    }
}

#[tokio::test]
async fn scrapers_that_ask_for_too_much_are_refused_or_cut_off() {
    leaves_nothing_behind(async || {
        let limits = Limits {
            scrapes: 4,
            header_time: SHORT,
            write_time: SHORT,
            ..Limits::default()
        };
        let venue = venue(Vec::new());
        let mut exposed = Exposed::new(dial(&venue.url(), policy()).await, limits).await;
        exposed.until_live().await;
        let beside = Beside::live().await;
        let (before, exporter) = (beside.received(), exposed.exporter);

        let mut scrapes = JoinSet::new();
        let once = b"GET /metrics HTTP/1.1\r\nHost: feedwatch\r\nConnection: close\r\n\r\n";
        for _ in 0..200 {
            scrapes.spawn(status(exporter, once));
        }
        let at_once = exposed.meanwhile(timeout(LIMIT, scrapes.join_all())).await.unwrap();
        let count = |status| at_once.iter().filter(|answered| **answered == Some(status)).count();
        assert!(
            count(200) > 0 && count(503) > 0 && count(200) + count(503) == 200,
            "{at_once:?}"
        );

        let huge = b"POST /metrics HTTP/1.1\r\nHost: feedwatch\r\nContent-Length: 1073741824\r\n\r\nxxxx";
        let trials = async {
            assert_eq!(status(exporter, huge).await, Some(405));
            let (answers, ()) = tokio::join!(reads_byte_by_byte(exporter), asks_byte_by_byte(exporter));
            assert!((1..IN_ONE_GO).contains(&answers), "{answers}");
        };
        exposed
            .meanwhile(timeout(LIMIT, trials))
            .await
            .expect("they are cut off");

        let scrape = exposed.until_live().await;
        assert_kept(&scrape);
        assert!(beside.received() > before + 20);
        beside.end().await;
        exposed.end().await;
        venue.shutdown().await;
    })
    .await;
}
