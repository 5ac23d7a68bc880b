//! What adapters read of JSON alike.

use crate::market::DecodeError;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::value::RawValue;

/// What is wrong with a frame that could not be read.
pub(super) fn reason(error: &serde_json::Error) -> DecodeError {
    if error.is_data() {
        DecodeError::Schema
    } else {
        DecodeError::Json
    }
}

/// A field of that type, in quotes or not; `None` where it is anything else: a venue may use one name for two things.
pub(super) fn lenient<'de, T: DeserializeOwned, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(field)?.get();
    Ok(serde_json::from_str(unquoted(raw)).ok())
}

/// What stands in quotes, or the whole text where it does not.
pub(super) fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(text)
}
