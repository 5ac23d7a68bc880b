//! Patterns of products, against all that the venue lists.
//!
//! Source of the protocol's facts: the venue's public documentation ("Get instruments" of the futures' REST API). What is listed
//! and not tradeable is an index, or waits for its first or its last day.

use super::KrakenFutures;
use crate::market::Instrument;
use crate::venue::directory::{is_pattern_of, matching, read_json, refused};
use crate::venue::{Directory, InvalidListing, Listed, Listing};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
    /// An error comes without.
    instruments: Option<Vec<Product>>,
}

#[derive(Deserialize)]
struct Product {
    symbol: String,
    tradeable: bool,
    /// An index has none.
    pair: Option<String>,
}

impl Directory for KrakenFutures {
    fn default_url(&self) -> &'static str {
        "https://futures.kraken.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
        is_pattern_of(name, legal).then_some(()).ok_or(
            "a name at Kraken futures is a product with * or ? in it, as in PF_* or FI_XBTUSD_??????; a whole product is for \
             instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        "/derivatives/api/v3/instruments".to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let answer: Answer = read_json(answer)?;
        if let Some(error) = answer.error {
            return Err(refused(&error));
        }
        let Some(products) = answer.instruments else {
            return Err(InvalidListing::new("has no instruments"));
        };
        let tradeable = products.into_iter().filter(|product| product.tradeable);
        let listed = tradeable.map(|product| Listed {
            instrument: Instrument::new(&product.symbol),
            title: product.pair.unwrap_or(product.symbol),
        });
        matching(name, listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const PRODUCTS: &str = r#"{"result": "success", "serverTime": "2030-01-01T00:00:00.000Z", "instruments": [
        {"symbol": "PF_AAAUSD", "pair": "AAA:USD", "type": "flexible_futures", "tradeable": true, "tickSize": 0.5},
        {"symbol": "FI_AAAUSD_300927", "pair": "AAA:USD", "type": "futures_inverse", "tradeable": false},
        {"symbol": "in_aaausd", "type": "spot index", "tradeable": false},
        {"symbol": "PF_BBBUSD", "type": "flexible_futures", "tradeable": true}
    ]}"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&KrakenFutures, name, answer, |one| {
            format!("{} {}", one.instrument, one.title)
        })
    }

    #[test]
    fn what_is_tradeable_and_fits_is_listed() {
        assert_eq!(
            listed("*", PRODUCTS).unwrap(),
            ["PF_AAAUSD AAA:USD", "PF_BBBUSD PF_BBBUSD"]
        );
        assert_eq!(listed("*_AAA*", PRODUCTS).unwrap(), ["PF_AAAUSD AAA:USD"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        for (answer, told) in [
            (PRODUCTS, "lists nothing that fits"),
            (
                r#"{"result": "error", "error": "apiLimitExceeded"}"#,
                "is an error: apiLimitExceeded",
            ),
            (r#"{"result": "success"}"#, "has no instruments"),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(listed("FI_*", answer).unwrap_err(), told, "{answer}");
        }
        let other = listed("*", r#"{"instruments": [{"symbol": "PF_AAAUSD"}]}"#).unwrap_err();
        assert!(other.starts_with("is not what the documentation describes"), "{other}");
    }

    #[test]
    fn a_name_is_a_pattern() {
        for name in ["PF_*", "*", "FI_XBTUSD_??????"] {
            assert!(KrakenFutures.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "PF_XBTUSD", "pf_*", "PF_XBT/*"] {
            assert!(KrakenFutures.check_name(name).is_err(), "{name}");
        }
    }
}
