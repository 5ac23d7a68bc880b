//! Reads the envelopes of frames: rows of a table, or an answer.

use crate::market::{DecodeError, Envelope, EventKind};
use crate::venue::object::Each;
use crate::venue::{time, wire};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::borrow::Cow;

type Visit<'v> = &'v mut dyn FnMut(Envelope<'_>);

/// The answer to a ping.
pub(super) const PONG: &str = "pong";

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Frame<'f> {
    #[serde(borrow)]
    table: Option<&'f str>,
    #[serde(borrow)]
    action: Option<&'f str>,
    #[serde(borrow)]
    data: Option<&'f RawValue>,
    filter: Option<Filter<'f>>,
    /// The topic that was asked for.
    #[serde(borrow)]
    pub(super) subscribe: Option<&'f str>,
    #[serde(borrow)]
    pub(super) unsubscribe: Option<&'f str>,
    #[serde(borrow)]
    pub(super) error: Option<Cow<'f, str>>,
    #[serde(deserialize_with = "wire::lenient")]
    pub(super) status: Option<i64>,
    #[serde(borrow)]
    pub(super) request: Option<Request<'f>>,
    /// How the venue greets.
    #[serde(borrow)]
    info: Option<&'f RawValue>,
}

/// What is answered.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Request<'f> {
    #[serde(borrow)]
    pub(super) op: Option<&'f str>,
    /// A list of topics, or one.
    #[serde(borrow)]
    pub(super) args: Option<&'f RawValue>,
}

/// What rows are shown: those of an instrument.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Filter<'f> {
    #[serde(borrow)]
    symbol: Option<&'f str>,
}

#[derive(Deserialize)]
struct Row<'f> {
    #[serde(borrow)]
    symbol: &'f str,
    #[serde(borrow, default)]
    timestamp: Option<&'f str>,
}

/// What an action does to a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// All rows, when a subscription begins.
    Partial,
    Insert,
    Update,
    Delete,
}

impl Action {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "partial" => Self::Partial,
            "insert" => Self::Insert,
            "update" => Self::Update,
            "delete" => Self::Delete,
            _ => return None,
        })
    }
}

pub(super) fn decode(frame: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
    let text = frame.trim();
    if text == PONG {
        visit(Envelope::new(EventKind::Heartbeat));
        return Ok(());
    }
    let frame: Frame<'_> = serde_json::from_str(text).map_err(|error| wire::reason(&error))?;
    if let Some(table) = frame.table {
        return frame.visit_rows(table, visit);
    }
    visit(Envelope::new(if frame.error.is_some() {
        EventKind::Error
    } else if frame.subscribe.is_some() || frame.unsubscribe.is_some() {
        EventKind::Ack
    } else if frame.info.is_some() {
        EventKind::Status
    } else {
        return Err(DecodeError::Schema);
    }));
    Ok(())
}

fn kind_of(table: &str, action: Action) -> Option<EventKind> {
    Some(match table {
        "orderBookL2" | "orderBookL2_25" if action != Action::Partial => EventKind::BookDelta,
        "orderBookL2" | "orderBookL2_25" | "orderBook10" => EventKind::BookSnapshot,
        "trade" => EventKind::Trade,
        "quote" | "instrument" => EventKind::Ticker,
        "funding" | "liquidation" | "settlement" | "insurance" => EventKind::Other,
        "announcement" | "publicNotifications" | "connected" | "chat" => EventKind::Status,
        _ if table.starts_with("tradeBin") || table.starts_with("quoteBin") => EventKind::Candle,
        _ => return None,
    })
}

impl<'f> Frame<'f> {
    fn visit_rows(&self, table: &str, visit: Visit<'_>) -> Result<(), DecodeError> {
        let action = self.action.and_then(Action::of).ok_or(DecodeError::Schema)?;
        let data = self.data.ok_or(DecodeError::Schema)?;
        let kind = kind_of(table, action).ok_or(DecodeError::UnknownChannel)?;
        if !kind.is_data() {
            visit(Envelope::new(kind));
            return Ok(());
        }
        let mut tell = |row: &Row<'_>| {
            // What a subscription begins with is as old as the last change, however long ago that was.
            let timestamp = row.timestamp.filter(|_| action != Action::Partial);
            visit(Envelope {
                instrument: Some(row.symbol),
                venue_time_ms: timestamp.and_then(time::rfc3339),
                ..Envelope::new(kind)
            });
        };
        let mut last: Option<Row<'f>> = None;
        let each = |row: Row<'f>| match &mut last {
            // All times have one form, so that they compare as texts.
            Some(last) if last.symbol == row.symbol => last.timestamp = last.timestamp.max(row.timestamp),
            last => {
                if let Some(before) = last.replace(row) {
                    tell(&before);
                }
            }
        };
        let read = serde_json::Deserializer::from_str(data.get()).deserialize_seq(Each::new(each));
        if let Some(last) = last {
            tell(&last);
        } else if let (EventKind::BookSnapshot, Some(symbol)) =
            (kind, self.filter.as_ref().and_then(|only| only.symbol))
        {
            // Nobody bids or asks.
            tell(&Row {
                symbol,
                timestamp: None,
            });
        }
        read.map_err(|error| wire::reason(&error))
    }
}
