//! Envelopes of the Exchange: a frame is one event, and says what it is.

use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::{time, wire};
use serde::Deserialize;

/// What is numbered of a product: its trades.
const TRADES: Series = Series::Instrument(0);

#[derive(Deserialize)]
struct Event<'f> {
    #[serde(rename = "type", borrow)]
    name: Option<&'f str>,
    #[serde(borrow)]
    product_id: Option<&'f str>,
    #[serde(borrow)]
    time: Option<&'f str>,
    #[serde(default, deserialize_with = "wire::lenient")]
    trade_id: Option<u64>,
}

pub(super) fn decode(frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
    let event: Event<'_> = serde_json::from_str(frame.trim()).map_err(|error| wire::reason(&error))?;
    let (kind, place) = match event.name.ok_or(DecodeError::Schema)? {
        "match" => (EventKind::Trade, event.trade_id.map(Place::Next)),
        // The last one before the subscription: the next has the number behind it.
        "last_match" => (EventKind::Trade, event.trade_id.map(Place::Start)),
        "snapshot" => (EventKind::BookSnapshot, None),
        "l2update" | "open" | "done" | "change" => (EventKind::BookDelta, None),
        "ticker" => (EventKind::Ticker, None),
        "heartbeat" => (EventKind::Heartbeat, None),
        "subscriptions" => (EventKind::Ack, None),
        "error" => (EventKind::Error, None),
        "status" => (EventKind::Status, None),
        "received" | "activate" | "auctioninfo" | "rfq_match" => (EventKind::Other, None),
        _ => return Err(DecodeError::UnknownChannel),
    };
    if kind.is_data() && event.product_id.is_none() {
        return Err(DecodeError::Schema);
    }
    let is_past = event.name == Some("last_match");
    let sequence = place.map(|place| Sequence { series: TRADES, place });
    visit(Envelope {
        instrument: event.product_id,
        venue_time_ms: event.time.filter(|_| !is_past).and_then(time::rfc3339),
        sequence: sequence.as_ref(),
        ..Envelope::new(kind)
    });
    Ok(())
}
