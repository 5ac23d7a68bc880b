//! A stream as a program builds it, over the simulated network, with observers that keep this side's books as well.

use super::journal::Journal;
use super::ledger::Ledger;
use super::line::{breaker_of, state_of};
use super::network::{Host, Way};
use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent, StreamName};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
use feedwatch::observe::{ConnectionObserver, StreamObserver};
use feedwatch::stream::{
    Endpoint, Fact, ManyConnections, MarketDataStream, Observer, ReconnectingDataStream, TlsTrust, TransportOptions,
    WebSocketStream,
};
use feedwatch::supervise::{OnStale, Policy, State};
use feedwatch::venue::Polymarket;
use opentelemetry::global::BoxedTracer;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A connection that reconnects.
type One = ReconnectingDataStream<WebSocketStream<Way>, Arc<Watched>>;
type Make = Box<dyn FnMut(u32) -> One + Send>;

/// Of one connection, or of as many as it needs.
pub(crate) enum Stream {
    One(Box<One>),
    Many(Box<ManyConnections<WebSocketStream<Way>, Arc<Watched>, Make>>),
}

macro_rules! of_either {
    ($stream:expr, $one:ident => $does:expr) => {
        match $stream {
            Stream::One($one) => $does,
            Stream::Many($one) => $does,
        }
    };
}

impl Stream {
    pub(crate) const fn is_spread(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    pub(crate) async fn connect(&mut self) {
        of_either!(self, stream => stream.connect().await.unwrap());
    }

    pub(crate) async fn subscribe(&mut self, instruments: &[Instrument]) {
        of_either!(self, stream => stream.subscribe(instruments).await.map(drop).unwrap());
    }

    pub(crate) async fn unsubscribe(&mut self, instruments: &[Instrument]) {
        of_either!(self, stream => stream.unsubscribe(instruments).await.unwrap());
    }

    pub(crate) async fn next_event(&mut self) -> Option<MarketEvent> {
        of_either!(self, stream => stream.next_event().await)
    }

    pub(crate) async fn close(&mut self) {
        of_either!(self, stream => stream.close().await);
    }

    pub(crate) fn reconnect(&mut self) {
        of_either!(self, stream => stream.reconnect());
    }

    pub(crate) fn renew(&mut self) {
        of_either!(self, stream => stream.renew());
    }

    pub(crate) fn reset_breaker(&mut self) {
        of_either!(self, stream => stream.reset_breaker());
    }

    pub(crate) fn set_policy(&mut self, policy: Policy) {
        of_either!(self, stream => stream.set_policy(policy));
    }

    /// Its machines.
    pub(crate) fn machines(&self) -> Vec<&One> {
        match self {
            Self::One(stream) => vec![stream],
            Self::Many(stream) => stream.streams().collect(),
        }
    }

    /// What its machines do, all together.
    pub(crate) fn state(&self) -> State {
        let state = |one: &&One| (one.state(), one.instruments().len());
        state_of(&self.machines().iter().map(state).collect::<Vec<_>>())
    }

    pub(crate) fn breaker(&self) -> &'static str {
        breaker_of(&self.machines().iter().map(|one| one.breaker()).collect::<Vec<_>>())
    }
}

/// The service's observer of a connection, and this side's books.
pub(crate) struct Watched {
    inner: ConnectionObserver,
    number: u32,
    who: String,
    ledger: Arc<Mutex<Ledger>>,
    journal: Arc<Journal>,
}

impl Observer for Watched {
    fn observe(&self, at: Moment, fact: &Fact) {
        self.inner.observe(at, fact);
        self.ledger
            .lock()
            .unwrap()
            .record(self.number, &self.journal, &self.who, at.mono, fact);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.forget(self.number, &self.journal, Moment::now().mono);
    }
}

