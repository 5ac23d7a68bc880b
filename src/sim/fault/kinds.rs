//! The kinds of faults that come in groups. Each has its name in the log.

use super::millis;
use serde::Deserialize;
use std::time::Duration;

/// What goes wrong in a TLS handshake. Of the three with a bad certificate, only a client that looks at it takes notice: any other
/// meets a venue that behaves well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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

impl TlsFault {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Expired => "tls_expired",
            Self::WrongHost => "tls_wrong_host",
            Self::UnknownAuthority => "tls_unknown_authority",
            Self::OldVersion => "tls_old_version",
            Self::Garbage => "tls_garbage",
            Self::Hang => "tls_hang",
            Self::Cut => "tls_cut",
        }
    }
}

/// A form of `Retry-After`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
#[non_exhaustive]
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

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Slow { .. } => "upgrade_slow",
            Self::WrongAccept => "upgrade_wrong_accept",
            Self::NoAccept => "upgrade_no_accept",
            Self::Headers { .. } => "upgrade_headers",
            Self::Extension => "upgrade_extension",
            Self::Cut => "upgrade_cut",
        }
    }
}

/// What the protocol does not allow (RFC 6455, sections 5.1, 5.2, 5.5 and 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BadFrame {
    /// A text that is not UTF-8.
    InvalidUtf8,
    /// A reserved bit, which belongs to no extension.
    ReservedBit,
    /// A mask, which is for clients only.
    Masked,
    /// An opcode that means nothing.
    Opcode,
    /// A ping with a payload of 126 bytes.
    LongControl,
    /// A ping that is to be continued.
    FragmentedControl,
    /// A continuation of nothing.
    Continuation,
}

impl BadFrame {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "bad_frame_invalid_utf8",
            Self::ReservedBit => "bad_frame_reserved_bit",
            Self::Masked => "bad_frame_masked",
            Self::Opcode => "bad_frame_opcode",
            Self::LongControl => "bad_frame_long_control",
            Self::FragmentedControl => "bad_frame_fragmented_control",
            Self::Continuation => "bad_frame_continuation",
        }
    }
}

/// What is strange about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OddText {
    /// It is no JSON.
    NotJson,
    /// It is an event of another venue.
    OtherSchema,
    /// It is an event of a kind that the venue has not.
    UnknownChannel,
    /// It is JSON of 10,000 levels.
    DeepNesting,
    /// It is a trade that takes place in an hour.
    Future,
    /// It is a trade of January 1970.
    LongAgo,
    /// It is a trade at a time that is none, another one from text to text.
    AbsurdTime,
}

impl OddText {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "odd_text_not_json",
            Self::OtherSchema => "odd_text_other_schema",
            Self::UnknownChannel => "odd_text_unknown_channel",
            Self::DeepNesting => "odd_text_deep_nesting",
            Self::Future => "odd_text_future",
            Self::LongAgo => "odd_text_long_ago",
            Self::AbsurdTime => "odd_text_absurd_time",
        }
    }
}

/// Frames that carry nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flood {
    /// Pings, each of which is to be answered.
    Pings,
    /// Texts of no bytes.
    EmptyTexts,
}

impl Flood {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pings => "flood_pings",
            Self::EmptyTexts => "flood_empty_texts",
        }
    }
}

const fn a_second() -> Duration {
    Duration::from_secs(1)
}

const fn headers_bytes() -> usize {
    64 * 1024
}
