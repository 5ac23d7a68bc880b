//! How streams get to their venues: `[tls]`, `[proxy]`, what a stream overrides of them, and its headers.
//!
//! What files hold becomes part of the configuration: it is read with it, wrong where one of them is, and another where one of
//! them has changed.

use super::error::quoted;
use super::secrets::{add_headers_from, bytes_from, password_from};
use super::section::Section;
use super::value::{Raw, Wrong};
use crate::stream::{Authorities, ClientIdentity, InvalidIdentity, Proxy, UpgradeHeaders};
use crate::venue::{ApiKey, InvalidApiKey, Venue};
use std::collections::HashMap;

/// The one place, beside a file, that the password for the general proxy is taken from.
pub(super) const PASSWORD_VARIABLE: &str = "FEEDWATCH__PROXY__PASSWORD";

/// How a stream gets to its venue. `Debug` shows no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// What it sends along with the upgrade.
    pub headers: UpgradeHeaders,
    /// The key that signs the upgrade; `None` = the venue asks for none.
    pub key: Option<ApiKey>,
    /// Whom it trusts, and as whom it comes. Of a stream without TLS nothing.
    pub tls: TlsConfig,
    /// What it goes through; `None` = nothing.
    pub proxy: Option<Proxy>,
}

/// `[tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Who may sign the certificates of venues; `None` = the system's authorities.
    pub authorities: Option<Authorities>,
    /// The certificate of this side; `None` = none.
    pub identity: Option<ClientIdentity>,
}

/// What holds for the streams that say nothing else, and the authorities that were read already, by their files.
pub(super) struct AccessReader {
    base: AccessConfig,
    read: HashMap<String, Result<Authorities, Wrong>>,
}

/// A key that takes back what holds in general where it is empty; then `None`.
type Settable<T> = Option<Option<T>>;

/// A file, by its name, and what it holds.
type Content = (String, Vec<u8>);

impl AccessReader {
    pub(super) fn read(root: &mut Section<'_, '_>) -> Self {
        let mut reader = Self {
            base: AccessConfig::default(),
            read: HashMap::new(),
        };
        reader.base.tls = reader.tls(&mut root.section("tls"));
        reader.base.proxy = reader.proxy(&mut root.section("proxy"));
        reader
    }

    /// What holds in general.
    pub(super) fn into_general(self) -> AccessConfig {
        self.base
    }

    /// Of one stream, or of another section with its keys; `uses_tls` says whether it connects to `wss` anywhere.
    pub(super) fn of_stream(
        &mut self,
        section: &mut Section<'_, '_>,
        venue: Option<&dyn Venue>,
        uses_tls: bool,
    ) -> AccessConfig {
        let headers = headers(section);
        let key = api_key(section, venue);
        let proxy = self.proxy(&mut section.section("proxy"));
        let is_set = !section.is_empty("tls");
        let tls = self.tls(&mut section.section("tls"));
        if is_set && !uses_tls {
            section.wrong("tls", "is for wss:// alone, and the url here is ws://".to_owned());
        }
        AccessConfig {
            headers,
            key,
            tls: if uses_tls { tls } else { TlsConfig::default() },
            proxy,
        }
    }

    fn tls(&mut self, section: &mut Section<'_, '_>) -> TlsConfig {
        let authorities = section.take("ca_file", |raw| unless_empty(raw, |path| self.authorities(path)));
        TlsConfig {
            authorities: authorities.unwrap_or_else(|| self.base.tls.authorities.clone()),
            identity: self.identity(section),
        }
    }

    /// Each file is read once, and its authorities are kept once, however many streams name it.
    fn authorities(&mut self, path: &str) -> Result<Authorities, Wrong> {
        let read = || Authorities::from_pem(&bytes_from(path)?).map_err(|error| format!("{}: {error}", quoted(path)));
        self.read.entry(path.to_owned()).or_insert_with(read).clone()
    }

    /// Certificate and key belong together: whoever has another certificate has another key.
    fn identity(&self, section: &mut Section<'_, '_>) -> Option<ClientIdentity> {
        const CERTIFICATE: &str = "client_certificate_file";
        const KEY: &str = "client_key_file";
        let content = |raw| unless_empty(raw, |path| Ok((path.to_owned(), bytes_from(path)?)));
        let certificate: Settable<Content> = section.take(CERTIFICATE, content);
        let key: Settable<Content> = section.take(KEY, content);
        match (certificate, key) {
            (Some(Some((certificate, certificates))), Some(Some((key, text)))) => {
                return ClientIdentity::from_pem(&certificates, &text)
                    .map_err(|error| match error {
                        InvalidIdentity::Certificate(error) => {
                            section.wrong(CERTIFICATE, format!("{}: {error}", quoted(&certificate)));
                        }
                        InvalidIdentity::Key(error) => section.wrong(KEY, format!("{}: {error}", quoted(&key))),
                    })
                    .ok();
            }
            (Some(Some(_)), _) if !section.is_faulty(KEY) => {
                section.wrong(CERTIFICATE, format!("is of no use without {KEY} beside it"));
            }
            (_, Some(Some(_))) if !section.is_faulty(CERTIFICATE) => {
                section.wrong(KEY, format!("is of no use without {CERTIFICATE} beside it"));
            }
            (None, None) => return self.base.tls.identity.clone(),
            _ => {}
        }
        None
    }

