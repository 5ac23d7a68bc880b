//! The table as a page for people and as JSON for programs.

use super::catalogue::{self, Kind, Labels, Metric, Part, Scope};
use serde_json::{Value, json};
use std::fmt::Write;

/// The page `docs/metrics.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         Made from the table in the code by `feedwatch metrics --format markdown`.\n\n\
         Every series of a closed set of labels exists from the start, at 0. Timestamps are Unix times; 0 = never or none.\n\n\
         (e): carries exemplars, the ids of recorded traces, where a scrape asks for OpenMetrics.\n",
    );
    for scope in Scope::ALL {
        let (title, labels) = match scope {
            Scope::Stream => ("Of each stream", "Labels of each: `venue`, `stream`."),
            Scope::Venue => ("Of each venue", "Label of each: `venue`."),
            Scope::Process => ("Of the program itself", "The `process_` metrics exist on Linux only."),
        };
        let _ = write!(
            out,
            "\n## {title}\n\n{labels}\n\n| name | type | further labels | what it tells |\n| --- | --- | --- | --- |\n"
        );
        for metric in catalogue::all().filter(|metric| metric.scope() == *scope) {
            let name = metric.name;
            let _ = writeln!(
                out,
                "| `{name}` | {} | {} | {} |",
                kind(metric),
                labels_of(metric),
                metric.help
            );
        }
    }
    out
}

/// The table: an array with an object for each metric.
pub fn json() -> Value {
    catalogue::all().map(entry).collect()
}

fn entry(metric: &Metric) -> Value {
    let labels: Vec<_> = metric.label_names().collect();
    let series = match metric.labels {
        Labels::Closed { .. } => metric.labels.series(),
        Labels::None | Labels::Info { .. } => Vec::new(),
    };
    json!({
        "name": metric.name,
        "type": metric.kind.as_str(),
        "scope": metric.scope().as_str(),
        "help": metric.help,
        "always": metric.is_always(),
        "part": metric.part().map(Part::as_str),
        "exemplars": metric.has_exemplars(),
        "buckets": if let Kind::Histogram(bounds) = metric.kind { bounds } else { &[] },
        "labels": labels,
        "series": series.into_iter().map(|values| named(metric, values)).collect::<Vec<_>>(),
    })
}

/// The further labels of a series, by name.
fn named(metric: &Metric, values: Vec<&'static str>) -> Value {
    let names = metric.labels.names().iter().map(|name| (*name).to_owned());
    Value::Object(names.zip(values.into_iter().map(Value::from)).collect())
}

fn kind(metric: &Metric) -> String {
    let exemplars = if metric.has_exemplars() { " (e)" } else { "" };
    let kind = format!("{}{exemplars}", metric.kind.as_str());
    match metric.kind {
        Kind::Histogram(bounds) => {
            let bounds: Vec<_> = bounds.iter().map(ToString::to_string).collect();
            format!("{kind}: {}", bounds.join(", "))
        }
        Kind::Counter | Kind::Gauge => kind,
    }
}

/// `a` = x, y; two labels as pairs where only some exist, else each with its values.
fn labels_of(metric: &Metric) -> String {
    let names: Vec<_> = metric.labels.names().iter().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    match metric.labels {
        Labels::None => String::new(),
        Labels::Info { .. } => names,
        Labels::Closed { .. } => {
            let series = metric.labels.series();
            let values: Vec<_> = series.iter().map(|values| values.join(" ")).collect();
            format!("{names} = {}", values.join(", "))
        }
    }
}
