//! Another reading of a frame: everything at leisure, by rules that are written down once more.

use feedwatch::market::{DecodeError, Envelope, EventKind};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// An envelope, as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) kind: EventKind,
    pub(crate) instrument: Option<String>,
    pub(crate) venue_time_ms: Option<i64>,
    pub(crate) ended: bool,
}

impl From<Envelope<'_>> for Seen {
    fn from(envelope: Envelope<'_>) -> Self {
        Self {
            kind: envelope.kind,
            instrument: envelope.instrument.map(str::to_owned),
            venue_time_ms: envelope.venue_time_ms,
            ended: envelope.ended,
        }
    }
}

/// What there is to see in a frame.
pub(crate) struct Reading {
    pub(crate) seen: Vec<Seen>,
    /// The first defect.
    pub(crate) result: Result<(), DecodeError>,
    /// How far into the text each element of the array reaches, and how many events there are up to there.
    ends: Vec<(usize, usize)>,
}

impl Reading {
    /// `None` where the text is no JSON by anybody's rules, or names one thing in two ways.
    pub(crate) fn of(text: &str) -> Option<Self> {
        serde_json::from_str::<Value>(text).ok()?;
        let mut reading = Self {
            seen: Vec::new(),
            result: Ok(()),
            ends: Vec::new(),
        };
        if text == "[]" {
            reading.see(EventKind::Ack, None, None, false);
        } else if text.starts_with('[') {
            for element in serde_json::from_str::<Vec<&RawValue>>(text).ok()? {
                reading.element(element)?;
                let end = element.get().as_bytes().as_ptr_range().end.addr() - text.as_ptr().addr();
                reading.ends.push((end, reading.seen.len()));
            }
        } else {
            reading.element(serde_json::from_str(text).ok()?)?;
        }
        Some(reading)
    }

    /// How many events are told by the first so many bytes, if elements count as a whole.
    pub(crate) fn seen_by(&self, length: usize) -> usize {
        let whole = self.ends.iter().take_while(|(end, _)| *end <= length);
        whole.last().map_or(0, |(_, events)| *events)
    }

    /// An event, or a list of them.
    fn element(&mut self, element: &RawValue) -> Option<()> {
        match element.get().as_bytes().first()? {
            b'[' => {
                for inner in serde_json::from_str::<Vec<&RawValue>>(element.get()).ok()? {
                    self.element(inner)?;
                }
            }
            b'{' => {
                let event = serde_json::from_str(element.get()).ok()?;
                let outcome = self.event(&event)?;
                self.result = self.result.and(outcome);
            }
            _ => self.result = self.result.and(Err(DecodeError::Schema)),
        }
        Some(())
    }

    /// The result is that of the event.
    fn event(&mut self, event: &HashMap<String, &RawValue>) -> Option<Result<(), DecodeError>> {
        let field = |name: &str| event.get(name).map(|value| value.get());
        let time = field("timestamp").and_then(|time| unquoted(time).unwrap_or(time).parse().ok());
        let Some(name) = field("event_type").and_then(plain) else {
            return Some(Err(DecodeError::Schema));
        };
        let kind = match name {
            "book" => EventKind::BookSnapshot,
            "last_trade_price" => EventKind::Trade,
            "best_bid_ask" => EventKind::Ticker,
            "tick_size_change" => EventKind::Status,
            "order" | "trade" => EventKind::Other,
            "new_market" => {
                self.see(EventKind::Status, None, time, false);
                return Some(Ok(()));
            }
            "price_change" => {
                let changes = field("price_changes").and_then(list);
                return Some(self.each(changes, EventKind::BookDelta, time, changed_token));
            }
            "market_resolved" => {
                let spellings = [field("assets_ids"), field("asset_ids")];
                if let [Some(_), Some(_)] = spellings {
                    return None;
                }
                let tokens = spellings.into_iter().flatten().next().and_then(list);
                return Some(self.each(tokens, EventKind::Status, time, plain));
            }
            _ => return Some(Err(DecodeError::UnknownChannel)),
        };
        Some(match field("asset_id").and_then(plain) {
            Some(token) => {
                self.see(kind, Some(token), time, false);
                Ok(())
            }
            None => Err(DecodeError::Schema),
        })
    }

    /// One event a token, up to the first element that names none.
    fn each<'t>(
        &mut self,
        list: Option<Vec<&'t RawValue>>,
        kind: EventKind,
        time: Option<i64>,
        token: fn(&'t str) -> Option<&'t str>,
    ) -> Result<(), DecodeError> {
        for element in list.ok_or(DecodeError::Schema)? {
            let token = token(element.get()).ok_or(DecodeError::Schema)?;
            self.see(kind, Some(token), time, kind == EventKind::Status);
        }
        Ok(())
    }

    fn see(&mut self, kind: EventKind, instrument: Option<&str>, venue_time_ms: Option<i64>, ended: bool) {
        self.seen.push(Seen {
            kind,
            instrument: instrument.map(str::to_owned),
            venue_time_ms,
            ended,
        });
    }
}

fn list(value: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value).ok()
}

/// The token that an element of `price_changes` names.
fn changed_token(change: &str) -> Option<&str> {
    let change: HashMap<String, &RawValue> = serde_json::from_str(change).ok()?;
    change.get("asset_id").and_then(|token| plain(token.get()))
}

/// A string in which nothing is escaped.
fn plain(value: &str) -> Option<&str> {
    unquoted(value).filter(|text| !text.contains('\\'))
}

fn unquoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}
