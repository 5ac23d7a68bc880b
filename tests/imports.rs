//! The directions of imports: a module knows only those below it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom to the top. Modules on one line do not know each other.
const LAYERS: &[&[&str]] = &[
    &["clock", "private_key"],
    &["market"],
    &["supervise"],
    &["history"],
    &["metrics"],
    &["venue"],
    &["stream"],
    &["probe"],
    &["config", "sim", "observe", "exporter"],
    &["telemetry"],
    &["app"],
];

fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&module))
        .unwrap_or_else(|| panic!("{module} is in no layer"))
}

fn source_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every file of the library with the module that it belongs to, its tests left out.
fn modules() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = Vec::new();
    for path in source_files(&root) {
        let inside = path.strip_prefix(&root).unwrap();
        let module = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if !["lib", "main", "args"].contains(&module.as_str()) {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            modules.push((module, path, code));
        }
    }
    assert!(modules.len() > 30, "the walk finds the sources");
    modules
}

/// The words that follow `prefix` in the code.
fn words_after<'c>(code: &'c str, prefix: &'c str) -> impl Iterator<Item = &'c str> {
    code.match_indices(prefix).map(move |(at, _)| {
        let rest = &code[at + prefix.len()..];
        &rest[..rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len())]
    })
}

#[test]
fn imports_point_down_only() {
    for (module, path, code) in modules() {
        for target in words_after(&code, "crate::") {
            if target != module {
                assert!(layer(target) < layer(&module), "{} imports {target}", path.display());
            }
        }
    }
}

#[test]
fn the_state_machine_knows_the_market_std_and_chance_only() {
    for (_, path, code) in modules().into_iter().filter(|(module, ..)| module == "supervise") {
        for import in code.lines().filter_map(|line| line.trim_start().strip_prefix("use ")) {
            let legal = ["super::", "std::", "crate::market::", "fastrand::"]
                .iter()
                .any(|legal| import.starts_with(legal));
            assert!(legal, "{} imports {import}", path.display());
        }
        for clock in ["Instant::now", "SystemTime", "tokio", "thiserror"] {
            assert!(!code.contains(clock), "{} uses {clock}", path.display());
        }
    }
}

#[test]
fn the_metrics_know_nothing_of_sockets() {
    for (_, path, code) in modules().into_iter().filter(|(module, ..)| module == "metrics") {
        for socket in ["tokio", "std::net", "tungstenite", "hyper"] {
            assert!(!code.contains(socket), "{} uses {socket}", path.display());
        }
    }
}
