//! The streams that run: by their names, each a task of its own that takes commands.

use super::driven::{self, Command, Driven};
use super::trust::Trusts;
use crate::config::{DialConfig, Difference, Fate, StreamConfig, TransportConfig};
use crate::market::StreamName;
use crate::metrics::Streams;
use crate::stream::{DialGate, Endpoint, Tap, TcpDialler, TcpOptions};
use crate::supervise::DialLimit;
use opentelemetry::global::BoxedTracer;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// Commands that wait for a stream; whoever sends one more waits. A stream takes them at once, unless it is being closed to
/// make way for another, which is bounded.
const WAITING_COMMANDS: usize = 4;

/// The streams that run, and what new ones are made with.
pub(super) struct RunningStreams {
    /// The way to each stream's task. It ends when this is dropped.
    running: HashMap<StreamName, mpsc::Sender<Command>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    shown: Arc<Streams>,
    trusts: Trusts,
    tracer: Option<Arc<BoxedTracer>>,
    /// Where all that passes is copied.
    tap: Option<Tap>,
    /// So many sockets are left for streams.
    limit: usize,
    places: Arc<Semaphore>,
    /// Of each connection from now on.
    tcp: watch::Sender<TcpOptions>,
    /// By host: streams of a host share its look-ups.
    diallers: HashMap<String, TcpDialler>,
    dial: DialConfig,
    /// Those that dial the same port of it share its gate; beside it what the venue allows.
    gates: HashMap<(String, u16), (DialGate, DialLimit)>,
}

impl RunningStreams {
    /// None yet. They will be shown among `shown`, and have places for `limit` sockets.
    pub(super) fn new(
        shown: Arc<Streams>,
        trusts: Trusts,
        tracer: Option<Arc<BoxedTracer>>,
        limit: usize,
        dial: DialConfig,
    ) -> Self {
        Self {
            running: HashMap::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            shown,
            trusts,
            tracer,
            tap: None,
            limit,
            places: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            tcp: watch::channel(TcpOptions::default()).0,
            diallers: HashMap::new(),
            dial,
            gates: HashMap::new(),
        }
    }

    /// The same, and all that passes on streams from now on is copied there.
    pub(super) fn with_tap(mut self, tap: Tap) -> Self {
        self.tap = Some(tap);
        self
    }

    /// What the streams bring along.
    pub(super) const fn trusts(&self) -> &Trusts {
        &self.trusts
    }

    /// What those bring along that are started or changed from now on.
    pub(super) fn set_trusts(&mut self, trusts: Trusts) {
        self.trusts = trusts;
    }

    /// How fast the streams dial from now on.
    pub(super) fn set_dial(&mut self, dial: DialConfig) {
        for (gate, venue) in self.gates.values() {
            gate.set_limit(venue.or_set(dial.per_second, dial.burst));
        }
        self.dial = dial;
    }

    /// What the kernel watches over, of each connection from now on.
    pub(super) fn set_tcp(&self, tcp: TcpOptions) {
        self.tcp.send_replace(tcp);
    }

    /// Starts a stream.
    pub(super) async fn start(&mut self, config: &StreamConfig, transport: &TransportConfig) {
        let driven = self.assemble(config, transport).await;
        let (commands, waiting) = mpsc::channel(WAITING_COMMANDS);
        self.tasks.spawn(driven::drive(driven, waiting, self.stop.clone()));
        self.running.insert(config.name.clone(), commands);
    }

    /// Becomes what the difference leads to. Those that are not in it are not touched at all.
    pub(super) async fn follow(&mut self, difference: Difference<'_>, transport: &TransportConfig) {
        for name in difference.removed {
            self.running.remove(name);
        }
        let endpoints = || difference.streams.iter().flat_map(|(config, _)| config.endpoints());
        let keys = || endpoints().map(key);
        let (hosts, ports): (HashSet<_>, HashSet<_>) = (keys().map(|(host, _)| host).collect(), keys().collect());
        self.diallers.retain(|host, _| hosts.contains(host));
        self.gates.retain(|port, _| ports.contains(port));
        let all: Vec<_> = difference.streams.iter().map(|(config, _)| *config).collect();
        for (config, fate) in difference.streams {
            let command = match fate {
                Fate::Added => {
                    self.start(config, transport).await;
                    continue;
                }
                Fate::Replaced { .. } => Command::Replace(Box::new(self.assemble(config, transport).await)),
                Fate::Kept { changes, .. } if changes.is_empty() => continue,
                Fate::Kept { changes, .. } => Command::Change(changes, Box::new(self.trusts.access(config))),
            };
            if let Some(commands) = self.running.get(&config.name) {
                // A task that is gone has panicked, which has been told.
                let _ = commands.send(command).await;
            }
        }
        self.warn_of_scarcity(all);
    }

    /// Says so where there are not enough sockets for the connections of all these streams.
    pub(super) fn warn_of_scarcity<'s>(&self, streams: impl IntoIterator<Item = &'s StreamConfig>) {
        let connections: usize = streams.into_iter().map(StreamConfig::connections).sum();
        let places = self.limit;
        if places < connections {
            warn!(
                connections,
                places, "not enough file descriptors for every connection: raise the limit"
            );
        }
    }

    /// How many there are; those that are still being closed count no more.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// Closes every stream, and waits for the last one; those count in that were taken away and are not closed yet.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn assemble(&mut self, config: &StreamConfig, transport: &TransportConfig) -> Driven {
        let mut dialler = self.dialler(&config.endpoint);
        for endpoint in &config.alternatives {
            let lookups = self.dialler(endpoint);
            dialler = dialler.with_lookups_of(endpoint.host(), &lookups);
        }
        let venue = config.venue.limits().dial;
        let gates = config.endpoints().map(|endpoint| self.gate(endpoint, venue)).collect();
        driven::assemble(
            config,
            transport,
            self.trusts.access(config),
            (dialler, gates),
            &self.shown,
            self.tracer.clone(),
            self.tap.clone(),
        )
        .await
    }

    fn dialler(&mut self, endpoint: &Endpoint) -> TcpDialler {
        let (places, tcp) = (&self.places, &self.tcp);
        let dialler = self.diallers.entry(key(endpoint).0);
        let new = || TcpDialler::with_places(places.clone()).with_options(tcp.subscribe());
        dialler.or_insert_with(new).clone()
    }

    fn gate(&mut self, endpoint: &Endpoint, venue: DialLimit) -> DialGate {
        let dial = &self.dial;
        let gate = self.gates.entry(key(endpoint));
        let new = || (DialGate::new(venue.or_set(dial.per_second, dial.burst)), venue);
        gate.or_insert_with(new).0.clone()
    }
}

/// The host, in whatever case it was written, and its port.
fn key(endpoint: &Endpoint) -> (String, u16) {
    (endpoint.host().to_ascii_lowercase(), endpoint.port())
}
