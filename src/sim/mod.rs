//! A simulated venue: a real WebSocket server that speaks Polymarket's market channel, and does on purpose what venues do
//! to us by accident. It serves the demo, the tests and game days, and keeps a log of what it did to compare with.
//!
//! # Protocol
//!
//! At `/ws/market`, a client subscribes with `{"assets_ids":[..],"type":"market"}` and is answered with an array that has a
//! book for each token that the venue knows. Later `{"assets_ids":[..],"operation":"subscribe"}` brings the books of the new
//! tokens, or the text `NO NEW ASSETS`; `"unsubscribe"` ends a token's events and is not answered. Text `PING` is answered by
//! text `PONG`, and anything else by the text `INVALID OPERATION`. Unlike the real venue's, every client gets every kind of
//! event, whatever flags it sets.
//!
//! With [`SimOptions::as_recorded`] it is any other venue, at any path: what a client says first begins a recording of what that venue
//! sent, the answers included, and nothing else is answered. Of several recordings, a connection is played the one in whose course its
//! client says the same: [`Traffic::Replay`].
//!
//! # Scripts
//!
//! A script is a list of rules. The first that matches an arriving connection decides what that connection meets; where none
//! does, the venue behaves well. The conditions hold together, and each can be left out.
//!
//! ```
//! # let script = feedwatch::sim::Script::from_toml(r#"
//! [[rules]]                      # the first connection is closed after two seconds
//! last_connection = 1
//! fault.close = { code = 1012, reason = "service restart", after_ms = 2000 }
//!
//! [[rules]]                      # the next three flap: closed one second after going live
//! first_connection = 2           # counted from 1, in the order of arrival
//! last_connection = 4
//! fault = "flap"
//!
//! [[rules]]                      # who comes in the second half minute is told to come back later
//! from_ms = 30000                # counted from the venue's start
//! until_ms = 60000
//! fault.status = { code = 503, headers = { Retry-After = "2" }, body = "busy" }
//!
//! [[rules]]                      # the port is closed for ten seconds: refuse needs until_ms, and is for all
//! from_ms = 60000
//! until_ms = 70000
//! fault = "refuse"
//!
//! [[rules]]                      # everybody else finds the venue back for two seconds in each minute
//! from_ms = 2000                 # counted from the beginning of each period
//! until_ms = 60000
//! every_ms = 60000
//! fault = "hang"
//! # "#).unwrap();
//! # assert_eq!(script.rules.len(), 5);
//! ```
//!
//! | fault | what happens |
//! | --- | --- |
//! | `none` | nothing, whatever later rules say |
//! | `refuse` | the port is closed for the rule's time window, before all other rules |
//! | `tls = "expired"`, `"wrong_host"`, `"unknown_authority"` | a certificate that is not valid |
//! | `tls = "old_version"` | a server that knows nothing newer than TLS 1.1 |
//! | `tls = "garbage"`, `"hang"`, `"cut"` | the handshake is answered by something else, never, or in part |
//! | `hang` | accepted, and the upgrade is never answered |
//! | `status = { code, headers, body }` | the upgrade is answered with an HTTP status |
//! | `retry_after = { code, seconds, form }` | the same, with a `Retry-After`; `form = "date"` makes it a date |
//! | `upgrade.slow = { interval_ms }` | the upgrade is answered one byte a second (1000 by default), and goes well in the end |
//! | `upgrade = "wrong_accept"`, `"no_accept"` | a `Sec-WebSocket-Accept` to another key, or none |
//! | `upgrade.headers = { bytes }` | an answer with so many bytes of headers (65536 by default) |
//! | `upgrade = "extension"` | an extension that nobody asked for |
//! | `upgrade = "cut"` | the connection ends in the middle of the answer |
//! | `no_answer` | upgraded, and the subscription is never answered |
//! | `reject_subscription` | the subscription is answered with `INVALID OPERATION` |
//! | `close = { code, reason, after_ms }` | a close frame; without `code`, an empty one |
//! | `flap` | closed with 1000 after one second |
//! | `reset = { after_ms }` | quiet for 200 ms, then a TCP reset |
//! | `cut = { after_ms }` | the TCP connection ends without a close frame |
//! | `reset_in_frame`, `cut_in_frame = { after_ms }` | the same two in the middle of a frame |
//! | `bad_frame = { kind, after_ms }` | a frame that is not allowed: `invalid_utf8`, `reserved_bit`, `masked`, `opcode`, `long_control`, `fragmented_control`, `continuation` |
//! | `too_big = { bytes, after_ms }` | a frame of so many bytes (16777217 by default) |
//! | `endless_fragments = { bytes, fragments, after_ms }` | a message that never ends, in fragments of so many bytes (65536), up to so many (1024) |
//! | `fragments = { fragments, after_ms }` | an event in so many fragments, which is allowed |
//! | `odd_text = { kind, frames, after_ms }` | texts (one) that are strange: `not_json`, `other_schema`, `unknown_channel`, `deep_nesting`, `future`, `long_ago`, `absurd_time` |
//! | `flood = { of, frames, after_ms }` | `pings` or `empty_texts`, so many (10000) as fast as they are read |
//! | `silence = { after_ms }` | no more data, requests and pings are answered |
//! | `heartbeats_only = { after_ms }` | the same, and a text `PONG` once a second |
//! | `mute = { after_ms }` | neither reads nor writes; the socket stays open |
//!
//! `after_ms` counts from the answered subscription. In the log, a fault that belongs to a group has the group's name and its own:
//! `tls_expired`. What no client can read, a bad frame for instance, is not counted, and neither is an answer to the client's
//! farewell after it. The faults of `tls` need a venue that serves it: [`SimOptions::tls`].
//!
//! # Names
//!
//! With [`SimOptions::rest`] it has a REST part, on a port of its own. It answers like Polymarket's Gamma API, `/events/slug/SLUG`
//! and `/markets/slug/SLUG`, and like each other venue whose lists are looked up: their paths differ, so that all are served at once,
//! whatever is said over its WebSockets. Hyperliquid says in the body of a POST what it is asked for, of which 16 KiB are read; all
//! others in the path and the query. A script says what it knows. A market is listed from `from_ms` on, and is resolved at
//! `until_ms`: it is closed then, and `market_resolved` is sent to whoever is subscribed to it. Instruments of other venues come and go
//! by the same two keys, without a word over WebSockets. `[[rest]]` has rules like the others, which count requests in place of
//! connections; a request can meet `none`, `hang`, `status`, `retry_after`, and `cut`, a half of an answer.
//!
//! ```
//! # let rest = feedwatch::sim::RestOptions::from_toml(r#"
//! page_size = 2                  # where a venue lists in pages, they are so short
//!
//! [[events]]                     # for streams that watch event:who-wins
//! slug = "who-wins"
//! markets = [
//!     { slug = "will-ayton-win", tokens = ["71", "72"], until_ms = 60000 },
//!     { slug = "will-beeham-win", tokens = ["81", "82"], from_ms = 30000 },
//! ]
//!
//! [[instruments]]                # for streams that watch BTC* at Bybit
//! venue = "bybit_linear"
//! ids = ["BTCUSDT", "BTCPERP", "ETHUSDT"]
//!
//! [[instruments]]                # one more, for a while
//! venue = "bybit_linear"
//! ids = ["BTCUSDT-26DEC30"]
//! from_ms = 30000
//! until_ms = 60000
//!
//! [[rest]]                       # the second and the third request are answered with a page that is no JSON
//! first_connection = 2
//! last_connection = 3
//! fault.status = { code = 200, body = "<html>" }
//!
//! [[rest]]                       # and who asks in the third minute is told to come back later
//! from_ms = 120000
//! until_ms = 180000
//! fault.retry_after = { code = 429, seconds = 5 }
//! # "#).unwrap();
//! # assert_eq!((rest.events[0].markets.len(), rest.instruments.len(), rest.script.rules.len()), (2, 2, 2));
//! # let options = feedwatch::sim::SimOptions { rest: Some(rest), ..Default::default() };
//! # assert_eq!(options.problem(), None);
//! ```
//!
//! # Use
//!
//! It is a venue like any other, on a port of its own. A test scripts what is to happen, and looks at both sides afterwards:
//!
//! ```
//! use feedwatch::ReconnectionConfig;
//! use feedwatch::clock::Moment;
//! use feedwatch::market::{Cause, Instrument, MarketEvent, StreamName};
//! use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
//! use feedwatch::sim::{Fault, Rule, Script, SimOptions, SimulatedVenue, What};
//! use feedwatch::stream::{
//!     Endpoint, MarketDataStream, NoObserver, ReconnectingDataStream, TlsTrust, TransportOptions, WebSocketStream,
//! };
//! use feedwatch::venue::Polymarket;
//! use std::{sync::Arc, time::Duration};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // The first connection is cut right after it is live; all others go well.
//! let cut = Fault::Cut { after: Duration::from_millis(20) };
//! let script = Script { rules: vec![Rule::connections(1, 1, cut)] };
//! let venue = SimulatedVenue::start(SimOptions { script, ..SimOptions::default() }).unwrap();
//!
//! let endpoint = Endpoint::parse(&venue.url()).unwrap();
//! let info = StreamInfo::new(StreamName::new("test").unwrap(), endpoint.host(), endpoint.scheme());
//! let cells = Arc::new(StreamCells::new(info, Streams::new().venue("polymarket"), Moment::now().mono));
//! let (options, trust) = (TransportOptions::default(), TlsTrust::only([]).unwrap());
//! let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, Arc::new(NoObserver));
//! let policy = ReconnectionConfig { initial_delay: Duration::from_millis(10), ..ReconnectionConfig::default() };
//! let mut stream = ReconnectingDataStream::new(socket, policy);
//! stream.subscribe(&[Instrument::new("71")]).await.unwrap();
//! stream.connect().await.unwrap();
//!
//! let mut lost = None;
//! while let Some(event) = stream.next_event().await {
//!     match event {
//!         MarketEvent::Disconnected { cause, .. } => lost = Some(cause),
//!         MarketEvent::Reconnected { .. } => break,
//!         _ => {}
//!     }
//! }
//! assert_eq!(lost, Some(Cause::Eof));
//! stream.close().await;
//!
//! let log = venue.log();
//! venue.shutdown().await;
//! let cuts = log.entries().into_iter().filter(|entry| entry.what == What::Cut);
//! assert_eq!(cuts.count(), 1);
//! # }
//! ```

