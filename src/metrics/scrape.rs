//! One reading of all streams and venues, and the walk through it along the table.
//!
//! The reading is packed, so that it can be kept while its text is written, and sent, piece by piece: the figures of a stream
//! belong together, and stand in the text family by family, far from each other. It holds no stream: one that is dropped
//! meanwhile is shown in no other scrape.

use super::catalogue::{self, Exemplars, Labels, Metric, Part, Source, Value};
use super::columns::{Columns, ROWS};
use super::exemplar::Exemplar;
use super::histogram::{Histogram, HistogramSnapshot};
use super::labels::LabelSet;
use super::snapshot::StreamSnapshot;
use super::stream::{StreamCells, StreamLabels};
use super::streams::Streams;
use super::venue::VenueCells;
use crate::clock::Moment;
use std::sync::{Arc, LazyLock};

/// A metric with the labels of its series, made once.
struct Family {
    metric: &'static Metric,
    series: Vec<LabelSet>,
    /// The position of its first series among those that are read from the same kind of source.
    first: usize,
}

static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let (mut of_streams, mut of_venues, mut histograms, mut of_process) = (0, 0, 0, 0);
    let family = |metric: &'static Metric| {
        let names = metric.labels.names();
        let label_set = |values: Vec<&'static str>| LabelSet::new(names.iter().copied().zip(values));
        let series: Vec<_> = metric.labels.series().into_iter().map(label_set).collect();
        let next = match metric.source {
            Source::Stream(_) | Source::Part(..) => &mut of_streams,
            Source::Venue(_) => &mut of_venues,
            Source::Histogram(_) => &mut histograms,
            Source::Process => &mut of_process,
        };
        let first = *next;
        *next += series.len();
        Family { metric, series, first }
    };
    catalogue::all().map(family).collect()
});

/// Where the walk leads.
pub(super) trait Sink {
    /// The samples that follow are of this metric, and are its first.
    fn family(&mut self, metric: &Metric);
    /// The samples that follow are of this metric, some of whose samples came before the sink was full.
    fn family_goes_on(&mut self, metric: &Metric);
    /// A value and its exemplar, with the labels of its scope and its own.
    fn value(&mut self, identity: &LabelSet, series: &LabelSet, value: Value, exemplar: Option<Exemplar>);
    /// A histogram, with the labels of its scope and its own.
    fn histogram(&mut self, identity: &LabelSet, series: &LabelSet, value: &HistogramSnapshot);
    /// Whether the walk has to pause.
    fn is_full(&self) -> bool;
}

/// All streams and venues at one moment.
#[derive(Debug)]
pub(super) struct Scrape {
    blocks: Vec<Block>,
    venues: Vec<Venue>,
}

/// Up to [`ROWS`] streams.
#[derive(Debug)]
struct Block {
    labels: Vec<Arc<StreamLabels>>,
    /// Of each stream whether somebody is to be woken when it is stale.
    page_on_stale: u64,
    /// Of each part, by its index, and of each stream whether it has it.
    parts: [u64; Part::COUNT],
    columns: Columns,
    /// By column and row.
    exemplars: Vec<(usize, usize, Exemplar)>,
}

#[derive(Debug)]
struct Venue {
    identity: LabelSet,
    values: Vec<Value>,
    histograms: Vec<Option<HistogramSnapshot>>,
}

impl Scrape {
    pub(super) fn new(streams: &Streams, at: Moment) -> Self {
        let streams = streams.all();
        // They come venue by venue.
        let mut venues: Vec<&VenueCells> = streams.iter().map(|stream| &**stream.venue()).collect();
        venues.dedup_by_key(|venue| venue.name());
        Self {
            blocks: streams.chunks(ROWS).map(|streams| Block::new(streams, at)).collect(),
            venues: venues.into_iter().map(Venue::new).collect(),
        }
    }

    /// The whole walk. The sink is never full.
    pub(super) fn walk(self, sink: &mut impl Sink) {
        let mut walk = Walk::new(self);
        while walk.go_on(sink) {}
    }
}

impl Block {
    fn new(streams: &[Arc<StreamCells>], at: Moment) -> Self {
        let snapshots: Vec<_> = streams.iter().map(|stream| stream.snapshot(at)).collect();
        let mut block = Self {
            labels: streams.iter().map(|stream| Arc::clone(stream.labels())).collect(),
            page_on_stale: bits(streams.iter().map(|stream| stream.pages_on_stale())),
            parts: std::array::from_fn(|part| {
                let has = |stream: &StreamSnapshot| Part::ALL.get(part).is_some_and(|part| stream.has(*part));
                bits(snapshots.iter().map(has))
            }),
            columns: Columns::default(),
            exemplars: Vec::new(),
        };
        for family in FAMILIES.iter() {
            for i in 0..family.series.len() {
                match family.metric.source {
                    Source::Stream(read) => block.columns.push(snapshots.iter().map(|stream| read(stream, i))),
                    Source::Part(_, read) => block.columns.push(snapshots.iter().map(read)),
                    Source::Venue(_) | Source::Histogram(_) | Source::Process => {}
                }
                if let Exemplars::Stream(read) = family.metric.exemplars {
                    let of_each = snapshots.iter().map(|stream| read(stream, i)).enumerate();
                    let found = of_each.filter_map(|(row, exemplar)| Some((family.first + i, row, exemplar?)));
                    block.exemplars.extend(found);
                }
            }
        }
        block.columns.seal();
        block.exemplars.shrink_to_fit();
        block
    }

