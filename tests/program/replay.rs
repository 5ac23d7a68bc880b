//! Recordings that are played again: by the page of the project, of several connections, and such as are damaged.

use crate::harness::{Program, Service, TempFolder, config, eventually, json, run_to_end, venue};
use feedwatch::sim::{Capture, SimulatedVenue};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const README: &str = include_str!("../../README.md");

/// The stream that the page tells to replay with.
fn example() -> String {
    let chapter = README.split("\n## Record and replay\n").nth(1).expect("the chapter");
    let block = chapter.split("```toml\n").nth(1).expect("a configuration");
    block.split("```").next().unwrap().to_owned()
}

/// Records a stream of this configuration until so many files have so many frames.
async fn record(config: &str, stream: &str, output: &Path, files: &[(&str, usize)]) -> Vec<PathBuf> {
    let configuration = crate::harness::TempFile::new("toml", config);
    let name = output.to_str().unwrap();
    let program = Program::start(&["record", stream, "--config", configuration.name(), "-o", name]);
    let paths: Vec<_> = files.iter().map(|(name, _)| output.with_file_name(name)).collect();
    for (path, (_, frames)) in paths.iter().zip(files) {
        eventually("it is recorded", async || {
            Capture::read(path).is_ok_and(|read| read.frames().len() >= *frames)
        })
        .await;
    }
    program.signal("TERM");
    program.end().await.assert_orderly();
    paths
}

/// `simulate --as-recorded`, and where it is.
async fn replaying(captures: &[&Path]) -> (Program, String) {
    let mut arguments = vec!["simulate", "--listen", "127.0.0.1:0", "--as-recorded"];
    for path in captures {
        arguments.extend(["--capture", path.to_str().unwrap()]);
    }
    let mut program = Program::start(&arguments);
    let url = |line: &str| Some(line.strip_prefix("simulated venue at ")?.to_owned());
    let url = program.err.find("URL", url).await;
    (program, url)
}

fn silent() -> SimulatedVenue {
    venue(Vec::new())
}

#[tokio::test]
async fn the_stream_of_the_page_is_recorded_and_replayed() {
    let (folder, real) = (TempFolder::new(), silent());
    let with = |url: &str| {
        let example = example();
        assert!(example.contains("\"ws://127.0.0.1:9886\""), "{example}");
        config("", &[]) + &example.replace("ws://127.0.0.1:9886", url)
    };
    let file = folder.path().join("a.jsonl.zst");
    let recorded = record(&with(&real.url()), "replay", &file, &[("a.jsonl.zst", 1)]).await;
    let (mut program, url) = replaying(&[&recorded[0]]).await;
    assert!(!url.contains("/ws/market"), "{url}");
    let told = |line: &str| line.contains("as recorded, at any path").then(|| line.to_owned());
    let told = program.err.find("what it plays", told).await;
    assert!(!told.contains("Polymarket"), "{told}");
    let mut service = Service::run(&with(&url)).await;
    let live = service.logged("replay", "live").await;
    assert_eq!((&live["accepted"], &live["refused"]), (&1.into(), &0.into()), "{live}");
    let frames = Capture::read(&recorded[0]).unwrap().frames().len();
    eventually("every frame has come", async || {
        service
            .scrape()
            .await
            .sum("feedwatch_frames_received_total", &[("stream", "replay")])
            == frames as f64
    })
    .await;
    service.stop("TERM").await.assert_orderly();
}

