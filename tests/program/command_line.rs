//! Arguments, exit codes, and the commands that end by themselves.

use crate::harness::{Program, TempFile, command, run_to_end};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

#[tokio::test]
async fn help_shows_examples_and_exit_codes() {
    let help = run_to_end(&["--help"]).await;
    assert_eq!((help.code, help.err.len()), (Some(0), 0));
    let text = help.stdout();
    for part in [
        "Examples:\n  feedwatch demo",
        "Exit codes:\n  0 ",
        "\n  1 ",
        "\n  2 ",
        "\n  130 ",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    for name in ["run", "check", "metrics", "record", "simulate", "demo"] {
        assert!(text.contains(&format!("\n  {name} ")), "{name} is missing:\n{text}");
        let help = run_to_end(&[name, "--help"]).await;
        assert_eq!(help.code, Some(0));
        assert!(
            help.stdout().contains(&format!("  feedwatch {name}")),
            "no example: {}",
            help.stdout()
        );
    }
}

#[tokio::test]
async fn version_names_version_and_revision() {
    let told = run_to_end(&["--version"]).await;
    assert_eq!(told.code, Some(0));
    let line = told.stdout();
    let revision = line
        .strip_prefix(concat!("feedwatch ", env!("CARGO_PKG_VERSION"), " ("))
        .and_then(|rest| rest.strip_suffix(")\n"))
        .unwrap_or_else(|| panic!("{line}"));
    assert!(
        !revision.is_empty() && revision.chars().all(|c| c.is_ascii_alphanumeric()),
        "{line}"
    );
}

#[tokio::test]
async fn what_the_command_line_does_not_know_exits_with_2() {
    for (arguments, told) in [
        (&[] as &[&str], "Usage: feedwatch <COMMAND>"),
        (&["walk"], "unrecognized subcommand 'walk'"),
        (&["run", "--fast"], "unexpected argument '--fast'"),
        (&["run"], "--config <FILE>"),
        (
            &["run", "--config", "x", "--listen", "9885"],
            "invalid value '9885' for '--listen <ADDR>'",
        ),
        (&["metrics", "--format", "xml"], "[possible values: markdown, json]"),
        (&["demo", "--for", "5"], "write a time like 500ms, 30s, 2m or 1h"),
        (&["simulate", "--repeat"], "--capture <FILE>"),
        (&["simulate", "--rate=-1"], "from 0 to 1000000"),
        (&["simulate", "--rate", "nan"], "from 0 to 1000000"),
    ] {
        let ended = run_to_end(arguments).await;
        assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{arguments:?}: {ended:#?}");
        assert!(ended.stderr().contains(told), "{arguments:?}: {ended:#?}");
    }
}

#[tokio::test]
async fn the_shipped_configurations_are_valid() {
    for (file, streams) in [
        ("config/feedwatch.toml", "1 stream"),
        ("deploy/feedwatch.prod.toml", "2 streams"),
    ] {
        let ended = run_to_end(&["check", "--config", file]).await;
        assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{ended:#?}");
        let told = ended.stdout();
        let valid = format!("{file}: valid, {streams}, ");
        let series = told
            .strip_prefix(&valid)
            .and_then(|rest| rest.strip_suffix(" series\n"));
        assert!(series.is_some_and(|series| series.parse::<usize>().is_ok()), "{told}");
    }
}

#[tokio::test]
async fn every_error_of_a_configuration_is_told_with_its_place() {
    let file = TempFile::new(
        "toml",
        "exporter.listen = \"everywhere\"\n\n  [reconnection]\n  backoff_multiplier = 0.5\n\n\
         [[streams]]\nname = \"a\"\nvenue = \"polimarket\"\nurl = \"wss://me:hunter2@venue.example/\"\n",
    );
    for command in ["check", "run"] {
        let ended = run_to_end(&[command, "--config", file.name()]).await;
        assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{ended:#?}");
        let name = file.name();
        let places = [
            format!("{name}:1:19: exporter.listen: "),
            format!("{name}:4:24: reconnection.backoff_multiplier: "),
            format!("{name}:8:9: streams[0].venue: "),
            format!("{name}:9:7: streams[0].url: "),
        ];
        assert_eq!(ended.err.len(), places.len(), "{ended:#?}");
        for (line, place) in ended.err.iter().zip(places) {
            assert!(line.starts_with(&place), "not {place}: {line}");
        }
        assert!(!ended.stderr().contains("hunter2"), "{ended:#?}");
    }
}

#[tokio::test]
async fn an_unknown_variable_is_an_error() {
    let mut command = command(&["check", "--config", "config/feedwatch.toml"]);
    command
        .env("FEEDWATCH__EXPORTER__LISTENS", "127.0.0.1:1")
        .stderr(std::process::Stdio::piped());
    let ended = Program::spawn(&mut command).end().await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended.stderr().starts_with("FEEDWATCH__EXPORTER__LISTENS: "),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let file = TempFile::unused("toml");
    let name = file.name();
    for arguments in [
        &["check", "--config", name],
        &["run", "--config", name],
        &["simulate", "--script", name],
        &["simulate", "--capture", name],
    ] {
        let ended = run_to_end(arguments).await;
        assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{ended:#?}");
        assert!(ended.stderr().starts_with(&format!("{name}: ")), "{ended:#?}");
        assert!(ended.stderr().contains("No such file"), "{ended:#?}");
    }
}

#[tokio::test]
async fn the_list_of_metrics_is_the_page_in_docs() {
    let ended = run_to_end(&["metrics", "--format", "markdown"]).await;
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0));
    let page = fs::read_to_string("docs/metrics.md").unwrap();
    assert!(
        ended.stdout() == page,
        "feedwatch metrics --format markdown > docs/metrics.md"
    );
}

#[tokio::test]
async fn the_list_of_metrics_is_the_same_as_json() {
    let ended = run_to_end(&["metrics", "--format", "json"]).await;
    assert_eq!((ended.code, ended.err.len()), (Some(0), 0));
    let list: Value = serde_json::from_str(&ended.stdout()).unwrap();
    let named: BTreeSet<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| metric["name"].as_str().unwrap())
        .collect();
    let page = fs::read_to_string("docs/metrics.md").unwrap();
    let documented: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(named, documented);
    assert!(named.len() > 50, "{named:?}");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    for arguments in [
        &["metrics"] as &[&str],
        &["metrics", "--format", "json"],
        &["check", "--config", "config/feedwatch.toml"],
        &["demo", "--list-scenarios"],
        &["demo", "--listen", "127.0.0.1:0"],
        &["--help"],
        &["--version"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(arguments);
        let ended = Program::spawn(command.stdout(writer).stderr(std::process::Stdio::piped()))
            .end()
            .await;
        assert_eq!((ended.code, ended.err.len()), (Some(0), 0), "{arguments:?}: {ended:#?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = command(&["metrics"]);
    let ended = Program::spawn(command.stdout(full).stderr(std::process::Stdio::piped()))
        .end()
        .await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr().contains("No space left on device"), "{ended:#?}");
}
