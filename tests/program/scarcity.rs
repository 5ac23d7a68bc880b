//! Where something runs out: who reads the log, or file descriptors.

use crate::exposition::Exposition;
use crate::harness::{LIMIT, Program, TempFile, closed_venue, command, config, get, json, venue};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
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
    let venue = venue(Vec::new());
    let url = venue.url();
    let names: Vec<_> = (0..60).map(|number| format!("s{number}")).collect();
    let streams: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), url.as_str(), "initial_delay_ms = 50"))
        .collect();
    let file = TempFile::new("toml", &config("", &streams));
    let binary = env!("CARGO_BIN_EXE_feedwatch");
    let script = format!("ulimit -n 64; exec '{binary}' run --config '{}'", file.name());
    let mut program = Program::spawn(
        Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let ready = |line: &str| {
        let line = json(line);
        (line["message"] == "ready").then(|| line["address"].as_str().unwrap().parse().unwrap())
    };
    let address: SocketAddr = program.err.find("ready", ready).await;
    let full = |scrape: &Exposition| {
        scrape.sum("feedwatch_stream_connected", &[]) >= 20.0
            && scrape.sum("feedwatch_connect_failures_total", &[("cause", "resource_limit")]) > 0.0
    };
    let scrape = scraped(address, "some live, the others out of descriptors", full).await;
    assert_eq!(
        scrape.sum("feedwatch_breaker_trips_total", &[]),
        0.0,
        "running out is no failure of the venue"
    );
    assert!(scrape.sum("feedwatch_stream_connected", &[]) < 60.0);
    program.signal("TERM");
    assert_eq!(program.end().await.code, Some(0));
}