#[tokio::test]
async fn each_connection_of_a_stream_is_played_its_own_recording_again() {
    let (folder, real) = (TempFolder::new(), silent());
    let names = ["a.jsonl", "a.2.jsonl", "a.3.jsonl"];
    let with = |url: &str| {
        let instruments =
            "instruments = [\"11\", \"22\", \"33\", \"44\", \"55\", \"66\"]\ninstruments_per_connection = 2";
        config("", &[("a", url, "")]).replace("instruments = [\"11\", \"22\"]", instruments)
    };
    let output = folder.path().join(names[0]);
    let recorded = record(&with(&real.url()), "a", &output, &names.map(|name| (name, 1))).await;
    // Whatever the order in which they are named, and in which they connect.
    let (mut program, url) = replaying(&[&recorded[2], &recorded[0], &recorded[1]]).await;
    let service = Service::run(&with(&url)).await;
    let subscriptions = async || {
        let scrape = service.scrape().await;
        ["active", "desired"].map(|what| scrape.value(&format!("feedwatch_subscriptions_{what}"), &[("stream", "a")]))
    };
    eventually("each is in effect", async || subscriptions().await == [6.0, 6.0]).await;
    let mut played = Vec::new();
    for connection in 1..=3 {
        let recording = |line: &str| {
            let line = json(line);
            (line["what"] == "replayed" && line["connection"] == connection)
                .then(|| line["recording"].as_u64().unwrap())
        };
        played.push(program.out.find("which recording", recording).await);
    }
    played.sort_unstable();
    assert_eq!(played, [1, 2, 3]);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn parts_of_a_connection_are_played_as_one_file() {
    let folder = TempFolder::new();
    let compressed = feedwatch_zstd();
    let whole = folder.path().join("whole.jsonl.zst");
    std::fs::write(&whole, [compressed.clone(), compressed].concat()).unwrap();
    assert_eq!(Capture::read_to_play(&whole).unwrap().frames().len(), 2);
}

/// `{"t":1.5,"frame":"[]\n"}` and a line feed, as zstd.
fn feedwatch_zstd() -> Vec<u8> {
    use base64::Engine as _;
    let text = "KLUv/QRYyQAAeyJ0IjoxLjUsImZyYW1lIjoiW11cbiJ9Cke7Wn0=";
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[tokio::test]
async fn what_cannot_be_played_is_told_with_its_place() {
    let folder = TempFolder::new();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let zstd = feedwatch_zstd();
    let damaged = [zstd.as_slice(), b"this is no zstd frame"].concat();
    std::fs::create_dir(folder.path().join("folder.jsonl")).unwrap();
    let pipe = folder.path().join("pipe.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for (path, told) in [
        (
            file("empty.jsonl", b""),
            ": has no whole frame: there is nothing to play",
        ),
        (
            file("header.jsonl.zst", &zstd[..6]),
            ": has no whole frame: there is nothing to play",
        ),
        (
            file("torn.jsonl", b"{\"t\":1,\"fra"),
            ": has no whole frame: there is nothing to play",
        ),
        (
            file("a.sent.jsonl", b"{\"t\":1,\"frame\":\"x\"}\n"),
            ": has what was sent; what is played is what was received, in the file beside it without `.sent`",
        ),
        (
            file(
                "middle.jsonl",
                b"{\"t\":1,\"frame\":\"x\"}\n{\"t\":2,\"frame\":\n{\"t\":3,\"frame\":\"x\"}\n",
            ),
            ":2: EOF while parsing a value",
        ),
        (
            file("millis.jsonl", b"{\"t\":1700000000123,\"frame\":\"x\"}\n"),
            ":1: t is 1700000000123.0; must be the Unix time in seconds",
        ),
        (
            file("endless.jsonl", b"{\"t\":1e999,\"frame\":\"x\"}\n"),
            ":1: number out of range",
        ),
        (
            file("damaged.jsonl.zst", &damaged),
            ":2: cannot be decompressed from here on: ",
        ),
        (
            file("plain.jsonl.zst", b"{\"t\":1,\"frame\":\"x\"}\n"),
            ":1: cannot be decompressed from here on: ",
        ),
        (
            file("blank.jsonl", b"\n{\"t\":1,\"frame\":\"x\"}\n"),
            ":1: the line is empty",
        ),
        (pipe, ": is a pipe, a socket or a device; must be a file"),
        (folder.path().join("folder.jsonl"), ": Is a directory"),
        (folder.path().join("missing.jsonl"), ": No such file or directory"),
    ] {
        let name = path.to_str().unwrap();
        let ended = run_to_end(&["simulate", "--listen", "127.0.0.1:0", "--capture", name]).await;
        let place = if told.starts_with(':') {
            format!("{name}{told}")
        } else {
            told.to_owned()
        };
        assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{ended:#?}");
        let last = ended.err.last().unwrap();
        assert!(last.contains(&place), "{place}: {ended:#?}");
    }
}

#[tokio::test]
async fn the_second_of_several_files_is_looked_at_as_well() {
    let folder = TempFolder::new();
    let (good, empty) = (folder.path().join("a.jsonl"), folder.path().join("a.2.jsonl"));
    std::fs::write(&good, "{\"t\":1,\"frame\":\"x\"}\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    let names = [good.to_str().unwrap(), empty.to_str().unwrap()];
    let ended = run_to_end(&[
        "simulate",
        "--listen",
        "127.0.0.1:0",
        "--capture",
        names[0],
        "--capture",
        names[1],
    ])
    .await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended
            .err
            .last()
            .unwrap()
            .starts_with(&format!("{}: has no whole frame", names[1])),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn what_was_sent_and_cannot_be_read_is_told_and_keeps_nothing_from_being_played() {
    let folder = TempFolder::new();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let frame = "{\"t\":1,\"frame\":\"x\"}\n";
    let (first, second) = (file("a.jsonl", frame), file("b.jsonl", frame));
    let sent = file("a.sent.jsonl", &format!("{frame}no frame\n"));
    let (mut program, _) = replaying(&[&first, &second]).await;
    let begin = format!("{}:2: expected ident", sent.display());
    let end = ": by it no connection is known again";
    let told = |line: &str| (line.starts_with(&begin) && line.ends_with(end)).then_some(());
    program.err.find(&begin, told).await;
    // Alone, it is not even looked at.
    let (program, _) = replaying(&[&first]).await;
    program.signal("TERM");
    let ended = program.end().await;
    assert_eq!(
        (ended.code, ended.err[0].clone()),
        (Some(0), format!("{}: 1 frame", first.display())),
        "{ended:#?}"
    );
    assert!(ended.err[1].starts_with("simulated venue at "), "{ended:#?}");
}

#[tokio::test]
async fn times_that_go_back_and_a_frame_that_is_large_are_told_and_nothing_is_left_out() {
    const LARGE: usize = 20 * 1024 * 1024;
    let (folder, mut lines) = (TempFolder::new(), String::new());
    let large = "x".repeat(LARGE);
    for (at, frame) in [
        ("5.0", "[]"),
        ("3.0", "[]"),
        ("3.1", large.as_str()),
        ("3.05", "[]"),
        ("null", "[]"),
        ("-9.5", "[]"),
    ] {
        writeln!(lines, "{{\"t\":{at},\"frame\":\"{frame}\"}}").unwrap();
    }
    let file = folder.path().join("odd.jsonl");
    std::fs::write(&file, lines).unwrap();
    let name = file.to_str().unwrap();
    let (mut program, url) = replaying(&[&file]).await;
    for told in [
        format!("{name}: 6 frames"),
        format!("{name}:2: is earlier than the line before it, as 1 later lines are: it is played right after that"),
        format!(
            "{name}:3: is a frame of {LARGE} bytes: a stream that is to take it needs [transport] max_message_bytes"
        ),
    ] {
        program.err.find(&told, |line| (line == told).then_some(())).await;
    }
    let service = Service::run(&config("transport.max_message_bytes = 33554432", &[("a", &url, "")])).await;
    eventually("all six have come", async || {
        let scrape = service.scrape().await;
        let sum = |name: &str| scrape.sum(name, &[("stream", "a")]);
        sum("feedwatch_frames_received_total") == 6.0 && sum("feedwatch_received_bytes_total") == (LARGE + 10) as f64
    })
    .await;
}
