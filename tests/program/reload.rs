//! A reload: all of it or nothing, and no socket that need not be touched. The venues' logs prove it.

use crate::exposition::Exposition;
use crate::harness::{
    LIMIT, Program, Service, TempFile, TempFolder, closed_venue, command, config, eventually, free_address, get, json,
    venue,
};
use feedwatch::sim::{Fault, Rule, SimulatedVenue, What};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::timeout;

const FIRST: &str = "instruments = [\"11\", \"22\"]";
const SUCCESSFUL: &str = "feedwatch_config_last_reload_successful";
const SUCCESS_TIME: &str = "feedwatch_config_last_reload_success_timestamp_seconds";
const HASH: &str = "feedwatch_config_hash";

fn quiet() -> SimulatedVenue {
    venue(Vec::new())
}

/// What the venue did, and what was done to it.
fn seen(venue: &SimulatedVenue) -> Vec<(u64, What)> {
    let entries = venue.log().entries().into_iter();
    entries.map(|entry| (entry.connection, entry.what)).collect()
}

fn dials(venue: &SimulatedVenue) -> usize {
    seen(venue).iter().filter(|(_, what)| *what == What::Accepted).count()
}

async fn happened(venue: &SimulatedVenue, connection: u64, what: What) {
    let wanted = (connection, what);
    eventually(&format!("{wanted:?}"), async || seen(venue).contains(&wanted)).await;
}

/// The names of the streams that have a series.
fn shown(scrape: &Exposition) -> BTreeSet<String> {
    let families = scrape.families.values();
    let series = families.flat_map(|family| family.samples.keys());
    series.filter_map(|(_, labels)| labels.get("stream").cloned()).collect()
}

async fn shows(service: &Service, names: &[&str]) {
    let names: BTreeSet<_> = names.iter().map(|name| (*name).to_owned()).collect();
    eventually(&format!("{names:?}"), async || shown(&service.scrape().await) == names).await;
}

/// The lines of `stream` with this message.
fn told(service: &Service, stream: &str, message: &str) -> Vec<Value> {
    let lines = service.program.err.so_far().into_iter().map(|line| json(&line));
    lines
        .filter(|line| line["stream"] == stream && line["message"] == message)
        .collect()
}

fn counts(line: &Value) -> [u64; 5] {
    assert_eq!(line["message"], "configuration taken over", "{line}");
    ["added", "removed", "replaced", "changed", "unchanged"].map(|name| line[name].as_u64().unwrap())
}

fn assert_refused(line: &Value) {
    let message = "configuration refused: the one before it stays in force";
    assert_eq!(
        (&line["message"], &line["level"]),
        (&message.into(), &"ERROR".into()),
        "{line}"
    );
}

async fn live(streams: &[(&str, &str, &str)]) -> Service {
    let mut service = Service::run(&config("", streams)).await;
    for (name, ..) in streams {
        service.logged(name, "live").await;
    }
    service
}

