//! The commands, held against a service whose stream has been through all that they ask about.

use super::pages;
use crate::harness::{self, LIMIT, Service, busy};
use feedwatch::sim::{Fault, Rule, Script, SimOptions, SimulatedVenue, Traffic};
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

const SERVICE: &str = "http://127.0.0.1:9885";

/// The lines of the shell that ask the service, with their page.
fn commands() -> Vec<(String, String)> {
    let of_page = |page: super::Page| {
        let blocks = page.blocks("sh");
        let lines = blocks.iter().flat_map(|block| block.lines());
        let ours = lines.filter(|line| line.contains(SERVICE));
        ours.map(|line| (page.name.clone(), line.to_owned()))
            .collect::<Vec<_>>()
    };
    let commands: Vec<_> = pages().into_iter().flat_map(of_page).collect();
    assert!(commands.len() > 15, "{commands:?}");
    commands
}

/// A service with a stream `NAME` of two connections: it was live with two of three instruments, one connection was thrown out,
/// and has tripped.
async fn tripped() -> (Service, SimulatedVenue) {
    let thrown_out = Fault::Close {
        code: Some(1008),
        reason: "enough".into(),
        after: Duration::from_millis(50),
    };
    let venue = SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 100.0,
        },
        script: Script {
            rules: vec![
                Rule::connections(1, 1, Fault::None),
                Rule::connections(2, 2, thrown_out),
                Rule::always(busy()),
            ],
        },
        unknown: HashSet::from(["22".to_owned()]),
        ..SimOptions::default()
    })
    .unwrap();
    let policy = "initial_delay_ms = 10, max_consecutive_failures = 2";
    let config = harness::config("", &[("NAME", &venue.url(), policy)]);
    let (two, three) = (
        "instruments = [\"11\", \"22\"]",
        "instruments = [\"11\", \"22\", \"33\"]\ninstruments_per_connection = 2",
    );
    assert!(config.contains(two), "{config}");
    let mut service = Service::run(&config.replace(two, three)).await;
    service.logged("NAME", "breaker tripped").await;
    (service, venue)
}

/// Every key of an object, however deep.
fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            into.extend(object.keys().cloned());
            object.values().for_each(|value| keys(value, into));
        }
        Value::Array(array) => array.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

/// The fields that a program for jq names: `.breaker.state`, and `state` in `{state, breaker}`.
fn fields(program: &str) -> BTreeSet<String> {
    // What is in quotation marks is text.
    let code: String = program.split('"').step_by(2).collect();
    let mut fields = BTreeSet::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for rest in code.split('.').skip(1) {
        fields.insert(rest.split(|c| !is_part(c)).next().unwrap().to_owned());
    }
    for rest in code.split('{').skip(1) {
        let names = rest.split('}').next().unwrap().split(',');
        fields.extend(names.map(|name| name.trim().to_owned()));
    }
    fields.remove("");
    fields
}

#[tokio::test]
async fn every_path_answers_with_the_fields_that_are_asked_for() {
    let (service, venue) = tripped().await;
    let mut asked = 0;
    for (page, line) in commands() {
        let rest = line.split(SERVICE).nth(1).unwrap();
        let path = rest.split([' ', '\'']).next().unwrap();
        let response = service.get(path).await;
        assert_eq!(response.status, 200, "{page}: {path}");
        let Some((_, jq)) = line.split_once("| jq ") else {
            continue;
        };
        let program = jq.split('\'').nth(1).unwrap_or_else(|| panic!("{page}: {line}"));
        let mut known = BTreeSet::new();
        keys(&harness::json(&response.body), &mut known);
        for field in fields(program) {
            assert!(
                known.contains(&field),
                "{page}: {path} answers without {field}: {known:?}"
            );
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
    assert!(service.stop("TERM").await.code == Some(0));
    venue.shutdown().await;
}

#[tokio::test]
#[ignore = "needs curl and jq"]
async fn the_shell_runs_every_command() {
    let (service, venue) = tripped().await;
    let here = format!("http://{}", service.address);
    for (page, line) in commands() {
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &line.replace(SERVICE, &here)]);
        let output = timeout(LIMIT, shell.kill_on_drop(true).output()).await;
        let output = output.expect("it ends").expect("bash is installed");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}: {line}: {told}");
        assert!(!output.stdout.is_empty(), "{page}: {line} prints nothing");
    }
    assert!(service.stop("TERM").await.code == Some(0));
    venue.shutdown().await;
}

#[test]
fn the_fields_of_a_program_are_found() {
    let found = fields(r#".history[] | select(.what == "a.b") | {time, cause} | [.breaker.state] | @tsv"#);
    let expected = ["breaker", "cause", "history", "state", "time", "what"];
    assert_eq!(found, BTreeSet::from(expected.map(str::to_owned)));
}
