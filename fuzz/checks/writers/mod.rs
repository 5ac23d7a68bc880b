//! The writers of both exposition formats: what they wrote is read back with the strict readers of the tests, and must be what
//! a model of the same events expects: each series of the table, once, with its labels as they were, and its value.
//!
//! An input is a scene: see [`scene`].

#[path = "../../../tests/support/exposition.rs"]
mod exposition;
mod model;
#[path = "../../../tests/support/openmetrics.rs"]
mod openmetrics;
mod scene;
mod venue_model;

use exposition::{Exposition, Family, Labels, Series};
use feedwatch::metrics::catalogue::{self, Kind, Metric, Scope};
use feedwatch::metrics::{Format, StreamSnapshot};
use openmetrics::{Exemplar, OpenMetrics};
use scene::{Scene, Stream};
use std::collections::BTreeMap;

const LAG: &str = "feedwatch_stream_lag_seconds";

/// # Panics
///
/// Where what is written in that format is not what must be written.
pub(crate) fn check(input: &str, format: Format) {
    let scene = Scene::play(input);
    let at = scene.now();
    let text = format.render(&scene.streams, &[], at);
    let mut written = if format == Format::Text {
        Exposition::parse(&text).unwrap()
    } else {
        let read = OpenMetrics::parse(&text).unwrap();
        assert_eq!(read.units, expected_units(&read), "(written, expected)");
        assert_eq!(read.exemplars, expected_exemplars(&scene), "(written, expected)");
        read.as_text()
    };
    let expected = expected(&scene);
    forgive_rounding(&mut written, &expected);
    for (name, family) in &expected.families {
        assert_eq!(written.families.get(name), Some(family), "{name} (written, expected)");
    }
    assert_eq!(written.families.len(), expected.families.len(), "there are more");
    for stream in scene.shown() {
        check_snapshot(&written, stream, &stream.cells.snapshot(at));
    }
}

/// No stream of a scene has a queue, numbers or checksums.
fn shown_metrics() -> impl Iterator<Item = &'static Metric> {
    catalogue::all().filter(|metric| metric.scope() != Scope::Process && metric.is_always())
}

/// All families, by the table and the model. Without a stream there are none.
fn expected(scene: &Scene) -> Exposition {
    let mut exposition = Exposition::default();
    if scene.shown().next().is_none() {
        return exposition;
    }
    for metric in shown_metrics() {
        let mut family = Family {
            help: metric.help.to_owned(),
            kind: metric.kind.as_str().to_owned(),
            samples: BTreeMap::new(),
        };
        if metric.scope() == Scope::Stream {
            for stream in scene.shown() {
                family.samples.extend(of_stream(metric, stream, scene));
            }
        } else {
            for (name, venue) in &scene.venues {
                for own in metric.labels.series() {
                    let labels = labels(metric, &[("venue", name)], &own);
                    if let Kind::Histogram(bounds) = metric.kind {
                        family
                            .samples
                            .extend(venue.histogram(metric.name, &own).samples(bounds, &labels));
                    } else {
                        let value = venue.value(metric.name, &own);
                        family.samples.insert((String::new(), labels), value);
                    }
                }
            }
        }
        exposition.families.insert(metric.name.to_owned(), family);
    }
    exposition
}

