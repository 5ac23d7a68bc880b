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

use feedwatch::clock::Moment;
use feedwatch::market::{DecodeError, Envelope, EventKind, StreamName};
use feedwatch::metrics::{StreamCells, StreamInfo, Streams, text};
use feedwatch::sim::Capture;
use feedwatch::venue::{Binance, Polymarket, Venue};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use support::{Scrape, capture_files};

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

/// A recorder whose clock was 1.27 s behind the venue's: each event came before its time, and that is what is shown all the while.
#[test]
#[ignore = "needs recorded captures"]
fn a_recorder_whose_clock_was_slow_shows_by_how_much() {
    let name = "usdm-combined__depth+trade+bookTicker__btcusdt__20240808__hftbacktest.jsonl.zst";
    let capture = Capture::read(support::captures().join("binance").join(name)).unwrap();
    let (shown, start) = (Streams::new(), Moment::now());
    let info = StreamInfo::new(StreamName::new("slow").unwrap(), "venue.example", "wss");
    let cells = Arc::new(StreamCells::new(info, shown.venue("binance_usdm"), start.mono));
    shown.add(&cells);
    let first = capture.frames()[0].at().unwrap();
    let mut reader = Binance::UsdM.decoder();
    let (mut events, mut looks) = (0_u32, 0_u32);
    for (index, frame) in capture.frames().iter().enumerate() {
        let at = frame.at().unwrap();
        let received = Moment {
            mono: start.mono + Duration::from_secs_f64((at - first).max(0.0)),
            wall: UNIX_EPOCH + Duration::from_secs_f64(at),
        };
        let text_of = std::str::from_utf8(frame.payload()).unwrap();
        let decoded = reader.decode(text_of, &mut |event| {
            if let Some(time) = event.venue_time_ms {
                events += 1;
                cells.latency(time, received);
            }
        });
        assert_eq!(decoded, Ok(()), "{index}");
        if index % 5000 == 4999 {
            let scrape = Scrape::read(&text::render(&shown, received));
            let skew = scrape.sum("feedwatch_stream_clock_skew_seconds", &[]);
            assert!((1.26..1.28).contains(&skew), "{index}: {skew}");
            assert!(scrape.sum("feedwatch_message_latency_seconds_count", &[]) < 1.0);
            looks += 1;
        }
    }
    assert!(events > 90_000 && looks > 15, "{events} {looks}");
}
