//! A stream as the service builds it, and its metrics.

use super::Scrape;
use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent, StreamName};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams, text};
use feedwatch::observe::{ConnectionObserver, StreamObserver};
use feedwatch::stream::{
    Access, DialGate, Dialler, Endpoint, ManyConnections, MarketDataStream, ReconnectingDataStream, TcpDialler,
    TlsTrust, TransportOptions, WebSocketStream,
};
use feedwatch::supervise::Policy;
use feedwatch::venue::{Feed, Polymarket, Venue};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// No wait for a scrape is longer.
const LIMIT: Duration = Duration::from_secs(20);

/// The gauges of what is under way: 0 of a stream that has ended.
const AT_REST: [&str; 9] = [
    "feedwatch_stream_connected",
    "feedwatch_connections_live",
    "feedwatch_connections_desired",
    "feedwatch_reconnect_current_delay_seconds",
    "feedwatch_reconnect_next_attempt_timestamp_seconds",
    "feedwatch_outage_start_timestamp_seconds",
    "feedwatch_stream_stale",
    "feedwatch_subscriptions_active",
    "feedwatch_subscriptions_stale",
];

/// A stream, and what is seen of it.
pub(crate) struct RigOf<S> {
    pub(crate) stream: S,
    pub(crate) shown: Arc<Streams>,
    /// What the consumer was told.
    pub(crate) events: Vec<MarketEvent>,
    spans: InMemorySpanExporter,
    _provider: SdkTracerProvider,
}

/// A stream of the instruments 11 and 12.
pub(crate) type Rig<D = TcpDialler> = RigOf<ReconnectingDataStream<WebSocketStream<D>, Arc<StreamObserver>>>;

impl<D: Dialler> Rig<D> {
    pub(crate) async fn new(url: &str, policy: Policy, options: TransportOptions, trust: TlsTrust, dialler: D) -> Self {
        Self::of(&Polymarket, url, policy, options, trust, dialler).await
    }

    /// The same, with what its dials bring along.
    pub(crate) async fn bringing(
        url: &str,
        policy: Policy,
        options: TransportOptions,
        access: Access,
        dialler: D,
    ) -> Self {
        let (instruments, of_policy) = (["11", "12"].map(Instrument::new), policy.clone());
        Self::over(url, &of_policy, &instruments, |endpoint, cells, observer| {
            let trust = access.trust.clone();
            let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, observer.clone());
            let socket = socket.with_access(watch::channel(access).1).with_dialler(dialler);
            ReconnectingDataStream::with_observer(socket, policy, 1, observer)
        })
        .await
    }

    /// The same of another venue, which shows itself as Polymarket.
    pub(crate) async fn of(
        venue: &'static dyn Venue,
        url: &str,
        policy: Policy,
        options: TransportOptions,
        trust: TlsTrust,
        dialler: D,
    ) -> Self {
        let (instruments, of_policy) = (["11", "12"].map(Instrument::new), policy.clone());
        Self::over(url, &of_policy, &instruments, |endpoint, cells, observer| {
            let socket = WebSocketStream::new(venue, endpoint, options, trust, cells, observer.clone());
            ReconnectingDataStream::with_observer(socket.with_dialler(dialler), policy, 1, observer)
        })
        .await
    }
}

/// A stream of these instruments of another venue, which shows itself as Polymarket, with what is asked for of each.
pub(crate) async fn feeding(
    venue: &'static dyn Venue,
    feed: Feed,
    instruments: &[Instrument],
    url: &str,
    policy: Policy,
    options: TransportOptions,
) -> Rig {
    let of_policy = policy.clone();
    Rig::over(url, &of_policy, instruments, |endpoint, cells, observer| {
        let trust = TlsTrust::only([]).unwrap();
        let socket = WebSocketStream::new(venue, endpoint, options, trust, cells, observer.clone());
        ReconnectingDataStream::with_observer(socket.with_feed(feed), policy, 1, observer)
    })
    .await
}

/// A stream of the instruments 11 and 12 with several endpoints, and the gate of each.
pub(crate) async fn among<D: Dialler>(
    urls: &[&str],
    policy: Policy,
    options: TransportOptions,
    dialler: D,
    gates: Vec<DialGate>,
) -> Rig<D> {
    let (instruments, of_policy) = (["11", "12"].map(Instrument::new), policy.clone());
    Rig::over(urls[0], &of_policy, &instruments, |endpoint, cells, observer| {
        let trust = TlsTrust::only([]).unwrap();
        let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, observer.clone());
        let alternatives = urls[1..].iter().map(|url| Endpoint::parse(url).unwrap());
        let socket = socket.with_alternatives(alternatives).with_dialler(dialler);
        ReconnectingDataStream::with_observer(socket, policy, 1, observer).with_gates(gates)
    })
    .await
}

/// A stream of as many connections as it needs.
pub(crate) type Spread = ManyConnections<WebSocketStream, Arc<ConnectionObserver>, Make>;

type Make = Box<dyn FnMut(u32) -> ReconnectingDataStream<WebSocketStream, Arc<ConnectionObserver>> + Send>;

