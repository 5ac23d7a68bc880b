//! Reads the envelopes of events, alone or within the name of their stream. The quick reader takes what nearly all of them are.

use super::quick;
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
    pub(super) stream: Option<&'f str>,
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
    pub(super) time: Option<i64>,
    #[serde(rename = "s", borrow)]
    pub(super) symbol: Option<&'f str>,
    #[serde(rename = "U", deserialize_with = "wire::lenient")]
    pub(super) first_update: Option<u64>,
    #[serde(rename = "u", deserialize_with = "wire::lenient")]
    pub(super) last_update: Option<u64>,
    #[serde(rename = "pu", deserialize_with = "wire::lenient")]
    pub(super) update_before: Option<u64>,
    #[serde(rename = "t", deserialize_with = "wire::lenient")]
    pub(super) trade: Option<u64>,
    #[serde(rename = "a", deserialize_with = "wire::lenient")]
    pub(super) aggregated_trade: Option<u64>,
    /// Only a partial book of spot has it, and neither name, time nor symbol.
    #[serde(rename = "lastUpdateId", deserialize_with = "wire::lenient")]
    pub(super) book_update: Option<u64>,
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let text = frame.trim();
    if text.starts_with('[') {
        return each(text, None, visit);
    }
    if let Some((stream, event)) = quick::read(text) {
        return event.visit(stream, visit);
    }
    decode_fully(text, visit)
}

fn decode_fully(text: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the venue writes them.
    const USUAL: [&str; 7] = [
        r#"{"e":"trade","E":1772000000123,"s":"BTCUSDT","t":4711,"p":"67012.34000000","q":"0.00100000","T":1772000000122,"m":true,"M":true}"#,
        r#"{"e":"aggTrade","E":1772000000123,"s":"BTCUSDT","a":815,"p":"67012.34","q":"0.001","f":100,"l":105,"T":1772000000122,"m":true,"M":true}"#,
        r#"{"e":"depthUpdate","E":1772000000123,"s":"BTCUSDT","U":157,"u":160,"b":[["67012.34000000","10.00000000"],["67012.00000000","0.00000000"]],"a":[["67013.00000000","1.50000000"]]}"#,
        r#"{"e":"depthUpdate","E":1772000000123,"T":1772000000122,"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["67012.3","10"]],"a":[]}"#,
        r#"{"u":400900217,"s":"BTCUSDT","b":"67012.34000000","B":"31.21000000","a":"67012.35000000","A":"40.66000000"}"#,
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1772000000123,"s":"BTCUSDT","t":4711,"p":"67012.34","q":"0.1","T":1772000000122,"m":false,"M":true}}"#,
        r#"{"stream":"btcusdt@depth5","data":{"lastUpdateId":160,"bids":[["67012.34000000","10.00000000"]],"asks":[["67013.00000000","1.50000000"]]}}"#,
    ];

    type Seen = (EventKind, Option<String>, Option<i64>, Option<Sequence>);

    fn seen(frame: &str, read: fn(&str, Visit<'_>) -> Result<(), DecodeError>) -> (Vec<Seen>, Result<(), DecodeError>) {
        let mut seen = Vec::new();
        let result = read(frame, &mut |event| {
            let sequence = event.sequence.copied();
            seen.push((
                event.kind,
                event.instrument.map(String::from),
                event.venue_time_ms,
                sequence,
            ));
        });
        (seen, result)
    }

    #[test]
    fn what_comes_usually_is_read_by_the_quick_reader() {
        for frame in USUAL {
            assert!(quick::read(frame).is_some(), "{frame}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_quick_reader_changes_nothing(
            frame in 0..USUAL.len(),
            cut in any::<prop::sample::Index>(),
            length in 0..30_usize,
            put in r#"[\[\]{}":, 0-9.eE\\\n-]{0,3}|"(e|E|s|U|u|pu|t|a|b|id|data)":("7"|7|"7.5"|-7|07|7e1|null|\[\]|\{\}),|1234567890123456789012"#,
        ) {
            let frame = USUAL[frame];
            let at = cut.index(frame.len() + 1);
            let rest = frame.get(at + length..).unwrap_or_default();
            let frame = format!("{}{put}{rest}", &frame[..at]);
            let frame = frame.trim();
            if !frame.starts_with('[') {
                prop_assert_eq!(seen(frame, decode), seen(frame, decode_fully), "{}", frame);
            }
        }
    }
}
