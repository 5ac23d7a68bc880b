//! The dashboards: what they name exists, and they keep the rules of Grafana's dashboard linter
//! (<https://github.com/grafana/dashboard-linter>).

use crate::catalogue::{metrics_of, selectors};
use crate::repository::{accepts, files, root};
use crate::rules::metrics_of_rules;
use feedwatch::metrics::catalogue::{self, Kind, Metric};
use promql_parser::label::{MatchOp, Matcher};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

const UIDS: [&str; 4] = [
    "feedwatch-exporter",
    "feedwatch-overview",
    "feedwatch-slo",
    "feedwatch-stream",
];

/// Panels whose title or description says another range than that of the page.
const OWN_RANGE: [&str; 3] = ["Errors logged, 1 h", "Mean time to recovery", "Streams"];

/// Metrics that are not on a dashboard and in no rule. None is: whoever adds one shows it, or says here why not.
const NOT_SHOWN: [&str; 0] = [];

/// What takes the place of `$__rate_interval` where no Prometheus is asked.
const RATE_INTERVAL: Duration = Duration::from_secs(61);

/// A dashboard.
pub(crate) struct Dashboard {
    pub(crate) file: PathBuf,
    pub(crate) json: Value,
}

/// A query of a dashboard, with its variables.
pub(crate) struct Query {
    /// Dashboard and panel, annotation or variable.
    pub(crate) place: String,
    /// The panel's title; the name of an annotation.
    pub(crate) title: String,
    pub(crate) expr: String,
}

/// The dashboards, in the order of their files' names.
pub(crate) fn dashboards() -> Vec<Dashboard> {
    let files = files("grafana/dashboards").into_iter();
    files
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            Dashboard { file, json }
        })
        .collect()
}

pub(crate) fn array<'a>(json: &'a Value, name: &str) -> &'a [Value] {
    json[name].as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json:#}"))
}

impl Dashboard {
    pub(crate) fn uid(&self) -> &str {
        text(&self.json, "uid")
    }

    /// The panels, rows left out.
    pub(crate) fn panels(&self) -> Vec<&Value> {
        let panels = array(&self.json, "panels").iter();
        panels.filter(|panel| panel["type"] != "row").collect()
    }

    pub(crate) fn variables(&self) -> &[Value] {
        array(&self.json["templating"], "list")
    }

    /// The queries of panels and of annotations.
    pub(crate) fn queries(&self) -> Vec<Query> {
        let mut queries = Vec::new();
        for panel in self.panels() {
            let title = text(panel, "title");
            for target in array(panel, "targets") {
                queries.push(Query {
                    place: format!("{}: {title}", self.uid()),
                    title: title.to_owned(),
                    expr: text(target, "expr").to_owned(),
                });
            }
        }
        for annotation in array(&self.json["annotations"], "list") {
            if annotation["builtIn"] == 1 {
                continue;
            }
            let name = text(annotation, "name");
            queries.push(Query {
                place: format!("{}: annotation {name}", self.uid()),
                title: name.to_owned(),
                expr: text(annotation, "expr").to_owned(),
            });
        }
        queries
    }
}

/// The metric or selector, and the label, of `label_values(selector, label)`.
pub(crate) fn label_values(query: &str) -> (&str, &str) {
    let inside = query
        .strip_prefix("label_values(")
        .and_then(|rest| rest.strip_suffix(')'));
    let parts = inside.and_then(|inside| inside.rsplit_once(", "));
    parts.unwrap_or_else(|| panic!("not label_values(selector, label): {query}"))
}

/// A query with the values of its variables.
pub(crate) fn substitute(expr: &str, values: &BTreeMap<&str, String>, rate_interval: Duration) -> String {
    let interval = format!("{}s", rate_interval.as_secs());
    let query = expr.replace("$__rate_interval", &interval);
    let query = values.iter().fold(query, |query, (name, value)| {
        query.replace(&format!("\"${name}\""), &format!("\"{value}\""))
    });
    assert!(!query.contains('$'), "a variable is left: {query}");
    query
}

