//! `[[venues]]`: venues that are described, for streams to name.

mod rules;
mod values;

use super::access::{self, AccessConfig};
use super::endpoints;
use super::error::{Place, quoted};
use super::section::Section;
use super::service::{burst, rate};
use super::value::{Raw, Wrong};
use crate::stream::UpgradeHeaders;
use crate::supervise::DialLimit;
use crate::venue::generic::{AcceptedBy, Description, GenericVenue, InvalidDescription, Template};
use crate::venue::{self, Limits, Resync, VenueRef};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

const ACCEPTED_BY: &[(&str, AcceptedBy)] = &[
    ("acknowledgement", AcceptedBy::Acknowledgement),
    ("first_data", AcceptedBy::FirstData),
    ("sent", AcceptedBy::Sent),
];
const RESYNC: &[(&str, Resync)] = &[
    ("consumer", Resync::Consumer),
    ("resubscribe", Resync::Resubscribe),
    ("reconnect", Resync::Reconnect),
];

/// The shortest age of a connection, as `[reconnection]` has it.
const LEAST_AGE_MS: u64 = 1000;

/// More often a venue is not pinged: it might take that for an attack.
const LEAST_PING_MS: u64 = 1000;

/// There are no more venues.
const MOST: usize = 1000;

/// A venue that is described, and what streams of it bring along.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VenueConfig {
    /// The venue.
    pub venue: Arc<GenericVenue>,
    /// What its streams send along with the upgrade, where they have no such header themselves.
    pub headers: UpgradeHeaders,
}

impl VenueConfig {
    fn shared(&self) -> VenueRef {
        VenueRef::Shared(Arc::clone(&self.venue) as _)
    }
}

/// No venue has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no venue is called {name:?}; there are: {}", known.join(", "))]
pub struct UnknownVenue {
    /// The name.
    pub name: String,
    /// Those that there are.
    pub known: Vec<String>,
}

/// The venue of that name: one that is built in, or one of these.
///
/// ```
/// use feedwatch::config::find_venue;
///
/// assert_eq!(find_venue("kraken", &[]).unwrap().name(), "kraken");
/// assert!(find_venue("krakn", &[]).unwrap_err().known.contains(&"kraken".to_owned()));
/// ```
pub fn find_venue(name: &str, described: &[VenueConfig]) -> Result<VenueRef, UnknownVenue> {
    let found = all(described).find(|venue| venue.name() == name);
    found.ok_or_else(|| UnknownVenue {
        name: name.to_owned(),
        known: all(described).map(|venue| venue.name().to_owned()).collect(),
    })
}

/// Every venue that can be named: those that are built in, and these.
pub(crate) fn all(described: &[VenueConfig]) -> impl Iterator<Item = VenueRef> {
    let built_in = venue::ALL.iter().map(|venue| VenueRef::Static(*venue));
    built_in.chain(described.iter().map(VenueConfig::shared))
}

/// The venues that streams can name: `None` for one whose description is wrong.
pub(super) struct Venues {
    described: Vec<(String, Option<VenueConfig>)>,
}

impl Venues {
    pub(super) fn read(root: &mut Section<'_, '_>) -> Self {
        let (mut tables, _) = root.tables("venues").unwrap_or_default();
        if let Some(beyond) = tables.get(MOST) {
            let problem = format!("{} venues are more than {MOST}", tables.len());
            root.add(Place::File(beyond.span().start), "venues", problem);
            tables = tables.get(..MOST).unwrap_or_default();
        }
        let mut described: Vec<(String, Option<VenueConfig>)> = Vec::new();
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, table) in tables.iter().enumerate() {
            let Some(mut section) = root.element("venues", "venues[]", index, table) else {
                continue;
            };
            let before = section.reported();
            let name = read_name(&mut section, &mut names);
            let read = read_one(&mut section, name.as_deref(), before);
            described.extend(name.map(|name| (name, read)));
        }
        Self { described }
    }

    /// What a stream may name, and whose it is.
    pub(super) fn choices(&self) -> Vec<(&str, Option<VenueRef>)> {
        let built_in = venue::ALL
            .iter()
            .map(|venue| (venue.name(), Some(VenueRef::Static(*venue))));
        let described = self.described.iter();
        let described = described.map(|(name, venue)| (name.as_str(), venue.as_ref().map(VenueConfig::shared)));
        built_in.chain(described).collect()
    }

    /// Adds the headers that the description of the venue brings along.
    pub(super) fn add_headers(
        &self,
        section: &mut Section<'_, '_>,
        venue: Option<&VenueRef>,
        access: &mut AccessConfig,
    ) {
        let Some(described) = venue.and_then(|venue| self.described(venue.name())) else {
            return;
        };
        match access.headers.clone().with_others(&described.headers) {
            Ok(headers) => access.headers = headers,
            Err(error) => section.wrong("headers", format!("{error}, with those of the venue")),
        }
    }

    /// The description of the venue of that name, if it is no built-in one.
    fn described(&self, name: &str) -> Option<&VenueConfig> {
        let found = self.described.iter().find(|(known, _)| known == name);
        found.and_then(|(_, venue)| venue.as_ref())
    }

    pub(super) fn into_configs(self) -> Vec<VenueConfig> {
        self.described.into_iter().filter_map(|(_, venue)| venue).collect()
    }
}

