//! Container, compose file, unit and scripts, by their linters and by what must hold whatever a linter says.

use crate::harness::{TempFile, TempFolder};
use crate::repository::{accepts, files, root};
use serde_json::Value;
use std::path::{Path, PathBuf};

const COMPOSE: &str = include_str!("../../deploy/compose.yml");
const DOCKERFILE: &str = include_str!("../../deploy/Dockerfile");
const UNIT: &str = include_str!("../../deploy/feedwatch.service");

/// How exposed the unit may be, in tenths: `systemd-analyze security` counts from 0 to 10.
const MAX_EXPOSURE: &str = "--threshold=20";

fn compose() -> Value {
    serde_saphyr::from_str(COMPOSE).unwrap()
}

/// The compose file's services, by their names.
fn services(compose: &Value) -> &serde_json::Map<String, Value> {
    compose["services"].as_object().unwrap()
}

/// `${NAME:-default}` as it is without the variable.
fn default(text: &str) -> &str {
    text.split_once(":-")
        .map_or(text, |(_, rest)| rest.split_once('}').unwrap().0)
}

#[test]
fn images_are_pinned() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        assert!(tag == "local" || tag.contains('.'), "{name}: {image} may change");
    }
    for line in DOCKERFILE.lines().filter(|line| line.starts_with("FROM ")) {
        assert!(line.contains(':') && !line.contains("latest"), "{line}");
    }
}

#[test]
fn what_is_mounted_is_in_the_repository() {
    let compose = compose();
    let named: Vec<_> = compose["volumes"].as_object().unwrap().keys().collect();
    let mut mounts = 0;
    for (name, service) in services(&compose) {
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let mount = mount.as_str().unwrap();
            let source = if mount.starts_with('$') {
                default(mount)
            } else {
                mount.split_once(':').unwrap().0
            };
            let is_there = root().join("deploy").join(source).exists();
            assert!(
                is_there || named.iter().any(|volume| *volume == source),
                "{name}: there is no {source}"
            );
            mounts += 1;
        }
    }
    assert!(mounts > 8);
}

#[test]
fn ports_are_published_on_loopback_only_and_all_share_one_name_space() {
    let compose = compose();
    for (name, service) in services(&compose) {
        if name == "feedwatch" {
            for port in service["ports"].as_array().unwrap() {
                assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{port}");
            }
        } else {
            assert_eq!(service["network_mode"], "service:feedwatch", "{name}");
            assert!(service.get("ports").is_none(), "{name}");
        }
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert!(service.get("mem_limit").is_some(), "{name}");
    }
}