/// A stream of these instruments, at most so many of them on a connection.
pub(crate) async fn spread(
    url: &str,
    policy: Policy,
    options: TransportOptions,
    most: usize,
    instruments: &[Instrument],
) -> RigOf<Spread> {
    let of_policy = policy.clone();
    RigOf::over(url, &of_policy, instruments, |endpoint, cells, observer| {
        let trust = TlsTrust::only([]).unwrap();
        let make = move |number| {
            let observer = Arc::new(observer.connection(number));
            let (endpoint, options, trust) = (endpoint.clone(), options.clone(), trust.clone());
            let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells.clone(), observer.clone());
            ReconnectingDataStream::with_observer(socket, policy.clone(), number.into(), observer)
        };
        ManyConnections::new(most, Box::new(make) as Make)
    })
    .await
}

impl<S: MarketDataStream> RigOf<S> {
    async fn over(
        url: &str,
        policy: &Policy,
        instruments: &[Instrument],
        make: impl FnOnce(Endpoint, Arc<StreamCells>, Arc<StreamObserver>) -> S,
    ) -> Self {
        let endpoint = Endpoint::parse(url).unwrap();
        let shown = Arc::new(Streams::new());
        let info = StreamInfo {
            stream: StreamName::new("test").unwrap(),
            server_address: endpoint.host().into(),
            transport: endpoint.scheme().into(),
            page_on_stale: false,
        };
        let cells = Arc::new(StreamCells::new(info, shown.venue("polymarket"), Moment::now().mono));
        shown.add(&cells);
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let tracer = Arc::new(BoxedTracer::new(Box::new(provider.tracer("feedwatch"))));
        let observer = Arc::new(StreamObserver::new(cells.clone(), policy).with_tracer(tracer, &endpoint));
        let mut stream = make(endpoint, cells, observer);
        stream.subscribe(instruments).await.unwrap();
        stream.connect().await.unwrap();
        Self {
            stream,
            shown,
            events: Vec::new(),
            spans,
            _provider: provider,
        }
    }

    /// The ended spans of that name, in the order of their ends.
    pub(crate) fn spans(&self, name: &str) -> Vec<SpanData> {
        let mut spans = self.spans.get_finished_spans().unwrap();
        spans.retain(|span| span.name == name);
        spans
    }

    /// `error.type` of the attempts that have failed, in order.
    pub(crate) fn error_types(&self) -> Vec<String> {
        of_spans(&self.spans("stream.connect"), "error.type")
    }

    /// Why the outages that are over, or whose breaker has tripped, began with a loss, in order.
    pub(crate) fn causes_of_outages(&self) -> Vec<String> {
        of_spans(&self.spans("stream.outage"), "feedwatch.outage.cause")
    }

    /// `error.type` of the outages whose breaker has opened, in order.
    pub(crate) fn errors_of_outages(&self) -> Vec<String> {
        of_spans(&self.spans("stream.outage"), "error.type")
    }

    pub(crate) fn scrape(&self) -> Scrape {
        Scrape::read(&text::render(&self.shown, Moment::now()))
    }

    /// Polls the stream until the scrape is as expected.
    pub(crate) async fn until(&mut self, what: &str, expected: impl Fn(&Scrape) -> bool) -> Scrape {
        let begun = Instant::now();
        loop {
            let scrape = self.scrape();
            if expected(&scrape) {
                return scrape;
            }
            let in_time = begun.elapsed() < LIMIT;
            assert!(
                in_time,
                "not within {LIMIT:?}: {what}\n{}",
                text::render(&self.shown, Moment::now())
            );
            self.poll_once().await;
        }
    }

    /// Polls the stream for an event, and not for long.
    pub(crate) async fn poll_once(&mut self) {
        // The slice only bounds the time between two looks; the stream loses nothing when it is not polled on.
        if let Ok(event) = timeout(Duration::from_millis(10), self.stream.next_event()).await {
            self.events.push(event.expect("the stream goes on"));
        }
    }

    /// Closes the stream. Afterwards no gauge stands where it stood before, and nothing at all is shown of what is gone.
    pub(crate) async fn end(self) {
        let Self {
            mut stream,
            shown,
            events: _,
            ..
        } = self;
        let closing = async {
            stream.close().await;
            while stream.next_event().await.is_some() {}
        };
        timeout(LIMIT, closing).await.expect("it ends");
        let scrape = Scrape::read(&text::render(&shown, Moment::now()));
        assert_eq!(scrape.sum("feedwatch_stream_state", &[("state", "stopped")]), 1.0);
        for gauge in AT_REST {
            assert_eq!(scrape.sum(gauge, &[]), 0.0, "{gauge} of a stream that has ended");
        }
        drop(stream);
        let left = text::render(&shown, Moment::now());
        assert!(!left.contains("stream=\""), "{left}");
    }

    pub(crate) async fn until_live(&mut self) -> Scrape {
        self.until("live", |scrape| scrape.sum("feedwatch_stream_connected", &[]) == 1.0)
            .await
    }

    pub(crate) async fn until_tripped(&mut self) -> Scrape {
        self.until("tripped", |scrape| {
            scrape.sum("feedwatch_breaker_trips_total", &[]) == 1.0
        })
        .await
    }
}

/// The values of an attribute; spans without it are left out.
pub(crate) fn of_spans(spans: &[SpanData], key: &str) -> Vec<String> {
    let pairs = spans.iter().flat_map(|span| &span.attributes);
    let wanted = pairs.filter(|pair| pair.key.as_str() == key);
    wanted.map(|pair| pair.value.to_string()).collect()
}
