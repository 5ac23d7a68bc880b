//! Where an event stands in a numbered series, as its venue numbers them.

/// The place of an event in a numbered series.
///
/// ```
/// use feedwatch::market::{Envelope, EventKind, Place, Sequence, Series};
///
/// // Binance's `"U":157,"u":160`: this change of the book holds the updates 157 to 160 of its instrument.
/// let sequence = Sequence { series: Series::Instrument(0), place: Place::Range { first: 157, last: 160 } };
/// let event = Envelope {
///     instrument: Some("BTCUSDT"),
///     sequence: Some(&sequence),
///     ..Envelope::new(EventKind::BookDelta)
/// };
/// assert!(event.sequence.is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Which series.
    pub series: Series,
    /// Where in it.
    pub place: Place,
}

/// What is numbered together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Series {
    /// Everything on the connection.
    Connection,
    /// Everything of a channel or a subscription of that number.
    Channel(u64),
    /// The events of the envelope's instrument; the venue numbers several kinds of them apart, and this is which: any small
    /// number.
    Instrument(u8),
}

/// The place of an event in its series, by the rule of the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The series begins anew behind this number: a whole book.
    Start(u64),
    /// The number after the one before, plus one.
    Next(u64),
    /// The same, but the events may come in another order: one that is missing may still come.
    Unordered(u64),
    /// Numbers from `first` to `last`; `first` comes after the one before, or is part of what has been.
    Range {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// It says which number came before; there may be others in between that nobody gets.
    After {
        /// The number of the event before.
        previous: u64,
        /// Its own.
        number: u64,
    },
}
