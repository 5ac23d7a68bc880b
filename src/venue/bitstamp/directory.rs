//! Patterns of markets, against all that the venue lists.
//!
//! Source of the protocol's facts: the venue's public documentation ("Market info", `/api/v2/markets/`), and public clients. The
//! names of channels end with the `market_symbol`.

use super::Bitstamp;
use crate::market::Instrument;
use crate::venue::directory::{is_pattern_of, matching, read_json};
use crate::venue::{Directory, InvalidListing, Listed, Listing};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Market {
    #[serde(rename = "market_symbol")]
    symbol: String,
    trading: String,
    name: Option<String>,
}

impl Directory for Bitstamp {
    fn default_url(&self) -> &'static str {
        "https://www.bitstamp.net"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        is_pattern_of(name, legal).then_some(()).ok_or(
            "a name at Bitstamp is an instrument with * or ? in it, as in btc* or *usd; a whole one is for instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        "/api/v2/markets/".to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let markets: Vec<Market> = read_json(answer)?;
        let traded = markets.into_iter().filter(|market| market.trading == "Enabled");
        let listed = traded.map(|market| Listed {
            instrument: Instrument::new(&market.symbol),
            title: market.name.unwrap_or(market.symbol),
        });
        matching(name, listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const MARKETS: &str = r#"[
        {"name": "AAA/USD", "market_symbol": "aaausd", "base_currency": "AAA", "counter_currency": "USD", "trading": "Enabled",
         "market_type": "SPOT"},
        {"name": "AAA/EUR", "market_symbol": "aaaeur", "base_currency": "AAA", "counter_currency": "EUR", "trading": "Disabled",
         "market_type": "SPOT"},
        {"market_symbol": "aaausd-perp", "base_currency": "AAA", "counter_currency": "USD", "trading": "Enabled",
         "market_type": "PERPETUAL"}
    ]"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Bitstamp, name, answer, |one| {
            format!("{} {}", one.instrument, one.title)
        })
    }

    #[test]
    fn what_is_traded_and_fits_is_listed() {
        assert_eq!(
            listed("*", MARKETS).unwrap(),
            ["aaausd AAA/USD", "aaausd-perp aaausd-perp"]
        );
        assert_eq!(listed("*usd", MARKETS).unwrap(), ["aaausd AAA/USD"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        for (answer, told) in [
            (MARKETS, "lists nothing that fits"),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(listed("*eur", answer).unwrap_err(), told, "{answer}");
        }
        for answer in [
            r#"{"status": "error", "reason": "Request rejected", "code": "400.002"}"#,
            r#"[{"url_symbol": "aaausd", "trading": "Enabled"}]"#,
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
        for name in ["btc*", "*", "*-perp", "???eur"] {
            assert!(Bitstamp.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "btcusd", "BTC*", "btc/*"] {
            assert!(Bitstamp.check_name(name).is_err(), "{name}");
        }
    }
}
