//! Reads the envelopes of frames. Each holds one event, and the name of its channel.

use crate::market::{DecodeError, Envelope, EventKind};
use crate::venue::wire;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Frame<'f> {
    #[serde(borrow)]
    pub(super) event: Option<&'f str>,
    #[serde(borrow)]
    pub(super) channel: Option<&'f str>,
    /// An object, mostly; where there is nothing to say, it may be a text.
    #[serde(borrow)]
    pub(super) data: Option<&'f RawValue>,
}

/// `timestamp` is the same in seconds, or at perpetuals in milliseconds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    #[serde(deserialize_with = "wire::lenient")]
    microtimestamp: Option<i64>,
}

pub(super) fn decode(frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
    let frame: Frame<'_> = serde_json::from_str(frame).map_err(|error| wire::reason(&error))?;
    let event = frame.event.ok_or(DecodeError::Schema)?;
    let control = match event {
        "bts:subscription_succeeded" | "bts:unsubscription_succeeded" => EventKind::Ack,
        "bts:error" => EventKind::Error,
        "bts:heartbeat" => EventKind::Heartbeat,
        "bts:request_reconnect" => EventKind::Status,
        _ => return frame.visit(event, visit),
    };
    visit(Envelope::new(control));
    Ok(())
}

/// The channel and the instrument of a name such as `live_trades_btcusd`.
pub(super) fn subject(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('_')
}

impl Frame<'_> {
    fn visit(&self, event: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        let (channel, instrument) = self.channel.and_then(subject).ok_or(DecodeError::Schema)?;
        let kind = match (channel, event) {
            ("live_trades", "trade") => EventKind::Trade,
            ("order_book" | "detail_order_book", "data") => EventKind::BookSnapshot,
            // Of levels, or each of one order.
            ("diff_order_book", "data") | ("live_orders", "order_created" | "order_changed" | "order_deleted") => {
                EventKind::BookDelta
            }
            _ => return Err(DecodeError::UnknownChannel),
        };
        let data = self.data.ok_or(DecodeError::Schema)?;
        let data: Data = serde_json::from_str(data.get()).map_err(|error| wire::reason(&error))?;
        visit(Envelope {
            instrument: Some(instrument),
            venue_time_ms: data.microtimestamp.map(|micros| micros / 1000),
            ..Envelope::new(kind)
        });
        Ok(())
    }
}
