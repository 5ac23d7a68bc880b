//! The rules: what they name exists, and Prometheus' own tools accept and test them.

use crate::catalogue::metrics_of;
use crate::repository::{accepts, files, root};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const RECORDING: &str = include_str!("../../deploy/rules/recording.yml");
const ALERTS: &str = include_str!("../../deploy/rules/alerts.yml");

#[derive(Deserialize)]
struct RuleFile<R> {
    groups: Vec<Group<R>>,
}

#[derive(Deserialize)]
struct Group<R> {
    name: String,
    rules: Vec<R>,
}

/// A recording rule.
#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) record: String,
    pub(crate) expr: String,
}

/// An alert.
#[derive(Deserialize)]
pub(crate) struct Alert {
    #[serde(rename = "alert")]
    pub(crate) name: String,
    pub(crate) expr: String,
    /// How long it has to hold before it fires.
    #[serde(rename = "for")]
    pub(crate) wait: Option<String>,
    /// How long it fires on when that is over.
    pub(crate) keep_firing_for: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

fn rules<R: for<'a> Deserialize<'a>>(text: &str) -> Vec<R> {
    let file: RuleFile<R> = serde_saphyr::from_str(text).unwrap();
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// The groups' names: what records, then what alerts.
fn groups() -> Vec<String> {
    let names = |text| {
        let file: RuleFile<serde_json::Value> = serde_saphyr::from_str(text).unwrap();
        file.groups.into_iter().map(|group| group.name)
    };
    names(RECORDING).chain(names(ALERTS)).collect()
}

/// The recording rules.
pub(crate) fn recorded() -> &'static [Recorded] {
    static RULES: OnceLock<Vec<Recorded>> = OnceLock::new();
    RULES.get_or_init(|| rules(RECORDING))
}

/// The alerts.
pub(crate) fn alerts() -> &'static [Alert] {
    static RULES: OnceLock<Vec<Alert>> = OnceLock::new();
    RULES.get_or_init(|| rules(ALERTS))
}

/// The metrics of the catalogue that alerts and recording rules use.
pub(crate) fn metrics_of_rules() -> BTreeSet<&'static str> {
    let recorded = recorded().iter().map(|rule| (&rule.record, &rule.expr));
    let alerts = alerts().iter().map(|rule| (&rule.name, &rule.expr));
    recorded
        .chain(alerts)
        .flat_map(|(name, expr)| metrics_of(name, expr))
        .collect()
}

/// A file of unit tests, as promtool reads it.
#[derive(Deserialize)]
struct TestFile {
    group_eval_order: Option<Vec<String>>,
    tests: Vec<UnitTest>,
}

#[derive(Deserialize)]
struct UnitTest {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

#[test]
fn every_name_in_a_rule_is_in_the_catalogue() {
    assert!(metrics_of_rules().len() > 20);
}

#[test]
fn every_alert_says_what_it_is_and_where_to_look() {
    for Alert {
        name: alert,
        labels,
        annotations,
        ..
    } in alerts()
    {
        let severity = labels["severity"].as_str();
        assert!(
            ["none", "info", "warning", "critical"].contains(&severity),
            "{alert}: {severity}"
        );
        let pages = labels.get("page").map(String::as_str);
        assert_eq!(
            pages,
            (severity == "critical").then_some("true"),
            "{alert}: what is critical pages"
        );
        let names: Vec<_> = annotations.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["dashboard_url", "description", "runbook_url", "summary"],
            "{alert}"
        );
        let runbook = format!("{{{{ $externalLabels.runbooks }}}}/{alert}.md");
        assert_eq!(annotations["runbook_url"], runbook, "{alert}");
        let dashboard = &annotations["dashboard_url"];
        assert!(
            dashboard.starts_with("{{ $externalLabels.dashboards }}/d/feedwatch-"),
            "{alert}: {dashboard}"
        );
        for text in annotations.values() {
            assert!(!text.contains('\n') && !text.contains("  "), "{alert}: {text}");
        }
    }
}

#[test]
fn every_alert_is_tested_firing_and_not_firing() {
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for file in files("deploy/rules/tests") {
        let tests: TestFile = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        // Without it the order is any, and what an alert reads may not be recorded yet.
        let order = tests.group_eval_order.unwrap_or_default();
        for test in tests.tests.into_iter().flat_map(|test| test.alert_rule_test) {
            assert_eq!(order, groups(), "{}", file.display());
            let outcome = if test.exp_alerts.is_empty() {
                &mut silent
            } else {
                &mut firing
            };
            outcome.insert(test.alertname);
        }
    }
    let all: BTreeSet<_> = alerts().iter().map(|alert| alert.name.clone()).collect();
    assert_eq!(firing, all);
    silent.insert("Watchdog".to_owned()); // always fires
    assert_eq!(silent, all);
}

#[test]
#[ignore = "needs promtool"]
fn promtool_accepts_the_configuration_and_the_rules() {
    accepts("promtool", &["check", "config"], &[root().join("prometheus.yml")]);
    accepts("promtool", &["check", "rules", "--lint-fatal"], &files("deploy/rules"));
}

#[test]
#[ignore = "needs promtool"]
fn the_unit_tests_of_the_rules_pass() {
    accepts("promtool", &["test", "rules"], &files("deploy/rules/tests"));
}
