//! What a connection can meet.

mod kinds;

pub use kinds::{BadFrame, Flood, OddText, RetryForm, TlsFault, UpgradeFault};

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

const A_YEAR: u64 = 365 * 24 * 3600;
/// The most frames of one fault.
const MANY: u64 = 1_000_000;

/// What a connection meets. `after` counts from the answered subscription; in a script it is `after_ms`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
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
    /// As [`Fault::Reset`], with a frame of which only a part was sent.
    ResetInFrame {
        /// When it falls quiet.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// As [`Fault::Cut`], after a part of a frame.
    CutInFrame {
        /// When.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Sends a frame that the protocol does not allow, and waits until the client goes.
    BadFrame {
        /// What is wrong with it.
        kind: BadFrame,
        /// When.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Sends a frame that is too large for the client, and waits until the client goes. It is not counted: choose a size that
    /// the client does not read.
    TooBig {
        /// The size of its payload: 1 to 2^30; by default a byte more than 16 MiB.
        #[serde(default = "too_big_bytes")]
        bytes: u64,
        /// When.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Sends fragments of a message that never ends, and waits until the client goes. They are not counted.
    EndlessFragments {
        /// The size of each: at most 65,536, and as much by default.
        #[serde(default = "fragment_bytes")]
        bytes: usize,
        /// How many are sent at most: 1 to 2^20; by default 1,024.
        #[serde(default = "endless_fragments")]
        fragments: u64,
        /// When.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Sends one event in several fragments, which is allowed, and goes on.
    Fragments {
        /// How many: 2 to 1,000.
        fragments: usize,
        /// When.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Sends texts that are strange, and goes on.
    OddText {
        /// What is strange about them.
        kind: OddText,
        /// How many: 1 to 10^6; by default one.
        #[serde(default = "one")]
        frames: u64,
        /// When.
        #[serde(rename = "after_ms", deserialize_with = "millis")]
        after: Duration,
    },
    /// Sends frames that carry nothing, as fast as they are read, and goes on.
    Flood {
        /// Which.
        of: Flood,
        /// How many: 1 to 10^6; by default 10,000.
        #[serde(default = "flood_frames")]
        frames: u64,
        /// When.
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

impl Fault {
    /// The name in the log: that in scripts, or the group's and the kind's.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refuse => "refuse",
            Self::Tls(kind) => kind.name(),
            Self::Hang => "hang",
            Self::Status { .. } => "status",
            Self::RetryAfter { .. } => "retry_after",
            Self::Upgrade(kind) => kind.name(),
            Self::Close { .. } => "close",
            Self::Reset { .. } => "reset",
            Self::Cut { .. } => "cut",
            Self::ResetInFrame { .. } => "reset_in_frame",
            Self::CutInFrame { .. } => "cut_in_frame",
            Self::BadFrame { kind, .. } => kind.name(),
            Self::TooBig { .. } => "too_big",
            Self::EndlessFragments { .. } => "endless_fragments",
            Self::Fragments { .. } => "fragments",
            Self::OddText { kind, .. } => kind.name(),
            Self::Flood { of, .. } => of.name(),
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
            | Self::ResetInFrame { after }
            | Self::CutInFrame { after }
            | Self::BadFrame { after, .. }
            | Self::TooBig { after, .. }
            | Self::EndlessFragments { after, .. }
            | Self::Fragments { after, .. }
            | Self::OddText { after, .. }
            | Self::Flood { after, .. }
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
            Self::TooBig { bytes, .. } => out_of_range("too_big.bytes", *bytes, 1..=1 << 30),
            Self::EndlessFragments { bytes, fragments, .. } => {
                out_of_range("endless_fragments.bytes", *bytes, 0..=fragment_bytes())
                    .or_else(|| out_of_range("endless_fragments.fragments", *fragments, 1..=1 << 20))
            }
            Self::Fragments { fragments, .. } => out_of_range("fragments.fragments", *fragments, 2..=1000),
            Self::OddText { frames, .. } => out_of_range("odd_text.frames", *frames, 1..=MANY),
            Self::Flood { frames, .. } => out_of_range("flood.frames", *frames, 1..=MANY),
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

const fn one() -> u64 {
    1
}

const fn too_big_bytes() -> u64 {
    (16 << 20) + 1
}

const fn fragment_bytes() -> usize {
    64 * 1024
}

const fn endless_fragments() -> u64 {
    1024
}

const fn flood_frames() -> u64 {
    10_000
}

pub(super) fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
