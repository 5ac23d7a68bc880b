//! What a request asks for beside its path.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A query, as it stands behind the question mark, and a body.
pub(super) struct Query<'q> {
    text: &'q str,
    /// Null where there is none, or no JSON.
    body: Value,
}

impl<'q> Query<'q> {
    pub(super) fn new(text: &'q str, body: &[u8]) -> Self {
        let body = serde_json::from_slice(body).unwrap_or_default();
        Self { text, body }
    }

    /// The value of that name, decoded as forms are: a plus is a space.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.text.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(found, _)| *found == name)?;
        let value = value.replace('+', " ");
        Some(percent_decode_str(&value).decode_utf8_lossy().into_owned())
    }

    /// Whether it says that.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).is_some_and(|told| told == value)
    }

    /// The text of that name in the body.
    pub(super) fn in_body(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }
}
