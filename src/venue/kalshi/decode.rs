//! Reads the envelopes of messages: `{"type":..,"sid":..,"seq":..,"msg":{..}}`.

use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::wire;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A frame. Answers repeat the id of their command.
#[derive(Deserialize)]
pub(super) struct Message<'f> {
    #[serde(rename = "type")]
    pub(super) name: &'f str,
    #[serde(default)]
    pub(super) id: Option<u64>,
    #[serde(default)]
    pub(super) sid: Option<u64>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default, borrow)]
    pub(super) msg: Option<&'f RawValue>,
    /// Of an answer, in the place of `msg`.
    #[serde(default, borrow)]
    pub(super) market_tickers: Option<&'f RawValue>,
}

/// What a message of data says, whatever it is about.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'f> {
    #[serde(borrow)]
    market_ticker: Option<&'f str>,
    #[serde(borrow)]
    event_type: Option<&'f str>,
    #[serde(deserialize_with = "wire::lenient")]
    ts_ms: Option<i64>,
    /// Seconds, or a date of which no use is made: those who send it send `ts_ms` as well.
    #[serde(deserialize_with = "wire::lenient")]
    ts: Option<i64>,
}

pub(super) fn decode(frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
    let message: Message<'_> = serde_json::from_str(frame).map_err(|error| wire::reason(&error))?;
    let kind = match message.name {
        "orderbook_snapshot" => Ok(EventKind::BookSnapshot),
        "orderbook_delta" => Ok(EventKind::BookDelta),
        "trade" => Ok(EventKind::Trade),
        "ticker" | "ticker_v2" => Ok(EventKind::Ticker),
        "market_lifecycle" | "market_lifecycle_v2" | "event_lifecycle" => Ok(EventKind::Status),
        "subscribed" | "unsubscribed" | "ok" => Ok(EventKind::Ack),
        "error" => Ok(EventKind::Error),
        _ => Err(DecodeError::UnknownChannel),
    };
    let is_about_a_market = matches!(kind, Ok(kind) if kind.is_data() || kind == EventKind::Status);
    let body = message.msg.filter(|_| is_about_a_market);
    let body = body.map_or(Ok(Body::default()), |body| serde_json::from_str::<Body<'_>>(body.get()));
    let kind = match (kind, &body) {
        (Ok(_), Err(error)) => Err(wire::reason(error)),
        (Ok(kind), Ok(body)) if kind.is_data() && body.market_ticker.is_none() => Err(DecodeError::Schema),
        (kind, _) => kind,
    };
    let body = body.unwrap_or_default();
    // Answers are numbered with the data, and whatever cannot be read has its number as well.
    let sequence = message.sid.zip(message.seq).map(|(sid, seq)| Sequence {
        series: Series::Channel(sid),
        place: Place::Next(seq),
    });
    if kind.is_ok() || sequence.is_some() {
        visit(Envelope {
            instrument: body.market_ticker,
            venue_time_ms: body.ts_ms.or(body.ts.map(|seconds| seconds.saturating_mul(1000))),
            sequence: sequence.as_ref(),
            ended: body.event_type == Some("settled"),
            ..Envelope::new(kind.unwrap_or(EventKind::Other))
        });
    }
    kind.map(|_| ())
}
