//! What a venue must show, told by the same events.

use super::exposition::{Labels, Series};
use super::model::Traced;
use std::collections::BTreeMap;

/// No observation counts as longer in a sum: seconds.
const LONGEST: f64 = 10.0 * 365.0 * 86_400.0;

#[derive(Default)]
pub(crate) struct VenueModel {
    values: BTreeMap<(&'static str, String), f64>,
    histograms: BTreeMap<(&'static str, String), Observations>,
}

impl VenueModel {
    pub(crate) fn value(&self, metric: &'static str, own: &[&str]) -> f64 {
        self.values.get(&(metric, own.join(" "))).copied().unwrap_or(0.0)
    }

    pub(crate) fn histogram(&self, metric: &'static str, own: &[&str]) -> Observations {
        let found = self.histograms.get(&(metric, own.join(" ")));
        found.cloned().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, metric: &'static str, own: &str) {
        *self.values.entry((metric, own.to_owned())).or_default() += 1.0;
    }

    pub(crate) fn set(&mut self, metric: &'static str, value: f64) {
        self.values.insert((metric, String::new()), value);
    }

    pub(crate) fn observe(&mut self, metric: &'static str, own: &str, seconds: f64, traced: Option<Traced>) {
        let observations = self.histograms.entry((metric, own.to_owned())).or_default();
        observations.0.push((seconds, traced));
    }
}

/// Seconds, the oldest first.
#[derive(Clone, Default)]
pub(crate) struct Observations(Vec<(f64, Option<Traced>)>);

impl Observations {
    pub(crate) fn samples(&self, bounds: &[f64], identity: &Labels) -> BTreeMap<Series, f64> {
        let mut samples = BTreeMap::new();
        let series = |suffix: &str| (suffix.to_owned(), identity.clone());
        for bound in with_infinity(bounds) {
            let (suffix, mut labels) = series("_bucket");
            labels.insert("le".to_owned(), bound.to_string());
            let up_to = self.0.iter().filter(|(seconds, _)| *seconds <= bound).count();
            samples.insert((suffix, labels), up_to as f64);
        }
        let micros = |seconds: f64| (seconds.min(LONGEST) * 1e6).round() as u64;
        let sum: u64 = self.0.iter().map(|(seconds, _)| micros(*seconds)).sum();
        samples.insert(series("_sum"), sum as f64 / 1e6);
        samples.insert(series("_count"), self.0.len() as f64);
        samples
    }

    /// The last traced one of each bucket.
    pub(crate) fn traced(&self, bounds: &[f64]) -> Vec<(f64, Traced)> {
        let mut above = f64::NEG_INFINITY;
        let mut traced = Vec::new();
        for bound in with_infinity(bounds) {
            let here = self
                .0
                .iter()
                .filter(|(seconds, _)| above < *seconds && *seconds <= bound);
            traced.extend(here.rev().find_map(|(_, traced)| *traced).map(|last| (bound, last)));
            above = bound;
        }
        traced
    }
}

fn with_infinity(bounds: &[f64]) -> impl Iterator<Item = f64> {
    bounds.iter().copied().chain([f64::INFINITY])
}
