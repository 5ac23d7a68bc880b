//! `feedwatch probe`: one look at a venue from the command line.
//!
//! ```
//! use feedwatch::app::probe::ProbeWish;
//! use std::time::Duration;
//!
//! let wish = ProbeWish {
//!     venue: Some("krakn".into()),
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

use super::trust::Trusts;
use crate::config::{Config, StreamConfig};
use crate::market::Instrument;
use crate::probe::{Probe, ProbeReport};
use crate::stream::{Access, Endpoint, TcpDialler, TcpOptions, TlsTrust};
use crate::venue::{self, Feed, Venue};
use std::borrow::Cow;
use std::time::Duration;
use tokio::sync::watch;
use tokio_rustls::rustls;

/// What the command line asks for.
pub struct ProbeWish {
    /// A venue's name; `None` where the stream says it.
    pub venue: Option<String>,
    /// A configuration and the name of one of its streams, whose address, instruments and credentials are used.
    pub stream: Option<(Config, String)>,
    /// Another address.
    pub url: Option<String>,
    /// Instruments, in place of those of the stream.
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
    probe: Probe,
    tcp: TcpOptions,
}

/// Why a probe cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is no such venue.
    #[error("no venue is called {0:?}; there are: {1}")]
    Venue(String, String),
    /// There is no such stream.
    #[error("no stream is called {0:?}; there are: {1}")]
    Stream(String, String),
    /// The address is none.
    #[error("--url {0}; an address is {form}", form = Endpoint::FORM)]
    Url(#[from] crate::stream::InvalidEndpoint),
    /// There cannot be such an instrument.
    #[error("--instrument {0:?} is impossible; {1}")]
    Instrument(String, String),
    /// What the stream watches is looked up while it runs, and not here.
    #[error("stream {0:?} watches names, which a probe does not look up; name an --instrument")]
    Watch(String),
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
        let found = self.stream.as_ref().map(|(config, name)| stream(config, name));
        let (stream, transport) = match (found.transpose()?, &self.stream) {
            (Some(stream), Some((config, _))) => (Some(stream), Some(&config.transport)),
            _ => (None, None),
        };
        let venue = match (stream, self.venue) {
            (Some(stream), _) => stream.venue.clone(),
            (None, name) => {
                let name = name.unwrap_or_default();
                let known: Vec<_> = venue::ALL.iter().map(|venue| venue.name()).collect();
                venue::find(&name).ok_or_else(|| ProbeError::Venue(name, known.join(", ")))?
            }
        };
        let endpoint = match (self.url, stream) {
            (Some(url), _) => Endpoint::parse(&url)?,
            (None, Some(stream)) => stream.endpoint.clone(),
            (None, None) => Endpoint::parse(venue.default_url())?,
        };
        for id in &self.instruments {
            let impossible = |told: Cow<'_, str>| ProbeError::Instrument(id.clone(), told.into_owned());
            venue.check_instrument(id).map_err(impossible)?;
        }
        let mut instruments: Vec<_> = self.instruments.iter().map(|id| Instrument::new(id)).collect();
        if let Some(stream) = stream.filter(|_| instruments.is_empty()) {
            // As many as one of its connections carries.
            let carried = stream.instruments.iter().take(stream.instruments_per_connection);
            instruments.extend(carried.cloned());
        }
        if let Some(stream) = stream.filter(|stream| instruments.is_empty() && stream.watch.is_some()) {
            return Err(ProbeError::Watch(stream.name.as_str().to_owned()));
        }
        let feed = match stream.filter(|_| self.channels.is_empty()) {
            Some(stream) => stream.feed.clone(),
            None => feed(&*venue, self.channels)?,
        };
        let access = match stream {
            Some(stream) => access(stream, &endpoint)?,
            None => Access::new(trust(&endpoint)?),
        };
        let options = stream.zip(transport).map(|(stream, of)| stream.transport_options(of));
        Ok(ReadyProbe {
            tcp: transport.map(|transport| transport.tcp.clone()).unwrap_or_default(),
            probe: Probe {
                venue,
                endpoint,
                instruments,
                feed,
                access,
                gate: None,
                time: self.time,
                frames: self.frames,
                transport: options.unwrap_or_default(),
            },
        })
    }
}

impl ReadyProbe {
    /// Makes the probe.
    pub async fn run(self) -> ProbeReport {
        let tcp = watch::channel(self.tcp).1;
        Box::pin(self.probe.run(TcpDialler::default().with_options(tcp))).await
    }
}

fn stream<'c>(config: &'c Config, name: &str) -> Result<&'c StreamConfig, ProbeError> {
    let found = config.streams.iter().find(|stream| stream.name.as_str() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = config.streams.iter().map(|stream| stream.name.as_str()).collect();
        ProbeError::Stream(name.to_owned(), names.join(", "))
    })
}

fn feed(venue: &dyn Venue, channels: Vec<String>) -> Result<Feed, ProbeError> {
    for channel in &channels {
        let impossible = |told: Cow<'_, str>| ProbeError::Channel(channel.clone(), told.into_owned());
        venue.check_channel(channel).map_err(impossible)?;
    }
    Ok(Feed::of(channels))
}

/// What the stream brings along. Its own address may be without TLS where the other one is not.
fn access(stream: &StreamConfig, endpoint: &Endpoint) -> Result<Access, rustls::Error> {
    let access = Trusts::new()?.for_streams(std::slice::from_ref(stream))?.access(stream);
    if endpoint.is_tls() && !stream.uses_tls() {
        let trust = trust(endpoint)?;
        return Ok(Access { trust, ..access });
    }
    Ok(access)
}

fn trust(endpoint: &Endpoint) -> Result<TlsTrust, rustls::Error> {
    if endpoint.is_tls() {
        TlsTrust::system()
    } else {
        TlsTrust::only([])
    }
}