#[test]
fn the_image_runs_as_nobody_and_checks_its_own_health() {
    let last = DOCKERFILE.rsplit("FROM ").next().unwrap();
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(user.split(':').all(|id| id.parse::<u32>().unwrap() > 0), "{user}");
    assert!(last.contains(r#"CMD ["/usr/local/bin/feedwatch", "healthcheck"]"#));
    // What is copied is let through.
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    for copied in DOCKERFILE.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        for source in copied
            .split(' ')
            .filter(|source| root().join(source).exists() && !source.starts_with('/'))
        {
            let passes = source == "./" || ignored.lines().any(|line| line == format!("!{source}"));
            assert!(passes, "{source} is ignored");
        }
    }
}

#[test]
fn the_unit_gives_the_service_the_time_that_it_needs() {
    let setting = |name: &str| {
        let line = UNIT.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {name}"))
    };
    assert_eq!(setting("Type"), "notify");
    assert_eq!(setting("RestartPreventExitStatus"), "2");
    // It goes by the main process alone: a check that fails before it would be restarted.
    let programs: Vec<_> = UNIT.lines().filter(|line| line.starts_with("Exec")).collect();
    // A reload reads what was copied before it.
    let copy = "+/usr/bin/install -m 0444 /etc/feedwatch/feedwatch.toml %t/feedwatch/feedwatch.toml";
    assert_eq!(
        programs,
        [
            format!("ExecStartPre={copy}"),
            "ExecStart=/usr/local/bin/feedwatch run --config %t/feedwatch/feedwatch.toml".to_owned(),
            format!("ExecReload={copy}"),
            "ExecReload=+/bin/kill -HUP $MAINPID".to_owned(),
        ]
    );
    assert_eq!(
        (setting("RuntimeDirectory"), setting("RuntimeDirectoryMode")),
        ("feedwatch", "0700")
    );
    let seconds = |name: &str| setting(name).strip_suffix('s').unwrap().parse::<u64>().unwrap();
    let config = feedwatch::config::Config::load(&root().join("config/feedwatch.toml"), [("", ""); 0]).unwrap();
    assert!(seconds("TimeoutStopSec") > config.shutdown_grace.as_secs());
    // Not sooner than a breaker of the default policy would have it, by and large.
    assert!(seconds("RestartSec") >= config.streams[0].policy.max_delay.as_secs());
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_understands_every_line_of_the_unit() {
    let folder = TempFolder::new();
    // It looks for the programs, too.
    let unit = UNIT.replace("/usr/local/bin/feedwatch", env!("CARGO_BIN_EXE_feedwatch"));
    let verify = |text: &str| {
        let file = folder.path().join("feedwatch.service");
        std::fs::write(&file, text).unwrap();
        accepts("systemd-analyze", &["verify"], &[file])
    };
    // It says what it does not know, and is content.
    let misspelt = verify(&unit.replace("WatchdogSec=", "WatchDogSec="));
    assert!(misspelt.contains("WatchDogSec"), "{misspelt}");
    assert_eq!(verify(&unit), "");
}

#[test]
#[ignore = "needs systemd-analyze"]
fn the_unit_is_hardened() {
    let arguments = ["security", "--offline=true", MAX_EXPOSURE];
    let told = accepts(
        "systemd-analyze",
        &arguments,
        &[root().join("deploy/feedwatch.service")],
    );
    assert!(told.contains("Overall exposure level"), "{told}");
    let bare = TempFile::new("service", "[Service]\nExecStart=/bin/true\n");
    let refused = std::panic::catch_unwind(|| accepts("systemd-analyze", &arguments, &[PathBuf::from(bare.name())]));
    assert!(refused.is_err(), "nothing would be refused");
}

#[test]
#[ignore = "needs yamllint"]
fn yaml_is_tidy() {
    accepts(
        "yamllint",
        &["--strict", "prometheus.yml", "deploy", "grafana/provisioning"],
        &[],
    );
}

#[test]
#[ignore = "needs hadolint"]
fn the_dockerfile_keeps_the_rules() {
    accepts("hadolint", &["deploy/Dockerfile"], &[]);
}

#[test]
#[ignore = "needs check-jsonschema"]
fn the_compose_file_is_of_its_schema() {
    let check = ["--builtin-schema", "vendor.compose-spec"];
    accepts("check-jsonschema", &check, &[root().join("deploy/compose.yml")]);
    let wrong = TempFile::new("yml", &COMPOSE.replace("read_only:", "readonly:"));
    let refused = std::panic::catch_unwind(|| accepts("check-jsonschema", &check, &[PathBuf::from(wrong.name())]));
    assert!(refused.is_err(), "nothing would be refused");
}

#[test]
#[ignore = "needs shellcheck"]
fn shell_scripts_keep_the_rules() {
    let is_script = |file: &PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        bytes.starts_with(b"#!/usr/bin/env bash") || bytes.starts_with(b"#!/bin/sh")
    };
    let all = [".ci", "deploy"].into_iter().flat_map(files);
    let scripts: Vec<_> = all.filter(is_script).collect();
    assert!(
        scripts
            .iter()
            .any(|script| script.ends_with(Path::new("deploy/run-local.sh")))
    );
    accepts("shellcheck", &[], &scripts);
}
