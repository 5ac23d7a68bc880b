//! Frames as venues sent them, through the whole program: every one is counted and none is lost.

use crate::harness::{Service, config};
use crate::support;
use feedwatch::sim::{Capture, SimulatedVenue};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// All recorded frames are read by then, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Plays each file to the program on a stream of its own, and compares what it counted with what is in the file.
async fn through_the_program(files: &[PathBuf]) {
    let captures: Vec<_> = files
        .iter()
        .map(|path| Arc::new(Capture::read(path).unwrap()))
        .collect();
    let venues: Vec<_> = captures.iter().map(support::replaying).collect();
    let named: Vec<_> = (0..)
        .zip(&venues)
        .map(|(number, venue)| (format!("s{number}"), venue.url()))
        .collect();
    let streams: Vec<_> = named
        .iter()
        .map(|(name, url)| (name.as_str(), url.as_str(), ""))
        .collect();
    // A pong would be one frame more.
    let service = Service::run(&config("reconnection.ping_interval_ms = 600000", &streams)).await;

    let begun = Instant::now();
    for (((path, capture), venue), (stream, _)) in files.iter().zip(&captures).zip(&venues).zip(&named) {
        let path = path.display();
        while !is_all_counted(&service, stream, capture, venue, &path.to_string()).await {
            assert!(begun.elapsed() < LIMIT, "{path}: not all is counted");
            sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

/// Whether every frame has been counted; if so, every byte must have been, too, on one connection.
async fn is_all_counted(
    service: &Service,
    stream: &str,
    capture: &Capture,
    venue: &SimulatedVenue,
    path: &str,
) -> bool {
    let (scrape, stream) = (service.scrape().await, [("stream", stream)]);
    // The answer to the subscription is one frame more.
    let expected = capture.frames().len() as f64 + 1.0;
    let received = scrape.sum("feedwatch_frames_received_total", &stream);
    assert!(received <= expected, "{path}: {received} of {expected} frames");
    if received < expected {
        return false;
    }
    let sent = venue.log().totals().sent;
    let bytes = scrape.sum("feedwatch_received_bytes_total", &stream);
    assert_eq!(bytes, sent.payload_bytes as f64, "{path}");
    let recorded: usize = capture.frames().iter().map(|frame| frame.payload().len()).sum();
    assert!(
        sent.payload_bytes > recorded as u64,
        "{path}: the venue sent every byte, and its answer"
    );
    let attempts = scrape.sum("feedwatch_connect_attempts_total", &stream);
    assert_eq!(attempts, 1.0, "{path}: the connection was kept");
    assert_eq!(scrape.sum("feedwatch_disconnects_total", &stream), 0.0, "{path}");
    true
}

#[tokio::test]
async fn every_fixture_frame_is_counted_and_none_is_lost() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/polymarket");
    through_the_program(&support::capture_files(&folder)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs recorded captures"]
async fn every_recorded_frame_is_counted_and_none_is_lost() {
    let files = support::capture_files(&support::captures());
    assert!(files.len() > 30, "{} files", files.len());
    through_the_program(&files).await;
}