/// `names` are those of the venues before, and where they are written.
fn read_name(section: &mut Section<'_, '_>, names: &mut HashMap<String, usize>) -> Option<String> {
    const VALID: &str = "1 to 64 of the characters A-Z a-z 0-9 _ - .";
    let name = section.require("name", VALID, |raw| {
        let text = raw.text()?;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if text.is_empty() || text.len() > 64 || !text.chars().all(legal) {
            return Err(format!("{} is no name; a venue's name is {VALID}", quoted(text)));
        }
        if venue::find(text).is_some() {
            return Err(format!(
                "{} is built in; describe another venue under another name",
                quoted(text)
            ));
        }
        Ok(text.to_owned())
    })?;
    let at = section.offset_of("name");
    if let Some(first) = names.get(&name) {
        let problem = format!("{} is taken; each venue needs a name of its own", quoted(&name));
        section.repeated(at, "name", problem, *first);
        return None;
    }
    names.insert(name.clone(), at);
    Some(name)
}

/// `before`: how much had been reported when it began.
fn read_one(section: &mut Section<'_, '_>, name: Option<&str>, before: usize) -> Option<VenueConfig> {
    let url = section.require("url", "an address, ws:// or wss://", |raw| {
        let text = raw.text()?;
        if text.contains(['{', '}']) {
            return Err(
                "has braces; an address has no placeholders: a stream that needs another one has a url of its own"
                    .to_owned(),
            );
        }
        endpoints::parse(text).map(|_| text)
    });
    let mut description = Description::new(name.unwrap_or_default(), url.unwrap_or_default());
    description.limits = read_limits(section);
    set(
        &mut description.stale_after,
        section.take("stale_after_ms", |raw| raw.millis(0)),
    );
    description.channels = read_names(section, "channels");
    description.hello = read_names(section, "hello");
    description.subscribe = section.take("subscribe", template);
    description.unsubscribe = section.take("unsubscribe", template);
    description.unsubscribe_acknowledged = section.take("unsubscribe_acknowledged", Raw::flag);
    description.item = section.take("item", template);
    set(
        &mut description.batch,
        section.take("batch", |raw| raw.whole(1..=10_000)),
    );
    set(&mut description.replaces, section.take("replaces", Raw::flag));
    description.ping = section.take("ping", |raw| {
        let text = not_empty(raw)?;
        as_it_stands(&text).map(|()| text)
    });
    set(
        &mut description.ping_interval,
        section.take("ping_interval_ms", |raw| raw.millis(LEAST_PING_MS)),
    );
    set(
        &mut description.resync,
        section.take("resync", |raw| raw.choice(RESYNC)),
    );
    description.pong = rules::pong(section);
    description.venue_ping = rules::venue_ping(section);
    description.leaving = rules::leaving(section);
    let (acknowledgements, of_acknowledgements) =
        rules::answers(section, "acknowledgements", "venues[].acknowledgements[]");
    let (refusals, of_refusals) = rules::answers(section, "refusals", "venues[].refusals[]");
    description.accepted_by = if acknowledgements.is_empty() {
        AcceptedBy::Sent
    } else {
        AcceptedBy::Acknowledgement
    };
    set(
        &mut description.accepted_by,
        section.take("accepted_by", |raw| raw.choice(ACCEPTED_BY)),
    );
    (description.acknowledgements, description.refusals) = (acknowledgements, refusals);
    let (events, of_events) = rules::events(section);
    description.events = events;
    let headers = access::headers(section);
    if section.place_of("batch").is_some() && !description.has_batches() && section.reported() == before {
        let problem = "is of no use: no request is about some of the instruments alone";
        section.wrong("batch", problem.to_owned());
    }
    // Nothing is told of how the parts fit together where some are wrong.
    if section.reported() > before {
        return None;
    }
    match GenericVenue::new(description) {
        Ok(venue) => Some(VenueConfig {
            venue: Arc::new(venue),
            headers,
        }),
        Err(error) => {
            report(
                section,
                &error,
                &[
                    ("acknowledgements", of_acknowledgements),
                    ("refusals", of_refusals),
                    ("events", of_events),
                ],
            );
            None
        }
    }
}

