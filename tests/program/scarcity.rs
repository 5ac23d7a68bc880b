//! Where something runs out: who reads the log, or file descriptors.

use crate::exposition::Exposition;
use crate::harness::{
    LIMIT, Program, Service, TempFile, busy, closed_venue, command, config, eventually, get, json, venue,
};
use crate::receiver::{Mood, Receiver};
use crate::telemetry::{error_types, to};
use feedwatch::sim::{Rule, What};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// Waits until a scrape is as expected.
async fn scraped(address: SocketAddr, what: &str, expected: impl Fn(&Exposition) -> bool) -> Exposition {
    let begun = Instant::now();
    loop {
        let scrape = Exposition::parse(&get(address, "/metrics").await.body).unwrap();
        if expected(&scrape) {
            return scrape;
        }
        assert!(begun.elapsed() < LIMIT, "not in time: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_neither_scrapes_nor_the_end() {
    let restless = "initial_delay_ms = 1, max_delay_ms = 1, max_consecutive_failures = 1000000";
    let url = closed_venue().url();
    let names: Vec<_> = (0..8).map(|number| format!("s{number}")).collect();
    let streams: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), url.as_str(), restless))
        .collect();
    let file = TempFile::new("toml", &config("log.level = \"debug\"", &streams));
    let mut program = command(&["run", "--config", file.name()])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(program.stderr.take().unwrap());
    let mut line = String::new();
    let address: SocketAddr = loop {
        line.clear();
        stderr.read_line(&mut line).await.unwrap();
        let line = json(&line);
        if line["message"] == "ready" {
            break line["address"].as_str().unwrap().parse().unwrap();
        }
    };
    // From here on nobody reads; the pipe is full after some hundred lines, what waits after some thousand.
    scraped(address, "dropped lines", |scrape| {
        scrape.value("feedwatch_log_lines_dropped_total", &[]) > 0.0
    })
    .await;
    let pid = program.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "TERM", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    let status = timeout(LIMIT, program.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn streams_do_not_take_the_last_file_descriptor_from_the_metrics() {
    with_64_descriptors(0, 20.0).await;
}

#[tokio::test]
async fn descriptors_that_the_program_was_started_with_are_nobody_s() {
    with_64_descriptors(26, 5.0).await;
}

/// Sixty streams, of which so many are live at least, in a process that was started with so many descriptors open.
async fn with_64_descriptors(inherited: usize, least: f64) {
    let venue = venue(Vec::new());
    let url = venue.url();
    let names: Vec<_> = (0..60).map(|number| format!("s{number}")).collect();
    let streams: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), url.as_str(), "initial_delay_ms = 50"))
        .collect();
    let file = TempFile::new("toml", &config("", &streams));
    let receiver = Receiver::start(Mood::Take);
    let binary = env!("CARGO_BIN_EXE_feedwatch");
    let opened = format!("for ((i = 0; i < {inherited}; i++)); do exec {{held}}</dev/null; done");
    let script = format!("ulimit -n 64; {opened}; exec '{binary}' run --config '{}'", file.name());
    let mut program = Program::spawn(
        Command::new("bash")
            .args(["-c", &script])
            .envs(to(&receiver.endpoint()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let ready = |line: &str| {
        let line = json(line);
        (line["message"] == "ready").then(|| line["address"].as_str().unwrap().parse().unwrap())
    };
    let address: SocketAddr = program.err.find("ready", ready).await;
    let full = |scrape: &Exposition| {
        scrape.sum("feedwatch_stream_connected", &[]) >= least
            && scrape.sum("feedwatch_connect_failures_total", &[("cause", "resource_limit")]) > 0.0
    };
    let scrape = scraped(address, "some live, the others out of descriptors", full).await;
    assert_eq!(
        scrape.sum("feedwatch_breaker_trips_total", &[]),
        0.0,
        "running out is no failure of the venue"
    );
    assert!(scrape.sum("feedwatch_stream_connected", &[]) < 60.0);
    assert_eq!(
        causes(&scrape),
        ["resource_limit"],
        "what is out of descriptors fails for nothing else"
    );
    let before = scrape.sum("feedwatch_connect_failures_total", &[]);
    let again = |scrape: &Exposition| scrape.sum("feedwatch_connect_failures_total", &[]) > before + 40.0;
    let scrape = scraped(address, "they back off and dial again", again).await;
    assert!(scrape.sum("feedwatch_stream_state", &[("state", "backing_off")]) > 0.0);
    assert_eq!(scrape.sum("feedwatch_breaker_consecutive_failures", &[]), 0.0);
    eventually("spans of it", async || {
        !error_types(&receiver.named("stream.connect")).is_empty()
    })
    .await;
    let errors = error_types(&receiver.named("stream.connect"));
    assert!(errors.iter().all(|cause| cause == "resource_limit"), "{errors:?}");
    program.signal("TERM");
    assert_eq!(program.end().await.code, Some(0));
}

/// Why dials have failed.
fn causes(scrape: &Exposition) -> Vec<String> {
    let series = scrape.series("feedwatch_connect_failures_total", &[]);
    let failed = series.into_iter().filter(|(_, value)| *value > 0.0);
    let mut causes: Vec<_> = failed.map(|(labels, _)| labels["cause"].clone()).collect();
    causes.sort_unstable();
    causes.dedup();
    causes
}

/// A scraper that keeps its connection: it needs no further descriptor on the other side.
struct Kept(TcpStream);

impl Kept {
    async fn scrape(&mut self) -> Exposition {
        let exchange = async {
            let request = b"GET /metrics HTTP/1.1\r\nHost: feedwatch\r\n\r\n";
            self.0.write_all(request).await.unwrap();
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(self.0.read_u8().await.unwrap().into());
            }
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            self.0.read_exact(&mut body).await.unwrap();
            String::from_utf8(body).unwrap()
        };
        Exposition::parse(&timeout(LIMIT, exchange).await.expect("a scrape in time")).unwrap()
    }

    async fn until(&mut self, what: &str, expected: impl Fn(&Exposition) -> bool) -> Exposition {
        let begun = Instant::now();
        loop {
            let scrape = self.scrape().await;
            if expected(&scrape) {
                return scrape;
            }
            assert!(begun.elapsed() < LIMIT, "not in time: {what}: {:?}", causes(&scrape));
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Sets how many descriptors a process may have, while it runs. What is open stays so.
#[cfg(target_os = "linux")]
fn set_descriptors(process: u32, limit: &str) {
    let mut prlimit = std::process::Command::new("prlimit");
    prlimit.args(["--pid", &process.to_string(), &format!("--nofile={limit}:")]);
    assert!(prlimit.status().unwrap().success(), "{limit}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn when_the_system_gives_no_descriptor_streams_wait_and_are_back_when_it_does() {
    let receiver = Receiver::start(Mood::Take);
    let (quiet, refusing) = (venue(Vec::new()), venue(vec![Rule::connections(1, 40, busy())]));
    let patient = "initial_delay_ms = 50, max_delay_ms = 50, max_consecutive_failures = 100000, stable_after_ms = 100";
    let by_name = refusing.url().replace("127.0.0.1", "localhost");
    let streams = [
        ("live", &*quiet.url(), patient),
        ("by_address", &*refusing.url(), patient),
        ("by_name", &*by_name, patient),
    ];
    let service = Service::run_with(&config("", &streams), &[], &to(&receiver.endpoint())).await;
    let mut kept = Kept(TcpStream::connect(service.address).await.unwrap());
    let connected = |scrape: &Exposition, stream| scrape.value("feedwatch_stream_connected", &[("stream", stream)]);
    kept.until("one live", |scrape| connected(scrape, "live") == 1.0).await;

    set_descriptors(service.program.id(), "4");
    let out = |scrape: &Exposition, stream| {
        let labels = [("stream", stream), ("cause", "resource_limit")];
        scrape.value("feedwatch_connect_failures_total", &labels)
    };
    let scrape = kept
        .until("both out of descriptors", |scrape| {
            out(scrape, "by_address") > 5.0 && out(scrape, "by_name") > 5.0
        })
        .await;
    // From now on the venue is dialled no more, and nobody counts that as its failure.
    let failures = |scrape: &Exposition| scrape.sum("feedwatch_breaker_consecutive_failures", &[]);
    let dials = || {
        refusing
            .log()
            .entries()
            .iter()
            .filter(|entry| entry.what == What::Accepted)
            .count()
    };
    let (failures_before, dials_before) = (failures(&scrape), dials());
    assert!(dials_before < 30, "{dials_before}: the limit came too late");
    let before = out(&scrape, "by_address");
    let scrape = kept
        .until("they go on", |scrape| out(scrape, "by_address") > before + 5.0)
        .await;
    assert_eq!((failures(&scrape), dials()), (failures_before, dials_before));
    assert_eq!(causes(&scrape), ["http_status", "resource_limit"]);
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 0.0);
    assert_eq!(connected(&scrape, "live"), 1.0, "what is open stays open");
    assert_eq!(
        scrape.value(
            "feedwatch_disconnects_total",
            &[("stream", "live"), ("cause", "resource_limit")]
        ),
        0.0
    );
    // It is not accepted yet; it waits in the queue of the system.
    let late = tokio::spawn(get(service.address, "/-/healthy"));

    set_descriptors(service.program.id(), "1024");
    let all = |scrape: &Exposition| scrape.sum("feedwatch_stream_connected", &[]) == 3.0;
    let scrape = kept.until("all live", all).await;
    assert_eq!(late.await.unwrap().status, 200);
    for gauge in [
        "reconnect_current_delay_seconds",
        "reconnect_next_attempt_timestamp_seconds",
    ] {
        assert_eq!(scrape.sum(&format!("feedwatch_{gauge}"), &[]), 0.0, "{gauge}");
    }
    eventually("spans of it", async || {
        error_types(&receiver.named("stream.connect")).contains(&"resource_limit".to_owned())
    })
    .await;
    assert_eq!(service.stop("TERM").await.code, Some(0));
}
