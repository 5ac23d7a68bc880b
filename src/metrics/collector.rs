//! The way out for programs that embed the library: a collector for their `prometheus::Registry`.

use super::catalogue::{self, Kind, Metric, Scope, Value};
use super::exemplar::Exemplar;
use super::histogram::{Bucket, HistogramSnapshot};
use super::labels::LabelSet;
use super::scrape::{Scrape, Sink};
use super::streams::Streams;
use crate::clock::Moment;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily, MetricType};
use std::collections::HashMap;
use std::sync::Arc;

/// Shows all streams and venues of a set in a `prometheus::Registry`.
///
/// Its registry, its error and its families are those of the crate `prometheus`, version 0.14.
///
/// ```
/// use feedwatch::metrics::{StreamCollector, Streams};
/// use prometheus::{Registry, TextEncoder};
/// use std::sync::Arc;
///
/// let streams = Arc::new(Streams::new()); // those that are added later are shown, too
/// let registry = Registry::new_custom(None, Some([("bot".to_owned(), "arb".to_owned())].into()))?;
/// registry.register(Box::new(StreamCollector::new(streams.clone())?))?;
/// let text = TextEncoder::new().encode_to_string(&registry.gather())?;
/// # assert_eq!(text, "");
/// # Ok::<_, prometheus::Error>(())
/// ```
#[derive(Debug)]
pub struct StreamCollector {
    streams: Arc<Streams>,
    descriptions: Vec<Desc>,
}

impl StreamCollector {
    /// A collector of these streams. The error is that of the `prometheus` crate for a name that it does not accept.
    pub fn new(streams: Arc<Streams>) -> Result<Self, prometheus::Error> {
        let descriptions = catalogue::all()
            .filter(|metric| metric.scope() != Scope::Process)
            .map(|metric| {
                Desc::new(
                    metric.name.to_owned(),
                    metric.help.to_owned(),
                    metric.label_names().map(str::to_owned).collect(),
                    HashMap::new(),
                )
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { streams, descriptions })
    }

    /// The figures at `at`. Counters become floating-point numbers: exact to 2^53.
    pub fn collect_at(&self, at: Moment) -> Vec<MetricFamily> {
        let mut families = Families::default();
        Scrape::new(&self.streams, at).walk(&mut families);
        families.finish()
    }
}

impl Collector for StreamCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.collect_at(Moment::now())
    }
}

/// Builds families along the walk.
#[derive(Default)]
struct Families {
    done: Vec<MetricFamily>,
    family: MetricFamily,
    metrics: Vec<proto::Metric>,
}

impl Families {
    fn finish(mut self) -> Vec<MetricFamily> {
        self.close_family();
        self.done
    }

    fn close_family(&mut self) {
        if !self.metrics.is_empty() {
            let mut family = std::mem::take(&mut self.family);
            family.set_metric(std::mem::take(&mut self.metrics));
            self.done.push(family);
        }
    }
}

impl Sink for Families {
    fn family(&mut self, metric: &Metric) {
        self.close_family();
        self.family.set_name(metric.name.to_owned());
        self.family.set_help(metric.help.to_owned());
        self.family.set_field_type(match metric.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram(_) => MetricType::HISTOGRAM,
        });
    }

    /// It is never full, so the walk never pauses.
    fn family_goes_on(&mut self, _metric: &Metric) {}

    fn is_full(&self) -> bool {
        false
    }

    /// The model of the `prometheus` crate has no exemplars.
    fn value(&mut self, identity: &LabelSet, series: &LabelSet, value: Value, _exemplar: Option<Exemplar>) {
        let mut metric = proto::Metric::from_label(pairs(identity, series));
        if self.family.get_field_type() == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value.as_f64());
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value.as_f64());
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    fn histogram(&mut self, identity: &LabelSet, series: &LabelSet, value: &HistogramSnapshot) {
        let bucket = |bucket: &Bucket| {
            let mut told = proto::Bucket::default();
            told.set_upper_bound(bucket.bound);
            told.set_cumulative_count(bucket.cumulative);
            told
        };
        let mut histogram = proto::Histogram::default();
        // Encoders add the infinite one, which is the count.
        let finite = value.buckets.iter().filter(|bucket| bucket.bound.is_finite());
        histogram.set_bucket(finite.map(bucket).collect());
        histogram.set_sample_count(value.count);
        histogram.set_sample_sum(value.sum);
        let mut metric = proto::Metric::from_label(pairs(identity, series));
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }
}

fn pairs(identity: &LabelSet, series: &LabelSet) -> Vec<proto::LabelPair> {
    let pair = |(name, value): &(&'static str, String)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    };
    identity.pairs().iter().chain(series.pairs()).map(pair).collect()
}
