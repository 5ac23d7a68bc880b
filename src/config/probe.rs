//! `[probe]`: what `/probe` may be asked for.

use super::access::{AccessConfig, AccessReader};
use super::endpoints;
use super::error::quoted;
use super::section::Section;
use super::streams::{read_channels, read_instruments, read_venue};
use super::value::Raw;
use super::venues::{UnknownVenue, VenueConfig, Venues, find_venue};
use crate::market::{Instrument, StreamName};
use crate::stream::{Endpoint, InvalidEndpoint};
use crate::venue::{Feed, Venue, VenueRef};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

const TIMES: RangeInclusive<u64> = 100..=600_000;
/// There are no more modules.
const MOST: usize = 1000;
/// How long a probe takes at most, where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// With so many frames of data it ends, where nothing else is said.
const FRAMES: u64 = 1;

/// What `/probe` may be asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProbeConfig {
    /// Probes at once.
    pub max_concurrent: usize,
    /// Whether who asks may name any address.
    pub allow_urls: bool,
    /// The modules, by their names.
    pub modules: BTreeMap<String, ProbeModule>,
}

/// How a venue is probed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProbeModule {
    /// Whose protocol is spoken.
    pub venue: VenueRef,
    /// Where it connects, where `target` names no address.
    pub endpoint: Endpoint,
    /// What it subscribes to; with nothing it only connects.
    pub instruments: Vec<Instrument>,
    /// What of each.
    pub feed: Feed,
    /// The longest that it takes.
    pub timeout: Duration,
    /// It ends as soon as so many frames of data have come.
    pub frames: u64,
    /// How it gets there.
    pub access: AccessConfig,
}

/// Why nothing can be looked at by the name of a venue alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoBareModule {
    /// There is no such venue.
    #[error(transparent)]
    Venue(#[from] UnknownVenue),
    /// A program has described the venue, with an address that is none.
    #[error("the address of {0} {1}; an address is {form}", form = Endpoint::FORM)]
    Address(String, InvalidEndpoint),
}

impl ProbeModule {
    /// A look at the venue of that name, of which nothing more is said: it goes to its own address, as `access` says and with
    /// the headers of its description, and subscribes to nothing.
    pub fn bare(name: &str, described: &[VenueConfig], mut access: AccessConfig) -> Result<Self, NoBareModule> {
        let venue = find_venue(name, described)?;
        if let Some(described) = described.iter().find(|known| known.venue.name() == name) {
            access.headers = described.headers.clone();
        }
        let endpoint = Endpoint::parse(venue.default_url());
        let endpoint = endpoint.map_err(|invalid| NoBareModule::Address(name.to_owned(), invalid))?;
        Ok(Self {
            endpoint,
            venue,
            instruments: Vec::new(),
            feed: Feed::default(),
            timeout: TIMEOUT,
            frames: FRAMES,
            access,
        })
    }
}

impl ProbeConfig {
    pub(super) fn read(section: &mut Section<'_, '_>, venues: &Venues, access: &mut AccessReader) -> Self {
        Self {
            max_concurrent: section.take("max_concurrent", |raw| raw.whole(1..=1000)).unwrap_or(4),
            allow_urls: section.take("allow_urls", Raw::flag).unwrap_or(false),
            modules: read_modules(section, venues, access),
        }
    }
}

fn read_modules(
    section: &mut Section<'_, '_>,
    venues: &Venues,
    access: &mut AccessReader,
) -> BTreeMap<String, ProbeModule> {
    let Some(table) = section.named("modules") else {
        return BTreeMap::new();
    };
    if table.len() > MOST {
        section.wrong("modules", format!("{} modules are more than {MOST}", table.len()));
        return BTreeMap::new();
    }
    let mut modules = BTreeMap::new();
    for (name, element) in table {
        let name = name.get_ref().as_ref();
        if StreamName::new(name).is_err() {
            let form = "1 to 64 of the characters A-Z a-z 0-9 _ - .";
            let problem = format!("{} is no name; a module's is {form}", quoted(name));
            section.add_below(element.span().start, "modules", name, problem);
        }
        let module = section
            .named_element("modules", "probe.modules{}", name, element)
            .and_then(|mut section| read_module(&mut section, venues, access));
        modules.extend(module.map(|module| (name.to_owned(), module)));
    }
    modules
}

fn read_module(section: &mut Section<'_, '_>, venues: &Venues, access: &mut AccessReader) -> Option<ProbeModule> {
    let venue = read_venue(section, venues);
    let endpoint = section.take("url", |raw| endpoints::parse(raw.text()?));
    let instruments = read_instruments(section, venue.as_ref());
    let feed = Feed::of(read_channels(section, venue.as_ref()));
    let timeout = section.take("timeout_ms", |raw| raw.millis_within(TIMES));
    let frames = section.take("frames", |raw| raw.whole(1..=1000));
    let endpoint = endpoint.or_else(|| Endpoint::parse(venue.as_ref()?.default_url()).ok());
    let mut access = access.of_stream(
        section,
        venue.as_deref(),
        endpoint.as_ref().is_none_or(Endpoint::is_tls),
    );
    venues.add_headers(section, venue.as_ref(), &mut access);
    let venue = venue?;
    let most = venue.limits().instruments_per_connection(feed.channels.len());
    if instruments.len() > most {
        let problem = format!(
            "{} are too many: a probe is one connection, and this venue carries {most} on one",
            instruments.len()
        );
        section.wrong("instruments", problem);
    }
    if let Some(description) = venue.description()
        && let Err(wrong) = description.check_requests_of(instruments.len(), feed.channels.len())
    {
        section.wrong("channels", wrong);
    }
    Some(ProbeModule {
        venue,
        endpoint: endpoint?,
        instruments,
        feed,
        timeout: timeout.unwrap_or(TIMEOUT),
        frames: frames.unwrap_or(FRAMES),
        access,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::EventKind;
    use crate::stream::UpgradeHeaders;
    use crate::venue::generic::{Description, EventRule, GenericVenue};
    use std::sync::Arc;

    #[test]
    fn a_venue_whose_address_is_none_is_not_said_to_be_unknown() {
        let mut description = Description::new("ticks", "ticks.example");
        description.events = vec![EventRule::new(EventKind::Trade)];
        let described = VenueConfig {
            venue: Arc::new(GenericVenue::new(description).unwrap()),
            headers: UpgradeHeaders::default(),
        };
        let told = |name| {
            let module = ProbeModule::bare(name, std::slice::from_ref(&described), AccessConfig::default());
            module.unwrap_err().to_string()
        };
        assert_eq!(
            told("ticks"),
            "the address of ticks does not begin with ws:// or wss://; an address is ws:// or wss://, a host, and maybe a port, a path and \
             a query"
        );
        assert!(told("tacks").starts_with("no venue is called \"tacks\"; there are: "));
    }
}
