//! Reads the envelopes of version 2: what a frame is about stands in its channel, and its events in a list.

use super::v1;
use crate::market::{DecodeError, Envelope, EventKind};
use crate::venue::object::Each;
use crate::venue::{time, wire};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

/// What is read of an object of either version.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Frame<'f> {
    #[serde(borrow)]
    pub(super) channel: Option<&'f str>,
    #[serde(rename = "type", borrow)]
    pub(super) form: Option<&'f str>,
    #[serde(borrow)]
    pub(super) data: Option<&'f RawValue>,
    /// Of an answer: what was asked for, or `pong`.
    #[serde(borrow)]
    pub(super) method: Option<&'f str>,
    success: Option<bool>,
    /// Its case is another where too much was asked in too short a time.
    #[serde(alias = "Error", borrow)]
    pub(super) error: Option<&'f RawValue>,
    /// Of version 1.
    #[serde(borrow)]
    event: Option<&'f str>,
    #[serde(borrow)]
    status: Option<&'f str>,
}

/// One event of a list.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Event<'f> {
    #[serde(borrow)]
    symbol: Option<&'f str>,
    #[serde(borrow)]
    timestamp: Option<&'f str>,
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let text = frame.trim();
    if text.starts_with('[') {
        return v1::decode(text, visit);
    }
    let frame: Frame<'_> = serde_json::from_str(text).map_err(|error| wire::reason(&error))?;
    let is_snapshot = frame.form == Some("snapshot");
    let kind = match frame.channel {
        Some("book" | "level3") if is_snapshot => EventKind::BookSnapshot,
        Some("book" | "level3") => EventKind::BookDelta,
        Some("trade") => EventKind::Trade,
        Some("ticker") => EventKind::Ticker,
        Some("ohlc") => EventKind::Candle,
        Some("heartbeat") => EventKind::Heartbeat,
        Some("status" | "instrument") => EventKind::Status,
        Some(_) => return Err(DecodeError::UnknownChannel),
        None => frame.control()?,
    };
    if !kind.is_data() {
        visit(Envelope::new(kind));
        return Ok(());
    }
    let data = frame.data.ok_or(DecodeError::Schema)?;
    // Trades of a snapshot have been for long, and a candle's time is that of its end.
    let has_time = kind != EventKind::Candle && !(kind == EventKind::Trade && is_snapshot);
    let mut defect = None;
    let each = |raw: &RawValue| {
        let event = serde_json::from_str::<Event<'_>>(raw.get()).map_err(|error| wire::reason(&error));
        match event.and_then(|event| Ok((event.symbol.ok_or(DecodeError::Schema)?, event.timestamp))) {
            Ok((symbol, timestamp)) => visit(Envelope {
                instrument: Some(symbol),
                venue_time_ms: timestamp.filter(|_| has_time).and_then(time::rfc3339),
                ..Envelope::new(kind)
            }),
            Err(error) => _ = defect.get_or_insert(error),
        }
    };
    let mut list = serde_json::Deserializer::from_str(data.get());
    list.deserialize_seq(Each::new(each))
        .map_err(|error| wire::reason(&error))?;
    defect.map_or(Ok(()), Err)
}

impl Frame<'_> {
    /// What an object without a channel is.
    fn control(&self) -> Result<EventKind, DecodeError> {
        match (self.event, self.method) {
            (Some("heartbeat" | "pong"), _) | (_, Some("pong")) => Ok(EventKind::Heartbeat),
            (Some("systemStatus"), _) => Ok(EventKind::Status),
            (Some("subscriptionStatus"), _) if self.status != Some("error") => Ok(EventKind::Ack),
            (Some("subscriptionStatus" | "error"), _) => Ok(EventKind::Error),
            (Some(_), _) => Err(DecodeError::UnknownChannel),
            (None, _) if self.error.is_some() || self.success == Some(false) => Ok(EventKind::Error),
            (None, Some(_)) => Ok(EventKind::Ack),
            (None, None) => Err(DecodeError::Schema),
        }
    }
}
