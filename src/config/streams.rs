//! `[[streams]]`: what is watched.

use super::access::{AccessConfig, AccessReader};
use super::addresses::{self, Written};
use super::endpoints;
use super::error::{Place, quoted};
use super::names::{self, WatchConfig};
use super::reconnection::Reconnection;
use super::section::Section;
use super::service::TransportConfig;
use super::value::Raw;
use super::venues::Venues;
use crate::market::{Instrument, StreamName};
use crate::metrics::catalogue::{self, Part};
use crate::stream::{Endpoint, RestEndpoint, TransportOptions};
use crate::supervise::Policy;
use crate::venue::{Feed, VenueRef};
use std::collections::HashMap;
use std::time::Duration;

/// One stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamConfig {
    /// Its own name.
    pub name: StreamName,
    /// Whose protocol it speaks.
    pub venue: VenueRef,
    /// Where it connects.
    pub endpoint: Endpoint,
    /// Where it connects instead, in turn, when that has failed; no two endpoints are the same.
    pub alternatives: Vec<Endpoint>,
    /// What it subscribes to, no two the same; with none it idles.
    pub instruments: Vec<Instrument>,
    /// The names of what it subscribes to besides; `None` = it has none.
    pub watch: Option<WatchConfig>,
    /// What of each instrument is asked for; the venue's own channels filled in.
    pub feed: Feed,
    /// The most instruments that one of its connections carries.
    pub instruments_per_connection: usize,
    /// How it is supervised, the venue's own `stale_after` filled in.
    pub policy: Policy,
    /// The time between two pings; `None` = the venue's own rule.
    pub ping_interval: Option<Duration>,
    /// After a ping, a connection on which nothing at all comes for so long is lost.
    pub pong_timeout: Duration,
    /// Whether it is worth a page when it is stale.
    pub page_on_stale: bool,
    /// How it gets to its venue.
    pub access: AccessConfig,
}

impl StreamConfig {
    /// Over how many connections it is spread.
    pub fn connections(&self) -> usize {
        self.instruments.len().div_ceil(self.instruments_per_connection).max(1)
    }

    /// The series that it has besides those of every stream.
    pub(super) fn further_series(&self) -> usize {
        let has = |part: &&Part| match part {
            Part::Sequences => self.venue.has_sequences(),
            Part::Checksums => self.feed.compares_checksums(&*self.venue),
            // The service takes no events.
            Part::Queue => false,
        };
        Part::ALL
            .iter()
            .filter(has)
            .map(|part| catalogue::series_of(*part))
            .sum()
    }

    /// Every place where it connects, in the order in which they are tried; at least one.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> + Clone {
        std::iter::once(&self.endpoint).chain(&self.alternatives)
    }

    /// The same, and where its names are looked up.
    pub fn places(&self) -> impl Iterator<Item = &Endpoint> + Clone {
        let rest = self.watch.as_ref().map(|watch| watch.rest.endpoint());
        self.endpoints().chain(rest)
    }

    /// Whether it is `wss` anywhere, or looks names up over `https`.
    pub fn uses_tls(&self) -> bool {
        self.places().any(Endpoint::is_tls)
    }

    /// The figures of its connections.
    pub const fn transport_options(&self, transport: &TransportConfig) -> TransportOptions {
        TransportOptions {
            ping_interval: self.ping_interval,
            connect_attempt_delay: transport.connect_attempt_delay,
            pong_timeout: self.pong_timeout,
            subscribe_timeout: self.policy.subscribe_timeout,
            send_timeout: transport.send_timeout,
            close_timeout: transport.close_timeout,
            max_message_bytes: transport.max_message_bytes,
            read_buffer_bytes: transport.read_buffer_bytes,
        }
    }
}

/// The shortest that watches something; valid above the first `[section]`.
const EXAMPLE: &str = r#"streams = [{ name = "elections", venue = "polymarket", instruments = ["1234"] }]"#;

