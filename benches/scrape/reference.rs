//! The same series as the `prometheus` crate keeps them: registered, set, gathered and encoded by itself.

use crate::shown::Shown;
use feedwatch::metrics::catalogue::{self, Kind, Scope};
use feedwatch::metrics::{StreamCollector, Streams};
use prometheus::proto::{self, MetricFamily};
use prometheus::{CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder};
use std::collections::HashMap;
use std::sync::Arc;

/// So many streams are copied at once.
const PORTION: usize = 100;

pub(crate) struct Reference {
    registry: Registry,
    pub(crate) series: usize,
}

enum Vector {
    Counter(CounterVec),
    Gauge(GaugeVec),
    Histogram(HistogramVec),
}

impl Reference {
    pub(crate) fn of(shown: &Shown) -> Self {
        let registry = Registry::new();
        let vectors = catalogue::all()
            .filter(|metric| metric.scope() != Scope::Process)
            .map(|metric| {
                let labels: Vec<_> = metric.label_names().collect();
                let options = Opts::new(metric.name, metric.help);
                let vector = match metric.kind {
                    Kind::Counter => Vector::Counter(registered(&registry, CounterVec::new(options, &labels))),
                    Kind::Gauge => Vector::Gauge(registered(&registry, GaugeVec::new(options, &labels))),
                    Kind::Histogram(bounds) => {
                        let options = HistogramOpts::from(options).buckets(bounds.to_vec());
                        Vector::Histogram(registered(&registry, HistogramVec::new(options, &labels)))
                    }
                    other => unreachable!("{other:?} is new, and has no vector here yet"),
                };
                (metric.name, vector)
            });
        let mut reference = Self {
            registry: registry.clone(),
            series: 0,
        };
        let vectors: HashMap<_, _> = vectors.collect();
        for (portion, cells) in shown.cells.chunks(PORTION).enumerate() {
            let streams = Arc::new(Streams::new());
            for cells in cells {
                streams.add(cells);
            }
            for family in StreamCollector::new(streams).unwrap().collect_at(shown.now) {
                let vector = &vectors[family.name()];
                // They all have the same venue, whose figures are copied once.
                let is_new = portion == 0 || family.get_metric().len() >= cells.len();
                if is_new {
                    reference.series += copy(&family, vector);
                }
            }
        }
        reference
    }

    /// The length of the text.
    pub(crate) fn scrape(&self, out: &mut Vec<u8>) -> usize {
        out.clear();
        TextEncoder::new().encode(&self.registry.gather(), out).unwrap();
        out.len()
    }
}

fn registered<V: prometheus::core::Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<V>) -> V {
    let vector = made.unwrap();
    registry.register(Box::new(vector.clone())).unwrap();
    vector
}

/// How many samples it has.
fn copy(family: &MetricFamily, vector: &Vector) -> usize {
    let of_each = |metric: &proto::Metric| {
        let labels: HashMap<_, _> = metric
            .get_label()
            .iter()
            .map(|pair| (pair.name(), pair.value()))
            .collect();
        match vector {
            Vector::Counter(vector) => {
                vector
                    .get_metric_with(&labels)
                    .unwrap()
                    .inc_by(metric.get_counter().get_value());
                1
            }
            Vector::Gauge(vector) => {
                vector
                    .get_metric_with(&labels)
                    .unwrap()
                    .set(metric.get_gauge().get_value());
                1
            }
            Vector::Histogram(vector) => {
                let histogram = vector.get_metric_with(&labels).unwrap();
                let told = metric.get_histogram();
                (0..told.get_sample_count()).for_each(|_| histogram.observe(0.2));
                told.get_bucket().len() + 3
            }
        }
    };
    family.get_metric().iter().map(of_each).sum()
}
