//! The sections that concern the service as a whole: `[exporter]`, `[transport]`, `[dial]`, `[log]`, `[metrics]`.

use super::error::quoted;
use super::section::Section;
use super::value::{Raw, Wrong};
use crate::stream::{TcpOptions, TransportOptions};
use crate::supervise::DialLimit;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;
use tracing::Level;

const MIB: usize = 1024 * 1024;
/// Shorter ones flood a host with attempts, longer ones help nobody (RFC 8305, sections 5 and 8).
const HEAD_STARTS: RangeInclusive<u64> = 10..=2000;
/// Kernels count in whole seconds, in 15 bits.
const KEEPALIVES: RangeInclusive<u64> = 1000..=32_767_000;
/// Shorter than the retransmissions on a bad line would end connections that are well.
const USER_TIMEOUTS: RangeInclusive<u64> = 1000..=86_400_000;

/// What is served over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterConfig {
    /// Where.
    pub listen: SocketAddr,
    /// Scrapes answered at once.
    pub max_concurrent_scrapes: usize,
    /// Open connections.
    pub max_connections: usize,
}

/// What holds for every connection to a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportConfig {
    /// Of several addresses of a host, each has so much of a head start over the next.
    pub connect_attempt_delay: Duration,
    /// What the kernel watches over.
    pub tcp: TcpOptions,
    /// The time limit of sending a frame.
    pub send_timeout: Duration,
    /// The time limit of the closing handshake.
    pub close_timeout: Duration,
    /// The largest message that is accepted, in bytes.
    pub max_message_bytes: usize,
    /// The read buffer of a connection, in bytes.
    pub read_buffer_bytes: usize,
}

/// How fast the streams of a host dial, all together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DialConfig {
    /// Dials a second; `None` = as the venue allows.
    pub per_second: Option<f64>,
    /// So many at once; `None` = as the venue allows, and no more than `per_second`.
    pub burst: Option<u32>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogConfig {
    /// Less important lines are left out.
    pub level: Level,
    /// What a line looks like.
    pub format: LogFormat,
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For eyes.
    Human,
    /// One JSON object a line.
    Json,
}

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsConfig {
    /// More streams than this are refused.
    pub max_streams: usize,
}

/// How often the file is looked at. More often than ten times a second serves nobody.
pub(super) fn watch_interval(section: &mut Section<'_, '_>) -> Option<Duration> {
    section
        .take("watch_interval_ms", |raw| raw.millis_or_never(100))
        .flatten()
}

impl ExporterConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let address = |raw: Raw<'_>| {
            let text = raw.text()?;
            text.parse().map_err(|_| {
                let shown = quoted(text);
                format!(r#"must be an IP address and a port, as in "127.0.0.1:9885" or "[::1]:9885", not {shown}"#)
            })
        };
        Self {
            listen: section
                .take("listen", address)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9885))),
            max_concurrent_scrapes: section
                .take("max_concurrent_scrapes", |raw| raw.whole(1..=1000))
                .unwrap_or(4),
            max_connections: section
                .take("max_connections", |raw| raw.whole(1..=65_535))
                .unwrap_or(256),
        }
    }
}

impl TransportConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let defaults = TransportOptions::default();
        Self {
            connect_attempt_delay: section
                .take("connect_attempt_delay_ms", |raw| raw.millis_within(HEAD_STARTS))
                .unwrap_or(defaults.connect_attempt_delay),
            tcp: read_tcp(section),
            send_timeout: section
                .take("send_timeout_ms", |raw| raw.millis(1))
                .unwrap_or(defaults.send_timeout),
            close_timeout: section
                .take("close_timeout_ms", |raw| raw.millis(1))
                .unwrap_or(defaults.close_timeout),
            max_message_bytes: section
                .take("max_message_bytes", |raw| raw.bytes(1024..=256 * MIB as u64))
                .unwrap_or(defaults.max_message_bytes),
            read_buffer_bytes: section
                .take("read_buffer_bytes", |raw| raw.bytes(4096..=MIB as u64))
                .unwrap_or(defaults.read_buffer_bytes),
        }
    }
}

fn read_tcp(section: &mut Section<'_, '_>) -> TcpOptions {
    let TcpOptions {
        keepalive,
        user_timeout,
    } = TcpOptions::default();
    TcpOptions {
        keepalive: section
            .take("tcp_keepalive_ms", |raw| raw.millis_within_or_never(KEEPALIVES))
            .unwrap_or(keepalive),
        user_timeout: section
            .take("tcp_user_timeout_ms", |raw| raw.millis_within_or_never(USER_TIMEOUTS))
            .unwrap_or(user_timeout),
    }
}

impl DialConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            per_second: section.take("per_second", rate),
            burst: section.take("burst", burst),
        }
    }
}

/// So much a second.
pub(super) fn rate(raw: Raw<'_>) -> Result<f64, Wrong> {
    let (least, most) = (DialLimit::RATES.start(), DialLimit::RATES.end());
    let number = raw.number()?;
    let fits = DialLimit::RATES.contains(&number);
    fits.then_some(number)
        .ok_or_else(|| format!("must be a number from {least} to {most}, not {number}"))
}

/// So much at once.
pub(super) fn burst(raw: Raw<'_>) -> Result<u32, Wrong> {
    let (least, most) = (*DialLimit::BURSTS.start(), *DialLimit::BURSTS.end());
    raw.whole(least.into()..=most.into())
}

impl LogConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        const LEVELS: &[(&str, Level)] = &[
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ];
        const FORMATS: &[(&str, LogFormat)] = &[("human", LogFormat::Human), ("json", LogFormat::Json)];
        Self {
            level: section.take("level", |raw| raw.choice(LEVELS)).unwrap_or(Level::INFO),
            format: section
                .take("format", |raw| raw.choice(FORMATS))
                .unwrap_or(LogFormat::Human),
        }
    }
}

impl MetricsConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            max_streams: section
                .take("max_streams", |raw| raw.whole(1..=100_000))
                .unwrap_or(2000),
        }
    }
}
