//! Where a venue is served.

use std::fmt;
use std::net::Ipv6Addr;
use tokio_tungstenite::tungstenite::http::Uri;

/// A WebSocket URL, taken apart. Its text never shows the query, which may hold a secret.
///
/// ```
/// use feedwatch::stream::{Endpoint, InvalidEndpoint};
///
/// let endpoint = Endpoint::parse("wss://venue.example/ws/market?key=secret").unwrap();
/// assert_eq!((endpoint.host(), endpoint.port(), endpoint.is_tls()), ("venue.example", 443, true));
/// assert_eq!(endpoint.to_string(), "wss://venue.example/ws/market");
/// assert_eq!(Endpoint::parse("https://venue.example"), Err(InvalidEndpoint::Scheme));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
}

/// Why an address is none that a stream can use. The message never repeats the address, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// Another scheme, or none.
    #[error("does not begin with ws:// or wss://")]
    Scheme,
    /// Another scheme than that of HTTP, or none.
    #[error("does not begin with http:// or https://")]
    HttpScheme,
    /// A REST API is asked with queries of its own.
    #[error("has a query (?...), which each question brings along")]
    Query,
    /// Characters that no URL has.
    #[error("holds blanks or characters that must be percent-encoded")]
    Characters,
    /// A fragment is never sent (RFC 6455, section 3).
    #[error("has a fragment (#...), which is never sent")]
    Fragment,
    /// They would end up in logs.
    #[error("holds a user name or password")]
    Credentials,
    /// No host.
    #[error("has no host")]
    Host,
    /// Port 0, or one too large.
    #[error("has a port that is not from 1 to 65535")]
    Port,
    /// Anything else.
    #[error("is no valid address")]
    Malformed,
}

impl Endpoint {
    /// What an address looks like, for messages.
    pub const FORM: &'static str = "ws:// or wss://, a host, and maybe a port, a path and a query";

