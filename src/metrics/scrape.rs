//! One reading of all streams and venues, and the walk through it along the table.

use super::catalogue::{self, Exemplars, Labels, Metric, Source, Value};
use super::exemplar::Exemplar;
use super::histogram::HistogramSnapshot;
use super::labels::LabelSet;
use super::queue::QueueSnapshot;
use super::snapshot::StreamSnapshot;
use super::stream::StreamCells;
use super::streams::Streams;
use super::venue::VenueCells;
use crate::clock::Moment;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// A metric with the labels of its series, made once.
struct Family {
    metric: &'static Metric,
    series: Vec<LabelSet>,
}

static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let family = |metric: &'static Metric| {
        let names = metric.labels.names();
        let series = metric.labels.series();
        let label_set = |values: Vec<&'static str>| LabelSet::new(names.iter().copied().zip(values));
        Family {
            metric,
            series: series.into_iter().map(label_set).collect(),
        }
    };
    catalogue::all().map(family).collect()
});

/// Where the walk leads.
pub(super) trait Sink {
    /// The samples that follow are of this metric.
    fn family(&mut self, metric: &Metric);
    /// A value and its exemplar, with the labels of its scope and its own.
    fn value(&mut self, identity: &LabelSet, series: &LabelSet, value: Value, exemplar: Option<Exemplar>);
    /// A histogram, with the labels of its scope and its own.
    fn histogram(&mut self, identity: &LabelSet, series: &LabelSet, value: &HistogramSnapshot);
}

/// All streams and venues at one moment.
pub(super) struct Scrape {
    streams: Vec<(Arc<StreamCells>, StreamSnapshot)>,
    venues: Vec<Arc<VenueCells>>,
}

impl Scrape {
    pub(super) fn new(streams: &Streams, at: Moment) -> Self {
        let streams: Vec<_> = streams
            .all()
            .into_iter()
            .map(|cells| {
                let snapshot = cells.snapshot(at);
                (cells, snapshot)
            })
            .collect();
        let venues: BTreeMap<String, Arc<VenueCells>> = streams
            .iter()
            .map(|(cells, _)| (cells.venue().name().to_owned(), Arc::clone(cells.venue())))
            .collect();
        Self {
            streams,
            venues: venues.into_values().collect(),
        }
    }

    /// Every sample of every stream and venue; of a metric without a sample nothing.
    pub(super) fn walk(&self, sink: &mut impl Sink) {
        if self.streams.is_empty() {
            return;
        }
        for family in FAMILIES.iter() {
            match family.metric.source {
                Source::Stream(read) => self.walk_streams(family, read, sink),
                Source::Queue(read) => self.walk_queues(family, read, sink),
                Source::Venue(read) => {
                    sink.family(family.metric);
                    for venue in &self.venues {
                        for (i, series) in family.series.iter().enumerate() {
                            sink.value(&venue.identity, series, read(venue, i), None);
                        }
                    }
                }
                Source::Histogram(read) => {
                    sink.family(family.metric);
                    for venue in &self.venues {
                        for (i, series) in family.series.iter().enumerate() {
                            if let Some(histogram) = read(venue, i) {
                                sink.histogram(&venue.identity, series, &histogram.snapshot());
                            }
                        }
                    }
                }
                Source::Process => {}
            }
        }
    }

    /// Streams without a queue have no sample.
    fn walk_queues(&self, family: &Family, read: fn(&QueueSnapshot) -> Value, sink: &mut impl Sink) {
        let mut queues = self
            .streams
            .iter()
            .filter_map(|(cells, snapshot)| Some((cells, snapshot.queue.as_ref()?)))
            .peekable();
        if queues.peek().is_some() {
            sink.family(family.metric);
        }
        for (cells, queue) in queues {
            for series in &family.series {
                sink.value(&cells.identity, series, read(queue), None);
            }
        }
    }

    fn walk_streams(&self, family: &Family, read: fn(&StreamSnapshot, usize) -> Value, sink: &mut impl Sink) {
        sink.family(family.metric);
        let is_info = matches!(family.metric.labels, Labels::Info { .. });
        for (cells, snapshot) in &self.streams {
            for (i, series) in family.series.iter().enumerate() {
                let series = if is_info { cells.info_labels() } else { series };
                let exemplar = match family.metric.exemplars {
                    Exemplars::Stream(read) => read(snapshot, i),
                    Exemplars::None | Exemplars::Buckets => None,
                };
                sink.value(&cells.identity, series, read(snapshot, i), exemplar);
            }
        }
    }
}
