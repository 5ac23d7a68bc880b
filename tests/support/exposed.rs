//! A stream with the exporter that shows it, scraped over HTTP.

#[path = "http.rs"]
mod http;

use crate::exposition::Exposition;
use crate::support::rig::Rig;
use crate::support::rows::millis;
use feedwatch::exporter::{Exporter, ExporterState, Limits, Readiness};
use feedwatch::metrics::{BuildInfo, OwnMetrics};
use feedwatch::stream::MarketDataStream;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// No wait is longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// The time between two scrapes.
const LOOK: Duration = millis(5);

pub(crate) struct Exposed {
    pub(crate) rig: Rig,
    pub(crate) exporter: SocketAddr,
    serving: JoinHandle<()>,
    stop: CancellationToken,
}

impl Exposed {
    pub(crate) async fn new(rig: Rig, limits: Limits) -> Self {
        let build = BuildInfo {
            version: "1".into(),
            revision: "r".into(),
            rustversion: "1".into(),
        };
        let state = ExporterState {
            streams: rig.shown.clone(),
            own: Arc::new(OwnMetrics::new(&build).unwrap()),
            readiness: Arc::new(Readiness::new()),
            build,
        };
        let exporter = Exporter::bind("127.0.0.1:0".parse().unwrap(), state, limits)
            .await
            .unwrap();
        let (address, stop) = (exporter.local_addr(), CancellationToken::new());
        Self {
            rig,
            exporter: address,
            serving: tokio::spawn(exporter.serve(stop.clone())),
            stop,
        }
    }

    /// Polls the stream while something else goes on.
    pub(crate) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = Box::pin(other);
        loop {
            // In any order: neither puts the other off for ever.
            tokio::select! {
                event = self.rig.stream.next_event() => self.rig.events.push(event.expect("the stream goes on")),
                result = &mut other => return result,
            }
        }
    }

    /// Polls the stream and scrapes it all the while, until a scrape is as expected. Each must come in time and be valid.
    pub(crate) async fn until(&mut self, what: &str, expected: impl Fn(&Exposition) -> bool) -> Exposition {
        let (begun, exporter) = (Instant::now(), self.exporter);
        loop {
            let look = async {
                sleep(LOOK).await;
                let mut connection = TcpStream::connect(exporter).await.unwrap();
                scrape(&mut connection).await
            };
            let text = self.meanwhile(timeout(LIMIT, look)).await.expect("a scrape in time");
            let scrape = Exposition::parse(&text).unwrap_or_else(|error| panic!("{error}"));
            if expected(&scrape) {
                return scrape;
            }
            assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}\n{text}");
        }
    }

    pub(crate) async fn until_live(&mut self) -> Exposition {
        self.until("live", |scrape| scrape.sum("feedwatch_stream_connected", &[]) == 1.0)
            .await
    }

    /// Closes the stream, and ends the exporter.
    pub(crate) async fn end(mut self) {
        self.rig.stream.close().await;
        drop(self.rig);
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// The next scrape on a connection that is kept open.
pub(crate) async fn scrape(connection: &mut TcpStream) -> String {
    let request = b"GET /metrics HTTP/1.1\r\nHost: feedwatch\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let answer = http::read(connection).await.unwrap();
    assert_eq!(answer.status, 200, "{:?}", answer.headers);
    String::from_utf8(answer.body).unwrap()
}
