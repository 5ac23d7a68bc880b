//! The reader that other tests rely on refuses what the format forbids, and never panics.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may fail; what is indexed is there"
)]

#[path = "support/exposition.rs"]
mod exposition;

use exposition::Exposition;
use proptest::prelude::*;

const TEXT: &str = "\
# HELP a_total A \\\\ \"b\" \\n
# TYPE a_total counter
a_total{x=\"\\\"\\n\\\\ {,=}\",y=\"\"} 7
a_total{x=\"ö\",y=\"2\"} 0.5
# HELP b B
# TYPE b gauge
b -1.5e-7
# HELP c_seconds C
# TYPE c_seconds histogram
c_seconds_bucket{x=\"1\",le=\"0.5\"} 1
c_seconds_bucket{x=\"1\",le=\"1.0\"} 3
c_seconds_bucket{x=\"1\",le=\"+Inf\"} 4
c_seconds_sum{x=\"1\"} 9.25
c_seconds_count{x=\"1\"} 4
";

#[test]
fn it_reads_what_stands_there() {
    let text = Exposition::parse(TEXT).unwrap();
    assert_eq!(text.families["a_total"].help, "A \\ \"b\" \n");
    let of_a: Vec<_> = text.families["a_total"].samples.iter().collect();
    assert_eq!((of_a[0].0.1["x"].as_str(), *of_a[0].1), ("\"\n\\ {,=}", 7.0));
    assert_eq!(Exposition::parse("").unwrap(), Exposition::default());
}

/// Each is a valid text in which something is replaced.
fn assert_refused<T: std::fmt::Debug>(valid: &str, changes: &[(&str, &str)], parse: fn(&str) -> Result<T, String>) {
    for (from, to) in changes {
        assert!(valid.contains(from), "{from}");
        let read = parse(&valid.replacen(from, to, 1));
        assert!(read.is_err(), "{from} -> {to}: {read:?}");
    }
}

/// What is wrong in every exposition format.
const WRONG: [(&str, &str); 30] = [
    ("b -1.5e-7", "b"),
    ("b -1.5e-7", "b  1"),
    ("b -1.5e-7", "b 1 1700000000"),
    ("b -1.5e-7", "b x"),
    ("b -1.5e-7", "b infinity"),
    ("b -1.5e-7", "b 1e999"),
    ("b -1.5e-7", "b NaN"),
    ("b -1.5e-7", "b{} 1\nb 1"),
    ("b -1.5e-7", "b{le=\"1.0\"} 1"),
    ("b -1.5e-7", "2b 1"),
    ("b -1.5e-7", "b_total 1"),
    ("b -1.5e-7\n", ""),
    ("b -1.5e-7", "\nb 1"),
    ("b -1.5e-7", "# a comment\nb 1"),
    ("{x=\"ö\",y=\"2\"} 0.5", "{x=\"ö\",y=\"2\"} -0.5"),
    ("{x=\"ö\",y=\"2\"}", "{x=\"ö\",y=\"2\",}"),
    ("{x=\"ö\",y=\"2\"}", "{x=\"ö\" y=\"2\"}"),
    ("{x=\"ö\",y=\"2\"}", "{x=\"ö\",x=\"2\"}"),
    ("{x=\"ö\",y=\"2\"}", "{x=\"ö\"}"),
    ("{x=\"ö\",y=\"2\"}", "{x=\"ö\",a:b=\"2\"}"),
    ("{x=\"ö\",y=\"2\"}", "{x=\"ö\",y=\"\\t\"}"),
    ("{x=\"ö\",y=\"2\"}", "{x=\"ö\",y=\"2\"}\r"),
    ("le=\"1.0\"", "le=\"0.5\""),
    ("le=\"1.0\"", "le=\"0.25\""),
    ("le=\"1.0\"", "le=\"NaN\""),
    ("le=\"+Inf\"", "le=\"2.0\""),
    ("le=\"1.0\"} 3", "le=\"1.0\"} 5"),
    ("le=\"1.0\"} 3", "le=\"1.0\"} 3.0"),
    ("c_seconds_count{x=\"1\"} 4", "c_seconds_count{x=\"1\"} 5"),
    ("c_seconds_sum{x=\"1\"} 9.25\n", ""),
];

#[test]
fn what_the_text_format_forbids_is_refused() {
    assert_refused(TEXT, &WRONG, Exposition::parse);
    let changes = [
        ("# TYPE b gauge", "# TYPE b state"),
        ("# TYPE b gauge\n", ""),
        ("# TYPE b gauge", "# TYPE a_total gauge"),
        ("# HELP b B\n", ""),
        ("# HELP b B", "# HELP b"),
        ("# HELP b B\n", "# HELP b B\n# HELP b B\n"),
        ("# HELP b B", "# HELP b \\\""),
        ("# HELP c_seconds C\n# TYPE c_seconds", "# HELP b C\n# TYPE b"),
        ("c_seconds_count{x=\"1\"} 4\n", "c_seconds_count{x=\"1\"} 4"),
        (
            "c_seconds_count{x=\"1\"} 4\n",
            "c_seconds_count{x=\"1\"} 4\n# HELP d D\n",
        ),
        ("a_total{x=\"ö\",y=\"2\"} 0.5", "a_total{x=\"ö\",y=\"2\"} 0.5 # {} 1"),
    ];
    assert_refused(TEXT, &changes, Exposition::parse);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(
        garbage in any::<String>(),
        from in 0..TEXT.len(),
        to in 0..TEXT.len(),
        put in "[a-z_ {}=\",\\\\#\n0-9.+eE-]{0,6}",
    ) {
        let spliced = TEXT.chars().take(from).chain(put.chars()).chain(TEXT.chars().skip(to));
        for text in [garbage, spliced.collect()] {
            let _ = Exposition::parse(&text);
        }
    }
}
