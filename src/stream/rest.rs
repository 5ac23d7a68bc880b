//! Where a venue answers over HTTP, and the way there: the same as to its WebSocket, without the upgrade.

use super::endpoint::{Endpoint, InvalidEndpoint};
use std::fmt;

#[cfg(feature = "service")]
use super::access::Access;
#[cfg(feature = "service")]
use super::dial::Dialler;
#[cfg(feature = "service")]
use super::tls::MaybeTls;
#[cfg(feature = "service")]
use super::{candidates, failure};
#[cfg(feature = "service")]
use crate::market::Failure;
#[cfg(feature = "service")]
use std::time::Duration;

/// The address of a venue's REST API: what a [`crate::venue::Directory`] asks for is added to it.
///
/// ```
/// use feedwatch::stream::{InvalidEndpoint, RestEndpoint};
///
/// let rest = RestEndpoint::parse("https://venue.example/api/").unwrap();
/// assert_eq!((rest.to_string().as_str(), rest.endpoint().port()), ("https://venue.example/api", 443));
/// assert_eq!(rest.path_to("/events/slug/who-wins"), "/api/events/slug/who-wins");
/// assert_eq!(RestEndpoint::parse("wss://venue.example"), Err(InvalidEndpoint::HttpScheme));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RestEndpoint {
    /// The same place for WebSocket: what a host and a port may be is judged there.
    endpoint: Endpoint,
    /// Without a slash at its end.
    base: String,
}

impl RestEndpoint {
    /// What an address looks like, for messages.
    pub const FORM: &'static str = "http:// or https://, a host, and maybe a port and a path";

    /// Takes `http://host[:port][/path]`, or the same with `https`, apart.
    pub fn parse(url: &str) -> Result<Self, InvalidEndpoint> {
        let socket = if let Some(rest) = url.strip_prefix("https://") {
            format!("wss://{rest}")
        } else if let Some(rest) = url.strip_prefix("http://") {
            format!("ws://{rest}")
        } else {
            return Err(InvalidEndpoint::HttpScheme);
        };
        if url.contains('?') {
            return Err(InvalidEndpoint::Query);
        }
        let endpoint = Endpoint::parse(&socket)?;
        let base = endpoint.path().trim_end_matches('/').to_owned();
        Ok(Self { endpoint, base })
    }

    /// The same place, as a stream has it.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The path and the query to ask for, below this address.
    pub fn path_to(&self, asked: &str) -> String {
        format!("{}{asked}", self.base)
    }
}

impl fmt::Display for RestEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.endpoint.origin();
        write!(f, "{}{}", origin.replacen("ws", "http", 1), self.base)
    }
}

impl fmt::Debug for RestEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A byte stream to `rest`, on which nothing was said yet. It has no time limit of its own.
#[cfg(feature = "service")]
pub(crate) async fn open<D: Dialler>(
    dialler: &D,
    rest: &RestEndpoint,
    access: &Access,
    head_start: Duration,
) -> Result<MaybeTls<D::Io>, Failure> {
    let endpoint = rest.endpoint();
    let peer = access.peer(endpoint);
    let resolved = dialler.resolve(peer.host, peer.port).await;
    let addresses = resolved.map_err(|error| peer.failed(failure::of_resolve(&error)))?;
    let connected = candidates::connect(dialler, addresses, head_start).await;
    let (mut io, _) = connected.map_err(|failure| peer.failed(failure))?;
    if let Some(proxy) = peer.proxy {
        io = proxy.tunnel(io, endpoint.host(), endpoint.port()).await?;
    }
    if !endpoint.is_tls() {
        return Ok(MaybeTls::plain(io));
    }
    let secured = access.trust.handshake(endpoint.host(), io).await;
    Ok(MaybeTls::secured(secured.map_err(|error| failure::of_tls(&error))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_added_to_the_address() {
        for (url, shown, asked) in [
            ("https://venue.example", "https://venue.example", "/a?b"),
            ("https://venue.example/", "https://venue.example", "/a?b"),
            ("http://[::1]:8080/gamma/", "http://[::1]:8080/gamma", "/gamma/a?b"),
            ("http://ws.example:1/ws", "http://ws.example:1/ws", "/ws/a?b"),
        ] {
            let rest = RestEndpoint::parse(url).unwrap();
            assert_eq!(
                (rest.to_string().as_str(), rest.path_to("/a?b").as_str()),
                (shown, asked)
            );
            assert_eq!(rest.endpoint().is_tls(), url.starts_with("https"));
        }
    }

    #[test]
    fn what_no_rest_api_can_be_at_is_refused() {
        for (bad, error) in [
            ("", InvalidEndpoint::HttpScheme),
            ("ws://venue.example", InvalidEndpoint::HttpScheme),
            ("https://venue.example/?a=b", InvalidEndpoint::Query),
            ("https://user:pass@venue.example", InvalidEndpoint::Credentials),
            ("https://", InvalidEndpoint::Host),
            ("https://venue.example:0", InvalidEndpoint::Port),
            ("https://venue.example/#a", InvalidEndpoint::Fragment),
        ] {
            assert_eq!(RestEndpoint::parse(bad), Err(error), "{bad}");
        }
    }
}
