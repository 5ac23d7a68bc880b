//! `feedwatch record`, and its files as the simulated venue plays them.

use crate::harness::{
    Ended, LIMIT, Program, Service, TempFile, TempFolder, closed_venue, config, eventually, json, run_to_end, venue,
};
use crate::support;
use feedwatch::sim::{Capture, CapturedFrame, Fault, Rule, SimOptions, SimulatedVenue, Traffic};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

const NEVER: Duration = Duration::from_secs(600);

/// A stream `a` at this venue, which is redialled at once and pinged so often.
fn of(venue: &SimulatedVenue, ping_interval: Duration) -> TempFile {
    let millis = ping_interval.as_millis();
    let reconnection = &format!("initial_delay_ms = 1, ping_interval_ms = {millis}");
    TempFile::new("toml", &config("", &[("a", &venue.url(), reconnection)]))
}

fn record(config: &TempFile, output: &Path, arguments: &[&str]) -> Program {
    let output = output.to_str().unwrap();
    let first = ["record", "a", "--config", config.name(), "-o", output];
    Program::start(&[&first, arguments].concat())
}

async fn stop(program: Program, signal: &str) -> Ended {
    program.signal(signal);
    program.end().await
}

/// Its frames; there is nothing missing.
fn frames(path: &Path) -> Vec<CapturedFrame> {
    let capture = Capture::read(path).unwrap();
    assert!(!capture.is_cut_short(), "{}", path.display());
    capture.frames().to_vec()
}

fn texts(path: &Path) -> Vec<String> {
    let text = |frame: &CapturedFrame| String::from_utf8(frame.payload().to_vec()).unwrap();
    frames(path).iter().map(text).collect()
}

