//! Reads frames: events are objects, and what comes of a channel is a list, `[chanId, payload, number, time]`. With a tag before
//! its payload it is a trade (`te`, and `tu` when it is booked) or a checksum (`cs`); with a tag alone a heartbeat (`hb`).

use super::channel::{About, Channels};
use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::wire;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Numbers of frames begin with 1 on each connection; times are milliseconds since 1970, and begin at 2001 here.
const FIRST_TIME: u64 = 1_000_000_000_000;

/// An event, as far as it is read.
#[derive(Deserialize)]
pub(super) struct Event<'f> {
    #[serde(rename = "event")]
    pub(super) name: &'f str,
    #[serde(default)]
    pub(super) channel: Option<&'f str>,
    #[serde(default)]
    pub(super) symbol: Option<&'f str>,
    /// In the place of the symbol.
    #[serde(default)]
    pub(super) key: Option<&'f str>,
    #[serde(default, rename = "chanId")]
    pub(super) number: Option<u64>,
    #[serde(default, rename = "prec")]
    pub(super) precision: Option<&'f str>,
    #[serde(default, rename = "freq")]
    pub(super) frequency: Option<&'f str>,
    #[serde(default, rename = "len", borrow, deserialize_with = "text")]
    pub(super) length: Option<Cow<'f, str>>,
    #[serde(default)]
    pub(super) code: Option<i64>,
    #[serde(default, rename = "msg", borrow)]
    pub(super) words: Option<Cow<'f, str>>,
    #[serde(default)]
    status: Option<&'f str>,
}

/// A text, or a number as one.
fn text<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    let raw = <&RawValue>::deserialize(field)?.get();
    Ok(Some(Cow::Borrowed(raw.trim_matches('"'))))
}

/// What comes of a channel.
pub(super) struct Update<'f> {
    pub(super) channel: u64,
    pub(super) tag: Option<&'f str>,
    /// Of a heartbeat there is none.
    pub(super) payload: Option<&'f RawValue>,
    number: Option<u64>,
    /// Milliseconds since the Unix epoch.
    pub(super) time: Option<i64>,
}

impl<'de> Deserialize<'de> for Update<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(UpdateVisitor)
    }
}

struct UpdateVisitor;

impl<'de> Visitor<'de> for UpdateVisitor {
    type Value = Update<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list that begins with the number of a channel")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let channel = list.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let first: &RawValue = list.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        let tag = first.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let payload = match tag {
            None => Some(first),
            Some("hb") => None,
            Some(_) => Some(list.next_element()?.ok_or_else(|| A::Error::invalid_length(2, &self))?),
        };
        let mut update = Update {
            channel,
            tag,
            payload,
            number: None,
            time: None,
        };
        while let Some(raw) = list.next_element::<&RawValue>()? {
            match raw.get().parse::<u64>() {
                Ok(number) if number < FIRST_TIME => update.number = update.number.or(Some(number)),
                Ok(time) => update.time = update.time.or(i64::try_from(time).ok()),
                // Other fields may be added at the end.
                Err(_) => {}
            }
        }
        Ok(update)
    }
}

/// A frame.
pub(super) enum Message<'f> {
    Event(Event<'f>),
    Update(Update<'f>),
}

pub(super) fn read(frame: &str) -> serde_json::Result<Message<'_>> {
    let text = frame.trim_start();
    if text.starts_with('[') {
        serde_json::from_str(text).map(Message::Update)
    } else {
        serde_json::from_str(text).map(Message::Event)
    }
}

/// Whether a payload is a list of what other payloads are one of: what was there when the channel was subscribed to. Also where
/// there was nothing.
pub(super) fn is_list_of_lists(payload: &RawValue) -> bool {
    let inner = payload.get().strip_prefix('[').map(str::trim_start);
    inner.is_some_and(|inner| inner.starts_with(['[', ']']))
}

pub(super) fn decode(
    channels: &mut Channels,
    frame: &str,
    visit: &mut dyn FnMut(Envelope<'_>),
) -> Result<(), DecodeError> {
    match read(frame).map_err(|error| wire::reason(&error))? {
        Message::Update(update) => update.visit(channels, visit),
        Message::Event(event) => {
            channels.hear(&event);
            let kind = match event.name {
                "conf" if event.status.is_some_and(|status| status != "OK") => EventKind::Error,
                "subscribed" | "unsubscribed" | "conf" => EventKind::Ack,
                "pong" => EventKind::Heartbeat,
                "info" => EventKind::Status,
                "error" => EventKind::Error,
                _ => return Err(DecodeError::UnknownChannel),
            };
            visit(Envelope {
                instrument: event.symbol,
                ..Envelope::new(kind)
            });
            Ok(())
        }
    }
}

impl Update<'_> {
    fn visit(&self, channels: &Channels, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        let known = channels.get(self.channel);
        let read = known
            .ok_or(DecodeError::UnknownChannel)
            .and_then(|(about, _)| self.kind(about));
        // Whatever it is, it has a number: without it the next one would seem to come behind a gap.
        let kind = match (self.tag, read) {
            (Some("hb"), _) => EventKind::Heartbeat,
            (_, read) => read.unwrap_or(EventKind::Other),
        };
        let sequence = self.number.map(|number| Sequence {
            series: Series::Connection,
            place: Place::Next(number),
        });
        visit(Envelope {
            instrument: known.map(|(_, symbol)| symbol).filter(|symbol| !symbol.is_empty()),
            venue_time_ms: self.trade_time().or(self.time),
            sequence: sequence.as_ref(),
            ..Envelope::new(kind)
        });
        match read {
            Err(error) if kind != EventKind::Heartbeat => Err(error),
            _ => Ok(()),
        }
    }

    fn kind(&self, about: About) -> Result<EventKind, DecodeError> {
        let payload = self.payload.map_or("", RawValue::get);
        if self.tag != Some("cs") && !payload.starts_with('[') {
            return Err(DecodeError::Schema);
        }
        match (about, self.tag) {
            (About::Book, None) if self.payload.is_some_and(is_list_of_lists) => Ok(EventKind::BookSnapshot),
            (About::Book, None) => Ok(EventKind::BookDelta),
            (About::Trades, None | Some("te")) => Ok(EventKind::Trade),
            (About::Ticker, None) => Ok(EventKind::Ticker),
            (About::Candles, None) => Ok(EventKind::Candle),
            // `tu` is the same trade as `te` once more; a checksum is for whoever keeps the book.
            (About::Trades, Some("tu")) | (About::Book, Some("cs")) | (About::Other, _) => Ok(EventKind::Other),
            _ => Err(DecodeError::UnknownChannel),
        }
    }

    /// A trade says itself when it was: `[id, time, amount, price]`.
    fn trade_time(&self) -> Option<i64> {
        let payload = self.payload.filter(|_| matches!(self.tag, Some("te" | "tu")))?;
        let mut fields = payload.get().strip_prefix('[')?.split(',');
        fields.nth(1)?.trim().parse().ok()
    }
}
