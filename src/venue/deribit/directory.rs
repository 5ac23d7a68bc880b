//! Patterns of instruments, against all that the venue lists of a kind.
//!
//! Source of the protocol's facts: the venue's public documentation (`public/get_instruments`). All kinds together would be several
//! megabytes, most of them options, so a name says its kind. It may be asked once a second in the long run.

use super::Deribit;
use crate::market::Instrument;
use crate::venue::directory::{is_pattern_of, matching, read_json, refused};
use crate::venue::{Directory, InvalidListing, Listed, Listing};
use serde::Deserialize;
use std::borrow::Cow;

const KINDS: [&str; 5] = ["future", "option", "spot", "future_combo", "option_combo"];

/// A kind of instruments, and a pattern of them.
fn parse(name: &str) -> Option<(&'static str, &str)> {
    let (kind, pattern) = name.split_once(':')?;
    let kind = KINDS.into_iter().find(|known| *known == kind)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let begins = pattern.starts_with(|first: char| !first.is_ascii_lowercase() && first != '-' && first != '_');
    (begins && is_pattern_of(pattern, legal)).then_some((kind, pattern))
}

#[derive(Deserialize)]
struct Answer {
    /// An error comes without.
    result: Option<Vec<Row>>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Row {
    instrument_name: String,
    is_active: bool,
}

impl Directory for Deribit {
    fn default_url(&self) -> &'static str {
        "https://www.deribit.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        parse(name).map(|_| ()).ok_or(
            "a name at Deribit is future:, option:, spot:, future_combo: or option_combo: and an instrument with * or ? in it, as in \
             future:BTC-* or option:ETH-*-C; a whole one is for instruments"
                .into(),
        )
    }

    fn request(&self, name: &str, _page: Option<&str>) -> String {
        // It was checked.
        let (kind, _) = parse(name).unwrap_or(("future", ""));
        format!("/api/v2/public/get_instruments?currency=any&kind={kind}&expired=false")
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let Some((kind, pattern)) = parse(name) else {
            return Err(InvalidListing::new("is to a name that is none"));
        };
        let answer: Answer = read_json(answer)?;
        if let Some(Refusal { code, message }) = answer.error {
            return Err(refused(&format!("{code}: {message}")));
        }
        let Some(rows) = answer.result else {
            return Err(InvalidListing::new("has no result"));
        };
        let active = rows.into_iter().filter(|row| row.is_active);
        let listed = active.map(|row| Listed {
            instrument: Instrument::new(&row.instrument_name),
            title: format!("{kind} {}", row.instrument_name),
        });
        matching(pattern, listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const FUTURES: &str = r#"{"jsonrpc": "2.0", "result": [
        {"instrument_name": "AAA-PERPETUAL", "kind": "future", "is_active": true, "base_currency": "AAA", "state": "open"},
        {"instrument_name": "AAA-27SEP30", "kind": "future", "is_active": false, "base_currency": "AAA", "state": "locked"},
        {"instrument_name": "BBB_USDC-PERPETUAL", "kind": "future", "is_active": true, "base_currency": "BBB", "state": "open"}
    ], "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": false}"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Deribit, name, answer, |one| {
            format!("{}, {}", one.instrument, one.title)
        })
    }

    #[test]
    fn what_is_active_and_fits_is_listed() {
        assert_eq!(
            listed("future:AAA-*", FUTURES).unwrap(),
            ["AAA-PERPETUAL, future AAA-PERPETUAL"]
        );
        assert_eq!(listed("future:*-PERPETUAL", FUTURES).unwrap().len(), 2);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        for (answer, told) in [
            (FUTURES, "lists nothing that fits"),
            (
                r#"{"jsonrpc": "2.0", "error": {"code": 10028, "message": "too_many_requests"}}"#,
                "is an error: 10028: too_many_requests",
            ),
            (r#"{"jsonrpc": "2.0"}"#, "has no result"),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(listed("future:CCC-*", answer).unwrap_err(), told, "{answer}");
        }
        let other = listed("future:*", r#"{"result": [{"instrument_name": "AAA"}]}"#).unwrap_err();
        assert!(other.starts_with("is not what the documentation describes"), "{other}");
    }

    #[test]
    fn a_name_is_a_kind_and_a_pattern() {
        for (name, kind) in [
            ("future:BTC-*", "future"),
            ("option:XRP_USDC-*-0d5-?", "option"),
            ("spot:*_USDC", "spot"),
            ("option_combo:?TC-STRG-*", "option_combo"),
        ] {
            assert!(Deribit.check_name(name).is_ok(), "{name}");
            assert_eq!(
                Deribit.request(name, None),
                format!("/api/v2/public/get_instruments?currency=any&kind={kind}&expired=false")
            );
        }
        for name in [
            "",
            "BTC-*",
            "future:",
            "future:BTC-PERPETUAL",
            "any:*",
            "future:btc-*",
            "future:BTC/*",
        ] {
            assert!(Deribit.check_name(name).is_err(), "{name}");
        }
    }
}
