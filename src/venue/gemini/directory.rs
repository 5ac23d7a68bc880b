//! Patterns of symbols, against all that the venue lists.
//!
//! Source of the protocol's facts: the venue's public documentation ("List symbols"). They are listed in small letters, while
//! subscriptions have capitals. Whether one is traded the venue tells of each alone, so that all that it lists counts as traded.

use super::Gemini;
use crate::venue::directory::{is_pattern_of, matching, read_json, untitled};
use crate::venue::{Directory, InvalidListing, Listing};
use std::borrow::Cow;

impl Directory for Gemini {
    fn default_url(&self) -> &'static str {
        "https://api.gemini.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        is_pattern_of(name, legal).then_some(()).ok_or(
            "a name at Gemini is a symbol with * or ? in it, as in BTC* or *USD; a whole symbol is for instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        "/v1/symbols".to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let symbols: Vec<String> = read_json(answer)?;
        let listed = symbols.into_iter().map(|symbol| untitled(symbol.to_ascii_uppercase()));
        matching(name, listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const SYMBOLS: &str = r#"["aaausd", "aaaeur", "aaagusdperp"]"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Gemini, name, answer, |one| one.instrument.to_string())
    }

    #[test]
    fn what_fits_is_listed_as_it_is_subscribed_to() {
        assert_eq!(listed("AAA???", SYMBOLS).unwrap(), ["AAAUSD", "AAAEUR"]);
        assert_eq!(listed("*PERP", SYMBOLS).unwrap(), ["AAAGUSDPERP"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        for (answer, told) in [
            (SYMBOLS, "lists nothing that fits"),
            ("[]", "lists nothing that fits"),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(listed("BBB*", answer).unwrap_err(), told, "{answer}");
        }
        let other = listed("*", r#"{"result": "error", "reason": "RateLimit"}"#).unwrap_err();
        assert!(other.starts_with("is not what the documentation describes"), "{other}");
    }

    #[test]
    fn a_name_is_a_pattern() {
        for name in ["BTC*", "*", "*PERP", "???USD"] {
            assert!(Gemini.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "BTCUSD", "btc*", "BTC/*"] {
            assert!(Gemini.check_name(name).is_err(), "{name}");
        }
    }
}
