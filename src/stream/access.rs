//! What a dial needs beside the venue's address.

use super::endpoint::Endpoint;
use super::failure;
use super::headers::UpgradeHeaders;
use super::proxy::Proxy;
use super::tls::TlsTrust;
use crate::clock::Moment;
use crate::market::{Cause, Failure};
use crate::venue::{ApiKey, Venue};
use tokio_tungstenite::tungstenite::http::HeaderMap;

/// Whom a dial trusts, what it shows of itself, and what it goes through. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whom it trusts, and its own certificate; for `wss`.
    pub trust: TlsTrust,
    /// What it sends along with the upgrade.
    pub headers: UpgradeHeaders,
    /// The key that signs the upgrade, at a venue that wants it; `None` = none.
    pub key: Option<ApiKey>,
    /// What it goes through; `None` = straight to the venue.
    pub proxy: Option<Proxy>,
}

impl Access {
    /// Straight to the venue, with nothing to show.
    pub fn new(trust: TlsTrust) -> Self {
        Self {
            trust,
            headers: UpgradeHeaders::default(),
            key: None,
            proxy: None,
        }
    }

    /// Adds what is sent along with an upgrade to `endpoint`, signed at this moment.
    pub(super) fn add_headers(
        &self,
        venue: &dyn Venue,
        endpoint: &Endpoint,
        now: Moment,
        request: &mut HeaderMap,
    ) -> Result<(), Failure> {
        let mut headers = self.headers.clone();
        if let Some(key) = &self.key {
            for (name, value) in venue.sign_upgrade(key, endpoint.uri().path(), now.unix_millis()) {
                headers.add(name, &value).map_err(|error| {
                    Failure::new(Cause::Internal).with_detail(format!("a header of the signature {error}"))
                })?;
            }
        }
        headers.add_to(request);
        Ok(())
    }

    /// Who is dialled to reach `endpoint`.
    pub(super) fn peer<'a>(&'a self, endpoint: &'a Endpoint) -> Peer<'a> {
        let proxy = self.proxy.as_ref();
        let venue = (endpoint.host(), endpoint.port());
        let (host, port) = proxy.map_or(venue, |proxy| (proxy.host(), proxy.port()));
        Peer { host, port, proxy }
    }
}

/// The other end of a socket: the venue's host, or the proxy that leads there.
pub(super) struct Peer<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) proxy: Option<&'a Proxy>,
}

impl Peer<'_> {
    /// It could not be reached.
    pub(super) fn failed(&self, failure: Failure) -> Failure {
        match self.proxy {
            Some(_) => failure::on_the_way_to_a_proxy(failure),
            None => failure,
        }
    }
}
