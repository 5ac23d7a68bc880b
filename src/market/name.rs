//! Names that users choose.

use std::fmt;
use std::sync::Arc;

/// Why a name was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(&'static str);

/// The unique name of a configured stream: 1 to 64 of the characters `A-Z a-z 0-9 _ - .`.
///
/// ```
/// use feedwatch::market::StreamName;
///
/// assert_eq!(StreamName::new("btc-usd_2.a").unwrap().to_string(), "btc-usd_2.a");
/// let error = StreamName::new("btc/usd").unwrap_err();
/// assert_eq!(error.to_string(), "a stream's name is 1 to 64 of the characters A-Z a-z 0-9 _ - .");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// Accepts a name, or says what a name must look like.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
            return Err(InvalidName(
                "a stream's name is 1 to 64 of the characters A-Z a-z 0-9 _ - .",
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is subscribed to, in the venue's own spelling: a Polymarket token id, `BTCUSDT`, ...
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instrument(Arc<str>);

impl Instrument {
    /// Takes the id as the venue spells it; [`crate::venue::Venue::check_instrument`] knows which are possible.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// No venue calls anything by a longer name: bytes.
pub(crate) const LONGEST_NAME: usize = 256;

/// Whether a venue may call something that. What a frame says is anybody's text: one that is longer is no name, and is kept nowhere.
pub(crate) const fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
}

impl std::borrow::Borrow<str> for Instrument {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_name_is_short_and_plain() {
        assert_eq!(StreamName::new("btc-usd_2.a").unwrap().as_str(), "btc-usd_2.a");
        for bad in ["", "a b", "a\"b", "ü", &"x".repeat(65)] {
            assert!(StreamName::new(bad).is_err(), "{bad:?}");
        }
    }
}
