//! Recordings, read beside an independent reader, and replayed over a socket.

use super::fixture;
use super::play::{Answering, Played, play};
use super::value::event;
use feedwatch::market::EventKind;
use feedwatch::sim::Capture;
use feedwatch::venue::Venue;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Deserialize)]
struct Recordings {
    recordings: Vec<Recording>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    file: PathBuf,
    venue: String,
    instruments: Vec<String>,
    #[serde(default)]
    channels: Vec<String>,
    /// `None` = its frames do not belong together, and are not replayed.
    gaps: Option<u64>,
    /// Whether its books have checksums.
    #[serde(default)]
    has_checksums: bool,
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/venues")
}

fn recordings() -> Vec<Recording> {
    let text = std::fs::read_to_string(here().join("recordings.toml")).unwrap();
    toml::from_str::<Recordings>(&text).unwrap().recordings
}

fn captures() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    std::env::var_os("FEEDWATCH_CAPTURES").map_or(own, PathBuf::from)
}

fn read(recording: &Recording) -> Vec<String> {
    let capture = Capture::read(captures().join(&recording.file)).unwrap();
    let text = |payload: &[u8]| std::str::from_utf8(payload).unwrap().to_owned();
    capture.frames().iter().map(|frame| text(frame.payload())).collect()
}

/// What the other reader says of the frames: their events, or `gaps`.
fn independently(what: &str, venue: &str, frames: &[String]) -> Vec<String> {
    let mut reader = Command::new("python3")
        .arg(here().join("read.py"))
        .args([what, venue])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut input = reader.stdin.take().unwrap();
    let lines: Vec<_> = frames
        .iter()
        .map(|frame| serde_json::to_string(frame).unwrap())
        .collect();
    let writing = std::thread::spawn(move || input.write_all(lines.join("\n").as_bytes()));
    let output = reader.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "{venue}: the other reader failed");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn decoded(venue: &dyn Venue, frames: &[String]) -> Vec<String> {
    let mut decoder = venue.decoder();
    let mut events = Vec::new();
    for frame in frames {
        if let Err(error) = decoder.decode(frame, &mut |envelope| events.push(event(&envelope))) {
            events.push(format!("!{}", error.as_str()));
        }
    }
    events
}

#[test]
#[ignore = "needs the captures and python3"]
fn recordings_are_read_as_another_reader_does() {
    for recording in recordings() {
        let frames = read(&recording);
        let (ours, others) = (
            decoded(&*fixture::venue(&recording.venue), &frames),
            independently("events", &recording.venue, &frames),
        );
        let first = ours.iter().zip(&others).position(|(ours, other)| ours != other);
        let at = first.unwrap_or(ours.len().min(others.len()));
        let about = (&recording.file, at, ours.get(at), others.get(at));
        assert!(
            first.is_none() && ours.len() == others.len(),
            "{about:?}, {} and {}",
            ours.len(),
            others.len()
        );
        assert!(
            ours.len() >= frames.len() / 2,
            "{:?}: hardly anything was read",
            recording.file
        );
    }
}

/// How many times a book was another than the venue's.
fn differing<'f>(venue: &dyn Venue, frames: impl Iterator<Item = &'f String>) -> usize {
    let mut checksums = venue.checksums().expect("it has checksums");
    let mut differing = 0;
    for frame in frames {
        checksums.check(frame, &mut |_| differing += 1);
    }
    differing
}

#[test]
#[ignore = "needs the captures"]
fn books_of_recordings_are_the_venues_until_a_frame_is_missing() {
    for recording in recordings().into_iter().filter(|recording| recording.has_checksums) {
        let (venue, frames) = (fixture::venue(&recording.venue), read(&recording));
        assert_eq!(differing(&*venue, frames.iter()), 0, "{:?}", recording.file);
        let with_holes = frames
            .iter()
            .enumerate()
            .filter(|(index, _)| index % 50 != 49)
            .map(|(_, frame)| frame);
        assert_ne!(differing(&*venue, with_holes), 0, "{:?}", recording.file);
    }
}