/// Reads the streams; those that are wrong are left out and reported.
pub(super) fn read(
    root: &mut Section<'_, '_>,
    base: &Reconnection,
    venues: &Venues,
    access: &mut AccessReader,
    max_streams: usize,
) -> Vec<StreamConfig> {
    let Some((tables, at)) = root.tables("streams") else {
        if root.place_of("streams").is_none() {
            report_none(root, 0);
        }
        return Vec::new();
    };
    if tables.is_empty() {
        report_none(root, at);
    }
    if let Some(beyond) = tables.get(max_streams) {
        let problem = format!(
            "{} streams are more than metrics.max_streams, {max_streams}; raise it, or run more than one feedwatch",
            tables.len()
        );
        root.add(Place::File(beyond.span().start), "streams", problem);
    }
    let mut names = HashMap::new();
    let (mut streams, mut written) = (Vec::new(), Vec::new());
    for (index, table) in tables.iter().enumerate() {
        if let Some(mut section) = root.element("streams", "streams[]", index, table)
            && let Some(stream) = read_one(&mut section, base, venues, access, &mut names)
        {
            streams.push(stream);
            written.push(Written::of(index, &section));
        }
    }
    addresses::check(root, &mut streams, &written);
    streams
}

/// `names` are those of the streams before, and where they are written.
fn read_one(
    section: &mut Section<'_, '_>,
    base: &Reconnection,
    venues: &Venues,
    access: &mut AccessReader,
    names: &mut HashMap<StreamName, usize>,
) -> Option<StreamConfig> {
    let name = section.require("name", "1 to 64 of the characters A-Z a-z 0-9 _ - .", |raw| {
        let text = raw.text()?;
        StreamName::new(text).map_err(|error| format!("{} is no name; {error}", quoted(text)))
    });
    if let Some(name) = &name {
        let at = section.offset_of("name");
        if let Some(first) = names.get(name) {
            let problem = format!(
                "{} is taken; each stream needs a name of its own",
                quoted(name.as_str())
            );
            section.repeated(at, "name", problem, *first);
        } else {
            names.insert(name.clone(), at);
        }
    }
    let venue = read_venue(section, venues);
    let endpoint = section.take("url", |raw| endpoints::parse(raw.text()?));
    let alternatives = endpoints::read_alternatives(section, endpoint.as_ref(), venue.as_ref());
    let instruments = read_instruments(section, venue.as_ref());
    let watch = names::read_watch(section, venue.as_ref());
    let channels = read_channels(section, venue.as_ref());
    let checksums = section.take("checksums", Raw::flag).unwrap_or(false);
    let on_gap = [("resync", false), ("report", true)];
    if checksums && venue.as_ref().is_some_and(|venue| venue.description().is_some()) {
        let problem = "is of no use: a venue that is described has no checksums";
        section.wrong("checksums", problem.to_owned());
    }
    let report_gaps_only = section
        .take("on_sequence_gap", |raw| raw.choice(&on_gap))
        .unwrap_or(false);
    let instruments_per_connection = section.take("instruments_per_connection", |raw| raw.whole(1..=10_000));
    let reconnection = Reconnection::read(section.section("reconnection"), base);
    let endpoint = endpoint.or_else(|| Endpoint::parse(venue.as_ref()?.default_url()).ok());
    // Where the first is wrong, who knows.
    let rest = watch.as_ref().map(|watch| &watch.rest).map(RestEndpoint::endpoint);
    let uses_tls =
        endpoint.as_ref().is_none_or(Endpoint::is_tls) || alternatives.iter().chain(rest).any(Endpoint::is_tls);
    let mut access = access.of_stream(section, venue.as_deref(), uses_tls);
    let venue = venue?;
    venues.add_headers(section, Some(&venue), &mut access);
    let mut feed = Feed::of(channels);
    (feed.checksums, feed.report_gaps_only) = (checksums, report_gaps_only);
    let limits = venue.limits();
    let own = instruments_per_connection;
    let instruments_per_connection = own.unwrap_or_else(|| limits.instruments_per_connection(feed.channels.len()));
    if let Some(description) = venue.description()
        && let Err(wrong) = description.check_requests_of(instruments_per_connection, feed.channels.len())
    {
        let key = own.map_or("channels", |_| "instruments_per_connection");
        section.wrong(key, wrong);
    }
    Some(StreamConfig {
        name: name?,
        endpoint: endpoint?,
        alternatives,
        instruments,
        watch,
        instruments_per_connection,
        feed,
        policy: reconnection.policy_for(&*venue),
        venue,
        ping_interval: reconnection.ping_interval,
        pong_timeout: reconnection.pong_timeout,
        page_on_stale: reconnection.page_on_stale,
        access,
    })
}

