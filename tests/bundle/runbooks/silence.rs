//! Which alert silences which, as Alertmanager's configuration says and as the runbooks say.

use super::page_of;
use crate::catalogue::selectors;
use crate::rules::alerts;
use promql_parser::parser::VectorSelector;
use serde::Deserialize;
use std::collections::BTreeSet;

const CONFIG: &str = include_str!("../../../deploy/alertmanager.yml");

#[derive(Deserialize)]
struct Config {
    inhibit_rules: Vec<Inhibition>,
}

#[derive(Deserialize)]
struct Inhibition {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
}

/// The alerts whose names match. Alertmanager's matchers are written as Prometheus' own.
fn matching(matchers: &[String]) -> Vec<&'static str> {
    let selector = format!("{{{}}}", matchers.join(","));
    let (VectorSelector { matchers, .. }, _) = selectors("inhibit_rules", &selector).remove(0);
    assert!(matchers.matchers.iter().all(|matcher| matcher.name == "alertname"));
    let names = alerts().iter().map(|alert| alert.name.as_str());
    names
        .filter(|name| matchers.matchers.iter().all(|matcher| matcher.is_match(name)))
        .collect()
}

/// Who silences whom.
fn silences() -> BTreeSet<(&'static str, &'static str)> {
    let config: Config = serde_saphyr::from_str(CONFIG).unwrap();
    let mut pairs = BTreeSet::new();
    for rule in &config.inhibit_rules {
        let targets = matching(&rule.target_matchers);
        for source in matching(&rule.source_matchers) {
            pairs.extend(targets.iter().map(|target| (source, *target)));
        }
    }
    pairs
}

/// The alerts that a cell names.
fn named(cell: &str) -> BTreeSet<&str> {
    let words = cell.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.starts_with("Feedwatch")).collect()
}

#[test]
fn a_page_says_what_silences_its_alert_and_what_that_silences() {
    let pairs = silences();
    assert!(pairs.len() > 10, "{pairs:?}");
    let ours: BTreeSet<_> = alerts().iter().map(|alert| alert.name.as_str()).collect();
    for alert in alerts() {
        let page = page_of(alert);
        let name = alert.name.as_str();
        let sources: BTreeSet<_> = pairs.iter().filter(|pair| pair.1 == name).map(|pair| pair.0).collect();
        let targets: BTreeSet<_> = pairs.iter().filter(|pair| pair.0 == name).map(|pair| pair.1).collect();
        assert_eq!(named(page.facts()[4]), sources, "{name}");
        let told = if page.facts()[5].contains("every other alert of feedwatch") {
            let others = ours
                .iter()
                .filter(|other| other.starts_with("Feedwatch") && **other != name);
            others.copied().collect()
        } else {
            named(page.facts()[5])
        };
        assert_eq!(told, targets, "{name}");
    }
}
