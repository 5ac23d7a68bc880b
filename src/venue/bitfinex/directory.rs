//! Patterns of pairs, against all that the venue lists.
//!
//! Source of the protocol's facts: the venue's public documentation ("Configs", its listing requests), and public clients. One
//! request asks for several lists, and each is answered with a list of its own; an error is a list, too, but of other things. Pairs
//! are listed without the t that subscriptions have. Those whose currencies begin with TEST are of paper trading.

use super::Bitfinex;
use crate::venue::directory::{is_pattern_of, matching, read_json, untitled};
use crate::venue::{Directory, InvalidListing, Listing};
use std::borrow::Cow;
use std::collections::BTreeSet;

impl Directory for Bitfinex {
    fn default_url(&self) -> &'static str {
        "https://api-pub.bitfinex.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b':';
        let may_begin_so = name.starts_with(['t', '*', '?']);
        let fits = may_begin_so && is_pattern_of(name.strip_prefix('t').unwrap_or(name), legal);
        fits.then_some(()).ok_or(
            "a name at Bitfinex is a pair with * or ? in it, as in tBTC* or t*F0:USTF0; a whole pair is for instruments".into(),
        )
    }

    fn request(&self, _name: &str, _page: Option<&str>) -> String {
        "/v2/conf/pub:list:pair:exchange,pub:list:pair:futures".to_owned()
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let lists: Vec<Vec<String>> = read_json(answer)?;
        // With one of them alone, all that the other has would count as gone.
        if lists.len() != 2 {
            return Err(InvalidListing::new("is not the two lists that were asked for"));
        }
        // A pair may stand in both.
        let pairs: BTreeSet<_> = lists.into_iter().flatten().collect();
        let real = pairs.into_iter().filter(|pair| !pair.starts_with("TEST"));
        matching(name, real.map(|pair| untitled(format!("t{pair}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const PAIRS: &str =
        r#"[["AAAUSD", "TESTAAA:TESTUSD", "DOGE:USD", "AAAUST"], ["AAAF0:USTF0", "AAAUSD", "TESTAAAF0:TESTUSDTF0"]]"#;

    fn listed(name: &str, answer: &str) -> Result<Vec<String>, String> {
        directory::listed(&Bitfinex, name, answer, |one| one.instrument.to_string())
    }

    #[test]
    fn what_fits_is_listed_once_and_as_it_is_subscribed_to() {
        assert_eq!(
            listed("t*", PAIRS).unwrap(),
            ["tAAAF0:USTF0", "tAAAUSD", "tAAAUST", "tDOGE:USD"]
        );
        assert_eq!(listed("*USD", PAIRS).unwrap(), ["tAAAUSD", "tDOGE:USD"]);
    }

    #[test]
    fn what_fits_nothing_or_is_no_listing_is_an_error() {
        for (answer, told) in [
            (PAIRS, "lists nothing that fits"),
            ("[[], []]", "lists nothing that fits"),
            (r#"[["BBBUSD"]]"#, "is not the two lists that were asked for"),
            (r#"[["BBBUSD"], [], []]"#, "is not the two lists that were asked for"),
            ("[]", "is not the two lists that were asked for"),
            ("<html>", "is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(listed("tBBB*", answer).unwrap_err(), told, "{answer}");
        }
        let other = listed("*", r#"["error", 11010, "ratelimit: error"]"#).unwrap_err();
        assert!(other.starts_with("is not what the documentation describes"), "{other}");
    }

    #[test]
    fn a_name_is_a_pattern() {
        for name in ["tBTC*", "*", "?BTC*", "t*", "tDOGE:???"] {
            assert!(Bitfinex.check_name(name).is_ok(), "{name}");
        }
        for name in ["", "tBTCUSD", "BTC*", "tbtc*", "f*", "tt*", "tBTC/*"] {
            assert!(Bitfinex.check_name(name).is_err(), "{name}");
        }
    }
}
