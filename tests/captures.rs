//! Frames as venues sent them: through the decoder, and through the whole program.
//!
//! The project's own fixtures have the documented shapes; the recorded frames live outside the project.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::market::{DecodeError, Envelope, EventKind};
use feedwatch::sim::{Capture, SimOptions, SimulatedVenue, Speed, Traffic};
use feedwatch::venue::{Polymarket, Venue};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use support::{Scrape, capture_files};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

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
    let result = Polymarket.decode(frame, &mut visit);
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

/// Plays each file to the program on a stream of its own, and compares what it counted with what is in the file.
async fn through_the_program(files: &[PathBuf]) {
    let mut config = String::from("exporter.listen = \"127.0.0.1:0\"\n[reconnection]\nping_interval_ms = 600000\n");
    let mut venues = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let capture = Arc::new(Capture::read(path).unwrap());
        let traffic = Traffic::Replay {
            frames: capture.clone(),
            speed: Speed::AsFastAsRead,
            repeat: false,
        };
        let venue = SimulatedVenue::start(SimOptions {
            traffic,
            ..SimOptions::default()
        })
        .unwrap();
        let url = venue.url();
        let _ = write!(
            config,
            "[[streams]]\nname = \"s{index}\"\nvenue = \"polymarket\"\nurl = \"{url}\"\ninstruments = [\"11\", \"12\"]\n"
        );
        venues.push((venue, capture));
    }
    let folder = tempfile();
    let path = folder.join("feedwatch.toml");
    fs::write(&path, config).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_feedwatch"))
        .arg("run")
        .arg("--config")
        .arg(&path)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("the program says where it listens");
        if let Some((_, rest)) = line.split_once("address=") {
            break rest.split(' ').next().unwrap().to_owned();
        }
    };
    // Its log must not pile up in the pipe.
    let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

    let begun = Instant::now();
    for (index, (venue, capture)) in venues.iter().enumerate() {
        let stream = format!("s{index}");
        let stream = [("stream", stream.as_str())];
        let name = files[index].display();
        // The answer to the subscription is one frame more.
        let expected = capture.frames().len() as f64 + 1.0;
        loop {
            let scrape = Scrape::read(&get_metrics(&address).await);
            let received = scrape.sum("feedwatch_frames_received_total", &stream);
            assert!(received <= expected, "{name}: {received} of {expected} frames");
            if received < expected {
                assert!(
                    begun.elapsed() < Duration::from_secs(300),
                    "{name}: {received} of {expected} frames"
                );
                sleep(Duration::from_millis(100)).await;
                continue;
            }
            let sent = venue.log().totals().sent;
            assert_eq!(
                scrape.sum("feedwatch_received_bytes_total", &stream),
                sent.payload_bytes as f64,
                "{name}"
            );
            let recorded: usize = capture.frames().iter().map(|frame| frame.payload().len()).sum();
            assert!(
                sent.payload_bytes > recorded as u64,
                "{name}: the venue sent every byte, and its answer"
            );
            assert_eq!(
                scrape.sum("feedwatch_connect_attempts_total", &stream),
                1.0,
                "{name}: the connection was kept"
            );
            assert_eq!(scrape.sum("feedwatch_disconnects_total", &stream), 0.0, "{name}");
            break;
        }
    }
    program.kill().await.unwrap();
    drain.await.unwrap();
    fs::remove_dir_all(folder).unwrap();
}

fn tempfile() -> PathBuf {
    let folder = std::env::temp_dir().join(format!(
        "feedwatch-captures-{}-{:x}",
        std::process::id(),
        fastrand::u64(..)
    ));
    fs::create_dir_all(&folder).unwrap();
    folder
}

async fn get_metrics(address: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

#[tokio::test]
async fn every_fixture_frame_is_counted_and_none_is_lost() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/polymarket");
    through_the_program(&capture_files(&folder)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs recorded captures"]
async fn every_recorded_frame_is_counted_and_none_is_lost() {
    let files = capture_files(&support::captures());
    assert!(files.len() > 30, "{} files", files.len());
    through_the_program(&files).await;
}
