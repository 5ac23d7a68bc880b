//! The other closed sets of reasons, each of which becomes a label.

use super::Cause;

closed_set! {
    /// The phases of an attempt.
    pub enum DialPhase {
        /// Name look-up.
        Resolve => "resolve",
        /// TCP connect.
        Connect => "connect",
        /// The proxy, where there is one, opens the way to the venue.
        Proxy => "proxy",
        /// TLS handshake.
        Tls => "tls",
        /// HTTP upgrade to WebSocket.
        Upgrade => "upgrade",
        /// Subscription.
        Subscribe => "subscribe",
    }
}

impl DialPhase {
    /// The cause of an attempt whose time was over in this phase.
    pub const fn timeout_cause(self) -> Cause {
        match self {
            Self::Resolve => Cause::DnsTimeout,
            Self::Connect => Cause::TcpTimeout,
            Self::Proxy => Cause::Proxy,
            Self::Tls => Cause::TlsTimeout,
            Self::Upgrade => Cause::UpgradeTimeout,
            Self::Subscribe => Cause::SubscribeTimeout,
        }
    }
}

closed_set! {
    /// Why a subscription is not in effect.
    pub enum SubscriptionFailure {
        /// The venue refused or left it out.
        Rejected => "rejected",
        /// No answer in time.
        Timeout => "timeout",
        /// The request could not be sent.
        SendError => "send_error",
    }
}

closed_set! {
    /// Why a frame could not be decoded.
    pub enum DecodeError {
        /// Not UTF-8.
        Utf8 => "utf8",
        /// Not JSON.
        Json => "json",
        /// JSON, but not as the venue documents it.
        Schema => "schema",
        /// An event or channel of which nothing is known.
        UnknownChannel => "unknown_channel",
    }
}

impl std::error::Error for DecodeError {}

closed_set! {
    /// Why spans were not exported.
    pub enum ExportError {
        /// The tracing backend cannot be reached.
        Connect => "connect",
        /// The proxy, where there is one, opens the way to the venue.
        Proxy => "proxy",
        /// It did not answer in time.
        Timeout => "timeout",
        /// It answered with an HTTP status that is no success.
        HttpStatus => "http_status",
        /// It answered with a gRPC status that is no success.
        GrpcStatus => "grpc_status",
        /// It broke off, or answered with something else.
        Protocol => "protocol",
        /// It answered with success, and took not all of them.
        Rejected => "rejected",
        /// They could not be encoded, or the program ends.
        Internal => "internal",
    }
}

closed_set! {
    /// What came of looking up a name.
    pub enum LookupOutcome {
        /// The venue said what it stands for.
        Resolved => "resolved",
        /// The venue knows no such name.
        Unknown => "unknown",
        /// The venue's REST API cannot be reached.
        Connect => "connect",
        /// It did not answer in time.
        Timeout => "timeout",
        /// It answered that it was asked too often.
        RateLimited => "rate_limited",
        /// It answered with another HTTP status that is no success.
        HttpStatus => "http_status",
        /// It broke off, or answered with what is no listing.
        Answer => "answer",
    }
}
