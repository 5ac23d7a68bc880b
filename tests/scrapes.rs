//! Scrapes that are too large to be one piece: sent in chunks, compressed or not, whole or visibly cut.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/http.rs"]
mod http;
#[path = "support/openmetrics.rs"]
mod openmetrics;
#[path = "support/prometheus_client.rs"]
mod prometheus_client;
#[path = "support/queries.rs"]
mod queries;

use exposition::Exposition;
use feedwatch::clock::Moment;
use feedwatch::exporter::{Exporter, ExporterState, Limits, Readiness};
use feedwatch::market::StreamName;
use feedwatch::metrics::{BuildInfo, OwnMetrics, StreamCells, StreamInfo, Streams};
use flate2::read::GzDecoder;
use http::Answer;
use openmetrics::OpenMetrics;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine, and only ever waited out by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// Their text is larger than what sockets hold.
const MANY: u64 = 1500;
/// Their text is more than one portion.
const SEVERAL: u64 = 60;
/// What is rendered in one go, and so told with its length.
const AT_ONCE: usize = 256 * 1024;
const OPENMETRICS: &str = "Accept: application/openmetrics-text;version=1.0.0\r\n";
const GZIP: &str = "Accept-Encoding: gzip\r\n";

struct Server {
    address: SocketAddr,
    shown: Arc<Streams>,
    own: Arc<OwnMetrics>,
    cells: Vec<Arc<StreamCells>>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(streams: u64, limits: Limits) -> Self {
        let build = BuildInfo {
            version: "1".into(),
            revision: "r".into(),
            rustversion: "1".into(),
        };
        let state = ExporterState {
            streams: Arc::new(Streams::new()),
            own: Arc::new(OwnMetrics::new(&build).unwrap()),
            readiness: Arc::new(Readiness::new()),
            build,
        };
        let (shown, own) = (Arc::clone(&state.streams), Arc::clone(&state.own));
        let exporter = Exporter::bind("127.0.0.1:0".parse().unwrap(), state, limits)
            .await
            .unwrap();
        let (address, stop) = (exporter.local_addr(), CancellationToken::new());
        let origin = Moment::now().mono;
        let stream = |number: u64| {
            let info = StreamInfo {
                stream: StreamName::new(&format!("a-stream-{number}")).unwrap(),
                server_address: "localhost".into(),
                transport: "ws".into(),
                page_on_stale: false,
            };
            let cells = Arc::new(StreamCells::new(info, shown.venue("polymarket"), origin));
            shown.add(&cells);
            (0..number % 7).for_each(|_| cells.frame_sent(1000));
            cells
        };
        Self {
            address,
            cells: (0..streams).map(stream).collect(),
            shown,
            own,
            serving: tokio::spawn(exporter.serve(stop.clone())),
            stop,
        }
    }

    /// Has asked for a scrape, and read nothing.
    async fn ask(&self, headers: &str) -> TcpStream {
        self.send(&format!(
            "GET /metrics HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n"
        ))
        .await
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn scrape(&self, headers: &str) -> Answer {
        let answer = read(self.ask(headers).await).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["vary"], "accept, accept-encoding");
        answer
    }

    async fn no_scrape_is_under_way(&self) {
        let freed = async {
            while self.own.scrapes_in_flight().get() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, freed).await.expect("its place is free again");
    }
}

async fn read(socket: TcpStream) -> io::Result<Answer> {
    timeout(PATIENCE, http::read(socket)).await.expect("an answer in time")
}

fn unzipped(answer: &Answer) -> String {
    assert_eq!(answer.headers["content-encoding"], "gzip");
    let mut text = String::new();
    GzDecoder::new(&*answer.body).read_to_string(&mut text).unwrap();
    text
}

fn plain(answer: Answer) -> String {
    assert!(!answer.headers.contains_key("content-encoding"));
    String::from_utf8(answer.body).unwrap()
}

/// What is told of streams and venues: it does not change here.
fn of_streams(exposition: &Exposition) -> BTreeMap<&String, &exposition::Family> {
    let families = exposition.families.iter();
    families
        .filter(|(_, family)| family.label_names().contains("venue"))
        .collect()
}

