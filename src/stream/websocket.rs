//! The transport: one venue over WebSocket.

use super::connection::Connection;
use super::dial::{Dialler, TcpDialler};
use super::endpoint::Endpoint;
use super::failure;
use super::tls::{self, MaybeTls, TlsTrust};
use super::{Fact, MarketDataStream, Observer, TransportFact};
use crate::clock::Moment;
use crate::market::{Cause, DialPhase, Failure, Instrument, MarketEvent, Subscribed};
use crate::metrics::{InstrumentClocks, StreamCells};
use crate::venue::Venue;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// What may wait to leave. The largest thing that is sent is a subscription, of 500 Polymarket tokens 40 KB.
const WRITE_LIMIT: usize = 1024 * 1024;

/// The figures of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportOptions {
    /// The time between two pings; `None` = the venue's own rule.
    pub ping_interval: Option<Duration>,
    /// The connection is lost when so long after a ping nothing at all has come: pongs queue behind data.
    pub pong_timeout: Duration,
    /// How long an answer to a change of subscriptions is awaited. The first subscription has the supervisor's deadline.
    pub subscribe_timeout: Duration,
    /// How long a frame may take to leave.
    pub send_timeout: Duration,
    /// How long the peer may take to answer a close frame.
    pub close_timeout: Duration,
    /// The largest message that is received.
    pub max_message_bytes: usize,
    /// The read buffer of a connection; every connection costs this much.
    pub read_buffer_bytes: usize,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            ping_interval: None,
            pong_timeout: Duration::from_secs(20),
            subscribe_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(2),
            max_message_bytes: 16 * 1024 * 1024,
            read_buffer_bytes: 16 * 1024,
        }
    }
}

/// A venue over WebSocket: dials, subscribes, keeps alive, and yields frames with their envelopes counted.
///
/// It has no time limit for a dial and for the first subscription: those are its driver's, [`super::ReconnectingDataStream`].
/// Pings are sent and pongs are judged while [`MarketDataStream::next_event`] is polled.
pub struct WebSocketStream<D: Dialler = TcpDialler> {
    venue: &'static dyn Venue,
    endpoint: Endpoint,
    options: watch::Receiver<TransportOptions>,
    dialler: Arc<D>,
    trust: TlsTrust,
    observer: Arc<dyn Observer>,
    cells: Arc<StreamCells>,
    instruments: Arc<InstrumentClocks>,
    phase: DialPhase,
    connection: Option<Connection<D::Io>>,
}

impl WebSocketStream {
    /// A stream over TCP. `cells` are counted in on the hot path; `observer` is told the rest.
    pub fn new(
        venue: &'static dyn Venue,
        endpoint: Endpoint,
        options: TransportOptions,
        trust: TlsTrust,
        cells: Arc<StreamCells>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            venue,
            endpoint,
            options: watch::channel(options).1,
            dialler: Arc::new(TcpDialler::default()),
            trust,
            observer,
            instruments: cells.instrument_clocks(),
            cells,
            phase: DialPhase::Resolve,
            connection: None,
        }
    }
}

impl<D: Dialler> WebSocketStream<D> {
    /// The same, dialled otherwise.
    pub fn with_dialler<E: Dialler>(self, dialler: E) -> WebSocketStream<E> {
        WebSocketStream {
            venue: self.venue,
            endpoint: self.endpoint,
            options: self.options,
            dialler: Arc::new(dialler),
            trust: self.trust,
            observer: self.observer,
            cells: self.cells,
            instruments: self.instruments,
            phase: DialPhase::Resolve,
            connection: None,
        }
    }

    /// The same with figures that may change: each connection follows those of its dial.
    #[must_use]
    pub fn with_options(mut self, options: watch::Receiver<TransportOptions>) -> Self {
        self.options = options;
        self
    }

    fn tell(&self, fact: TransportFact) {
        self.observer.observe(Moment::now(), &Fact::Transport(fact));
    }

