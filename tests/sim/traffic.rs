//! What the venue sends: generated events, and recorded frames.

use crate::client::{Client, NOTHING, SUBSCRIBE, generated, silent, start, within};
use crate::support;
use feedwatch::sim::{Capture, CapturedFrame, SimOptions, SimulatedVenue, Speed, Traffic, What};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/polymarket")
        .join(name)
}

pub(crate) fn replay(path: &Path, speed: Speed, repeat: bool) -> (Arc<Capture>, SimOptions) {
    let frames = Arc::new(Capture::read(path).unwrap());
    let traffic = Traffic::Replay {
        recordings: vec![Arc::clone(&frames)],
        speed,
        repeat,
    };
    (
        frames,
        SimOptions {
            traffic,
            ..SimOptions::default()
        },
    )
}

async fn expect_replayed(client: &mut Client, frames: &Capture) {
    for (index, frame) in frames.frames().iter().enumerate() {
        let message = client.next().await.unwrap().unwrap();
        assert_eq!(message.is_text(), frame.is_text(), "frame {index}");
        assert_eq!(&message.into_data()[..], frame.payload(), "frame {index}");
    }
}

#[tokio::test]
async fn a_recording_of_any_venue_begins_with_whatever_the_client_says_and_brings_its_answers() {
    let (frames, options) = replay(&fixture("market__session.jsonl"), Speed::AsFastAsRead, false);
    let venue = start(SimOptions {
        as_recorded: true,
        ..options
    });
    let elsewhere = venue.url() + "/v5/public";
    let (mut client, _) = tokio_tungstenite::client_async(
        elsewhere,
        tokio::net::TcpStream::connect(venue.address()).await.unwrap(),
    )
    .await
    .unwrap();
    assert!(
        tokio::time::timeout(NOTHING, client.next()).await.is_err(),
        "it waits for the client"
    );
    client.send(Message::text(r#"{"op":"subscribe"}"#)).await.unwrap();
    client.send(Message::text("ping")).await.unwrap();
    for (index, frame) in frames.frames().iter().enumerate() {
        let message = within(client.next()).await.unwrap().unwrap();
        assert_eq!(&message.into_data()[..], frame.payload(), "frame {index}");
    }
    assert!(
        tokio::time::timeout(NOTHING, client.next()).await.is_err(),
        "and says no more"
    );
    venue.shutdown().await;

    let problem = SimOptions {
        as_recorded: true,
        ..silent(Vec::new())
    }
    .problem();
    assert_eq!(problem.as_deref(), Some("as recorded: there is no recording"));
}

/// What the first frame says that a client is played which says these.
async fn played(venue: &SimulatedVenue, texts: &[&str]) -> (Client, String) {
    let mut client = Client::connected(venue).await;
    for text in texts {
        client.send(text).await;
    }
    let text = within(client.text()).await;
    (client, text)
}

#[tokio::test]
async fn of_several_recordings_a_connection_is_played_the_one_in_which_the_same_was_sent() {
    let frames = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| CapturedFrame::text(None, text))
            .collect::<Capture>()
    };
    let recording = |answer: &str, sent: &[&str]| Arc::new(frames(&[answer]).with_sent(&frames(sent)));
    let venue = start(SimOptions {
        traffic: Traffic::Replay {
            recordings: vec![
                recording("of a", &["conf", "a"]),
                recording("of b", &["conf", "b"]),
                recording("of b, again", &["conf", "b"]),
            ],
            speed: Speed::AsFastAsRead,
            repeat: false,
        },
        as_recorded: true,
        ..SimOptions::default()
    });
    let mut clients = Vec::new();
    for (texts, expected) in [
        // What all of them say first tells nothing.
        (["conf", "b"], "of b"),
        (["conf", "a"], "of a"),
        (["conf", "b"], "of b, again"),
        (["conf", "b"], "of b"),
        // Nobody has said this: the one that was played least, the first of several.
        (["conf", "c"], "of a"),
        (["x", "y"], "of b, again"),
    ] {
        let (client, told) = played(&venue, &texts).await;
        assert_eq!(told, expected, "{texts:?}");
        clients.push(client);
    }
    let entries = venue.log().entries().into_iter();
    let recordings: Vec<_> = entries
        .filter_map(|entry| match entry.what {
            What::Replayed { recording } => Some(recording),
            _ => None,
        })
        .collect();
    assert_eq!(recordings, [2, 1, 3, 2, 1, 3]);
    venue.shutdown().await;
}

