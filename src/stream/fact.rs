//! What happened to a stream, reported once.

use crate::clock::Moment;
use crate::market::Cause;
use crate::supervise::Notice;
use crate::venue::DecodeError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The supervisor moved.
    Supervisor(Notice),
    /// The transport did something.
    Transport(TransportFact),
    /// The data, or what is subscribed to, changed its shape.
    Data(DataFact),
}

/// The phases of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialPhase {
    /// Name look-up.
    Resolve,
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// HTTP upgrade to WebSocket.
    Upgrade,
    /// Subscription.
    Subscribe,
}

impl DialPhase {
    /// The names in the order of [`DialPhase::index`].
    pub const NAMES: &'static [&'static str] = &["resolve", "connect", "tls", "upgrade", "subscribe"];

    /// The position in [`DialPhase::NAMES`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The cause of an attempt whose time was over in this phase.
    pub const fn timeout_cause(self) -> Cause {
        match self {
            Self::Resolve => Cause::DnsTimeout,
            Self::Connect => Cause::TcpTimeout,
            Self::Tls => Cause::TlsTimeout,
            Self::Upgrade => Cause::UpgradeTimeout,
            Self::Subscribe => Cause::SubscribeTimeout,
        }
    }
}

/// What the transport did.
#[derive(Clone, Debug, PartialEq)]
pub enum TransportFact {
    /// The attempt reached this peer.
    Peer(SocketAddr),
    /// A phase of an attempt is over, well or ill.
    Phase {
        /// Which.
        phase: DialPhase,
        /// How long it took.
        took: Duration,
    },
    /// The venue's certificate, seen in a TLS handshake.
    Certificate {
        /// When it ends: seconds since the Unix epoch.
        not_after: i64,
    },
    /// A ping was answered.
    RoundTrip(Duration),
}

/// Why a subscription is not in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionFailure {
    /// The venue refused or left it out.
    Rejected,
    /// No answer in time.
    Timeout,
    /// The request could not be sent.
    SendError,
}

impl SubscriptionFailure {
    /// The reasons in the order of [`SubscriptionFailure::index`].
    pub const REASONS: &'static [&'static str] = &["rejected", "timeout", "send_error"];

    /// The position in [`SubscriptionFailure::REASONS`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What changed in the data, or in what is subscribed to.
#[derive(Clone, Debug, PartialEq)]
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
    },
    /// The venue says that so many instruments have ended.
    Ended {
        /// How many.
        instruments: usize,
    },
    /// A frame could not be decoded; the connection is kept.
    ParseError(DecodeError),
}

/// Is told every fact, at once and in order.
pub trait Observer: Send + Sync {
    /// `fact` happened at `at`.
    fn observe(&self, at: Moment, fact: &Fact);
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
}
