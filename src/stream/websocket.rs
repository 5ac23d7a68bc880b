//! The transport: one venue over WebSocket.

use super::connection::Connection;
use super::dial::{Dialler, TcpDialler};
use super::endpoint::Endpoint;
use super::failure;
use super::tls::{self, MaybeTls, TlsTrust};
use super::{Fact, MarketDataStream, Observer, TransportFact};
use crate::clock::Moment;
use crate::market::{Cause, DialPhase, Failure, Instrument, MarketEvent, Subscribed};
use crate::metrics::StreamCells;
use crate::venue::Venue;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The figures of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportOptions {
    /// The time between two pings; `None` = the venue's own rule.
    pub ping_interval: Option<Duration>,
    /// The connection is lost when so long after a ping no frame of any kind has come: pongs queue behind data.
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
    options: TransportOptions,
    dialler: D,
    trust: TlsTrust,
    observer: Arc<dyn Observer>,
    cells: Arc<StreamCells>,
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
            options,
            dialler: TcpDialler,
            trust,
            observer,
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
            dialler,
            trust: self.trust,
            observer: self.observer,
            cells: self.cells,
            phase: DialPhase::Resolve,
            connection: None,
        }
    }

    fn tell(&self, fact: TransportFact) {
        self.observer.observe(Moment::now(), &Fact::Transport(fact));
    }

    async fn dial(&mut self) -> Result<Connection<D::Io>, Failure> {
        let begun = self.enter(DialPhase::Resolve);
        let resolved = self.dialler.resolve(self.endpoint.host(), self.endpoint.port()).await;
        self.leave(begun);
        let addresses = resolved.map_err(|error| failure::of_resolve(&error))?;

        let begun = self.enter(DialPhase::Connect);
        let mut connected = Err(Failure::new(Cause::Dns).with_detail("the name has no address"));
        for address in addresses {
            connected = self
                .dialler
                .connect(address)
                .await
                .map_err(|error| failure::of_io(&error));
            if connected.is_ok() {
                self.tell(TransportFact::Peer(address));
                break;
            }
        }
        self.leave(begun);
        let io = connected?;

        let io = if self.endpoint.is_tls() {
            let begun = self.enter(DialPhase::Tls);
            let secured = self.trust.handshake(self.endpoint.host(), io).await;
            self.leave(begun);
            let secured = secured.map_err(|error| failure::of_tls(&error))?;
            if let Some(not_after) = tls::certificate_end(&secured) {
                self.tell(TransportFact::Certificate { not_after });
            }
            MaybeTls::Tls(Box::new(secured))
        } else {
            MaybeTls::Plain(io)
        };

        let begun = self.enter(DialPhase::Upgrade);
        let config = WebSocketConfig::default()
            .read_buffer_size(self.options.read_buffer_bytes)
            .write_buffer_size(0)
            .max_write_buffer_size(self.options.max_message_bytes)
            .max_message_size(Some(self.options.max_message_bytes))
            .max_frame_size(Some(self.options.max_message_bytes));
        let request = self.endpoint.uri().clone().into_client_request();
        let upgraded = match request {
            Ok(request) => client_async_with_config(request, io, Some(config)).await,
            Err(error) => Err(error),
        };
        self.leave(begun);
        let (socket, _response) = upgraded.map_err(|error| failure::of_upgrade(error, Moment::now().wall))?;
        Ok(Connection::new(
            socket,
            self.venue,
            &self.options,
            self.cells.clone(),
            self.observer.clone(),
        ))
    }

    fn enter(&mut self, phase: DialPhase) -> Instant {
        self.phase = phase;
        Moment::now().mono
    }

    fn leave(&self, begun: Instant) {
        self.tell(TransportFact::Phase {
            phase: self.phase,
            took: Moment::now().mono.saturating_duration_since(begun),
        });
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

    fn dial_phase(&self) -> DialPhase {
        self.phase
    }
}

const fn not_connected() -> Failure {
    Failure::new(Cause::Internal)
}