mod capture;
mod choice;
mod connection;
mod desk;
mod ending;
pub mod expectation;
mod extra;
mod fault;
mod frame;
mod listener;
mod log;
mod market;
mod options;
mod rest;
mod script;
mod session;
mod tls;
mod traffic;
mod upgrade;

pub use capture::{Capture, CaptureError, CapturedFrame};
pub(crate) use capture::{compress, write_line};
pub use expectation::Expectation;
pub use fault::{BadFrame, Fault, Flood, OddText, RetryForm, TlsFault, UpgradeFault};
pub use log::{Counts, Entry, FrameCounts, LOG_LIMIT, SimLog, What};
pub use options::SimOptions;
pub use rest::{ListedEvent, ListedInstruments, ListedMarket, RestOptions};
pub use script::{Rule, Script, ScriptError};
pub use tls::{Authority, Client};
pub use traffic::{Speed, Traffic};

use crate::clock::Moment;
use choice::Plays;
use listener::Port;
use rest::Rest;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tls::Tls;
use tokio::sync::{broadcast, watch};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// The path of the market channel.
const PATH: &str = "/ws/market";
/// So many resolutions wait for a connection that is busy.
const RESOLUTIONS: usize = 64;

/// What the venue's tasks share.
#[derive(Debug)]
struct Venue {
    tls: Option<Tls>,
    required_header: Option<(String, String)>,
    traffic: Traffic,
    plays: Plays,
    as_recorded: bool,
    script: Script,
    seed: u64,
    log: Arc<SimLog>,
    unknown: Mutex<HashSet<String>>,
    rest: Option<Rest>,
    resolved: broadcast::Sender<Arc<[String]>>,
    paused: watch::Sender<bool>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Venue {
    fn is_unknown(&self, token: &str) -> bool {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.contains(token)
    }

    fn resolve(&self, tokens: Arc<[String]>) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.extend(tokens.iter().cloned());
        drop(unknown);
        if let Some(rest) = &self.rest {
            rest.end(&tokens, self.log.elapsed());
        }
        let _ = self.resolved.send(tokens); // an error only says that nobody is connected
    }

