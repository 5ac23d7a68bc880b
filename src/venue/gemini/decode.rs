//! Reads the envelopes of frames, of which each holds one event.

use crate::market::{DecodeError, Envelope, EventKind};
use crate::venue::wire;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Frame<'f> {
    #[serde(rename = "type", borrow)]
    pub(super) name: Option<&'f str>,
    #[serde(borrow)]
    pub(super) symbol: Option<&'f str>,
    #[serde(deserialize_with = "wire::lenient")]
    timestamp: Option<i64>,
    /// The last fifty before the subscription: they come with the whole book, and with nothing else.
    #[serde(borrow)]
    trades: Option<&'f RawValue>,
    /// `error`, where a request was refused.
    #[serde(borrow)]
    result: Option<&'f str>,
    #[serde(borrow)]
    pub(super) reason: Option<Cow<'f, str>>,
    #[serde(borrow)]
    pub(super) message: Option<Cow<'f, str>>,
}

impl Frame<'_> {
    pub(super) fn is_refusal(&self) -> bool {
        self.name.is_none() && self.result == Some("error")
    }

    /// Whether it holds a whole book, with which each subscription to one begins.
    pub(super) fn is_whole_book(&self) -> bool {
        self.name == Some("l2_updates") && self.trades.is_some()
    }
}

/// Whether events of that name are candles: `candles_5m_updates`.
pub(super) fn is_candles(name: &str) -> bool {
    name.starts_with("candles_") && name.ends_with("_updates")
}

pub(super) fn decode(frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
    let frame: Frame<'_> = serde_json::from_str(frame).map_err(|error| wire::reason(&error))?;
    let kind = match frame.name {
        Some("l2_updates") if frame.is_whole_book() => EventKind::BookSnapshot,
        Some("l2_updates") => EventKind::BookDelta,
        Some("trade") => EventKind::Trade,
        Some("heartbeat") => EventKind::Heartbeat,
        Some("auction_open" | "auction_indicative" | "auction_result") => EventKind::Status,
        Some("block_trade") => EventKind::Other,
        Some(name) if is_candles(name) => EventKind::Candle,
        Some(_) => return Err(DecodeError::UnknownChannel),
        None if frame.is_refusal() => EventKind::Error,
        None => return Err(DecodeError::Schema),
    };
    if kind.is_data() && frame.symbol.is_none() {
        return Err(DecodeError::Schema);
    }
    visit(Envelope {
        instrument: frame.symbol,
        venue_time_ms: frame.timestamp,
        ..Envelope::new(kind)
    });
    Ok(())
}
