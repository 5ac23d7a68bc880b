//! What comes from files and lists beside the configuration: headers, attributes, certificates, passwords. No message repeats a
//! value.

use super::error::quoted;
use super::open_again;
use super::value::Wrong;
use crate::stream::{UpgradeHeaders, certificates};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use std::io::Read;
use std::path::Path;

/// Of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// No file of headers, certificates or a password is larger.
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
    headers(lines(&text), "line").map_err(|wrong| format!("{}, {wrong}", quoted(path)))
}

/// Adds those of such a file.
pub(super) fn add_headers_from(path: &str, headers: &mut UpgradeHeaders) -> Result<(), Wrong> {
    let text = read(path)?;
    for (number, (name, value)) in lines(&text) {
        let added = headers.add(name, value);
        added.map_err(|error| format!("{}, line {number}: {error}", quoted(path)))?;
    }
    Ok(())
}

/// The lines that are not empty, with their numbers: `name: value`.
fn lines(text: &str) -> impl Iterator<Item = (usize, (&str, &str))> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number, line.split_once(':').unwrap_or((line, ""))))
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
    let found = certificates(&bytes_from(path)?).map_err(|error| format!("{}: {error}", quoted(path)))?;
    Ok(found.into_iter().map(|certificate| certificate.to_vec()).collect())
}

/// A file with a password on its only line.
pub(super) fn password_from(path: &str) -> Result<String, Wrong> {
    let text = read(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn read(path: &str) -> Result<String, Wrong> {
    let bytes = bytes_from(path)?;
    String::from_utf8(bytes).map_err(|_| format!("{}: is not UTF-8", quoted(path)))
}

/// A whole file, which can be read again; without the byte order mark that some editors put at its beginning, which belongs to no
/// header, to no password and to no PEM.
pub(super) fn bytes_from(path: &str) -> Result<Vec<u8>, Wrong> {
    let mut bytes = Vec::new();
    let file = open_again(Path::new(path)).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    file.map_err(|error| format!("{}: {error}", quoted(path)))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{} is larger than {MAX_BYTES} bytes", quoted(path)));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}