/// What does not fit together; `places` are the offsets of what stands in lists.
fn report(section: &mut Section<'_, '_>, error: &InvalidDescription, places: &[(&str, Vec<usize>)]) {
    let Some(index) = error.index else {
        return section.wrong(error.key, error.problem.clone());
    };
    let places = places.iter().find(|(key, _)| *key == error.key);
    let at = places.and_then(|(_, places)| places.get(index)).copied();
    let at = at.unwrap_or_else(|| section.offset_of(error.key));
    section.add(
        Place::File(at),
        &format!("{}[{index}]", error.key),
        error.problem.clone(),
    );
}

fn read_limits(section: &mut Section<'_, '_>) -> Limits {
    let dial = DialLimit {
        per_second: section.take("dial_per_second", rate).unwrap_or(1.0),
        burst: section.take("dial_burst", burst).unwrap_or(1),
    };
    let subscriptions = section.take("subscriptions_per_connection", |raw| raw.whole(1..=10_000));
    let mut limits = Limits::new(subscriptions.unwrap_or(100), dial);
    limits.connections_per_address = section.take("connections_per_address", |raw| raw.whole(1..=10_000));
    limits.subscriptions_per_address = section.take("subscriptions_per_address", |raw| raw.whole(1..=1_000_000));
    let requests_burst = section.take("requests_burst", burst);
    match section.take("requests_per_second", rate) {
        Some(per_second) => limits = limits.with_requests(per_second, requests_burst.unwrap_or(1)),
        None if requests_burst.is_some() && !section.is_faulty("requests_per_second") => {
            let problem = "is of no use without requests_per_second beside it";
            section.wrong("requests_burst", problem.to_owned());
        }
        None => {}
    }
    let age: Option<Option<Duration>> = section.take("max_connection_age_ms", |raw| raw.millis_or_never(LEAST_AGE_MS));
    match age.flatten() {
        Some(age) => limits.with_max_connection_age(age),
        None => limits,
    }
}

/// A list of texts, none of them empty.
fn read_names(section: &mut Section<'_, '_>, key: &'static str) -> Vec<String> {
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for (index, text, at) in section.texts(key) {
        let place = format!("{key}[{index}]");
        if text.trim().is_empty() {
            section.add(Place::File(at), &place, "is empty".to_owned());
        } else if let Err(wrong) = as_it_stands(text)
            && key == "hello"
        {
            section.add(Place::File(at), &place, wrong);
        } else if !seen.insert(text) && key == "channels" {
            section.add(Place::File(at), &place, format!("{} stands here already", quoted(text)));
        } else {
            names.push(text.to_owned());
        }
    }
    names
}

fn template(raw: Raw<'_>) -> Result<Template, Wrong> {
    Template::parse(raw.text()?).map_err(|error| error.to_string())
}

/// A text that is sent without anything being filled in.
fn as_it_stands(text: &str) -> Result<(), Wrong> {
    match Template::parse(text) {
        Ok(template) if template.has_places() => {
            Err("is sent as it stands; only subscribe, unsubscribe and item have placeholders".to_owned())
        }
        _ => Ok(()),
    }
}

fn not_empty(raw: Raw<'_>) -> Result<String, Wrong> {
    let text = raw.text()?;
    match text.trim() {
        "" => Err("is empty".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
