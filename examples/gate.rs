//! Several streams of one host that share a gate, and a registry in which the bot has a metric of its own.
//!
//! Each stream has a name, a policy, a breaker and figures of its own. What they share is the host: through the gate they dial no
//! faster than the bot allows, all together, and where most of their breakers are open one of them probes for all.
//!
//! ```sh
//! cargo run -- simulate
//! cargo run --no-default-features --example gate -- ws://127.0.0.1:9886/ws/market 1 300 11 22 33
//! ```

use feedwatch::ReconnectionConfig;
use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent, StreamName};
use feedwatch::metrics::{StreamCells, StreamCollector, StreamInfo, Streams};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{
    DialGate, Endpoint, HandOff, MarketDataStream, ReconnectingDataStream, StreamHandle, TlsTrust, TransportOptions,
    WebSocketStream,
};
use feedwatch::supervise::DialLimit;
use feedwatch::venue::{Polymarket, Venue};
use futures_util::future::join_all;
use futures_util::stream::{SelectAll, StreamExt, select_all};
use prometheus::{IntCounter, Registry, TextEncoder};
use std::io::{self, Write};
use std::sync::Arc;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, per_second, frames, tokens @ ..] = arguments.as_slice() else {
        return Err("usage: gate URL DIALS_PER_SECOND FRAMES TOKEN...    a stream for each token".into());
    };
    let limit = DialLimit {
        per_second: per_second.parse()?,
        burst: 1,
    };
    let registry = Registry::new();
    let mut streams = Fleet::new(url, limit, &registry)?;
    for token in tokens {
        streams.spawn(token).await?;
    }
    tokio::select! {
        () = streams.follow(frames.parse()?) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let text = TextEncoder::new().encode_to_string(&registry.gather())?;
    io::stdout().write_all(text.as_bytes())?;
    streams.close().await;
    Ok(())
}

/// The streams of one host, and what they share.
pub(crate) struct Fleet {
    endpoint: Endpoint,
    trust: TlsTrust,
    gate: DialGate,
    /// Those that are shown.
    shown: Arc<Streams>,
    /// A metric of the bot's own, beside those of the streams.
    lost: IntCounter,
    running: SelectAll<StreamHandle>,
}

impl Fleet {
    pub(crate) fn new(url: &str, limit: DialLimit, registry: &Registry) -> Result<Self, Error> {
        let shown = Arc::new(Streams::new());
        registry.register(Box::new(StreamCollector::new(shown.clone())?))?;
        let lost = IntCounter::new("bot_gaps_total", "Gaps in the data, of all streams")?;
        registry.register(Box::new(lost.clone()))?;
        Ok(Self {
            endpoint: Endpoint::parse(url)?,
            trust: TlsTrust::system()?,
            gate: DialGate::new(limit),
            shown,
            lost,
            running: select_all([]),
        })
    }

    /// One more stream, named after its token.
    pub(crate) async fn spawn(&mut self, token: &str) -> Result<(), Error> {
        let policy = ReconnectionConfig {
            stale_after: Some(Polymarket.stale_after()),
            ..ReconnectionConfig::default()
        };
        let name = StreamName::new(token)?;
        let info = StreamInfo::new(name, self.endpoint.host(), self.endpoint.scheme());
        let venue = self.shown.venue(Polymarket.name());
        let cells = Arc::new(StreamCells::new(info, venue, Moment::now().mono));
        self.shown.add(&cells);
        let observer = Arc::new(StreamObserver::new(cells.clone(), &policy));
        let socket = WebSocketStream::new(
            &Polymarket,
            self.endpoint.clone(),
            TransportOptions::default(),
            self.trust.clone(),
            cells,
            observer.clone(),
        );
        let stream = ReconnectingDataStream::with_observer(socket, policy, fastrand::u64(..), observer);
        let mut stream = stream.with_gate(&self.gate);
        stream.subscribe(&[Instrument::new(token)]).await?;
        self.running.push(stream.spawn(HandOff::default()));
        Ok(())
    }

    /// Takes what comes, until so many frames of data have.
    pub(crate) async fn follow(&mut self, frames: u64) {
        let mut taken = 0;
        while taken < frames {
            match self.running.next().await {
                Some(MarketEvent::Frame(frame)) => taken += u64::from(frame.is_data),
                Some(MarketEvent::Disconnected { .. } | MarketEvent::Missed { .. }) => self.lost.inc(),
                Some(_) => {}
                None => break,
            }
        }
    }

    /// Closes all of them, each with a close frame.
    pub(crate) async fn close(&mut self) {
        join_all(self.running.iter_mut().map(MarketDataStream::close)).await;
    }
}
