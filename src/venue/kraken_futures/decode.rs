//! Reads the envelopes of frames: each is of one feed and one product.

use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::object::Each;
use crate::venue::wire;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

/// What is numbered apart, of each product.
const BOOK: Series = Series::Instrument(0);
const TRADES: Series = Series::Instrument(1);

#[derive(Deserialize)]
struct Frame<'f> {
    #[serde(borrow)]
    feed: Option<&'f str>,
    /// Of what is no data.
    #[serde(borrow)]
    event: Option<&'f str>,
    #[serde(borrow)]
    product_id: Option<&'f str>,
    seq: Option<u64>,
    /// Its name depends on the feed.
    #[serde(alias = "timestamp")]
    time: Option<i64>,
    #[serde(borrow)]
    trades: Option<&'f RawValue>,
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let frame: Frame<'_> = serde_json::from_str(frame.trim()).map_err(|error| wire::reason(&error))?;
    if let Some(event) = frame.event {
        let kind = match event {
            "subscribed" | "unsubscribed" => EventKind::Ack,
            "subscribed_failed" | "unsubscribed_failed" | "error" => EventKind::Error,
            "info" | "alert" => EventKind::Status,
            _ => return Err(DecodeError::UnknownChannel),
        };
        visit(Envelope::new(kind));
        return Ok(());
    }
    let (kind, series, place) = match frame.feed.ok_or(DecodeError::Schema)? {
        "heartbeat" => {
            visit(Envelope::new(EventKind::Heartbeat));
            return Ok(());
        }
        "trade_snapshot" => return past_trades(&frame, visit),
        "trade" => (EventKind::Trade, TRADES, frame.seq.map(Place::Next)),
        "book" => (EventKind::BookDelta, BOOK, frame.seq.map(Place::Next)),
        "book_snapshot" => (EventKind::BookSnapshot, BOOK, frame.seq.map(Place::Start)),
        "ticker" | "ticker_lite" => (EventKind::Ticker, BOOK, None),
        _ => return Err(DecodeError::UnknownChannel),
    };
    let sequence = place.map(|place| Sequence { series, place });
    visit(Envelope {
        instrument: Some(frame.product_id.ok_or(DecodeError::Schema)?),
        venue_time_ms: frame.time,
        sequence: sequence.as_ref(),
        ..Envelope::new(kind)
    });
    Ok(())
}

/// The newest comes first, and the next trade has the number behind it. Their times have been for long.
fn past_trades(frame: &Frame<'_>, visit: Visit<'_>) -> Result<(), DecodeError> {
    let (Some(product), Some(trades)) = (frame.product_id, frame.trades) else {
        return Err(DecodeError::Schema);
    };
    let mut newest = None;
    let mut defect = None;
    let mut trades_told = 0;
    let each = |raw: &RawValue| match serde_json::from_str::<Frame<'_>>(raw.get()) {
        Ok(trade) => {
            newest = newest.max(trade.seq);
            trades_told += 1;
        }
        Err(error) => _ = defect.get_or_insert(wire::reason(&error)),
    };
    let read = serde_json::Deserializer::from_str(trades.get()).deserialize_seq(Each::new(each));
    read.map_err(|error| wire::reason(&error))?;
    let sequence = newest.map(|number| Sequence {
        series: TRADES,
        place: Place::Start(number),
    });
    for index in 0..trades_told {
        visit(Envelope {
            instrument: Some(product),
            sequence: sequence.as_ref().filter(|_| index == 0),
            ..Envelope::new(EventKind::Trade)
        });
    }
    defect.map_or(Ok(()), Err)
}
