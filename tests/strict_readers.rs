//! The readers of the two formats that other tests rely on refuse what the formats forbid, and never panic.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may fail; what is indexed is there"
)]

#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/openmetrics.rs"]
mod openmetrics;

use exposition::Exposition;
use openmetrics::OpenMetrics;
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

const OPENMETRICS: &str = "\
# TYPE a counter
# HELP a A \\\\ \\\"b\\\" \\n
a_total{x=\"\\\"\\n\\\\ {,=}\",y=\"\"} 7 # {trace_id=\"ab\"} 1 1700000000.25
a_total{x=\"ö\",y=\"2\"} 0.5
# TYPE b gauge
# HELP b B
b -1.5e-7
# TYPE c_seconds histogram
# UNIT c_seconds seconds
# HELP c_seconds C
c_seconds_bucket{x=\"1\",le=\"0.5\"} 1
c_seconds_bucket{x=\"1\",le=\"1.0\"} 3 # {trace_id=\"cd\"} 0.75
c_seconds_bucket{x=\"1\",le=\"+Inf\"} 4 # {} 1.5 -1
c_seconds_sum{x=\"1\"} 9.25
c_seconds_count{x=\"1\"} 4
# EOF
";

#[test]
fn both_read_the_same_where_both_formats_say_the_same() {
    let text = Exposition::parse(TEXT).unwrap();
    let read = OpenMetrics::parse(OPENMETRICS).unwrap();
    assert_eq!(read.as_text(), text);
    assert_eq!(text.families["a_total"].help, "A \\ \"b\" \n");
    let of_a: Vec<_> = text.families["a_total"].samples.iter().collect();
    assert_eq!((of_a[0].0.1["x"].as_str(), *of_a[0].1), ("\"\n\\ {,=}", 7.0));
    let exemplars: Vec<_> = read.exemplars.values().map(|found| (found.value, found.at)).collect();
    assert_eq!(
        exemplars,
        [(1.0, Some(1_700_000_000.25)), (0.75, None), (1.5, Some(-1.0))]
    );
    assert_eq!(read.units.len(), 1);
    assert_eq!(Exposition::parse("").unwrap(), Exposition::default());
    assert_eq!(OpenMetrics::parse("# EOF\n").unwrap(), OpenMetrics::default());
}

/// Each is a valid text in which something is replaced.
fn assert_refused<T: std::fmt::Debug>(valid: &str, changes: &[(&str, &str)], parse: fn(&str) -> Result<T, String>) {
    for (from, to) in changes {
        assert!(valid.contains(from), "{from}");
        let read = parse(&valid.replacen(from, to, 1));
        assert!(read.is_err(), "{from} -> {to}: {read:?}");
    }
}

/// What is wrong in both formats.
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

#[test]
fn what_openmetrics_forbids_is_refused() {
    assert_refused(OPENMETRICS, &WRONG, OpenMetrics::parse);
    let too_long = format!("{{trace_id=\"{}\"}} 0.75", "ä".repeat(121));
    let changes = [
        ("# EOF\n", ""),
        ("# EOF\n", "# EOF"),
        ("# EOF\n", "# EOF\n# EOF\n"),
        ("# TYPE b gauge", "# EOF\n# TYPE b gauge"),
        ("# TYPE b gauge", "# TYPE b info"),
        ("# TYPE b gauge\n", ""),
        ("# TYPE b gauge\n", "# TYPE b gauge\n# TYPE b gauge\n"),
        ("# TYPE a counter", "# TYPE a_total counter"),
        ("# HELP b B\n", ""),
        ("# HELP b B\n", "# HELP b B\n# HELP b B\n"),
        ("# HELP b B", "# HELP c B"),
        ("# HELP b B", "# HELP b \""),
        ("# HELP b B\n", "# HELP b B\n# UNIT b b\n"),
        ("# UNIT c_seconds seconds", "# UNIT c_seconds bytes"),
        ("# UNIT c_seconds seconds", "# UNIT c_seconds "),
        ("# UNIT c_seconds seconds", "# UNIT c_seconds econds"),
        (
            "# UNIT c_seconds seconds",
            "# UNIT c_seconds seconds\n# UNIT c_seconds seconds",
        ),
        // Names that samples of another metric could have.
        (
            "# TYPE b gauge\n# HELP b B\nb ",
            "# TYPE a_total gauge\n# HELP a_total B\na_total ",
        ),
        (
            "# TYPE b gauge\n# HELP b B\nb ",
            "# TYPE a_created gauge\n# HELP a_created B\na_created ",
        ),
        (
            "# TYPE b gauge\n# HELP b B\nb ",
            "# TYPE c_seconds_count gauge\n# HELP c_seconds_count B\nc_seconds_count ",
        ),
        // Series of one metric in between those of another.
        (
            "c_seconds_bucket{x=\"1\",le=\"0.5\"} 1\n",
            "c_seconds_bucket{x=\"1\",le=\"0.5\"} 1\nc_seconds_sum{x=\"2\"} 1\n",
        ),
        ("le=\"1.0\"", "le=\"1\""),
        ("le=\"0.5\"", "le=\"5e-1\""),
        ("le=\"0.5\"", "le=\"0.00001\""),
        ("le=\"0.5\"", "le=\"1e-5\""),
        ("le=\"0.5\"", "le=\"10e-06\""),
        ("le=\"0.5\"", "le=\"0.50\""),
        // Exemplars: where they may not be, what they do not tell, what is not counted.
        ("b -1.5e-7", "b 1 # {} 1"),
        ("c_seconds_sum{x=\"1\"} 9.25", "c_seconds_sum{x=\"1\"} 9.25 # {} 1"),
        ("a_total{x=\"ö\",y=\"2\"} 0.5", "a_total{x=\"ö\",y=\"2\"} 0 # {} 1"),
        ("# {trace_id=\"cd\"} 0.75", "# {trace_id=\"cd\"}"),
        ("# {trace_id=\"cd\"} 0.75", "# 0.75"),
        ("# {trace_id=\"cd\"} 0.75", "# {trace_id=\"cd\"} 0.75 1 1"),
        ("# {trace_id=\"cd\"} 0.75", "# {trace_id=\"cd\"} NaN"),
        ("# {trace_id=\"cd\"} 0.75", "# {trace_id=\"cd\"} 0.75 +Inf"),
        ("# {trace_id=\"cd\"} 0.75", "#  {trace_id=\"cd\"} 0.75"),
        ("{trace_id=\"cd\"} 0.75", &too_long),
        ("# {trace_id=\"cd\"} 0.75", "# {trace_id=\"cd\"} 0.5"),
        ("# {trace_id=\"cd\"} 0.75", "# {trace_id=\"cd\"} 1.25"),
        ("le=\"0.5\"} 1", "le=\"0.5\"} 3"),
    ];
    assert_refused(OPENMETRICS, &changes, OpenMetrics::parse);
    let just_short_enough = OPENMETRICS.replace("trace_id=\"cd\"", &format!("trace_id=\"{}\"", "ä".repeat(120)));
    OpenMetrics::parse(&just_short_enough).unwrap();
    for bound in ["1e-05", "1.5e-05", "0.0001", "0.25"] {
        OpenMetrics::parse(&OPENMETRICS.replace("le=\"0.5\"", &format!("le=\"{bound}\""))).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_them_panic(
        garbage in any::<String>(),
        from in 0..TEXT.len(),
        to in 0..TEXT.len(),
        put in "[a-z_ {}=\",\\\\#\n0-9.+eE-]{0,6}",
    ) {
        for valid in [TEXT, OPENMETRICS] {
            let spliced: String = valid.chars().take(from).chain(put.chars()).chain(valid.chars().skip(to)).collect();
            for text in [&garbage, &spliced, &format!("{spliced}# EOF\n")] {
                let _ = Exposition::parse(text);
                let _ = OpenMetrics::parse(text);
            }
        }
    }
}
