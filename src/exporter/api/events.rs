//! What happened to streams, the newest first.

use super::{Refusal, json};
use crate::clock::unix_seconds;
use crate::exporter::rfc3339::rfc3339;
use crate::history::{Entry, Figure};
use crate::market::{Cause, DialPhase};
use crate::metrics::{StreamCells, Streams};
use hyper::StatusCode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// So many events are told where nobody says how many.
const DEFAULT_LIMIT: usize = 100;
/// More are never told at once.
const MAX_LIMIT: usize = 1000;

#[derive(serde::Serialize)]
struct Answer {
    events: Vec<Event>,
}

/// An entry of a stream's history as the API tells it.
#[derive(serde::Serialize)]
pub(super) struct Event {
    time: String,
    time_unix: f64,
    stream: String,
    venue: String,
    what: &'static str,
    cause: Option<&'static str>,
    detail: Option<String>,
    /// What else there is to tell, each by its own name.
    #[serde(flatten)]
    figures: Figures,
    /// How long the phases of the attempt took that ends here, by name, in seconds.
    phases: Phases,
    trace_id: Option<String>,
}

/// The last events of all streams, at most so many.
pub(in crate::exporter) fn events(streams: &Streams, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut newest: Vec<(Arc<StreamCells>, Entry)> = Vec::new();
    for cells in streams.all() {
        let entries = cells.history().newest_first();
        newest.extend(entries.into_iter().map(|entry| (Arc::clone(&cells), entry)));
        // Now and then, so that thousands of streams do not fill memory with what is not told.
        if newest.len() > 4 * MAX_LIMIT {
            keep_newest(&mut newest, most);
        }
    }
    keep_newest(&mut newest, most);
    json(&Answer {
        events: newest.into_iter().map(|(cells, entry)| event(&cells, entry)).collect(),
    })
}

fn keep_newest(entries: &mut Vec<(Arc<StreamCells>, Entry)>, most: usize) {
    // Stable: what happened to one stream at one moment stays in its order.
    entries.sort_by_key(|(_, entry)| Reverse(entry.at.mono));
    entries.truncate(most);
}

/// The history of one stream.
pub(super) fn of_stream(cells: &StreamCells) -> Vec<Event> {
    let entries = cells.history().newest_first();
    entries.into_iter().map(|entry| event(cells, entry)).collect()
}

/// What a query asks for: `limit=20`.
pub(in crate::exporter) fn limit(query: Option<&str>) -> Result<usize, Refusal> {
    let wrong = || {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the query must be empty, or limit= and a number from 1 to {MAX_LIMIT}"),
        )
    };
    match query.filter(|query| !query.is_empty()) {
        None => Ok(DEFAULT_LIMIT),
        Some(query) => {
            let limit = query.strip_prefix("limit=").and_then(|limit| limit.parse().ok());
            limit.filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(wrong)
        }
    }
}

fn event(cells: &StreamCells, entry: Entry) -> Event {
    let millis = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
    let time_unix = millis(unix_seconds(entry.at.wall));
    Event {
        time: rfc3339(time_unix),
        time_unix,
        stream: cells.info().stream.to_string(),
        venue: cells.venue().name().to_owned(),
        what: entry.what,
        cause: entry.cause.map(Cause::as_str),
        detail: Some(entry.detail.into_owned()).filter(|detail| !detail.is_empty()),
        figures: Figures(entry.figures),
        phases: Phases(entry.phases),
        trace_id: entry.trace.map(|trace| trace.to_string()),
    }
}

struct Figures(Vec<(&'static str, Figure)>);

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, figure) in &self.0 {
            match figure {
                Figure::Count(count) => map.serialize_entry(name, count)?,
                Figure::Time(time) => map.serialize_entry(name, &time.as_secs_f64())?,
                Figure::Word(word) => map.serialize_entry(name, word)?,
            }
        }
        map.end()
    }
}

struct Phases(Vec<(DialPhase, Duration)>);

impl Serialize for Phases {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(phase, took)| (phase.as_str(), took.as_secs_f64())))
    }
}
