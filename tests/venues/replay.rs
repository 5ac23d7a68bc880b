//! Recordings, read beside an independent reader, and replayed over a socket.

use super::fixture;
use super::fixture::Answers;
use super::server::{Listening, answer};
use super::sockets::stream;
use super::value::event;
use feedwatch::clock::Moment;
use feedwatch::market::{Cause, EventKind, Instrument, MarketEvent};
use feedwatch::metrics::{StreamCells, text};
use feedwatch::observe::StreamObserver;
use feedwatch::sim::Capture;
use feedwatch::stream::{MarketDataStream, Observer, TransportOptions};
use feedwatch::supervise::Policy;
use feedwatch::venue::{Feed, Venue};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

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

/// The events of the frames, by the other reader.
fn independently(venue: &str, frames: &[String]) -> Vec<String> {
    let mut reader = Command::new("python3")
        .arg(here().join("read.py"))
        .arg(venue)
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
            independently(&recording.venue, &frames),
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
        checksums.check(frame, &|_| true, &mut |_| differing += 1);
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

/// The value of a series of the stream, whose labels begin as they do.
fn figure(scrape: &str, name: &str, label: &str) -> u64 {
    let found = scrape
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
    found.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the captures and python3"]
async fn recordings_are_counted_frame_for_frame() {
    for recording in recordings().into_iter().filter(|recording| recording.gaps.is_some()) {
        let about = recording.file.display().to_string();
        timeout(Duration::from_secs(300), replayed(recording))
            .await
            .unwrap_or_else(|_| panic!("{about}: it hangs"));
    }
}

async fn replayed(recording: Recording) {
    let about = || recording.file.display().to_string();
    let frames = read(&recording);
    let venue = fixture::venue(&recording.venue);
    let expected = decoded(&*venue, &frames);
    let listening = Listening::new().await;
    let address = listening.address();
    let served = tokio::spawn(serve(
        listening,
        fixture::dialogue(&recording.venue).answers,
        frames.clone(),
    ));

    let mut feed = Feed::of(&recording.channels);
    feed.report_gaps_only = true;
    let options = TransportOptions {
        // All of it may come before the last answer.
        max_message_bytes: 256 << 20,
        ..TransportOptions::default()
    };
    let observe = |cells: &Arc<StreamCells>| -> Arc<dyn Observer> {
        Arc::new(StreamObserver::new(cells.clone(), &Policy::default()))
    };
    let (mut socket, shown) = stream(venue, address, feed, options, observe);
    let instruments: Vec<_> = recording.instruments.iter().map(|id| Instrument::new(id)).collect();
    socket.connect().await.unwrap();
    socket.subscribe(&instruments).await.unwrap();
    let end = loop {
        match socket.next_event().await {
            Some(MarketEvent::Disconnected { cause, .. }) => break cause,
            Some(_) => {}
            None => panic!("it does not say why"),
        }
    };
    assert_eq!(end, Cause::CloseNormal, "{}", about());
    socket.close().await;

    let answers = served.await.unwrap();
    let scrape = text::render(&shown, Moment::now());
    let of_frames = figure(&scrape, "feedwatch_frames_received_total", "");
    // The close frame is one as well.
    assert_eq!(of_frames, (frames.len() + answers + 1) as u64, "{}", about());
    let counts = counts(&expected);
    for kind in EventKind::ALL {
        let counted = figure(
            &scrape,
            "feedwatch_messages_total",
            &format!("kind=\"{}\"", kind.as_str()),
        );
        let answered = if *kind == EventKind::Ack { answers as u64 } else { 0 };
        let expected = counts.get(kind.as_str()).copied().unwrap_or(0) + answered;
        assert_eq!(counted, expected, "{}: {}", about(), kind.as_str());
    }
    let gaps = figure(&scrape, "feedwatch_sequence_gaps_total", "");
    assert_eq!(Some(gaps), recording.gaps, "{}: gaps", about());
}

/// Answers what is asked, sends the frames, and closes. Returns how many answers there were.
async fn serve(listening: Listening, answers: Option<Answers>, frames: Vec<String>) -> usize {
    let mut client = listening.accept().await;
    let mut answered = 0;
    match &answers {
        // Until nothing more is asked: a request may wait for its turn.
        Some(answers) => {
            while let Ok(Some(request)) = timeout(Duration::from_secs(2), client.text()).await {
                for text in answer(answers, &request) {
                    client.feed(Message::text(text)).await;
                    answered += 1;
                }
                client.flush().await;
            }
        }
        None => drop(client.text().await.expect("it asks")),
    }
    for frame in frames {
        client.feed(Message::text(frame)).await;
    }
    client.feed(Message::Close(None)).await;
    client.flush().await;
    while client.text().await.is_some() {}
    answered
}
