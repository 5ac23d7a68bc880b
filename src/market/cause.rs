//! Why an attempt failed or a connection was lost: one closed enum, for labels, spans, logs and the API alike.

use super::words::words;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $variant:ident => $name:literal, $attempt:literal, $loss:literal;)*) => {
        /// Why an attempt failed or a connection was lost.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Cause {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Cause {
            /// Every cause, in the order of their [`Cause::index`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many causes there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in labels, logs and the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether an attempt to connect can fail for this.
            pub const fn fails_attempts(self) -> bool {
                match self { $(Self::$variant => $attempt,)* }
            }

            /// Whether a live connection can be lost for this.
            pub const fn ends_connections(self) -> bool {
                match self { $(Self::$variant => $loss,)* }
            }
        }
    };
}

causes! {
    //                                                        attempt, loss
    /// The name does not resolve.
    Dns => "dns", true, false;
    /// The resolver did not answer within the time limit of the dial.
    DnsTimeout => "dns_timeout", true, false;
    /// Nothing listens on the port.
    TcpRefused => "tcp_refused", true, false;
    /// No answer to the SYN, or retransmissions given up.
    TcpTimeout => "tcp_timeout", true, true;
    /// The peer reset the connection.
    TcpReset => "tcp_reset", true, true;
    /// No route to the host or its network.
    TcpUnreachable => "tcp_unreachable", true, false;
    /// The proxy did not open the way to the venue, or not within the time limit of the dial.
    Proxy => "proxy", true, false;
    /// The TLS handshake failed, other than for the certificate.
    Tls => "tls", true, false;
    /// The TLS handshake was not finished within the time limit of the dial.
    TlsTimeout => "tls_timeout", true, false;
    /// The venue's certificate is not valid for it, or the venue does not take this side's. Fatal.
    TlsCertificate => "tls_certificate", true, false;
    /// The upgrade was answered with an HTTP error status.
    HttpStatus => "http_status", true, false;
    /// 401 or 451, or 403 for the third time in a row. Fatal.
    Unauthorized => "unauthorized", true, false;
    /// 429 or 418.
    RateLimited => "rate_limited", true, false;
    /// The answer to the upgrade is not a WebSocket handshake.
    Upgrade => "upgrade", true, false;
    /// The upgrade was not answered within the time limit of the dial.
    UpgradeTimeout => "upgrade_timeout", true, false;
    /// The venue refused the subscription and said why.
    SubscribeRejected => "subscribe_rejected", true, false;
    /// The subscription was not answered in time, or before more came than may wait.
    SubscribeTimeout => "subscribe_timeout", true, false;
    /// The peer ended the connection without a close frame.
    Eof => "eof", true, true;
    /// The peer broke the WebSocket protocol (RFC 6455).
    Protocol => "protocol", true, true;
    /// A message larger than the limit, or of endless fragments.
    TooBig => "too_big", true, true;
    /// A text message, or the reason in a close frame, that is not UTF-8.
    InvalidUtf8 => "invalid_utf8", true, true;
    /// Close code 1000, or a close frame without a code.
    CloseNormal => "close_normal", true, true;
    /// Close code 1001.
    CloseGoingAway => "close_going_away", true, true;
    /// Close code 1008.
    ClosePolicy => "close_policy", true, true;
    /// Close code 1011.
    CloseServerError => "close_server_error", true, true;
    /// Close code 1012: at least five seconds pass before the next dial.
    CloseServiceRestart => "close_service_restart", true, true;
    /// Close code 1013: at least five seconds pass before the next dial.
    CloseTryAgain => "close_try_again", true, true;
    /// Any other close code.
    CloseOther => "close_other", true, true;
    /// A ping was sent and no frame of any kind came within the pong time-out.
    PongTimeout => "pong_timeout", true, true;
    /// A frame could not be sent in time: the peer stopped reading, or more requests wait than it takes.
    SendTimeout => "send_timeout", false, true;
    /// Live, and no data for `stale_after`, on a stream that reconnects when stale.
    Stale => "stale", false, true;
    /// Events are missing, and only another connection makes the data whole.
    SequenceGap => "sequence_gap", true, true;
    /// Ended by this side on purpose: nothing is left to subscribe to, or another connection has taken over.
    Planned => "planned", false, true;
    /// A reconnect was asked for.
    Forced => "forced", true, true;
    /// A reload of the configuration took the stream away, or to another place.
    Reload => "reload", true, true;
    /// This side is shutting down.
    Shutdown => "shutdown", true, true;
    /// This process is out of file descriptors or memory for sockets.
    ResourceLimit => "resource_limit", true, true;
    /// Anything that does not happen by the protocol: a defect.
    Internal => "internal", true, true;
}