/// The figures of the line that is printed at the end.
fn figures(ended: &Ended) -> Vec<u64> {
    let line = ended.out.last().unwrap_or_else(|| panic!("{ended:#?}"));
    let numbers = line.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// What frames are, but for their times.
fn content(frames: &[CapturedFrame]) -> Vec<(bool, String)> {
    let content = |frame: &CapturedFrame| {
        let payload = String::from_utf8(frame.payload().to_vec()).unwrap();
        (frame.is_text(), payload)
    };
    frames.iter().map(content).collect()
}

fn fixture() -> Arc<Capture> {
    Arc::new(Capture::read("tests/fixtures/polymarket/market__session.jsonl").unwrap())
}

#[tokio::test]
async fn what_is_recorded_is_what_was_played_frame_for_frame() {
    let played = fixture();
    for name in ["a.jsonl.zst", "a.jsonl"] {
        let (folder, venue) = (TempFolder::new(), support::replaying(&played));
        let (config, file) = (of(&venue, NEVER), folder.path().join(name));
        let program = record(&config, &file, &[]);
        // The answer to the subscription comes first.
        let all = played.frames().len() + 1;
        eventually("every frame is on the disk", async || {
            Capture::read(&file).is_ok_and(|read| read.frames().len() >= all)
        })
        .await;
        let ended = stop(program, "TERM").await;
        ended.assert_orderly();

        let recorded = frames(&file);
        assert_eq!(content(&recorded[1..]), content(played.frames()));
        assert!(recorded.is_sorted_by_key(|frame| frame.at().map(f64::to_bits)));
        let sent = texts(&folder.path().join("a.sent.jsonl"));
        assert!(sent.len() == 1 && sent[0].contains("assets_ids"), "{sent:?}");
        let figures = figures(&ended);
        assert_eq!(figures[0], all as u64, "{ended:#?}");
        assert_eq!(
            (figures[2], figures[3], figures[5], figures[6]),
            (1, 2, 0, 0),
            "{ended:#?}"
        );

        // And it goes round: what is recorded of its replay is the same again.
        let replay = Arc::new(Capture::read(&file).unwrap());
        let (folder, venue) = (TempFolder::new(), support::replaying(&replay));
        let (config, file) = (of(&venue, NEVER), folder.path().join(name));
        let program = record(&config, &file, &[]);
        eventually("the replay is on the disk", async || {
            Capture::read(&file).is_ok_and(|read| read.frames().len() > all)
        })
        .await;
        stop(program, "INT").await.assert_orderly();
        assert_eq!(content(&frames(&file)[1..]), content(replay.frames()));
    }
}

#[tokio::test]
async fn each_connection_has_its_own_file_and_heartbeats_are_in_it() {
    let after = Duration::from_millis(500);
    let cut = Fault::Cut { after };
    let (folder, venue) = (TempFolder::new(), venue(vec![Rule::connections(1, 1, cut)]));
    let (config, first) = (
        of(&venue, Duration::from_millis(200)),
        folder.path().join("a.jsonl.zst"),
    );
    let second = folder.path().join("a.2.jsonl.zst");
    let program = record(&config, &first, &[]);
    eventually("a heartbeat of the second connection", async || {
        second.exists() && texts(&second).contains(&"PONG".into())
    })
    .await;
    let ended = stop(program, "TERM").await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for file in [&first, &second] {
        let texts = texts(file);
        assert!(texts[0].starts_with("[{"), "{texts:?}");
        assert!(texts.contains(&"PONG".into()), "{texts:?}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let sent = folder.path().join("a.2.sent.jsonl");
    assert!(texts(&sent)[0].contains("assets_ids"));
    assert_eq!(sent.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        figures(&ended)[0],
        (frames(&first).len() + frames(&second).len()) as u64
    );
    let recorded = |line: &&String| json(line)["message"] == "recorded";
    assert_eq!(ended.err.iter().filter(recorded).count(), 2, "{ended:#?}");
}

#[tokio::test]
async fn a_recording_that_is_killed_can_be_read_and_played_up_to_there() {
    let traffic = Traffic::Generated {
        events_per_second: 300.0,
    };
    let venue = SimulatedVenue::start(SimOptions {
        traffic,
        ..SimOptions::default()
    })
    .unwrap();
    let (folder, config) = (TempFolder::new(), of(&venue, NEVER));
    let file = folder.path().join("a.jsonl.zst");
    let program = record(&config, &file, &[]);
    let written = async || Capture::read(&file).map_or(0, |read| read.frames().len());
    eventually("it has written twice", async || written().await > 700).await;
    let before = written().await;
    program.signal("KILL");
    assert_eq!(program.end().await.code, None);
    let capture = Capture::read(&file).unwrap();
    assert!(capture.frames().len() >= before);

    // As if it was killed while it wrote.
    let bytes = std::fs::read(&file).unwrap();
    let torn: PathBuf = folder.path().join("torn.jsonl.zst");
    std::fs::write(&torn, &bytes[..bytes.len() - 10]).unwrap();
    let part = Capture::read(&torn).unwrap();
    assert!(part.is_cut_short());
    assert_eq!(part.frames(), &capture.frames()[..part.frames().len()]);
    let name = torn.to_str().unwrap();
    let mut program = Program::start(&["simulate", "--listen", "127.0.0.1:0", "--capture", name]);
    let told = format!(
        "{name}: its end is missing; the {} frames up to there are played",
        part.frames().len()
    );
    program.err.find(&told, |line| (line == told).then_some(())).await;
    let url = |line: &str| Some(line.strip_prefix("simulated venue at ")?.to_owned());
    let url = program.err.find("URL", url).await;
    let service = Service::run(&crate::harness::config("", &[("b", &url, "")])).await;
    eventually("a part of it is played", async || {
        service
            .scrape()
            .await
            .sum("feedwatch_frames_received_total", &[("stream", "b")])
            > 10.0
    })
    .await;
}

#[tokio::test]
async fn what_is_there_is_not_touched_and_can_be_gone_on_after() {
    let (folder, venue) = (TempFolder::new(), venue(Vec::new()));
    let (config, file) = (of(&venue, NEVER), folder.path().join("a.jsonl"));
    std::fs::write(folder.path().join("a.3.jsonl"), "{\"t\":1,\"frame\":\"old\"}\n").unwrap();
    let ended = record(&config, &file, &[]).end().await;
    let told = format!(
        "{}: choose another name, or go on after it with --resume",
        folder.path().join("a.3.jsonl").display().to_string() + " exists"
    );
    assert_eq!((ended.code, ended.stderr()), (Some(2), told));
    assert!(!file.exists());

    let begun = tokio::time::Instant::now();
    let ended = record(&config, &file, &["--resume", "--for", "1s"]).end().await;
    assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < LIMIT);
    ended.assert_orderly();
    assert!(texts(&folder.path().join("a.4.jsonl"))[0].starts_with("[{"));
    assert_eq!(texts(&folder.path().join("a.3.jsonl")), ["old"]);
}

#[tokio::test]
async fn what_is_numbered_too_high_to_be_gone_on_after_is_told() {
    let (folder, venue) = (TempFolder::new(), venue(Vec::new()));
    let (config, file) = (of(&venue, NEVER), folder.path().join("a.jsonl"));
    let high = folder.path().join(format!("a.{}.sent.jsonl", u64::MAX));
    std::fs::write(&high, "").unwrap();
    let ended = record(&config, &file, &["--resume"]).end().await;
    let told = format!(
        "{}: is numbered so high that a recording cannot go on after it: give it another name",
        high.display()
    );
    assert_eq!((ended.code, ended.stderr()), (Some(2), told));
}

#[tokio::test]
async fn of_what_cannot_be_written_no_empty_file_stays() {
    let (folder, venue) = (TempFolder::new(), venue(Vec::new()));
    let (config, file) = (of(&venue, NEVER), folder.path().join("a.jsonl"));
    let binary = env!("CARGO_BIN_EXE_feedwatch");
    // No file may have a single byte: as on a disk that is full.
    let script = format!(
        "trap '' XFSZ; ulimit -f 0; exec '{binary}' record a --config '{}' -o '{}'",
        config.name(),
        file.display()
    );
    let ended = Program::spawn(
        Command::new("bash")
            .args(["-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )
    .end()
    .await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let told = format!("cannot write {}: ", folder.path().join("a.sent.jsonl").display());
    assert!(ended.err.last().unwrap().starts_with(&told), "{ended:#?}");
    assert_eq!(figures(&ended)[3], 0, "no file: {ended:#?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_ends_it_with_an_error() {
    let (folder, venue) = (TempFolder::new(), venue(Vec::new()));
    let (config, file) = (of(&venue, NEVER), folder.path().join("a.jsonl"));
    let mut program = record(&config, &file, &[]);
    let begun = |line: &str| (json(line)["message"] == "recording").then_some(());
    program.err.find("its beginning", begun).await;
    // Somebody else takes the name before anything is written, which takes two seconds.
    std::fs::create_dir(folder.path().join("a.sent.jsonl")).unwrap();
    let ended = program.end().await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let told = format!("cannot write {}: ", folder.path().join("a.sent.jsonl").display());
    assert!(ended.err.last().unwrap().starts_with(&told), "{ended:#?}");
    assert_eq!(figures(&ended)[0], 0);
}

#[tokio::test]
async fn a_recording_in_which_there_is_nothing_has_an_exit_code_of_its_own() {
    let (folder, venue) = (TempFolder::new(), closed_venue());
    let (config, file) = (of(&venue, NEVER), folder.path().join("a.jsonl"));
    let ended = record(&config, &file, &["--for", "500ms"]).end().await;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(figures(&ended)[0], 0);
    assert!(
        ended
            .err
            .last()
            .unwrap()
            .starts_with("nothing was recorded: not one frame came"),
        "{ended:#?}"
    );
    let mut program = record(&config, &file, &[]);
    let begun = |line: &str| (json(line)["message"] == "recording").then_some(());
    program.err.find("its beginning", begun).await;
    assert_eq!(stop(program, "TERM").await.code, Some(3));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_told() {
    let venue = venue(Vec::new());
    let config = of(&venue, NEVER);
    let arguments = |more: &[&str]| -> Vec<String> {
        let first = ["record", "--config", config.name()];
        first.iter().chain(more).map(ToString::to_string).collect()
    };
    for (more, told) in [
        (
            &["b", "-o", "x.jsonl"] as &[&str],
            "no stream is called \"b\"; the configuration has: a",
        ),
        (
            &["a", "-o", "x.json"],
            "x.json: the name of a recording must end in .jsonl or .jsonl.zst",
        ),
        (
            &["a", "-o", "/nowhere/x.jsonl"],
            "cannot read the folder of /nowhere/x.jsonl: No such file",
        ),
        (&["a"], "--output <FILE>"),
        (
            &["a", "-o", "x.jsonl", "--max-file-size", "5"],
            "write a size like 64MiB, 2GiB or 1TiB",
        ),
        (&["a", "-o", "x.jsonl", "--max-file-age", "0s"], "must be at least 1s"),
        (
            &["a", "-o", "x.jsonl", "--max-file-age", "999ms"],
            "must be at least 1s",
        ),
        (
            &["a", "-o", "x.jsonl", "--max-total-size", "1MiB"],
            "the files of a part may have 268435456 bytes, and all together 1048576: raise --max-total-size",
        ),
    ] {
        let arguments = arguments(more);
        let ended = run_to_end(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr().contains(told), "{told}: {ended:#?}");
    }
}

#[tokio::test]
#[ignore = "needs the zstd program"]
async fn the_zstd_program_reads_what_is_recorded() {
    let played = fixture();
    let (folder, venue) = (TempFolder::new(), support::replaying(&played));
    let (config, file) = (of(&venue, NEVER), folder.path().join("a.jsonl.zst"));
    let program = record(&config, &file, &[]);
    eventually("it is written", async || {
        Capture::read(&file).is_ok_and(|read| !read.frames().is_empty())
    })
    .await;
    stop(program, "TERM").await.assert_orderly();
    let zstd = std::process::Command::new("zstd")
        .arg("-dc")
        .arg(&file)
        .output()
        .unwrap();
    assert!(zstd.status.success(), "{zstd:?}");
    let plain = folder.path().join("plain.jsonl");
    std::fs::write(&plain, zstd.stdout).unwrap();
    assert_eq!(frames(&plain), frames(&file));
}
