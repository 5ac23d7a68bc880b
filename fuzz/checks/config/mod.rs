//! The configuration, on any text with any variables.
//!
//! An input is the text of a file. What stands before a line `---`, if there is one, are variables, a line each:
//!
//! ```text
//! FEEDWATCH__LOG__LEVEL=debug
//! ---
//! streams = [{ name = "a", venue = "polymarket" }]
//! ```
//!
//! In the value of a variable U+FFFD stands for a byte that is not UTF-8.

mod secrets;

use feedwatch::config::{Config, ConfigErrors, TracesConfig};
use feedwatch::stream::Endpoint;
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

const FILE: &str = "f.toml";
/// No duration is longer.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// No error is told in more characters: lists of all that is valid are the longest.
const LONGEST_ERROR: usize = 3000;

/// # Panics
///
/// Where the configuration is read as it must not be read.
pub(crate) fn check(input: &str) {
    if names_a_file(input) {
        return;
    }
    let text = input.split_once("\n---\n").map_or(input, |(_, text)| text);
    let read = parse(input);
    assert_eq!(
        shown(&read),
        shown(&parse(input)),
        "the second time it is something else"
    );
    match &read {
        Ok(config) => check_config(config),
        Err(errors) => check_errors(errors, text),
    }
    // Another secret is neither told, nor does it change anything that is told.
    if let Some(disguised) = secrets::disguised(input) {
        let disguised = parse(&disguised);
        assert_eq!(without_hash(&read), without_hash(&disguised), "a secret shows");
    }
    // A comment changes the hash, and nothing else.
    if read.is_ok() {
        let commented = parse(&format!("{input}\n# comment"));
        assert_ne!(shown(&read), shown(&commented), "the hash knows nothing of the text");
        assert_eq!(without_hash(&read), without_hash(&commented));
    }
}

/// A file of this machine has no place in a check. One in the working directory has: there is none of that name.
fn names_a_file(input: &str) -> bool {
    let input = input.to_ascii_lowercase();
    let keys = ["_file", "_certificate"];
    keys.iter().any(|key| input.contains(key)) && input.contains(['/', '\\'])
}

type Read = Result<Config, ConfigErrors>;

fn parse(input: &str) -> Read {
    let (variables, text) = input.split_once("\n---\n").unwrap_or(("", input));
    let variables = variables.split('\n').filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.split('\u{FFFD}').map(str::as_bytes).collect::<Vec<_>>();
        Some((name, OsString::from_vec(value.join(&0xFF))))
    });
    Config::parse(FILE, text, variables)
}

/// The hash included.
fn shown(read: &Read) -> String {
    match read {
        Ok(config) => format!("{config:?}"),
        Err(errors) => errors.to_string(),
    }
}

/// Nor the guesses at what was meant, which come from what was written, secret or not.
fn without_hash(read: &Read) -> String {
    let mut read = read.clone();
    if let Ok(config) = &mut read {
        config.hash = 0;
    }
    let shown = shown(&read);
    let mut parts = shown.split("did you mean ");
    let first = parts.next().unwrap_or_default().to_owned();
    let after_guess = |part: &str| part.split_once("? ").map_or("", |(_, after)| after).to_owned();
    parts.fold(first, |told, part| told + &after_guess(part))
}

fn check_errors(errors: &ConfigErrors, text: &str) {
    let told = errors.errors();
    assert!(!told.is_empty(), "refused without a reason");
    assert!(
        told.len() == 100 || told.len() < 100 && errors.untold() == 0,
        "untold: {}",
        errors.untold()
    );
    let mut places = Vec::new();
    for error in told {
        let line = error.to_string();
        assert!(!line.contains(char::is_control), "more than a line: {line:?}");
        assert!(line.chars().count() <= LONGEST_ERROR, "{line}");
        assert!(!error.problem.is_empty(), "{line}");
        places.push(place(&error.place, text));
    }
    assert!(places.is_sorted(), "{places:?}");
    let lines = errors.to_string();
    assert_eq!(
        lines.lines().count(),
        told.len() + usize::from(errors.untold() > 0),
        "{lines}"
    );
}

