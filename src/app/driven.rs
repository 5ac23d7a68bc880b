//! One stream that runs: how it is put together, and the task that drives it.

use crate::clock::Moment;
use crate::config::{Change, StreamConfig, TransportConfig};
use crate::metrics::{StreamCells, StreamInfo, Streams};
use crate::observe::{ConnectionObserver, StreamObserver};
use crate::stream::{
    Access, DialGate, ManyConnections, MarketDataStream, ReconnectingDataStream, Tap, TcpDialler, TransportOptions,
    WebSocketStream,
};
use crate::supervise::State;
use opentelemetry::global::BoxedTracer;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A stream, and what of it can be changed while it runs.
pub(super) struct Driven {
    stream: ManyConnections<WebSocketStream, Arc<ConnectionObserver>, Make>,
    cells: Arc<StreamCells>,
    options: watch::Sender<TransportOptions>,
    access: watch::Sender<Access>,
}

/// Makes a connection of the stream.
type Make = Box<dyn FnMut(u32) -> ReconnectingDataStream<WebSocketStream, Arc<ConnectionObserver>> + Send>;

/// What the task of a stream is told. It is not a [`crate::stream::StreamControl`] that tells it: the service takes no events, and
/// so needs no queue and no handle; and what it changes is more than the stream's own (figures of the transport, a label), up
/// to exchanging the stream within its task, so that there are never two of one name.
pub(super) enum Command {
    /// The stream goes on, changed; with what it brings along, where that is among the changes.
    Change(Vec<Change>, Box<Access>),
    /// The stream ends, and then this one takes its place.
    Replace(Box<Driven>),
}

/// Puts a stream together. It is shown from now on, and dials once it is driven.
pub(super) async fn assemble(
    config: &StreamConfig,
    transport: &TransportConfig,
    access: Access,
    (dialler, gates): (TcpDialler, Vec<DialGate>),
    shown: &Streams,
    tracer: Option<Arc<BoxedTracer>>,
    tap: Option<Tap>,
) -> Driven {
    let info = StreamInfo {
        stream: config.name.clone(),
        server_address: config.endpoint.host().to_owned(),
        transport: config.endpoint.scheme().to_owned(),
        page_on_stale: config.page_on_stale,
    };
    let cells = Arc::new(StreamCells::new(
        info,
        shown.venue(config.venue.name()),
        Moment::now().mono,
    ));
    shown.add(&cells);
    let mut observer = StreamObserver::new(cells.clone(), &config.policy);
    if let Some(tracer) = tracer {
        observer = observer.with_tracer(tracer, &config.endpoint);
    }
    let observer = Arc::new(observer);
    let figures = config.transport_options(transport);
    let (options, followed) = watch::channel(figures.clone());
    let trust = access.trust.clone();
    let (access, brought) = watch::channel(access);
    let (venue, endpoint, policy) = (config.venue.clone(), config.endpoint.clone(), config.policy.clone());
    let (alternatives, feed, shared) = (config.alternatives.clone(), config.feed.clone(), cells.clone());
    let make = move |number| {
        let observer = Arc::new(observer.connection(number));
        shared.set_endpoint(number, endpoint.authority());
        let (endpoint, figures, trust) = (endpoint.clone(), figures.clone(), trust.clone());
        let socket = WebSocketStream::new(
            venue.clone(),
            endpoint,
            figures,
            trust,
            shared.clone(),
            observer.clone(),
        );
        let socket = socket
            .with_feed(feed.clone())
            .with_options(followed.clone())
            .with_access(brought.clone());
        let socket = socket.with_dialler(dialler.clone());
        let socket = socket.with_alternatives(alternatives.iter().cloned());
        let socket = match &tap {
            Some(tap) => socket.with_tap(tap.clone()),
            None => socket,
        };
        // A seed for each connection, or all would jitter alike.
        let stream = ReconnectingDataStream::with_observer(socket, policy.clone(), fastrand::u64(..), observer);
        stream.with_gates(gates.iter().cloned())
    };
    let mut stream = ManyConnections::new(config.instruments_per_connection, Box::new(make) as Make);
    // Neither fails: both record the wish.
    let _ = stream.subscribe(&config.instruments).await;
    let _ = stream.connect().await;
    Driven {
        stream,
        cells,
        options,
        access,
    }
}

/// Receives until `stop` is cancelled, or nobody is left who could send a command: then the stream was taken away.
///
/// Commands are followed between two events. Nothing of the stream is lost by that: what is under way belongs to it, and not
/// to the call that is given up for a command.
pub(super) async fn drive(mut driven: Driven, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased; // a flood of events must not keep the end back, nor a command
            () = stop.cancelled() => return driven.stream.close().await,
            command = commands.recv() => match command {
                Some(Command::Change(changes, access)) => {
                    for change in changes {
                        driven.follow(change, &access).await;
                    }
                }
                Some(Command::Replace(next)) => {
                    // One after the other: some venues take only so many connections from one address.
                    driven.stream.retire().await;
                    driven = *next;
                }
                None => return driven.stream.retire().await,
            },
            event = driven.stream.next_event() => {
                if event.is_none() {
                    return;
                }
            }
        }
    }
}

impl Driven {
    /// Nothing here waits: what takes time is done while the stream is driven on.
    async fn follow(&mut self, change: Change, access: &Access) {
        match change {
            Change::Policy(policy) => self.stream.set_policy(*policy),
            Change::Transport(options) => {
                self.options.send_replace(options);
                self.stream.look_again();
            }
            Change::Access(_) => {
                self.access.send_replace(access.clone());
                // A breaker may be open for what has just been mended: a certificate, a key of an API, a proxy.
                if self.cells.state() == State::CoolingDown {
                    self.stream.reset_breaker();
                }
            }
            // Neither fails: both record the wish.
            Change::Subscribe(instruments) => {
                let _ = self.stream.subscribe(&instruments).await;
            }
            Change::Unsubscribe(instruments) => {
                let _ = self.stream.unsubscribe(&instruments).await;
            }
            Change::PageOnStale(page_on_stale) => self.cells.set_page_on_stale(page_on_stale),
        }
    }
}
