//! Reads the text format of OpenMetrics 1.0, and insists on its rules, and on more than these: each metric has TYPE, a UNIT or
//! none, and HELP, in this order; its type is one of those that are written here; no times of samples; no `_created`.
//! Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>
//!
//! It stands beside `exposition`, with which it shares what the formats share, and like that it never panics.

#![allow(dead_code, reason = "not every test uses everything")]

use super::exposition::{Exposition, Family, HISTOGRAM, Labels, Opened, Sample, Series};
use super::exposition::{check_name, labels, lines, number, unescape};
use std::collections::{BTreeMap, BTreeSet};

/// The most characters of names and values of an exemplar's labels.
const LONGEST_EXEMPLAR: usize = 128;

/// A scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OpenMetrics {
    /// Counters without `_total` in the name, which is the suffix of their samples.
    pub(crate) exposition: Exposition,
    /// By the metric.
    pub(crate) units: BTreeMap<String, String>,
    /// By the metric and the series.
    pub(crate) exemplars: BTreeMap<(String, Series), Exemplar>,
}

/// An observation of a sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    /// Seconds since the Unix epoch.
    pub(crate) at: Option<f64>,
}

impl OpenMetrics {
    /// The error says what is wrong, and in which line or with which metric.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix("# EOF\n").ok_or("the last line is not `# EOF`")?;
        let mut reader = Reader::default();
        for line in lines(text)? {
            reader.line(line).map_err(|error| format!("{error}: {line}"))?;
        }
        reader.close()?;
        Ok(reader.read)
    }

    /// The same as the format 0.0.4 shows it: without units and exemplars, and with counters called by their samples' name.
    pub(crate) fn as_text(&self) -> Exposition {
        let mut text = self.exposition.clone();
        for (name, mut family) in std::mem::take(&mut text.families) {
            let name = match family.kind.as_str() {
                "counter" => {
                    let samples = std::mem::take(&mut family.samples).into_iter();
                    family.samples = samples
                        .map(|((_, labels), value)| ((String::new(), labels), value))
                        .collect();
                    name + "_total"
                }
                "unknown" => {
                    "counter".clone_into(&mut family.kind);
                    name
                }
                _ => name,
            };
            text.families.insert(name, family);
        }
        text
    }
}

#[derive(Default)]
struct Reader<'t> {
    read: OpenMetrics,
    opened: Option<Opened<'t>>,
    has_help: bool,
    exemplars: BTreeMap<Series, Exemplar>,
    /// What samples are called, or could be called.
    taken: BTreeSet<String>,
}

impl<'t> Reader<'t> {
    fn line(&mut self, line: &'t str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            self.close()?;
            let (name, kind) = rest.split_once(' ').ok_or("a TYPE without a type")?;
            return self.open(name, kind);
        }
        let opened = self.opened.as_mut().ok_or("not below a TYPE")?;
        if let Some(rest) = line.strip_prefix("# UNIT ") {
            let unit = descriptor(opened.name, rest)?;
            let stem = opened.name.strip_suffix(unit).filter(|_| !unit.is_empty());
            if !stem.is_some_and(|stem| stem.ends_with('_')) {
                return Err("the name does not end in the unit".to_owned());
            }
            let before = self.read.units.insert(opened.name.to_owned(), unit.to_owned());
            if self.has_help || before.is_some() {
                return Err("a UNIT that does not follow the TYPE".to_owned());
            }
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            if std::mem::replace(&mut self.has_help, true) {
                return Err("a second HELP".to_owned());
            }
            opened.family.help = unescape(descriptor(opened.name, rest)?, true)?;
        } else if self.has_help {
            let sample = Sample::parse(line)?;
            let (rest, bound) = (sample.rest, sample.labels.get("le").cloned());
            let series = opened.add(sample)?;
            bound.map_or(Ok(()), |bound| check_canonical(&bound))?;
            if let Some(rest) = rest {
                let exemplar = Exemplar::parse(rest)?;
                if !matches!(series.0.as_str(), "_total" | "_bucket") {
                    return Err("an exemplar where there may be none".to_owned());
                }
                self.exemplars.insert(series, exemplar);
            }
        } else {
            return Err("a metric without HELP, or another comment".to_owned());
        }
        Ok(())
    }

    fn open(&mut self, name: &'t str, kind: &str) -> Result<(), String> {
        check_name(name, true)?;
        let (suffixes, reserved): (&'static [&'static str], &[&str]) = match kind {
            "counter" => (&["_total"], &["", "_total", "_created"]),
            "gauge" | "unknown" => (&[""], &[""]),
            "histogram" => (HISTOGRAM, &["", "_bucket", "_sum", "_count", "_created"]),
            _ => return Err("a type that is not expected".to_owned()),
        };
        for suffix in reserved {
            if !self.taken.insert(format!("{name}{suffix}")) {
                return Err(format!("{name}{suffix} could be of another metric"));
            }
        }
        self.has_help = false;
        self.opened = Some(Opened::new(name, kind, suffixes));
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(opened) = self.opened.take() else {
            return Ok(());
        };
        let name = opened.name;
        self.read.exposition.insert(opened)?;
        let exemplars = std::mem::take(&mut self.exemplars);
        if let Some(family) = self.read.exposition.families.get(name) {
            check_exemplars(family, &exemplars).map_err(|error| format!("{name}: {error}"))?;
        }
        let named = exemplars
            .into_iter()
            .map(|(series, exemplar)| ((name.to_owned(), series), exemplar));
        self.read.exemplars.extend(named);
        Ok(())
    }
}

