//! What comes from files and lists beside the configuration: headers, attributes, certificates. No message repeats a value.

use super::error::quoted;
use super::value::Wrong;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// No file of headers or certificates is larger.
const MAX_BYTES: u64 = 1024 * 1024;

/// Attributes of the resource: keys are percent-encoded like values.
pub(super) fn attributes(text: &str) -> Result<Vec<(String, String)>, Wrong> {
    let decoded = |key: String| percent_decode_str(&key).decode_utf8_lossy().into_owned();
    Ok(pairs(text)?
        .into_iter()
        .map(|(key, value)| (decoded(key), value))
        .collect())
}

/// `key1=value1,key2=value2`, values percent-encoded.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Wrong> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((key.trim().to_owned(), value.into_owned())).filter(|(key, _)| !key.is_empty())
    };
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    // Neither is the text repeated here, nor a part of it: headers are secrets.
    (1..)
        .zip(parts)
        .map(|(number, part)| {
            pair(part)
                .ok_or_else(|| format!("pair {number} is wrong; must be key=value,key=value, values percent-encoded"))
        })
        .collect()
}

pub(super) fn header_pairs(text: &str) -> Result<HeaderMap, Wrong> {
    let pairs = pairs(text)?;
    headers(
        (1..).zip(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
        "pair",
    )
}

/// A file with a header a line: `name: value`.
pub(super) fn headers_from(path: &str) -> Result<HeaderMap, Wrong> {
    let text = read(path)?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let pairs = lines.map(|(number, line)| (number, line.split_once(':').unwrap_or((line, ""))));
    headers(pairs, "line").map_err(|wrong| format!("{}, {wrong}", quoted(path)))
}

/// Headers with secret values. What is wrong is told by its number alone.
fn headers<'t>(numbered: impl Iterator<Item = (usize, (&'t str, &'t str))>, place: &str) -> Result<HeaderMap, Wrong> {
    let mut headers = HeaderMap::new();
    for (number, (name, value)) in numbered {
        let name = name.trim().parse::<HeaderName>();
        let value = Some(value.trim())
            .filter(|value| !value.is_empty())
            .map(HeaderValue::from_str);
        let (Ok(name), Some(Ok(mut value))) = (name, value) else {
            return Err(format!(
                "{place} {number}: must be the name of a header and its value, as in Authorization: Bearer TOKEN"
            ));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// A file of certificates, in PEM; as DER.
pub(super) fn certificates_from(path: &str) -> Result<Vec<Vec<u8>>, Wrong> {
    let wrong = |why: &dyn Display| format!("{}: {why}; must be a file of certificates, in PEM", quoted(path));
    let text = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&error))?;
    if certificates.is_empty() {
        return Err(wrong(&"holds none"));
    }
    Ok(certificates)
}

fn read(path: &str) -> Result<String, Wrong> {
    let mut text = String::new();
    let file = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    file.map_err(|error| format!("{}: {error}", quoted(path)))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{} is larger than {MAX_BYTES} bytes", quoted(path)));
    }
    Ok(text)
}
