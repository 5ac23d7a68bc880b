//! The runbooks: a page for each alert, whose queries, paths, causes, links and commands are real.

mod commands;
mod names;
mod silence;

use crate::catalogue::metrics_of;
use crate::dashboards::{Dashboard, dashboards};
use crate::markdown;
use crate::repository::{files, root};
use crate::rules::{Alert, alerts};
use feedwatch::market::Cause;
use std::collections::BTreeSet;
use std::path::PathBuf;

const FOLDER: &str = "docs/runbooks";
const SECTIONS: [&str; 4] = [
    "## What you notice",
    "## Tell the causes apart",
    "## What to do",
    "## When to leave it alone",
];
/// What the service serves, as the README lists it; a path of a stream ends in its name.
const PATHS: [&str; 4] = ["/metrics", "/-/healthy", "/api/v1/streams", "/api/v1/events"];

struct Page {
    name: String,
    text: String,
}

fn pages() -> Vec<Page> {
    let read = |file: PathBuf| Page {
        name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
        text: std::fs::read_to_string(&file).unwrap(),
    };
    files(FOLDER).into_iter().map(read).collect()
}

impl Page {
    /// The fenced blocks of a language.
    fn blocks(&self, language: &str) -> Vec<String> {
        let blocks = markdown::blocks(&self.text).into_iter();
        blocks
            .filter(|(info, _)| *info == language)
            .map(|(_, text)| text)
            .collect()
    }

    fn code_spans(&self) -> Vec<&str> {
        markdown::code_spans(&self.text)
    }

    /// What its table says of the alert: severity, pages, fires after, outlives its cause by, silenced by, silences.
    fn facts(&self) -> Vec<&str> {
        let mut rows = self.text.lines().skip_while(|line| !line.starts_with("| severity |"));
        let row = rows.nth(2).unwrap_or_else(|| panic!("{}: no table", self.name));
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "{}: {row}", self.name);
        cells
    }
}

#[test]
fn every_alert_has_a_page_with_every_section_and_stands_in_the_index() {
    let pages = pages();
    let names: BTreeSet<_> = pages.iter().map(|page| page.name.as_str()).collect();
    let mut expected: BTreeSet<_> = alerts().iter().map(|alert| alert.name.as_str()).collect();
    expected.insert("README");
    assert_eq!(names, expected);
    let index = pages.iter().find(|page| page.name == "README").unwrap();
    for page in &pages {
        if page.name == "README" {
            continue;
        }
        assert!(page.text.starts_with(&format!("# {}\n", page.name)), "{}", page.name);
        let headings: Vec<_> = page.text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, SECTIONS, "{}", page.name);
        let link = format!("{}.md", page.name);
        assert!(
            markdown::links(&index.text).any(|(file, _)| file == link),
            "{} is not in the index",
            page.name
        );
        assert!(
            page.text.contains("http://127.0.0.1:3000/d/feedwatch-"),
            "{}: no dashboard",
            page.name
        );
    }
}

/// The page of an alert.
fn page_of(alert: &Alert) -> Page {
    let page = pages().into_iter().find(|page| page.name == alert.name);
    page.unwrap_or_else(|| panic!("{} has no page", alert.name))
}

#[test]
fn a_page_says_how_urgent_its_alert_is_and_when_it_fires() {
    for alert in alerts() {
        let page = page_of(alert);
        let facts = page.facts();
        let mut severities = facts[0].split(", or ");
        assert!(
            severities.any(|severity| severity == alert.labels["severity"]),
            "{}: {}",
            alert.name,
            facts[0]
        );
        assert_eq!(facts[1] == "yes", alert.labels.contains_key("page"), "{}", alert.name);
        assert_eq!(facts[2], alert.wait.as_deref().unwrap_or("at once"), "{}", alert.name);
        assert_eq!(
            facts[3],
            alert.keep_firing_for.as_deref().unwrap_or("-"),
            "{}",
            alert.name
        );
    }
}

#[test]
fn a_page_leads_to_the_dashboard_that_its_alert_leads_to() {
    let address = "http://127.0.0.1:3000/d/";
    let dashboards = dashboards();
    let all: BTreeSet<_> = dashboards.iter().map(Dashboard::uid).collect();
    let titles: String = dashboards.iter().map(|dashboard| dashboard.json.to_string()).collect();
    for alert in alerts() {
        let page = page_of(alert);
        let named = page.text.split(address).skip(1);
        let named: BTreeSet<_> = named.map(|rest| rest.split('>').next().unwrap()).collect();
        assert!(named.is_subset(&all), "{}: {named:?}", alert.name);
        // One alert leads to either of two: what they have in common is enough.
        let link = alert.annotations["dashboard_url"].split("/d/").nth(1).unwrap();
        let uid = link.split(['?', '{']).next().unwrap();
        assert!(
            named.iter().any(|named| named.starts_with(uid)),
            "{}: {named:?} without {uid}",
            alert.name
        );
        let intro = page.text.split("\n## ").next().unwrap();
        for panel in intro.split('"').skip(1).step_by(2) {
            let title = format!("\"title\":\"{panel}");
            assert!(titles.contains(&title), "{}: there is no panel {panel}", alert.name);
        }
    }
}

#[test]
fn queries_paths_and_links_are_real() {
    let mut queries = 0;
    for page in pages() {
        for query in page.blocks("promql") {
            metrics_of(&page.name, &query);
            queries += 1;
        }
        for rest in page.text.split("http://127.0.0.1:9885").skip(1) {
            let path = rest.split([' ', '\'', '`', '>', ')', '?', '\n']).next().unwrap();
            let known = PATHS.contains(&path) || path == "/api/v1/streams/NAME";
            assert!(known, "{}: nothing is served at {path}", page.name);
        }
        for (file, anchor) in markdown::links(&page.text) {
            let target = std::fs::read_to_string(root().join(FOLDER).join(file));
            let target = target.unwrap_or_else(|_| panic!("{}: {file} leads nowhere", page.name));
            assert!(
                markdown::has_heading(&target, anchor),
                "{}: {file}#{anchor} leads nowhere",
                page.name
            );
        }
    }
    assert!(queries > 40, "{queries}");
}

#[test]
fn what_is_named_exists_and_every_cause_is_explained() {
    let causes: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    let mut explained = BTreeSet::new();
    for page in pages() {
        for span in page.code_spans() {
            if span.starts_with("feedwatch_") && !span.contains(' ') {
                metrics_of(&page.name, span);
            }
        }
        // Tables of causes: everything in ticks in their first column is one.
        let rows = page.text.lines().skip_while(|line| !line.starts_with("| `cause` |"));
        for row in rows.skip(2).take_while(|line| line.starts_with('|')) {
            let first = row.split('|').nth(1).unwrap();
            for cause in first.split('`').skip(1).step_by(2) {
                assert!(causes.contains(cause), "{}: {cause} is no cause", page.name);
                if page.name == "README" {
                    explained.extend(causes.get(cause));
                }
            }
        }
    }
    assert_eq!(explained, causes);
}
