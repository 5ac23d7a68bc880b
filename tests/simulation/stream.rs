//! A stream as a program builds it, over the simulated network, with an observer that keeps this side's books as well.

use super::journal::Journal;
use super::ledger::Ledger;
use super::network::{Host, Way};
use feedwatch::clock::Moment;
use feedwatch::market::StreamName;
use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
use feedwatch::observe::StreamObserver;
use feedwatch::stream::{
    Endpoint, Fact, Observer, ReconnectingDataStream, TlsTrust, TransportOptions, WebSocketStream,
};
use feedwatch::supervise::{OnStale, Policy};
use feedwatch::venue::Polymarket;
use opentelemetry::global::BoxedTracer;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) type Stream = ReconnectingDataStream<WebSocketStream<Way>, Arc<Watched>>;

/// The service's observer, and this side's books.
pub(crate) struct Watched {
    inner: StreamObserver,
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
            .record(&self.journal, &self.who, at.mono, fact);
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

/// Every third stream reconnects when stale, and every fourth has the patience that outlasts a root of a trace.
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
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("s{number:02}")
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
    let endpoint_of = |host: &Arc<Host>| Endpoint::parse(&format!("ws://{}/ws/market", host.name)).unwrap();
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
    let observer = Arc::new(Watched {
        inner: StreamObserver::new(cells.clone(), &policy).with_tracer(tracer.clone(), &endpoint),
        who: name(number),
        ledger: ledger.clone(),
        journal: journal.clone(),
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
    let open = Arc::new(AtomicUsize::new(0));
    let way = Way {
        hosts: hosts.to_vec(),
        stream: number,
        ledger: ledger.clone(),
        open: open.clone(),
    };
    let trust = TlsTrust::only([]).unwrap();
    let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells.clone(), observer.clone());
    let socket = socket.with_alternatives(hosts[1..].iter().map(endpoint_of));
    let stream = ReconnectingDataStream::with_observer(socket.with_dialler(way), policy, seed, observer);
    let stream = stream.with_gates(hosts.iter().filter_map(|host| host.gate.clone()));
    Built {
        stream,
        cells,
        ledger,
        open,
    }
}
