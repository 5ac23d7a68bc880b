//! Patterns of symbols, against all that the venue lists in a category.
//!
//! Source of the protocol's facts: the venue's public documentation ("Get Instruments Info" of version 5). Spot comes at once, the
//! others in pages. Options are listed for one base coin at a time, so that a pattern of them begins with it. The mark of the next
//! page comes escaped, as it is to be sent.

use super::Bybit;
use crate::market::Instrument;
use crate::venue::directory::{is_pattern, is_pattern_of, matches, next_page, query_value, read_json, refused};
use crate::venue::{Directory, InvalidListing, Listed, Listing};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    ret_code: i64,
    #[serde(default)]
    ret_msg: String,
    /// An error has an empty object, or nothing.
    result: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    list: Vec<Row>,
    next_page_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    symbol: String,
    status: String,
    base_coin: String,
    quote_coin: String,
}

impl Bybit {
    const fn category(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Linear => "linear",
            Self::Inverse => "inverse",
            Self::Option => "option",
        }
    }
}

/// The base coin that the patterns of options begin with.
fn base_coin(name: &str) -> Option<&str> {
    let (coin, _) = name.split_once('-')?;
    (!coin.is_empty() && !is_pattern(coin)).then_some(coin)
}

impl Directory for Bybit {
    fn default_url(&self) -> &'static str {
        "https://api.bybit.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        let is_listed = *self != Self::Option || base_coin(name).is_some();
        let words = match self {
            Self::Option => {
                "a name at Bybit's options is a symbol with * or ? behind its coin, as in BTC-* or ETH-27MAR26-*-C-USDT; a whole \
                 symbol is for instruments"
            }
            _ => {
                "a name at Bybit is a symbol with * or ? in it, as in BTC* or *USDT; a whole symbol is for instruments"
            }
        };
        (is_listed && is_pattern_of(name, legal))
            .then_some(())
            .ok_or(words.into())
    }

    fn request(&self, name: &str, page: Option<&str>) -> String {
        let coin = base_coin(name).filter(|_| *self == Self::Option);
        let coin = coin.map_or(String::new(), |coin| format!("&baseCoin={coin}"));
        let from = page.map_or(String::new(), |page| format!("&cursor={}", query_value(page, b"%")));
        let category = self.category();
        format!("/v5/market/instruments-info?category={category}{coin}&limit=1000{from}")
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let answer: Answer = read_json(answer)?;
        if answer.ret_code != 0 {
            return Err(refused(&format!("{}: {}", answer.ret_code, answer.ret_msg)));
        }
        let Some(result) = answer.result else {
            return Err(InvalidListing::new("has no result"));
        };
        let page: Page = read_json(result.get().as_bytes())?;
        // Only of a page it may be that nothing fits: others go before it or follow.
        if page.list.is_empty() {
            return Err(InvalidListing::new("lists nothing"));
        }
        let trading = page.list.into_iter().filter(|row| row.status == "Trading");
        let fitting = trading.filter(|row| matches(name, &row.symbol));
        Ok(Listing {
            instruments: fitting
                .map(|row| Listed {
                    instrument: Instrument::new(&row.symbol),
                    title: format!("{}/{}", row.base_coin, row.quote_coin),
                })
                .collect(),
            next: next_page(page.next_page_cursor)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: &str = r#"{"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [
        {"symbol": "AAAUSDT", "status": "Trading", "baseCoin": "AAA", "quoteCoin": "USDT"},
        {"symbol": "AAAPERP", "status": "PreLaunch", "baseCoin": "AAA", "quoteCoin": "USDC"},
        {"symbol": "BBBUSDT", "status": "Trading", "baseCoin": "BBB", "quoteCoin": "USDT"}
    ], "nextPageCursor": "first%3DAAA"}, "time": 1900000000000}"#;

    fn read(name: &str, answer: &str) -> Result<Listing, String> {
        Bybit::Linear
            .read(name, answer.as_bytes())
            .map_err(|error| error.to_string())
    }

    fn shown(listing: &Listing) -> Vec<String> {
        let shown = |listed: &Listed| format!("{} {}", listed.instrument, listed.title);
        listing.instruments.iter().map(shown).collect()
    }

    #[test]
    fn what_is_traded_and_fits_is_listed_page_by_page() {
        let listing = read("AAA*", LINEAR).unwrap();
        assert_eq!(shown(&listing), ["AAAUSDT AAA/USDT"]);
        assert_eq!(
            Bybit::Linear.request("AAA*", listing.next.as_deref()),
            "/v5/market/instruments-info?category=linear&limit=1000&cursor=first%3DAAA"
        );
        let listing = read("CCC*", LINEAR).unwrap();
        assert_eq!(
            (shown(&listing).len(), listing.next.is_some()),
            (0, true),
            "what fits may follow"
        );
        let last = LINEAR.replace("first%3DAAA", "");
        assert_eq!(read("*USDT", &last).unwrap().next, None);
    }

    #[test]
    fn what_is_no_listing_is_an_error() {
        for (answer, told) in [
            (
                r#"{"retCode": 10006, "retMsg": "Too many visits.", "result": {}}"#,
                "is an error: 10006: Too many visits.",
            ),
            (r#"{"retCode": 0, "result": null}"#, "has no result"),
            (
                r#"{"retCode": 0, "result": {"list": [], "nextPageCursor": ""}}"#,
                "lists nothing",
            ),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(read("*", answer).unwrap_err(), told, "{answer}");
        }
        assert!(read("*", &LINEAR[..150]).unwrap_err().starts_with("is cut off"));
        for answer in [
            r#"{"code": "0"}"#,
            r#"{"retCode": 0, "result": {"list": [{"id": "AAA"}]}}"#,
        ] {
            let error = read("*", answer).unwrap_err();
            assert!(
                error.starts_with("is not what the documentation describes"),
                "{answer}: {error}"
            );
        }
    }

    #[test]
    fn a_name_is_a_pattern_and_of_options_one_behind_a_coin() {
        for name in ["BTC*", "*", "???USDT", "BTC-*"] {
            assert!(Bybit::Spot.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "BTCUSDT", "btc*", "BTC/*"] {
            assert!(Bybit::Linear.check_name(name).is_err(), "{name}");
        }
        assert!(Bybit::Option.check_name("ETH-27MAR30-*").is_ok());
        assert_eq!(
            Bybit::Option.request("ETH-27MAR30-*", None),
            "/v5/market/instruments-info?category=option&baseCoin=ETH&limit=1000"
        );
        for name in ["*", "E*-C", "-*", "ETH-27MAR30"] {
            assert!(Bybit::Option.check_name(name).is_err(), "{name}");
        }
    }
}
