//! What the README says is true: its configurations load, its errors, commands, queries, links, excerpts and figures are
//! real.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: helpers may fail the test, too"
)]

#[path = "support/markdown.rs"]
mod markdown;

use feedwatch::app::{Scenario, Service};
use feedwatch::config::Config;
use feedwatch::market::Cause;
use feedwatch::metrics::{BuildInfo, OwnMetrics, catalogue};
use feedwatch::sim::{SimOptions, SimulatedVenue};
use feedwatch::supervise::{Action, BreakerState, Input, Policy, Supervisor};
use markdown::{blocks, code_spans, has_heading, links};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const README: &str = include_str!("../README.md");
const ARCHITECTURE: &str = include_str!("../docs/architecture.md");
const PROMISES: &str = include_str!("../docs/semver.md");
const FEEDWATCH: &str = env!("CARGO_BIN_EXE_feedwatch");
const NO_VARIABLES: [(&str, &str); 0] = [];
/// What a snippet needs to be a whole configuration.
const STREAM: &str = "\n[[streams]]\nname = \"a\"\nvenue = \"polymarket\"\n";
/// Nothing here takes so long; what does has failed.
const LIMIT: Duration = Duration::from_secs(20);

fn blocks_of(info: &str) -> Vec<String> {
    let found: Vec<_> = blocks(README)
        .into_iter()
        .filter(|(found, _)| *found == info)
        .map(|(_, text)| text)
        .collect();
    assert!(!found.is_empty(), "the README has no block of {info}");
    found
}

fn parse(text: &str) -> Config {
    let whole = if text.contains("[[streams]]") {
        text.to_owned()
    } else {
        text.to_owned() + STREAM
    };
    Config::parse("README.md", &whole, NO_VARIABLES).unwrap_or_else(|errors| panic!("{errors}\n{whole}"))
}

#[test]
fn every_configuration_loads() {
    assert!(blocks_of("toml").len() >= 3);
    for text in blocks_of("toml") {
        parse(&text);
    }
    for (info, _) in blocks(README) {
        let known = [
            "toml",
            "toml wrong",
            "toml cargo",
            "text",
            "text error",
            "sh",
            "yaml",
            "promql",
            "rust",
        ];
        assert!(known.contains(&info), "nothing checks a block of {info:?}");
    }
}

#[test]
fn the_error_is_what_the_program_says() {
    let told = Config::parse("feeds.toml", &blocks_of("toml wrong")[0], NO_VARIABLES).unwrap_err();
    assert_eq!(format!("{told}\n"), blocks_of("text error")[0]);
}

#[test]
fn the_library_is_embedded_by_a_dependency_that_exists() {
    let embedding: toml::Table = blocks_of("toml cargo")[0].parse().unwrap();
    let own: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
    let dependencies = embedding["dependencies"].as_table().unwrap();
    let name = own["package"]["name"].as_str().unwrap();
    assert_eq!(dependencies[name]["default-features"].as_bool(), Some(false));
    let version = |of: &toml::Value| of.get("version").unwrap_or(of).as_str().unwrap().to_owned();
    for (other, told) in dependencies.iter().filter(|(other, _)| *other != name) {
        let (told, own) = (version(told), version(&own["dependencies"][other]));
        assert!(own.starts_with(&told), "{other} is {own} and not {told}");
    }
    let traces = version(&own["dependencies"]["opentelemetry"]);
    assert!(README.contains(&format!("`opentelemetry` {traces} for traces")));
    let least = own["package"]["rust-version"].as_str().unwrap();
    assert!(README.contains(&format!("Rust {least} or newer")));
}

#[test]
fn the_excerpts_stand_in_the_examples() {
    let examples = [
        include_str!("../examples/embed.rs"),
        include_str!("../examples/gate.rs"),
    ];
    for excerpt in blocks_of("rust") {
        let is_real = examples.iter().any(|example| example.contains(&excerpt));
        assert!(is_real, "in no example:\n{excerpt}");
    }
}

/// The arguments of this program in a line, where it is called: by its name, or through Cargo.
fn arguments(line: &str) -> Option<Vec<&str>> {
    let arguments = match line.split_once(" -- ") {
        Some((cargo, arguments)) if cargo.starts_with("cargo run") && !cargo.contains("--example") => arguments,
        _ => line.split_once("feedwatch ")?.1,
    };
    Some(arguments.split_whitespace().collect())
}