#[tokio::test]
async fn a_large_scrape_comes_in_chunks_and_says_the_same_in_each_format_and_coding() {
    let server = Server::start(SEVERAL, Limits::default()).await;
    let text = server.scrape("").await;
    assert_eq!(text.headers["transfer-encoding"], "chunked");
    let text = Exposition::parse(&plain(text)).unwrap();
    assert_eq!(text.family("feedwatch_stream_state").samples.len(), 60 * 7);
    let sent = [("stream", "a-stream-13")];
    assert!((text.value("feedwatch_sent_bytes_total", &sent) - 6000.0).abs() < 0.1);

    let zipped = server.scrape(GZIP).await;
    let (length, unzipped_text) = (zipped.body.len(), unzipped(&zipped));
    assert!(length * 10 < unzipped_text.len(), "{length} of {}", unzipped_text.len());
    assert_eq!(
        of_streams(&Exposition::parse(&unzipped_text).unwrap()),
        of_streams(&text)
    );
    for coding in ["", GZIP] {
        let answer = server.scrape(&format!("{OPENMETRICS}{coding}")).await;
        let openmetrics = if coding.is_empty() {
            plain(answer)
        } else {
            unzipped(&answer)
        };
        let read = OpenMetrics::parse(&openmetrics).unwrap().as_text();
        assert_eq!(of_streams(&read), of_streams(&text), "{coding}");
    }
}

#[tokio::test]
async fn a_small_scrape_tells_its_length_with_and_without_gzip() {
    let server = Server::start(3, Limits::default()).await;
    let mut lengths = Vec::new();
    for coding in ["", "Accept-Encoding: gzip;q=0.5, identity;q=0.6\r\n", GZIP] {
        let answer = server.scrape(coding).await;
        assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
        lengths.push(answer.body.len());
        let text = if coding == GZIP {
            unzipped(&answer)
        } else {
            plain(answer)
        };
        assert_eq!(
            Exposition::parse(&text)
                .unwrap()
                .family("feedwatch_outages_total")
                .samples
                .len(),
            3
        );
    }
    assert!(lengths[2] * 5 < lengths[0], "{lengths:?}");
    // Nothing else is compressed.
    let request = format!("GET /api/v1/streams HTTP/1.1\r\nHost: x\r\n{GZIP}Connection: close\r\n\r\n");
    let answer = read(server.send(&request).await).await.unwrap();
    let streams: serde_json::Value = serde_json::from_str(&plain(answer)).unwrap();
    assert_eq!(streams["streams"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn before_http_1_1_a_large_scrape_tells_its_length() {
    let server = Server::start(SEVERAL, Limits::default()).await;
    let answer = read(server.send("GET /metrics HTTP/1.0\r\n\r\n").await).await.unwrap();
    assert!(answer.body.len() > AT_ONCE);
    assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
    Exposition::parse(&plain(answer)).unwrap();
}

#[tokio::test]
async fn head_is_told_the_same_and_takes_no_place() {
    let server = Server::start(MANY, Limits::default()).await;
    let request = format!("HEAD /metrics HTTP/1.1\r\nHost: x\r\n{GZIP}{OPENMETRICS}Connection: close\r\n\r\n");
    let mut socket = BufReader::new(server.send(&request).await);
    let answer = timeout(PATIENCE, http::head(&mut socket)).await.unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.headers["content-encoding"].as_str()),
        (200, "gzip")
    );
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text"));
    assert!(!answer.headers.contains_key("content-length"), "nobody knows it yet");
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap(), 0, "no body");
    server.no_scrape_is_under_way().await;
}

#[tokio::test]
async fn a_scrape_whose_time_is_over_is_cut_and_does_not_look_whole() {
    let limits = Limits {
        scrapes: 1,
        ..Limits::default()
    };
    let server = Server::start(2 * MANY, limits).await;
    for format in ["", OPENMETRICS] {
        let timeout = "X-Prometheus-Scrape-Timeout-Seconds: 1\r\n";
        let mut socket = server.ask(&format!("{format}{timeout}")).await;
        let mut begin = [0; 12];
        socket.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        // Read slowly, but never so slowly that the socket stands still for long.
        let (mut got, mut pace) = (vec![0; 64 * 1024], 0);
        let slowly = async {
            while let Ok(1..) = socket.read(&mut got).await {
                pace += 1;
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, slowly).await.expect("it is cut");
        assert!(pace > 10, "{pace}");
        server.no_scrape_is_under_way().await;
    }
    let mut socket = server
        .ask(&format!("{OPENMETRICS}X-Prometheus-Scrape-Timeout-Seconds: 0.5\r\n"))
        .await;
    sleep(Duration::from_secs(1)).await;
    let mut got = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut got)).await.expect("cut");
    assert!(got.starts_with(b"HTTP/1.1 200"));
    assert!(!got.ends_with(b"\r\n0\r\n\r\n") && !got.windows(5).any(|part| part == b"# EOF"));
}