#[tokio::test]
async fn streams_come_and_go_and_the_others_keep_their_sockets() {
    let [kept, gone, changed, new] = [quiet(), quiet(), quiet(), quiet()];
    let mut service = live(&[
        ("kept", &kept.url(), ""),
        ("gone", &gone.url(), ""),
        ("changed", &changed.url(), "max_consecutive_failures = 10"),
    ])
    .await;
    let before = service.scrape().await;
    let (kept_before, changed_before) = (seen(&kept), seen(&changed));
    let next = config(
        "",
        &[
            ("new", &new.url(), ""),
            ("kept", &kept.url(), ""),
            (
                "changed",
                &changed.url(),
                "max_consecutive_failures = 3, page_on_stale = true",
            ),
        ],
    );
    assert_eq!(counts(&service.reload(&next).await), [1, 1, 0, 1, 1]);
    assert_eq!(service.get("/-/ready").await.status, 200);
    assert_eq!(told(&service, "new", "added").len(), 1);
    assert_eq!(told(&service, "gone", "removed").len(), 1);
    let line = &told(&service, "changed", "changed: it keeps its connection")[0];
    assert_eq!(
        line["keys"],
        "reconnection.max_consecutive_failures, reconnection.page_on_stale"
    );

    // What was removed says goodbye, and leaves nothing behind.
    let ended = service.logged("gone", "connection ended").await;
    assert_eq!(
        (&ended["cause"], &ended["level"]),
        (&"reload".into(), &"INFO".into()),
        "{ended}"
    );
    service.logged("gone", "stopped").await;
    happened(&gone, 1, What::ClosedByClient { code: Some(1000) }).await;
    service.logged("new", "live").await;
    shows(&service, &["changed", "kept", "new"]).await;

    let scrape = service.scrape().await;
    let threshold = |stream| scrape.value("feedwatch_breaker_failure_threshold", &[("stream", stream)]);
    assert_eq!((threshold("changed"), threshold("kept")), (3.0, 10.0));
    let [(labels, _)] = scrape.series("feedwatch_stream_info", &[("stream", "changed")])[..] else {
        panic!("one series");
    };
    assert_eq!(labels["page_on_stale"], "true");
    for stream in ["kept", "changed"] {
        let value = |name| scrape.value(name, &[("stream", stream)]);
        assert_eq!(value("feedwatch_stream_connected"), 1.0);
        assert_eq!(value("feedwatch_connect_attempts_total"), 1.0);
        assert_eq!(scrape.sum("feedwatch_disconnects_total", &[("stream", stream)]), 0.0);
    }
    assert_eq!((seen(&kept), seen(&changed)), (kept_before, changed_before));
    assert_eq!((dials(&gone), dials(&new)), (1, 1));
    assert_eq!(
        (scrape.value(SUCCESSFUL, &[]), scrape.value("feedwatch_streams", &[])),
        (1.0, 3.0)
    );
    assert!(scrape.value(SUCCESS_TIME, &[]) > before.value(SUCCESS_TIME, &[]));
    assert_ne!(scrape.value(HASH, &[]), before.value(HASH, &[]));
    service.stop("TERM").await.assert_orderly();
}

#[tokio::test]
async fn instruments_change_on_the_open_connection_be_it_all_of_them() {
    let venue = quiet();
    let text = config("", &[("a", &venue.url(), "")]);
    let mut service = Service::run(&text).await;
    service.logged("a", "live").await;
    let next = text.replace(FIRST, "instruments = [\"33\", \"44\", \"55\"]");
    assert_eq!(counts(&service.reload(&next).await), [0, 0, 0, 1, 0]);
    let changed = || {
        seen(&venue).iter().fold((0, 0), |sum, (_, what)| match what {
            What::SubscriptionChanged {
                added,
                refused: 0,
                removed,
            } => (sum.0 + added, sum.1 + removed),
            _ => sum,
        })
    };
    eventually("the change at the venue", async || changed() == (3, 2)).await;
    let active = async |count: f64| {
        eventually("so many in effect", async || {
            let scrape = service.scrape().await;
            let values = ["feedwatch_subscriptions_desired", "feedwatch_subscriptions_active"]
                .map(|name| scrape.value(name, &[("stream", "a")]));
            values == [count, count]
        })
        .await;
    };
    active(3.0).await;
    // And only some.
    service.reload(&next.replace("\"55\"", "\"66\"")).await;
    eventually("the change at the venue", async || changed() == (4, 3)).await;
    active(3.0).await;
    let scrape = service.scrape().await;
    assert_eq!(scrape.value("feedwatch_connect_attempts_total", &[]), 1.0);
    assert_eq!(scrape.value("feedwatch_stream_connected", &[]), 1.0);
    assert_eq!(dials(&venue), 1);
    service.stop("TERM").await.assert_orderly();
}

#[tokio::test]
async fn a_stream_whose_address_changes_ends_and_begins_again() {
    let [old, new] = [quiet(), quiet()];
    let mut service = live(&[("a", &old.url(), "")]).await;
    let line = service.reload(&config("", &[("a", &new.url(), "")])).await;
    assert_eq!(counts(&line), [0, 0, 1, 0, 0]);
    let replaced = &told(&service, "a", "replaced: it connects afresh")[0];
    assert_eq!(replaced["keys"], "url");
    let ended = service.logged("a", "connection ended").await;
    assert_eq!(ended["cause"], "reload", "{ended}");
    happened(&old, 1, What::ClosedByClient { code: Some(1000) }).await;
    eventually("live again", async || told(&service, "a", "live").len() == 2).await;
    // Nothing is left of the old one.
    let scrape = service.scrape().await;
    assert_eq!(
        scrape.value("feedwatch_connect_attempts_total", &[("stream", "a")]),
        1.0
    );
    assert_eq!(scrape.sum("feedwatch_disconnects_total", &[("stream", "a")]), 0.0);
    assert_eq!(scrape.value("feedwatch_outages_total", &[("stream", "a")]), 0.0);
    assert_eq!((dials(&old), dials(&new)), (1, 1));
    service.stop("TERM").await.assert_orderly();
}

