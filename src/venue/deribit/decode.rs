//! Reads the envelopes of notifications, and tells answers apart.

use super::split;
use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::object::Each;
use crate::venue::wire;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

/// A frame: an answer has an `id`, and a notification a method.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'f> {
    #[serde(deserialize_with = "wire::lenient")]
    pub(super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) result: Option<&'f RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'f RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<&'f str>,
    #[serde(borrow)]
    pub(super) params: Option<Params<'f>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Params<'f> {
    /// Of a heartbeat.
    #[serde(rename = "type", borrow)]
    pub(super) name: Option<&'f str>,
    #[serde(borrow)]
    pub(super) channel: Option<&'f str>,
    #[serde(borrow)]
    pub(super) data: Option<&'f RawValue>,
}

/// What a notification says, whatever it is about.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Data<'f> {
    #[serde(borrow)]
    instrument_name: Option<&'f str>,
    timestamp: Option<i64>,
    #[serde(rename = "type", borrow)]
    name: Option<&'f str>,
    change_id: Option<u64>,
    prev_change_id: Option<u64>,
}

/// What that channel is about and how it comes, without the instrument in the middle.
pub(super) fn about(channel: &str) -> (&str, &str, &str) {
    let (kind, rest) = split(channel);
    let (instrument, pace) = rest.split_once('.').unwrap_or((rest, ""));
    (kind, instrument, pace)
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let message: Message<'_> = serde_json::from_str(frame).map_err(|error| wire::reason(&error))?;
    let kind = match message.method {
        Some("subscription") => return notification(&message.params.unwrap_or_default(), visit),
        Some("heartbeat") => EventKind::Heartbeat,
        Some(_) => return Err(DecodeError::UnknownChannel),
        None if message.error.is_some() => EventKind::Error,
        // The answer to a test says which version the venue is.
        None if message.result.is_some_and(|result| result.get().starts_with('{')) => EventKind::Heartbeat,
        None if message.id.is_some() => EventKind::Ack,
        None => return Err(DecodeError::Schema),
    };
    visit(Envelope::new(kind));
    Ok(())
}

fn notification(params: &Params<'_>, visit: Visit<'_>) -> Result<(), DecodeError> {
    let (Some(channel), Some(data)) = (params.channel, params.data) else {
        return Err(DecodeError::Schema);
    };
    let (kind, instrument, pace) = about(channel);
    if kind == "trades" {
        return trades(data, visit);
    }
    let data: Data<'_> = serde_json::from_str(data.get()).map_err(|error| wire::reason(&error))?;
    let (kind, sequence) = match kind {
        "book" => book(&data, pace)?,
        "ticker" | "quote" => (EventKind::Ticker, None),
        "chart.trades" => (EventKind::Candle, None),
        _ => return Err(DecodeError::UnknownChannel),
    };
    visit(Envelope {
        instrument: Some(data.instrument_name.unwrap_or(instrument)),
        venue_time_ms: data.timestamp,
        sequence: sequence.as_ref(),
        ..Envelope::new(kind)
    });
    Ok(())
}

/// Each change says which one was before it. Books that are grouped come whole each time.
fn book(data: &Data<'_>, interval: &str) -> Result<(EventKind, Option<Sequence>), DecodeError> {
    let number = data.change_id.ok_or(DecodeError::Schema)?;
    let (kind, place) = match (data.name, data.prev_change_id) {
        (None, _) => return Ok((EventKind::BookSnapshot, None)),
        (Some("snapshot"), _) => (EventKind::BookSnapshot, Place::Start(number)),
        (Some("change"), Some(previous)) => (EventKind::BookDelta, Place::After { previous, number }),
        (Some(_), _) => return Err(DecodeError::Schema),
    };
    // The same book at another pace is numbered by its own events.
    let series = Series::Instrument(match interval {
        "100ms" => 0,
        "raw" => 1,
        _ => 2,
    });
    Ok((kind, Some(Sequence { series, place })))
}

fn trades(list: &RawValue, visit: Visit<'_>) -> Result<(), DecodeError> {
    let mut is_whole = true;
    let mut json = serde_json::Deserializer::from_str(list.get());
    let each = |trade: Data<'_>| {
        is_whole &= trade.instrument_name.is_some();
        visit(Envelope {
            instrument: trade.instrument_name,
            venue_time_ms: trade.timestamp,
            ..Envelope::new(EventKind::Trade)
        });
    };
    json.deserialize_seq(Each::new(each))
        .map_err(|error| wire::reason(&error))?;
    is_whole.then_some(()).ok_or(DecodeError::Schema)
}
