//! Envelopes of Advanced Trade: a message of a channel holds events, and each of those a list, of trades say.

use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::object::Each;
use crate::venue::{time, wire};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

/// What is read of a message.
#[derive(Deserialize)]
struct Message<'f> {
    #[serde(borrow)]
    channel: Option<&'f str>,
    /// Of an error, which has no channel.
    #[serde(rename = "type", borrow)]
    name: Option<&'f str>,
    #[serde(borrow)]
    timestamp: Option<&'f str>,
    sequence_num: Option<u64>,
    #[serde(borrow)]
    events: Option<&'f RawValue>,
}

/// What is read of an event: the list that its channel has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Event<'f> {
    #[serde(rename = "type", borrow)]
    form: Option<&'f str>,
    #[serde(borrow)]
    product_id: Option<&'f str>,
    #[serde(borrow)]
    trades: Option<&'f RawValue>,
    #[serde(borrow)]
    tickers: Option<&'f RawValue>,
    #[serde(borrow)]
    candles: Option<&'f RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'f> {
    #[serde(borrow)]
    product_id: Option<&'f str>,
    #[serde(borrow)]
    time: Option<&'f str>,
}

/// Visits the envelopes of a message. Its number goes with the first: were it told again, it would look like a repetition.
struct Telling<'m, 'v> {
    visit: &'v mut dyn FnMut(Envelope<'_>),
    sequence: Option<Sequence>,
    /// When the message was sent.
    sent: Option<&'m str>,
    defect: Option<DecodeError>,
}

pub(super) fn decode(frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
    let message: Message<'_> = serde_json::from_str(frame.trim()).map_err(|error| wire::reason(&error))?;
    let number = message.sequence_num.map(|number| Sequence {
        series: Series::Connection,
        place: Place::Next(number),
    });
    let mut telling = Telling {
        visit,
        sequence: number,
        sent: message.timestamp,
        defect: None,
    };
    telling.message(&message);
    if telling.sequence.is_some() {
        // Whatever it holds, it was not missed.
        telling.event(EventKind::Other, None, None);
    }
    telling.defect.map_or(Ok(()), Err)
}

impl Telling<'_, '_> {
    fn message(&mut self, message: &Message<'_>) {
        let kind = match (message.channel, message.name) {
            (Some("heartbeats"), _) => return self.event(EventKind::Heartbeat, None, None),
            (Some("subscriptions"), _) => return self.event(EventKind::Ack, None, None),
            (Some("status"), _) => return self.event(EventKind::Status, None, None),
            (Some("user" | "futures_balance_summary"), _) => return self.event(EventKind::Other, None, None),
            (Some("l2_data"), _) => EventKind::BookDelta,
            (Some("market_trades"), _) => EventKind::Trade,
            (Some("ticker" | "ticker_batch"), _) => EventKind::Ticker,
            (Some("candles"), _) => EventKind::Candle,
            (None, Some("error")) => return self.event(EventKind::Error, None, None),
            (Some(_), _) => return self.defect = Some(DecodeError::UnknownChannel),
            (None, _) => return self.defect = Some(DecodeError::Schema),
        };
        let Some(events) = message.events else {
            return self.defect = Some(DecodeError::Schema);
        };
        self.each(events, |telling, event: &Event<'_>| telling.of_channel(kind, event));
    }

    fn of_channel(&mut self, kind: EventKind, event: &Event<'_>) -> Result<(), DecodeError> {
        let is_snapshot = event.form == Some("snapshot");
        let list = match kind {
            EventKind::BookDelta => {
                let (kind, product) = (
                    if is_snapshot { EventKind::BookSnapshot } else { kind },
                    event.product_id.ok_or(DecodeError::Schema)?,
                );
                self.event(kind, Some(product), self.sent);
                return Ok(());
            }
            EventKind::Trade => event.trades,
            EventKind::Ticker => event.tickers,
            _ => event.candles,
        };
        self.each(list.ok_or(DecodeError::Schema)?, |telling, item: &Item<'_>| {
            let time = match kind {
                // Those of a snapshot have been for long.
                EventKind::Trade => item.time.filter(|_| !is_snapshot),
                EventKind::Ticker => telling.sent,
                _ => None,
            };
            telling.event(kind, Some(item.product_id.ok_or(DecodeError::Schema)?), time);
            Ok(())
        });
        Ok(())
    }

    /// Visits what stands in a list; what is wrong with one does not hide the others.
    fn each<'l, T: Deserialize<'l>>(
        &mut self,
        list: &'l RawValue,
        mut on: impl FnMut(&mut Self, &T) -> Result<(), DecodeError>,
    ) {
        let each = |raw: &'l RawValue| {
            let read = serde_json::from_str::<T>(raw.get()).map_err(|error| wire::reason(&error));
            if let Err(error) = read.and_then(|item| on(self, &item)) {
                self.defect.get_or_insert(error);
            }
        };
        let read = serde_json::Deserializer::from_str(list.get()).deserialize_seq(Each::new(each));
        if let Err(error) = read {
            self.defect.get_or_insert(wire::reason(&error));
        }
    }

    fn event(&mut self, kind: EventKind, instrument: Option<&str>, time: Option<&str>) {
        let sequence = self.sequence.take();
        (self.visit)(Envelope {
            instrument,
            venue_time_ms: time.and_then(time::rfc3339),
            sequence: sequence.as_ref(),
            ..Envelope::new(kind)
        });
    }
}
