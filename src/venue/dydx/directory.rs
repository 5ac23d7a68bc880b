//! Patterns of tickers, against all that the venue lists.
//!
//! Source of the protocol's facts: the public documentation ("List perpetual markets" of the indexer's HTTP API) and the indexer's
//! source code (`perpetual-markets-controller.ts`). All come at once, by their tickers.

use super::Dydx;
use crate::venue::directory::{is_pattern_of, matching, read_json, untitled};
use crate::venue::{Directory, InvalidListing, Listing};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Answer {
    markets: BTreeMap<String, Market>,
}

#[derive(Deserialize)]
struct Market {
    ticker: String,
    status: String,
}

impl Directory for Dydx {
    fn default_url(&self) -> &'static str {
        "https://indexer.dydx.trade"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_,.".contains(&byte);
        is_pattern_of(name, legal).then_some(()).ok_or(
            "a name at dYdX is a ticker with * or ? in it, as in BTC* or *-USD; a whole ticker is for instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        "/v4/perpetualMarkets".to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let answer: Answer = read_json(answer)?;
        // With the other statuses there are no new orders, and the book may be empty.
        let has_book = |market: &Market| matches!(market.status.as_str(), "ACTIVE" | "POST_ONLY");
        let traded = answer.markets.into_values().filter(has_book);
        matching(name, traded.map(|market| untitled(market.ticker)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const MARKETS: &str = r#"{"markets": {
        "BBB-USD": {"clobPairId": "1", "ticker": "BBB-USD", "status": "POST_ONLY", "oraclePrice": "1.5"},
        "AAA-USD": {"clobPairId": "0", "ticker": "AAA-USD", "status": "ACTIVE", "oraclePrice": "2.5"},
        "AAB-USD": {"clobPairId": "2", "ticker": "AAB-USD", "status": "FINAL_SETTLEMENT", "oraclePrice": "0"},
        "AAD,RAYDIUM,4k3-USD": {"clobPairId": "4", "ticker": "AAD,RAYDIUM,4k3-USD", "status": "ACTIVE", "oraclePrice": "0"}
    }}"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Dydx, name, answer, |one| one.instrument.to_string())
    }

    #[test]
    fn what_has_a_book_and_fits_is_listed() {
        assert_eq!(listed("AA*", MARKETS).unwrap(), ["AAA-USD", "AAD,RAYDIUM,4k3-USD"]);
        assert_eq!(listed("???-USD", MARKETS).unwrap(), ["AAA-USD", "BBB-USD"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        assert_eq!(listed("CCC*", MARKETS).unwrap_err(), "lists nothing that fits");
        assert_eq!(listed("*", "<html>").unwrap_err(), "is not JSON (line 1, column 1)");
        assert!(listed("*", &MARKETS[..60]).unwrap_err().starts_with("is cut off"));
        for answer in [
            r#"{"errors": [{"msg": "Too many requests"}]}"#,
            r#"{"markets": {"AAA-USD": {"ticker": "AAA-USD"}}}"#,
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
        for name in ["BTC*", "*", "*-USD", "WIF,RAYDIUM,*"] {
            assert!(Dydx.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "BTC-USD", "BTC/*", "* "] {
            assert!(Dydx.check_name(name).is_err(), "{name}");
        }
    }
}
