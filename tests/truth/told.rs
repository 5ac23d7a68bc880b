//! All that a service tells of its stream: scrapes, spans, and the API.

use crate::derived::Counted;
use crate::exposition::{Exposition, Series};
use crate::invariants::OfStream;
use crate::openmetrics::Exemplar;
use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What was told by the end of a run.
pub(crate) struct Told {
    pub(crate) scrape: Exposition,
    /// By the metric and the series.
    pub(crate) exemplars: BTreeMap<(String, Series), Exemplar>,
    pub(crate) spans: Vec<SpanData>,
    /// Every event that the API told on the way, in order, the oldest first.
    pub(crate) events: Vec<Value>,
}

impl Told {
    pub(crate) fn stream(&self) -> OfStream<'_> {
        OfStream {
            exposition: &self.scrape,
            stream: "s",
        }
    }

    /// The series of a metric of the stream that are not 0, by the value of a label.
    pub(crate) fn counted(&self, name: &str, label: &str) -> Counted {
        let series = self.scrape.series(name, &[("stream", "s")]);
        let nonzero = series.into_iter().filter(|(_, value)| *value != 0.0);
        nonzero
            .map(|(labels, value)| (labels[label].clone(), whole(value)))
            .collect()
    }

    /// A part of a histogram of the venue.
    pub(crate) fn part(&self, name: &str, part: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = &self.scrape.family(name).samples;
        let has = |(suffix, found): &&(String, BTreeMap<String, String>)| {
            suffix == part
                && labels
                    .iter()
                    .all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
        };
        samples.keys().filter(has).map(|key| samples[key]).sum()
    }

    pub(crate) fn named(&self, name: &str) -> Vec<&SpanData> {
        let mut spans: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        spans.sort_by_key(|span| span.start_time);
        spans
    }

    /// Spans of that name by an attribute; those without it are left out.
    pub(crate) fn spans_by(&self, name: &str, key: &str) -> Counted {
        count(self.named(name).iter().filter_map(|span| attribute(span, key)))
    }

    pub(crate) fn events_by(&self, what: &str, key: &str) -> Counted {
        let events = self.events.iter().filter(|event| event["what"] == what);
        count(events.filter_map(|event| event[key].as_str().map(str::to_owned)))
    }

    pub(crate) fn events_of(&self, what: &str) -> u64 {
        self.events.iter().filter(|event| event["what"] == what).count() as u64
    }

    /// What is wrong with the shape of the traces.
    pub(crate) fn misshapen(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let by_id: BTreeMap<_, _> = self
            .spans
            .iter()
            .map(|span| (span.span_context.span_id().to_string(), span))
            .collect();
        let mut note = |span: &SpanData, problem: &str| wrong.push(format!("span {}: {problem}", span.name));
        for span in &self.spans {
            if span.end_time < span.start_time {
                note(span, "ends before it starts");
            }
            if matches!(span.status, Status::Error { .. }) != attribute(span, "error.type").is_some() {
                note(span, "has an error without its type, or the other way round");
            }
            if span.parent_span_id == SpanId::INVALID {
                if span.name != "stream.outage" {
                    note(span, "is a root");
                }
                continue;
            }
            match by_id.get(&span.parent_span_id.to_string()) {
                None => note(span, "has a parent that never ended"),
                Some(parent) => {
                    if span.start_time < parent.start_time || span.end_time > parent.end_time {
                        note(span, "is not within its parent");
                    }
                    if span.span_context.trace_id() != parent.span_context.trace_id() {
                        note(span, "is of another trace than its parent");
                    }
                }
            }
        }
        let roots = self.named("stream.outage");
        for pair in roots.windows(2) {
            if pair[1]
                .links
                .iter()
                .map(|link| &link.span_context)
                .ne([&pair[0].span_context])
            {
                note(pair[1], "does not link to the root before it");
            }
        }
        wrong
    }

    /// The outages that are over, as the chains of roots tell them: how long each was. A start that succeeded at once is none.
    pub(crate) fn outages(&self) -> Vec<Duration> {
        let mut outages = Vec::new();
        let mut outage = None;
        for root in self.named("stream.outage") {
            let begin = attribute(root, "feedwatch.outage.begin").unwrap();
            if begin != "continuation" {
                outage = Some((root.start_time, begin));
            }
            if attribute(root, "feedwatch.outage.end").as_deref() == Some("live") {
                let (since, begin) = outage.take().unwrap();
                let at_once = begin == "start" && self.failures_within(root) == 0 && root.start_time == since;
                if !at_once {
                    outages.push(root.end_time.duration_since(since).unwrap_or_default());
                }
            }
        }
        outages
    }

    fn failures_within(&self, root: &SpanData) -> usize {
        let id = root.span_context.span_id();
        let attempts = self
            .spans
            .iter()
            .filter(|span| span.parent_span_id == id && span.name == "stream.connect");
        attempts
            .filter(|attempt| attribute(attempt, "error.type").is_some())
            .count()
    }

    pub(crate) fn trace_ids(&self) -> BTreeSet<String> {
        self.spans
            .iter()
            .map(|span| span.span_context.trace_id().to_string())
            .collect()
    }
}

pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == key)?;
    Some(found.value.to_string())
}

pub(crate) fn count(names: impl IntoIterator<Item = String>) -> Counted {
    let mut counted = Counted::new();
    for name in names {
        *counted.entry(name).or_default() += 1;
    }
    counted
}

/// A figure that must be a whole number.
pub(crate) fn whole(value: f64) -> u64 {
    assert!(
        value >= 0.0 && value.fract() == 0.0 && value < 2_f64.powi(53),
        "{value}"
    );
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "just checked")]
    let whole = value as u64;
    whole
}
