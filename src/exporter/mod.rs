//! The HTTP server: `/metrics`, health, the API, probes and the landing page.
//!
//! It owns its listener and its connections, and bounds both: their number, the time for a request's headers and for writing
//! an answer, the number of scrapes at once. It never waits for a venue, but for who asks it to probe one. Figures are encoded away from the workers that
//! carry the streams.
//!
//! ```
//! use feedwatch::exporter::{Exporter, ExporterState, Limits, Readiness};
//! use feedwatch::metrics::{BuildInfo, OwnMetrics, Streams};
//! use std::sync::Arc;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let build = BuildInfo { version: "1.0.0".into(), revision: "unknown".into(), rustversion: "1.88".into() };
//! let state = ExporterState {
//!     streams: Arc::new(Streams::new()), // to which streams are added as they come
//!     own: Arc::new(OwnMetrics::new(&build)?),
//!     readiness: Arc::new(Readiness::new()),
//!     build,
//! };
//! state.readiness.set_ready();
//! let exporter = Exporter::bind("127.0.0.1:0".parse()?, state, Limits::default()).await?;
//! let address = exporter.local_addr();
//! let stop = CancellationToken::new();
//! let server = tokio::spawn(exporter.serve(stop.clone()));
//!
//! let mut socket = TcpStream::connect(address).await?;
//! socket.write_all(b"GET /-/ready HTTP/1.1\r\nHost: bot\r\nConnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! socket.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK"));
//!
//! stop.cancel();
//! server.await?;
//! # Ok(())
//! # }
//! ```

mod accept;
mod api;
mod coding;
mod connection;
mod place;
mod probe;
mod rfc3339;
mod routes;
mod scrape;
#[cfg(test)]
mod tests;
mod write_limit;

#[doc(hidden)] // for tests, which read the times that it writes
pub use rfc3339::rfc3339;

pub use probe::{NoProbe, Prober, Probing};

use crate::metrics::{BuildInfo, OwnMetrics, Streams};
use routes::Routes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long it waits after the system had no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What the server shows.
#[derive(Clone, Debug)]
pub struct ExporterState {
    /// The streams.
    pub streams: Arc<Streams>,
    /// The program itself.
    pub own: Arc<OwnMetrics>,
    /// What `/-/ready` answers.
    pub readiness: Arc<Readiness>,
    /// Which build runs, for the landing page.
    pub build: BuildInfo,
}

/// Whether the program is up: a matter of its own wiring, never of a venue.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    const READY: u8 = 1;
    const DRAINING: u8 = 2;

    /// Starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything is wired.
    pub fn set_ready(&self) {
        self.0.store(Self::READY, Release);
    }

    /// Going down.
    pub fn set_draining(&self) {
        self.0.store(Self::DRAINING, Release);
    }

    /// `None` when ready, or else why not.
    fn obstacle(&self) -> Option<&'static str> {
        match self.0.load(Acquire) {
            Self::READY => None,
            Self::DRAINING => Some("draining"),
            _ => Some("starting"),
        }
    }
}

/// What clients may use up.
///
/// Fields may be added in a minor release: begin with [`Limits::default`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; one more is closed at once.
    pub connections: usize,
    /// Scrapes that are encoded or sent at once, and as many requests of the API; one more is answered with 503.
    pub scrapes: usize,
    /// The time for encoding and sending a scrape, where the client does not name a shorter one.
    pub scrape_time: Duration,
    /// The time for a request's headers to come, counted from the connection or the answer before.
    pub header_time: Duration,
    /// The size of a request's headers: bytes, at least 8 KiB.
    pub header_bytes: usize,
    /// The time for an answer to be taken, or a part of a scrape that is sent in parts.
    pub write_time: Duration,
    /// The time for answers under way when the server ends.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            scrapes: 4,
            scrape_time: Duration::from_secs(30),
            header_time: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            write_time: Duration::from_secs(10),
            drain_time: Duration::from_secs(5),
        }
    }
}

/// The server, bound to its address.
#[derive(Debug)]
pub struct Exporter {
    listener: TcpListener,
    address: SocketAddr,
    state: ExporterState,
    limits: Limits,
    prober: Option<Arc<dyn Prober>>,
}

impl Exporter {
    /// Binds to `address`; port 0 takes a free one. Nothing is answered before [`Exporter::serve`].
    pub async fn bind(address: SocketAddr, state: ExporterState, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            state,
            limits,
            prober: None,
        })
    }

    /// The same, which makes probes.
    #[must_use]
    pub fn with_prober(mut self, prober: Arc<dyn Prober>) -> Self {
        self.prober = Some(prober);
        self
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled, and then finishes the answers under way, for at most [`Limits::drain_time`].
    pub async fn serve(self, stop: CancellationToken) {
        let routes = Arc::new(Routes::new(self.state, &self.limits, self.prober));
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let connections = TaskTracker::new();
        // Ends every connection when this future ends, or is dropped.
        let end = CancellationToken::new();
        let _end_of_all = end.clone().drop_guard();

        while let Some(socket) = accept(&self.listener, &stop).await {
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                continue;
            };
            let connection = connection::serve(socket, Arc::clone(&routes), self.limits.clone(), stop.clone());
            let end = end.clone();
            connections.spawn(async move {
                let _slot = slot;
                end.run_until_cancelled(connection).await;
            });
        }
        drop(self.listener);
        connections.close();
        if timeout(self.limits.drain_time, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "HTTP answers were cut off at shutdown");
        }
    }
}

/// The next connection; `None` when it is time to stop.
async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<TcpStream> {
    loop {
        match stop.run_until_cancelled(listener.accept()).await? {
            Ok((socket, _)) => return Some(socket),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept HTTP connections");
                stop.run_until_cancelled(sleep(ACCEPT_PAUSE)).await?;
            }
        }
    }
}
