//! Reads the envelopes of events: a topic says of which instrument they are, and what.

use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::object::Each;
use crate::venue::wire;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::borrow::Cow;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

/// Books are numbered by their depth, each by its place in this list.
const DEPTHS: [&str; 7] = ["1", "25", "50", "100", "200", "500", "1000"];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'f> {
    #[serde(borrow)]
    topic: Option<&'f str>,
    #[serde(rename = "type", borrow)]
    pub(super) form: Option<&'f str>,
    /// When the matching engine made it; of books only.
    #[serde(rename = "cts", deserialize_with = "wire::lenient")]
    engine_time: Option<i64>,
    #[serde(rename = "ts", deserialize_with = "wire::lenient")]
    time: Option<i64>,
    /// In microseconds, before version 5.
    #[serde(rename = "timestamp_e6", deserialize_with = "wire::lenient")]
    micros: Option<i64>,
    #[serde(borrow)]
    pub(super) data: Option<&'f RawValue>,
    #[serde(borrow)]
    pub(super) op: Option<&'f str>,
    pub(super) success: Option<bool>,
    #[serde(rename = "ret_msg", borrow)]
    pub(super) words: Option<Cow<'f, str>>,
    #[serde(borrow)]
    pub(super) req_id: Option<&'f str>,
}

/// Of a book.
#[derive(Deserialize)]
struct Numbered {
    #[serde(rename = "u", default, deserialize_with = "wire::lenient")]
    update: Option<u64>,
}

#[derive(Deserialize)]
struct Traded {
    #[serde(rename = "T", default, deserialize_with = "wire::lenient")]
    time: Option<i64>,
    /// Before version 5.
    #[serde(default, deserialize_with = "wire::lenient")]
    trade_time_ms: Option<i64>,
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let message: Message<'_> = serde_json::from_str(frame.trim()).map_err(|error| wire::reason(&error))?;
    let Some(topic) = message.topic else {
        visit(Envelope::new(message.control()?));
        return Ok(());
    };
    let (channel, instrument) = topic.rsplit_once('.').ok_or(DecodeError::Schema)?;
    let data = message.data.ok_or(DecodeError::Schema)?;
    let event = Envelope {
        instrument: Some(instrument),
        venue_time_ms: message.time(),
        ..Envelope::new(kind(channel).ok_or(DecodeError::UnknownChannel)?)
    };
    match event.kind {
        EventKind::Trade => trades(data, event, visit),
        EventKind::BookDelta => message.book(data, channel, event, visit),
        _ => {
            visit(event);
            Ok(())
        }
    }
}

/// Each trade is an event of its own time.
fn trades(data: &RawValue, event: Envelope<'_>, visit: Visit<'_>) -> Result<(), DecodeError> {
    let mut json = serde_json::Deserializer::from_str(data.get());
    let each = |trade: Traded| {
        visit(Envelope {
            venue_time_ms: trade.time.or(trade.trade_time_ms).or(event.venue_time_ms),
            ..event
        });
    };
    json.deserialize_seq(Each::new(each))
        .map_err(|error| wire::reason(&error))
}

impl Message<'_> {
    fn time(&self) -> Option<i64> {
        self.engine_time
            .or(self.time)
            .or_else(|| self.micros.map(|micros| micros.div_euclid(1000)))
    }

    /// The updates of a book of that depth are numbered one by one, and the whole book begins them anew. Update 1 is a whole book
    /// whatever it says: the venue's service was restarted. `seq` merely rises.
    fn book(&self, data: &RawValue, channel: &str, event: Envelope<'_>, visit: Visit<'_>) -> Result<(), DecodeError> {
        let series = channel
            .strip_prefix("orderbook.")
            .and_then(|depth| DEPTHS.iter().position(|known| *known == depth))
            .and_then(|index| u8::try_from(index).ok());
        // Before version 5, a whole book is a list, and nothing is numbered.
        let update = match series {
            Some(_) => {
                let numbered: Numbered = serde_json::from_str(data.get()).map_err(|error| wire::reason(&error))?;
                numbered.update
            }
            None => None,
        };
        let kind = match self.form {
            _ if update == Some(1) => EventKind::BookSnapshot,
            Some("snapshot") => EventKind::BookSnapshot,
            Some("delta") => EventKind::BookDelta,
            _ => return Err(DecodeError::Schema),
        };
        let sequence = series.zip(update).map(|(series, update)| Sequence {
            series: Series::Instrument(series),
            place: if kind == EventKind::BookSnapshot {
                Place::Start(update)
            } else {
                Place::Next(update)
            },
        });
        visit(Envelope {
            kind,
            sequence: sequence.as_ref(),
            ..event
        });
        Ok(())
    }

    /// What is no data: answers, whose forms differ from market to market.
    fn control(&self) -> Result<EventKind, DecodeError> {
        match self.success {
            _ if self.is_pong() => Ok(EventKind::Heartbeat),
            Some(true) => Ok(EventKind::Ack),
            Some(false) => Ok(EventKind::Error),
            None => Err(DecodeError::Schema),
        }
    }

    /// `{"op":"pong"}` of options, `"ret_msg":"pong"` of the others.
    pub(super) fn is_pong(&self) -> bool {
        self.op == Some("pong") || self.words.as_deref() == Some("pong")
    }
}

/// Whether there is a channel of that name.
pub(super) fn is_known(channel: &str) -> bool {
    kind(channel).is_some()
}

/// What the events of a topic are about, whose name is this without its symbol; of a book, what is no whole one.
fn kind(channel: &str) -> Option<EventKind> {
    let (name, parameter) = channel.split_once('.').unwrap_or((channel, ""));
    Some(match (name, parameter) {
        ("publicTrade" | "trade", "") => EventKind::Trade,
        ("tickers" | "tickers_lt", "") | ("instrument_info", "100ms") => EventKind::Ticker,
        ("allLiquidation" | "liquidation" | "lt" | "priceLimit" | "insurance" | "adlAlert", "") => EventKind::Other,
        ("orderbook", depth) if !depth.is_empty() => EventKind::BookDelta,
        ("orderBookL2_25", "") | ("orderBook_200", "100ms") => EventKind::BookDelta,
        ("kline" | "kline_lt" | "klineV2" | "candle", interval) if !interval.is_empty() => EventKind::Candle,
        _ => return None,
    })
}
