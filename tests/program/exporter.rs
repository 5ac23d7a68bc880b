//! `feedwatch run`: what it serves, and what it logs.

use crate::exposition::{Exposition, Labels};
use crate::harness::{LIMIT, Service, TempFile, busy, closed_venue, config, eventually, json, run_to_end, venue};
use feedwatch::clock::{Moment, unix_seconds};
use feedwatch::sim::{Fault, Rule};
use serde_json::{Value, json as object};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A minute until the first redial.
const PATIENT: &str = "initial_delay_ms = 60000, jitter = 0.0";

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_str().unwrap())
        .collect()
}

/// The label sets that the list of metrics promises for a metric, of each stream or venue.
fn promised_series(metric: &Value, streams: &[&str]) -> BTreeSet<Labels> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let owners: Vec<Labels> = match metric["scope"].as_str().unwrap() {
        "stream" => streams
            .iter()
            .map(|stream| [pair("venue", "polymarket"), pair("stream", stream)].into())
            .collect(),
        "venue" => vec![[pair("venue", "polymarket")].into()],
        "process" => vec![Labels::new()],
        other => panic!("scope {other}"),
    };
    let closed = metric["series"].as_array().unwrap();
    let with = |owner: &Labels, series: &Value| -> Labels {
        let more = series.as_object().unwrap().iter();
        let more = more.map(|(name, value)| pair(name, value.as_str().unwrap()));
        owner.clone().into_iter().chain(more).collect()
    };
    owners
        .iter()
        .flat_map(|owner| closed.iter().map(|series| with(owner, series)).collect::<Vec<_>>())
        .collect()
}

