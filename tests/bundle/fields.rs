//! What the dashboards name besides metrics: each other, the columns of their tables, states.

use crate::dashboards::{array, dashboards, text};
use feedwatch::metrics::catalogue::{self, Labels};
use std::collections::BTreeSet;

#[test]
fn links_lead_to_the_stream_with_time_and_variables() {
    for dashboard in dashboards() {
        let text = dashboard.json.to_string();
        let links: Vec<_> = text.split("\"/d/").skip(1).collect();
        // Where there are many streams, a click leads to one.
        let leads = ["feedwatch-overview", "feedwatch-slo"].contains(&dashboard.uid());
        assert_eq!(!links.is_empty(), leads, "{}", dashboard.uid());
        for link in links {
            let (uid, rest) = link.split_once('?').unwrap();
            assert_eq!(uid, "feedwatch-stream");
            let query = rest.split('"').next().unwrap();
            let parts: Vec<_> = query.split('&').collect();
            for kept in [
                "${datasource:queryparam}",
                "${job:queryparam}",
                "${instance:queryparam}",
                "${__url_time_range}",
            ] {
                assert!(parts.contains(&kept), "{query} loses {kept}");
            }
            for chosen in ["var-venue=${__", "var-stream=${__"] {
                assert!(parts.iter().any(|part| part.starts_with(chosen)), "{query}");
            }
        }
    }
}

/// What Grafana does not find by its name, it leaves out without a word.
#[test]
fn columns_and_series_that_a_panel_names_are_its_own() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let place = format!("{}: {}", dashboard.uid(), text(panel, "title"));
            let targets = array(panel, "targets");
            let legends = targets.iter().filter_map(|target| target["legendFormat"].as_str());
            let mut names: BTreeSet<_> = legends.collect();
            for step in array(panel, "transformations") {
                let options = &step["options"];
                let renamed = options["renameByName"].as_object().into_iter().flatten();
                names.extend(renamed.map(|(_, name)| name.as_str().unwrap()));
                let sorted = ["renameByName", "indexByName", "excludeByName"].map(|list| options[list].as_object());
                for (field, _) in sorted.into_iter().flatten().flatten() {
                    let is_there = match field.strip_prefix("Value #") {
                        Some(of) => targets.iter().any(|target| target["refId"] == of),
                        None if field == "Value" => targets.len() == 1,
                        None if ["Time", "__name__", "job"].contains(&field.as_str()) => true,
                        None => targets
                            .iter()
                            .any(|target| text(target, "expr").contains(field.as_str())),
                    };
                    assert!(is_there, "{place}: no query has {field}");
                }
            }
            let matchers = array(&panel["fieldConfig"], "overrides").iter();
            let overridden = matchers.map(|entry| (&entry["matcher"]["id"], text(&entry["matcher"], "options")));
            for (kind, name) in overridden {
                assert!(kind == "byName" && names.contains(name), "{place}: {kind} {name}");
            }
            for key in array(&panel["options"], "sortBy") {
                assert!(names.contains(text(key, "displayName")), "{place}: {key}");
            }
            let panel = panel.to_string();
            for rest in panel.split("${__data.fields.").skip(1) {
                assert!(names.contains(rest.split('}').next().unwrap()), "{place}: {rest:.20}");
            }
        }
    }
}

/// A state that has neither text nor colour is shown as a bare number.
#[test]
fn every_state_has_a_text_where_states_are_shown() {
    let dashboards = dashboards();
    let stream = dashboards
        .iter()
        .find(|dashboard| dashboard.uid() == "feedwatch-stream");
    let panels = stream.unwrap().panels();
    let plain = |text: &str| text.replace(['_', '-'], " ");
    for (kind, title, name) in [
        ("stat", "State", "feedwatch_stream_state"),
        ("state-timeline", "State", "feedwatch_stream_state"),
        ("stat", "Breaker", "feedwatch_breaker_state"),
        ("state-timeline", "Circuit breaker", "feedwatch_breaker_state"),
    ] {
        let Labels::Closed { series, .. } = catalogue::find(name).unwrap().labels else {
            panic!("{name} is no set of states");
        };
        let states: BTreeSet<_> = series().into_iter().map(|values| plain(values[0])).collect();
        let mut panels = panels.iter();
        let panel = panels.find(|panel| panel["type"] == kind && panel["title"] == title);
        let texts = panel.unwrap()["fieldConfig"]["defaults"]["mappings"][0]["options"].as_object();
        let texts: BTreeSet<_> = texts
            .unwrap()
            .values()
            .map(|option| plain(text(option, "text")))
            .collect();
        assert_eq!(texts, states, "{kind} {title}");
    }
}