impl Cause {
    /// The position in [`Cause::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Redialling cannot heal it, so the breaker trips at once.
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::Unauthorized | Self::TlsCertificate)
    }

    /// This side did it on purpose.
    pub const fn is_on_purpose(self) -> bool {
        matches!(self, Self::Planned | Self::Forced | Self::Reload | Self::Shutdown)
    }

    /// Whether it counts as a failure of the venue. What this side did on purpose or ran out of does not.
    pub const fn is_failure(self) -> bool {
        !self.is_on_purpose() && !matches!(self, Self::ResourceLimit)
    }

    /// Whether it begins an outage. What this side ends because nothing is wanted any more does not; a reconnect that was
    /// asked for does, since it is a gap in the data.
    pub const fn is_outage(self) -> bool {
        !matches!(self, Self::Planned | Self::Reload | Self::Shutdown)
    }

    /// The least time before the next dial: a venue that says "restarting" or "try again later" is left alone for a while.
    pub const fn least_delay(self) -> Duration {
        match self {
            Self::CloseServiceRestart | Self::CloseTryAgain => Duration::from_secs(5),
            _ => Duration::ZERO,
        }
    }

    /// The cause for which an attempt fails when a stream reports this one while it connects.
    #[must_use]
    pub const fn of_attempt(self) -> Self {
        match self {
            Self::Planned => Self::Forced,
            Self::SendTimeout => Self::SubscribeTimeout,
            cause if cause.fails_attempts() => cause,
            _ => Self::Internal,
        }
    }

    /// The cause for which a connection is lost when a stream reports this one while it is live.
    #[must_use]
    pub const fn of_loss(self) -> Self {
        match self {
            Self::TcpUnreachable => Self::TcpTimeout,
            Self::Tls | Self::TlsCertificate => Self::Protocol,
            cause if cause.ends_connections() => cause,
            _ => Self::Internal,
        }
    }

    /// The cause for a WebSocket close code (RFC 6455, section 7.4, and the IANA registry); `None` = a close frame without one.
    pub const fn of_close_code(code: Option<u16>) -> Self {
        match code {
            None | Some(1000 | 1005) => Self::CloseNormal,
            Some(1001) => Self::CloseGoingAway,
            Some(1008) => Self::ClosePolicy,
            Some(1011) => Self::CloseServerError,
            Some(1012) => Self::CloseServiceRestart,
            Some(1013) => Self::CloseTryAgain,
            Some(_) => Self::CloseOther,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed attempt or a lost connection, with what the next step depends on.
///
/// ```
/// use feedwatch::market::{Cause, Failure};
/// use std::time::Duration;
///
/// let failure = Failure {
///     status: Some(503),
///     retry_after: Some(Duration::from_secs(2)),
///     ..Failure::new(Cause::HttpStatus).with_detail("the venue is busy")
/// };
/// assert_eq!(failure.to_string(), "http_status: the venue is busy");
/// assert_eq!(Failure::from(Cause::Dns), Failure::new(Cause::Dns));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// The status of the HTTP answer, where there was one.
    pub status: Option<u16>,
    /// How long the venue asked to be left alone (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// A sentence for the log; never holds a secret. [`Failure::with_detail`] makes it fit for that.
    pub detail: Cow<'static, str>,
}

impl Failure {
    /// A failure of which nothing more is known.
    pub const fn new(cause: Cause) -> Self {
        Self {
            cause,
            status: None,
            retry_after: None,
            detail: Cow::Borrowed(""),
        }
    }

    /// Adds a sentence for the log. It may be a venue's: of one that is not the program's own text no more than 200 characters are
    /// kept, with blanks in the place of those that control a terminal or turn text around.
    ///
    /// ```
    /// use feedwatch::market::{Cause, Failure};
    ///
    /// let failure = Failure::new(Cause::SubscribeRejected).with_detail("no\n\u{1b}[2J".to_owned() + &"!".repeat(1_000_000));
    /// assert!(failure.detail.starts_with("no  [2J!!") && failure.detail.chars().count() == 200);
    /// ```
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = words(detail);
        self
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::new(cause)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.as_str())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_name_and_can_happen() {
        let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::COUNT);
        for (index, cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(cause.index(), index);
            assert!(cause.fails_attempts() || cause.ends_connections(), "{cause}");
        }
    }

    #[test]
    fn a_reported_cause_is_mapped_to_one_that_can_happen() {
        for cause in Cause::ALL {
            assert!(cause.of_attempt().fails_attempts(), "{cause}");
            assert!(cause.of_loss().ends_connections(), "{cause}");
        }
    }
}