/// With values that show which variable they are of.
fn substituted(expr: &str) -> String {
    let values = ["job", "instance", "venue", "stream"].map(|name| (name, format!("a_{name}")));
    substitute(expr, &values.into(), RATE_INTERVAL)
}

#[test]
fn the_dashboards_are_known_by_their_uids_and_are_the_files_truth() {
    let dashboards = dashboards();
    let uids: BTreeSet<_> = dashboards.iter().map(Dashboard::uid).collect();
    assert_eq!(uids, BTreeSet::from(UIDS));
    for Dashboard { file, json } in &dashboards {
        let file = file.display();
        let stem = format!(
            "grafana/dashboards/{}.json",
            text(json, "uid").trim_start_matches("feedwatch-")
        );
        assert!(file.to_string().ends_with(&stem), "{file}");
        assert!(json["id"].is_null() && json["editable"] == false, "{file}");
        assert!((39..=41).contains(&json["schemaVersion"].as_u64().unwrap()), "{file}");
        assert!(
            json.get("__inputs").is_none(),
            "{file}: a provider of files ignores __inputs"
        );
        assert!(text(json, "title").starts_with("feedwatch / ") && !text(json, "description").is_empty());
        // What is found by this tag is linked, with time and variables.
        let links = array(json, "links");
        assert!(
            json["tags"] == serde_json::json!(["feedwatch"]) && links.len() == 1,
            "{file}"
        );
        let link = &links[0];
        assert!(
            link["tags"] == json["tags"] && link["includeVars"] == true && link["keepTime"] == true,
            "{file}"
        );
    }
}

#[test]
fn variables_lead_from_the_data_source_to_the_stream() {
    for dashboard in dashboards() {
        let variables = dashboard.variables();
        let names: Vec<_> = variables.iter().map(|variable| text(variable, "name")).collect();
        let all = ["datasource", "job", "instance", "venue", "stream"];
        let wanted = if dashboard.uid() == "feedwatch-exporter" {
            &all[..3]
        } else {
            &all
        };
        assert_eq!(names, wanted, "{}", dashboard.uid());
        assert_eq!(
            (text(&variables[0], "type"), text(&variables[0], "query")),
            ("datasource", "prometheus")
        );
        for (index, variable) in variables.iter().enumerate().skip(1) {
            let place = format!("{}: variable {}", dashboard.uid(), names[index]);
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{place}");
            assert_eq!(variable["refresh"], 2, "{place}: reads again when the time changes");
            let query = substituted(text(&variable["query"], "query"));
            let (selector, label) = label_values(&query);
            assert_eq!(label, names[index], "{place}");
            metrics_of(&place, &format!("sum by ({label}) ({selector})"));
            // Each is narrowed by those before it.
            for before in &names[1..index] {
                assert!(query.contains(&format!("{before}=~\"a_{before}\"")), "{place}: {query}");
            }
            let is_single = dashboard.uid() == "feedwatch-stream" && ["venue", "stream"].contains(&label);
            assert_eq!(variable["multi"], !is_single, "{place}");
            assert_eq!(variable["includeAll"], !is_single, "{place}");
            assert_eq!(variable["allValue"] == ".+", !is_single, "{place}");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for dashboard in dashboards() {
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in array(&dashboard.json, "panels") {
            let place = format!("{}: {}", dashboard.uid(), text(panel, "title"));
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{place}: its id is another's"
            );
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{place}");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{place}: overlaps another");
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(text(panel, "description").ends_with('.'), "{place}");
            assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{place}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{place}");
            let targets = array(panel, "targets");
            assert!(!targets.is_empty(), "{place}");
            // Rows are merged by their labels: a metric's name left on one of them would make rows of its own.
            let merges = array(panel, "transformations").iter().any(|step| step["id"] == "merge");
            let mut refs = BTreeSet::new();
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}");
                assert!(refs.insert(text(target, "refId")), "{place}");
                assert!(!merges || text(target, "expr").starts_with("max by ("), "{place}");
            }
        }
    }
}

