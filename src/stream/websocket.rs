//! The transport: one venue over WebSocket.

mod dialling;

use super::access::Access;
use super::connection::Connection;
use super::dial::{Dialler, TcpDialler};
use super::endpoint::Endpoint;
use super::headers::UpgradeHeaders;
use super::pace::Pace;
use super::proxy::Proxy;
use super::tap::Tap;
use super::tls::TlsTrust;
use super::{MarketDataStream, Observer, TransportOptions};
use crate::market::{Cause, DialPhase, Failure, Instrument, MarketEvent, Subscribed};
use crate::metrics::{InstrumentClocks, StreamCells};
use crate::venue::{ApiKey, Feed, VenueRef};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A venue over WebSocket: dials, subscribes, keeps alive, and yields frames with their envelopes counted.
///
/// It has no time limit for a dial and for the first subscription: those are its driver's, [`super::ReconnectingDataStream`].
/// Pings are sent and pongs are judged while [`MarketDataStream::next_event`] is polled.
///
/// ```
/// use feedwatch::ReconnectionConfig;
/// use feedwatch::clock::Moment;
/// use feedwatch::market::StreamName;
/// use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
/// use feedwatch::observe::StreamObserver;
/// use feedwatch::stream::{Endpoint, ReconnectingDataStream, TlsTrust, TransportOptions, WebSocketStream};
/// use feedwatch::venue::{Polymarket, Venue};
/// use std::sync::Arc;
///
/// let endpoint = Endpoint::parse(Polymarket.default_url())?;
/// let policy = ReconnectionConfig { stale_after: Some(Polymarket.stale_after()), ..ReconnectionConfig::default() };
/// let info = StreamInfo::new(StreamName::new("elections")?, endpoint.host(), endpoint.scheme());
/// let cells = Arc::new(StreamCells::new(info, Streams::new().venue(Polymarket.name()), Moment::now().mono));
/// let observer = Arc::new(StreamObserver::new(cells.clone(), &policy));
///
/// let (options, trust) = (TransportOptions::default(), TlsTrust::system()?);
/// let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, observer.clone());
/// // Nothing is dialled before it is asked for its next event.
/// let stream = ReconnectingDataStream::with_observer(socket, policy, fastrand::u64(..), observer);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct WebSocketStream<D: Dialler = TcpDialler> {
    venue: VenueRef,
    feed: Arc<Feed>,
    /// Where it connects; one of `endpoints`.
    endpoint: Endpoint,
    endpoints: Vec<Endpoint>,
    options: watch::Receiver<TransportOptions>,
    dialler: Arc<D>,
    access: watch::Receiver<Access>,
    observer: Arc<dyn Observer>,
    cells: Arc<StreamCells>,
    instruments: Arc<InstrumentClocks>,
    tap: Option<Tap>,
    phase: DialPhase,
    connection: Option<Connection<D::Io>>,
}

impl WebSocketStream {
    /// A stream over TCP. `cells` are counted in on the hot path; `observer` is told the rest.
    pub fn new(
        venue: impl Into<VenueRef>,
        endpoint: Endpoint,
        options: TransportOptions,
        trust: TlsTrust,
        cells: Arc<StreamCells>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let venue = venue.into();
        cells.set_has_sequences(venue.has_sequences());
        cells.set_compares_checksums(false);
        Self {
            venue,
            feed: Arc::default(),
            endpoints: vec![endpoint.clone()],
            endpoint,
            options: watch::channel(options).1,
            dialler: Arc::new(TcpDialler::default()),
            access: watch::channel(Access::new(trust)).1,
            observer,
            instruments: cells.instrument_clocks(),
            cells,
            tap: None,
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
            feed: self.feed,
            endpoint: self.endpoint,
            endpoints: self.endpoints,
            options: self.options,
            dialler: Arc::new(dialler),
            access: self.access,
            observer: self.observer,
            cells: self.cells,
            instruments: self.instruments,
            tap: self.tap,
            phase: DialPhase::Resolve,
            connection: None,
        }
    }

    /// The same, with what is asked for of each instrument.
    #[must_use]
    pub fn with_feed(mut self, feed: Feed) -> Self {
        self.cells.set_compares_checksums(feed.compares_checksums(&*self.venue));
        self.feed = Arc::new(feed);
        self
    }

    /// The same, and all that passes on its connections is copied there.
    #[must_use]
    pub fn with_tap(mut self, tap: Tap) -> Self {
        self.tap = Some(tap);
        self
    }

    /// The same with figures that may change. An open connection follows other time limits when it is polled next; the sizes
    /// are those of its dial.
    #[must_use]
    pub fn with_options(mut self, options: watch::Receiver<TransportOptions>) -> Self {
        self.options = options;
        self
    }

    /// The same with further endpoints, which its driver tries in turn where one has failed.
    #[must_use]
    pub fn with_alternatives(mut self, alternatives: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints.extend(alternatives);
        self
    }

    /// The same, with these headers sent along with the upgrade.
    #[must_use]
    pub fn with_headers(self, headers: UpgradeHeaders) -> Self {
        let access = self.access.borrow().clone();
        self.with_access(watch::channel(Access { headers, ..access }).1)
    }

    /// The same, signed with this key at a venue that wants one.
    #[must_use]
    pub fn with_key(self, key: ApiKey) -> Self {
        let key = Some(key);
        let access = self.access.borrow().clone();
        self.with_access(watch::channel(Access { key, ..access }).1)
    }

    /// The same, through this proxy.
    #[must_use]
    pub fn with_proxy(self, proxy: Proxy) -> Self {
        let proxy = Some(proxy);
        let access = self.access.borrow().clone();
        self.with_access(watch::channel(Access { proxy, ..access }).1)
    }

    /// The same with trust, headers and a proxy that may change: each dial takes those of its beginning.
    #[must_use]
    pub fn with_access(mut self, access: watch::Receiver<Access>) -> Self {
        self.access = access;
        self
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

    fn exchange_name(&self) -> &str {
        self.venue.name()
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        self.endpoints.clone()
    }

    fn choose_endpoint(&mut self, place: usize) {
        if let Some(endpoint) = self.endpoints.get(place) {
            self.endpoint = endpoint.clone();
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
            venue: self.venue.clone(),
            feed: Arc::clone(&self.feed),
            endpoint: self.endpoint.clone(),
            endpoints: self.endpoints.clone(),
            options: self.options.clone(),
            dialler: Arc::clone(&self.dialler),
            access: self.access.clone(),
            observer: Arc::clone(&self.observer),
            cells: Arc::clone(&self.cells),
            instruments: Arc::clone(&self.instruments),
            tap: self.tap.clone(),
            phase: DialPhase::Resolve,
            connection: None,
        })
    }

    fn time_to_ask(&self, instruments: &[Instrument]) -> Duration {
        let Some(limit) = self.venue.limits().requests else {
            return Duration::ZERO;
        };
        // What is asked is what another session would ask.
        let mut session = self.venue.session(&self.feed);
        let counted = session.count_requests(instruments);
        let requests = counted.unwrap_or_else(|| session.subscribe(instruments).len());
        Pace::new(Some(limit)).time_for(requests)
    }

    fn dial_phase(&self) -> DialPhase {
        self.phase
    }
}

const fn not_connected() -> Failure {
    Failure::new(Cause::Internal)
}
