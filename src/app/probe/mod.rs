//! `feedwatch probe`: one look at a venue from the command line.
//!
//! ```
//! use feedwatch::app::probe::ProbeWish;
//! use std::time::Duration;
//!
//! let wish = ProbeWish {
//!     venue: Some("krakn".into()),
//!     config: None,
//!     stream: None,
//!     url: None,
//!     instruments: vec!["BTC/USD".into()],
//!     channels: Vec::new(),
//!     time: Duration::from_secs(10),
//!     frames: 1,
//! };
//! let told = wish.ready().err().unwrap().to_string();
//! assert!(told.contains("krakn"), "{told}");
//! ```

mod human;
mod json;

pub use human::human;
pub use json::json;

use super::names::SingleLookUp;
use super::probes::options;
use super::trust::Trusts;
use crate::config::{AccessConfig, Config, NoBareModule, ProbeModule, StreamConfig};
use crate::market::Instrument;
use crate::probe::{Probe, ProbeReport};
use crate::stream::{Endpoint, TcpDialler};
use crate::venue::{Feed, Venue};
use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio_rustls::rustls;

/// What the command line asks for.
pub struct ProbeWish {
    /// A venue's name: of one that is built in, or that the configuration describes. `None` where the stream says it.
    pub venue: Option<String>,
    /// Its venues are known, and it says how a venue is reached.
    pub config: Option<Config>,
    /// The name of one of its streams, whose address, instruments, names and credentials are used.
    pub stream: Option<String>,
    /// Another address.
    pub url: Option<String>,
    /// Instruments, in place of those of the stream and of its names.
    pub instruments: Vec<String>,
    /// Channels, in place of those of the stream.
    pub channels: Vec<String>,
    /// The longest that all of it takes.
    pub time: Duration,
    /// It ends earlier, with so many frames of data.
    pub frames: u64,
}

/// A probe that can be made.
pub struct ReadyProbe {
    /// What the stream's names stand for is added to its instruments.
    probe: Probe,
    names: Option<SingleLookUp>,
    /// So many instruments at most.
    carries: usize,
    dialler: TcpDialler,
}

/// Why a probe cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is no such venue, or it has no address.
    #[error(transparent)]
    Venue(#[from] NoBareModule),
    /// There is no such stream.
    #[error("no stream is called {0:?}; there are: {1}")]
    Stream(String, String),
    /// The address is none.
    #[error("--url {0}; an address is {form}", form = Endpoint::FORM)]
    Url(#[from] crate::stream::InvalidEndpoint),
    /// There cannot be such an instrument.
    #[error("--instrument {0:?} is impossible; {1}")]
    Instrument(String, String),
    /// There cannot be such a channel.
    #[error("--channel {0:?} is impossible; {1}")]
    Channel(String, String),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl ProbeWish {
    /// The probe that is wished for. Nothing is dialled yet.
    pub fn ready(self) -> Result<ReadyProbe, ProbeError> {
        let config = self.config.as_ref();
        let stream = config.zip(self.stream.as_deref());
        let stream = stream.map(|(config, name)| stream_of(config, name)).transpose()?;
        let mut module = match stream {
            Some(stream) => as_it_is(stream, (self.time, self.frames)),
            None => bare(self.venue.as_deref().unwrap_or_default(), config)?,
        };
        if let Some(url) = &self.url {
            module.endpoint = Endpoint::parse(url)?;
        }
        for id in &self.instruments {
            let impossible = |told: Cow<'_, str>| ProbeError::Instrument(id.clone(), told.into_owned());
            module.venue.check_instrument(id).map_err(impossible)?;
        }
        // What a stream watches belongs to what it lists.
        let watching = stream.filter(|_| self.instruments.is_empty());
        if !self.instruments.is_empty() {
            module.instruments = self.instruments.iter().map(|id| Instrument::new(id)).collect();
        }
        if !self.channels.is_empty() {
            module.feed = feed(&*module.venue, self.channels)?;
        }
        let transport = config.map(|config| &config.transport);
        let tcp = transport.map(|transport| transport.tcp.clone()).unwrap_or_default();
        let dialler = TcpDialler::default().with_options(watch::channel(tcp).1);
        let mut trusts = Trusts::new()?;
        let names = match (config, watching) {
            (Some(config), Some(stream)) => {
                let uses_tls = stream
                    .watch
                    .as_ref()
                    .is_some_and(|watch| watch.rest.endpoint().is_tls());
                let way = (trusts.access_of(&module.access, uses_tls)?, dialler.clone());
                SingleLookUp::of(stream, (&config.names, &config.transport), way)
            }
            _ => None,
        };
        Ok(ReadyProbe {
            names,
            carries: watching.map_or(usize::MAX, |stream| stream.instruments_per_connection),
            dialler,
            probe: Probe {
                access: trusts.access_of(&module.access, module.endpoint.is_tls())?,
                venue: module.venue,
                endpoint: module.endpoint,
                instruments: module.instruments,
                feed: module.feed,
                gate: None,
                time: self.time,
                frames: self.frames,
                transport: match (stream, transport) {
                    (Some(stream), Some(transport)) => stream.transport_options(transport),
                    (_, transport) => transport.map(options).unwrap_or_default(),
                },
            },
        })
    }
}

impl ReadyProbe {
    /// Makes the probe.
    pub async fn run(self) -> ProbeReport {
        let Self {
            mut probe,
            names,
            carries,
            dialler,
        } = self;
        let Some(names) = names else {
            probe.instruments.truncate(carries);
            return Box::pin(probe.run(dialler)).await;
        };
        let (found, look_up) = Box::pin(names.run(probe.time)).await;
        let mut seen: HashSet<_> = probe.instruments.iter().cloned().collect();
        let more = found.into_iter().filter(|instrument| seen.insert(instrument.clone()));
        probe.instruments.extend(more);
        probe.instruments.truncate(carries);
        // The look-up takes of the time that there is.
        probe.time = probe.time.saturating_sub(look_up.took);
        let report = if probe.instruments.is_empty() || probe.time.is_zero() {
            probe.unresolved()
        } else {
            Box::pin(probe.run(dialler)).await
        };
        report.after(look_up)
    }
}

fn stream_of<'c>(config: &'c Config, name: &str) -> Result<&'c StreamConfig, ProbeError> {
    let found = config.streams.iter().find(|stream| stream.name.as_str() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = config.streams.iter().map(|stream| stream.name.as_str()).collect();
        ProbeError::Stream(name.to_owned(), names.join(", "))
    })
}

/// A look at what a stream connects to.
fn as_it_is(stream: &StreamConfig, (timeout, frames): (Duration, u64)) -> ProbeModule {
    ProbeModule {
        venue: stream.venue.clone(),
        endpoint: stream.endpoint.clone(),
        instruments: stream.instruments.clone(),
        feed: stream.feed.clone(),
        access: stream.access.clone(),
        timeout,
        frames,
    }
}

/// A look at a venue by its name, as the configuration says where there is one.
fn bare(venue: &str, config: Option<&Config>) -> Result<ProbeModule, NoBareModule> {
    match config {
        Some(config) => ProbeModule::bare(venue, &config.venues, config.access.clone()),
        None => ProbeModule::bare(venue, &[], AccessConfig::default()),
    }
}

fn feed(venue: &dyn Venue, channels: Vec<String>) -> Result<Feed, ProbeError> {
    for channel in &channels {
        let impossible = |told: Cow<'_, str>| ProbeError::Channel(channel.clone(), told.into_owned());
        venue.check_channel(channel).map_err(impossible)?;
    }
    Ok(Feed::of(channels))
}
