//! What fuzzing must not find, on the inputs that are kept of it: the same checks as in `fuzz/fuzz_targets`.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "tests may fail, and say on what; figures are exact"
)]

#[path = "../fuzz/checks/config/mod.rs"]
mod config;
#[path = "../fuzz/checks/decode/mod.rs"]
mod decode;
#[path = "../fuzz/checks/writers/mod.rs"]
mod writers;

use feedwatch::metrics::Format;
use std::fs;
use std::path::Path;

/// Shows each file of the target's corpus to its check.
fn replay(target: &str, check: impl Fn(&str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 5, "the corpus is gone");
    for path in files {
        // Shown where the check fails: it knows nothing of files.
        println!("{}", path.display());
        check(&fs::read_to_string(&path).unwrap());
    }
}

#[test]
fn the_corpus_of_the_decoder_passes() {
    replay("decode", decode::check);
}

#[test]
fn the_corpus_of_the_configuration_passes() {
    replay("config", config::check);
}

#[test]
fn the_corpora_of_both_writers_pass() {
    for target in ["exposition_text", "exposition_openmetrics"] {
        for format in [Format::Text, Format::OpenMetrics] {
            replay(target, |input| writers::check(input, format));
        }
    }
}