#[tokio::test]
async fn a_scraper_that_goes_away_leaves_its_place_and_others_are_served_meanwhile() {
    let limits = Limits {
        scrapes: 2,
        ..Limits::default()
    };
    let mut server = Server::start(2 * MANY, limits).await;
    let mut slow = server.ask("").await;
    slow.read_exact(&mut [0; 12]).await.unwrap();
    assert_eq!(server.own.scrapes_in_flight().get(), 1, "it is being sent");

    // A stream that is gone is in no scrape that begins now, however long one lasts that began before.
    server.cells.truncate(10);
    let other = Exposition::parse(&plain(server.scrape("").await)).unwrap();
    assert_eq!(other.family("feedwatch_outages_total").samples.len(), 10);
    assert_eq!(server.shown.count(), 10);
    drop(slow);
    server.no_scrape_is_under_way().await;
}

/// As `nc -N` does it: it ends its side when it has asked.
#[tokio::test]
async fn who_asks_no_more_gets_the_whole_answer() {
    let server = Server::start(SEVERAL, Limits::default()).await;
    let mut socket = server.ask("").await;
    socket.shutdown().await.unwrap();
    let answer = read(socket).await.unwrap();
    Exposition::parse(&plain(answer)).unwrap();
    server.no_scrape_is_under_way().await;
}

#[tokio::test]
async fn scrapers_that_go_away_at_any_moment_leave_no_place_taken() {
    let limits = Limits {
        scrapes: 1,
        ..Limits::default()
    };
    let server = Server::start(MANY, limits).await;
    for number in 0..30_usize {
        let mut socket = server.ask(if number % 2 == 0 { "" } else { GZIP }).await;
        let mut part = vec![0; number * 1024];
        // Neither a refusal nor its end is of interest.
        let _ = timeout(PATIENCE, socket.read_exact(&mut part)).await.expect("in time");
        drop(socket);
        server.no_scrape_is_under_way().await;
    }
    server.scrape("").await;
}

#[tokio::test]
async fn a_scrape_under_way_is_finished_when_the_server_stops() {
    let server = Server::start(MANY, Limits::default()).await;
    let mut socket = server.ask("").await;
    let mut begin = [0; 12];
    socket.read_exact(&mut begin).await.unwrap();
    server.stop.cancel();
    let mut rest = begin.to_vec();
    timeout(PATIENCE, socket.read_to_end(&mut rest)).await.unwrap().unwrap();
    let answer = http::read(&*rest).await.expect("whole");
    Exposition::parse(&plain(answer)).unwrap();
    timeout(PATIENCE, server.serving).await.expect("ends").unwrap();
}

#[tokio::test]
async fn each_answer_is_counted_once() {
    let server = Server::start(SEVERAL, Limits::default()).await;
    for _ in 0..3 {
        server.scrape(GZIP).await;
    }
    let text = Exposition::parse(&plain(server.scrape("").await)).unwrap();
    let labels = [("handler", "metrics"), ("code", "200")];
    assert!((text.value("feedwatch_http_requests_total", &labels) - 3.0).abs() < 0.1);
    assert!(
        (text.value("feedwatch_scrapes_in_flight", &[]) - 1.0).abs() < 0.1,
        "its own"
    );
}

#[tokio::test]
#[ignore = "needs the Python package prometheus-client"]
async fn prometheus_client_reads_a_large_scrape_that_was_compressed() {
    let server = Server::start(200, Limits::default()).await;
    let text = unzipped(&server.scrape(&format!("{OPENMETRICS}{GZIP}")).await);
    prometheus_client::assert_reads_the_same(&text, &OpenMetrics::parse(&text).unwrap());
}
