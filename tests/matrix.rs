//! The page of faults, docs/faults.md: where it says that a fault is tried, it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may fail"
)]

use feedwatch::market::Cause;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../docs/faults.md");

/// The rows' numbers, in their order.
fn numbers() -> Vec<String> {
    let mut numbers: Vec<_> = (1..=39).map(|number| number.to_string()).collect();
    numbers.insert(6, "6b".to_owned());
    numbers
}

/// The cells of each row: number, fault, cause, what is next, tests.
fn rows() -> Vec<[&'static str; 5]> {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("| # |")).skip(2);
    let cells = |row: &'static str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells.try_into().unwrap_or_else(|_| panic!("five cells: {row}"))
    };
    rows.take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn in_ticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The file of a test that is named by it and its function: `sockets::name`, `program::signals::name`.
fn file(module: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let single = folder.join(module.join("/")).with_extension("rs");
    if single.is_file() {
        single
    } else {
        folder.join(module.join("/")).join("main.rs")
    }
}

/// Whether the source has a function of that name which a test runner would find.
fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let Some((before, _)) = source.split_once(&head) else {
        return false;
    };
    // What stands before it in its own line is `async` or nothing.
    let attributes = before.rsplit_once('\n').map_or("", |(lines, _)| lines).lines().rev();
    let mut attributes = attributes.take_while(|line| line.trim_start().starts_with("#["));
    attributes.any(|line| line.contains("test]") || line.contains("test("))
}

#[test]
fn every_fault_has_its_row_and_every_row_its_tests() {
    let rows = rows();
    let found: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(found, numbers());
    for [number, fault, cause, next, tests] in rows {
        assert!(!fault.is_empty() && !cause.is_empty() && !next.is_empty(), "{number}");
        assert!(in_ticks(tests).next().is_some(), "{number}: no test");
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let mut named = 0;
    for span in in_ticks(PAGE).filter(|span| span.contains("::")) {
        let path: Vec<_> = span.split("::").collect();
        if span == "program::leaks" {
            assert!(file(&path).is_file());
            continue;
        }
        let (name, module) = path.split_last().unwrap();
        let source = std::fs::read_to_string(file(module)).unwrap_or_else(|error| panic!("{span}: {error}"));
        assert!(has_test(&source, name), "{span} is no test");
        named += 1;
    }
    assert!(named > 60, "{named}");
}

#[test]
fn every_cause_is_on_the_page_and_nothing_else_is_called_one() {
    let all: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    let of_rows = rows().into_iter().flat_map(|row| in_ticks(row[2]));
    let of_rows: BTreeSet<_> = of_rows.filter(|span| !span.contains(' ')).collect();
    assert!(of_rows.is_subset(&all), "{:?}", of_rows.difference(&all));
    let spans: BTreeSet<_> = in_ticks(PAGE).collect();
    assert!(
        all.is_subset(&spans),
        "{:?}",
        all.difference(&spans).collect::<Vec<_>>()
    );
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    let source = "\n#[tokio::test]\nasync fn a() {}\n\n#[test]\n#[ignore = \"needs a minute\"]\nfn b() {}\n\n    #[test]\n    fn c() {}\n\nfn d() {}\n";
    for (name, is_test) in [("a", true), ("b", true), ("c", true), ("d", false), ("e", false)] {
        assert_eq!(has_test(source, name), is_test, "{name}");
    }
}
