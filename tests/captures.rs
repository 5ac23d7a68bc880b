//! Frames as venues sent them, through the decoder.
//!
//! The project's own fixtures have the documented shapes; the recorded frames live outside the project.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

mod support;

use feedwatch::market::{DecodeError, Envelope, EventKind};
use feedwatch::sim::Capture;
use feedwatch::venue::{Polymarket, Venue};
use serde_json::Value;
use std::path::Path;
use support::capture_files;

type Seen = (EventKind, Option<String>, Option<i64>, bool);

/// An independent reading of a Polymarket frame: the whole JSON, at leisure.
fn independent_reading(frame: &str) -> Vec<Seen> {
    let bare = |kind| vec![(kind, None, None, false)];
    match frame.trim() {
        "PONG" => return bare(EventKind::Heartbeat),
        "[]" | "NO NEW ASSETS" => return bare(EventKind::Ack),
        "INVALID OPERATION" => return bare(EventKind::Error),
        _ => {}
    }
    let value: Value = serde_json::from_str(frame).unwrap();
    let events = match value {
        Value::Array(events) => events,
        event => vec![event],
    };
    events.iter().flat_map(read_event).collect()
}

fn read_event(event: &Value) -> Vec<Seen> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let time = event["timestamp"].as_str().and_then(|time| time.parse().ok());
    let one = |kind| vec![(kind, text(&event["asset_id"]), time, false)];
    match event["event_type"].as_str().unwrap() {
        "book" => one(EventKind::BookSnapshot),
        "price_change" => {
            let changes = event["price_changes"].as_array().unwrap().iter();
            changes
                .map(|change| (EventKind::BookDelta, text(&change["asset_id"]), time, false))
                .collect()
        }
        "last_trade_price" => one(EventKind::Trade),
        "best_bid_ask" => one(EventKind::Ticker),
        "tick_size_change" => one(EventKind::Status),
        "new_market" => vec![(EventKind::Status, None, time, false)],
        "market_resolved" => {
            let tokens = event["assets_ids"].as_array().unwrap().iter();
            tokens
                .map(|token| (EventKind::Status, text(token), time, true))
                .collect()
        }
        // Of the user channel.
        "trade" | "order" => one(EventKind::Other),
        other => panic!("{other}"),
    }
}

fn decode(frame: &str) -> (Vec<Seen>, Result<(), DecodeError>) {
    let mut seen = Vec::new();
    let mut visit = |e: Envelope<'_>| seen.push((e.kind, e.instrument.map(str::to_owned), e.venue_time_ms, e.ended));
    let result = Polymarket.decoder().decode(frame, &mut visit);
    (seen, result)
}

/// Every frame of the market channel and every control text decodes to what it is, and no other frame does any harm.
/// Returns how many there were of the former.
fn check_decoder(folder: &Path) -> usize {
    let mut frames = 0;
    for path in capture_files(folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for (index, frame) in Capture::read(&path).unwrap().frames().iter().enumerate() {
            let Ok(text) = std::str::from_utf8(frame.payload()) else {
                assert!(!frame.is_text(), "{name}:{index}");
                continue;
            };
            let (seen, result) = decode(text);
            if name.starts_with("market__") || name.starts_with("control__") {
                assert_eq!(result, Ok(()), "{name}:{index}");
                assert_eq!(seen, independent_reading(text), "{name}:{index}");
                assert!(!seen.is_empty(), "{name}:{index}");
                frames += 1;
            } else if name.starts_with("user__") {
                assert_eq!((result, seen[0].0), (Ok(()), EventKind::Other), "{name}:{index}");
            } else if name.starts_with("sports__") {
                assert_eq!((result, seen.len()), (Err(DecodeError::Schema), 0), "{name}:{index}");
            }
        }
    }
    frames
}

#[test]
fn every_fixture_frame_decodes_to_what_it_is() {
    assert!(check_decoder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/polymarket")) > 5);
}

#[test]
#[ignore = "needs recorded captures"]
fn every_recorded_polymarket_frame_decodes_to_what_it_is() {
    assert_eq!(check_decoder(&support::captures().join("polymarket")), 43);
}