#[test]
fn each_venue_has_a_recording_where_there_is_one() {
    for recording in recordings() {
        assert_eq!(fixture::venue(&recording.venue).name(), recording.venue);
        assert!(!recording.instruments.is_empty(), "{}", recording.file.display());
    }
}

fn counts(events: &[String]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for event in events.iter().filter(|event| !event.starts_with('!')) {
        *counts.entry(event.split(' ').next().unwrap()).or_default() += 1;
    }
    counts
}

async fn replayed(recording: &Recording, frames: Vec<String>) -> Played {
    let venue = fixture::venue(&recording.venue);
    let answering = Answering::of(fixture::dialogue(&recording.venue));
    play(venue, &recording.channels, &recording.instruments, answering, frames).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the captures and python3"]
async fn recordings_are_counted_frame_for_frame() {
    for recording in recordings().into_iter().filter(|recording| recording.gaps.is_some()) {
        let about = recording.file.display();
        let frames = read(&recording);
        let expected = decoded(&*fixture::venue(&recording.venue), &frames);
        let played = replayed(&recording, frames.clone()).await;
        let of_frames = played.figure("feedwatch_frames_received_total", "");
        // The close frame is one as well.
        assert_eq!(of_frames, frames.len() as u64 + played.answers + 1, "{about}");
        let counts = counts(&expected);
        for kind in EventKind::ALL {
            let label = format!("kind=\"{}\"", kind.as_str());
            let counted = played.figure("feedwatch_messages_total", &label);
            let answered = if *kind == EventKind::Ack { played.answers } else { 0 };
            let expected = counts.get(kind.as_str()).copied().unwrap_or(0) + answered;
            assert_eq!(counted, expected, "{about}: {}", kind.as_str());
        }
        let gaps = played.figure("feedwatch_sequence_gaps_total", "");
        assert_eq!(Some(gaps), recording.gaps, "{about}: gaps");
    }
}

/// How the frames behind the first tenth are played, in which the answers are.
fn disturbed(frames: &[String], way: &str) -> Vec<String> {
    let calm = frames.len() / 10;
    let mut played = frames[..calm].to_vec();
    for (index, pair) in frames[calm..].windows(2).enumerate() {
        let [frame, next] = pair else {
            unreachable!("it is a pair")
        };
        match (way, index % 41) {
            // Two in a row, and one alone.
            ("thinned", 11 | 12 | 30) | ("exchanged", 24) => {}
            ("repeated", 24) => played.extend([frame.clone(), frame.clone()]),
            // The next one goes first.
            ("exchanged", 23) => played.extend([next.clone(), frame.clone()]),
            _ => played.push(frame.clone()),
        }
    }
    played.extend(frames[calm..].last().cloned());
    played
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the captures and python3"]
async fn gaps_that_are_made_in_recordings_are_found_and_no_others() {
    let mut disturbed_venues = BTreeSet::new();
    for recording in recordings().into_iter().filter(|recording| recording.gaps.is_some()) {
        let frames = read(&recording);
        for way in ["as it is", "thinned", "repeated", "exchanged"] {
            let about = format!("{}, {way}", recording.file.display());
            let frames = disturbed(&frames, way);
            let counted = independently("gaps", &recording.venue, &frames);
            let [gaps, missed] = counted.iter().map(|count| count.parse().unwrap()).collect::<Vec<u64>>()[..] else {
                panic!("{about}: {counted:?}")
            };
            let found = replayed(&recording, frames).await.gaps_and_missed();
            assert_eq!(found, (gaps, missed), "{about}");
            if matches!(way, "as it is" | "repeated") {
                assert_eq!(Some(gaps), recording.gaps, "{about}");
            } else if Some(gaps) > recording.gaps {
                disturbed_venues.insert(recording.venue.clone());
            }
        }
    }
    // Of all others next to nothing is numbered in what was recorded.
    let all = [
        "binance",
        "binance_usdm",
        "bitfinex",
        "coinbase_exchange",
        "deribit",
        "kraken_futures",
    ];
    assert!(
        disturbed_venues.iter().map(String::as_str).eq(all),
        "{disturbed_venues:?}"
    );
}
