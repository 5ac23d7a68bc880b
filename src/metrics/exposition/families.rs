//! Writes what the `prometheus` crate gathered.

use super::writer::Writer;
use crate::metrics::catalogue::{Kind, Value};
use crate::metrics::histogram::Bucket;
use crate::metrics::labels::push_pair;
use prometheus::proto::{Metric, MetricFamily, MetricType};

/// Summaries and untyped samples are left out.
pub(super) fn write<'a>(writer: &mut Writer<'a>, families: &'a [MetricFamily]) {
    for family in families {
        match family.get_field_type() {
            MetricType::COUNTER => values(writer, family, Kind::Counter, |metric| metric.get_counter().get_value()),
            MetricType::GAUGE => values(writer, family, Kind::Gauge, |metric| metric.get_gauge().get_value()),
            MetricType::HISTOGRAM => histograms(writer, family),
            MetricType::UNTYPED | MetricType::SUMMARY => {}
        }
    }
}

fn values<'a>(writer: &mut Writer<'a>, family: &'a MetricFamily, kind: Kind, value: fn(&Metric) -> f64) {
    writer.begin(family.name(), family.help(), kind.as_str());
    for metric in family.get_metric() {
        writer.value(&[&labels_of(metric)], Value::Float(value(metric)), None);
    }
}

fn histograms<'a>(writer: &mut Writer<'a>, family: &'a MetricFamily) {
    writer.begin(family.name(), family.help(), Kind::Histogram(&[]).as_str());
    for metric in family.get_metric() {
        let histogram = metric.get_histogram();
        let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
        let bucket = |bound, cumulative| Bucket {
            bound,
            cumulative,
            exemplar: None,
        };
        let finite = histogram
            .get_bucket()
            .iter()
            .map(|told| bucket(told.upper_bound(), told.cumulative_count()))
            .filter(|bucket| bucket.bound.is_finite());
        let all = finite.chain([bucket(f64::INFINITY, count)]);
        writer.histogram(&[&labels_of(metric)], all, count, sum);
    }
}

fn labels_of(metric: &Metric) -> String {
    let mut labels = String::new();
    for pair in metric.get_label() {
        push_pair(&mut labels, pair.name(), pair.value());
    }
    labels
}
