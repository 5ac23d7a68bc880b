//! Patterns of products, against all that the venue lists.
//!
//! Source of the protocol's facts: the venue's public documentation ("Get all known trading pairs" of the Exchange, "List Public
//! Products" of Advanced Trade). Neither needs a key, and without a limit both list all at once.

use super::Coinbase;
use crate::market::Instrument;
use crate::venue::directory::{is_pattern_of, matching, read_json};
use crate::venue::{Directory, InvalidListing, Listed, Listing};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Products {
    products: Vec<Product>,
}

#[derive(Deserialize)]
struct Product {
    #[serde(alias = "product_id")]
    id: String,
    /// Of a future it is empty.
    #[serde(default)]
    status: String,
    /// On Advanced Trade.
    #[serde(default)]
    is_disabled: bool,
    #[serde(default)]
    trading_disabled: bool,
    #[serde(default)]
    display_name: Option<String>,
}

impl Product {
    fn is_traded(&self) -> bool {
        matches!(self.status.as_str(), "online" | "") && !self.is_disabled && !self.trading_disabled
    }
}

impl Directory for Coinbase {
    fn default_url(&self) -> &str {
        match self {
            Self::Advanced => "https://api.coinbase.com",
            Self::Exchange => "https://api.exchange.coinbase.com",
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        is_pattern_of(name, legal).then_some(()).ok_or(
            "a name at Coinbase is a product with * or ? in it, as in BTC-* or *-USD; a whole product is for instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        match self {
            Self::Advanced => "/api/v3/brokerage/market/products",
            Self::Exchange => "/products",
        }
        .to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let products = match self {
            Self::Advanced => read_json::<Products>(answer)?.products,
            Self::Exchange => read_json::<Vec<Product>>(answer)?,
        };
        let listed = products.into_iter().filter(Product::is_traded).map(|product| Listed {
            instrument: Instrument::new(&product.id),
            title: product.display_name.unwrap_or(product.id),
        });
        matching(name, listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const EXCHANGE: &str = r#"[
        {"id": "AAA-USD", "base_currency": "AAA", "quote_currency": "USD", "status": "online", "trading_disabled": false,
         "display_name": "AAA/USD"},
        {"id": "AAA-EUR", "base_currency": "AAA", "quote_currency": "EUR", "status": "delisted", "trading_disabled": false},
        {"id": "BBB-USD", "base_currency": "BBB", "quote_currency": "USD", "status": "online", "trading_disabled": true},
        {"id": "CCC-USD", "base_currency": "CCC", "quote_currency": "USD", "status": "online", "trading_disabled": false}
    ]"#;
    const ADVANCED: &str = r#"{"num_products": 3, "products": [
        {"product_id": "AAA-USD", "status": "online", "is_disabled": false},
        {"product_id": "BBB-USD", "status": "online", "is_disabled": true},
        {"product_id": "AAA-31JAN30-CDE", "status": "", "is_disabled": false, "display_name": "AAA 31 JAN 30"}
    ]}"#;

    fn listed(market: Coinbase, name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&market, name, answer, |one| format!("{} {}", one.instrument, one.title))
    }

    #[test]
    fn what_is_traded_and_fits_is_listed() {
        assert_eq!(
            listed(Coinbase::Exchange, "*-USD", EXCHANGE).unwrap(),
            ["AAA-USD AAA/USD", "CCC-USD CCC-USD"]
        );
        assert_eq!(
            listed(Coinbase::Exchange, "AAA-*", EXCHANGE).unwrap(),
            ["AAA-USD AAA/USD"]
        );
        assert_eq!(
            listed(Coinbase::Advanced, "*", ADVANCED).unwrap(),
            ["AAA-USD AAA-USD", "AAA-31JAN30-CDE AAA 31 JAN 30"]
        );
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        let nothing = listed(Coinbase::Exchange, "DDD-*", EXCHANGE).unwrap_err();
        assert_eq!(nothing, "lists nothing that fits");
        assert_eq!(
            listed(Coinbase::Exchange, "*", "<html>").unwrap_err(),
            "is not JSON (line 1, column 1)"
        );
        for (market, answer) in [
            (Coinbase::Exchange, r#"{"message": "Public rate limit exceeded"}"#),
            (Coinbase::Exchange, ADVANCED),
            (Coinbase::Advanced, r#"{"error": "unknown", "code": 5}"#),
            (Coinbase::Advanced, r#"{"products": [{"symbol": "AAA-USD"}]}"#),
        ] {
            let error = listed(market, "*", answer).unwrap_err();
            assert!(
                error.starts_with("is not what the documentation describes"),
                "{answer}: {error}"
            );
        }
    }

    #[test]
    fn a_name_is_a_pattern() {
        for name in ["BTC-*", "*", "*-USD", "???-USD"] {
            assert!(Coinbase::Advanced.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "BTC-USD", "btc-*", "BTC/*", "* "] {
            assert!(Coinbase::Exchange.check_name(name).is_err(), "{name}");
        }
        assert_eq!(Coinbase::Exchange.request("*", None), "/products");
        assert_eq!(
            Coinbase::Advanced.request("*", None),
            "/api/v3/brokerage/market/products"
        );
    }
}
