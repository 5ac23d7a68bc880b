//! Who reads the frames: feedwatch, and what it is measured against.

use super::frames::{Market, instruments, request};
use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent, StreamName};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{
    Endpoint, Fact, MarketDataStream, Observer, ReconnectingDataStream, TcpDialler, TlsTrust, TransportOptions,
    WebSocketStream,
};
use feedwatch::supervise::{Notice, Policy};
use feedwatch::venue::{Binance, Polymarket, Venue};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use std::hint::black_box;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream as Socket;
use tokio_tungstenite::tungstenite::Message;

/// Takes frames, one after the other, of a connection that is live.
pub(crate) trait Contender {
    fn next(&mut self) -> impl Future<Output = ()> + Send;
}

type Supervised<O> = ReconnectingDataStream<WebSocketStream, Arc<O>>;

/// The whole hot path, with a consumer that looks at no frame: as in the service.
pub(crate) struct Feedwatch(Supervised<StreamObserver>);

impl Feedwatch {
    /// Live, and its first answer taken.
    pub(crate) async fn live(url: &str, wanted: &Wanted) -> Self {
        let mut live = Self(supervised(url, wanted, Policy::default(), |observer| observer).await);
        live.next().await;
        live
    }
}

async fn supervised<O: Observer + 'static>(
    url: &str,
    wanted: &Wanted,
    policy: Policy,
    observer: impl FnOnce(StreamObserver) -> O,
) -> Supervised<O> {
    let endpoint = Endpoint::parse(url).unwrap();
    let info = StreamInfo {
        stream: StreamName::new("bench").unwrap(),
        server_address: endpoint.host().into(),
        transport: endpoint.scheme().into(),
        page_on_stale: false,
    };
    let venue: &'static dyn Venue = match wanted.market {
        Market::Polymarket => &Polymarket,
        Market::Binance => &Binance::Spot,
    };
    let of_venue = VENUES.get_or_init(Streams::new).venue(venue.name());
    let cells = Arc::new(StreamCells::new(info, of_venue, Moment::now().mono));
    let observer = Arc::new(observer(StreamObserver::new(cells.clone(), &policy)));
    let trust = TRUST.get_or_init(|| TlsTrust::only([]).unwrap()).clone();
    let socket = WebSocketStream::new(
        venue,
        endpoint,
        TransportOptions::default(),
        trust,
        cells,
        observer.clone(),
    )
    .with_dialler(DIALLER.get_or_init(TcpDialler::default).clone());
    let mut stream = ReconnectingDataStream::with_observer(socket, policy, 1, observer);
    let instruments: Vec<_> = wanted.instruments.iter().map(|id| Instrument::new(id)).collect();
    let _ = stream.subscribe(&instruments).await;
    let _ = stream.connect().await;
    stream
}

/// What all streams of a process share.
static VENUES: OnceLock<Streams> = OnceLock::new();
static TRUST: OnceLock<TlsTrust> = OnceLock::new();
static DIALLER: OnceLock<TcpDialler> = OnceLock::new();

/// Tells when a notice had been turned into figures.
pub(crate) struct Watched<F> {
    inner: StreamObserver,
    is_it: F,
    noted: Mutex<Option<oneshot::Sender<Instant>>>,
}

/// When that was.
pub(crate) async fn noticed<F>(url: &str, wanted: &Wanted, policy: Policy, is_it: F) -> Instant
where
    F: Fn(&Notice) -> bool + Send + Sync + 'static,
{
    let (noted, when) = oneshot::channel();
    let watched = |inner| Watched {
        inner,
        is_it,
        noted: Mutex::new(Some(noted)),
    };
    let mut stream = supervised(url, wanted, policy, watched).await;
    let receiving = async { while stream.next_event().await.is_some() {} };
    tokio::select! {
        biased;
        noted = when => noted.unwrap(),
        () = receiving => panic!("the stream has ended"),
    }
}

impl<F: Fn(&Notice) -> bool + Send + Sync> Observer for Watched<F> {
    fn observe(&self, at: Moment, fact: &Fact) {
        self.inner.observe(at, fact);
        if matches!(fact, Fact::Supervisor(notice) if (self.is_it)(notice))
            && let Some(noted) = self.noted.lock().unwrap().take()
        {
            let _ = noted.send(Moment::now().mono);
        }
    }
}