#[test]
fn every_query_is_of_metrics_that_exist_and_of_the_chosen_targets() {
    let mut shown = metrics_of_rules();
    for query in dashboards().iter().flat_map(Dashboard::queries) {
        let Query { place, title, expr, .. } = &query;
        let expr = substituted(expr);
        shown.extend(metrics_of(place, &expr));
        for (selector, range) in selectors(place, &expr) {
            let name = selector.name.as_deref().unwrap();
            for label in ["job", "instance"] {
                let chosen = format!("a_{label}");
                let matchers = &selector.matchers.matchers;
                let is_chosen = |op: &MatchOp| matches!(op, MatchOp::Re(_));
                let mut matchers = matchers.iter().filter(|matcher| matcher.name == label);
                // What is not scraped has no instance, and its alert none either.
                let is_of_none = |matcher: &Matcher| label == "instance" && matcher.value.is_empty();
                assert!(
                    matchers.any(|matcher| (matcher.value == chosen && is_chosen(&matcher.op))
                        || (name.starts_with("ALERTS") && is_of_none(matcher))),
                    "{place}: {selector} is of every {label}"
                );
            }
            // Of annotations, too: what happens between two windows that do not overlap is never shown.
            let is_own = OWN_RANGE.contains(&title.as_str());
            assert!(
                range.is_none_or(|range| range == RATE_INTERVAL || is_own),
                "{place}: {range:?}"
            );
            let is_counter = catalogue::find(name).is_some_and(|metric| metric.kind == Kind::Counter);
            let is_part = ["_bucket", "_sum", "_count"].iter().any(|part| name.ends_with(part));
            assert!(
                range.is_some() || !(is_counter || is_part),
                "{place}: {name} only grows: show its rate"
            );
        }
    }
    let not_shown: BTreeSet<_> = catalogue::all()
        .map(|metric| metric.name)
        .filter(|name| !shown.contains(name))
        .collect();
    assert_eq!(not_shown, BTreeSet::from(NOT_SHOWN));
}

#[test]
fn exemplars_are_asked_of_what_has_them() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let place = format!("{}: {}", dashboard.uid(), text(panel, "title"));
            for target in array(panel, "targets") {
                let selectors = selectors(&place, &substituted(text(target, "expr")));
                let mut names = selectors.iter().filter_map(|(selector, _)| selector.name.as_deref());
                let carry = |name: &str| {
                    let metric = catalogue::find(name.trim_end_matches("_bucket"));
                    !name.ends_with("_sum") && metric.is_some_and(Metric::has_exemplars)
                };
                assert_eq!(target["exemplar"] == true, names.any(carry), "{place}");
            }
        }
    }
}

#[test]
#[ignore = "needs the Python package grafana-foundation-sdk"]
fn grafanas_own_types_know_every_key() {
    let files: Vec<_> = dashboards().into_iter().map(|dashboard| dashboard.file).collect();
    accepts("python3", &["tests/bundle/grafana_types.py"], &files);
}

#[test]
#[ignore = "needs the Python package grafana-foundation-sdk"]
fn a_key_that_is_misspelt_is_noticed() {
    let dashboard = std::fs::read_to_string(root().join("grafana/dashboards/overview.json")).unwrap();
    for (right, wrong) in [
        ("\"graphTooltip\"", "\"graphToolTip\""),
        ("\"fillOpacity\"", "\"fillopacity\""),
        ("\"showLegend\"", "\"showlegend\""),
        ("\"legendFormat\"", "\"legend\""),
        ("\"includeAll\"", "\"includeall\""),
    ] {
        let file = crate::harness::TempFile::new("json", &dashboard.replace(right, wrong));
        let noticed = std::panic::catch_unwind(|| {
            accepts(
                "python3",
                &["tests/bundle/grafana_types.py"],
                &[PathBuf::from(file.name())],
            )
        });
        let told = *noticed.expect_err(wrong).downcast::<String>().unwrap();
        assert!(told.contains(wrong.trim_matches('"')), "{wrong}: {told}");
    }
}
