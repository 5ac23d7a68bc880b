//! What a stream yields.

use super::{Cause, Instrument};
use crate::clock::Moment;
use bytes::Bytes;
use std::borrow::Cow;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A trade.
    Trade,
    /// A whole order book.
    BookSnapshot,
    /// A change of an order book.
    BookDelta,
    /// Best prices, or a summary of the market.
    Ticker,
    /// A candle.
    Candle,
    /// News of a market or of the venue: a market ended, a tick size changed.
    Status,
    /// An answer to a subscription.
    Ack,
    /// A heartbeat or a pong in the venue's own protocol.
    Heartbeat,
    /// The venue complains.
    Error,
    /// Known, and none of these.
    Other,
}

impl EventKind {
    /// Every kind, in the order of their [`EventKind::index`].
    pub const ALL: &'static [Self] = &[
        Self::Trade,
        Self::BookSnapshot,
        Self::BookDelta,
        Self::Ticker,
        Self::Candle,
        Self::Status,
        Self::Ack,
        Self::Heartbeat,
        Self::Error,
        Self::Other,
    ];
    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The name in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::BookSnapshot => "book_snapshot",
            Self::BookDelta => "book_delta",
            Self::Ticker => "ticker",
            Self::Candle => "candle",
            Self::Status => "status",
            Self::Ack => "ack",
            Self::Heartbeat => "heartbeat",
            Self::Error => "error",
            Self::Other => "other",
        }
    }

    /// The position in [`EventKind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Market data: feeds the data clock. Heartbeats, answers and news do not.
    pub const fn is_data(self) -> bool {
        matches!(
            self,
            Self::Trade | Self::BookSnapshot | Self::BookDelta | Self::Ticker | Self::Candle
        )
    }
}

/// What is read of a message on the hot path; borrows from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'f> {
    /// What it is about.
    pub kind: EventKind,
    /// Which instrument, where it names one.
    pub instrument: Option<&'f str>,
    /// The venue's time of the event: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
    /// The venue says that this instrument has ended: nothing more will come of it.
    pub ended: bool,
}

/// One text or binary frame as it was received.
///
/// It shares the socket's read buffer: copy what you keep for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The payload, exactly.
    pub payload: Bytes,
    /// When it was read.
    pub received: Moment,
    /// Whether it holds at least one event of market data.
    pub is_data: bool,
}

impl Frame {
    /// The payload as text, or `None` where it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.payload).ok()
    }
}

/// The answer to a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribed {
    /// What is in effect now.
    pub accepted: Vec<Instrument>,
    /// What the venue left out or refused; the others go on.
    pub refused: Vec<Instrument>,
}

/// What a stream yields to its consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketEvent {
    /// A frame. Decode it with the venue's adapter.
    Frame(Frame),
    /// The connection is gone; what was built from it (books!) must be thrown away.
    Disconnected {
        /// Why.
        cause: Cause,
        /// A sentence for the log; never holds a secret.
        detail: Cow<'static, str>,
    },
    /// Live again, every subscription answered; fresh data follows.
    Reconnected,
    /// The answer to a change of subscriptions on the open connection.
    Subscribed(Subscribed),
    /// The venue says that these instruments have ended; they are no longer asked for.
    Ended {
        /// Which.
        instruments: Vec<Instrument>,
    },
}
