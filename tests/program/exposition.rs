//! Reads the text exposition format, and insists on its rules.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a series.
pub(crate) type Labels = BTreeMap<String, String>;

/// A scrape.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) families: BTreeMap<String, Family>,
}

/// A metric with all its series.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    /// By the suffix of the name, which only histograms have, and the labels.
    pub(crate) samples: BTreeMap<(String, Labels), f64>,
}

impl Exposition {
    /// # Panics
    ///
    /// Where the text breaks the format's rules.
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line does not end");
        let mut exposition = Self::default();
        let (mut name, mut help) = ("", None);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (named, told) = rest.split_once(' ').unwrap();
                (name, help) = (named, Some(told));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (named, kind) = rest.split_once(' ').unwrap();
                assert_eq!(named, name, "TYPE without its HELP");
                let family = Family {
                    help: help.take().unwrap().to_owned(),
                    kind: kind.to_owned(),
                    samples: BTreeMap::new(),
                };
                let before = exposition.families.insert(name.to_owned(), family);
                assert!(before.is_none(), "{name} comes twice");
            } else {
                let family = exposition
                    .families
                    .get_mut(name)
                    .unwrap_or_else(|| panic!("before any TYPE: {line}"));
                let (series, labels, value) = parse_sample(line);
                let suffix = series
                    .strip_prefix(name)
                    .unwrap_or_else(|| panic!("not {name}: {line}"));
                let suffixes: &[&str] = match family.kind.as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(suffixes.contains(&suffix), "{line}");
                let before = family.samples.insert((suffix.to_owned(), labels), value);
                assert!(before.is_none(), "comes twice: {line}");
            }
        }
        exposition.families.values().for_each(Family::check);
        exposition
    }

    pub(crate) fn family(&self, name: &str) -> &Family {
        self.families.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// The series of a metric that have these labels, and their values.
    pub(crate) fn series<'a>(&'a self, name: &str, wanted: &'a [(&str, &str)]) -> Vec<(&'a Labels, f64)> {
        let has = |labels: &Labels| {
            wanted
                .iter()
                .all(|(name, value)| labels.get(*name).is_some_and(|found| found == value))
        };
        let samples = self.family(name).samples.iter();
        samples
            .filter(|((_, labels), _)| has(labels))
            .map(|((_, labels), value)| (labels, *value))
            .collect()
    }

    /// The one value with these labels.
    pub(crate) fn value(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        match self.series(name, wanted).as_slice() {
            [(_, value)] => *value,
            others => panic!("{name} {wanted:?}: {others:?}"),
        }
    }

    /// The sum of the values with these labels; there is one at least.
    pub(crate) fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        let series = self.series(name, wanted);
        assert!(!series.is_empty(), "{name} {wanted:?}");
        series.iter().map(|(_, value)| value).sum()
    }

    /// What can only grow: counters, and the parts of histograms.
    pub(crate) fn growing(&self) -> impl Iterator<Item = ((&str, &(String, Labels)), f64)> {
        let families = self.families.iter().filter(|(_, family)| family.kind != "gauge");
        families.flat_map(|(name, family)| {
            let samples = family.samples.iter();
            samples.map(move |(series, value)| ((name.as_str(), series), *value))
        })
    }
}

impl Family {
    /// The names of the labels, which all series have in common; `le` left out.
    pub(crate) fn label_names(&self) -> BTreeSet<&str> {
        let names = |labels: &'_ Labels| labels.keys().cloned().collect::<BTreeSet<_>>();
        let sets: BTreeSet<_> = self
            .samples
            .keys()
            .map(|(_, labels)| names(&without_le(labels)))
            .collect();
        assert!(sets.len() <= 1, "not the same labels: {sets:?}");
        let first = self.samples.keys().next().expect("a family has series");
        first
            .1
            .keys()
            .map(String::as_str)
            .filter(|name| *name != "le")
            .collect()
    }

    /// The labels of the series, one a histogram.
    pub(crate) fn identities(&self) -> BTreeSet<Labels> {
        self.samples.keys().map(|(_, labels)| without_le(labels)).collect()
    }

    /// The buckets of the histogram with these labels: bound and cumulative count.
    pub(crate) fn buckets(&self, identity: &Labels) -> Vec<(f64, f64)> {
        let mut buckets: Vec<(f64, f64)> = self
            .samples
            .iter()
            .filter(|((suffix, labels), _)| suffix == "_bucket" && without_le(labels) == *identity)
            .map(|((_, labels), count)| (number(&labels["le"]), *count))
            .collect();
        buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        buckets
    }

    fn check(&self) {
        assert!(!self.samples.is_empty(), "a family without series: {self:?}");
        for (series, value) in &self.samples {
            assert!(!value.is_nan(), "{series:?}");
            assert!(self.kind == "gauge" || *value >= 0.0, "{series:?} is {value}");
        }
        if self.kind == "histogram" {
            for identity in self.identities() {
                let buckets = self.buckets(&identity);
                let count = self.samples[&("_count".to_owned(), identity.clone())];
                assert!(self.samples.contains_key(&("_sum".to_owned(), identity)));
                assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{buckets:?}");
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)));
            }
        }
    }
}

fn without_le(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.remove("le");
    labels
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        _ => text.parse().unwrap_or_else(|error| panic!("{error}: {text}")),
    }
}

fn parse_sample(line: &str) -> (&str, Labels, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, parse_labels(labels, line)),
        None => (series, Labels::new()),
    };
    (name, labels, number(value))
}

/// `name="value",name="value"}`
fn parse_labels(mut rest: &str, line: &str) -> Labels {
    let mut labels = Labels::new();
    while rest != "}" {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        let mut value = String::new();
        let mut characters = after.chars();
        loop {
            match characters.next() {
                Some('"') => break,
                Some('\\') => value.push(match characters.next() {
                    Some('n') => '\n',
                    Some(escaped @ ('"' | '\\')) => escaped,
                    other => panic!("escapes {other:?}: {line}"),
                }),
                Some(character) => value.push(character),
                None => panic!("no end: {line}"),
            }
        }
        assert!(
            labels.insert(name.to_owned(), value).is_none(),
            "{name} comes twice: {line}"
        );
        rest = characters.as_str();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}
