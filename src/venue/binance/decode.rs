//! Reads the envelopes of events, alone or within the name of their stream.

use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::object::Each;
use crate::venue::wire;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

/// What is numbered apart, of each instrument.
const BOOK: u8 = 0;
const TRADES: u8 = 1;
const AGGREGATED_TRADES: u8 = 2;

/// What is read of a frame or of an event: all names are one letter long, and their case matters.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'f> {
    #[serde(borrow)]
    stream: Option<&'f str>,
    #[serde(borrow)]
    data: Option<&'f RawValue>,
    /// The answer to a request, or an error: present, even if it is null.
    #[serde(borrow)]
    pub(super) id: Option<&'f RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'f RawValue>,
    #[serde(borrow)]
    code: Option<&'f RawValue>,
    #[serde(rename = "e", borrow)]
    pub(super) name: Option<&'f str>,
    #[serde(rename = "E", deserialize_with = "wire::lenient")]
    time: Option<i64>,
    #[serde(rename = "s", borrow)]
    symbol: Option<&'f str>,
    #[serde(rename = "U", deserialize_with = "wire::lenient")]
    first_update: Option<u64>,
    #[serde(rename = "u", deserialize_with = "wire::lenient")]
    last_update: Option<u64>,
    #[serde(rename = "pu", deserialize_with = "wire::lenient")]
    update_before: Option<u64>,
    #[serde(rename = "t", deserialize_with = "wire::lenient")]
    trade: Option<u64>,
    #[serde(rename = "a", deserialize_with = "wire::lenient")]
    aggregated_trade: Option<u64>,
    /// Only a partial book of spot has it, and neither name, time nor symbol.
    #[serde(rename = "lastUpdateId", deserialize_with = "wire::lenient")]
    book_update: Option<u64>,
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let text = frame.trim();
    if text.starts_with('[') {
        return each(text, None, visit);
    }
    let event: Event<'_> = serde_json::from_str(text).map_err(|error| wire::reason(&error))?;
    match event.data {
        Some(data) if data.get().starts_with('[') => each(data.get(), event.stream, visit),
        Some(data) => {
            let inner: Event<'_> = serde_json::from_str(data.get()).map_err(|error| wire::reason(&error))?;
            inner.visit(event.stream, visit)
        }
        None => event.visit(None, visit),
    }
}

/// Visits the events of a list; what is wrong with one does not hide the others.
fn each(list: &str, stream: Option<&str>, visit: Visit<'_>) -> Result<(), DecodeError> {
    let mut defect = None;
    let mut json = serde_json::Deserializer::from_str(list);
    let each = |raw: &RawValue| {
        let event = serde_json::from_str::<Event<'_>>(raw.get()).map_err(|error| wire::reason(&error));
        if let Err(error) = event.and_then(|event| event.visit(stream, visit)) {
            defect.get_or_insert(error);
        }
    };
    json.deserialize_seq(Each::new(each))
        .and_then(|()| json.end())
        .map_err(|error| wire::reason(&error))?;
    defect.map_or(Ok(()), Err)
}

/// Whether events of that stream are whole, if short, books: `btcusdt@depth20`.
pub(super) fn is_partial_book(stream: Option<&str>) -> bool {
    let channel = stream.and_then(|stream| stream.split_once("@depth"));
    channel.is_some_and(|(_, rest)| rest.starts_with(|first: char| first.is_ascii_digit()))
}

impl Event<'_> {
    fn visit(&self, stream: Option<&str>, visit: Visit<'_>) -> Result<(), DecodeError> {
        let Some(name) = self.name else {
            return self.visit_nameless(stream, visit);
        };
        let instrument = Some(self.symbol.ok_or(DecodeError::Schema));
        let (kind, place) = match name {
            "trade" => (EventKind::Trade, numbered(TRADES, self.trade)),
            "aggTrade" => (EventKind::Trade, numbered(AGGREGATED_TRADES, self.aggregated_trade)),
            "depthUpdate" if is_partial_book(stream) => (EventKind::BookSnapshot, None),
            "depthUpdate" => (EventKind::BookDelta, Some(self.update()?)),
            "bookTicker" | "24hrTicker" | "24hrMiniTicker" | "1hTicker" | "4hTicker" | "1dTicker" | "avgPrice"
            | "markPriceUpdate" | "indexPriceUpdate" => (EventKind::Ticker, None),
            "kline" | "continuous_kline" | "indexPrice_kline" | "markPrice_kline" => (EventKind::Candle, None),
            "forceOrder" | "compositeIndex" | "assetIndexUpdate" => (EventKind::Other, None),
            "serverShutdown" | "contractInfo" | "tradingSession" => (EventKind::Status, None),
            _ => return Err(DecodeError::UnknownChannel),
        };
        let instrument = match (kind, instrument) {
            (_, Some(Ok(symbol))) => Some(symbol),
            // They name what they are about in another way, or nothing.
            (EventKind::Status | EventKind::Other | EventKind::Candle | EventKind::Ticker, _) => None,
            _ => return Err(DecodeError::Schema),
        };
        visit(Envelope {
            instrument,
            venue_time_ms: self.time,
            sequence: place.as_ref(),
            ..Envelope::new(kind)
        });
        Ok(())
    }

    /// Answers, and the two events of spot that do not say what they are.
    fn visit_nameless(&self, stream: Option<&str>, visit: Visit<'_>) -> Result<(), DecodeError> {
        let kind = if self.error.is_some() || self.code.is_some() {
            EventKind::Error
        } else if self.id.is_some() {
            EventKind::Ack
        } else if self.book_update.is_some() {
            let symbol = stream
                .and_then(|stream| stream.split_once('@'))
                .map(|(symbol, _)| symbol.to_uppercase());
            visit(Envelope {
                instrument: symbol.as_deref(),
                ..Envelope::new(EventKind::BookSnapshot)
            });
            return Ok(());
        } else if self.last_update.is_some() && self.symbol.is_some() {
            EventKind::Ticker
        } else {
            return Err(DecodeError::Schema);
        };
        visit(Envelope {
            instrument: self.symbol,
            ..Envelope::new(kind)
        });
        Ok(())
    }

    /// Spot numbers the updates of a book from `U` to `u` without a hole; futures have holes, and say the `u` of the event before.
    fn update(&self) -> Result<Sequence, DecodeError> {
        let (Some(first), Some(last)) = (self.first_update, self.last_update) else {
            return Err(DecodeError::Schema);
        };
        let place = self
            .update_before
            .map_or(Place::Range { first, last }, |previous| Place::After {
                previous,
                number: last,
            });
        let series = Series::Instrument(BOOK);
        Ok(Sequence { series, place })
    }
}

fn numbered(series: u8, number: Option<u64>) -> Option<Sequence> {
    let (series, place) = (Series::Instrument(series), Place::Next(number?));
    Some(Sequence { series, place })
}
