//! A bot with more instruments than a connection carries: one stream over several connections, on a task and with a bounded queue of
//! its own.
//!
//! Each connection is lost for itself, and that costs the books of its own instruments and no others. Frames that the bot was too slow
//! for may have been of any: they cost all books. All connections dial through one gate, so that they do not storm the venue together.
//! The figures are those of one stream, in a registry of the bot's own.
//!
//! ```sh
//! cargo run -- simulate
//! cargo run --no-default-features --example connections -- ws://127.0.0.1:9886/ws/market 2 600 11 22 33 44 55
//! ```

use feedwatch::ReconnectionConfig;
use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent, OrderBook, StreamName, Value};
use feedwatch::metrics::{StreamCells, StreamCollector, StreamInfo, Streams};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{
    DialGate, Endpoint, HandOff, ManyConnections, MarketDataStream, ReconnectingDataStream, StreamHandle, TlsTrust,
    TransportOptions, WebSocketStream,
};
use feedwatch::venue::{Polymarket, Venue};
use prometheus::{Registry, TextEncoder};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, most, frames, tokens @ ..] = arguments.as_slice() else {
        return Err("usage: connections URL INSTRUMENTS_PER_CONNECTION FRAMES TOKEN...".into());
    };
    let (most, frames) = (most.parse()?, frames.parse()?);
    let instruments: Vec<_> = tokens.iter().map(|token| Instrument::new(token)).collect();
    let policy = ReconnectionConfig {
        max_delay: Duration::from_secs(5),
        stale_after: Some(Polymarket.stale_after()),
        ..ReconnectionConfig::default()
    };

    let registry = Registry::new();
    let mut events = spawn(url, policy, &instruments, most, &registry).await?;
    let mut bot = Bot::new(instruments);
    tokio::select! {
        () = follow(&mut events, &mut bot, frames) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    events.close().await;

    let mut out = io::stdout().lock();
    for (instrument, book) in &bot.books {
        let best = [book.best_bid(), book.best_ask()];
        let [bid, ask] = best.map(|level| level.map_or_else(|| "nothing".into(), |level| level.price.to_string()));
        writeln!(out, "{instrument}: {bid} / {ask}")?;
    }
    writeln!(out, "{} frames, {} books thrown away", bot.frames, bot.thrown_away)?;
    out.write_all(TextEncoder::new().encode_to_string(&registry.gather())?.as_bytes())?;
    Ok(())
}

/// A stream of as many connections as the instruments need, no more than `most` on each, on a task of its own.
pub(crate) async fn spawn(
    url: &str,
    policy: ReconnectionConfig,
    instruments: &[Instrument],
    most: usize,
    registry: &Registry,
) -> Result<StreamHandle, Error> {
    let endpoint = Endpoint::parse(url)?;
    let streams = Arc::new(Streams::new());
    registry.register(Box::new(StreamCollector::new(streams.clone())?))?;
    let info = StreamInfo::new(StreamName::new("bot")?, endpoint.host(), endpoint.scheme());
    let venue = streams.venue(Polymarket.name());
    let cells = Arc::new(StreamCells::new(info, venue, Moment::now().mono));
    streams.add(&cells);

    let observer = Arc::new(StreamObserver::new(cells.clone(), &policy));
    let gate = DialGate::new(Polymarket.limits().dial);
    // Reading the system's certificates is not cheap: once for all.
    let trust = TlsTrust::system()?;
    let make = move |number| {
        // What the connections tell adds up to the figures of one stream.
        let observer = Arc::new(observer.connection(number));
        let socket = WebSocketStream::new(
            &Polymarket,
            endpoint.clone(),
            TransportOptions::default(),
            trust.clone(),
            cells.clone(),
            observer.clone(),
        );
        // A seed for each, or all would jitter alike.
        let connection = ReconnectingDataStream::with_observer(socket, policy.clone(), fastrand::u64(..), observer);
        connection.with_gate(&gate)
    };
    let mut stream = ManyConnections::new(most, make);
    stream.subscribe(instruments).await?;
    // So much may wait. What does not find room is dropped, the oldest first, and told.
    Ok(stream.spawn(HandOff {
        max_events: 1024,
        max_bytes: 4 * 1024 * 1024,
        ..HandOff::default()
    }))
}

/// Follows the stream until so many frames of data have come.
pub(crate) async fn follow(events: &mut StreamHandle, bot: &mut Bot, frames: u64) {
    while bot.frames < frames {
        let Some(event) = events.next_event().await else {
            break;
        };
        bot.on_event(&event);
    }
}

/// What the bot knows.
#[derive(Debug)]
pub(crate) struct Bot {
    /// What it follows. It holds no other books, so that nobody can fill its memory with them.
    instruments: BTreeSet<Instrument>,
    /// Whole books only.
    pub(crate) books: BTreeMap<Instrument, OrderBook>,
    /// Frames of data so far.
    pub(crate) frames: u64,
    /// Books that something was missing from.
    pub(crate) thrown_away: usize,
}

impl Bot {
    pub(crate) fn new(instruments: impl IntoIterator<Item = Instrument>) -> Self {
        Self {
            instruments: instruments.into_iter().collect(),
            books: BTreeMap::new(),
            frames: 0,
            thrown_away: 0,
        }
    }

    pub(crate) fn on_event(&mut self, event: &MarketEvent) {
        match event {
            MarketEvent::Frame(frame) => {
                self.frames += u64::from(frame.is_data);
                let text = frame.text().unwrap_or_default();
                let mut is_whole = true;
                Polymarket.decoder().values(text, &mut |value| match value {
                    Ok(value) => self.on_value(&value),
                    Err(_) => is_whole = false,
                });
                if !is_whole {
                    // A change that nobody can read is one that was missed, of whatever instrument.
                    self.throw_away(|_| true);
                }
            }
            // Changes were missed: those of one connection.
            MarketEvent::Disconnected { instruments, .. } | MarketEvent::Gap { instruments } => {
                self.throw_away(|held| instruments.contains(held));
            }
            // The bot was too slow, and nobody kept a list.
            MarketEvent::Missed { .. } => self.throw_away(|_| true),
            // Nothing was missed; but a change may come twice, before whole books do.
            MarketEvent::Renewed { instruments } | MarketEvent::Ended { instruments } => {
                self.books.retain(|held, _| !instruments.contains(held));
            }
            // The books come in the frames that follow.
            MarketEvent::Reconnected { .. } | MarketEvent::Subscribed(_) | MarketEvent::Leaving { .. } => {}
        }
    }

    fn on_value(&mut self, value: &Value<'_>) {
        let about = value.instrument();
        let Some(instrument) = self.instruments.get(about).cloned() else {
            return;
        };
        match value {
            Value::Book(whole) => match OrderBook::new(whole) {
                Ok(book) => {
                    self.books.insert(instrument, book);
                }
                Err(_) => self.throw_away(|held| *held == instrument),
            },
            Value::PriceChange(change) => {
                let applied = self.books.get_mut(about).map(|book| book.apply(change));
                // After an error it is not the venue's book any more.
                if let Some(Err(_)) = applied {
                    self.throw_away(|held| *held == instrument);
                }
            }
            _ => {}
        }
    }

    fn throw_away(&mut self, is_gone: impl Fn(&Instrument) -> bool) {
        let held = self.books.len();
        self.books.retain(|held, _| !is_gone(held));
        self.thrown_away += held - self.books.len();
    }
}
