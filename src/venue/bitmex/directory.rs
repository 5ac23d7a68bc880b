//! Patterns of symbols, against all that the venue lists.
//!
//! Source of the protocol's facts: the venue's public documentation (`/instrument/active` of the API explorer). What has expired
//! within a day is listed as well, in another state; indices, which nobody trades, are not.

use super::Bitmex;
use crate::venue::directory::{is_pattern_of, matching, read_json, untitled};
use crate::venue::{Directory, InvalidListing, Listing};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Row {
    symbol: String,
    state: String,
}

impl Directory for Bitmex {
    fn default_url(&self) -> &'static str {
        "https://www.bitmex.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.');
        is_pattern_of(name, legal).then_some(()).ok_or(
            "a name at BitMEX is a symbol with * or ? in it, as in XBT* or *_USDT; a whole symbol is for instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        "/api/v1/instrument/active".to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let rows: Vec<Row> = read_json(answer)?;
        let open = rows.into_iter().filter(|row| row.state == "Open");
        matching(name, open.map(|row| untitled(row.symbol)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const ACTIVE: &str = r#"[
        {"symbol": "AAAUSD", "rootSymbol": "AAA", "state": "Open", "typ": "FFWCSX", "tickSize": 0.5},
        {"symbol": "AAAU30", "rootSymbol": "AAA", "state": "Settled", "typ": "FFCCSX", "tickSize": 0.5},
        {"symbol": "AAA_USDT", "rootSymbol": "AAA", "state": "Open", "typ": "IFXXXP", "tickSize": 0.5}
    ]"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Bitmex, name, answer, |one| one.instrument.to_string())
    }

    #[test]
    fn what_is_open_and_fits_is_listed() {
        assert_eq!(listed("AAA*", ACTIVE).unwrap(), ["AAAUSD", "AAA_USDT"]);
        assert_eq!(listed("*_USDT", ACTIVE).unwrap(), ["AAA_USDT"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        for (answer, told) in [
            (ACTIVE, "lists nothing that fits"),
            ("[]", "lists nothing that fits"),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(listed("AAAU*30", answer).unwrap_err(), told, "{answer}");
        }
        for answer in [
            r#"{"error": {"message": "Rate limit exceeded", "name": "RateLimitError"}}"#,
            r#"[{"symbol": "AAAUSD"}]"#,
        ] {
            let error = listed("*", answer).unwrap_err();
            assert!(
                error.starts_with("is not what the documentation describes"),
                "{answer}: {error}"
            );
        }
    }

    #[test]
    fn a_name_is_a_pattern() {
        for name in ["XBT*", "*", "*_USDT", "XBT?30"] {
            assert!(Bitmex.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "XBTUSD", "xbt*", "XBT-*"] {
            assert!(Bitmex.check_name(name).is_err(), "{name}");
        }
    }
}
