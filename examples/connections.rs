//! A bot with more instruments than a connection carries: each connection of its one stream has a task and a bounded queue of its
//! own, and is lost for itself.
//!
//! What a connection misses, be it a loss or frames that the bot was too slow for, costs the books of its own instruments and no
//! others. All connections dial through one gate, so that they do not storm the venue together. The figures are those of one stream,
//! in a registry of the bot's own.
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
    DialGate, Endpoint, HandOff, MarketDataStream, ReconnectingDataStream, StreamHandle, TlsTrust, TransportOptions,
    WebSocketStream,
};
use feedwatch::venue::{Polymarket, Venue};
use futures_util::future::join_all;
use futures_util::stream::{SelectAll, Stream, StreamExt, select_all};
use prometheus::{Registry, TextEncoder};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, most, frames, tokens @ ..] = arguments.as_slice() else {
        return Err("usage: connections URL INSTRUMENTS_PER_CONNECTION FRAMES TOKEN...".into());
    };
    let (most, frames) = (most.parse::<usize>()?.max(1), frames.parse()?);
    let instruments: Vec<_> = tokens.iter().map(|token| Instrument::new(token)).collect();
    let policy = ReconnectionConfig {
        max_delay: Duration::from_secs(5),
        stale_after: Some(Polymarket.stale_after()),
        ..ReconnectionConfig::default()
    };

    let registry = Registry::new();
    let connections = spawn(url, &policy, &instruments, most, &registry).await?;
    writeln!(io::stdout(), "{} connections", connections.len())?;
    let mut bot = Bot::default();
    tokio::select! {
        () = follow(connections, &mut bot, frames) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }

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

/// One connection of the stream, on a task of its own.
pub(crate) struct Connection {
    /// What it carries, and what is lost with it.
    instruments: Arc<[Instrument]>,
    events: StreamHandle,
}

/// What happened on a connection, with what it carries.
impl Stream for Connection {
    type Item = (Arc<[Instrument]>, MarketEvent);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(self.events.poll_next_unpin(cx));
        Poll::Ready(event.map(|event| (self.instruments.clone(), event)))
    }
}

/// As many connections as the instruments need, no more than `most` on each.
pub(crate) async fn spawn(
    url: &str,
    policy: &ReconnectionConfig,
    instruments: &[Instrument],
    most: usize,
    registry: &Registry,
) -> Result<Vec<Connection>, Error> {
    let endpoint = Endpoint::parse(url)?;
    let streams = Arc::new(Streams::new());
    registry.register(Box::new(StreamCollector::new(streams.clone())?))?;
    let info = StreamInfo::new(StreamName::new("bot")?, endpoint.host(), endpoint.scheme());
    let venue = streams.venue(Polymarket.name());
    let cells = Arc::new(StreamCells::new(info, venue, Moment::now().mono));
    streams.add(&cells);

    let stream = Arc::new(StreamObserver::new(cells.clone(), policy));
    let gate = DialGate::new(Polymarket.limits().dial);
    // Reading the system's certificates is not cheap: once for all.
    let trust = TlsTrust::system()?;
    // So much may wait of each connection. What does not find room is dropped, the oldest first, and told.
    let hand_off = HandOff {
        max_events: 1024,
        max_bytes: 4 * 1024 * 1024,
        ..HandOff::default()
    };

    let mut connections = Vec::new();
    for (number, carried) in (0..).zip(instruments.chunks(most)) {
        let observer = Arc::new(stream.connection(number));
        let socket = WebSocketStream::new(
            &Polymarket,
            endpoint.clone(),
            TransportOptions::default(),
            trust.clone(),
            cells.clone(),
            observer.clone(),
        );
        let connection = ReconnectingDataStream::with_observer(socket, policy.clone(), fastrand::u64(..), observer);
        let mut connection = connection.with_gate(&gate);
        connection.subscribe(carried).await?;
        connections.push(Connection {
            instruments: carried.into(),
            events: connection.spawn(hand_off),
        });
    }
    Ok(connections)
}

/// Follows all connections until so many frames of data have come, and closes them.
pub(crate) async fn follow(connections: Vec<Connection>, bot: &mut Bot, frames: u64) {
    let mut events: SelectAll<_> = select_all(connections);
    while bot.frames < frames {
        let Some((carried, event)) = events.next().await else {
            break;
        };
        bot.on_event(&carried, &event);
    }
    join_all(events.iter_mut().map(|connection| connection.events.close())).await;
}

/// What the bot knows.
#[derive(Debug, Default)]
pub(crate) struct Bot {
    /// Whole books only.
    pub(crate) books: BTreeMap<Instrument, OrderBook>,
    /// Frames of data so far.
    pub(crate) frames: u64,
    /// Books that something was missing from.
    pub(crate) thrown_away: usize,
}

impl Bot {
    pub(crate) fn on_event(&mut self, carried: &[Instrument], event: &MarketEvent) {
        match event {
            MarketEvent::Frame(frame) => {
                self.frames += u64::from(frame.is_data);
                let text = frame.text().unwrap_or_default();
                let mut is_whole = true;
                Polymarket.values(text, &mut |value| match value {
                    Ok(value) => self.on_value(carried, &value),
                    Err(_) => is_whole = false,
                });
                if !is_whole {
                    // A change that nobody can read is one that was missed.
                    self.throw_away(carried);
                }
            }
            // Changes were missed: by the loss, or because the bot was too slow.
            MarketEvent::Disconnected { .. } | MarketEvent::Missed { .. } => self.throw_away(carried),
            MarketEvent::Ended { instruments } => self.books.retain(|held, _| !instruments.contains(held)),
            // The books come in the frames that follow.
            MarketEvent::Reconnected { .. } | MarketEvent::Subscribed(_) => {}
        }
    }

    fn on_value(&mut self, carried: &[Instrument], value: &Value<'_>) {
        let about = value.instrument();
        let Some(instrument) = carried.iter().find(|carried| carried.as_str() == about) else {
            return;
        };
        match value {
            Value::Book(whole) => match OrderBook::new(whole) {
                Ok(book) => {
                    self.books.insert(instrument.clone(), book);
                }
                Err(_) => self.throw_away(std::slice::from_ref(instrument)),
            },
            Value::PriceChange(change) => {
                let applied = self.books.get_mut(about).map(|book| book.apply(change));
                // After an error it is not the venue's book any more.
                if let Some(Err(_)) = applied {
                    self.throw_away(std::slice::from_ref(instrument));
                }
            }
            _ => {}
        }
    }

    fn throw_away(&mut self, of: &[Instrument]) {
        let held = self.books.len();
        self.books.retain(|held, _| !of.contains(held));
        self.thrown_away += held - self.books.len();
    }
}