fn assert_is_as_listed(exposition: &Exposition, list: &[Value], streams: &[&str]) {
    // The service has no queue: it reads its streams directly.
    let of_the_service = |metric: &&Value| {
        let is_of_linux = metric["name"].as_str().unwrap().starts_with("process_");
        metric["always"] == true && (cfg!(target_os = "linux") || !is_of_linux)
    };
    let mut names = BTreeSet::new();
    for metric in list.iter().filter(of_the_service) {
        let name = metric["name"].as_str().unwrap();
        names.insert(name);
        let family = exposition.family(name);
        assert_eq!(family.kind, metric["type"], "{name}");
        assert_eq!(family.help, metric["help"], "{name}");
        assert_eq!(
            family.label_names(),
            strings(&metric["labels"]).into_iter().collect(),
            "{name}"
        );

        let identities = family.identities();
        if metric["series"].as_array().unwrap().is_empty() {
            let owners = if metric["scope"] == "stream" { streams.len() } else { 1 };
            assert_eq!(identities.len(), owners, "{name}: {identities:?}");
        } else {
            assert_eq!(identities, promised_series(metric, streams), "{name}");
        }
        let bounds = metric["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bound| bound.as_f64().unwrap());
        let bounds: Vec<_> = bounds.chain([f64::INFINITY]).collect();
        for identity in identities.iter().filter(|_| family.kind == "histogram") {
            let found: Vec<_> = family.buckets(identity).into_iter().map(|(bound, _)| bound).collect();
            assert_eq!(found, bounds, "{name}");
        }
    }
    let scraped: BTreeSet<_> = exposition.families.keys().map(String::as_str).collect();
    assert_eq!(scraped, names);
}

#[tokio::test]
async fn what_is_scraped_is_what_is_listed() {
    let (up, down) = (venue(Vec::new()), closed_venue());
    let streams = [("up", up.url(), ""), ("down", down.url(), PATIENT)];
    let streams = streams.each_ref().map(|(name, url, own)| (*name, url.as_str(), *own));
    let mut service = Service::run(&config("", &streams)).await;
    let listed = run_to_end(&["metrics", "--format", "json"]).await.stdout();
    let list: Vec<Value> = serde_json::from_str(&listed).unwrap();

    assert_is_as_listed(&service.scrape().await, &list, &["down", "up"]);
    service.logged("up", "live").await;
    service.logged("down", "backing off").await;
    let response = service.get("/metrics").await;
    assert_eq!(
        response.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let exposition = Exposition::parse(&response.body).unwrap();
    assert_is_as_listed(&exposition, &list, &["down", "up"]);

    let build = run_to_end(&["--version"]).await.stdout();
    let (info, _) = exposition.series("feedwatch_build_info", &[])[0];
    assert_eq!(build, format!("feedwatch {} ({})\n", info["version"], info["revision"]));
    assert_eq!(exposition.value("feedwatch_streams", &[]), 2.0);
    let info = [
        ("stream", "down"),
        ("server_address", "127.0.0.1"),
        ("transport", "ws"),
        ("page_on_stale", "false"),
    ];
    assert_eq!(exposition.value("feedwatch_stream_info", &info), 1.0);
    for (stream, live, cause) in [("up", 1.0, 0.0), ("down", 0.0, 1.0)] {
        assert_eq!(
            exposition.value("feedwatch_stream_connected", &[("stream", stream)]),
            live
        );
        let refused = [("stream", stream), ("cause", "tcp_refused")];
        assert_eq!(exposition.value("feedwatch_connect_failures_total", &refused), cause);
    }
    service.stop("TERM").await;
}

#[tokio::test]
async fn so_many_series_are_scraped_as_were_told_before() {
    let venue = closed_venue();
    let url = venue.url();
    for count in [1, 3] {
        let names = ["a", "b", "c"];
        let streams: Vec<_> = names[..count]
            .iter()
            .map(|name| (*name, url.as_str(), PATIENT))
            .collect();
        let text = config("", &streams);
        let file = TempFile::new("toml", &text);
        let checked = run_to_end(&["check", "--config", file.name()]).await.stdout();
        let service = Service::run(&text).await;
        let scraped: usize = {
            let families = service.scrape().await.families;
            families.values().map(|family| family.samples.len()).sum()
        };
        assert!(
            checked.ends_with(&format!(", {scraped} series\n")),
            "{scraped}: {checked}"
        );
        let ended = service.stop("TERM").await;
        let ready = ended
            .err
            .iter()
            .map(|line| json(line))
            .find(|line| line["message"] == "ready");
        assert_eq!(ready.unwrap()["series"], scraped);
    }
}

#[tokio::test]
async fn the_api_says_what_each_stream_does() {
    let (up, down) = (venue(Vec::new()), closed_venue());
    let addresses = [&up, &down].map(|venue| venue.address().to_string());
    let streams = [("up", up.url(), ""), ("down", down.url(), PATIENT)];
    let streams = streams.each_ref().map(|(name, url, own)| (*name, url.as_str(), *own));
    let mut service = Service::run(&config("", &streams)).await;
    service.logged("up", "live").await;
    service.logged("down", "backing off").await;
    let response = service.get("/api/v1/streams").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["content-type"], "application/json");
    let answer = json(&response.body);
    let by_name: BTreeMap<_, _> = answer["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| (stream["name"].as_str().unwrap(), stream))
        .collect();
    let (up, down) = (by_name["up"], by_name["down"]);

    let now = unix_seconds(Moment::now().wall);
    let is_near = |stream: &Value, field: &str, at: f64| {
        let unix = stream[format!("{field}_unix")].as_f64().unwrap();
        assert!((unix - at).abs() < 20.0, "{field}: {unix}, not {at}");
        let text = stream[field].as_str().unwrap();
        assert!(text.starts_with("20") && text.ends_with('Z'), "{field}: {text}");
    };
    assert_eq!(by_name.len(), 2);
    for (stream, state) in [(up, "live"), (down, "backing_off")] {
        let fields: BTreeSet<_> = stream.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "name venue state connected stale since since_unix breaker last_cause last_cause_at \
                        last_cause_at_unix outage_since outage_since_unix next_attempt next_attempt_unix connections endpoints subscriptions \
                        last_data last_data_unix data_age_seconds";
        assert_eq!(fields, expected.split_whitespace().collect());
        assert_eq!(stream["venue"], "polymarket");
        assert_eq!(stream["state"], state);
        assert_eq!(stream["connected"], state == "live");
        assert_eq!(stream["stale"], false);
        is_near(stream, "since", now);
    }
    assert_eq!(up["subscriptions"], object!({ "desired": 2, "active": 2, "stale": 0 }));
    assert_eq!(
        down["subscriptions"],
        object!({ "desired": 2, "active": 0, "stale": 0 })
    );
    assert_eq!(up["connections"], object!({ "desired": 1, "live": 1 }));
    assert_eq!(down["connections"], object!({ "desired": 1, "live": 0 }));
    let told = [up, down].map(|stream| &stream["endpoints"]);
    assert_eq!(told, addresses.map(|address| object!([address])).each_ref());
    for (stream, failures) in [(up, 0), (down, 1)] {
        let closed = object!({
            "state": "closed", "failures": failures, "threshold": 10, "open_until": null, "open_until_unix": null,
        });
        assert_eq!(stream["breaker"], closed);
    }
    for field in [
        "last_cause",
        "last_cause_at",
        "outage_since",
        "outage_since_unix",
        "next_attempt",
    ] {
        assert_eq!(up[field], Value::Null, "{field}");
    }
    is_near(up, "last_data", now);
    assert!((0.0..20.0).contains(&up["data_age_seconds"].as_f64().unwrap()));
    assert_eq!(down["last_cause"], "tcp_refused");
    for (field, at) in [
        ("last_cause_at", now),
        ("outage_since", now),
        ("next_attempt", now + 60.0),
    ] {
        is_near(down, field, at);
    }
    for field in ["last_data", "last_data_unix", "data_age_seconds"] {
        assert_eq!(down[field], Value::Null, "{field}");
    }
    service.stop("TERM").await;
}

#[tokio::test]
async fn it_is_ready_though_no_venue_can_be_reached() {
    let down = closed_venue();
    let mut service = Service::run(&config("", &[("down", &down.url(), PATIENT)])).await;
    service.logged("down", "backing off").await;
    for (path, body) in [("/-/healthy", "healthy\n"), ("/-/ready", "ready\n")] {
        let response = service.get(path).await;
        assert_eq!((response.status, response.body.as_str()), (200, body));
    }
    let landing = service.get("/").await;
    assert_eq!(landing.status, 200);
    assert_eq!(landing.headers["content-type"], "text/html; charset=utf-8");
    for part in [
        "href=\"/metrics\"",
        "href=\"/api/v1/streams\"",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(landing.body.contains(part), "{part} is missing: {}", landing.body);
    }
    assert_eq!(service.get("/nowhere").await.status, 404);
    service.stop("TERM").await;
}

#[tokio::test]
async fn variables_override_the_file_and_listen_overrides_both() {
    // Who follows this one does not start.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let venue = venue(Vec::new());
    let text = config("", &[("up", &venue.url(), "")]).replace("127.0.0.1:0", &taken);
    let variables = |listen| {
        [
            ("FEEDWATCH__EXPORTER__LISTEN", listen),
            ("FEEDWATCH__RECONNECTION__MAX_CONSECUTIVE_FAILURES", "7"),
        ]
    };
    for (arguments, listen) in [(&[] as &[&str], "127.0.0.1:0"), (&["--listen", "127.0.0.1:0"], &taken)] {
        let service = Service::run_with(&text, arguments, &variables(listen)).await;
        let threshold = service.scrape().await.value("feedwatch_breaker_failure_threshold", &[]);
        assert_eq!(threshold, 7.0);
        service.stop("TERM").await;
    }
}

#[tokio::test]
async fn an_occupied_port_is_named() {
    let occupant = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = occupant.local_addr().unwrap().to_string();
    let file = TempFile::new("toml", &config("", &[("a", "ws://127.0.0.1:1/", "")]));
    for arguments in [
        &["run", "--config", file.name(), "--listen", &address] as &[&str],
        &["demo", "--listen", &address],
        &["simulate", "--listen", &address],
    ] {
        let ended = run_to_end(arguments).await;
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:#?}");
        let told = ended.err.last().unwrap();
        for part in [&format!("cannot listen on {address}: "), "in use", "--listen"] {
            assert!(told.contains(part), "{part} is missing: {told}");
        }
    }
}

#[tokio::test]
async fn logs_are_json_on_stderr_and_each_line_is_counted() {
    let (up, down) = (venue(Vec::new()), closed_venue());
    let streams = [("up", up.url(), "stable_after_ms = 1"), ("down", down.url(), PATIENT)];
    let streams = streams.each_ref().map(|(name, url, own)| (*name, url.as_str(), *own));
    let mut service = Service::run(&config("log.level = \"debug\"", &streams)).await;
    service.logged("up", "stable").await;
    service.logged("down", "backing off").await;
    // A line is written before it is counted, and read here some time after.
    eventually("as many lines as are counted", async || {
        let exposition = service.scrape().await;
        let lines = service.program.err.so_far();
        ["error", "warn", "info", "debug", "trace"].into_iter().all(|level| {
            let of_level = |line: &&String| json(line)["level"].as_str().unwrap().eq_ignore_ascii_case(level);
            let lines = lines.iter().filter(of_level).count();
            exposition.value("feedwatch_log_messages_total", &[("level", level)]) == lines as f64
        })
    })
    .await;
    let ended = service.stop("TERM").await;
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.out, [] as [&str; 0], "stdout is not for logs");
    for line in &ended.err {
        let line = json(line);
        for field in ["timestamp", "level", "message"] {
            assert!(line[field].is_string(), "{field} is missing: {line}");
        }
    }
    let failed = ended
        .err
        .iter()
        .map(|line| json(line))
        .find(|line| line["message"] == "attempt failed");
    let failed = failed.unwrap();
    let told = ["level", "stream", "venue", "cause", "stage"].map(|field| failed[field].as_str().unwrap());
    assert_eq!(told, ["WARN", "down", "polymarket", "tcp_refused", "connect"]);
}

#[tokio::test]
async fn it_runs_on_when_nobody_reads_its_log_any_more() {
    let venue = venue(vec![Rule::connections(
        1,
        1,
        Fault::Close {
            code: Some(1001),
            reason: String::new(),
            after: Duration::ZERO,
        },
    )]);
    let mut service = Service::run(&config("", &[("up", &venue.url(), "initial_delay_ms = 500")])).await;
    service.logged("up", "backing off").await;
    service.program.err.stop_reading().await;
    eventually("the stream is live again", async || {
        let exposition = service.scrape().await;
        exposition.value("feedwatch_stream_connected", &[]) == 1.0
            && exposition.value("feedwatch_connect_attempts_total", &[]) == 2.0
    })
    .await;
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_secret_in_a_url_is_never_shown() {
    let cut = Fault::Cut { after: Duration::ZERO };
    let venues = [
        ("live", venue(Vec::new()), "live"),
        ("cut", venue(vec![Rule::always(cut)]), "connection lost"),
        ("busy", venue(vec![Rule::always(busy())]), "attempt failed"),
        ("refused", closed_venue(), "attempt failed"),
        (
            "rejected",
            venue(vec![Rule::always(Fault::RejectSubscription)]),
            "attempt failed",
        ),
    ];
    let urls = venues
        .each_ref()
        .map(|(_, venue, _)| format!("{}?key=hunter2", venue.url()));
    let streams: Vec<_> = venues
        .iter()
        .zip(&urls)
        .map(|((name, ..), url)| (*name, url.as_str(), PATIENT))
        .collect();
    let mut service = Service::run(&config("log.level = \"trace\"", &streams)).await;
    for (name, _, met) in &venues {
        service.logged(name, met).await;
    }
    for path in ["/metrics", "/api/v1/streams", "/"] {
        let body = service.get(path).await.body;
        assert!(!body.contains("hunter2"), "{path}: {body}");
    }
    let ended = service.stop("TERM").await;
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr().contains("hunter2"), "{ended:#?}");
}

#[tokio::test]
async fn a_connection_that_is_kept_open_serves_one_scrape_after_the_other() {
    let venue = venue(Vec::new());
    let service = Service::run(&config("", &[("up", &venue.url(), "")])).await;
    let mut socket = TcpStream::connect(service.address).await.unwrap();
    for _ in 0..3 {
        socket
            .write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nhealthy\n") {
            answer.push(timeout(LIMIT, socket.read_u8()).await.unwrap().unwrap());
        }
    }
    // It does not keep the program from ending, either.
    service.stop("TERM").await.assert_orderly();
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0);
}