/// Each must be one of those that its bucket, or its counter, counts.
fn check_exemplars(family: &Family, exemplars: &BTreeMap<Series, Exemplar>) -> Result<(), String> {
    for (identity, buckets) in family.histograms() {
        let (mut below, mut lower) = (f64::NEG_INFINITY, 0.0);
        for (bound, count) in buckets {
            let le = ("le".to_owned(), bound.to_string());
            let series = ("_bucket".to_owned(), identity.clone().into_iter().chain([le]).collect());
            let lies = |exemplar: &&Exemplar| below < exemplar.value && exemplar.value <= bound && lower < count;
            if let Some(exemplar) = exemplars.get(&series).filter(|exemplar| !lies(exemplar)) {
                return Err(format!("{series:?} does not count {exemplar:?}"));
            }
            (below, lower) = (bound, count);
        }
    }
    for (series, exemplar) in exemplars.iter().filter(|((suffix, _), _)| suffix == "_total") {
        if family.samples.get(series).is_none_or(|count| *count <= 0.0) {
            return Err(format!("{series:?} does not count {exemplar:?}"));
        }
    }
    Ok(())
}

impl Exemplar {
    /// `# {labels} value time`, the time perhaps left out.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text
            .strip_prefix("# {")
            .ok_or("neither an end nor an exemplar after the value")?;
        let (labels, rest) = labels(text)?;
        let rest = rest.strip_prefix(' ').ok_or("an exemplar without a value")?;
        let (value, at) = match rest.split_once(' ') {
            Some((value, at)) => (value, Some(number(at)?)),
            None => (rest, None),
        };
        let value = number(value)?;
        let length: usize = labels
            .iter()
            .map(|(name, value)| name.chars().count() + value.chars().count())
            .sum();
        if length > LONGEST_EXEMPLAR || value.is_nan() || at.is_some_and(|at| !at.is_finite()) {
            return Err("an exemplar that is too long or has no number".to_owned());
        }
        Ok(Self { labels, value, at })
    }
}

/// What a descriptor says of the metric, which must be the opened one.
fn descriptor<'t>(name: &str, rest: &'t str) -> Result<&'t str, String> {
    let told = rest.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
    told.ok_or_else(|| format!("not of {name}"))
}

/// A bound is spelt as Go's `%g` does it, with a point or an exponent.
fn check_canonical(bound: &str) -> Result<(), String> {
    let value = number(bound)?;
    let magnitude = value.abs();
    let canonical = match bound.split_once('e') {
        _ if bound == "+Inf" => true,
        Some((digits, exponent)) => {
            let has_two_digits = exponent.len() >= 3 && exponent.starts_with(['+', '-']);
            let is_far = !(1e-4..1e6).contains(&magnitude);
            is_far
                && has_two_digits
                && digits
                    .trim_start_matches('-')
                    .split('.')
                    .next()
                    .is_some_and(|whole| whole.len() == 1)
        }
        None => format!("{value:?}") == bound && (value == 0.0 || (1e-4..1e6).contains(&magnitude)),
    };
    if canonical {
        Ok(())
    } else {
        Err("a bound in another spelling than the canonical one".to_owned())
    }
}