    /// Takes `ws://host[:port][/path][?query]`, or the same with `wss`, apart.
    pub fn parse(url: &str) -> Result<Self, InvalidEndpoint> {
        let Some(rest) = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://")) else {
            return Err(InvalidEndpoint::Scheme);
        };
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidEndpoint::Characters);
        }
        if url.contains('#') {
            return Err(InvalidEndpoint::Fragment);
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(InvalidEndpoint::Credentials);
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err(InvalidEndpoint::Host);
        }
        let (origin, asked) = url.split_at(url.len() - rest.len() + authority.len());
        // A request asks for a path, be it empty: without its slash a query alone would be asked for (RFC 9112, section 3.2.1).
        let slash = if asked.starts_with('?') { "/" } else { "" };
        let uri: Uri = format!("{origin}{slash}{asked}")
            .parse()
            .map_err(|_| InvalidEndpoint::Malformed)?;
        let host = uri
            .host()
            .filter(|host| !host.is_empty() && *host != "[]")
            .ok_or(InvalidEndpoint::Host)?;
        if let Some(rest) = authority.strip_prefix(host).filter(|rest| !rest.is_empty()) {
            let port = rest.strip_prefix(':').ok_or(InvalidEndpoint::Malformed)?;
            if !port.bytes().all(|byte| byte.is_ascii_digit()) || uri.port_u16().is_none_or(|port| port == 0) {
                return Err(InvalidEndpoint::Port);
            }
        }
        let bare = host.trim_matches(['[', ']']);
        if bare.len() != host.len() && bare.parse::<Ipv6Addr>().is_err() {
            return Err(InvalidEndpoint::Host);
        }
        let tls = url.starts_with("wss");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            host: bare.to_owned(),
            port,
            tls,
            uri,
        })
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

    /// The path, which may hold a secret where it is not the venue's own.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Scheme, host and port: `wss://venue.example:8443`.
    pub(crate) fn origin(&self) -> String {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}", self.scheme())
    }

    /// Host and port, as they stand in a URL: `[::1]:9000`. The port stands there always.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether both are the same place, however they are written.
    pub fn is_same(&self, other: &Self) -> bool {
        let asked = |endpoint: &Self| endpoint.uri.path_and_query().cloned();
        self.tls == other.tls
            && self.port == other.port
            && self.host.eq_ignore_ascii_case(&other.host)
            && asked(self) == asked(other)
    }

    pub(super) const fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path())
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
    fn an_address_is_taken_apart() {
        let endpoint = Endpoint::parse("wss://example.org/ws/market?key=secret").unwrap();
        assert_eq!(
            (endpoint.host(), endpoint.port(), endpoint.is_tls()),
            ("example.org", 443, true)
        );
        assert_eq!(
            format!("{endpoint} {endpoint:?}"),
            "wss://example.org/ws/market wss://example.org/ws/market"
        );
        let endpoint = Endpoint::parse("ws://[::1]:9000/a?b=c&d=%20").unwrap();
        assert_eq!(
            (endpoint.host(), endpoint.port(), endpoint.is_tls()),
            ("::1", 9000, false)
        );
        assert_eq!(endpoint.authority(), "[::1]:9000");
    }

    #[test]
    fn a_path_is_asked_for_where_there_is_only_a_query() {
        for (url, asked) in [
            ("wss://venue.example", "/"),
            ("wss://venue.example?token=x@y", "/?token=x@y"),
            ("ws://[::1]:9000?a/b", "/?a/b"),
            ("wss://venue.example/?a", "/?a"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            let path_and_query = endpoint.uri().path_and_query().unwrap();
            assert_eq!(path_and_query.as_str(), asked, "{url}");
        }
    }

    #[test]
    fn a_place_is_the_same_however_it_is_written() {
        let is_same = |one, other| Endpoint::parse(one).unwrap().is_same(&Endpoint::parse(other).unwrap());
        assert!(is_same("wss://venue.example", "wss://VENUE.example:443/"));
        assert!(is_same("wss://venue.example?key=1", "wss://venue.example/?key=1"));
        for other in [
            "ws://venue.example:443/",
            "wss://venue.example:444/",
            "wss://venue.example/ws",
            "wss://venue.example/?key=1",
            "wss://venue2.example/",
        ] {
            assert!(!is_same("wss://venue.example/", other), "{other}");
        }
    }

    #[test]
    fn what_no_stream_can_use_is_refused() {
        for (bad, error) in [
            ("", InvalidEndpoint::Scheme),
            ("https://venue.example", InvalidEndpoint::Scheme),
            ("WSS://venue.example", InvalidEndpoint::Scheme),
            ("wss://", InvalidEndpoint::Host),
            ("wss:///path", InvalidEndpoint::Host),
            ("wss://:80/", InvalidEndpoint::Host),
            ("wss://user:pass@venue.example", InvalidEndpoint::Credentials),
            ("wss://user@/", InvalidEndpoint::Credentials),
            ("wss://venue.example/#part", InvalidEndpoint::Fragment),
            ("wss://venue.example/a b", InvalidEndpoint::Characters),
            ("wss://vénue.example", InvalidEndpoint::Characters),
            ("wss://venue.example:0/", InvalidEndpoint::Port),
            ("wss://venue.example:65536/", InvalidEndpoint::Port),
            ("wss://venue.example:/", InvalidEndpoint::Port),
            ("wss://venue.example:+80/", InvalidEndpoint::Port),
            ("wss://[]:80/", InvalidEndpoint::Host),
            ("wss://[venue]/", InvalidEndpoint::Host),
            ("wss://[1.2.3.4]:80/", InvalidEndpoint::Host),
            ("wss://[::1]x:80/", InvalidEndpoint::Malformed),
            ("wss://[::1/", InvalidEndpoint::Malformed),
            ("wss://a:b:c/", InvalidEndpoint::Malformed),
        ] {
            assert_eq!(Endpoint::parse(bad), Err(error), "{bad}");
        }
    }
}
