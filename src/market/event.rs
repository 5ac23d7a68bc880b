//! What a stream yields.

use super::{Cause, Instrument, Sequence};
use crate::clock::Moment;
use bytes::Bytes;
use std::borrow::Cow;

closed_set! {
    /// What a message is about.
    pub enum EventKind {
        /// A trade.
        Trade => "trade",
        /// A whole order book.
        BookSnapshot => "book_snapshot",
        /// A change of an order book.
        BookDelta => "book_delta",
        /// Best prices, or a summary of the market.
        Ticker => "ticker",
        /// A candle.
        Candle => "candle",
        /// News of a market or of the venue: a market ended, a tick size changed.
        Status => "status",
        /// An answer to a subscription.
        Ack => "ack",
        /// A heartbeat or a pong in the venue's own protocol.
        Heartbeat => "heartbeat",
        /// The venue complains.
        Error => "error",
        /// Known, and none of these.
        Other => "other",
    }
}

impl EventKind {
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
    /// Where it stands in a numbered series, where the venue numbers it.
    pub sequence: Option<&'f Sequence>,
    /// The venue says that this instrument has ended: nothing more will come of it.
    pub ended: bool,
}

impl Envelope<'_> {
    /// An event of which no more is known than what it is about: `Envelope { instrument, ..Envelope::new(kind) }`.
    pub const fn new(kind: EventKind) -> Self {
        Self {
            kind,
            instrument: None,
            venue_time_ms: None,
            sequence: None,
            ended: false,
        }
    }
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
    /// What the venue did not answer in time; the others go on.
    pub unanswered: Vec<Instrument>,
    /// What the venue said of those that it refused, the first time if it said several things: for the log, and often empty.
    pub words: Cow<'static, str>,
}

/// What a stream yields to its consumer.
///
/// All that a consumer must react to is here, and a `match` of it needs no last arm: another event would be a breaking change,
/// since whoever builds books has to decide what it means for them.
///
/// ```
/// use feedwatch::market::{Cause, MarketEvent};
///
/// /// What becomes of the books that were built so far.
/// fn verdict(event: &MarketEvent) -> &'static str {
///     match event {
///         MarketEvent::Frame(_) => "read it",
///         MarketEvent::Disconnected { .. } => "throw away those of its instruments",
///         MarketEvent::Gap { .. } => "throw away those of its instruments",
///         MarketEvent::Missed { .. } => "throw all away",
///         MarketEvent::Leaving { .. } => "go on: another connection is being made",
///         MarketEvent::Ended { .. } => "throw away those of its instruments, for good",
///         MarketEvent::Renewed { .. } => "nothing was missed, and whole books follow",
///         MarketEvent::Reconnected { .. } | MarketEvent::Subscribed(_) => "whole books follow",
///     }
/// }
///
/// let lost = MarketEvent::Disconnected { cause: Cause::Eof, detail: "".into(), instruments: Vec::new() };
/// assert_eq!(verdict(&lost), "throw away those of its instruments");
/// ```
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
        /// What was subscribed to on it. A transport leaves that to its driver.
        instruments: Vec<Instrument>,
    },
    /// Live again, every subscription answered; fresh data follows.
    Reconnected {
        /// What is subscribed to on the connection.
        instruments: Vec<Instrument>,
    },
    /// Another connection has taken the place of the one before, and there is no gap: what follows comes from it, whole books
    /// first, and some of it may have come already.
    Renewed {
        /// What is subscribed to on the connection.
        instruments: Vec<Instrument>,
    },
    /// The answer to a change of subscriptions on the open connection.
    Subscribed(Subscribed),
    /// The venue says that these instruments have ended; they are no longer asked for.
    Ended {
        /// Which.
        instruments: Vec<Instrument>,
    },
    /// Something of these instruments is missing, or their book is not the venue's any more: what was built from them must be
    /// thrown away. [`crate::venue::Venue::resync`] says how it becomes whole again: a whole book follows, or the consumer has to
    /// fetch one.
    Gap {
        /// Which. A transport leaves it empty where it may be any of its connection; its driver fills them in.
        instruments: Vec<Instrument>,
    },
    /// The venue has said that it will end the connection. Another one is being made, and takes over without a gap.
    Leaving {
        /// A sentence for the log.
        detail: Cow<'static, str>,
    },
    /// In the place of frames that the consumer did not take in time, and that are lost to it: any book may be wrong, and must
    /// be thrown away. Only a queue that drops tells it.
    Missed {
        /// How many frames.
        frames: u64,
    },
}
