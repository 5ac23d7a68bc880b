//! What tests ask of a scrape. Where it is not there, the test fails.

#![allow(dead_code, reason = "not every test uses everything")]

use super::exposition::{Exposition, Family, Labels, Series};

impl Exposition {
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
    pub(crate) fn growing(&self) -> impl Iterator<Item = ((&str, &Series), f64)> {
        let families = self.families.iter().filter(|(_, family)| family.kind != "gauge");
        families.flat_map(|(name, family)| {
            let samples = family.samples.iter();
            samples.map(move |(series, value)| ((name.as_str(), series), *value))
        })
    }
}

impl Family {
    /// The buckets of the histogram with these labels: bound and cumulative count.
    pub(crate) fn buckets(&self, identity: &Labels) -> Vec<(f64, f64)> {
        self.histograms()
            .remove(identity)
            .unwrap_or_else(|| panic!("no {identity:?}"))
    }
}
