//! The names in ticks: settings, fields, log lines, attributes. Each is found where the program or its configuration says it.

use super::{Page, pages};

/// Where names come from. Metrics and causes are held against their own tables.
const SOURCES: [&str; 19] = [
    include_str!("../../../config/feedwatch.toml"),
    include_str!("../../../deploy/rules/alerts.yml"),
    include_str!("../../../deploy/alertmanager.yml"),
    include_str!("../../../src/app/mod.rs"),
    include_str!("../../../src/app/service.rs"),
    include_str!("../../../src/app/names/task.rs"),
    include_str!("../../../src/config/telemetry.rs"),
    include_str!("../../../src/exporter/api.rs"),
    include_str!("../../../src/exporter/routes.rs"),
    include_str!("../../../src/market/cause.rs"),
    include_str!("../../../src/market/reason.rs"),
    include_str!("../../../src/observe/history.rs"),
    include_str!("../../../src/observe/log.rs"),
    include_str!("../../../src/observe/trace.rs"),
    include_str!("../../../src/observe/trace/span.rs"),
    include_str!("../../../src/stream/reconnecting.rs"),
    include_str!("../../../src/supervise/breaker.rs"),
    include_str!("../../../src/supervise/notice.rs"),
    include_str!("../../../src/telemetry/export.rs"),
];

/// Whether a name stands in a text, and not as a part of another one.
fn is_in(text: &str, name: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut found = text.match_indices(name);
    found.any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + name.len()..].chars().next()))
}

/// `stale_after_ms` or `page_on_stale = true`, but no command and no expression.
fn identifier(span: &str) -> Option<&str> {
    let name = span.split(" = ").next()?;
    let is_name = name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    (is_name && !name.starts_with("feedwatch_")).then_some(name)
}

/// Each name of a page stands in a source; there are this many at least.
fn assert_known(least: usize, told: impl Fn(&Page) -> Vec<&str>) {
    let pages = pages();
    let named: Vec<_> = pages
        .iter()
        .flat_map(|page| told(page).into_iter().map(|name| (&page.name, name)))
        .collect();
    assert!(named.len() > least, "{}", named.len());
    for (page, name) in named {
        assert!(
            SOURCES.iter().any(|source| is_in(source, name)),
            "{page}: there is no {name}"
        );
    }
}

#[test]
fn a_setting_or_field_that_is_named_exists() {
    assert_known(50, |page| {
        page.code_spans().into_iter().filter_map(identifier).collect()
    });
}

#[test]
fn what_is_said_of_the_log_and_of_traces_is_what_the_program_says() {
    assert_known(30, |page| {
        let about = page.text.split("\n\n").filter(|part| part.starts_with("In the log: "));
        let spans = about.flat_map(|part| part.split('`').skip(1).step_by(2));
        spans.map(|span| span.split(" = ").next().unwrap()).collect()
    });
}

#[test]
fn a_name_is_found_whole() {
    assert!(is_in("a stale_after_ms: b", "stale_after_ms"));
    assert!(!is_in("instrument_stale_after_ms", "stale_after_ms"));
    assert!(!is_in("stale_after_ms_2", "stale_after_ms"));
    assert_eq!(identifier("page_on_stale = true"), Some("page_on_stale"));
    assert_eq!(identifier("up == 0"), None);
}
