//! The text format of OpenMetrics, version 1.0.0.
//!
//! Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>. Left out is what it only allows: state sets and infos are
//! gauges, as in the other format, and there are no `_created` samples, which Prometheus would store as further series.
//!
//! ```
//! use feedwatch::clock::Moment;
//! use feedwatch::market::StreamName;
//! use feedwatch::metrics::{StreamCells, StreamInfo, Streams, openmetrics};
//! use std::sync::Arc;
//!
//! let streams = Streams::new();
//! let info = StreamInfo::new(StreamName::new("bot").unwrap(), "venue.example", "wss");
//! let cells = Arc::new(StreamCells::new(info, streams.venue("polymarket"), Moment::now().mono));
//! streams.add(&cells);
//! let scrape = openmetrics::render(&streams, Moment::now());
//! assert!(scrape.contains("# TYPE feedwatch_connect_attempts counter\n"));
//! assert!(scrape.ends_with("# EOF\n"));
//! ```

use super::writer::push_value;
use super::{Format, Syntax};
use crate::clock::Moment;
use crate::metrics::catalogue::{Kind, Value};
use crate::metrics::exemplar::Exemplar;
use crate::metrics::labels::push_escaped;
use crate::metrics::streams::Streams;
use std::fmt::Write;

/// What `Content-Type` says of it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(super) const DRAFT_CONTENT_TYPE: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";

/// The base units in which names end.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// The figures of all streams and venues as a text of their own.
pub fn render(streams: &Streams, at: Moment) -> String {
    Format::OpenMetrics.render(streams, &[], at)
}

pub(super) struct OpenMetrics;

impl Syntax for OpenMetrics {
    fn header(&self, out: &mut String, name: &str, help: &str, kind: &str) {
        let (family, kind) = if kind == Kind::Counter.as_str() {
            // A counter's sample must end in `_total`. One that does not keeps its name, and so is no counter here.
            let family = name.strip_suffix("_total");
            family.map_or((name, "unknown"), |family| (family, kind))
        } else {
            (name, kind)
        };
        out.extend(["# TYPE ", family, " ", kind, "\n"]);
        if let Some(unit) = unit(family) {
            out.extend(["# UNIT ", family, " ", unit, "\n"]);
        }
        out.extend(["# HELP ", family, " "]);
        push_escaped(out, help);
        out.push('\n');
    }

    /// Name and value of the label are 40 characters; 128 are allowed.
    fn exemplar(&self, out: &mut String, exemplar: &Exemplar) {
        let at = exemplar.unix_millis as f64 / 1000.0;
        // Writing to a String cannot fail.
        let _ = write!(out, " # {{trace_id=\"{}\"}} ", exemplar.trace);
        push_value(out, Value::Float(exemplar.value));
        out.push(' ');
        push_value(out, Value::Float(at));
    }

    fn end(&self) -> &'static str {
        "# EOF\n"
    }
}

fn unit(family: &str) -> Option<&'static str> {
    let is_unit = |unit: &&str| family.strip_suffix(*unit).is_some_and(|stem| stem.ends_with('_'));
    UNITS.into_iter().find(is_unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::TraceId;

    fn header(name: &str, help: &str, kind: &str) -> String {
        let mut out = String::new();
        OpenMetrics.header(&mut out, name, help, kind);
        out
    }

    #[test]
    fn a_counter_is_named_without_its_suffix_and_a_unit_is_told() {
        assert_eq!(
            header("a_bytes_total", "A", "counter"),
            "# TYPE a_bytes counter\n# UNIT a_bytes bytes\n# HELP a_bytes A\n"
        );
        assert_eq!(header("a_total", "A", "counter"), "# TYPE a counter\n# HELP a A\n");
        assert_eq!(
            header("a_seconds", "A", "histogram"),
            "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP a_seconds A\n"
        );
        assert_eq!(
            header("milliseconds", "A", "gauge"),
            "# TYPE milliseconds gauge\n# HELP milliseconds A\n"
        );
    }

    #[test]
    fn a_counter_that_is_named_otherwise_is_unknown_and_a_gauge_keeps_its_name() {
        assert_eq!(header("a", "A", "counter"), "# TYPE a unknown\n# HELP a A\n");
        assert_eq!(
            header("a_total", "A", "gauge"),
            "# TYPE a_total gauge\n# HELP a_total A\n"
        );
    }

    #[test]
    fn a_help_is_escaped_as_a_label_value_is() {
        assert_eq!(
            header("a", "b\\c\n\"d\"", "gauge"),
            "# TYPE a gauge\n# HELP a b\\\\c\\n\\\"d\\\"\n"
        );
    }

    #[test]
    fn an_exemplar_names_its_trace_its_value_and_its_time() {
        let mut out = String::new();
        let exemplar = Exemplar {
            trace: TraceId::from_bits(0xabc).unwrap(),
            value: 0.25,
            unix_millis: 1_700_000_000_120,
        };
        OpenMetrics.exemplar(&mut out, &exemplar);
        assert_eq!(
            out,
            " # {trace_id=\"00000000000000000000000000000abc\"} 0.25 1700000000.12"
        );
    }
}