impl Contender for Feedwatch {
    async fn next(&mut self) {
        match self.0.next_event().await {
            Some(MarketEvent::Frame(frame)) => {
                black_box(frame);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A loop over tokio-tungstenite with its default buffers, which looks at nothing.
pub(crate) struct Bare(Socket<TcpStream>);

impl Bare {
    /// The same.
    pub(crate) async fn live(url: &str, wanted: &Wanted) -> Self {
        let address = url.trim_start_matches("ws://").split('/').next().unwrap();
        let io = TcpStream::connect(address).await.unwrap();
        io.set_nodelay(true).unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(url, io).await.unwrap();
        socket.send(Message::text(request(&wanted.instruments))).await.unwrap();
        let mut live = Self(socket);
        live.next().await;
        live
    }

    async fn message(&mut self) -> Message {
        self.0.next().await.unwrap().unwrap()
    }
}

impl Contender for Bare {
    async fn next(&mut self) {
        black_box(self.message().await);
    }
}

/// What people write by hand: the same loop, and `serde_json` for the same four fields.
pub(crate) struct ByHand(Bare, Market);

impl ByHand {
    /// The same.
    pub(crate) async fn live(url: &str, wanted: &Wanted) -> Self {
        Self(Bare::live(url, wanted).await, wanted.market)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Events<'f> {
    One(#[serde(borrow)] Event<'f>),
    Many(#[serde(borrow)] Vec<Event<'f>>),
}

#[allow(clippy::struct_field_names, reason = "the venue names them")]
/// Kind, instrument and time; of a change of prices the instruments are in its list.
#[derive(Deserialize)]
struct Event<'f> {
    event_type: &'f str,
    asset_id: Option<&'f str>,
    timestamp: Option<&'f str>,
    #[serde(borrow, default)]
    price_changes: Vec<Change<'f>>,
}

#[derive(Deserialize)]
struct Change<'f> {
    asset_id: &'f str,
}

/// Of Binance: kind, instrument, time and the number of a trade or of a book.
#[derive(Deserialize)]
struct Numbered<'f> {
    #[serde(rename = "e")]
    kind: &'f str,
    #[serde(rename = "s")]
    symbol: &'f str,
    #[serde(rename = "E")]
    time: i64,
    #[serde(rename = "t")]
    trade: Option<u64>,
    #[serde(rename = "u")]
    update: Option<u64>,
}

impl Contender for ByHand {
    async fn next(&mut self) {
        let message = self.0.message().await;
        let text = message.to_text().unwrap();
        if self.1 == Market::Binance {
            let event: Numbered<'_> = serde_json::from_str(text).unwrap();
            black_box((event.kind, event.symbol, event.time, event.trade.or(event.update)));
            return;
        }
        // As somebody would who knows what comes, rather than by trying one after the other.
        let events = if text.starts_with('[') {
            Events::Many(serde_json::from_str(text).unwrap())
        } else {
            Events::One(serde_json::from_str(text).unwrap())
        };
        let of = |event: &Event<'_>| {
            let time: Option<i64> = event.timestamp.and_then(|time| time.parse().ok());
            let changes: usize = event.price_changes.iter().map(|change| change.asset_id.len()).sum();
            black_box((event.event_type, event.asset_id, time, changes));
        };
        match &events {
            Events::One(event) => of(event),
            Events::Many(events) => events.iter().for_each(of),
        }
    }
}

/// What is subscribed to.
pub(crate) struct Wanted {
    market: Market,
    instruments: Vec<String>,
}

impl Wanted {
    pub(crate) fn all(market: Market) -> Self {
        Self {
            market,
            instruments: instruments(market),
        }
    }

    /// One token of Polymarket.
    pub(crate) fn one() -> Self {
        let mut wanted = Self::all(Market::Polymarket);
        wanted.instruments.truncate(1);
        wanted
    }

    /// What a request for it says.
    pub(crate) fn request(&self) -> String {
        request(&self.instruments)
    }
}
