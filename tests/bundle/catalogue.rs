//! The names that a query uses: metrics, labels and label values, held against the catalogue and the recording rules.

use crate::rules::recorded;
use feedwatch::metrics::catalogue::{self, Labels, Metric};
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, LabelModifier, VectorSelector, parse};
use promql_parser::util::{ExprVisitor, walk_expr};
use std::collections::BTreeSet;
use std::time::Duration;

/// What Prometheus adds to every series that it scrapes.
const TARGET: [&str; 2] = ["job", "instance"];
/// What Prometheus makes itself: a metric and the labels that it has besides the target's.
const OTHERS: [(&str, &[&str]); 5] = [
    ("up", &[]),
    ("scrape_duration_seconds", &[]),
    ("scrape_samples_scraped", &[]),
    (
        "ALERTS",
        &["alertname", "alertstate", "severity", "page", "venue", "stream"],
    ),
    (
        "ALERTS_FOR_STATE",
        &["alertname", "severity", "page", "venue", "stream"],
    ),
];

/// The metrics of the catalogue that an expression uses, with what its recording rules use.
///
/// Fails the test where the expression does not parse, or names what is not there. `place` says where it stands.
pub(crate) fn metrics_of(place: &str, expression: &str) -> BTreeSet<&'static str> {
    let used = used(place, expression);
    let mut metrics = BTreeSet::new();
    let mut labels = BTreeSet::from(TARGET);
    for (selector, _) in &used.selectors {
        let name = selector.name.as_deref();
        let name = name.unwrap_or_else(|| panic!("{place}: a selector without a name\n{expression}"));
        let known = known(place, name);
        let of_series: BTreeSet<_> = known.labels.iter().copied().chain(TARGET).collect();
        for matcher in &selector.matchers.matchers {
            let Matcher { name: label, .. } = matcher;
            assert!(
                of_series.contains(label.as_str()),
                "{place}: {name} has no label {label}"
            );
            if let Some(metric) = known.metric {
                assert_matches(place, metric, matcher);
            }
        }
        labels.extend(of_series);
        metrics.extend(known.metrics);
    }
    for label in &used.labels {
        assert!(
            labels.contains(label.as_str()),
            "{place}: nothing has a label {label}\n{expression}"
        );
    }
    metrics
}

/// The selectors of an expression, each with its range, if it has one.
pub(crate) fn selectors(place: &str, expression: &str) -> Vec<(VectorSelector, Option<Duration>)> {
    used(place, expression).selectors
}

fn used(place: &str, expression: &str) -> Used {
    let parsed = parse(expression).unwrap_or_else(|error| panic!("{place}: {error}\n{expression}"));
    let mut used = Used::default();
    let Ok(_) = walk_expr(&mut used, &parsed);
    used
}

/// What is known of a metric's name as it is written in a query.
struct Known {
    metric: Option<&'static Metric>,
    labels: Vec<&'static str>,
    metrics: BTreeSet<&'static str>,
}

fn known(place: &str, name: &str) -> Known {
    if let Some((_, labels)) = OTHERS.iter().find(|(other, _)| *other == name) {
        return Known {
            metric: None,
            labels: labels.to_vec(),
            metrics: BTreeSet::new(),
        };
    }
    if let Some(rule) = recorded().iter().find(|rule| rule.record == name) {
        return Known {
            metric: None,
            labels: vec!["venue", "stream"],
            metrics: metrics_of(&rule.record, &rule.expr),
        };
    }
    let histogram = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|part| catalogue::find(name.strip_suffix(part)?));
    let (metric, le) = match (catalogue::find(name), histogram) {
        (Some(metric), _) => {
            let is_histogram = matches!(metric.kind, catalogue::Kind::Histogram(_));
            assert!(
                !is_histogram,
                "{place}: {name} is a histogram: ask for its _bucket, _sum or _count"
            );
            (metric, None)
        }
        (None, Some(metric)) => (metric, name.ends_with("_bucket").then_some("le")),
        (None, None) => panic!("{place}: there is no {name}"),
    };
    let labels = metric.scope().labels().iter().chain(metric.labels.names()).copied();
    Known {
        metric: Some(metric),
        labels: labels.chain(le).collect(),
        metrics: BTreeSet::from([metric.name]),
    }
}

/// A value of a closed set has to be one of it; a pattern has to match one at least.
fn assert_matches(place: &str, metric: &Metric, matcher: &Matcher) {
    let Labels::Closed { names, series } = metric.labels else {
        return;
    };
    let Some(index) = names.iter().position(|name| *name == matcher.name) else {
        return;
    };
    let values: BTreeSet<_> = series().into_iter().map(|values| values[index]).collect();
    let Matcher { name, value, op } = matcher;
    let told = || format!("{place}: {}: {name} is never {value:?}", metric.name);
    match op {
        MatchOp::Equal | MatchOp::NotEqual => assert!(values.contains(value.as_str()), "{}", told()),
        // Each alternative by itself: a misspelt one would match nothing.
        MatchOp::Re(_) | MatchOp::NotRe(_) if !value.contains(['(', '.', '[', '*', '+']) => {
            for alternative in value.split('|') {
                assert!(
                    values.contains(alternative),
                    "{place}: {}: {name} is never {alternative:?}",
                    metric.name
                );
            }
        }
        MatchOp::Re(pattern) | MatchOp::NotRe(pattern) => {
            assert!(values.iter().any(|value| pattern.is_match(value)), "{}", told());
        }
    }
}

#[derive(Default)]
struct Used {
    selectors: Vec<(VectorSelector, Option<Duration>)>,
    labels: BTreeSet<String>,
}

impl Used {
    fn grouping(&mut self, modifier: Option<&LabelModifier>) {
        if let Some(modifier) = modifier {
            self.labels.extend(modifier.labels().labels.iter().cloned());
        }
    }
}

impl ExprVisitor for Used {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        match expression {
            Expr::VectorSelector(selector) => self.selectors.push((selector.clone(), None)),
            Expr::MatrixSelector(matrix) => self.selectors.push((matrix.vs.clone(), Some(matrix.range))),
            Expr::Aggregate(aggregate) => self.grouping(aggregate.modifier.as_ref()),
            Expr::Binary(binary) => {
                let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
                self.grouping(matching);
            }
            _ => {}
        }
        Ok(true)
    }
}

#[test]
fn a_query_is_held_against_the_catalogue() {
    let metrics = metrics_of(
        "here",
        "sum by (venue, cause) (rate(feedwatch_disconnects_total{cause!~'planned|forced',job='a'}[5m]))
         / on (venue) group_left histogram_quantile(0.9, sum by (le, venue) (rate(feedwatch_ping_rtt_seconds_bucket[5m])))
         + on (venue, stream) stream:feedwatch_data_age:seconds",
    );
    let expected = [
        "feedwatch_disconnects_total",
        "feedwatch_last_data_timestamp_seconds",
        "feedwatch_ping_rtt_seconds",
    ];
    assert_eq!(metrics, BTreeSet::from(expected));
    for wrong in [
        "feedwatch_disconnect_total",
        "feedwatch_disconnects_total{reason='eof'}",
        "feedwatch_disconnects_total{cause='EOF'}",
        "feedwatch_disconnects_total{cause!~'planned|force'}",
        "sum by (kind) (feedwatch_disconnects_total)",
        "feedwatch_ping_rtt_seconds",
        "stream:feedwatch_data_age",
        "{job='feedwatch'}",
        "sum(",
    ] {
        let told = std::panic::catch_unwind(|| metrics_of("here", wrong));
        assert!(told.is_err(), "{wrong} is taken for right");
    }
}
