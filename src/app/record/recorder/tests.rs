use super::*;
use crate::clock::Moment;
use crate::sim::{Capture, CapturedFrame};
use crate::stream::{Tap, TapReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio_tungstenite::tungstenite::Message;

const NO_LIMITS: RecordLimits = RecordLimits {
    max_file_bytes: u64::MAX,
    max_file_age: None,
    max_total_bytes: u64::MAX,
};

/// A recorder in a folder of its own, and what it records.
struct Rig {
    folder: PathBuf,
    names: Names,
    tap: Tap,
    reader: TapReader,
    recorder: Recorder,
    now: Instant,
}

impl Rig {
    fn new(name: &str, limits: RecordLimits) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("feedwatch-{}-recorder-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self::within(folder, name, limits)
    }

    fn within(folder: PathBuf, name: &str, limits: RecordLimits) -> Self {
        let names = Names::new(&folder.join(name)).unwrap();
        let (tap, reader) = Tap::new(usize::MAX);
        Self {
            recorder: Recorder::new(names.clone(), limits, names.existing().unwrap()),
            folder,
            names,
            tap,
            reader,
            now: Moment::now().mono,
        }
    }

    fn take(&mut self) -> Result<(), RecordError> {
        while let Some(frame) = self.reader.try_recv() {
            self.recorder.take(&frame, self.now)?;
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) {
        self.take().unwrap();
        self.now += time;
        self.recorder.tick(self.now).unwrap();
    }

    fn received(&self, connection: u64, part: u64) -> PathBuf {
        self.names.received(Place { connection, part })
    }

    /// What all files in the folder have.
    fn bytes(&self) -> u64 {
        let files = std::fs::read_dir(&self.folder).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// A text that compresses to about as many bytes.
fn noise(bytes: usize) -> String {
    (0..bytes).map(|_| fastrand::alphanumeric()).collect()
}

fn payloads(path: &Path) -> Vec<Vec<u8>> {
    let capture = Capture::read(path).unwrap();
    assert!(!capture.is_cut_short(), "{}", path.display());
    capture.frames().iter().map(|frame| frame.payload().to_vec()).collect()
}

#[test]
fn each_connection_has_files_with_exactly_what_passed() {
    for name in ["a.jsonl", "a.jsonl.zst"] {
        let mut rig = Rig::new(name, NO_LIMITS);
        let at = Moment::now();
        let (first, second) = (rig.tap.connection(), rig.tap.connection());
        first.sent(at, "{\"key\":\"secret\"}");
        first.received(at, &Message::text("[\"\u{0}é\u{1F600}\\\"]\n"));
        second.received(at, &Message::binary(vec![0, 159, 146, 150]));
        first.received(at, &Message::text(""));
        rig.take().unwrap();
        rig.recorder.end_all(rig.now).unwrap();

        let seconds = crate::clock::unix_seconds(at.wall);
        let read = |path: &Path| Capture::read(path).unwrap();
        let frames = read(&rig.received(1, 1));
        let text = CapturedFrame::text(frames.frames()[0].at(), "[\"\u{0}é\u{1F600}\\\"]\n");
        assert_eq!(frames.frames(), [text.clone(), CapturedFrame::text(text.at(), "")]);
        assert!((text.at().unwrap() - seconds).abs() < 2e-6);
        let binary = read(&rig.received(2, 1));
        assert_eq!(binary.frames(), [CapturedFrame::binary(text.at(), &[0, 159, 146, 150])]);
        let sent = rig.names.sent(Place { connection: 1, part: 1 });
        assert_eq!(payloads(&sent), [b"{\"key\":\"secret\"}"]);
        let recorded = rig.recorder.recorded();
        assert_eq!(
            (recorded.frames, recorded.payload_bytes, recorded.texts_sent),
            (3, 17, 1)
        );
        assert_eq!((recorded.files, recorded.bytes), (3, rig.bytes()));
    }
}

#[test]
fn nothing_waits_longer_than_two_seconds() {
    let mut rig = Rig::new("a.jsonl.zst", NO_LIMITS);
    let connection = rig.tap.connection();
    connection.received(Moment::now(), &Message::text("1"));
    rig.pass(LONGEST_WAIT.saturating_sub(Duration::from_millis(1)));
    assert!(!rig.received(1, 1).exists());
    connection.received(Moment::now(), &Message::text("2"));
    rig.pass(Duration::from_millis(1));
    assert_eq!(payloads(&rig.received(1, 1)), [b"1", b"2"]);
    let text = noise(TOGETHER);
    connection.received(Moment::now(), &Message::text(text.as_str()));
    rig.take().unwrap();
    assert_eq!(
        payloads(&rig.received(1, 1)).last(),
        Some(&text.into_bytes()),
        "much is written at once"
    );
}

#[test]
fn a_connection_that_is_over_has_complete_files() {
    let mut rig = Rig::new("a.jsonl", NO_LIMITS);
    let (first, second) = (rig.tap.connection(), rig.tap.connection());
    first.received(Moment::now(), &Message::text("1"));
    second.received(Moment::now(), &Message::text("2"));
    rig.take().unwrap();
    assert!(rig.recorder.over().is_empty());
    drop(first);
    assert_eq!(rig.recorder.over(), [1]);
    rig.recorder.end(&[1], rig.now).unwrap();
    assert_eq!(payloads(&rig.received(1, 1)), [b"1"]);
    assert!(!rig.received(2, 1).exists() && rig.recorder.over().is_empty());
    assert_eq!(rig.recorder.connections.len(), 1, "nothing of it is kept");
}

#[test]
fn a_part_ends_before_it_is_too_large() {
    let limits = RecordLimits {
        max_file_bytes: 10_000,
        ..NO_LIMITS
    };
    let mut rig = Rig::new("a.jsonl.zst", limits);
    let connection = rig.tap.connection();
    let mut expected = Vec::new();
    for number in 0..20 {
        let text = noise(1000 + 100 * number);
        connection.received(Moment::now(), &Message::text(text.as_str()));
        connection.sent(Moment::now(), "PING");
        expected.push(text.into_bytes());
        rig.pass(LONGEST_WAIT);
    }
    rig.recorder.end_all(rig.now).unwrap();
    let mut found = Vec::new();
    let mut parts = 0;
    while rig.received(1, parts + 1).exists() {
        parts += 1;
        let path = rig.received(1, parts);
        let sent = rig.names.sent(Place {
            connection: 1,
            part: parts,
        });
        let size = |path: &Path| path.metadata().unwrap().len();
        assert!(size(&path) + size(&sent) <= limits.max_file_bytes);
        assert_eq!(
            payloads(&sent).len(),
            payloads(&path).len(),
            "what was sent meanwhile stands beside it"
        );
        found.extend(payloads(&path));
    }
    assert!(parts >= 4, "{parts}");
    assert_eq!(found, expected);
}

#[test]
fn a_part_ends_when_it_is_old_enough() {
    let limits = RecordLimits {
        max_file_age: Some(Duration::from_secs(60)),
        ..NO_LIMITS
    };
    let mut rig = Rig::new("a.jsonl", limits);
    let connection = rig.tap.connection();
    connection.received(Moment::now(), &Message::text("1"));
    rig.pass(LONGEST_WAIT);
    rig.pass(Duration::from_secs(59));
    connection.received(Moment::now(), &Message::text("2"));
    rig.pass(Duration::from_secs(1));
    assert!(!rig.received(1, 2).exists());
    connection.received(Moment::now(), &Message::text("3"));
    rig.pass(LONGEST_WAIT);
    assert_eq!(payloads(&rig.received(1, 1)), [b"1", b"2"]);
    assert_eq!(payloads(&rig.received(1, 2)), [b"3"]);
}

#[test]
fn the_disk_is_bounded_and_files_of_others_stay() {
    let limits = RecordLimits {
        max_file_bytes: 5_000,
        max_file_age: None,
        max_total_bytes: 20_000,
    };
    let mut rig = Rig::new("a.jsonl.zst", limits);
    let others = ["a.jsonl", "a.01.jsonl.zst", "b.jsonl.zst", "a.txt"].map(|name| rig.folder.join(name));
    for other in &others {
        std::fs::write(other, b"of somebody else").unwrap();
    }
    let of_others = rig.bytes();
    let connections = [rig.tap.connection(), rig.tap.connection(), rig.tap.connection()];
    let mut last = String::new();
    for number in 0..60 {
        last = noise(500 + 50 * number);
        // One of them is quiet after its beginning.
        let connection = if number == 0 {
            &connections[2]
        } else {
            &connections[number % 2]
        };
        connection.received(Moment::now(), &Message::text(last.as_str()));
        rig.pass(LONGEST_WAIT);
        let bytes = rig.bytes() - of_others;
        assert!(bytes <= limits.max_total_bytes, "{bytes}");
    }
    assert!(others.iter().all(|other| other.exists()));
    let recorded = rig.recorder.recorded();
    assert_eq!((recorded.frames, recorded.frames_missed), (60, 0));
    assert!(
        recorded.files_deleted > 3 && recorded.files_deleted < recorded.files,
        "{recorded}"
    );
    assert!(recorded.bytes > limits.max_total_bytes);
    rig.recorder.end_all(rig.now).unwrap();
    let left = rig.names.existing().unwrap();
    let newest = left
        .values()
        .flatten()
        .find(|(path, _)| payloads(path).contains(&last.clone().into_bytes()));
    assert!(newest.is_some(), "the newest is there");
}

#[test]
fn where_only_open_files_are_left_the_oldest_of_them_goes() {
    let limits = RecordLimits {
        max_file_bytes: 20_000,
        max_file_age: None,
        max_total_bytes: 20_000,
    };
    let mut rig = Rig::new("a.jsonl", limits);
    let (first, second) = (rig.tap.connection(), rig.tap.connection());
    first.received(Moment::now(), &Message::text(noise(9_000)));
    rig.pass(LONGEST_WAIT);
    second.received(Moment::now(), &Message::text(noise(9_000)));
    rig.pass(LONGEST_WAIT);
    second.received(Moment::now(), &Message::text("2"));
    rig.pass(LONGEST_WAIT);
    assert!(rig.received(1, 1).exists());
    first.received(Moment::now(), &Message::text(noise(9_000)));
    rig.pass(LONGEST_WAIT);
    assert!(!rig.received(1, 1).exists(), "the older one");
    assert_eq!(payloads(&rig.received(1, 2)).len(), 1);
    assert_eq!(payloads(&rig.received(2, 1)).len(), 2);
    // And what is larger than all together may be is left out.
    first.received(Moment::now(), &Message::text(noise(20_001)));
    rig.pass(LONGEST_WAIT);
    assert_eq!(rig.recorder.recorded().frames_missed, 1);
    assert!(rig.received(2, 1).exists());
}

#[test]
fn a_recording_that_goes_on_counts_what_is_there() {
    let mut rig = Rig::new("a.jsonl", NO_LIMITS);
    for number in 0..2 {
        let connection = rig.tap.connection();
        connection.received(Moment::now(), &Message::text(format!("{number}")));
        rig.take().unwrap();
    }
    rig.recorder.end_all(rig.now).unwrap();
    let before = rig.bytes();
    let limits = RecordLimits {
        max_total_bytes: before + 10,
        ..NO_LIMITS
    };
    let mut next = std::mem::ManuallyDrop::new(Rig::within(rig.folder.clone(), "a.jsonl", limits));
    let connection = next.tap.connection();
    connection.received(Moment::now(), &Message::text("third"));
    next.pass(LONGEST_WAIT);
    assert_eq!(payloads(&rig.received(3, 1)), [b"third"]);
    assert!(
        !rig.received(1, 1).exists() && rig.received(2, 1).exists(),
        "the oldest has made room"
    );
}

#[test]
fn a_file_that_is_cut_anywhere_is_read_up_to_there() {
    for name in ["a.jsonl", "a.jsonl.zst"] {
        let mut rig = Rig::new(name, NO_LIMITS);
        let connection = rig.tap.connection();
        let texts: Vec<_> = (0..12)
            .map(|number| format!("{{\"é\":\"{}\"}}\n", "ab".repeat(number)))
            .collect();
        let mut before = 0;
        for (number, text) in texts.iter().enumerate() {
            connection.received(Moment::now(), &Message::text(text.as_str()));
            if number % 4 == 3 {
                before = rig.bytes();
                rig.pass(LONGEST_WAIT);
            }
        }
        let path = rig.received(1, 1);
        let whole = std::fs::read(&path).unwrap();
        let before = usize::try_from(before).unwrap();
        assert!(before > 0 && before < whole.len());
        let cut = rig.folder.join(format!("cut-{name}"));
        let mut lengths = Vec::new();
        for end in before..=whole.len() {
            std::fs::write(&cut, &whole[..end]).unwrap();
            let capture = Capture::read(&cut).unwrap_or_else(|error| panic!("{end}: {error}"));
            let read: Vec<_> = capture.frames().iter().map(CapturedFrame::payload).collect();
            let expected: Vec<_> = texts.iter().map(String::as_bytes).take(read.len()).collect();
            assert_eq!(read, expected, "{end}");
            assert!(read.len() >= 8, "{end}: what was written before is there");
            assert!(capture.is_cut_short() || [8, 9, 10, 11, 12].contains(&read.len()));
            lengths.push(read.len());
        }
        assert!(lengths.is_sorted(), "{lengths:?}");
        assert_eq!(lengths.last(), Some(&12));
    }
}