fn help(arguments: &[&str]) -> Option<String> {
    let output = Command::new(FEEDWATCH).args(arguments).arg("--help").output().unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_command_and_option_exists() {
    let shell = blocks_of("sh").join("\n");
    let lines = shell.lines().chain(code_spans(README));
    let mut seen = BTreeSet::new();
    for command in lines.filter_map(arguments) {
        let help = help(&command[..1]).unwrap_or_else(|| panic!("there is no `feedwatch {}`", command[0]));
        for option in command
            .iter()
            .filter(|word| word.starts_with("--") && **word != "--help")
        {
            assert!(
                help.contains(&format!("{option} ")),
                "{command:?}: there is no {option}"
            );
        }
        seen.insert(command[0]);
    }
    assert!(
        seen.is_superset(&BTreeSet::from(["check", "demo", "metrics", "run", "simulate"])),
        "{seen:?}"
    );
    for option in ["--listen", "--verify"] {
        assert!(help(&["demo"]).unwrap().contains(option));
    }
}

#[test]
fn every_scenario_is_listed_as_the_program_lists_it() {
    for Scenario { name, about, .. } in Scenario::ALL {
        assert!(README.contains(&format!("| `{name}` | {about}")), "{name}: {about}");
    }
}

#[test]
fn every_link_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = root.join("docs");
    for (directory, document) in [(root, README), (&docs, ARCHITECTURE), (&docs, PROMISES)] {
        for (file, anchor) in links(document) {
            if file.is_empty() {
                assert!(has_heading(document, anchor), "#{anchor} leads nowhere");
            } else {
                assert!(directory.join(file).is_file(), "{file} leads nowhere");
            }
        }
    }
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = code_spans(ARCHITECTURE)
        .into_iter()
        .filter(|span| Path::new(span).extension().is_some_and(|extension| extension == "rs"))
        .collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(
            root.join(file).is_file() || root.join("src").join(file).is_file(),
            "there is no {file}"
        );
    }
}

#[test]
fn every_metric_is_in_the_catalogue() {
    for document in [README, ARCHITECTURE, PROMISES] {
        let names = document.match_indices("feedwatch_").map(|(at, _)| {
            let rest = &document[at..];
            &rest[..rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len())]
        });
        for name in names {
            assert!(catalogue::find(name).is_some(), "there is no {name}");
        }
    }
}

#[test]
fn every_variable_overrides_a_key() {
    let shell = blocks_of("sh").join(" ");
    let variables: Vec<_> = shell
        .split_whitespace()
        .filter(|word| word.starts_with("FEEDWATCH__"))
        .map(|word| word.split_once('=').unwrap())
        .collect();
    assert!(!variables.is_empty());
    Config::parse("f.toml", STREAM, variables).unwrap();
}

/// The queries in blocks and in tables.
fn queries() -> Vec<String> {
    let tables = README.lines().filter(|line| line.starts_with('|'));
    let spans = tables.flat_map(|line| line.split('`').skip(1).step_by(2));
    let spans = spans.filter(|span| span.contains("feedwatch_")).map(str::to_owned);
    spans.chain(blocks_of("promql")).collect()
}

