//! Keeps market-data WebSocket streams connected, and shows when, why and for how long they were not.
//!
//! This is the library; the program of the same name is made of it. A bot that embeds a stream turns the feature `service` off,
//! which is on by default and adds the exporter service and the simulated venue: `feedwatch = { default-features = false }`.
//! Everything runs inside a tokio runtime with its I/O and its timers enabled.
//!
//! # A tour for a bot
//!
//! **1. Figures.** What a stream does is counted in its [`metrics::StreamCells`], and shown by the set that they are added to, here
//! in a `prometheus::Registry` of the bot's own:
//!
//! ```
//! use feedwatch::clock::Moment;
//! use feedwatch::market::StreamName;
//! use feedwatch::metrics::{StreamCells, StreamCollector, StreamInfo, Streams};
//! use feedwatch::stream::Endpoint;
//! use feedwatch::venue::{Polymarket, Venue};
//! use prometheus::Registry;
//! use std::sync::Arc;
//!
//! fn figures(registry: &Registry, endpoint: &Endpoint) -> Result<Arc<StreamCells>, Box<dyn std::error::Error>> {
//!     let streams = Arc::new(Streams::new());
//!     registry.register(Box::new(StreamCollector::new(streams.clone())?))?;
//!     let info = StreamInfo::new(StreamName::new("elections")?, endpoint.host(), endpoint.scheme());
//!     let cells = Arc::new(StreamCells::new(info, streams.venue(Polymarket.name()), Moment::now().mono));
//!     streams.add(&cells);
//!     Ok(cells)
//! }
//! # let registry = Registry::new();
//! # let cells = figures(&registry, &Endpoint::parse(Polymarket.default_url()).unwrap()).unwrap();
//! # assert!(registry.gather().iter().any(|family| family.name() == "feedwatch_stream_connected"));
//! ```
//!
//! **2. A stream.** A [`stream::WebSocketStream`] is one connection to a venue. [`stream::ReconnectingDataStream`] redials and
//! resubscribes it as its [`ReconnectionConfig`] says, with growing delays and a circuit breaker. An [`observe::StreamObserver`]
//! makes figures, log lines and, given a tracer, spans of what happens. Nothing is dialled yet:
//!
//! ```
//! use feedwatch::ReconnectionConfig;
//! use feedwatch::metrics::StreamCells;
//! use feedwatch::observe::StreamObserver;
//! use feedwatch::stream::{Endpoint, ReconnectingDataStream, TlsTrust, TransportOptions, WebSocketStream};
//! use feedwatch::venue::{Polymarket, Venue};
//! use std::sync::Arc;
//!
//! type Stream = ReconnectingDataStream<WebSocketStream, Arc<StreamObserver>>;
//!
//! fn stream(endpoint: Endpoint, cells: Arc<StreamCells>) -> Result<Stream, Box<dyn std::error::Error>> {
//!     // The default has no `stale_after`: a bot says which.
//!     let policy = ReconnectionConfig { stale_after: Some(Polymarket.stale_after()), ..ReconnectionConfig::default() };
//!     let observer = Arc::new(StreamObserver::new(cells.clone(), &policy));
//!     let (options, trust) = (TransportOptions::default(), TlsTrust::system()?);
//!     let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, observer.clone());
//!     Ok(ReconnectingDataStream::with_observer(socket, policy, fastrand::u64(..), observer))
//! }
//! # let endpoint = Endpoint::parse(Polymarket.default_url()).unwrap();
//! # let info = feedwatch::metrics::StreamInfo::new(feedwatch::market::StreamName::new("a").unwrap(), "", "");
//! # let venue = feedwatch::metrics::Streams::new().venue("polymarket");
//! # let cells = Arc::new(StreamCells::new(info, venue, feedwatch::clock::Moment::now().mono));
//! # assert_eq!(stream(endpoint, cells).unwrap().state(), feedwatch::supervise::State::Idle);
//! ```
//!
//! **3. A task of its own,** so that redials, pings and pongs do not wait for the bot. Between the task and the bot stands a queue
//! that is bounded by events and by bytes; [`stream::HandOff`] says what happens when it is full. A [`stream::DialGate`] is shared
//! by all streams of a host, so that they do not storm it together:
//!
//! ```
//! use feedwatch::market::{Failure, Instrument};
//! use feedwatch::stream::{
//!     DialGate, HandOff, MarketDataStream, Observer, ReconnectingDataStream, StreamHandle,
//! };
//! use feedwatch::venue::{Polymarket, Venue};
//!
//! /// One for each host: `DialGate::new(Polymarket.limits().dial)`.
//! async fn run<S: MarketDataStream + 'static, O: Observer + 'static>(
//!     stream: ReconnectingDataStream<S, O>,
//!     gate: &DialGate,
//! ) -> Result<StreamHandle, Failure> {
//!     let mut stream = stream.with_gate(gate);
//!     stream.subscribe(&[Instrument::new("71321045679252212594626385532706912750332728571942532289631379312455583992563")]).await?;
//!     Ok(stream.spawn(HandOff { max_events: 1024, ..HandOff::default() }))
//! }
//! # let _ = DialGate::new(Polymarket.limits().dial);
//! ```
//!
//! **4. Events.** What comes back is a `futures` stream of [`market::MarketEvent`]. A gap is never hidden: what was built from a
//! connection that is lost, and what frames are missing from, is thrown away. The venue sends every book whole once it is live
//! again. A frame is read when the bot asks for it, by [`venue::Decoder::values`]:
//!
//! ```
//! use feedwatch::market::{Instrument, MarketEvent, OrderBook, Value};
//! use feedwatch::venue::{Polymarket, Venue};
//! use std::collections::BTreeMap;
//!
//! /// Whole books only.
//! type Books = BTreeMap<Instrument, OrderBook>;
//!
//! fn on_event(books: &mut Books, event: &MarketEvent) {
//!     match event {
//!         MarketEvent::Frame(frame) => {
//!             Polymarket.decoder().values(frame.text().unwrap_or_default(), &mut |value| match value {
//!                 Ok(Value::Book(whole)) => {
//!                     if let Ok(book) = OrderBook::new(&whole) {
//!                         books.insert(Instrument::new(whole.instrument), book);
//!                     }
//!                 }
//!                 Ok(Value::PriceChange(change)) => {
//!                     // After an error it is not the venue's book any more.
//!                     if books.get_mut(change.instrument).is_some_and(|book| book.apply(&change).is_err()) {
//!                         books.remove(change.instrument);
//!                     }
//!                 }
//!                 Ok(_) => {}
//!                 // A change that nobody can read is one that was missed.
//!                 Err(_) => books.clear(),
//!             });
//!         }
//!         MarketEvent::Disconnected { instruments, .. }
//!         | MarketEvent::Gap { instruments }
//!         | MarketEvent::Ended { instruments }
//!         // Nothing was missed, but a change may come twice before the whole books do.
//!         | MarketEvent::Renewed { instruments } => {
//!             books.retain(|held, _| !instruments.contains(held));
//!         }
//!         MarketEvent::Missed { .. } => books.clear(),
//!         MarketEvent::Reconnected { .. } | MarketEvent::Subscribed(_) | MarketEvent::Leaving { .. } => {}
//!     }
//! }
//! # let frame = r#"[{"asset_id":"71","bids":[{"price":"0.45","size":"60"}],"asks":[],"timestamp":"1","event_type":"book"}]"#;
//! # let received = feedwatch::clock::Moment::now();
//! # let mut books = Books::new();
//! # on_event(&mut books, &MarketEvent::Frame(feedwatch::market::Frame { payload: frame.into(), received, is_data: true }));
//! # assert_eq!(books.len(), 1);
//! # on_event(&mut books, &MarketEvent::Missed { frames: 1 });
//! # assert!(books.is_empty());
//! ```
//!
//! **5. Commands,** from wherever the bot likes; then the end, in good order:
//!
//! ```
//! use feedwatch::market::{Failure, Instrument};
//! use feedwatch::stream::{MarketDataStream, StreamHandle};
//!
//! async fn finish(mut events: StreamHandle) -> Result<(), Failure> {
//!     let control = events.control();
//!     control.subscribe(&[Instrument::new("52114319501245915516055106046884209969926127482827954674443846427813813222426")]).await?;
//!     control.reset_breaker().await?; // somebody knows that the venue is back
//!     events.close().await; // sends a close frame, and waits until the task has ended
//!     Ok(())
//! }
//! ```
//!
//! Whole programs stand in `examples`: `embed.rs` is a bot with one stream, `connections.rs` one with a stream over several
//! connections, `gate.rs` has several streams that share a gate and a registry. Further tours are those of a venue of one's own
//! ([`venue`]), of a decision without clock or socket ([`supervise`]) and, with the feature `service`, of a venue that fails on
//! purpose, for a bot's tests (`sim`).
//!
//! # Foreign crates
//!
//! These are part of the interface, with the versions that `Cargo.toml` names: another major version of one is a major version of
//! this.
//!
//! | crate | where |
//! | --- | --- |
//! | `bytes` 1 | [`market::Frame::payload`] |
//! | `rust_decimal` 1 | [`market::Decimal`] |
//! | `prometheus` 0.14 | [`metrics::StreamCollector`], [`metrics::Format::render`] |
//! | `opentelemetry` 0.33 | [`observe::StreamObserver::with_tracer`] |
//! | `tokio` 1 | [`stream::Dialler::Io`], [`stream::TcpDialler::with_places`], [`stream::WebSocketStream::with_options`] |
//! | `futures-core` 0.3 | `Stream` and `FusedStream` of [`stream::ReconnectingDataStream`] and [`stream::StreamHandle`] |
//! | `rustls` 0.23 | the error of [`stream::TlsTrust`] |
//!
//! With the feature `service` also `http` 1 and `tracing-core` 0.1 (`config`), `serde` 1 and tokio's channels (`sim`), and
//! `tokio-util` 0.7 (`exporter`). `tungstenite` is not among them: what carries a WebSocket may change.
//!
//! `docs/semver.md` tells what a version promises, and `docs/architecture.md` how the parts work together.
#[macro_use]
pub mod market;

// The program's own wiring, public for its binary, benchmarks and tests alone: no part of the API.
#[cfg(feature = "service")]
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "nobody else formats them")]
pub mod app;
pub mod clock;
#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod exporter;
pub mod history;
pub mod metrics;
pub mod observe;
mod private_key;
#[cfg(feature = "service")]
pub mod probe;
#[cfg(feature = "service")]
pub mod sim;
pub mod stream;
pub mod supervise;
// The same of the process' log, its table on a terminal and its export of traces.
#[cfg(feature = "service")]
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "nobody else formats them")]
pub mod telemetry;
pub mod venue;

pub use supervise::Policy as ReconnectionConfig;
