//! Whether a client gets a scrape compressed: what it says in `Accept-Encoding` (RFC 9110, section 12.5.3).
//!
//! Prometheus asks for gzip, and gets it: series are alike, and shrink to a twentieth. curl asks for nothing, and gets plain text.

use super::accept::{quality, split};
use hyper::HeaderMap;
use hyper::header::{ACCEPT_ENCODING, HeaderValue};

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
}

/// gzip where the client accepts it and likes the body as it is no better.
///
/// Who accepts neither gets the body as it is, and not 406, as with the format: RFC 9110 allows it (12.4.1).
pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::to_str);
    let accepted: Vec<_> = lines
        .flatten()
        .flat_map(|line| split(line, ','))
        .filter_map(parse)
        .collect();
    let quality_of = |names: &[&str]| {
        let is_named = |told: &str| names.iter().any(|name| told.eq_ignore_ascii_case(name));
        let named = accepted.iter().filter(|(told, _)| is_named(told));
        named.map(|(_, quality)| *quality).max()
    };
    let other = quality_of(&["*"]);
    let gzip = quality_of(&["gzip", "x-gzip"]).or(other).unwrap_or(0);
    // Acceptable unless it is refused, and liked least where nothing is said of it.
    let identity = quality_of(&["identity"]).or(other).unwrap_or(0);
    if gzip > 0 && gzip >= identity {
        Coding::Gzip
    } else {
        Coding::Identity
    }
}

/// A coding and how much it is liked, in thousandths. `None` for what is no coding: it is passed over.
fn parse(text: &str) -> Option<(&str, u16)> {
    let mut parts = split(text, ';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let parameters = parts.filter_map(|part| part.split_once('='));
    let mut weights = parameters.filter(|(name, _)| name.trim_end().eq_ignore_ascii_case("q"));
    let quality = weights
        .next()
        .map_or(Some(1000), |(_, value)| quality(value.trim_start()))?;
    Some((name, quality))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::{Gzip, Identity};

    fn chosen(lines: &[&str]) -> Coding {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        coding(&headers)
    }

    /// Sources: the requests of Prometheus 2.42 and curl; for browsers
    /// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Accept-Encoding>; `http.Transport` of Go.
    #[test]
    fn who_asks_for_gzip_gets_it() {
        for lines in [
            &["gzip"] as &[&str],
            &["gzip, deflate, br, zstd"],
            &["gzip;q=1.0, identity; q=0.5, *;q=0"],
            &["identity;q=0.5, gzip;q=0.5"],
            &["identity;q=0, gzip;q=0.001"],
            &["identity;q=0, *"],
            &["*"],
            &["*;q=0.1"],
            &["br, *;q=0.1"],
            &["X-GZIP"],
            &["GZip ; Q=0.3"],
            &["br", "gzip"],
            &[",, gzip ,"],
        ] {
            assert_eq!(chosen(lines), Gzip, "{lines:?}");
        }
    }

    #[test]
    fn everybody_else_gets_plain_text() {
        for lines in [
            &[] as &[&str],
            &[""],
            &["identity"],
            &["identity;q=0"],
            &["*;q=0"],
            &["gzip;q=0"],
            &["gzip;q=0, *"],
            &["gzip;q=0.4, identity;q=0.5"],
            &["gzip;q=0.4, *;q=0.5"],
            &["br, deflate, zstd"],
            &["gzip;q=x"],
            &["gzip;q=2"],
            &["gzip;q=-1"],
            &["gzip;q="],
            &["gzipped"],
            &[";q=1", "=", ";;,,", "\u{e9}"],
        ] {
            assert_eq!(chosen(lines), Identity, "{lines:?}");
        }
    }
}