/// The venue that the section names.
pub(super) fn read_venue(section: &mut Section<'_, '_>, venues: &Venues) -> Option<VenueRef> {
    let choices = venues.choices();
    let valid: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    // Of one whose description is wrong nothing more is told.
    let venue = section.require("venue", &valid.join(", "), |raw| raw.choice(&choices));
    venue.flatten()
}

/// The instruments that the section names; those that are impossible are reported.
pub(super) fn read_instruments(section: &mut Section<'_, '_>, venue: Option<&VenueRef>) -> Vec<Instrument> {
    let texts = section.texts("instruments");
    let mut seen = HashMap::new();
    for (index, text, at) in &texts {
        let key = format!("instruments[{index}]");
        if let Some(first) = seen.get(text) {
            section.repeated(*at, &key, format!("{} stands here already", quoted(text)), *first);
        } else {
            seen.insert(*text, *at);
            if let Some(Err(wrong)) = venue.map(|venue| venue.check_instrument(text)) {
                section.add(
                    Place::File(*at),
                    &key,
                    format!("{} is impossible; {wrong}", quoted(text)),
                );
            }
        }
    }
    texts.iter().map(|(_, text, _)| Instrument::new(text)).collect()
}

/// The channels that are asked for; those of the venue where none are named.
pub(super) fn read_channels(section: &mut Section<'_, '_>, venue: Option<&VenueRef>) -> Vec<String> {
    let texts = section.texts("channels");
    let mut seen = HashMap::new();
    for (index, text, at) in &texts {
        let key = format!("channels[{index}]");
        if let Some(first) = seen.get(text) {
            section.repeated(*at, &key, format!("{} stands here already", quoted(text)), *first);
            continue;
        }
        seen.insert(*text, *at);
        if let Some(Err(wrong)) = venue.map(|venue| venue.check_channel(text)) {
            section.add(
                Place::File(*at),
                &key,
                format!("{} is impossible; {wrong}", quoted(text)),
            );
        }
    }
    if let Some(Err(wrong)) = venue.map(|venue| venue.limits().check_channels(texts.len())) {
        section.wrong("channels", wrong);
    }
    if texts.is_empty() {
        return venue.map(|venue| venue.channels()).unwrap_or_default();
    }
    texts.iter().map(|(_, text, _)| (*text).to_owned()).collect()
}

fn report_none(root: &mut Section<'_, '_>, at: usize) {
    let problem = format!("there is no stream to watch; add one, as in this line above the first [section]: {EXAMPLE}");
    root.add(Place::File(at), "streams", problem);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_example_is_valid() {
        let none: [(&str, &str); 0] = [];
        assert!(Config::parse("example", EXAMPLE, none).is_ok());
    }

    #[test]
    fn an_alternative_may_be_what_uses_tls() {
        let uses_tls = |lines: &str| {
            let none: [(&str, &str); 0] = [];
            let text = format!("[[streams]]\nname = 'a'\nvenue = 'polymarket'\n{lines}");
            Config::parse("test", &text, none).unwrap().streams[0].uses_tls()
        };
        assert!(uses_tls(""));
        assert!(!uses_tls(
            "url = 'ws://one.example'\nalternatives = ['ws://two.example']"
        ));
        assert!(uses_tls(
            "url = 'ws://one.example'\nalternatives = ['wss://two.example']"
        ));
    }
}