/// A stream and what others look at.
pub(crate) struct Built {
    pub(crate) stream: Stream,
    pub(crate) cells: Arc<StreamCells>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    /// Its dials under way and its sockets.
    pub(crate) open: Arc<AtomicUsize>,
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The most instruments of one of its connections; `None` = it has one connection for all.
const fn most(number: usize) -> Option<usize> {
    match number % 5 {
        2 => Some(2),
        4 => Some(3),
        _ => None,
    }
}

/// Every third stream reconnects when stale, every fourth has the patience that outlasts a root of a trace, and every other
/// one lets no connection get old.
pub(crate) fn policy(number: usize) -> Policy {
    let patient = number % 4 == 3;
    Policy {
        initial_delay: Duration::from_millis(500),
        max_delay: secs(20),
        backoff_multiplier: 2.0,
        jitter: 0.3,
        max_consecutive_failures: if patient { 1000 } else { 4 },
        circuit_breaker_cooldown: secs(30),
        stable_after: secs(10),
        connect_timeout: secs(5),
        subscribe_timeout: secs(4),
        retry_after_max: secs(20),
        stale_after: Some(secs(15)),
        instrument_stale_after: None,
        on_stale: if number % 3 == 1 {
            OnStale::Reconnect
        } else {
            OnStale::Report
        },
        max_connection_age: (number / 2).is_multiple_of(2).then_some(secs(20)),
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("s{number:02}")
}

fn endpoint_of(host: &Arc<Host>) -> Endpoint {
    Endpoint::parse(&format!("ws://{}/ws/market", host.name)).unwrap()
}

pub(crate) fn build(
    number: usize,
    seed: u64,
    hosts: &[Arc<Host>],
    shown: &Streams,
    tracer: &Arc<BoxedTracer>,
    journal: &Arc<Journal>,
) -> Built {
    let policy = policy(number);
    assert_eq!(policy.errors(), []);
    let endpoint = endpoint_of(&hosts[0]);
    let info = StreamInfo {
        stream: StreamName::new(&name(number)).unwrap(),
        server_address: endpoint.host().into(),
        transport: endpoint.scheme().into(),
        page_on_stale: false,
    };
    let now = Moment::now().mono;
    let cells = Arc::new(StreamCells::new(info, shown.venue("polymarket"), now));
    shown.add(&cells);
    let ledger = Arc::new(Mutex::new(Ledger::new(policy.clone(), endpoint.host(), now)));
    let of_stream = StreamObserver::new(cells.clone(), &policy).with_tracer(tracer.clone(), &endpoint);
    let maker = Maker {
        of_stream: Arc::new(of_stream),
        stream: number,
        seed,
        hosts: hosts.to_vec(),
        policy,
        cells: cells.clone(),
        ledger: ledger.clone(),
        open: Arc::default(),
        journal: journal.clone(),
    };
    let open = maker.open.clone();
    let stream = match most(number) {
        None => Stream::One(Box::new(maker.make(0))),
        Some(most) => {
            let make = Box::new(move |number| maker.make(number)) as Make;
            Stream::Many(Box::new(ManyConnections::new(most, make)))
        }
    };
    Built {
        stream,
        cells,
        ledger,
        open,
    }
}

/// Makes the connections of a stream.
struct Maker {
    of_stream: Arc<StreamObserver>,
    stream: usize,
    seed: u64,
    hosts: Vec<Arc<Host>>,
    policy: Policy,
    cells: Arc<StreamCells>,
    ledger: Arc<Mutex<Ledger>>,
    open: Arc<AtomicUsize>,
    journal: Arc<Journal>,
}

impl Maker {
    fn make(&self, number: u32) -> One {
        let watched = Arc::new(Watched {
            inner: self.of_stream.connection(number),
            number,
            who: name(self.stream),
            ledger: self.ledger.clone(),
            journal: self.journal.clone(),
        });
        let options = TransportOptions {
            ping_interval: Some(secs(7)),
            connect_attempt_delay: Duration::from_millis(250),
            pong_timeout: secs(6),
            subscribe_timeout: secs(4),
            send_timeout: secs(3),
            close_timeout: secs(1),
            max_message_bytes: 64 * 1024,
            read_buffer_bytes: 2048,
        };
        let way = Way {
            hosts: self.hosts.clone(),
            stream: self.stream,
            connection: number,
            ledger: self.ledger.clone(),
            own: Arc::default(),
            open: self.open.clone(),
        };
        let trust = TlsTrust::only([]).unwrap();
        let (endpoint, cells) = (endpoint_of(&self.hosts[0]), self.cells.clone());
        let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, watched.clone());
        let seed = self.seed.wrapping_add(number.into());
        let socket = socket.with_alternatives(self.hosts[1..].iter().map(endpoint_of));
        let socket = socket.with_dialler(way);
        let stream = ReconnectingDataStream::with_observer(socket, self.policy.clone(), seed, watched);
        stream.with_gates(self.hosts.iter().filter_map(|host| host.gate.clone()))
    }
}
