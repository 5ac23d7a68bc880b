//! What happened to a stream, reported once.

use super::{Endpoint, GateReason, WhenFull};
use crate::clock::Moment;
use crate::market::{DecodeError, DialPhase, Instrument, SubscriptionFailure};
use crate::metrics::QueueCells;
use crate::supervise::Notice;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// The supervisor moved.
    Supervisor(Notice),
    /// The transport did something.
    Transport(TransportFact),
    /// The data, or what is subscribed to, changed its shape.
    Data(DataFact),
}

/// What the transport did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TransportFact {
    /// A dial has waited so much longer at the gate of its host; before the attempt.
    WaitedAtGate(Duration),
    /// A dial has to wait at the gate of its host for longer than a second; before the attempt, and once of each wait.
    WaitsAtGate {
        /// How long in all, as far as is known.
        time: Duration,
        /// Why.
        reason: GateReason,
        /// Whether it is for a connection that is to take over from one that stays meanwhile.
        planned: bool,
    },
    /// The attempts from now on are to this endpoint, and no more to the one before; before the attempt. At first they are to
    /// the first of the stream's endpoints, which is not told.
    Endpoint(Endpoint),
    /// The attempt reached this peer.
    Peer(SocketAddr),
    /// A phase of an attempt begins.
    PhaseBegan(DialPhase),
    /// A phase of an attempt is over, well or ill. That of an attempt which was given up may come after the attempt's end.
    PhaseEnded {
        /// Which.
        phase: DialPhase,
        /// How long it took.
        took: Duration,
    },
    /// The upgrade was answered with this HTTP status.
    Answered {
        /// 101 where it succeeded.
        status: u16,
    },
    /// The venue's certificate, seen in a TLS handshake.
    Certificate {
        /// When it ends: seconds since the Unix epoch.
        not_after: i64,
    },
    /// A ping was answered.
    RoundTrip(Duration),
    /// The venue's adapter or the transport panicked. The attempt or the connection ends for it, with the cause `internal`, and
    /// the stream goes on by its policy. Told once for each connection.
    Panicked {
        /// What the panic said; cut where it is long.
        message: String,
    },
}

/// What changed in the data, or in what is subscribed to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DataFact {
    /// How many instruments are asked for, and how many of them are in effect.
    Subscriptions {
        /// Asked for.
        desired: usize,
        /// In effect.
        active: usize,
    },
    /// Instruments that were asked for and are not in effect.
    SubscriptionFailed {
        /// Why.
        reason: SubscriptionFailure,
        /// How many.
        instruments: usize,
        /// Some of them, five at most; empty where it is not known which they are.
        some: Vec<Instrument>,
        /// What the venue said, or what went wrong; often empty.
        detail: Cow<'static, str>,
    },
    /// The venue says that so many instruments have ended.
    Ended {
        /// How many.
        instruments: usize,
    },
    /// Events are missing, by the numbers that the venue gives them.
    SequenceGap {
        /// How many, where the numbers tell.
        missed: Option<u64>,
    },
    /// A book is not the venue's any more, by the checksum that it sends.
    ChecksumFailed,
    /// An instrument is subscribed to anew because something of it was missing.
    Resync,
    /// The venue has said that it will end the connection.
    Leaving {
        /// In these words.
        detail: Cow<'static, str>,
    },
    /// A frame could not be decoded; the connection is kept.
    ParseError(DecodeError),
    /// The consumer is too slow: its queue is full. Told once until it has caught up.
    QueueFull(WhenFull),
    /// The consumer has caught up.
    CaughtUp {
        /// Frames that it lost meanwhile.
        dropped: u64,
        /// How long it was too slow.
        after: Duration,
    },
}

/// Is told every fact, at once and in order.
///
/// It is called where things happen, and so must be quick and must not wait. Further methods will have a default; [`Fact`] may grow,
/// so a `match` of it needs a last arm.
///
/// ```
/// use feedwatch::clock::Moment;
/// use feedwatch::stream::{Fact, Observer};
/// use feedwatch::supervise::Notice;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// /// Counts losses.
/// #[derive(Default)]
/// struct Losses(AtomicU64);
///
/// impl Observer for Losses {
///     fn observe(&self, _at: Moment, fact: &Fact) {
///         if let Fact::Supervisor(Notice::Lost { .. }) = fact {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// # use feedwatch::ReconnectionConfig;
/// # use feedwatch::market::{Failure, Instrument, MarketEvent, Subscribed};
/// # use feedwatch::stream::{MarketDataStream, ReconnectingDataStream};
/// # use std::sync::Arc;
/// # struct Mock;
/// # impl MarketDataStream for Mock {
/// #     async fn connect(&mut self) -> Result<(), Failure> { Ok(()) }
/// #     async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
/// #         Ok(Subscribed { accepted: instruments.to_vec(), ..Subscribed::default() })
/// #     }
/// #     async fn next_event(&mut self) -> Option<MarketEvent> { None }
/// #     fn exchange_name(&self) -> &'static str { "mock" }
/// # }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let losses = Arc::new(Losses::default());
/// let seed = 7; // decides the jitter; draw one for each stream
/// let mut stream =
///     ReconnectingDataStream::with_observer(Mock, ReconnectionConfig::default(), seed, losses.clone());
/// stream.subscribe(&[Instrument::new("71")]).await.unwrap();
/// stream.connect().await.unwrap();
/// stream.next_event().await;
/// assert_eq!(losses.0.load(Ordering::Relaxed), 1);
/// # }
/// ```
pub trait Observer: Send + Sync {
    /// `fact` happened at `at`.
    fn observe(&self, at: Moment, fact: &Fact);

    /// A consumer is attached, whose queue holds so many events: where its figures are kept, if anywhere.
    fn attach_queue(&self, _capacity: usize) -> Option<Arc<QueueCells>> {
        None
    }
}

/// Does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn observe(&self, _at: Moment, _fact: &Fact) {}
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observe(&self, at: Moment, fact: &Fact) {
        (**self).observe(at, fact);
    }

    fn attach_queue(&self, capacity: usize) -> Option<Arc<QueueCells>> {
        (**self).attach_queue(capacity)
    }
}
