//! Metrics that are read all at once, when they are gathered.

use super::catalogue::{Kind, Metric};
use super::own::find;
use prometheus::Error;
use prometheus::core::Desc;
use prometheus::proto::{self, MetricFamily, MetricType};
use std::collections::HashMap;

/// A metric's name, and where in a reading its value is.
pub(super) type Entry<R> = (&'static str, fn(&R) -> f64);

/// The same, found in the table.
type Shown<R> = (&'static Metric, fn(&R) -> f64);

/// Counters and gauges without labels, shown from one reading.
pub(super) struct Readings<R> {
    entries: Vec<Shown<R>>,
    descriptions: Vec<Desc>,
}

impl<R> Readings<R> {
    pub(super) fn new(entries: &[Entry<R>]) -> Result<Self, Error> {
        let found = entries.iter().map(|(name, value)| Ok((find(name)?, *value)));
        let entries = found.collect::<Result<Vec<_>, Error>>()?;
        let describe = |(metric, _): &Shown<R>| {
            let (name, help) = (metric.name.to_owned(), metric.help.to_owned());
            Desc::new(name, help, Vec::new(), HashMap::new())
        };
        Ok(Self {
            descriptions: entries.iter().map(describe).collect::<Result<_, _>>()?,
            entries,
        })
    }

    pub(super) fn descriptions(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    pub(super) fn show(&self, reading: &R) -> Vec<MetricFamily> {
        let shown = self.entries.iter();
        shown.map(|(metric, value)| family(metric, value(reading))).collect()
    }
}

fn family(metric: &Metric, value: f64) -> MetricFamily {
    let mut sample = proto::Metric::default();
    let mut family = MetricFamily::default();
    if metric.kind == Kind::Counter {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        sample.set_counter(counter);
        family.set_field_type(MetricType::COUNTER);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        sample.set_gauge(gauge);
        family.set_field_type(MetricType::GAUGE);
    }
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_metric(vec![sample]);
    family
}
