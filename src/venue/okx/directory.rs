//! Patterns of ids, against all that the venue lists of a type.
//!
//! Source of the protocol's facts: the venue's public documentation ("Get instruments" of the public data). Options are listed by
//! their underlying only, which a pattern does not tell.

use super::Okx;
use crate::market::Instrument;
use crate::venue::directory::{is_pattern_of, matching, read_json, refused};
use crate::venue::{Directory, InvalidListing, Listed, Listing};
use serde::Deserialize;
use std::borrow::Cow;

const TYPES: [&str; 3] = ["SPOT", "SWAP", "FUTURES"];

/// A type of instruments, and a pattern of their ids.
fn parse(name: &str) -> Option<(&'static str, &str)> {
    let (of_type, pattern) = name.split_once(':')?;
    let of_type = TYPES.into_iter().find(|known| *known == of_type)?;
    let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    is_pattern_of(pattern, legal).then_some((of_type, pattern))
}

#[derive(Deserialize)]
struct Answer {
    code: String,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    data: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    inst_id: String,
    inst_type: Option<String>,
    state: String,
}

impl Directory for Okx {
    fn default_url(&self) -> &'static str {
        "https://www.okx.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        parse(name).map(|_| ()).ok_or(
            "a name at OKX is SPOT:, SWAP: or FUTURES: and an instId with * or ? in it, as in SPOT:BTC-* or SWAP:*-USDT-SWAP; a \
             whole instId is for instruments"
                .into(),
        )
    }

    fn request(&self, name: &str, _page: Option<&str>) -> String {
        // It was checked.
        let (of_type, _) = parse(name).unwrap_or(("SPOT", ""));
        format!("/api/v5/public/instruments?instType={of_type}")
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let Some((_, pattern)) = parse(name) else {
            return Err(InvalidListing::new("is to a name that is none"));
        };
        let answer: Answer = read_json(answer)?;
        if answer.code != "0" {
            return Err(refused(&format!("{}: {}", answer.code, answer.msg)));
        }
        let live = answer.data.into_iter().filter(|row| row.state == "live");
        let listed = live.map(|row| Listed {
            instrument: Instrument::new(&row.inst_id),
            title: row
                .inst_type
                .map_or_else(|| row.inst_id.clone(), |of_type| format!("{of_type} {}", row.inst_id)),
        });
        matching(pattern, listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const SPOT: &str = r#"{"code": "0", "msg": "", "data": [
        {"instType": "SPOT", "instId": "AAA-USDT", "baseCcy": "AAA", "quoteCcy": "USDT", "state": "live"},
        {"instType": "SPOT", "instId": "AAA-EUR", "baseCcy": "AAA", "quoteCcy": "EUR", "state": "suspend"},
        {"instType": "SPOT", "instId": "BBB-USDT", "baseCcy": "BBB", "quoteCcy": "USDT", "state": "live"}
    ]}"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Okx, name, answer, |one| format!("{}, {}", one.instrument, one.title))
    }

    #[test]
    fn what_is_live_and_fits_is_listed() {
        assert_eq!(listed("SPOT:AAA-*", SPOT).unwrap(), ["AAA-USDT, SPOT AAA-USDT"]);
        assert_eq!(listed("SPOT:*-USDT", SPOT).unwrap().len(), 2);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        for (answer, told) in [
            (SPOT, "lists nothing that fits"),
            (r#"{"code": "0", "msg": "", "data": []}"#, "lists nothing that fits"),
            (
                r#"{"code": "50011", "msg": "Too Many Requests", "data": []}"#,
                "is an error: 50011: Too Many Requests",
            ),
            (r#"{"code": "1", "msg": "<script>"}"#, "is an error"),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(listed("SPOT:CCC-*", answer).unwrap_err(), told, "{answer}");
        }
        for answer in [
            r#"{"retCode": 0}"#,
            r#"{"code": "0", "data": [{"symbol": "AAA-USDT"}]}"#,
        ] {
            let error = listed("SPOT:*", answer).unwrap_err();
            assert!(
                error.starts_with("is not what the documentation describes"),
                "{answer}: {error}"
            );
        }
    }

    #[test]
    fn a_name_is_a_type_and_a_pattern() {
        for (name, request) in [
            ("SPOT:BTC-*", "/api/v5/public/instruments?instType=SPOT"),
            ("SWAP:*-USDT-SWAP", "/api/v5/public/instruments?instType=SWAP"),
            ("FUTURES:BTC-USD-??????", "/api/v5/public/instruments?instType=FUTURES"),
        ] {
            assert!(Okx.check_name(name).is_ok(), "{name}");
            assert_eq!(Okx.request(name, None), request);
        }
        for name in [
            "",
            "BTC-*",
            "SPOT:",
            "SPOT:BTC-USDT",
            "spot:BTC-*",
            "OPTION:BTC-*",
            "SPOT:btc-*",
        ] {
            assert!(Okx.check_name(name).is_err(), "{name}");
        }
    }
}
