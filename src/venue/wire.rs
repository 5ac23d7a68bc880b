//! What adapters read of JSON alike.

use crate::market::DecodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What is told of a refusal for which the venue has no words.
pub(super) const NO_WORDS: &str = "the venue refused the subscription";

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

/// Why a request was refused, as many venues say it.
#[derive(Deserialize)]
struct Refusal<'f> {
    code: Option<i64>,
    #[serde(alias = "msg", borrow)]
    message: Cow<'f, str>,
}

/// The words of a refusal with a code and a message.
pub(super) fn refusal(said: Option<&RawValue>) -> String {
    let refusal = said.and_then(|said| serde_json::from_str::<Refusal<'_>>(said.get()).ok());
    match refusal.filter(|refusal| !refusal.message.is_empty()) {
        Some(Refusal {
            code: Some(code),
            message,
        }) => format!("{message} (code {code})"),
        Some(Refusal { code: None, message }) => message.into_owned(),
        None => NO_WORDS.to_owned(),
    }
}
