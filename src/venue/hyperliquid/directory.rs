//! Patterns of coins, against the list of the venue that they belong to.
//!
//! Source of the protocol's facts: the venue's public documentation ("Info endpoint", of perpetuals `meta`, of spot `spotMeta`).
//! The venue is asked with a body. Each market that somebody else has deployed has a list of its own, whose coins begin with its
//! name. The coins of spot are mostly numbers, `@107`: people know the tokens that they stand for, `HYPE/USDC`.

use super::Hyperliquid;
use crate::market::Instrument;
use crate::venue::directory::{fitting, is_pattern_of, matches, read_json, untitled};
use crate::venue::{Directory, InvalidListing, Listed, Listing};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashMap;

/// What a pattern is held against.
#[derive(Clone, Copy)]
enum List<'n> {
    Spot,
    /// Of the market of that name; the venue's own has none.
    Perpetuals(&'n str),
}

/// The list that a pattern is of; `None` = it is no pattern.
fn list(name: &str) -> Option<List<'_>> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"@/:_.-".contains(&byte);
    if !is_pattern_of(name, legal) {
        return None;
    }
    let is_spot = name.contains(['@', '/']);
    match name.split_once(':') {
        None if is_spot => Some(List::Spot),
        None => Some(List::Perpetuals("")),
        Some((market, coin)) => {
            let is_whole = !market.is_empty() && market.bytes().all(|byte| byte.is_ascii_alphanumeric());
            (is_whole && !is_spot && !coin.contains(':')).then_some(List::Perpetuals(market))
        }
    }
}

#[derive(Deserialize)]
struct Perpetuals {
    universe: Vec<Coin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Coin {
    name: String,
    #[serde(default)]
    is_delisted: bool,
}

#[derive(Deserialize)]
struct Spot {
    tokens: Vec<Token>,
    universe: Vec<Pair>,
}

#[derive(Deserialize)]
struct Token {
    index: u64,
    name: String,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    /// What is traded, and for what.
    tokens: [u64; 2],
}

impl Spot {
    fn listed(self) -> Vec<Listed> {
        let tokens: HashMap<_, _> = self.tokens.into_iter().map(|token| (token.index, token.name)).collect();
        let title = |[base, quote]: [u64; 2]| Some(format!("{}/{}", tokens.get(&base)?, tokens.get(&quote)?));
        let listed = self.universe.into_iter().map(|pair| Listed {
            instrument: Instrument::new(&pair.name),
            title: title(pair.tokens).unwrap_or(pair.name),
        });
        listed.collect()
    }
}

impl Perpetuals {
    fn listed(self) -> Vec<Listed> {
        let traded = self.universe.into_iter().filter(|coin| !coin.is_delisted);
        traded.map(|coin| untitled(coin.name)).collect()
    }
}

impl Directory for Hyperliquid {
    fn default_url(&self) -> &'static str {
        "https://api.hyperliquid.xyz"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        list(name).map(|_| ()).ok_or(
            "a name at Hyperliquid is a coin with * or ? in it, of spot the two tokens, and of a market of others its name in front, as \
             in k*, */USDC or xyz:*; a whole coin is for instruments"
                .into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        "/info".to_owned()
    }

    fn body(&self, name: &str, _page: Option<&str>) -> Option<String> {
        let asked = match list(name)? {
            List::Spot => json!({"type": "spotMeta"}),
            List::Perpetuals(market) => json!({"type": "meta", "dex": market}),
        };
        Some(asked.to_string())
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let all = match list(name) {
            Some(List::Spot) => read_json::<Spot>(answer)?.listed(),
            Some(List::Perpetuals(_)) => read_json::<Perpetuals>(answer)?.listed(),
            None => return Err(InvalidListing::new("is to a name that is none")),
        };
        fitting(all.into_iter(), |listed| {
            matches(name, listed.instrument.as_str()) || matches(name, &listed.title)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const META: &str = r#"{"universe": [
        {"name": "AAA", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
        {"name": "kBBB", "szDecimals": 0, "maxLeverage": 10, "isDelisted": true},
        {"name": "kCCC", "szDecimals": 0, "maxLeverage": 10, "isDelisted": false}
    ], "marginTables": []}"#;
    const OF_XYZ: &str =
        r#"{"universe": [{"name": "xyz:GOLD", "szDecimals": 4}, {"name": "xyz:OIL", "szDecimals": 3}]}"#;
    const SPOT: &str = r#"{"tokens": [
        {"name": "USDC", "index": 0, "szDecimals": 8, "isCanonical": true},
        {"name": "PURR", "index": 1, "szDecimals": 0, "isCanonical": true},
        {"name": "USD₮0", "index": 9, "szDecimals": 2, "isCanonical": false}
    ], "universe": [
        {"name": "PURR/USDC", "tokens": [1, 0], "index": 0, "isCanonical": true},
        {"name": "@1", "tokens": [9, 0], "index": 1, "isCanonical": false},
        {"name": "@2", "tokens": [7, 0], "index": 2, "isCanonical": false}
    ]}"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Hyperliquid, name, answer, |one| {
            format!("{} {}", one.instrument, one.title)
        })
    }

    #[test]
    fn perpetuals_that_are_traded_and_fit_are_listed() {
        assert_eq!(listed("*", META).unwrap(), ["AAA AAA", "kCCC kCCC"]);
        assert_eq!(listed("k*", META).unwrap(), ["kCCC kCCC"]);
        assert_eq!(listed("xyz:G*", OF_XYZ).unwrap(), ["xyz:GOLD xyz:GOLD"]);
    }

    #[test]
    fn spot_is_found_by_its_tokens_and_by_its_numbers() {
        assert_eq!(
            listed("*/USDC", SPOT).unwrap(),
            ["PURR/USDC PURR/USDC", "@1 USD₮0/USDC"]
        );
        assert_eq!(listed("USD?0/*", SPOT).unwrap(), ["@1 USD₮0/USDC"]);
        assert_eq!(listed("@*", SPOT).unwrap(), ["@1 USD₮0/USDC", "@2 @2"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        assert_eq!(listed("BBB*", META).unwrap_err(), "lists nothing that fits");
        assert_eq!(listed("*", "<html>").unwrap_err(), "is not JSON (line 1, column 1)");
        for (name, answer) in [("*", "null"), ("*", r#"{"coins": []}"#), ("@*", META)] {
            let error = listed(name, answer).unwrap_err();
            assert!(
                error.starts_with("is not what the documentation describes"),
                "{answer}: {error}"
            );
        }
    }

    #[test]
    fn a_name_is_a_pattern_and_is_asked_for_where_it_belongs() {
        for (name, body) in [
            ("*", r#"{"dex":"","type":"meta"}"#),
            ("k*", r#"{"dex":"","type":"meta"}"#),
            ("xyz:*", r#"{"dex":"xyz","type":"meta"}"#),
            ("*/USDC", r#"{"type":"spotMeta"}"#),
            ("@1??", r#"{"type":"spotMeta"}"#),
        ] {
            assert_eq!(Hyperliquid.check_name(name), Ok(()), "{name}");
            assert_eq!(Hyperliquid.body(name, None).unwrap(), body, "{name}");
        }
        for name in [
            "", "BTC", "xyz:GOLD", "*:GOLD", ":*", "x?z:*", "xyz:a:*", "xyz:@*", "B TC*",
        ] {
            assert!(Hyperliquid.check_name(name).is_err(), "{name}");
        }
    }
}
