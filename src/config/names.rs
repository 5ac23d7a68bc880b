//! Names that are looked up: `[names]`, and of a stream `watch` and `rest_url`.

use super::error::{Place, quoted};
use super::section::Section;
use crate::stream::RestEndpoint;
use crate::venue::VenueRef;
use std::collections::HashMap;
use std::time::Duration;

/// How names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamesConfig {
    /// How often, less jitter.
    pub refresh_interval: Duration,
    /// The time limit of one request. All pages behind the first one together have ten times as long.
    pub timeout: Duration,
    /// So many instruments a stream gets from its names, and no more; of what a single name stands for, no more is kept either.
    pub max_instruments: usize,
}

/// Which names a stream watches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchConfig {
    /// In the order of the file, no two the same; at least one.
    pub names: Vec<String>,
    /// Where they are looked up.
    pub rest: RestEndpoint,
    /// So many instruments its venue leaves to it, of what it takes from one address; `None` = nothing is known of that.
    pub room: Option<usize>,
}

impl WatchConfig {
    /// So many instruments it gets from its names, and no more.
    pub fn max_instruments(&self, names: &NamesConfig) -> usize {
        self.room.unwrap_or(usize::MAX).min(names.max_instruments)
    }
}

/// A stream has so many names at most: they are asked for one after another.
const MOST_NAMES: usize = 100;
/// What a venue answers more often than that would be the same, and no venue likes to be asked.
const SHORTEST_INTERVAL_MS: u64 = 1000;

impl NamesConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            refresh_interval: section
                .take("refresh_interval_ms", |raw| raw.millis(SHORTEST_INTERVAL_MS))
                .unwrap_or(Duration::from_secs(300)),
            timeout: section
                .take("timeout_ms", |raw| raw.millis(1))
                .unwrap_or(Duration::from_secs(10)),
            max_instruments: section
                .take("max_instruments", |raw| raw.whole(1..=100_000))
                .unwrap_or(1000),
        }
    }
}

/// What a stream watches; `None` where that is nothing.
pub(super) fn read_watch(section: &mut Section<'_, '_>, venue: Option<&VenueRef>) -> Option<WatchConfig> {
    const REST_URL: &str = "rest_url";
    let names = read_names(section, venue);
    let rest = section.take(REST_URL, |raw| {
        // The message never repeats the address, which may hold a secret.
        RestEndpoint::parse(raw.text()?).map_err(|error| format!("{error}; an address is {}", RestEndpoint::FORM))
    });
    let is_set = section.place_of(REST_URL).is_some();
    if is_set && section.place_of("watch").is_none() && !section.is_faulty(REST_URL) {
        section.wrong(REST_URL, "is of no use without names to watch".to_owned());
    }
    let default = || RestEndpoint::parse(venue?.directory()?.default_url()).ok();
    let rest = if is_set { rest } else { default() };
    let watch = WatchConfig {
        names,
        rest: rest?,
        // It depends on all other streams.
        room: None,
    };
    Some(watch).filter(|watch| !watch.names.is_empty())
}

fn read_names(section: &mut Section<'_, '_>, venue: Option<&VenueRef>) -> Vec<String> {
    let texts = section.texts("watch");
    if let Some((index, _, at)) = texts.get(MOST_NAMES) {
        let problem = format!(
            "{} names are too many; a stream watches {MOST_NAMES} at most, more are for another stream",
            texts.len()
        );
        section.add(Place::File(*at), &format!("watch[{index}]"), problem);
    }
    let mut seen = HashMap::new();
    for (index, text, at) in &texts {
        let key = format!("watch[{index}]");
        if let Some(first) = seen.get(text) {
            section.repeated(*at, &key, format!("{} stands here already", quoted(text)), *first);
            continue;
        }
        seen.insert(*text, *at);
        let wrong = match venue.map(|venue| (venue, venue.directory())) {
            Some((_, Some(directory))) => directory.check_name(text).err().map(Into::into),
            Some((venue, None)) => Some(format!("{} has no names to look up; use instruments", venue.name())),
            None => None,
        };
        if let Some(wrong) = wrong {
            section.add(
                Place::File(*at),
                &key,
                format!("{} is impossible; {wrong}", quoted(text)),
            );
        }
    }
    texts.iter().map(|(_, text, _)| (*text).to_owned()).collect()
}
