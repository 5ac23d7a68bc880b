//! Headers that an upgrade sends along, beside those that WebSocket has of its own.

use std::fmt;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};

/// What the request has of its own, or what would make another request of it (RFC 6455, section 4.1; RFC 9110, section 7.6.1;
/// RFC 9112, section 6). Besides these, all that begin with `sec-websocket-`.
const RESERVED: [&str; 9] = [
    "host",
    "upgrade",
    "connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "trailer",
    "te",
    "expect",
];

/// Headers that are sent with the upgrade: a venue's API key, for instance. Values are secrets: `Debug` does not show them.
///
/// They go to the venue alone, never to a proxy. The `tungstenite` crate tells the `log` crate its whole request, at the level
/// `trace`: a program that collects those lines collects these values, too. The service does not.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UpgradeHeaders {
    map: HeaderMap,
    bytes: usize,
}

/// Why a header cannot be sent. The message never repeats a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// Not what HTTP calls a token (RFC 9110, section 5.1).
    #[error("has a name that HTTP does not allow; valid: letters, digits and hyphens, as in X-Api-Key")]
    Name,
    /// Empty, or with characters that are not allowed.
    #[error("has no value that HTTP allows; valid: visible ASCII characters, with blanks between them")]
    Value,
    /// The request has it already, or must not have it.
    #[error("{0} belongs to WebSocket or HTTP itself, and cannot be set")]
    Reserved(String),
    /// What is meant for a proxy must not go to the venue.
    #[error("{0} is for a proxy, and not sent to a venue; see [proxy]")]
    OfProxy(String),
    /// Which of the two would be meant?
    #[error("{0} is set twice")]
    Repeated(String),
    /// More than [`UpgradeHeaders::MOST`].
    #[error("is one header more than the {} that are allowed", UpgradeHeaders::MOST)]
    TooMany,
    /// More than [`UpgradeHeaders::MOST_BYTES`].
    #[error(
        "makes the headers larger than the {} bytes that are allowed",
        UpgradeHeaders::MOST_BYTES
    )]
    TooLarge,
}

impl UpgradeHeaders {
    /// So many headers at most.
    pub const MOST: usize = 32;
    /// So many bytes at most of all names and values: servers take no more than that of a whole request.
    pub const MOST_BYTES: usize = 8192;

    /// These headers, pairs of name and value.
    pub fn new<'t>(pairs: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Self, InvalidHeader> {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.add(name, value)?;
        }
        Ok(headers)
    }

    /// Adds one. Blanks around name and value count as nothing.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        let name: HeaderName = name.trim().parse().map_err(|_| InvalidHeader::Name)?;
        let shown = || name.as_str().to_owned();
        if name.as_str().starts_with("proxy-") {
            return Err(InvalidHeader::OfProxy(shown()));
        }
        if RESERVED.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-") {
            return Err(InvalidHeader::Reserved(shown()));
        }
        let value = Some(value.trim()).filter(|value| !value.is_empty());
        let value = value.and_then(|value| HeaderValue::from_str(value).ok());
        let Some(mut value) = value.filter(|value| value.to_str().is_ok()) else {
            return Err(InvalidHeader::Value);
        };
        if self.map.contains_key(&name) {
            return Err(InvalidHeader::Repeated(shown()));
        }
        if self.map.len() == Self::MOST {
            return Err(InvalidHeader::TooMany);
        }
        let bytes = self.bytes + name.as_str().len() + value.len();
        if bytes > Self::MOST_BYTES {
            return Err(InvalidHeader::TooLarge);
        }
        value.set_sensitive(true);
        self.bytes = bytes;
        self.map.insert(name, value);
        Ok(())
    }

    /// The same, and those of `others` whose names are not among them.
    pub fn with_others(mut self, others: &Self) -> Result<Self, InvalidHeader> {
        for (name, value) in &others.map {
            if !self.map.contains_key(name) {
                self.add(name.as_str(), value.to_str().map_err(|_| InvalidHeader::Value)?)?;
            }
        }
        Ok(self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(super) fn add_to(&self, request: &mut HeaderMap) {
        request.extend(self.map.clone());
    }
}

impl fmt::Debug for UpgradeHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.map.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> InvalidHeader {
        UpgradeHeaders::default().add(name, value).unwrap_err()
    }

    #[test]
    fn headers_win_over_others_of_the_same_name() {
        let own = UpgradeHeaders::new([("Origin", "a")]).unwrap();
        let others = UpgradeHeaders::new([("origin", "b"), ("X-Key", "c")]).unwrap();
        let all = own.with_others(&others).unwrap();
        assert_eq!(all, UpgradeHeaders::new([("Origin", "a"), ("X-Key", "c")]).unwrap());
        let many: Vec<_> = (0..UpgradeHeaders::MOST).map(|n| format!("x-{n}")).collect();
        let many = UpgradeHeaders::new(many.iter().map(|name| (name.as_str(), "v"))).unwrap();
        assert_eq!(many.with_others(&others), Err(InvalidHeader::TooMany));
    }

    #[test]
    fn a_header_is_sent_and_its_value_is_not_shown() {
        let headers = UpgradeHeaders::new([(" X-Api-Key ", " s3cret "), ("Origin", "https://a.example")]).unwrap();
        let mut request = HeaderMap::new();
        headers.add_to(&mut request);
        assert_eq!(
            (&request["x-api-key"], &request["origin"]),
            (&"s3cret".parse().unwrap(), &"https://a.example".parse().unwrap())
        );
        assert_eq!(format!("{headers:?}"), r#"["x-api-key", "origin"]"#);
        assert!(!format!("{request:?}").contains("s3cret"), "{request:?}");
    }

    #[test]
    fn what_belongs_to_the_protocol_is_refused() {
        for name in [
            "Host",
            "upgrade",
            "CONNECTION",
            "Sec-WebSocket-Key",
            "sec-websocket-protocol",
            "Content-Length",
            "Transfer-Encoding",
        ] {
            let lower = name.to_ascii_lowercase();
            assert_eq!(refused(name, "x"), InvalidHeader::Reserved(lower), "{name}");
        }
        let of_proxy = InvalidHeader::OfProxy("proxy-authorization".to_owned());
        assert_eq!(refused("Proxy-Authorization", "x"), of_proxy);
    }

    #[test]
    fn what_would_end_the_line_or_is_no_text_is_refused() {
        for value in ["", "  ", "a\r\nHost: b", "a\nb", "a\0", "\u{e9}", "\u{7f}"] {
            assert_eq!(refused("x-api-key", value), InvalidHeader::Value, "{value:?}");
        }
        for name in ["", "a b", "a:b", "a\nb", "\u{e9}"] {
            assert_eq!(refused(name, "x"), InvalidHeader::Name, "{name:?}");
        }
    }

    #[test]
    fn there_is_one_of_each_and_not_too_many() {
        let mut headers = UpgradeHeaders::new([("X-Key", "1")]).unwrap();
        assert_eq!(
            headers.add("x-KEY", "2"),
            Err(InvalidHeader::Repeated("x-key".to_owned()))
        );
        for number in 1..UpgradeHeaders::MOST {
            headers.add(&format!("x-{number}"), "1").unwrap();
        }
        assert_eq!(headers.add("x-one-more", "1"), Err(InvalidHeader::TooMany));
        let most = "x".repeat(UpgradeHeaders::MOST_BYTES - 1);
        assert!(UpgradeHeaders::new([("k", most.as_str())]).is_ok());
        assert_eq!(refused("kk", &most), InvalidHeader::TooLarge);
    }
}