/// Line and column; past all of them for what is no place in the file, which is then a variable.
fn place(place: &str, text: &str) -> (usize, usize, String) {
    let Some(place) = place.strip_prefix("f.toml:") else {
        assert!(
            place.starts_with("FEEDWATCH__") || place.starts_with("OTEL_"),
            "{place}"
        );
        return (usize::MAX, 0, place.to_owned());
    };
    let (line, column) = place.split_once(':').unwrap();
    let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let length = text.split('\n').nth(line - 1).map(|line| line.chars().count());
    assert!(
        length.is_some_and(|length| (1..=length + 1).contains(&column)),
        "{place} is not there"
    );
    (line, column, String::new())
}

fn check_config(config: &Config) {
    assert!((1..=1000).contains(&config.exporter.max_concurrent_scrapes));
    assert!((1..=65_535).contains(&config.exporter.max_connections));
    let transport = &config.transport;
    assert!((1024..=256 << 20).contains(&transport.max_message_bytes));
    assert!((4096..=1 << 20).contains(&transport.read_buffer_bytes));
    let more_than_none = Duration::from_millis(1)..=WEEK;
    assert!(more_than_none.contains(&transport.send_timeout) && more_than_none.contains(&transport.close_timeout));
    assert!(config.shutdown_grace <= WEEK);
    assert!(config.hash < 1 << 48);
    assert!((1..=config.metrics.max_streams).contains(&config.streams.len()));
    config.traces.iter().for_each(check_traces);
    let mut names = HashSet::new();
    for stream in &config.streams {
        assert!(names.insert(stream.name.as_str()), "{} comes twice", stream.name);
        assert_eq!(stream.policy.errors(), []);
        let durations = [
            stream.policy.max_delay,
            stream.policy.circuit_breaker_cooldown,
            stream.policy.stable_after,
            stream.policy.connect_timeout,
            stream.policy.subscribe_timeout,
            stream.policy.stale_after.unwrap_or(WEEK),
            stream.ping_interval.unwrap_or(WEEK),
            stream.pong_timeout,
        ];
        assert!(
            durations.iter().all(|duration| more_than_none.contains(duration)),
            "{durations:?}"
        );
        assert!(stream.policy.retry_after_max <= WEEK);
        let distinct: HashSet<_> = stream.instruments.iter().collect();
        assert_eq!(distinct.len(), stream.instruments.len(), "an instrument comes twice");
        assert!(distinct.len() <= stream.venue.limits().subscriptions_per_connection);
        assert!(
            distinct
                .iter()
                .all(|id| stream.venue.check_instrument(id.as_str()).is_ok())
        );
        check_endpoint(&stream.endpoint);
    }
}

fn check_traces(traces: &TracesConfig) {
    let uri = traces.endpoint.uri();
    assert!(matches!(uri.scheme_str(), Some("http" | "https")), "{traces:?}");
    assert!(uri.host().is_some_and(|host| !host.is_empty()), "{traces:?}");
    assert!((0.0..=1.0).contains(&traces.sample_ratio));
    for duration in [traces.timeout, traces.schedule_delay] {
        assert!((Duration::from_millis(1)..=WEEK).contains(&duration), "{duration:?}");
    }
    assert!((1..=traces.max_queue).contains(&traces.max_batch) && traces.max_queue <= 1_000_000);
    assert!(
        traces.resource.iter().any(|(key, _)| key == "service.name"),
        "{traces:?}"
    );
}

/// What is shown of an address leads to the same place.
fn check_endpoint(endpoint: &Endpoint) {
    let shown = Endpoint::parse(&endpoint.to_string()).unwrap();
    let parts = |endpoint: &Endpoint| (endpoint.host().to_owned(), endpoint.port(), endpoint.is_tls());
    assert_eq!(parts(&shown), parts(endpoint));
    assert!(!endpoint.host().is_empty() && endpoint.port() > 0);
    assert!(!shown.to_string().contains(['?', '@', '#']), "{shown}");
}