    /// Another proxy is not told what was meant for the general one: credentials belong to the address beside them.
    fn proxy(&self, section: &mut Section<'_, '_>) -> Option<Proxy> {
        let url: Settable<Proxy> = section.take("url", |raw| {
            unless_empty(raw, |url| {
                // The message never repeats the address: it may hold a secret.
                Proxy::parse(url).map_err(|error| format!("{error}; the address of a proxy is {}", Proxy::FORM))
            })
        });
        let is_wrong = section.is_faulty("url");
        let proxy = url.unwrap_or_else(|| self.base.proxy.clone());
        let Some((username, password)) = credentials(section) else {
            return proxy;
        };
        let Some(proxy) = proxy else {
            if !is_wrong {
                section.wrong("username", "is of no use without a proxy; set its url".to_owned());
            }
            return None;
        };
        proxy
            .with_credentials(&username, &password)
            .map_err(|error| section.wrong("username", error.to_string()))
            .ok()
    }
}

/// User name and password: both, or neither.
fn credentials(section: &mut Section<'_, '_>) -> Option<(String, String)> {
    let username = section.take("username", |raw| Ok(raw.text()?.to_owned()));
    let from_file = section.take("password_file", |raw| password_from(raw.text()?));
    let from_variable = section.take("password", |raw| match raw {
        Raw::Variable(password) => Ok(password.to_owned()),
        Raw::Toml(_) => {
            raw.text()?;
            Err(format!(
                "has no place in this file; put it into a file that password_file names, or into the variable {PASSWORD_VARIABLE}"
            ))
        }
    });
    let password_key = if from_variable.is_some() {
        "password"
    } else {
        "password_file"
    };
    let is_wrong = ["username", "password_file", "password"]
        .iter()
        .any(|key| section.is_faulty(key));
    match (username, from_variable.or(from_file)) {
        (Some(username), Some(password)) => return Some((username, password)),
        (Some(_), None) if !is_wrong => {
            section.wrong(
                "username",
                "is of no use without a password; set password_file".to_owned(),
            );
        }
        (None, Some(_)) if !is_wrong => {
            section.wrong(password_key, "is of no use without username beside it".to_owned());
        }
        _ => {}
    }
    None
}

/// Id and private key belong together, and to a venue that asks for them.
fn api_key(section: &mut Section<'_, '_>, venue: Option<&dyn Venue>) -> Option<ApiKey> {
    const ID: &str = "api_key_id";
    const FILE: &str = "api_key_file";
    let id = section.take(ID, |raw| Ok(raw.text()?.to_owned()));
    let file: Option<Content> = section.take(FILE, |raw| {
        let path = raw.text()?;
        Ok((path.to_owned(), bytes_from(path)?))
    });
    let is_wrong = section.is_faulty(ID) || section.is_faulty(FILE);
    let venue = venue?;
    let (name, needs_key) = (venue.name(), venue.needs_key());
    match (id, file) {
        _ if is_wrong => {}
        (None, None) if needs_key => section.wrong(
            ID,
            format!("is missing; {name} takes no connection without a key: set {ID} and {FILE}"),
        ),
        (None, None) => {}
        (Some(_), _) if !needs_key => section.wrong(ID, format!("is of no use; {name} asks for no key")),
        (None, Some(_)) if !needs_key => section.wrong(FILE, format!("is of no use; {name} asks for no key")),
        (Some(_), None) => section.wrong(ID, format!("is of no use without {FILE} beside it")),
        (None, Some(_)) => section.wrong(FILE, format!("is of no use without {ID} beside it")),
        (Some(id), Some((path, text))) => {
            let key = ApiKey::from_pem(&id, &text).map_err(|error| match error {
                InvalidApiKey::Id => section.wrong(ID, error.to_string()),
                error => section.wrong(FILE, format!("{}: {error}", quoted(&path))),
            });
            return key.ok();
        }
    }
    None
}

/// The headers that a stream, or a described venue, brings along.
pub(super) fn headers(section: &mut Section<'_, '_>) -> UpgradeHeaders {
    let mut headers = UpgradeHeaders::default();
    for (name, value, at) in section.entries("headers") {
        let added = value
            .text()
            .and_then(|value| headers.add(name, value).map_err(|error| error.to_string()));
        if let Err(wrong) = added {
            section.add_below(at, "headers", name, wrong);
        }
    }
    section.take("headers_file", |raw| add_headers_from(raw.text()?, &mut headers));
    headers
}

/// Nothing where the text is empty.
fn unless_empty<T>(raw: Raw<'_>, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Result<Option<T>, Wrong> {
    let text = raw.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    read(text).map(Some)
}
