//! Reads the envelopes of events: a channel and an instrument, and a list of what happened.

use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::object::Each;
use crate::venue::wire;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

/// The answer to the text `ping`.
pub(super) const PONG: &str = "pong";

/// Books that are changed by what follows, each numbered apart by its place in this list.
const NUMBERED_BOOKS: [&str; 4] = ["books", "books-l2-tbt", "books50-l2-tbt", "books-elp"];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'f> {
    #[serde(borrow)]
    event: Option<&'f str>,
    #[serde(borrow)]
    pub(super) arg: Option<Arg<'f>>,
    #[serde(borrow)]
    pub(super) action: Option<&'f str>,
    #[serde(borrow)]
    pub(super) data: Option<&'f RawValue>,
}

/// What is subscribed to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Arg<'f> {
    #[serde(borrow)]
    pub(super) channel: Option<&'f str>,
    #[serde(rename = "instId", borrow)]
    pub(super) instrument: Option<&'f str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event<'f> {
    #[serde(rename = "instId", borrow)]
    instrument: Option<&'f str>,
    #[serde(rename = "ts", deserialize_with = "wire::lenient")]
    time: Option<i64>,
    #[serde(rename = "seqId", deserialize_with = "wire::lenient")]
    number: Option<u64>,
    /// -1 of a whole book.
    #[serde(rename = "prevSeqId", deserialize_with = "wire::lenient")]
    previous: Option<i64>,
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let text = frame.trim();
    if text == PONG {
        visit(Envelope::new(EventKind::Heartbeat));
        return Ok(());
    }
    let message: Message<'_> = serde_json::from_str(text).map_err(|error| wire::reason(&error))?;
    if let Some(event) = message.event {
        return message.visit_event(event, visit);
    }
    let (Some(arg), Some(data)) = (&message.arg, message.data) else {
        return Err(DecodeError::Schema);
    };
    let channel = arg.channel.ok_or(DecodeError::Schema)?;
    let kind = match (kind(channel), message.action) {
        (None, _) => return Err(DecodeError::UnknownChannel),
        (Some(EventKind::BookDelta), Some("snapshot")) => EventKind::BookSnapshot,
        (Some(EventKind::BookDelta), Some("update")) => EventKind::BookDelta,
        (Some(EventKind::BookDelta), _) => return Err(DecodeError::Schema),
        (Some(kind), _) => kind,
    };
    let mut defect = None;
    let mut json = serde_json::Deserializer::from_str(data.get());
    let each = |raw: &RawValue| {
        if let Err(error) = visit_one(raw, kind, channel, arg.instrument, visit) {
            defect.get_or_insert(error);
        }
    };
    json.deserialize_seq(Each::new(each))
        .map_err(|error| wire::reason(&error))?;
    defect.map_or(Ok(()), Err)
}

fn visit_one(
    raw: &RawValue,
    kind: EventKind,
    channel: &str,
    subscribed: Option<&str>,
    visit: Visit<'_>,
) -> Result<(), DecodeError> {
    // A candle is a list that begins with its start, which is no time of an event.
    let event = if raw.get().starts_with('[') {
        Event::default()
    } else {
        serde_json::from_str(raw.get()).map_err(|error| wire::reason(&error))?
    };
    let instrument = event.instrument.or(subscribed);
    if kind.is_data() && instrument.is_none() {
        return Err(DecodeError::Schema);
    }
    let sequence = event.sequence(kind, channel);
    visit(Envelope {
        instrument,
        venue_time_ms: event.time,
        sequence: sequence.as_ref(),
        ..Envelope::new(kind)
    });
    Ok(())
}

impl Event<'_> {
    /// The numbers of a book may stay what they are, where nothing has changed, and fall after maintenance; each change says
    /// which one came before it. Whole books of other channels have numbers that say nothing of what is missing, and trades are
    /// summed up.
    fn sequence(&self, kind: EventKind, channel: &str) -> Option<Sequence> {
        let book = NUMBERED_BOOKS.iter().position(|known| *known == channel)?;
        let number = self.number?;
        let place = match (kind, self.previous) {
            (EventKind::BookSnapshot, _) => Place::Start(number),
            (_, Some(previous)) => Place::After {
                previous: u64::try_from(previous).ok()?,
                number,
            },
            (_, None) => return None,
        };
        let series = Series::Instrument(u8::try_from(book).ok()?);
        Some(Sequence { series, place })
    }
}

impl Message<'_> {
    /// What is no data: answers, errors and notices.
    fn visit_event(&self, event: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
        let kind = match event {
            "subscribe" | "unsubscribe" | "login" => EventKind::Ack,
            "error" | "channel-conn-count-error" => EventKind::Error,
            "notice" => EventKind::Status,
            "channel-conn-count" => EventKind::Other,
            _ => return Err(DecodeError::UnknownChannel),
        };
        visit(Envelope {
            instrument: self.arg.as_ref().and_then(|arg| arg.instrument),
            ..Envelope::new(kind)
        });
        Ok(())
    }
}

/// Whether the books of that channel are changed by what follows.
pub(super) fn is_numbered_book(channel: &str) -> bool {
    NUMBERED_BOOKS.contains(&channel)
}

/// Whether an instrument can be subscribed to that channel.
pub(super) fn is_known(channel: &str) -> bool {
    kind(channel).is_some_and(|kind| kind != EventKind::Status)
}

/// What the events of a channel are about; of books that are changed, what is no whole one.
fn kind(channel: &str) -> Option<EventKind> {
    Some(match channel {
        "trades" | "trades-all" | "option-trades" => EventKind::Trade,
        "books5" => EventKind::BookSnapshot,
        "bbo-tbt" | "tickers" | "index-tickers" | "mark-price" => EventKind::Ticker,
        "funding-rate" | "open-interest" | "price-limit" | "estimated-price" | "opt-summary" | "liquidation-orders"
        | "adl-warning" => EventKind::Other,
        "instruments" | "status" => EventKind::Status,
        _ if is_numbered_book(channel) => EventKind::BookDelta,
        _ => {
            let candle = ["candle", "index-candle", "mark-price-candle"];
            let length = candle.iter().find_map(|prefix| channel.strip_prefix(prefix))?;
            return length
                .starts_with(|first: char| first.is_ascii_digit())
                .then_some(EventKind::Candle);
        }
    })
}
