//! Many streams of one host, which is a simulated venue that can be replaced by another at any moment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "for tests and benchmarks"
)]

#[path = "rate.rs"]
mod rate;

pub(crate) use rate::most_in_a_second;

use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent, StreamName};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
use feedwatch::sim::{Entry, Rule, Script, SimOptions, SimulatedVenue, Traffic, What};
use feedwatch::stream::{
    DialGate, Dialler, Endpoint, MarketDataStream, NoObserver, ReconnectingDataStream, TcpDialler, TcpIo, TlsTrust,
    TransportOptions, WebSocketStream,
};
use feedwatch::supervise::{DialLimit, Policy};
use feedwatch::venue::Polymarket;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Nothing here takes so long.
const LIMIT: Duration = Duration::from_secs(120);

/// Leads wherever the venue is now.
#[derive(Clone)]
struct Guide {
    venue: Arc<Mutex<SocketAddr>>,
    tcp: TcpDialler,
}

impl Dialler for Guide {
    type Io = TcpIo;

    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![*self.venue.lock().unwrap()])
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpIo> {
        self.tcp.connect(address).await
    }
}

/// Streams that share a gate, each polled by a task of its own, and all live to begin with.
pub(crate) struct Herd {
    size: usize,
    guide: Guide,
    venue: SimulatedVenue,
    /// One for each stream that is live again.
    back: mpsc::UnboundedReceiver<()>,
}

impl Herd {
    /// Starts the venue and so many streams, and waits until all are live.
    pub(crate) async fn gather(size: usize, limit: DialLimit) -> Self {
        let venue = venue(Script::default());
        let guide = Guide {
            venue: Arc::new(Mutex::new(venue.address())),
            tcp: TcpDialler::default(),
        };
        let gate = DialGate::new(limit);
        let (told, back) = mpsc::unbounded_channel();
        for number in 0..size {
            let mut stream = stream(number, &guide, &gate).await;
            let told = told.clone();
            tokio::spawn(async move {
                let mut first = true;
                while let Some(event) = stream.next_event().await {
                    // The first frame of the first connection, and from then on every return.
                    let is_first = std::mem::take(&mut first);
                    if is_first || matches!(event, MarketEvent::Reconnected { .. }) {
                        let _ = told.send(());
                    }
                }
            });
        }
        let mut herd = Self {
            size,
            guide,
            venue,
            back,
        };
        herd.all_back().await;
        herd
    }

    /// What the venue did that is there now.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.venue.log().entries()
    }

    /// Ends every connection at once, and has another venue in the place of the first, with this rule. Returns how long it
    /// took from `down` after that until all streams were live again.
    pub(crate) async fn lose_venue_for(&mut self, down: Duration, rule: Rule) -> Duration {
        let next = venue(Script { rules: vec![rule] });
        let begun = Instant::now();
        *self.guide.venue.lock().unwrap() = next.address();
        std::mem::replace(&mut self.venue, next).shutdown().await;
        self.all_back().await;
        begun.elapsed().saturating_sub(down)
    }

    async fn all_back(&mut self) {
        for number in 0..self.size {
            let returned = timeout(LIMIT, self.back.recv()).await;
            assert!(matches!(returned, Ok(Some(()))), "{number} of {} are live", self.size);
        }
    }
}

fn venue(script: Script) -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 0.01,
        },
        script,
        ..SimOptions::default()
    })
    .unwrap()
}

async fn stream(number: usize, guide: &Guide, gate: &DialGate) -> ReconnectingDataStream<WebSocketStream<Guide>> {
    let endpoint = Endpoint::parse("ws://venue.example/ws/market").unwrap();
    let info = StreamInfo {
        stream: StreamName::new(&format!("s{number}")).unwrap(),
        server_address: endpoint.host().into(),
        transport: endpoint.scheme().into(),
        page_on_stale: false,
    };
    let cells = Arc::new(StreamCells::new(
        info,
        Streams::new().venue("polymarket"),
        Moment::now().mono,
    ));
    let options = TransportOptions {
        read_buffer_bytes: 4096,
        ..TransportOptions::default()
    };
    let trust = TlsTrust::only([]).unwrap();
    let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, Arc::new(NoObserver))
        .with_dialler(guide.clone());
    let mut stream = ReconnectingDataStream::new(socket, Policy::default()).with_gate(gate);
    stream.subscribe(&[Instrument::new("11")]).await.unwrap();
    stream.connect().await.unwrap();
    stream
}

/// When connections came in, since the venue's start.
pub(crate) fn arrivals(log: &[Entry]) -> Vec<Duration> {
    log.iter()
        .filter(|entry| entry.what == What::Accepted)
        .map(|entry| entry.at)
        .collect()
}
