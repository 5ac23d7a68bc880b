//! The query of a request.

use percent_encoding::percent_decode_str;

/// A query, as it stands behind the question mark.
pub(super) struct Query<'q>(&'q str);

impl<'q> Query<'q> {
    pub(super) const fn new(text: &'q str) -> Self {
        Self(text)
    }

    /// The value of that name, decoded as forms are: a plus is a space.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(found, _)| *found == name)?;
        let value = value.replace('+', " ");
        Some(percent_decode_str(&value).decode_utf8_lossy().into_owned())
    }

    /// Whether it says that.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).is_some_and(|told| told == value)
    }
}
