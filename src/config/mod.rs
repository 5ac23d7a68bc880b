//! The configuration: a TOML file and the environment in, a valid [`Config`] out, or everything that is wrong with it.
//!
//! serde stops at the first error, so the spanned table is walked by hand: a syntax error is told alone, all others
//! together, each with file, line, column, the key's full path and what would be valid. [`KEYS`] is the one list of keys,
//! and [`VENUE_KEYS`] that of the venues that are described.
//! A variable `FEEDWATCH__SECTION__KEY` replaces the key's value in the file; what a stream sets for itself still wins.
//!
//! ```
//! use feedwatch::config::Config;
//! use std::time::Duration;
//!
//! let text = r#"
//! [reconnection]
//! max_delay_ms = 30000
//!
//! [[streams]]
//! name = "elections"
//! venue = "polymarket"
//! instruments = ["21740938561527409836651284930175562839410772635481900427365518203946672510843"]
//! "#;
//! let variables = [("FEEDWATCH__EXPORTER__LISTEN", "127.0.0.1:0")];
//! let config = Config::parse("feeds.toml", text, variables).unwrap();
//! assert_eq!(config.streams[0].policy.max_delay, Duration::from_secs(30));
//! assert_eq!(config.exporter.listen.port(), 0);
//! ```
//!
//! Keys may be added in a minor release, and with them fields: a configuration is read, and not made by hand.

mod access;
mod addresses;
mod difference;
mod endpoints;
mod environment;
mod error;
mod keys;
mod names;
mod probe;
mod reconnection;
mod secrets;
mod section;
mod service;
mod streams;
mod telemetry;
mod value;
mod venues;

pub use access::{AccessConfig, TlsConfig};
pub use difference::{Change, Difference, Fate, NeedsRestart};
pub use error::{ConfigError, ConfigErrors};
pub use keys::{KEYS, KeyDoc, VENUE_KEYS};
pub use names::{NamesConfig, WatchConfig};
pub use probe::{NoBareModule, ProbeConfig, ProbeModule};
pub use service::{DialConfig, ExporterConfig, LogConfig, LogFormat, MetricsConfig, TransportConfig};
pub use streams::StreamConfig;
pub use telemetry::{TracesConfig, TracesEndpoint, TracesProtocol};
pub(crate) use venues::all as venues;
pub use venues::{UnknownVenue, VenueConfig, find_venue};

use crate::metrics::catalogue;
use access::AccessReader;
use environment::Environment;
use error::{Place, Problems, position};
use reconnection::Reconnection;
use section::Section;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use std::time::Duration;
use toml::de::DeTable;
use venues::Venues;

/// No file is larger.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Five times what the deepest nesting that the parser lets through needs.
const PARSER_STACK_BYTES: usize = 32 * 1024 * 1024;

/// A valid configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `[exporter]`.
    pub exporter: ExporterConfig,
    /// `[transport]`.
    pub transport: TransportConfig,
    /// `[dial]`.
    pub dial: DialConfig,
    /// `[names]`.
    pub names: NamesConfig,
    /// `[telemetry]`; `None` = no traces.
    pub traces: Option<TracesConfig>,
    /// `[log]`.
    pub log: LogConfig,
    /// `[metrics]`.
    pub metrics: MetricsConfig,
    /// `[probe]`.
    pub probe: ProbeConfig,
    /// `[reload] watch_interval_ms`: how often the file is looked at, to follow its changes; `None` = never.
    pub watch_interval: Option<Duration>,
    /// `[shutdown] grace_ms`: how long a shutdown may take.
    pub shutdown_grace: Duration,
    /// `[[venues]]`, in the order of the file: those that are described, beside those that are built in.
    pub venues: Vec<VenueConfig>,
    /// `[tls]` and `[proxy]`: how whoever says nothing else gets to a venue.
    pub access: AccessConfig,
    /// `[[streams]]`, in the order of the file; at least one.
    pub streams: Vec<StreamConfig>,
    /// Tells one configuration from another, the same on every machine: of the file's text and what overrides it. 48 bits, so
    /// that a gauge holds it exactly.
    pub hash: u64,
}

impl Config {
    /// Reads the file. `environment` holds the variables, as [`std::env::vars_os`] gives them.
    pub fn load<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        path: &Path,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigErrors> {
        let text = Self::read_text(path)?;
        Self::parse(&path.display().to_string(), &text, environment)
    }

    /// The text of the file. Of a pipe it is what is written to it until its end.
    pub fn read_text(path: &Path) -> Result<String, ConfigErrors> {
        read_file(path, File::open(path))
    }

    /// The text of the file, once more. A pipe has no more to say, and is refused.
    pub(crate) fn read_text_again(path: &Path) -> Result<String, ConfigErrors> {
        read_file(path, open_again(path))
    }