#[test]
#[ignore = "needs promtool"]
fn promtool_accepts_every_query_and_the_scrape_configuration() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let promtool = |arguments: &[&str], name: &str, text: &str| {
        let file = directory.join(format!("readme-{}-{name}", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let output = Command::new("promtool")
            .args(arguments)
            .arg(&file)
            .output()
            .expect("promtool is installed");
        std::fs::remove_file(&file).unwrap();
        assert!(
            output.status.success(),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let rules: Vec<_> = (0..)
        .zip(queries())
        .map(|(number, expr)| serde_json::json!({ "record": format!("readme:query:{number}"), "expr": expr }))
        .collect();
    assert!(rules.len() > 10, "{}", rules.len());
    let rules = serde_json::json!({ "groups": [{ "name": "readme", "rules": rules }] });
    promtool(&["check", "rules"], "rules.yml", &rules.to_string());
    for scrapes in blocks_of("yaml")
        .iter()
        .filter(|block| block.contains("scrape_configs"))
    {
        promtool(&["check", "config"], "prometheus.yml", scrapes);
    }
}

// How long until the first page.

/// A venue as its dials find it.
#[derive(Clone, Copy)]
enum Away {
    Refuses,
    Hangs,
}

/// Seconds from the loss, or from the start, to the trip.
fn seconds_to_trip(policy: &Policy, away: Away, was_live: bool, seed: u64) -> f64 {
    let began = feedwatch::clock::Moment::now().mono;
    let mut now = began;
    let mut supervisor = Supervisor::new(policy.clone(), seed);
    supervisor.apply(Input::Start, now);
    if was_live {
        supervisor.apply(Input::Connected, now);
        supervisor.apply(
            Input::Subscribed {
                accepted: 1,
                refused: 0,
            },
            now,
        );
        supervisor.apply(Input::Failed(Cause::Eof.into()), now);
    }
    while supervisor.breaker() == BreakerState::Closed {
        match supervisor.action() {
            Action::Connect { deadline } => {
                let cause = match away {
                    Away::Refuses => Cause::TcpRefused,
                    Away::Hangs => Cause::TcpTimeout,
                };
                now = if matches!(away, Away::Hangs) { deadline } else { now };
                supervisor.apply(Input::Failed(cause.into()), now);
            }
            Action::Wait { due } => {
                now = due;
                supervisor.apply(Input::Elapsed, now);
            }
            action => panic!("{action:?}"),
        }
    }
    now.saturating_duration_since(began).as_secs_f64()
}

/// `1.5`, but `2`.
fn figure(seconds: f64) -> String {
    ((seconds * 10.0).round() / 10.0).to_string()
}

/// The delays between so many failures as trip the breaker, before jitter.
fn delays(policy: &Policy) -> Vec<f64> {
    let between = 1..policy.max_consecutive_failures;
    between
        .map(|failures| policy.backoff().delay(failures, 0.0).as_secs_f64())
        .collect()
}

/// From and to: with all the jitter, and with none.
fn range(policy: &Policy, away: Away, was_live: bool) -> (f64, f64) {
    let without = Policy {
        jitter: 0.0,
        ..policy.clone()
    };
    let most = seconds_to_trip(&without, away, was_live, 0);
    let least = most - delays(policy).iter().sum::<f64>() * policy.jitter;
    for seed in 0..200 {
        let one = seconds_to_trip(policy, away, was_live, seed);
        assert!((least..=most).contains(&one), "{one} is not from {least} to {most}");
    }
    (least, most)
}

#[test]
fn the_time_to_the_first_page_is_what_the_machine_takes() {
    let default = Policy::default();
    let faster = blocks_of("toml")
        .into_iter()
        .find(|text| text.contains("connect_timeout_ms"))
        .unwrap();
    let faster = parse(&faster).streams[0].policy.clone();
    assert!(faster.max_consecutive_failures < default.max_consecutive_failures);

    for policy in [&default, &faster] {
        let delays = delays(policy);
        let terms: Vec<_> = delays.iter().copied().map(figure).collect();
        let sum = format!("> {} = {} seconds", terms.join(" + "), figure(delays.iter().sum()));
        assert!(README.contains(&sum), "{sum}");
    }
    for (venue, away, was_live) in [
        ("refuses", Away::Refuses, true),
        ("refuses", Away::Refuses, false),
        ("was live, and hangs", Away::Hangs, true),
        ("hangs from the start", Away::Hangs, false),
    ] {
        let cell = |policy| {
            let (least, most) = range(policy, away, was_live);
            format!("{} to {} s", figure(least), figure(most))
        };
        let row = format!("| {venue} | {} | {} |", cell(&default), cell(&faster));
        assert!(README.contains(&row), "{row}");
    }
}

#[test]
fn the_defaults_in_the_text_are_those_of_the_code() {
    let policy = parse(&blocks_of("toml")[0]).streams[0].policy.clone();
    let secs = |duration: Duration| duration.as_secs();
    let cooldown = secs(policy.circuit_breaker_cooldown);
    for text in [
        format!("at the {}th failure in a row", policy.max_consecutive_failures),
        format!("(`jitter = {}`)", policy.jitter),
        format!("`connect_timeout_ms`, {} seconds", secs(policy.connect_timeout)),
        format!("`subscribe_timeout_ms`, {} seconds", secs(policy.subscribe_timeout)),
        format!(
            "`Retry-After` of more than {} minutes",
            secs(policy.retry_after_max) / 60
        ),
        format!("{cooldown} to {} seconds by default", cooldown + cooldown / 5),
        format!("live for {} seconds (`stable_after_ms`)", secs(policy.stable_after)),
        format!("is {} seconds on Polymarket", secs(policy.stale_after.unwrap())),
    ] {
        assert!(README.replace('\n', " ").contains(&text), "{text}");
    }
}

// What runs.

/// The status line of the answer.
async fn get(address: SocketAddr, path: &str) -> String {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: feedwatch\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    };
    timeout(LIMIT, exchange).await.expect("it answers")
}

#[tokio::test]
async fn every_path_is_served() {
    let venue = SimulatedVenue::start(SimOptions::default()).unwrap();
    let url = venue.url();
    let text = format!("exporter.listen = \"127.0.0.1:0\"\n{STREAM}url = \"{url}\"\ninstruments = [\"1\"]\n");
    let text = format!("{text}[probe.modules.here]\nvenue = \"polymarket\"\nurl = \"{url}\"\n");
    let config = parse(&text);
    let build = BuildInfo {
        version: "0".into(),
        revision: "0".into(),
        rustversion: "0".into(),
    };
    let own = Arc::new(OwnMetrics::new(&build).unwrap());
    let service = Service::start(&config, build, own, None).await.unwrap();
    let paths: Vec<_> = README
        .lines()
        .filter_map(|line| line.strip_prefix("| `/")?.split_once('`'))
        .map(|(path, _)| format!("/{path}").replace("{name}", "a"))
        .map(|path| path.replace("/probe", "/probe?module=here"))
        .collect();
    assert_eq!(paths.len(), 8, "{paths:?}");
    for path in paths {
        assert_eq!(get(service.address(), &path).await, "HTTP/1.1 200 OK", "{path}");
    }
    service.stop(LIMIT).await;
    venue.shutdown().await;
}