    /// Ends the markets that have a time for it, each at its own.
    fn end_markets(self: &Arc<Self>) {
        for (at, tokens) in self.rest.iter().flat_map(Rest::ends) {
            let venue = Arc::clone(self);
            self.tasks.spawn(async move {
                let due = sleep(at.saturating_sub(venue.log.elapsed()));
                if venue.stop.run_until_cancelled(due).await.is_some() {
                    venue.resolve(tokens.into());
                }
            });
        }
    }
}

/// A running venue. Dropping it ends it, too, but does not wait.
#[derive(Debug)]
pub struct SimulatedVenue {
    address: SocketAddr,
    venue: Arc<Venue>,
    _stop_on_drop: DropGuard,
}

impl SimulatedVenue {
    /// Starts a venue; it is ready when this returns, unless the script has its port closed from the start.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the options make no sense ([`io::ErrorKind::InvalidInput`]).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(options: SimOptions) -> io::Result<Self> {
        if let Some(problem) = options.problem() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let mut port = Port::reserve(options.listen)?;
        let address = port.address()?;
        let tls = || Tls::new(address.ip(), options.client_certificates);
        let tls = options.tls.then(tls).transpose()?;
        let log = Arc::new(SimLog::new());
        if options.script.refused_until(log.elapsed()).is_none() {
            port = port.open()?;
        } else {
            log.note(0, What::PortClosed);
        }
        let (rest, rest_port) = options.rest.map(Rest::bind).transpose()?.unzip();
        let stop = CancellationToken::new();
        let venue = Arc::new(Venue {
            tls,
            required_header: options.required_header,
            plays: Plays::of(options.traffic.recordings()),
            traffic: options.traffic,
            as_recorded: options.as_recorded,
            script: options.script,
            seed: options.seed,
            log,
            unknown: Mutex::new(options.unknown),
            rest,
            resolved: broadcast::Sender::new(RESOLUTIONS),
            paused: watch::Sender::new(false),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        });
        venue.tasks.spawn(listener::accept(Arc::clone(&venue), port, address));
        if let Some(port) = rest_port {
            venue.tasks.spawn(rest::serve(Arc::clone(&venue), port));
        }
        venue.end_markets();
        Ok(Self {
            address,
            venue,
            _stop_on_drop: stop.drop_guard(),
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its market channel is. What is played as it was recorded is so at any path, and this has none.
    pub fn url(&self) -> String {
        let scheme = if self.venue.tls.is_some() { "wss" } else { "ws" };
        let path = if self.venue.as_recorded { "" } else { PATH };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Where its REST part is: what a stream has as its `rest_url`. `None` where it has none.
    pub fn rest_url(&self) -> Option<String> {
        let scheme = if self.venue.tls.is_some() { "https" } else { "http" };
        let rest = self.venue.rest.as_ref()?;
        Some(format!("{scheme}://{}", rest.address()))
    }

    /// From now on the REST part lists one more market of an event, which it makes where there is none of that slug.
    pub fn list_market(&self, event: &str, market: ListedMarket) {
        if let Some(rest) = &self.venue.rest {
            rest.list(event, market);
        }
    }

    /// From now on the REST part lists these as well.
    pub fn list_instruments(&self, listed: ListedInstruments) {
        if let Some(rest) = &self.venue.rest {
            rest.list_instruments(listed);
        }
    }

    /// From now on these are traded no more, and the REST part tells so as that venue does: with another status, or not at all.
    /// Nobody is told of it over WebSockets.
    pub fn end_instruments(&self, venue: &str, ids: &[&str]) {
        if let Some(rest) = &self.venue.rest {
            rest.end_instruments(venue, ids, self.venue.log.elapsed());
        }
    }

    /// Whom its clients must trust; `None` without TLS. Its certificates are good for `localhost`, for the loopback
    /// addresses and for the address that it listens on.
    pub fn authority(&self) -> Option<&Authority> {
        self.venue.tls.as_ref().map(Tls::authority)
    }

    /// A client that it takes, where it wants a certificate; `None` without TLS.
    pub fn client(&self) -> Option<&Client> {
        self.venue.tls.as_ref().map(Tls::client)
    }

    /// What it did, and goes on doing.
    pub fn log(&self) -> Arc<SimLog> {
        Arc::clone(&self.venue.log)
    }

    /// Sends no more data and no unprompted heartbeats, on any connection, until [`SimulatedVenue::resume_traffic`]. The
    /// connections stay, requests and pings are answered, scripted faults go on. What is being sent at this moment still is.
    pub fn pause_traffic(&self) {
        self.venue.paused.send_replace(true);
    }

    /// Sends data again.
    pub fn resume_traffic(&self) {
        self.venue.paused.send_replace(false);
    }

    /// Ends the market of `tokens`, the first of which has won: who is subscribed to one of them is sent `market_resolved`,
    /// and from now on they are unknown, and closed in the REST part.
    pub fn resolve(&self, tokens: &[&str]) {
        self.venue
            .resolve(tokens.iter().map(|token| (*token).to_owned()).collect());
    }

    /// Closes all connections with code 1001 and the port, and returns when nothing of the venue is left, in about a second
    /// at most. The log stays readable.
    pub async fn shutdown(self) {
        self.venue.stop.cancel();
        self.venue.tasks.close();
        self.venue.tasks.wait().await;
    }
}

/// Waits until `due`; for ever where there is none.
async fn until(due: Option<Instant>) {
    match due {
        // Not even a timer where it is due already: traffic as fast as it is read passes here with every batch.
        Some(due) if due <= Moment::now().mono => {}
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
