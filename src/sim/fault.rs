//! What a connection can meet.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

const A_YEAR: u64 = 365 * 24 * 3600;

/// What a connection meets. `after` counts from the answered subscription; in a script it is `after_ms`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Nothing: the venue behaves well, whatever later rules say.
    None,
    /// The port is closed for the rule's time window, which it must have; it cannot be for certain connections only, and it
    /// comes before every other rule. Dials that the kernel refuses are not seen, so they are not in the log.
    Refuse,
    /// The TLS handshake goes wrong. For a venue with TLS only.
    Tls(TlsFault),
    /// Accepts, and never answers the upgrade.
    Hang,
    /// Answers the upgrade with an HTTP status.
    Status {
        /// 200 to 599.
        code: u16,
        /// Further headers. `Content-Length` is added where it is not among them.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// Answers the upgrade with an HTTP status, and says when to come again.
    RetryAfter {
        /// 200 to 599.
        code: u16,
        /// How long to wait: at most a year.
        seconds: u64,
        /// How it says so.
        #[serde(default)]
        form: RetryForm,
    },
    /// The upgrade is answered with 101, and not as it must be.
    Upgrade(UpgradeFault),
    /// Sends a close frame.
    Close {
        /// Its code, legal or not; `None` = a close frame without one.
        #[serde(default)]
        code: Option<u16>,
        /// Its reason: at most 123 bytes; empty where there is no code.
        #[serde(default)]
        reason: String,
        /// When.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Resets the TCP connection. It is quiet for 200 ms before, so that the client has read what was sent.
    Reset {
        /// When it falls quiet.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Ends the TCP connection without a close frame.
    Cut {
        /// When.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Sends no more data, for good; still answers.
    Silence {
        /// When it begins.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// As [`Fault::Silence`], and sends a text `PONG` once a second.
    HeartbeatsOnly {
        /// When it begins.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Neither reads nor writes any more; the socket stays open.
    Mute {
        /// When it begins.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Upgrades, and never answers the subscription; still answers pings.
    NoAnswer,
    /// Answers the subscription with the text `INVALID OPERATION`.
    RejectSubscription,
    /// Closes with code 1000 a second after the subscription was answered.
    Flap,
}

/// What goes wrong in a TLS handshake. Of the three with a bad certificate, only a client that looks at it takes notice: any other
/// meets a venue that behaves well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsFault {
    /// The certificate has expired.
    Expired,
    /// The certificate is for another host.
    WrongHost,
    /// The certificate is signed by an authority that nobody can know.
    UnknownAuthority,
    /// The venue knows nothing newer than TLS 1.1.
    OldVersion,
    /// The handshake is answered by something else.
    Garbage,
    /// The handshake is never answered.
    Hang,
    /// The TCP connection ends in the middle of the handshake.
    Cut,
}

/// A form of `Retry-After`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryForm {
    /// A number of seconds.
    #[default]
    Seconds,
    /// A date, counted from the answer's own `Date`.
    Date,
}

/// What is wrong with a 101. But for the slow one, which is right in the end, the venue does not speak WebSocket afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UpgradeFault {
    /// It comes a byte at a time.
    Slow {
        /// The time between two bytes; a second by default. In a script: `interval_ms`.
        #[serde(rename = "interval_ms", default = "a_second", deserialize_with = "millis")]
        interval: Duration,
    },
    /// `Sec-WebSocket-Accept` answers another key.
    WrongAccept,
    /// There is no `Sec-WebSocket-Accept`.
    NoAccept,
    /// There are far too many headers.
    Headers {
        /// Their size: 65,536 by default, and at most [`UpgradeFault::MAX_HEADERS`].
        #[serde(default = "headers_bytes")]
        bytes: usize,
    },
    /// It names an extension that nobody asked for.
    Extension,
    /// The TCP connection ends in the middle of it.
    Cut,
}

impl UpgradeFault {
    /// The most bytes of [`UpgradeFault::Headers`].
    pub const MAX_HEADERS: usize = 16 << 20;
}

impl Fault {
    /// The name in the log: that in scripts, or the group's and the kind's.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refuse => "refuse",
            Self::Tls(TlsFault::Expired) => "tls_expired",
            Self::Tls(TlsFault::WrongHost) => "tls_wrong_host",
            Self::Tls(TlsFault::UnknownAuthority) => "tls_unknown_authority",
            Self::Tls(TlsFault::OldVersion) => "tls_old_version",
            Self::Tls(TlsFault::Garbage) => "tls_garbage",
            Self::Tls(TlsFault::Hang) => "tls_hang",
            Self::Tls(TlsFault::Cut) => "tls_cut",
            Self::Hang => "hang",
            Self::Status { .. } => "status",
            Self::RetryAfter { .. } => "retry_after",
            Self::Upgrade(UpgradeFault::Slow { .. }) => "upgrade_slow",
            Self::Upgrade(UpgradeFault::WrongAccept) => "upgrade_wrong_accept",
            Self::Upgrade(UpgradeFault::NoAccept) => "upgrade_no_accept",
            Self::Upgrade(UpgradeFault::Headers { .. }) => "upgrade_headers",
            Self::Upgrade(UpgradeFault::Extension) => "upgrade_extension",
            Self::Upgrade(UpgradeFault::Cut) => "upgrade_cut",
            Self::Close { .. } => "close",
            Self::Reset { .. } => "reset",
            Self::Cut { .. } => "cut",
            Self::Silence { .. } => "silence",
            Self::HeartbeatsOnly { .. } => "heartbeats_only",
            Self::Mute { .. } => "mute",
            Self::NoAnswer => "no_answer",
            Self::RejectSubscription => "reject_subscription",
            Self::Flap => "flap",
        }
    }

    /// How long after the answered subscription it begins; `None` for those that come before.
    pub(super) const fn after(&self) -> Option<Duration> {
        match self {
            Self::Close { after, .. }
            | Self::Reset { after }
            | Self::Cut { after }
            | Self::Silence { after }
            | Self::HeartbeatsOnly { after }
            | Self::Mute { after } => Some(*after),
            Self::Flap => Some(Duration::from_secs(1)),
            Self::None
            | Self::Refuse
            | Self::Tls(_)
            | Self::Hang
            | Self::Status { .. }
            | Self::RetryAfter { .. }
            | Self::Upgrade(_)
            | Self::NoAnswer
            | Self::RejectSubscription => None,
        }
    }

    /// What makes no sense about it.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Status { code, headers, .. } => {
                code_problem("status", *code).or_else(|| headers.iter().find_map(header_problem))
            }
            Self::RetryAfter { code, seconds, .. } => {
                code_problem("retry_after", *code).or_else(|| out_of_range("retry_after.seconds", *seconds, 0..=A_YEAR))
            }
            Self::Upgrade(UpgradeFault::Headers { bytes }) => {
                out_of_range("upgrade.headers.bytes", *bytes, 1..=UpgradeFault::MAX_HEADERS)
            }
            Self::Close { code, reason, .. } => close_problem(*code, reason),
            _ => None,
        }
    }
}

fn code_problem(fault: &str, code: u16) -> Option<String> {
    let legal = (200..=599).contains(&code);
    (!legal).then(|| format!("fault.{fault}.code: must be from 200 to 599, not {code}"))
}

fn header_problem((name, value): (&String, &String)) -> Option<String> {
    let legal = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok();
    (!legal).then(|| format!("fault.status.headers: {name:?} = {value:?} is not an HTTP header"))
}

fn out_of_range<N: PartialOrd + Display + Copy>(key: &str, value: N, legal: RangeInclusive<N>) -> Option<String> {
    let (least, most) = (legal.start(), legal.end());
    (!legal.contains(&value)).then(|| format!("fault.{key}: must be from {least} to {most}, not {value}"))
}

fn close_problem(code: Option<u16>, reason: &str) -> Option<String> {
    match (code, reason.len()) {
        (_, 124..) => Some("fault.close.reason: must be at most 123 bytes".into()),
        (None, 1..) => Some("fault.close.reason: a close frame without a code has no reason".into()),
        _ => None,
    }
}

const fn a_second() -> Duration {
    Duration::from_secs(1)
}

const fn headers_bytes() -> usize {
    64 * 1024
}

pub(super) fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
