//! Patterns of symbols, against all that the venue lists.
//!
//! Source of the protocol's facts: the venue's public documentation ("Exchange information" of spot, USD-M and COIN-M). COIN-M
//! names the status of a contract otherwise.

use super::Binance;
use crate::market::Instrument;
use crate::venue::directory::{is_pattern, matching, read_json};
use crate::venue::{Directory, InvalidListing, Listed, Listing, Venue};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct ExchangeInfo {
    symbols: Vec<Symbol>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol {
    #[serde(rename = "symbol")]
    id: String,
    #[serde(alias = "contractStatus")]
    status: String,
    base_asset: String,
    quote_asset: String,
}

impl Directory for Binance {
    fn default_url(&self) -> &str {
        match self {
            Self::Spot => "https://api.binance.com",
            Self::UsdM => "https://fapi.binance.com",
            Self::CoinM => "https://dapi.binance.com",
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let without = name.replace(['*', '?'], "");
        let fits = is_pattern(name) && (without.is_empty() || self.check_instrument(&without).is_ok());
        fits.then_some(()).ok_or(
            "a name at Binance is a symbol with * or ? in it, as in BTC* or ???USDT; a whole symbol is for instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        match self {
            // Without the sets of permissions the answer has a fraction of its size.
            Self::Spot => "/api/v3/exchangeInfo?symbolStatus=TRADING&showPermissionSets=false",
            Self::UsdM => "/fapi/v1/exchangeInfo",
            Self::CoinM => "/dapi/v1/exchangeInfo",
        }
        .to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let info: ExchangeInfo = read_json(answer)?;
        let trading = info.symbols.into_iter().filter(|symbol| symbol.status == "TRADING");
        let listed = trading.map(|symbol| Listed {
            instrument: Instrument::new(&symbol.id),
            title: format!("{}/{}", symbol.base_asset, symbol.quote_asset),
        });
        matching(name, listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const SPOT: &str = r#"{"timezone": "UTC", "serverTime": 1900000000000, "rateLimits": [], "exchangeFilters": [], "symbols": [
        {"symbol": "AAABBB", "status": "TRADING", "baseAsset": "AAA", "quoteAsset": "BBB", "filters": [{"filterType": "LOT_SIZE"}]},
        {"symbol": "AAACCC", "status": "BREAK", "baseAsset": "AAA", "quoteAsset": "CCC", "filters": []},
        {"symbol": "DDDBBB", "status": "TRADING", "baseAsset": "DDD", "quoteAsset": "BBB", "filters": []}
    ]}"#;
    const COINM: &str = r#"{"symbols": [
        {"symbol": "AAAUSD_PERP", "contractStatus": "TRADING", "baseAsset": "AAA", "quoteAsset": "USD", "contractSize": 10},
        {"symbol": "AAAUSD_300927", "contractStatus": "PENDING_TRADING", "baseAsset": "AAA", "quoteAsset": "USD", "contractSize": 10}
    ]}"#;

    fn listed(market: Binance, name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&market, name, answer, |one| format!("{} {}", one.instrument, one.title))
    }

    #[test]
    fn what_is_traded_and_fits_is_listed() {
        assert_eq!(listed(Binance::Spot, "AAA*", SPOT).unwrap(), ["AAABBB AAA/BBB"]);
        assert_eq!(listed(Binance::Spot, "???BBB", SPOT).unwrap().len(), 2);
        assert_eq!(listed(Binance::CoinM, "*", COINM).unwrap(), ["AAAUSD_PERP AAA/USD"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        assert_eq!(
            listed(Binance::Spot, "EEE*", SPOT).unwrap_err(),
            "lists nothing that fits"
        );
        let error = listed(Binance::Spot, "*", r#"{"code": -1003, "msg": "Too many requests"}"#).unwrap_err();
        assert!(error.starts_with("is not what the documentation describes"), "{error}");
    }

    #[test]
    fn a_name_is_a_pattern() {
        for name in ["BTC*", "*", "???USDT", "BTCUSD_*"] {
            assert!(Binance::Spot.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "BTCUSDT", "btc*", "event:a*", "BTC *"] {
            assert!(Binance::Spot.check_name(name).is_err(), "{name}");
        }
    }
}