    async fn dial(&mut self) -> Result<Connection<D::Io>, Failure> {
        let phase = self.enter(DialPhase::Resolve);
        let resolved = self.dialler.resolve(self.endpoint.host(), self.endpoint.port()).await;
        drop(phase);
        let addresses = resolved.map_err(|error| failure::of_resolve(&error))?;

        let phase = self.enter(DialPhase::Connect);
        let connected = self.connect_to_any(addresses).await;
        drop(phase);
        let io = connected?;

        let io = if self.endpoint.is_tls() {
            let phase = self.enter(DialPhase::Tls);
            let secured = self.trust.handshake(self.endpoint.host(), io).await;
            drop(phase);
            let secured = secured.map_err(|error| failure::of_tls(&error))?;
            if let Some(not_after) = tls::certificate_end(&secured) {
                self.tell(TransportFact::Certificate { not_after });
            }
            MaybeTls::secured(secured)
        } else {
            MaybeTls::plain(io)
        };

        let phase = self.enter(DialPhase::Upgrade);
        let options = self.options.borrow().clone();
        let config = WebSocketConfig::default()
            .read_buffer_size(options.read_buffer_bytes)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_LIMIT)
            .max_message_size(Some(options.max_message_bytes))
            .max_frame_size(Some(options.max_message_bytes));
        let upgraded = match self.endpoint.uri().clone().into_client_request() {
            Ok(request) => client_async_with_config(request, io, Some(config)).await,
            Err(error) => Err(error),
        };
        drop(phase);
        let upgraded = upgraded.map_err(|error| failure::of_upgrade(error, Moment::now().wall));
        let status = match &upgraded {
            Ok((_, response)) => Some(response.status().as_u16()),
            Err(failure) => failure.status,
        };
        if let Some(status) = status {
            self.tell(TransportFact::Answered { status });
        }
        let (socket, response) = upgraded?;
        if response.headers().contains_key("sec-websocket-extensions") {
            // RFC 6455, section 4.1: none was asked for, so its frames could not be read.
            let detail = "the venue insists on an extension that was not asked for";
            return Err(Failure::new(Cause::Upgrade).with_detail(detail));
        }
        Ok(Connection::new(
            socket,
            self.venue,
            &options,
            self.cells.clone(),
            self.instruments.of_socket(),
            self.observer.clone(),
        ))
    }

    /// Tries one address after the other. Of several failures the first counts, but for one that says nothing of the venue:
    /// a family of addresses that this host cannot reach.
    async fn connect_to_any(&mut self, addresses: Vec<SocketAddr>) -> Result<D::Io, Failure> {
        let mut worst: Option<Failure> = None;
        for address in addresses {
            match self.dialler.connect(address).await {
                Ok(io) => {
                    self.tell(TransportFact::Peer(address));
                    return Ok(io);
                }
                Err(error) => {
                    let failure = failure::of_connect(&error, address);
                    if worst.as_ref().is_none_or(|worst| worst.cause == Cause::TcpUnreachable) {
                        worst = Some(failure);
                    }
                }
            }
        }
        Err(worst.unwrap_or(Failure::new(Cause::Dns).with_detail("the name has no address")))
    }

    fn enter(&mut self, phase: DialPhase) -> PhaseTimer {
        self.phase = phase;
        let now = Moment::now();
        let fact = Fact::Transport(TransportFact::PhaseBegan(phase));
        self.observer.observe(now, &fact);
        PhaseTimer {
            phase,
            begun: now.mono,
            observer: self.observer.clone(),
        }
    }
}

/// Tells how long a phase took, when it is over or cut off by the deadline of the dial.
struct PhaseTimer {
    phase: DialPhase,
    begun: Instant,
    observer: Arc<dyn Observer>,
}

impl Drop for PhaseTimer {
    fn drop(&mut self) {
        let now = Moment::now();
        let took = now.mono.saturating_duration_since(self.begun);
        self.observer.observe(
            now,
            &Fact::Transport(TransportFact::PhaseEnded {
                phase: self.phase,
                took,
            }),
        );
    }
}

impl<D: Dialler> MarketDataStream for WebSocketStream<D> {
    async fn connect(&mut self) -> Result<(), Failure> {
        self.connection = None;
        self.connection = Some(Box::pin(self.dial()).await?);
        Ok(())
    }

    async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        match &mut self.connection {
            Some(connection) => connection.subscribe(instruments).await,
            None => Err(not_connected()),
        }
    }

    async fn unsubscribe(&mut self, instruments: &[Instrument]) -> Result<(), Failure> {
        match &mut self.connection {
            Some(connection) => connection.unsubscribe(instruments).await,
            None => Err(not_connected()),
        }
    }

    async fn next_event(&mut self) -> Option<MarketEvent> {
        let connection = self.connection.as_mut()?;
        poll_fn(|cx| connection.poll_event(cx)).await
    }

    fn exchange_name(&self) -> &'static str {
        self.venue.name()
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    async fn hang_up(&mut self) -> bool {
        match &mut self.connection {
            Some(connection) => connection.hang_up().await,
            None => false,
        }
    }

    fn another(&self) -> Option<Self> {
        Some(Self {
            venue: self.venue,
            endpoint: self.endpoint.clone(),
            options: self.options.clone(),
            dialler: Arc::clone(&self.dialler),
            trust: self.trust.clone(),
            observer: Arc::clone(&self.observer),
            cells: Arc::clone(&self.cells),
            instruments: Arc::clone(&self.instruments),
            phase: DialPhase::Resolve,
            connection: None,
        })
    }

    fn dial_phase(&self) -> DialPhase {
        self.phase
    }
}

const fn not_connected() -> Failure {
    Failure::new(Cause::Internal)
}
