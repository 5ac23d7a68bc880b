//! Patterns of symbols, against all pairs that the venue lists.
//!
//! Source of the protocol's facts: the venue's public documentation ("Get Tradable Asset Pairs", and of the names of assets that
//! version 2 changed). `wsname` is the name in version 1, which calls Bitcoin XBT and Dogecoin XDG.

use super::Kraken;
use crate::market::Instrument;
use crate::venue::directory::{is_pattern_of, matching, read_json, refused};
use crate::venue::{Directory, InvalidListing, Listed, Listing};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Answer {
    error: Vec<String>,
    /// An error comes without. By the name of the pair, so that the order is the same each time.
    result: Option<BTreeMap<String, Pair>>,
}

#[derive(Deserialize)]
struct Pair {
    /// Pairs that are not traded in public have none.
    wsname: Option<String>,
    status: String,
}

impl Pair {
    /// As version 2 calls it.
    fn symbol(&self) -> Option<String> {
        // With the other statuses there are no new orders, and the book may be empty.
        let has_book = matches!(self.status.as_str(), "online" | "post_only" | "limit_only");
        let (base, quote) = self.wsname.as_deref().filter(|_| has_book)?.split_once('/')?;
        Some(format!("{}/{}", asset(base), asset(quote)))
    }
}

fn asset(of_version_1: &str) -> &str {
    match of_version_1 {
        "XBT" => "BTC",
        "XDG" => "DOGE",
        other => other,
    }
}

impl Directory for Kraken {
    fn default_url(&self) -> &'static str {
        "https://api.kraken.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
        is_pattern_of(name, legal).then_some(()).ok_or(
            "a name at Kraken is a symbol with * or ? in it, as in BTC/* or */USD; a whole symbol is for instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        "/0/public/AssetPairs".to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let answer: Answer = read_json(answer)?;
        if let Some(error) = answer.error.first() {
            return Err(refused(error));
        }
        let Some(pairs) = answer.result else {
            return Err(InvalidListing::new("has no result"));
        };
        let listed = pairs.into_iter().filter_map(|(pair, told)| {
            let symbol = told.symbol()?;
            Some(Listed {
                instrument: Instrument::new(&symbol),
                title: pair,
            })
        });
        matching(name, listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const PAIRS: &str = r#"{"error": [], "result": {
        "XXBTZUSD": {"altname": "XBTUSD", "wsname": "XBT/USD", "status": "online"},
        "XDGXBT": {"altname": "XDGXBT", "wsname": "XDG/XBT", "status": "limit_only"},
        "AAAUSD": {"altname": "AAAUSD", "wsname": "AAA/USD", "status": "cancel_only"},
        "AAAUSD.d": {"altname": "AAAUSD.d", "status": "online"},
        "BBBEUR": {"altname": "BBBEUR", "wsname": "BBB/EUR", "status": "online"}
    }}"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Kraken, name, answer, |one| format!("{} {}", one.instrument, one.title))
    }

    #[test]
    fn what_has_a_book_and_fits_is_listed_as_version_2_calls_it() {
        assert_eq!(
            listed("*", PAIRS).unwrap(),
            ["BBB/EUR BBBEUR", "DOGE/BTC XDGXBT", "BTC/USD XXBTZUSD"]
        );
        assert_eq!(listed("BTC/*", PAIRS).unwrap(), ["BTC/USD XXBTZUSD"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        for (answer, told) in [
            (PAIRS, "lists nothing that fits"),
            (
                r#"{"error": ["EGeneral:Too many requests"]}"#,
                "is an error: EGeneral:Too many requests",
            ),
            (r#"{"error": []}"#, "has no result"),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(listed("XBT/*", answer).unwrap_err(), told, "{answer}");
        }
        assert!(listed("*", &PAIRS[..60]).unwrap_err().starts_with("is cut off"));
        for answer in [r#"{"result": {}}"#, r#"{"error": [], "result": {"AAAUSD": {"id": 1}}}"#] {
            let error = listed("*", answer).unwrap_err();
            assert!(
                error.starts_with("is not what the documentation describes"),
                "{answer}: {error}"
            );
        }
    }

    #[test]
    fn a_name_is_a_pattern() {
        for name in ["BTC/*", "*", "*/USD", "???/EUR"] {
            assert!(Kraken.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "BTC/USD", "BTC/* ", "event:*"] {
            assert!(Kraken.check_name(name).is_err(), "{name}");
        }
        assert_eq!(Kraken.request("*", None), "/0/public/AssetPairs");
    }
}
