//! Samples, which are the same in all formats: names, labels, numbers.

use super::Syntax;
use crate::metrics::catalogue::{Metric, Value};
use crate::metrics::exemplar::Exemplar;
use crate::metrics::histogram::{Bucket, HistogramSnapshot};
use crate::metrics::labels::LabelSet;
use crate::metrics::scrape::Sink;

/// Writes metric after metric: a header, then its samples.
pub(super) struct Writer<'a> {
    out: &'a mut String,
    syntax: &'a dyn Syntax,
    name: &'a str,
    /// Full with so many bytes.
    limit: usize,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(out: &'a mut String, syntax: &'a dyn Syntax) -> Self {
        Self::with_limit(out, syntax, usize::MAX)
    }

    pub(super) const fn with_limit(out: &'a mut String, syntax: &'a dyn Syntax, limit: usize) -> Self {
        let name = "";
        Self {
            out,
            syntax,
            name,
            limit,
        }
    }

    /// The samples that follow are of this metric.
    pub(super) fn begin(&mut self, name: &'a str, help: &str, kind: &str) {
        self.name = name;
        self.syntax.header(self.out, name, help, kind);
    }

    /// Texts of labels may be empty.
    pub(super) fn value(&mut self, labels: &[&str], value: Value, exemplar: Option<Exemplar>) {
        self.sample("", labels, "", value, exemplar);
    }

    pub(super) fn histogram(&mut self, labels: &[&str], buckets: impl Iterator<Item = Bucket>, count: u64, sum: f64) {
        for bucket in buckets {
            let bound = format!("le=\"{}\"", canonical(bucket.bound));
            self.sample(
                "_bucket",
                labels,
                &bound,
                Value::Int(bucket.cumulative),
                bucket.exemplar,
            );
        }
        self.sample("_sum", labels, "", Value::Float(sum), None);
        self.sample("_count", labels, "", Value::Int(count), None);
    }

    fn sample(&mut self, suffix: &str, labels: &[&str], last: &str, value: Value, exemplar: Option<Exemplar>) {
        push_series(self.out, self.name, suffix, labels, last);
        push_value(self.out, value);
        if let Some(exemplar) = exemplar {
            self.syntax.exemplar(self.out, &exemplar);
        }
        self.out.push('\n');
    }
}

/// Label texts are there already.
impl Sink for Writer<'_> {
    fn family(&mut self, metric: &Metric) {
        self.begin(metric.name, metric.help, metric.kind.as_str());
    }

    fn family_goes_on(&mut self, metric: &Metric) {
        self.name = metric.name;
    }

    fn value(&mut self, identity: &LabelSet, series: &LabelSet, value: Value, exemplar: Option<Exemplar>) {
        self.value(&[identity.text(), series.text()], value, exemplar);
    }

    fn histogram(&mut self, identity: &LabelSet, series: &LabelSet, value: &HistogramSnapshot) {
        let labels = [identity.text(), series.text()];
        self.histogram(&labels, value.buckets.iter().copied(), value.count, value.sum);
    }

    fn is_full(&self) -> bool {
        self.out.len() >= self.limit
    }
}

/// Name, labels, and a space.
fn push_series(out: &mut String, name: &str, suffix: &str, labels: &[&str], last: &str) {
    out.push_str(name);
    out.push_str(suffix);
    let mut separator = '{';
    for part in labels.iter().copied().chain([last]).filter(|part| !part.is_empty()) {
        out.push(separator);
        out.push_str(part);
        separator = ',';
    }
    out.push_str(if separator == '{' { " " } else { "} " });
}

/// The shortest text that reads as the same number.
pub(super) fn push_value(out: &mut String, value: Value) {
    match value {
        Value::Int(value) => push_int(out, value),
        Value::Float(value) => push_float(out, value),
    }
}

fn push_int(out: &mut String, value: u64) {
    match u8::try_from(value) {
        // Nearly all of them.
        Ok(digit @ 0..=9) => out.push(char::from(b'0' + digit)),
        _ => out.push_str(itoa::Buffer::new().format(value)),
    }
}

fn push_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        out.push_str(text.strip_suffix(".0").unwrap_or(text));
    }
}

/// The text of a bound: a label value, and so a matter of letters. It is as the `%g` of C, but always with a point or an
/// exponent. Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/#considerations-canonical-numbers>
fn canonical(bound: f64) -> String {
    if bound.is_infinite() {
        return "+Inf".to_owned();
    }
    if bound == 0.0 || (1e-4..1e6).contains(&bound.abs()) {
        return format!("{bound:?}");
    }
    let text = format!("{bound:e}");
    let parts = text.split_once('e');
    let parts = parts.and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    parts.map_or(text.clone(), |(digits, exponent)| format!("{digits}e{exponent:+03}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value) -> String {
        let mut out = String::new();
        push_value(&mut out, value);
        out
    }

    #[test]
    fn numbers_are_written_as_prometheus_reads_them() {
        for (number, text) in [
            (1.0, "1"),
            (0.0, "0"),
            (-1.5, "-1.5"),
            (0.001, "0.001"),
            (1_700_000_000.123, "1700000000.123"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (2.5e-7, "2.5e-7"),
            (1e20, "1e+20"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(Value::Float(number)), text);
        }
        assert_eq!(
            written(Value::Int(u64::MAX)),
            "18446744073709551615",
            "to the last digit"
        );
    }

    #[test]
    fn bounds_are_spelt_as_openmetrics_spells_them() {
        let bounds = [
            0.0, 1e-10, 1e-5, 0.0001, 0.001, 0.25, 1.0, 2.5, 10.0, 86_400.0, 100_000.0, 1e6, 1.5e7, 1.1e23,
        ];
        let texts = "0.0 1e-10 1e-05 0.0001 0.001 0.25 1.0 2.5 10.0 86400.0 100000.0 1e+06 1.5e+07 1.1e+23 +Inf";
        let told: Vec<_> = bounds.into_iter().chain([f64::INFINITY]).map(canonical).collect();
        assert_eq!(told.join(" "), texts);
    }

    #[test]
    fn braces_stand_only_around_labels() {
        let mut out = String::new();
        push_series(&mut out, "a", "_sum", &["", ""], "");
        push_series(&mut out, "b", "", &["x=\"1\"", ""], "le=\"1.0\"");
        assert_eq!(out, "a_sum b{x=\"1\",le=\"1.0\"} ");
    }
}
