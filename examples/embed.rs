//! A bot that embeds a reconnecting stream: it follows each instrument's book, throws all of them away when the connection
//! is lost, and shows the stream's figures in a registry of its own.
//!
//! ```sh
//! cargo run -- simulate
//! cargo run --no-default-features --example embed -- ws://127.0.0.1:9886/ws/market 100 1234 5678
//! ```

use feedwatch::ReconnectionConfig;
use feedwatch::clock::Moment;
use feedwatch::market::{EventKind, Frame, Instrument, MarketEvent, StreamName};
use feedwatch::metrics::{StreamCells, StreamCollector, StreamInfo, Streams};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{
    Endpoint, MarketDataStream, ReconnectingDataStream, TlsTrust, TransportOptions, WebSocketStream,
};
use feedwatch::venue::{Polymarket, Venue};
use prometheus::{Registry, TextEncoder};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Stream = ReconnectingDataStream<WebSocketStream, Arc<StreamObserver>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, frames, _, ..] = arguments.as_slice() else {
        return Err("usage: embed URL FRAMES TOKEN...    ends after so many frames, or with Ctrl-C".into());
    };
    let instruments: Vec<_> = arguments.iter().skip(2).map(|token| Instrument::new(token)).collect();
    let policy = ReconnectionConfig {
        max_delay: Duration::from_secs(5),
        stale_after: Some(Polymarket.stale_after()),
        ..ReconnectionConfig::default()
    };
    let stop = async {
        // Where the signal cannot be waited for, it ends the process by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };

    let registry = Registry::new();
    let mut stream = build(url, policy, &registry)?;
    let bot = run(&mut stream, &instruments, frames.parse()?, stop).await?;

    let mut out = io::stdout().lock();
    writeln!(out, "{} frames, {} losses", bot.frames, bot.losses)?;
    out.write_all(TextEncoder::new().encode_to_string(&registry.gather())?.as_bytes())?;
    Ok(())
}

/// A stream whose figures are in `registry` for as long as it lives.
pub(crate) fn build(url: &str, policy: ReconnectionConfig, registry: &Registry) -> Result<Stream, Error> {
    let endpoint = Endpoint::parse(url)?;
    let streams = Arc::new(Streams::new());
    registry.register(Box::new(StreamCollector::new(streams.clone())?))?;

    let info = StreamInfo {
        stream: StreamName::new("bot")?,
        server_address: endpoint.host().to_owned(),
        transport: endpoint.scheme().to_owned(),
        page_on_stale: false,
    };
    let cells = Arc::new(StreamCells::new(
        info,
        streams.venue(Polymarket.name()),
        Moment::now().mono,
    ));
    streams.add(&cells);

    let observer = Arc::new(StreamObserver::new(cells.clone(), &policy));
    let options = TransportOptions::default();
    let socket = WebSocketStream::new(
        &Polymarket,
        endpoint,
        options,
        TlsTrust::system()?,
        cells,
        observer.clone(),
    );
    // The seed decides the jitter: a stream of its own, a seed of its own.
    Ok(ReconnectingDataStream::with_observer(
        socket,
        policy,
        fastrand::u64(..),
        observer,
    ))
}

/// Follows the stream until `frames` frames of data have come, or `stop` is over; then closes it.
pub(crate) async fn run(
    stream: &mut Stream,
    instruments: &[Instrument],
    frames: u64,
    stop: impl Future<Output = ()>,
) -> Result<Bot, Error> {
    // Both record the wish; `next_event` dials.
    stream.subscribe(instruments).await?;
    stream.connect().await?;

    let mut bot = Bot::default();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tokio::pin!(stop);
    while bot.frames < frames {
        tokio::select! {
            event = stream.next_event() => match event {
                Some(event) => bot.on_event(&event),
                None => break,
            },
            // A tick cancels no wait and no dial: they belong to the stream.
            _ = tick.tick() => bot.trade(),
            () = &mut stop => break,
        }
    }
    stream.close().await;
    Ok(bot)
}

/// What the bot knows.
#[derive(Debug, Default)]
pub(crate) struct Bot {
    /// The books, built from this connection alone.
    pub(crate) books: HashMap<Instrument, Book>,
    /// Frames of data so far.
    pub(crate) frames: u64,
    /// Connections lost so far.
    pub(crate) losses: u64,
}

/// Stands for an order book: a real one parses the levels.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Changes since the snapshot.
    pub(crate) changes: u64,
    /// The venue's time of the last of them.
    pub(crate) venue_time_ms: Option<i64>,
}

impl Bot {
    fn on_event(&mut self, event: &MarketEvent) {
        match event {
            MarketEvent::Frame(frame) => self.on_frame(frame),
            MarketEvent::Disconnected { .. } => {
                // Changes were missed: no book can be trusted.
                self.books.clear();
                self.losses += 1;
            }
            MarketEvent::Ended { instruments } => self.books.retain(|held, _| !instruments.contains(held)),
            // Fresh snapshots follow.
            MarketEvent::Reconnected | MarketEvent::Subscribed(_) => {}
        }
    }

    fn on_frame(&mut self, frame: &Frame) {
        self.frames += u64::from(frame.is_data);
        // What cannot be decoded is counted by the stream already.
        let _ = Polymarket.decode(frame.text().unwrap_or_default(), &mut |event| {
            let Some(instrument) = event.instrument else { return };
            if event.kind == EventKind::BookSnapshot {
                self.books.insert(Instrument::new(instrument), Book::default());
            } else if let Some(book) = self.books.get_mut(instrument) {
                book.changes += u64::from(event.kind == EventKind::BookDelta);
                book.venue_time_ms = event.venue_time_ms.or(book.venue_time_ms);
            }
        });
    }

    /// Where a real bot would look at its books and decide.
    fn trade(&self) {
        let changes: u64 = self.books.values().map(|book| book.changes).sum();
        tracing::info!(books = self.books.len(), changes, "tick");
    }
}
