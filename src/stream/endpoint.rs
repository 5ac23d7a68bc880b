//! Where a venue is served.

use std::fmt;
use tokio_tungstenite::tungstenite::http::Uri;

/// A WebSocket URL, taken apart. Its text never shows the query, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
}

/// Why a URL is none that a stream can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// No URL at all.
    #[error("not a URL; write one like wss://host/path")]
    Malformed,
    /// Neither `ws` nor `wss`.
    #[error("must begin with ws:// or wss://")]
    Scheme,
    /// No host.
    #[error("names no host; write one like wss://host/path")]
    Host,
    /// A user or password in the URL would end up in logs.
    #[error("must not hold a user or password")]
    Credentials,
    /// A fragment means nothing to a server (RFC 6455, section 3).
    #[error("must not hold a fragment (#...)")]
    Fragment,
}

impl Endpoint {
    /// Takes a `ws://` or `wss://` URL apart.
    pub fn parse(url: &str) -> Result<Self, InvalidEndpoint> {
        if url.contains('#') {
            return Err(InvalidEndpoint::Fragment);
        }
        let uri: Uri = url.parse().map_err(|_| InvalidEndpoint::Malformed)?;
        let tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(InvalidEndpoint::Scheme),
        };
        let authority = uri.authority().ok_or(InvalidEndpoint::Host)?;
        if authority.as_str().contains('@') {
            return Err(InvalidEndpoint::Credentials);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(InvalidEndpoint::Host);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { host, port, tls, uri })
    }

    /// The host, without brackets around an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is `wss`.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The scheme: `ws` or `wss`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls { "wss" } else { "ws" }
    }

    pub(super) const fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.scheme(), self.uri.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let endpoint = Endpoint::parse("wss://example.org/ws/market?key=secret").unwrap();
        assert_eq!(
            (endpoint.host(), endpoint.port(), endpoint.is_tls()),
            ("example.org", 443, true)
        );
        assert_eq!(
            format!("{endpoint} {endpoint:?}"),
            "wss://example.org/ws/market wss://example.org/ws/market"
        );
        let endpoint = Endpoint::parse("ws://[::1]:9000").unwrap();
        assert_eq!(
            (endpoint.host(), endpoint.port(), endpoint.is_tls()),
            ("::1", 9000, false)
        );
    }

    #[test]
    fn what_no_stream_can_use_is_refused() {
        for (url, error) in [
            ("", InvalidEndpoint::Malformed),
            ("ws://a b", InvalidEndpoint::Malformed),
            ("example.org", InvalidEndpoint::Scheme),
            ("https://example.org", InvalidEndpoint::Scheme),
            ("wss://user:secret@example.org", InvalidEndpoint::Credentials),
            ("wss://example.org/#part", InvalidEndpoint::Fragment),
        ] {
            assert_eq!(Endpoint::parse(url), Err(error), "{url}");
        }
    }
}