#[tokio::test]
async fn a_query_is_an_address_too_and_is_never_told() {
    let venue = quiet();
    let url = |key| format!("{}?key={key}", venue.url());
    let mut service = live(&[("a", &url("first-secret"), "")]).await;
    let line = service.reload(&config("", &[("a", &url("second-secret"), "")])).await;
    assert_eq!(counts(&line), [0, 0, 1, 0, 0]);
    eventually("live again", async || told(&service, "a", "live").len() == 2).await;
    service.logged("a", "stopped").await;
    let broken = config("", &[("a", &format!("{} x", url("third-secret")), "")]);
    assert_refused(&service.reload(&broken).await);
    let ended = service.stop("TERM").await;
    assert!(!ended.stderr().contains("secret"), "{}", ended.stderr());
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_told_until_it_is_mended() {
    let [old, new] = [quiet(), quiet()];
    let text = config("", &[("a", &old.url(), "")]);
    let mut service = Service::run(&text).await;
    service.logged("a", "live").await;
    let (scrape, entries) = (service.scrape().await, seen(&old));
    let [hash, time] = [HASH, SUCCESS_TIME].map(|name| scrape.value(name, &[]));
    assert_eq!(scrape.value(SUCCESSFUL, &[]), 1.0);

    let streams = [
        ("a", &*old.url(), "max_delay_ms = -1"),
        ("b", &*new.url(), "jitter = 7"),
    ];
    let broken = config("", &streams);
    let path = service.config().display().to_string();
    let line = service.reload(&broken).await;
    assert_refused(&line);
    assert_eq!(line["problems"], 2);
    let lines = service.program.err.so_far();
    let problems: Vec<_> = lines
        .iter()
        .map(|line| json(line))
        .filter(|line| line["message"] == "wrong configuration")
        .map(|line| line["problem"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with(&format!("{path}:10:33: streams[0].reconnection.max_delay_ms: ")),
        "{problems:?}"
    );
    // Neither TOML, nor there at all.
    assert_refused(&service.reload("[[streams").await);
    std::fs::remove_file(service.config()).unwrap();
    service.program.signal("HUP");
    assert_refused(&service.verdict(2).await);

    let scrape = service.scrape().await;
    assert_eq!(scrape.value(SUCCESSFUL, &[]), 0.0);
    assert_eq!([HASH, SUCCESS_TIME].map(|name| scrape.value(name, &[])), [hash, time]);
    assert_eq!(
        (shown(&scrape), seen(&old)),
        (BTreeSet::from(["a".to_owned()]), entries)
    );
    assert_eq!(dials(&new), 0);
    assert_eq!(service.get("/-/ready").await.status, 200);

    // Mended: as it was.
    assert_eq!(counts(&service.reload(&text).await), [0, 0, 0, 0, 1]);
    let scrape = service.scrape().await;
    assert_eq!((scrape.value(SUCCESSFUL, &[]), scrape.value(HASH, &[])), (1.0, hash));
    assert!(scrape.value(SUCCESS_TIME, &[]) > time);
    assert_eq!(dials(&old), 1);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_with_all_the_rest() {
    let [old, new] = [quiet(), quiet()];
    let text = config("", &[("a", &old.url(), "")]);
    let mut service = Service::run(&text).await;
    service.logged("a", "live").await;
    let streams = [
        ("a", &*old.url(), "max_consecutive_failures = 3"),
        ("b", &*new.url(), ""),
    ];
    let next = config("exporter.max_connections = 7", &streams).replace("\"json\"", "\"human\"");
    let line = service.reload(&next).await;
    assert_refused(&line);
    let problem = "exporter.max_connections, log.format: cannot change while it runs; restart it, or take that back";
    assert_eq!(line["problem"], problem);
    let scrape = service.scrape().await;
    assert_eq!(scrape.value("feedwatch_breaker_failure_threshold", &[]), 10.0);
    assert_eq!((scrape.value(SUCCESSFUL, &[]), dials(&new)), (0.0, 0));
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn the_argument_that_wins_over_the_file_wins_after_a_reload_too() {
    let text = config("", &[("a", "ws://127.0.0.1:1/", "")]);
    let service = Service::run_with(&text, &["--listen", "127.0.0.1:0"], &[]).await;
    let next = text.replace("exporter.listen = \"127.0.0.1:0\"", "exporter.listen = \"127.0.0.1:1\"");
    assert_ne!(text, next);
    assert_eq!(counts(&service.reload(&next).await), [0, 0, 0, 0, 1]);
    assert_eq!(service.get("/-/ready").await.status, 200);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn the_log_level_follows_and_what_is_counted_with_it() {
    let venue = quiet();
    let text = config("", &[("a", &venue.url(), "ping_interval_ms = 20")]);
    let mut service = Service::run(&text).await;
    service.logged("a", "live").await;
    assert!(told(&service, "a", "pong").is_empty());
    let line = service.reload(&format!("log.level = \"debug\"\n{text}")).await;
    assert_eq!((counts(&line), &line["keys"]), ([0, 0, 0, 0, 1], &"log.level".into()));
    service.logged("a", "pong").await;
    let level = [("level", "debug")];
    assert!(service.scrape().await.value("feedwatch_log_messages_total", &level) > 0.0);
    service.reload(&format!("log.level = \"error\"\n{text}")).await;
    let counted = async || service.scrape().await.sum("feedwatch_log_messages_total", &[]);
    let before = counted().await;
    let pings = venue.log().totals().received.text;
    eventually("more pings", async || venue.log().totals().received.text > pings + 5).await;
    assert_eq!(counted().await, before);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_wait_goes_on_through_a_reload() {
    let venue = closed_venue();
    let waits = "initial_delay_ms = 50000, max_delay_ms = 50000, jitter = 0";
    let mut service = Service::run(&config("", &[("a", &venue.url(), waits)])).await;
    service.logged("a", "backing off").await;
    let due = "feedwatch_reconnect_next_attempt_timestamp_seconds";
    let before = service.scrape().await.value(due, &[]);
    let shorter = "initial_delay_ms = 1, max_delay_ms = 1, jitter = 0";
    let line = service.reload(&config("", &[("a", &venue.url(), shorter)])).await;
    assert_eq!(counts(&line), [0, 0, 0, 1, 0]);
    service.logged("a", "another policy is in force").await;
    let scrape = service.scrape().await;
    assert!((scrape.value(due, &[]) - before).abs() < 1.0, "{before}");
    assert_eq!(scrape.value("feedwatch_connect_attempts_total", &[]), 1.0);
    assert_eq!(scrape.value("feedwatch_outages_total", &[]), 1.0);
    // Taken away in the middle of it.
    let other = quiet();
    service.reload(&config("", &[("b", &other.url(), "")])).await;
    service.logged("a", "stopped").await;
    service.logged("b", "live").await;
    shows(&service, &["b"]).await;
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_breaker_that_is_open_stays_open_through_a_reload() {
    let venue = closed_venue();
    let tripped = "max_consecutive_failures = 1, circuit_breaker_cooldown_ms = 600000";
    let mut service = Service::run(&config("", &[("a", &venue.url(), tripped)])).await;
    service.logged("a", "breaker tripped").await;
    let until = "feedwatch_breaker_open_until_timestamp_seconds";
    let before = service.scrape().await.value(until, &[]);
    let next = "max_consecutive_failures = 5, circuit_breaker_cooldown_ms = 1";
    let text = config("", &[("a", &venue.url(), next)]).replace(FIRST, "instruments = [\"33\"]");
    assert_eq!(counts(&service.reload(&text).await), [0, 0, 0, 1, 0]);
    service.logged("a", "another policy is in force").await;
    let scrape = service.scrape().await;
    assert!((scrape.value(until, &[]) - before).abs() < 1.0);
    assert_eq!(scrape.value("feedwatch_breaker_state", &[("state", "open")]), 1.0);
    assert_eq!(scrape.sum("feedwatch_breaker_trips_total", &[]), 1.0);
    assert_eq!(scrape.value("feedwatch_connect_attempts_total", &[]), 1.0);
    assert_eq!(scrape.value("feedwatch_subscriptions_desired", &[]), 1.0);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_handshake_goes_on_through_a_reload_and_is_given_up_with_its_stream() {
    let hangs = venue(vec![Rule::always(Fault::Hang)]);
    let patient = "connect_timeout_ms = 60000";
    let text = config("", &[("a", &hangs.url(), patient)]);
    let mut service = Service::run(&text).await;
    happened(&hangs, 1, What::Hung).await;
    let before = seen(&hangs);
    let next = text.replace(FIRST, "instruments = [\"33\"]");
    assert_eq!(counts(&service.reload(&next).await), [0, 0, 0, 1, 0]);
    assert_eq!(
        service.scrape().await.value("feedwatch_subscriptions_desired", &[]),
        1.0
    );
    assert_eq!(seen(&hangs), before);
    let other = quiet();
    service.reload(&config("", &[("b", &other.url(), "")])).await;
    let given_up = service.logged("a", "attempt given up").await;
    assert_eq!(given_up["cause"], "reload", "{given_up}");
    happened(&hangs, 1, What::LostByClient).await;
    service.logged("a", "stopped").await;
    service.logged("b", "live").await;
    shows(&service, &["b"]).await;
    service.stop("TERM").await.assert_orderly();
}

#[tokio::test]
async fn the_time_limits_of_pings_reach_the_open_connection() {
    let venue = quiet();
    let service = live(&[("a", &venue.url(), "")]).await;
    // The venue's own rule is a ping each ten seconds.
    let line = service
        .reload(&config("", &[("a", &venue.url(), "ping_interval_ms = 20")]))
        .await;
    assert_eq!(counts(&line), [0, 0, 0, 1, 0]);
    let log = venue.log();
    let pings = |connection| log.counts(connection).map_or(0, |counts| counts.received.text);
    eventually("many pings", async || pings(1) > 10).await;
    assert!(log.counts(2).is_none(), "and there is no other connection");
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn of_many_signals_the_last_configuration_holds() {
    let [kept, new] = [quiet(), quiet()];
    let text = config("", &[("kept", &kept.url(), "")]);
    let mut service = Service::run(&text).await;
    service.logged("kept", "live").await;
    let name = |number: usize| format!("s{number}");
    for number in 0..10 {
        let streams = [("kept", &*kept.url(), ""), (&*name(number), &*new.url(), "")];
        std::fs::write(service.config(), config("", &streams)).unwrap();
        service.program.signal("HUP");
    }
    service.logged("s9", "live").await;
    shows(&service, &["kept", "s9"]).await;
    // A file that is being written may be empty for a moment; what was read last is whole.
    assert_eq!(service.scrape().await.value(SUCCESSFUL, &[]), 1.0);
    assert_eq!((dials(&kept), seen(&kept).len()), (1, 3), "{:?}", seen(&kept));
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_name_that_comes_back_while_the_old_stream_is_closing_is_a_new_stream() {
    // It answers no close frame: the old stream is closing for the whole time.
    let mute = venue(vec![Rule::always(Fault::Mute { after: Duration::ZERO })]);
    let [kept, again] = [quiet(), quiet()];
    let with = |streams: &[(&str, &str, &str)]| config("transport.close_timeout_ms = 9000", streams);
    let (kept, again) = (("kept", &*kept.url(), ""), ("a", &*again.url(), ""));
    let mut service = Service::run(&with(&[kept, ("a", &mute.url(), "")])).await;
    service.logged("a", "live").await;
    happened(&mute, 1, What::FaultBegan { name: "mute" }).await;
    service.reload(&with(&[kept])).await;
    service.reload(&with(&[kept, again])).await;
    eventually("live again", async || told(&service, "a", "live").len() == 2).await;
    assert!(!seen(&mute).contains(&(1, What::Ended)), "the old one is closing");
    let attempts = |scrape: Exposition| scrape.value("feedwatch_connect_attempts_total", &[("stream", "a")]);
    assert_eq!(attempts(service.scrape().await), 1.0);
    // The end of the old one takes nothing from the new one.
    happened(&mute, 1, What::Ended).await;
    assert_eq!(attempts(service.scrape().await), 1.0);
    shows(&service, &["a", "kept"]).await;
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_reload_during_the_shutdown_is_nothing() {
    let mute = venue(vec![Rule::always(Fault::Mute { after: Duration::ZERO })]);
    let head = "transport.close_timeout_ms = 500\nshutdown.grace_ms = 60000";
    let mut service = Service::run(&config(head, &[("a", &mute.url(), "")])).await;
    service.logged("a", "live").await;
    happened(&mute, 1, What::FaultBegan { name: "mute" }).await;
    service.program.signal("TERM");
    eventually("it drains", async || service.get("/-/ready").await.status == 503).await;
    let ended = service.stop("HUP").await;
    ended.assert_orderly();
    assert_eq!(json(ended.err.last().unwrap())["message"], "shut down");
}

/// The program looks for the system's certificates before it is ready, and opening a pipe waits for its writer.
#[tokio::test]
async fn a_reload_before_it_is_ready_is_done_when_it_is() {
    let pipe = TempFile::unused("fifo");
    let made = std::process::Command::new("mkfifo").arg(pipe.name()).status();
    assert!(made.unwrap().success());
    let file = TempFile::new("toml", &config("", &[("a", "wss://127.0.0.1:1/", "")]));
    let address = free_address().to_string();
    let mut command = command(&["run", "--config", file.name(), "--listen", &address]);
    command.env("SSL_CERT_FILE", pipe.name()).env_remove("SSL_CERT_DIR");
    let mut program = Program::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let at: SocketAddr = address.parse().unwrap();
    eventually("it listens", async || tokio::net::TcpStream::connect(at).await.is_ok()).await;
    assert_eq!(get(at, "/-/ready").await.body, "starting\n");
    program.signal("HUP");
    let name = pipe.name().to_owned();
    let written = tokio::task::spawn_blocking(move || std::fs::write(name, ""));
    timeout(LIMIT, written).await.unwrap().unwrap().unwrap();
    let found = |message: &'static str| move |line: &str| Some(json(line)).filter(|line| line["message"] == message);
    program.err.find("`ready`", found("ready")).await;
    let line = program.err.find("a reload", found("configuration taken over")).await;
    assert_eq!(counts(&line), [0, 0, 0, 0, 1]);
    program.signal("TERM");
    assert_eq!(program.end().await.code, Some(0));
}

/// Opening a pipe waits for its writer, and there is none.
#[tokio::test]
async fn a_pipe_in_the_place_of_the_file_is_refused_and_not_waited_for() {
    let venue = quiet();
    let text = config("", &[("a", &*venue.url(), "")]);
    let mut service = Service::run(&text).await;
    service.logged("a", "live").await;
    std::fs::remove_file(service.config()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(service.config()).status();
    assert!(made.unwrap().success());
    service.program.signal("HUP");
    assert_refused(&service.verdict(0).await);
    std::fs::remove_file(service.config()).unwrap();
    std::fs::write(service.config(), &text).unwrap();
    service.program.signal("HUP");
    assert_eq!(counts(&service.verdict(1).await), [0, 0, 0, 0, 1]);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

/// As a shell hands one over: `--config <(...)`. The pipe is read once, and there is nothing to watch.
#[tokio::test]
async fn a_configuration_may_come_through_a_pipe() {
    let venue = quiet();
    let text = config("reload.watch_interval_ms = 100", &[("a", &*venue.url(), "")]);
    let pipe = TempFile::unused("fifo");
    let made = std::process::Command::new("mkfifo").arg(pipe.name()).status();
    assert!(made.unwrap().success());
    let address = free_address().to_string();
    let mut command = command(&["run", "--config", pipe.name(), "--listen", &address]);
    let mut program = Program::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let name = pipe.name().to_owned();
    let written = tokio::task::spawn_blocking(move || std::fs::write(name, text));
    timeout(LIMIT, written).await.unwrap().unwrap().unwrap();
    let found = |message: &'static str| move |line: &str| Some(json(line)).filter(|line| line["message"] == message);
    program.err.find("`ready`", found("ready")).await;
    program.signal("HUP");
    let refused = "configuration refused: the one before it stays in force";
    program.err.find("a refusal", found(refused)).await;
    program.signal("TERM");
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn a_file_that_is_watched_needs_no_signal() {
    let [kept, new] = [quiet(), quiet()];
    let head = "reload.watch_interval_ms = 100";
    let kept = ("kept", &*kept.url(), "");
    let mut service = Service::run(&config(head, &[kept])).await;
    service.logged("kept", "live").await;
    let next = config(head, &[kept, ("new", &new.url(), "")]);
    std::fs::write(service.config(), &next).unwrap();
    service.logged("new", "live").await;
    assert_eq!(counts(&service.verdict(0).await), [1, 0, 0, 0, 1]);
    // It is told once that it is gone, and it may come back. The last change switches the watch off.
    std::fs::remove_file(service.config()).unwrap();
    assert_refused(&service.verdict(1).await);
    std::fs::write(service.config(), &next).unwrap();
    assert_eq!(counts(&service.verdict(2).await), [0, 0, 0, 0, 2]);
    std::fs::write(service.config(), config("", &[kept])).unwrap();
    let last = service.verdict(3).await;
    assert_eq!(
        (counts(&last), &last["keys"]),
        ([0, 1, 0, 0, 1], &"reload.watch_interval_ms".into())
    );
    service.program.signal("HUP");
    assert_eq!(counts(&service.verdict(4).await), [0, 0, 0, 0, 1]);
    assert_eq!(service.stop("TERM").await.code, Some(0));
}

/// As Kubernetes does it: the file is a link into a folder, which is a link that is exchanged.
#[tokio::test]
async fn a_mounted_folder_that_is_exchanged_is_noticed() {
    let [first, second] = [quiet(), quiet()];
    let folder = TempFolder::new();
    let path = |name: &str| folder.path().join(name);
    for (name, stream) in [("1", ("a", &*first.url(), "")), ("2", ("b", &*second.url(), ""))] {
        std::fs::create_dir(path(name)).unwrap();
        let text = config("reload.watch_interval_ms = 100", &[stream]);
        std::fs::write(path(name).join("feeds.toml"), text).unwrap();
    }
    std::os::unix::fs::symlink("1", path("data")).unwrap();
    std::os::unix::fs::symlink("data/feeds.toml", path("feeds.toml")).unwrap();
    let mut program = Program::start(&["run", "--config", path("feeds.toml").to_str().unwrap()]);
    let live = |stream: &'static str| {
        move |line: &str| {
            let line = json(line);
            (line["message"] == "live" && line["stream"] == stream).then_some(())
        }
    };
    program.err.find("a", live("a")).await;
    std::os::unix::fs::symlink("2", path("next")).unwrap();
    std::fs::rename(path("next"), path("data")).unwrap();
    program.err.find("b", live("b")).await;
    happened(&first, 1, What::ClosedByClient { code: Some(1000) }).await;
    program.signal("TERM");
    program.end().await.assert_orderly();
}

#[tokio::test]
#[ignore = "needs 2,500 file descriptors"]
async fn a_thousand_streams_stay_connected_while_some_come_and_go() {
    let venue = quiet();
    let url = venue.url();
    let text = |numbers: std::ops::Range<usize>, policy: &str| {
        let names: Vec<_> = numbers.map(|number| format!("s{number}")).collect();
        let streams: Vec<_> = names.iter().map(|name| (name.as_str(), url.as_str(), policy)).collect();
        config("", &streams)
    };
    let service = Service::run(&text(0..1000, "")).await;
    // A scrape of so many is long: the venue knows as well.
    let happened = async |what: fn(&What) -> bool, times: usize| {
        eventually("so often", async || {
            seen(&venue).iter().filter(|(_, seen)| what(seen)).count() >= times
        })
        .await;
    };
    let is_live = |what: &What| matches!(what, What::Subscribed { .. });
    let is_closed = |what: &What| *what == What::ClosedByClient { code: Some(1000) };
    happened(is_live, 1000).await;
    let next = text(10..1010, "max_consecutive_failures = 3");
    assert_eq!(counts(&service.reload(&next).await), [10, 10, 0, 990, 0]);
    happened(is_live, 1010).await;
    happened(is_closed, 10).await;
    eventually("ten have stopped", async || {
        let lines = service.program.err.so_far();
        lines
            .iter()
            .filter(|line| line.contains("\"message\":\"stopped\""))
            .count()
            == 10
    })
    .await;
    let scrape = service.scrape().await;
    assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 1000.0);
    assert_eq!(scrape.sum("feedwatch_stream_connected", &[]), 1000.0);
    assert_eq!(scrape.sum("feedwatch_breaker_failure_threshold", &[]), 3000.0);
    assert_eq!(shown(&scrape).len(), 1000);
    assert_eq!(dials(&venue), 1010);
    service.stop("TERM").await.assert_orderly();
}
