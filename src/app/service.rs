//! The exporter service: the configured streams, each a task of its own, and the HTTP server that shows them.

use super::descriptors;
use crate::clock::Moment;
use crate::config::{Config, StreamConfig, TransportConfig};
use crate::exporter::{Exporter, ExporterState, Limits, Readiness};
use crate::metrics::{BuildInfo, OwnMetrics, StreamCells, StreamInfo, Streams};
use crate::observe::StreamObserver;
use crate::stream::{
    MarketDataStream, ReconnectingDataStream, TcpDialler, TlsTrust, TransportOptions, WebSocketStream,
};
use opentelemetry::global::BoxedTracer;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of the HTTP server cannot be had.
    #[error("cannot listen on {address}: {error}; choose another with --listen or [exporter] listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// The table of metrics is not one that can be registered.
    #[error("cannot register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Logging was set up before.
    #[error("cannot set up logging: {0}")]
    Log(#[from] tracing_subscriber::util::TryInitError),
    /// Traces cannot be exported.
    #[error("cannot export traces: {0}")]
    Traces(#[from] crate::telemetry::TracesError),
    /// The signals of the process cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

/// A running service.
pub struct Service {
    address: SocketAddr,
    shown: Arc<Streams>,
    readiness: Arc<Readiness>,
    streams: TaskTracker,
    stop_streams: CancellationToken,
    server: tokio::task::JoinHandle<()>,
    stop_server: CancellationToken,
}

impl Service {
    /// Binds the HTTP server and starts every stream. Which of them can be reached plays no part.
    ///
    /// Outages are traced with `tracer`, if there is one.
    pub async fn start(
        config: &Config,
        build: BuildInfo,
        own: Arc<OwnMetrics>,
        tracer: Option<Arc<BoxedTracer>>,
    ) -> Result<Self, StartError> {
        let shown = Arc::new(Streams::new());
        let readiness = Arc::new(Readiness::new());
        let state = ExporterState {
            streams: shown.clone(),
            own: own.clone(),
            readiness: readiness.clone(),
            build,
        };
        let listen = config.exporter.listen;
        let limits = Limits {
            scrapes: config.exporter.max_concurrent_scrapes,
            connections: config.exporter.max_connections,
            ..Limits::default()
        };
        let exporter = Exporter::bind(listen, state, limits)
            .await
            .map_err(|error| StartError::Listen { address: listen, error })?;
        let address = exporter.local_addr();
        let stop_server = CancellationToken::new();
        let server = tokio::spawn(exporter.serve(stop_server.clone()));

        let needs_tls = config.streams.iter().any(|stream| stream.endpoint.is_tls());
        // Reading the system's certificates takes longer than all the rest of the start.
        let trust = if needs_tls {
            TlsTrust::system()?
        } else {
            TlsTrust::only([])?
        };
        own.set_config_hash(config.hash);
        let places = descriptors::for_streams(config.exporter.max_connections);
        if places < config.streams.len() {
            warn!(
                streams = config.streams.len(),
                places, "not enough file descriptors for every stream: raise the limit"
            );
        }
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        // Streams of a host share its look-ups.
        let mut diallers: HashMap<&str, TcpDialler> = HashMap::new();
        let streams = TaskTracker::new();
        let stop_streams = CancellationToken::new();
        for stream in &config.streams {
            let dialler = diallers
                .entry(stream.endpoint.host())
                .or_insert_with(|| TcpDialler::with_places(places.clone()))
                .clone();
            let stream = assemble(
                stream,
                &config.transport,
                trust.clone(),
                dialler,
                &shown,
                tracer.clone(),
            )
            .await;
            streams.spawn(watch(stream, stop_streams.clone()));
        }
        streams.close();
        readiness.set_ready();
        info!(%address, streams = config.streams.len(), series = config.series(), "ready");
        Ok(Self {
            address,
            shown,
            readiness,
            streams,
            stop_streams,
            server,
            stop_server,
        })
    }

    /// Where the HTTP server listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The streams that are shown.
    pub fn streams(&self) -> Arc<Streams> {
        self.shown.clone()
    }

    /// Closes every stream, then the HTTP server, so that the end can still be scraped; gives up after `grace`.
    pub async fn stop(self, grace: Duration) {
        self.readiness.set_draining();
        self.stop_streams.cancel();
        let ending = async {
            self.streams.wait().await;
            self.stop_server.cancel();
            // An error is a panic, which has been told already.
            let _ = self.server.await;
        };
        if tokio::time::timeout(grace, ending).await.is_err() {
            warn!(
                grace_ms = grace.as_millis(),
                "not everything was closed within the grace period"
            );
        }
    }
}

type Watched = ReconnectingDataStream<WebSocketStream, Arc<StreamObserver>>;

async fn assemble(
    config: &StreamConfig,
    transport: &TransportConfig,
    trust: TlsTrust,
    dialler: TcpDialler,
    shown: &Streams,
    tracer: Option<Arc<BoxedTracer>>,
) -> Watched {
    let info = StreamInfo {
        stream: config.name.clone(),
        server_address: config.endpoint.host().to_owned(),
        transport: config.endpoint.scheme().to_owned(),
        page_on_stale: config.page_on_stale,
    };
    let cells = Arc::new(StreamCells::new(
        info,
        shown.venue(config.venue.name()),
        Moment::now().mono,
    ));
    shown.add(&cells);
    let mut observer = StreamObserver::new(cells.clone(), &config.policy);
    if let Some(tracer) = tracer {
        observer = observer.with_tracer(tracer, &config.endpoint);
    }
    let observer = Arc::new(observer);
    let options = TransportOptions {
        ping_interval: config.ping_interval,
        pong_timeout: config.pong_timeout,
        subscribe_timeout: config.policy.subscribe_timeout,
        send_timeout: transport.send_timeout,
        close_timeout: transport.close_timeout,
        max_message_bytes: transport.max_message_bytes,
        read_buffer_bytes: transport.read_buffer_bytes,
    };
    let socket = WebSocketStream::new(
        config.venue,
        config.endpoint.clone(),
        options,
        trust,
        cells.clone(),
        observer.clone(),
    );
    // A seed for each stream, or all would jitter alike.
    let mut stream = ReconnectingDataStream::with_observer(
        socket.with_dialler(dialler),
        config.policy.clone(),
        fastrand::u64(..),
        observer,
    );
    // Neither fails: both record the wish.
    let _ = stream.subscribe(&config.instruments).await;
    let _ = stream.connect().await;
    stream
}

/// Receives for as long as the service runs.
async fn watch(mut stream: Watched, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased; // a flood of events must not keep the end back
            () = stop.cancelled() => break,
            event = stream.next_event() => {
                if event.is_none() {
                    break;
                }
            }
        }
    }
    stream.close().await;
}
