//! A bot that embeds a reconnecting stream: it keeps each instrument's order book, and trades on whole books only.
//!
//! A book is as good as the connection that it was built from. When that is lost, changes are missed, so the bot throws all
//! its books away, and without a book it is not ready. Once the stream is live again, the venue sends every book whole, and
//! the bot begins anew. There is no flag that could be forgotten: every book that it holds is whole, and it cannot trade on
//! one that it does not hold.
//!
//! The stream runs on a task of its own, so that it is kept alive while the bot thinks, and its figures are in a registry of the
//! bot's own.
//!
//! ```sh
//! cargo run -- simulate
//! cargo run --no-default-features --example embed -- ws://127.0.0.1:9886/ws/market 300 1234 5678
//! ```

use feedwatch::ReconnectionConfig;
use feedwatch::clock::Moment;
use feedwatch::market::{Book, Instrument, Level, MarketEvent, OrderBook, PriceChange, StreamName, Value, ValueError};
use feedwatch::metrics::{StreamCells, StreamCollector, StreamInfo, Streams};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{
    Endpoint, HandOff, MarketDataStream, ReconnectingDataStream, TlsTrust, TransportOptions, WebSocketStream,
};
use feedwatch::venue::{Polymarket, Venue};
use prometheus::{Registry, TextEncoder};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
    // A task of its own: redials, pings and pongs do not wait for the bot.
    let mut stream = build(url, policy, &registry)?.spawn(HandOff::default());
    let mut bot = Bot::new(instruments, io::stdout());
    run(&mut stream, &mut bot, frames.parse()?, Duration::from_secs(1), stop).await?;

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

/// Follows the stream, and trades every `pause`, until `frames` frames of data have come or `stop` is over; then closes it.
pub(crate) async fn run<S: MarketDataStream, W: Write>(
    stream: &mut S,
    bot: &mut Bot<W>,
    frames: u64,
    pause: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    // Both record the wish; the stream dials.
    let instruments: Vec<_> = bot.instruments.iter().cloned().collect();
    stream.subscribe(&instruments).await?;
    stream.connect().await?;

    let mut tick = tokio::time::interval(pause);
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
    Ok(())
}

/// What the bot knows.
#[derive(Debug)]
pub(crate) struct Bot<W> {
    /// What it follows. It holds no other books, so that nobody can fill its memory with them.
    instruments: BTreeSet<Instrument>,
    /// Whole books only, built from this connection alone.
    pub(crate) books: BTreeMap<Instrument, OrderBook>,
    /// Frames of data so far.
    pub(crate) frames: u64,
    /// Connections lost so far.
    pub(crate) losses: u64,
    /// Where it tells what it does.
    pub(crate) out: W,
}

impl<W: Write> Bot<W> {
    pub(crate) fn new(instruments: impl IntoIterator<Item = Instrument>, out: W) -> Self {
        Self {
            instruments: instruments.into_iter().collect(),
            books: BTreeMap::new(),
            frames: 0,
            losses: 0,
            out,
        }
    }

    pub(crate) fn on_event(&mut self, event: &MarketEvent) {
        match event {
            MarketEvent::Frame(frame) => {
                self.frames += u64::from(frame.is_data);
                let text = frame.text().unwrap_or_default();
                Polymarket.decoder().values(text, &mut |value| self.on_value(value));
            }
            MarketEvent::Disconnected { cause, instruments, .. } => {
                // Changes were missed: none of these books can be trusted.
                let before = self.books.len();
                self.books.retain(|held, _| !instruments.contains(held));
                self.say(format_args!(
                    "lost ({cause}), books thrown away: {}",
                    before - self.books.len()
                ));
                self.losses += 1;
            }
            MarketEvent::Gap { instruments } => self.books.retain(|held, _| !instruments.contains(held)),
            // The books come in the frames that follow.
            MarketEvent::Reconnected { .. } => self.say(format_args!("live again")),
            // Nothing was missed. The other connection begins with whole books, and a change that came before may come again.
            MarketEvent::Renewed { instruments } => self.books.retain(|held, _| !instruments.contains(held)),
            MarketEvent::Ended { instruments } => self.books.retain(|held, _| !instruments.contains(held)),
            MarketEvent::Missed { frames } => {
                // The bot itself was too slow; changes were missed all the same.
                self.say(format_args!(
                    "missed {frames} frames, books thrown away: {}",
                    self.books.len()
                ));
                self.books.clear();
            }
            MarketEvent::Subscribed(_) | MarketEvent::Leaving { .. } => {}
        }
    }

    fn on_value(&mut self, value: Result<Value<'_>, ValueError>) {
        match value {
            Ok(Value::Book(snapshot)) => self.on_snapshot(&snapshot),
            Ok(Value::PriceChange(change)) => self.on_change(&change),
            Ok(_) => {}
            // What cannot be read is a change that was missed.
            Err(error) => self.distrust(error.instrument.as_ref().map(Instrument::as_str), &error),
        }
    }

    /// A whole book replaces what was held.
    fn on_snapshot(&mut self, snapshot: &Book<'_>) {
        let Some(instrument) = self.instruments.get(snapshot.instrument).cloned() else {
            return;
        };
        match OrderBook::new(snapshot) {
            Ok(book) => {
                if self.books.insert(instrument.clone(), book).is_none() {
                    self.say(format_args!("{instrument}: whole"));
                }
            }
            Err(error) => self.distrust(Some(snapshot.instrument), &error),
        }
    }

    /// A change is worth something only on top of a whole book.
    fn on_change(&mut self, change: &PriceChange<'_>) {
        let applied = self.books.get_mut(change.instrument).map(|book| book.apply(change));
        if let Some(Err(error)) = applied {
            self.distrust(Some(change.instrument), &error);
        }
    }

    /// Throws a book away, or all where nobody knows whose change was missed. Polymarket sends a book whole after each trade.
    fn distrust(&mut self, instrument: Option<&str>, reason: &dyn fmt::Display) {
        let held = self.books.len();
        self.books
            .retain(|of, _| instrument.is_some_and(|wrong| wrong != of.as_str()));
        if self.books.len() < held {
            self.say(format_args!("{reason}, books thrown away: {}", held - self.books.len()));
        }
    }

    /// Where a real bot would look at its books and decide.
    pub(crate) fn trade(&mut self) {
        if self.books.is_empty() {
            self.say(format_args!("not ready"));
        }
        for (instrument, book) in &self.books {
            let (bid, ask) = (offer(book.best_bid()), offer(book.best_ask()));
            let _ = writeln!(self.out, "{instrument}: {bid} / {ask}");
        }
    }

    /// Who listens may have gone; that is no reason to stop.
    fn say(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{line}");
    }
}

/// One-sided books are legal, and so are empty ones.
fn offer(level: Option<Level>) -> String {
    level.map_or_else(|| "nothing".into(), |level| format!("{} x {}", level.price, level.size))
}