    fn exemplar(&self, column: usize, row: usize) -> Option<Exemplar> {
        let key = |(column, row, _): &(usize, usize, Exemplar)| (*column, *row);
        let found = self.exemplars.binary_search_by_key(&(column, row), key).ok()?;
        self.exemplars.get(found).map(|(.., exemplar)| *exemplar)
    }
}

impl Venue {
    fn new(cells: &VenueCells) -> Self {
        let mut venue = Self {
            identity: cells.identity.clone(),
            values: Vec::new(),
            histograms: Vec::new(),
        };
        for family in FAMILIES.iter() {
            for i in 0..family.series.len() {
                match family.metric.source {
                    Source::Venue(read) => venue.values.push(read(cells, i)),
                    Source::Histogram(read) => venue.histograms.push(read(cells, i).map(Histogram::snapshot)),
                    Source::Stream(_) | Source::Part(..) | Source::Process => {}
                }
            }
        }
        venue
    }
}

/// How far a walk through a scrape has come.
#[derive(Debug)]
pub(super) struct Walk {
    scrape: Scrape,
    family: usize,
    /// The next stream or venue of the family.
    next: usize,
}

impl Walk {
    pub(super) const fn new(scrape: Scrape) -> Self {
        Self {
            scrape,
            family: 0,
            next: 0,
        }
    }

    /// Goes on until the sink is full: then `true`. At the end `false`. Visited are all samples of all streams and venues; of
    /// a metric without a sample nothing.
    pub(super) fn go_on(&mut self, sink: &mut impl Sink) -> bool {
        if self.scrape.blocks.is_empty() {
            return false;
        }
        while let Some(family) = FAMILIES.get(self.family) {
            let paused = match family.metric.source {
                Source::Stream(_) => self.streams(family, None, sink),
                Source::Part(part, _) => self.streams(family, Some(part), sink),
                Source::Venue(_) | Source::Histogram(_) => self.venues(family, sink),
                Source::Process => false,
            };
            if paused {
                return true;
            }
            self.family += 1;
            self.next = 0;
        }
        false
    }

    /// Streams without that part have no sample.
    fn streams(&mut self, family: &Family, part: Option<Part>, sink: &mut impl Sink) -> bool {
        let having = |block: &Block| {
            part.map_or(u64::MAX, |part| {
                block.parts.get(part.index()).copied().unwrap_or_default()
            })
        };
        if self.scrape.blocks.iter().all(|block| having(block) == 0) {
            return false;
        }
        self.enter(family, sink);
        let is_info = matches!(family.metric.labels, Labels::Info { .. });
        let is_traced = matches!(family.metric.exemplars, Exemplars::Stream(_));
        for block in self.scrape.blocks.iter().skip(self.next / ROWS) {
            for (row, labels) in block.labels.iter().enumerate().skip(self.next % ROWS) {
                self.next += 1;
                if having(block) >> row & 1 == 0 {
                    continue;
                }
                for (column, series) in (family.first..).zip(&family.series) {
                    let series = if is_info {
                        labels.info(block.page_on_stale >> row & 1 == 1)
                    } else {
                        series
                    };
                    let exemplar = if is_traced { block.exemplar(column, row) } else { None };
                    if let Some(value) = block.columns.value(column, row) {
                        sink.value(&labels.identity, series, value, exemplar);
                    }
                }
                if sink.is_full() {
                    return true;
                }
            }
        }
        false
    }

    fn venues(&mut self, family: &Family, sink: &mut impl Sink) -> bool {
        self.enter(family, sink);
        let is_histogram = matches!(family.metric.source, Source::Histogram(_));
        for venue in self.scrape.venues.iter().skip(self.next) {
            self.next += 1;
            for (at, series) in (family.first..).zip(&family.series) {
                if is_histogram {
                    if let Some(Some(histogram)) = venue.histograms.get(at) {
                        sink.histogram(&venue.identity, series, histogram);
                    }
                } else if let Some(value) = venue.values.get(at) {
                    sink.value(&venue.identity, series, *value, None);
                }
            }
            if sink.is_full() {
                return true;
            }
        }
        false
    }

    fn enter(&self, family: &Family, sink: &mut impl Sink) {
        if self.next == 0 {
            sink.family(family.metric);
        } else {
            sink.family_goes_on(family.metric);
        }
    }
}

/// The first in the lowest bit; at most as many as a word has.
fn bits(set: impl Iterator<Item = bool>) -> u64 {
    let with = |word, (row, set)| word | u64::from(set) << row;
    set.take(ROWS).enumerate().fold(0, with)
}
