//! Reads the envelopes of events: answers with what there is so far, and what is new, alone or in batches.

use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::object::Each;
use crate::venue::{time, wire};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::borrow::Cow;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

#[derive(Deserialize)]
pub(super) struct Message<'f> {
    #[serde(rename = "type", borrow)]
    pub(super) form: &'f str,
    #[serde(rename = "message_id", default, deserialize_with = "wire::lenient")]
    number: Option<u64>,
    #[serde(default, borrow)]
    pub(super) channel: Option<&'f str>,
    /// A market, or of candles a market and a resolution.
    #[serde(default, borrow)]
    pub(super) id: Option<&'f str>,
    #[serde(default, borrow)]
    pub(super) contents: Option<&'f RawValue>,
    /// Of an error.
    #[serde(rename = "message", default, borrow)]
    pub(super) words: Option<Cow<'f, str>>,
}

#[derive(Deserialize)]
struct Trades<'f> {
    #[serde(borrow)]
    trades: &'f RawValue,
}

#[derive(Deserialize)]
struct Traded<'f> {
    #[serde(rename = "createdAt", default, borrow)]
    at: Option<&'f str>,
}

/// Visits the events of a frame; the first one bears the number of the message.
struct Visitor<'v> {
    visit: Visit<'v>,
    sequence: Option<Sequence>,
}

impl Visitor<'_> {
    fn event(&mut self, event: Envelope<'_>) {
        let sequence = self.sequence.take();
        (self.visit)(Envelope {
            sequence: sequence.as_ref(),
            ..event
        });
    }
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let message: Message<'_> = serde_json::from_str(frame.trim()).map_err(|error| wire::reason(&error))?;
    let mut visitor = Visitor {
        visit,
        sequence: message.number.map(|number| Sequence {
            series: Series::Connection,
            place: Place::Unordered(number),
        }),
    };
    let read = message.events(&mut visitor);
    if visitor.sequence.is_some() {
        // Whatever it holds, its number has come.
        visitor.event(Envelope::new(EventKind::Other));
    }
    read
}

impl<'f> Message<'f> {
    fn events(&self, visitor: &mut Visitor<'_>) -> Result<(), DecodeError> {
        let kind = match self.form {
            "subscribed" => {
                visitor.event(Envelope {
                    instrument: self.market(),
                    ..Envelope::new(EventKind::Ack)
                });
                return self.contents(self.contents, true, visitor);
            }
            "channel_data" => return self.contents(self.contents, false, visitor),
            "channel_batch_data" => return self.batch(visitor),
            "unsubscribed" => EventKind::Ack,
            "error" => EventKind::Error,
            "pong" => EventKind::Heartbeat,
            "connected" => EventKind::Other,
            _ => return Err(DecodeError::UnknownChannel),
        };
        visitor.event(Envelope {
            instrument: self.market(),
            ..Envelope::new(kind)
        });
        Ok(())
    }

    fn market(&self) -> Option<&'f str> {
        self.id.map(|id| id.split_once('/').map_or(id, |(market, _)| market))
    }

    fn batch(&self, visitor: &mut Visitor<'_>) -> Result<(), DecodeError> {
        let list = self.contents.ok_or(DecodeError::Schema)?;
        let mut defect = None;
        let mut json = serde_json::Deserializer::from_str(list.get());
        let each = |contents: &'f RawValue| {
            if let Err(error) = self.contents(Some(contents), false, visitor) {
                defect.get_or_insert(error);
            }
        };
        json.deserialize_seq(Each::new(each))
            .map_err(|error| wire::reason(&error))?;
        defect.map_or(Ok(()), Err)
    }

    /// What is new of a channel, or what there was so far.
    fn contents(
        &self,
        contents: Option<&RawValue>,
        is_so_far: bool,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), DecodeError> {
        let contents = contents.ok_or(DecodeError::Schema)?;
        let kind = match self.channel.ok_or(DecodeError::Schema)? {
            "v4_orderbook" if is_so_far => EventKind::BookSnapshot,
            "v4_orderbook" => EventKind::BookDelta,
            "v4_trades" => EventKind::Trade,
            "v4_candles" => EventKind::Candle,
            "v4_markets" => EventKind::Ticker,
            "v4_block_height" => EventKind::Other,
            _ => return Err(DecodeError::UnknownChannel),
        };
        let event = Envelope {
            instrument: self.market(),
            ..Envelope::new(kind)
        };
        if event.instrument.is_none() && !matches!(kind, EventKind::Ticker | EventKind::Other) {
            return Err(DecodeError::Schema);
        }
        if kind != EventKind::Trade {
            if !contents.get().starts_with(['{', '[']) {
                return Err(DecodeError::Schema);
            }
            visitor.event(event);
            return Ok(());
        }
        let list: Trades<'_> = serde_json::from_str(contents.get()).map_err(|error| wire::reason(&error))?;
        let mut json = serde_json::Deserializer::from_str(list.trades.get());
        let each = |trade: Traded<'_>| {
            visitor.event(Envelope {
                // What was traded before has been on no way.
                venue_time_ms: trade.at.filter(|_| !is_so_far).and_then(time::rfc3339),
                ..event
            });
        };
        json.deserialize_seq(Each::new(each))
            .map_err(|error| wire::reason(&error))
    }
}
