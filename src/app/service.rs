//! The exporter service: the configured streams, each a task of its own, and the HTTP server that shows them.

use super::descriptors;
use super::probes::{Probes, probed};
use super::running::RunningStreams;
use super::trust::Trusts;
use crate::clock::Moment;
use crate::config::{Config, Difference, Fate, NeedsRestart};
use crate::exporter::{Exporter, ExporterState, Limits, Readiness};
use crate::metrics::{BuildInfo, OwnMetrics, Streams};
use opentelemetry::global::BoxedTracer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls;
use tokio_util::sync::CancellationToken;
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
    Tls(#[from] rustls::Error),
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

/// Why a service does not follow another configuration.
#[derive(Debug, thiserror::Error)]
pub enum RefusedReload {
    /// It differs in what is fixed while the service runs.
    #[error(transparent)]
    Fixed(#[from] NeedsRestart),
    /// TLS cannot be set up for streams that need it now.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// A running service.
pub struct Service {
    address: SocketAddr,
    config: Config,
    own: Arc<OwnMetrics>,
    shown: Arc<Streams>,
    readiness: Arc<Readiness>,
    streams: RunningStreams,
    probes: Arc<Probes>,
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
        let probes = Arc::new(Probes::default());
        let exporter = exporter.with_prober(probes.clone());
        let stop_server = CancellationToken::new();
        let server = tokio::spawn(exporter.serve(stop_server.clone()));

        let trusts = Trusts::new()?.for_streams(&config.streams)?;
        let places = descriptors::for_streams(config.exporter.max_connections);
        let mut streams = RunningStreams::new(shown.clone(), trusts, tracer, places, config.dial.clone(), own.clone());
        streams.set_tcp(config.transport.tcp.clone());
        for stream in &config.streams {
            streams.start(stream, &config.transport).await;
            streams.look_up(stream, &config.names, &config.transport);
        }
        streams.warn_of_scarcity(&config.streams);
        let ways = streams.ways(&probed(config));
        probes.follow(config, ways, streams.trusts().clone());
        own.config_in_force(config.hash, Moment::now());
        readiness.set_ready();
        info!(%address, streams = streams.count(), series = config.series(), "ready");
        Ok(Self {
            address,
            config: config.clone(),
            own,
            shown,
            readiness,
            streams,
            probes,
            server,
            stop_server,
        })
    }

    /// Where the HTTP server listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The configuration in force.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Follows another configuration, whole or not at all.
    ///
    /// A stream that is in both and connects to the same place keeps its connection, whatever else of it changes. What is
    /// given up is closed in the background. The future must be polled to its end: one that is dropped may have done a part.
    pub async fn reload(&mut self, next: Config) -> Result<(), RefusedReload> {
        let difference = self.config.difference(&next)?;
        // The last thing that can fail: from here on all of it is followed.
        let trusts = self.streams.trusts().for_streams(&next.streams)?;
        tell(&difference);
        self.streams.set_trusts(trusts);
        self.streams.set_dial(next.dial.clone());
        self.streams.set_tcp(next.transport.tcp.clone());
        let probed = probed(&next);
        self.streams
            .follow(difference, &next.names, &next.transport, &probed)
            .await;
        let ways = self.streams.ways(&probed);
        self.probes.follow(&next, ways, self.streams.trusts().clone());
        self.own.config_in_force(next.hash, Moment::now());
        self.config = next;
        Ok(())
    }

    /// The streams that are shown.
    pub fn streams(&self) -> Arc<Streams> {
        self.shown.clone()
    }

    /// Closes every stream, then the HTTP server, so that the end can still be scraped; gives up after `grace`.
    pub async fn stop(self, grace: Duration) {
        self.readiness.set_draining();
        let ending = async {
            self.streams.stop().await;
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

/// Names and keys, never a value: some are secrets.
fn tell(difference: &Difference<'_>) {
    let mut counts = Counts::default();
    for name in &difference.removed {
        counts.removed += 1;
        info!(stream = name.as_str(), "removed");
    }
    for (config, fate) in &difference.streams {
        let stream = config.name.as_str();
        match fate {
            Fate::Added => {
                counts.added += 1;
                info!(stream, "added");
            }
            Fate::Replaced { keys } => {
                counts.replaced += 1;
                info!(stream, keys = keys.join(", "), "replaced: it connects afresh");
            }
            Fate::Kept { keys, .. } if keys.is_empty() => counts.unchanged += 1,
            Fate::Kept { keys, .. } => {
                counts.changed += 1;
                info!(stream, keys = keys.join(", "), "changed: it keeps its connection");
            }
        }
    }
    let keys = Some(difference.keys.join(", ")).filter(|keys| !keys.is_empty());
    let Counts {
        added,
        removed,
        replaced,
        changed,
        unchanged,
    } = counts;
    info!(
        added,
        removed, replaced, changed, unchanged, keys, "configuration taken over"
    );
}

#[derive(Default)]
struct Counts {
    added: usize,
    removed: usize,
    replaced: usize,
    changed: usize,
    unchanged: usize,
}