#[test]
fn recordings_without_a_frame_are_refused() {
    for recordings in [Vec::new(), vec![Arc::new(Capture::default())]] {
        let options = SimOptions {
            traffic: Traffic::Replay {
                recordings,
                speed: Speed::AsFastAsRead,
                repeat: false,
            },
            ..SimOptions::default()
        };
        assert_eq!(
            options.problem().as_deref(),
            Some("replay: the recordings have no frames")
        );
    }
}

/// Whether every comma between JSON tokens is followed by a space, and no colon is; strings here hold neither.
fn is_spaced_like_the_venue(text: &str) -> bool {
    let bytes = text.as_bytes();
    let after = |index: usize| bytes.get(index + 1);
    bytes.iter().enumerate().all(|(index, byte)| match byte {
        b',' => after(index) == Some(&b' '),
        b':' => after(index) != Some(&b' '),
        _ => true,
    })
}

fn expect_sorted(levels: &Value, ascending: bool) {
    let prices: Vec<f64> = levels
        .as_array()
        .unwrap()
        .iter()
        .map(|level| {
            assert!(level["size"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
            level["price"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    assert!(!prices.is_empty());
    assert!(
        prices.is_sorted_by(|a, b| if ascending { a < b } else { a > b }),
        "{prices:?}"
    );
}

#[tokio::test]
async fn generated_events_have_the_venues_shapes() {
    let venue = start(SimOptions {
        traffic: Traffic::Generated { events_per_second: 1e6 },
        ..SimOptions::default()
    });
    let mut client = Client::connected(&venue).await;
    let first = client.ask(SUBSCRIBE).await;
    assert!(!first.contains(", ") && first.ends_with('\n'), "{first}");
    let first: Value = serde_json::from_str(&first).unwrap();
    for book in first.as_array().unwrap() {
        assert_eq!(book["event_type"], "book");
        assert_eq!(book["tick_size"], "0.01");
        expect_sorted(&book["bids"], true);
        expect_sorted(&book["asks"], false);
    }
    let mut seen = BTreeMap::<String, usize>::new();
    while seen.len() < 5 || seen.values().sum::<usize>() < 5000 {
        let text = client.text().await;
        assert!(
            is_spaced_like_the_venue(&text) && !text.starts_with(r#"{"event_type""#),
            "{text}"
        );
        let event: Value = serde_json::from_str(&text).unwrap();
        assert!(event["timestamp"].as_str().unwrap().parse::<i64>().unwrap() > 1_600_000_000_000);
        assert_eq!(event["market"].as_str().unwrap().len(), 66);
        let kind = event["event_type"].as_str().unwrap();
        *seen.entry(kind.to_owned()).or_default() += 1;
        if kind == "price_change" {
            let changes = event["price_changes"].as_array().unwrap();
            let ids: Vec<_> = changes.iter().map(|change| &change["asset_id"]).collect();
            assert_eq!(ids, ["11", "22"]);
            let number = |index: usize, field: &str| changes[index][field].as_str().unwrap().parse::<f64>().unwrap();
            assert!((number(0, "price") + number(1, "price") - 1.0).abs() < 1e-9);
            assert!((number(0, "best_bid") + number(1, "best_ask") - 1.0).abs() < 1e-9);
            assert!(number(0, "best_bid") < number(0, "best_ask"));
            assert_ne!(changes[0]["side"], changes[1]["side"]);
            continue;
        }
        assert!(event["asset_id"] == "11" || event["asset_id"] == "22");
        let fields: &[&str] = match kind {
            "book" => {
                assert_eq!(event.get("tick_size"), None);
                expect_sorted(&event["bids"], true);
                expect_sorted(&event["asks"], false);
                &["hash", "last_trade_price"]
            }
            "last_trade_price" => &["price", "size", "fee_rate_bps", "side", "transaction_hash"],
            "best_bid_ask" => &["best_bid", "best_ask", "spread"],
            "tick_size_change" => &["old_tick_size", "new_tick_size"],
            other => panic!("{other}"),
        };
        for field in fields {
            assert!(event[field].is_string(), "{field} in {text}");
        }
    }
    venue.shutdown().await;
}

#[tokio::test]
async fn recorded_frames_are_played_byte_for_byte_on_each_connection() {
    for name in ["market__session.jsonl", "odd__untimed-and-binary.jsonl"] {
        for speed in [Speed::AsFastAsRead, Speed::Factor(20.0)] {
            let (frames, options) = replay(&fixture(name), speed, false);
            let venue = start(options);
            for _ in 0..2 {
                let mut client = Client::subscribed(&venue).await;
                expect_replayed(&mut client, &frames).await;
                assert_eq!(client.ask("PING").await, "PONG", "nothing after the last frame");
            }
            venue.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_sent_more_than_the_socket_takes() {
    let (_, options) = replay(&fixture("market__session.jsonl"), Speed::AsFastAsRead, true);
    let venue = start(options);
    let mut client = Client::subscribed(&venue).await;
    let sent = || venue.log().totals().sent.frames();
    // Full when the count stands still.
    let full = within(async {
        loop {
            let before = sent();
            sleep(NOTHING).await;
            if sent() == before {
                return before;
            }
        }
    })
    .await;
    while client.read.frames() <= full {
        client.text().await;
    }
    assert!(sent() > full);
    within(venue.shutdown()).await;
}

#[tokio::test]
async fn paused_traffic_stops_and_pings_are_still_answered() {
    let venue = start(generated(vec![]));
    let mut client = Client::subscribed(&venue).await;
    client.text().await;
    venue.pause_traffic();
    client.send("PING").await;
    while client.text().await != "PONG" {}
    client.hears_nothing().await;
    assert_eq!(venue.log().totals().sent, client.read);
    venue.resume_traffic();
    assert!(client.text().await.contains("event_type"));
    venue.shutdown().await;
}

#[tokio::test]
async fn a_resolved_market_is_told_once_and_unknown_from_then_on() {
    let venue = start(silent(vec![]));
    let mut client = Client::subscribed(&venue).await;
    let mut other = Client::connected(&venue).await;
    other.ask(r#"{"assets_ids":["33"],"type":"market"}"#).await;
    venue.resolve(&["11", "22"]);
    let event: Value = serde_json::from_str(&client.text().await).unwrap();
    assert_eq!(event["event_type"], "market_resolved");
    assert_eq!(event["assets_ids"], serde_json::json!(["11", "22"]));
    assert_eq!(event["winning_asset_id"], "11");
    let again = client.ask(r#"{"assets_ids":["11"],"operation":"subscribe"}"#).await;
    assert_eq!(again, "[]\n");
    assert_eq!(other.ask("PING").await, "PONG", "it is not for this one");
    venue.shutdown().await;
}

#[test]
#[ignore = "needs recorded captures"]
fn every_recorded_capture_can_be_read() {
    let mut kinds = BTreeMap::<(bool, bool), usize>::new();
    let files = support::capture_files(&support::captures());
    for path in &files {
        for frame in Capture::read(path).unwrap().frames() {
            *kinds.entry((frame.is_text(), frame.at().is_some())).or_default() += 1;
        }
    }
    assert!(files.len() > 40, "{}", files.len());
    assert!(kinds.len() >= 3, "text and binary, with a time and without: {kinds:?}");
}

#[tokio::test]
#[ignore = "needs recorded captures"]
async fn recorded_polymarket_frames_are_played_byte_for_byte() {
    let files = support::capture_files(&support::captures().join("polymarket"));
    assert!(!files.is_empty());
    for path in files {
        let (frames, options) = replay(&path, Speed::AsFastAsRead, false);
        let venue = start(options);
        let mut client = Client::subscribed(&venue).await;
        expect_replayed(&mut client, &frames).await;
        assert_eq!(client.ask("PING").await, "PONG");
        assert_eq!(venue.log().totals().sent, client.read);
        venue.shutdown().await;
    }
}