fn of_stream(metric: &'static Metric, stream: &Stream, scene: &Scene) -> Vec<(Series, f64)> {
    let identity = [("venue", stream.venue.as_str()), ("stream", stream.name.as_str())];
    if metric.name == "feedwatch_stream_info" {
        let mut labels = labels(metric, &identity, &[]);
        labels.extend(
            stream
                .info
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        return vec![((String::new(), labels), 1.0)];
    }
    let series = metric.labels.series().into_iter();
    series
        .map(|own| {
            let value = stream.model.value(metric.name, &own, scene.clock);
            ((String::new(), labels(metric, &identity, &own)), value)
        })
        .collect()
}

/// The labels of the scope and the metric's own.
fn labels(metric: &Metric, identity: &[(&str, &str)], own: &[&str]) -> Labels {
    let own = metric.labels.names().iter().copied().zip(own.iter().copied());
    let all = identity.iter().copied().chain(own);
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The smoothed lag may differ in its last digits: the model computes it in another way.
fn forgive_rounding(written: &mut Exposition, expected: &Exposition) {
    let (Some(written), Some(expected)) = (written.families.get_mut(LAG), expected.families.get(LAG)) else {
        return;
    };
    for (series, value) in &mut written.samples {
        let lag = expected.samples.get(series).copied();
        if let Some(lag) = lag.filter(|lag| (lag - *value).abs() <= 1e-9 * lag.max(1.0)) {
            *value = lag;
        }
    }
}

fn expected_units(read: &OpenMetrics) -> BTreeMap<String, String> {
    let names = read.exposition.families.keys();
    names
        .filter_map(|name| {
            let unit = ["seconds", "bytes"]
                .into_iter()
                .find(|unit| name.ends_with(&format!("_{unit}")))?;
            Some((name.clone(), unit.to_owned()))
        })
        .collect()
}

fn expected_exemplars(scene: &Scene) -> BTreeMap<(String, Series), Exemplar> {
    let mut expected = BTreeMap::new();
    for metric in shown_metrics().filter(|metric| metric.has_exemplars()) {
        let family = metric.name.trim_end_matches("_total");
        let mut add = |suffix: &str, labels: Labels, traced: model::Traced| {
            let exemplar = Exemplar {
                labels: Labels::from([("trace_id".to_owned(), traced.trace.to_string())]),
                value: traced.value,
                at: Some(traced.unix_millis as f64 / 1000.0),
            };
            expected.insert((family.to_owned(), (suffix.to_owned(), labels)), exemplar);
        };
        if let Kind::Histogram(bounds) = metric.kind {
            for (name, venue) in &scene.venues {
                for (bound, traced) in venue.histogram(metric.name, &[]).traced(bounds) {
                    let mut labels = labels(metric, &[("venue", name)], &[]);
                    labels.insert("le".to_owned(), bound.to_string());
                    add("_bucket", labels, traced);
                }
            }
        } else {
            for stream in scene.shown() {
                let identity = [("venue", stream.venue.as_str()), ("stream", stream.name.as_str())];
                for (trigger, traced) in &stream.model.traced_trips {
                    add("_total", labels(metric, &identity, &[trigger]), *traced);
                }
            }
        }
    }
    expected
}

/// The API shows the same figures.
fn check_snapshot(written: &Exposition, stream: &Stream, snapshot: &StreamSnapshot) {
    let value = |name: &str, own: &[(&str, &str)]| {
        let identity = [("venue", stream.venue.as_str()), ("stream", stream.name.as_str())];
        let all = identity.iter().chain(own);
        let labels: Labels = all
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        written.families[&format!("feedwatch_{name}")].samples[&(String::new(), labels)]
    };
    assert_eq!(value("stream_state", &[("state", snapshot.state().as_str())]), 1.0);
    assert_eq!(value("breaker_state", &[("state", snapshot.breaker())]), 1.0);
    assert_eq!(value("stream_connected", &[]), f64::from(u8::from(snapshot.is_live())));
    assert_eq!(value("stream_stale", &[]), f64::from(u8::from(snapshot.is_stale())));
    let (failures, threshold) = snapshot.failures();
    let (desired, active) = snapshot.subscriptions();
    for (name, figure) in [
        ("breaker_consecutive_failures", failures as f64),
        ("breaker_failure_threshold", threshold as f64),
        ("subscriptions_desired", desired as f64),
        ("subscriptions_active", active as f64),
        (
            "breaker_open_until_timestamp_seconds",
            snapshot.breaker_open_until().unwrap_or(0.0),
        ),
        ("outage_start_timestamp_seconds", snapshot.outage_since().unwrap_or(0.0)),
        (
            "reconnect_next_attempt_timestamp_seconds",
            snapshot.next_attempt().unwrap_or(0.0),
        ),
        ("last_frame_timestamp_seconds", snapshot.last_frame().unwrap_or(0.0)),
        ("last_data_timestamp_seconds", snapshot.last_data().unwrap_or(0.0)),
    ] {
        assert_eq!(value(name, &[]), figure, "{name} (written, in the API)");
    }
}