    /// Reads the text of a file that messages call `file`.
    pub fn parse<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        file: &str,
        text: &str,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigErrors> {
        let mut problems = Problems::default();
        let environment = Environment::read(environment, &mut problems);
        on_a_deep_stack(|| Self::read(file, text, &environment, problems))
            .unwrap_or_else(|error| Err(ConfigErrors::of_file(file, format!("cannot be parsed: {error}"))))
    }

    /// The series that `/metrics` will have: each is a series of Prometheus' database.
    pub fn series(&self) -> usize {
        let venues: HashSet<_> = self.streams.iter().map(|stream| stream.venue.name()).collect();
        let parts = self.streams.iter().map(StreamConfig::further_series);
        catalogue::series(self.streams.len(), venues.len()) + parts.sum::<usize>()
    }

    fn read(file: &str, text: &str, environment: &Environment, mut problems: Problems) -> Result<Self, ConfigErrors> {
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let mut alone = Problems::default();
                let at = error.span().map_or(0, |span| span.start);
                let message = error.message().trim_end_matches(", expected nothing");
                alone.add(Place::File(at), "", format!("this is not TOML: {message}"));
                return Err(alone.into_errors(file, text));
            }
        };
        let mut root = Section::root(table.get_ref(), environment, &mut problems);
        let reconnection = Reconnection::read(root.section("reconnection"), &Reconnection::default());
        let metrics = MetricsConfig::read(&mut root.section("metrics"));
        let mut access = AccessReader::read(&mut root);
        let venues = Venues::read(&mut root);
        let config = Self {
            exporter: ExporterConfig::read(&mut root.section("exporter")),
            transport: TransportConfig::read(&mut root.section("transport")),
            dial: DialConfig::read(&mut root.section("dial")),
            names: NamesConfig::read(&mut root.section("names")),
            traces: TracesConfig::read(&mut root.section("telemetry")),
            log: LogConfig::read(&mut root.section("log")),
            watch_interval: service::watch_interval(&mut root.section("reload")),
            shutdown_grace: root
                .section("shutdown")
                .take("grace_ms", |raw| raw.millis(0))
                .unwrap_or(Duration::from_secs(5)),
            probe: ProbeConfig::read(&mut root.section("probe"), &venues, &mut access),
            streams: streams::read(&mut root, &reconnection, &venues, &mut access, metrics.max_streams),
            venues: venues.into_configs(),
            access: access.into_general(),
            metrics,
            hash: hash(text, environment),
        };
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems.into_errors(file, text))
        }
    }
}

/// Runs `work` on a thread of its own. The TOML parser bounds brackets and dotted keys at 80 levels each but not their
/// product, and drops what it has built by recursion: 6,400 levels overflow the stack of a runtime's worker.
fn on_a_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .stack_size(PARSER_STACK_BYTES)
            .spawn_scoped(scope, work)?;
        Ok(worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Opens what can be read more than once. Who opens a pipe waits for its writer, perhaps for ever.
fn open_again(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?;
    // Reading tells of a folder what it is.
    if kind.is_file() || kind.is_dir() {
        File::open(path)
    } else {
        Err(io::Error::other(
            "is a pipe, a socket or a device; must be a file, which can be read again",
        ))
    }
}

/// The text of a file that was opened.
fn read_file(path: &Path, opened: io::Result<File>) -> Result<String, ConfigErrors> {
    let file = path.display().to_string();
    let cannot = |error| ConfigErrors::of_file(&file, format!("cannot be read: {error}"));
    let mut bytes = Vec::new();
    let opened = opened.map_err(cannot)?;
    // One byte more than allowed tells a file that is too large, without reading all of it.
    opened
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let problem = format!("is larger than {MAX_FILE_BYTES} bytes (4 MiB)");
        return Err(ConfigErrors::of_file(&file, problem));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = format!(
            "{file}:{}",
            position(error.as_bytes(), error.utf8_error().valid_up_to())
        );
        ConfigErrors::of_file(&place, "is not UTF-8 from here on; save the file as UTF-8")
    })
}

/// FNV-1a of the text and of what overrides it, folded to 48 bits.
fn hash(text: &str, environment: &Environment) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |part: &str| {
        // 0xFF is in no UTF-8 text: no two lists of parts give the same bytes.
        for byte in part.bytes().chain([0xFF]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    add(text);
    for found in environment.overrides() {
        add(&found.name);
        // Anybody who sees the hash could guess at so short a secret, and be told whether it is right.
        if found.name != access::PASSWORD_VARIABLE {
            add(&found.value);
        }
    }
    (hash >> 48) ^ (hash & 0xFFFF_FFFF_FFFF)
}
