//! The text exposition format, version 0.0.4, written directly.

use crate::clock::Moment;
use crate::metrics::catalogue::{Metric, Value};
use crate::metrics::exemplar::Exemplar;
use crate::metrics::histogram::HistogramSnapshot;
use crate::metrics::labels::{LabelSet, escape_help, push_pair};
use crate::metrics::scrape::{Scrape, Sink};
use crate::metrics::streams::Streams;
use prometheus::proto::{self, MetricFamily, MetricType};
use std::fmt::Write;

/// What `Content-Type` says of it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Appends the figures of all streams and venues, as they are at `at`.
pub fn write_streams(out: &mut String, streams: &Streams, at: Moment) {
    let mut writer = Writer { out, name: "" };
    Scrape::new(streams, at).walk(&mut writer);
}

/// Appends what a `prometheus::Registry` gathered. Samples with a time of their own lose it; summaries and
/// untyped samples are left out.
pub fn write_families(out: &mut String, families: &[MetricFamily]) {
    for family in families {
        let mut sample = Sample { out };
        match family.get_field_type() {
            MetricType::COUNTER => sample.family(family, "counter", |m| m.get_counter().get_value()),
            MetricType::GAUGE => sample.family(family, "gauge", |m| m.get_gauge().get_value()),
            MetricType::HISTOGRAM => sample.histograms(family),
            MetricType::UNTYPED | MetricType::SUMMARY => {}
        }
    }
}

/// The figures of all streams and venues as a text of their own.
pub fn render(streams: &Streams, at: Moment) -> String {
    let mut out = String::new();
    write_streams(&mut out, streams, at);
    out
}

/// Writes along the walk: label texts are there already.
struct Writer<'a> {
    out: &'a mut String,
    name: &'static str,
}

impl Sink for Writer<'_> {
    fn family(&mut self, metric: &Metric) {
        self.name = metric.name;
        push_header(self.out, metric.name, metric.help, metric.kind.as_str());
    }

    fn value(&mut self, identity: &LabelSet, series: &LabelSet, value: Value, _exemplar: Option<Exemplar>) {
        push_series(self.out, self.name, "", &[identity.text(), series.text()], "");
        match value {
            Value::Int(value) => push_line(self.out, value),
            Value::Float(value) => push_number(self.out, value),
        }
    }

    fn histogram(&mut self, identity: &LabelSet, series: &LabelSet, value: &HistogramSnapshot) {
        let buckets = value.buckets.iter().map(|bucket| (bucket.bound, bucket.cumulative));
        let labels = [identity.text(), series.text()];
        push_histogram(self.out, self.name, &labels, buckets, value.count, value.sum);
    }
}

/// Writes what the `prometheus` crate gathered.
struct Sample<'a> {
    out: &'a mut String,
}

impl Sample<'_> {
    fn family(&mut self, family: &MetricFamily, kind: &str, value: fn(&proto::Metric) -> f64) {
        push_header(self.out, family.name(), family.help(), kind);
        for metric in family.get_metric() {
            push_series(self.out, family.name(), "", &[&labels_of(metric)], "");
            push_number(self.out, value(metric));
        }
    }

    fn histograms(&mut self, family: &MetricFamily) {
        push_header(self.out, family.name(), family.help(), "histogram");
        for metric in family.get_metric() {
            let histogram = metric.get_histogram();
            let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
            let buckets = histogram.get_bucket().iter();
            let finite = buckets
                .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
                .filter(|(bound, _)| bound.is_finite());
            let all = finite.chain([(f64::INFINITY, count)]);
            push_histogram(self.out, family.name(), &[&labels_of(metric)], all, count, sum);
        }
    }
}

fn labels_of(metric: &proto::Metric) -> String {
    let mut labels = String::new();
    for pair in metric.get_label() {
        push_pair(&mut labels, pair.name(), pair.value());
    }
    labels
}

fn push_header(out: &mut String, name: &str, help: &str, kind: &str) {
    let help = escape_help(help);
    out.extend(["# HELP ", name, " ", &help, "\n# TYPE ", name, " ", kind, "\n"]);
}

fn push_histogram(
    out: &mut String,
    name: &str,
    labels: &[&str],
    cumulative: impl Iterator<Item = (f64, u64)>,
    count: u64,
    sum: f64,
) {
    for (bound, up_to) in cumulative {
        let bound = if bound.is_finite() {
            // With a point even where it is whole, as OpenMetrics wants it: "1.0".
            format!("le=\"{bound:?}\"")
        } else {
            "le=\"+Inf\"".to_owned()
        };
        push_series(out, name, "_bucket", labels, &bound);
        push_line(out, up_to);
    }
    push_series(out, name, "_sum", labels, "");
    push_number(out, sum);
    push_series(out, name, "_count", labels, "");
    push_line(out, count);
}

/// Name, labels, and a space.
fn push_series(out: &mut String, name: &str, suffix: &str, labels: &[&str], last: &str) {
    out.push_str(name);
    out.push_str(suffix);
    let mut separator = "{";
    for part in labels.iter().copied().chain([last]).filter(|part| !part.is_empty()) {
        out.push_str(separator);
        out.push_str(part);
        separator = ",";
    }
    out.push_str(if separator == "{" { " " } else { "} " });
}

fn push_number(out: &mut String, value: f64) {
    if value.is_nan() {
        push_line(out, "NaN");
    } else if value == f64::INFINITY {
        push_line(out, "+Inf");
    } else if value == f64::NEG_INFINITY {
        push_line(out, "-Inf");
    } else {
        push_line(out, value);
    }
}

fn push_line(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64) -> String {
        let mut out = String::new();
        push_number(&mut out, value);
        out
    }

    #[test]
    fn numbers_are_written_as_prometheus_reads_them() {
        assert_eq!(number(1.0), "1\n");
        assert_eq!(number(0.001), "0.001\n");
        assert_eq!(number(f64::NAN), "NaN\n");
        assert_eq!(number(f64::INFINITY), "+Inf\n");
        assert_eq!(number(f64::NEG_INFINITY), "-Inf\n");
    }

    #[test]
    fn braces_stand_only_around_labels() {
        let mut out = String::new();
        push_series(&mut out, "a", "_sum", &["", ""], "");
        push_series(&mut out, "b", "", &["x=\"1\"", ""], "le=\"1.0\"");
        assert_eq!(out, "a_sum b{x=\"1\",le=\"1.0\"} ");
    }
}
