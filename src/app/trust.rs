//! What streams bring along to their venues: trust, made once for all that have the same.

use crate::config::{AccessConfig, StreamConfig, TlsConfig};
use crate::stream::{Access, TlsTrust};
use tokio_rustls::rustls;

/// The trust of each stream with TLS. Reading the system's certificates takes longer than all the rest of a start: that is done
/// where a stream needs them, and once.
#[derive(Clone)]
pub(super) struct Trusts {
    /// For streams without TLS.
    nobody: TlsTrust,
    system: Option<TlsTrust>,
    known: Vec<(TlsConfig, TlsTrust)>,
}

impl Trusts {
    /// Of no stream yet.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        Ok(Self {
            nobody: TlsTrust::only([])?,
            system: None,
            known: Vec::new(),
        })
    }

    /// Of these streams. What is there already is taken over, and what nobody needs any more is left behind.
    pub(super) fn for_streams(&self, streams: &[StreamConfig]) -> Result<Self, rustls::Error> {
        let mut next = Self {
            nobody: self.nobody.clone(),
            system: self.system.clone(),
            known: Vec::new(),
        };
        for stream in streams.iter().filter(|stream| stream.uses_tls()) {
            let tls = &stream.access.tls;
            if next.find(tls).is_none() {
                let trust = match self.find(tls) {
                    Some(trust) => trust.clone(),
                    None => next.make(tls)?,
                };
                next.known.push((tls.clone(), trust));
            }
        }
        Ok(next)
    }

    /// What this stream brings along; it must be one of those that these are for.
    pub(super) fn access(&self, stream: &StreamConfig) -> Access {
        let access = &stream.access;
        let trust = self.find(&access.tls).filter(|_| stream.uses_tls());
        Access {
            trust: trust.unwrap_or(&self.nobody).clone(),
            headers: access.headers.clone(),
            key: access.key.clone(),
            proxy: access.proxy.clone(),
        }
    }

    /// What one brings along that these are not for: its trust is made where there is none yet.
    pub(super) fn access_of(&mut self, access: &AccessConfig, uses_tls: bool) -> Result<Access, rustls::Error> {
        let known = self.find(&access.tls).filter(|_| uses_tls).cloned();
        let trust = match known {
            Some(trust) => trust,
            None if uses_tls => {
                let trust = self.make(&access.tls)?;
                self.known.push((access.tls.clone(), trust.clone()));
                trust
            }
            None => self.nobody.clone(),
        };
        Ok(Access {
            trust,
            headers: access.headers.clone(),
            key: access.key.clone(),
            proxy: access.proxy.clone(),
        })
    }

    fn find(&self, tls: &TlsConfig) -> Option<&TlsTrust> {
        let found = self.known.iter().find(|(known, _)| known == tls);
        found.map(|(_, trust)| trust)
    }

    fn make(&mut self, tls: &TlsConfig) -> Result<TlsTrust, rustls::Error> {
        let trust = match (&tls.authorities, &self.system) {
            (Some(authorities), _) => TlsTrust::authorities(authorities)?,
            (None, Some(system)) => system.clone(),
            (None, None) => self.system.insert(TlsTrust::system()?).clone(),
        };
        match &tls.identity {
            Some(identity) => trust.with_identity(identity),
            None => Ok(trust),
        }
    }
}
