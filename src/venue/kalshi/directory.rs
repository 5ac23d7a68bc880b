//! Events and series by their tickers, as the REST API lists their markets.
//!
//! Source of the protocol's facts: the venue's public documentation ("Get Markets"), which needs no key. What is asked for as
//! `open` is listed as `active`. A ticker that the venue does not know is answered as one without an open market is.

use super::Kalshi;
use crate::market::Instrument;
use crate::venue::directory::{next_page, query_value, read_json, refused};
use crate::venue::{Directory, InvalidListing, Listed, Listing, Venue};
use serde::Deserialize;
use std::borrow::Cow;

const FORM: &str = "a name at Kalshi is event:TICKER or series:TICKER, as in event:KXELECTION-26 or series:KXBTC; a whole market \
                    ticker is for instruments";

/// What a name stands for: the parameter that asks for it, and the ticker.
fn parse(name: &str) -> Option<(&'static str, &str)> {
    let (parameter, ticker) = match name.split_once(':')? {
        ("event", ticker) => ("event_ticker", ticker),
        ("series", ticker) => ("series_ticker", ticker),
        _ => return None,
    };
    Kalshi.check_instrument(ticker).is_ok().then_some((parameter, ticker))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    cursor: Option<String>,
    markets: Option<Vec<Market>>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
struct Market {
    ticker: String,
    event_ticker: Option<String>,
    status: String,
    #[serde(default)]
    title: String,
}

impl Directory for Kalshi {
    fn default_url(&self) -> &'static str {
        "https://api.elections.kalshi.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        parse(name).map(|_| ()).ok_or(Cow::Borrowed(FORM))
    }

    fn request(&self, name: &str, page: Option<&str>) -> String {
        // It was checked.
        let (parameter, ticker) = parse(name).unwrap_or(("event_ticker", ""));
        let from = page.map_or(String::new(), |page| format!("&cursor={}", query_value(page, b"")));
        format!("/trade-api/v2/markets?{parameter}={ticker}&status=open&limit=1000{from}")
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let answer: Answer = read_json(answer)?;
        if let Some(error) = answer.error {
            return Err(refused(&error.code));
        }
        let Some(markets) = answer.markets else {
            return Err(InvalidListing::new("has no markets"));
        };
        if let Some(("event_ticker", asked)) = parse(name) {
            let is_another = |market: &Market| market.event_ticker.as_deref().is_some_and(|told| told != asked);
            if markets.iter().any(is_another) {
                return Err(InvalidListing::new(
                    "is about another event than the one that was asked for",
                ));
            }
        }
        let open = markets
            .into_iter()
            .filter(|market| matches!(market.status.as_str(), "active" | "open"));
        Ok(Listing {
            instruments: open
                .map(|market| Listed {
                    instrument: Instrument::new(&market.ticker),
                    title: market.title,
                })
                .collect(),
            next: next_page(answer.cursor)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"cursor": "Cg+A/=", "markets": [
        {"ticker": "KXRAIN-30-A", "event_ticker": "KXRAIN-30", "status": "active", "title": "Rain in Ayton?", "yes_bid": 12},
        {"ticker": "KXRAIN-30-B", "event_ticker": "KXRAIN-30", "status": "closed", "title": "Rain in Beeford?"},
        {"ticker": "KXRAIN-30-C", "event_ticker": "KXRAIN-30", "status": "open", "title": "Rain in Celby?"}
    ]}"#;

    fn read(answer: &str) -> Result<Listing, String> {
        Kalshi
            .read("event:KXRAIN-30", answer.as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_is_an_event_or_a_series() {
        for (name, request) in [
            (
                "event:KXRAIN-30",
                "/trade-api/v2/markets?event_ticker=KXRAIN-30&status=open&limit=1000",
            ),
            (
                "series:KXBTC",
                "/trade-api/v2/markets?series_ticker=KXBTC&status=open&limit=1000",
            ),
        ] {
            assert_eq!(Kalshi.check_name(name), Ok(()), "{name}");
            assert_eq!(Kalshi.request(name, None), request);
        }
        for name in [
            "",
            "KXBTC",
            "event:",
            "series:*",
            "event:kxrain",
            "market:KXBTC",
            "event:A&status=x",
        ] {
            assert_eq!(Kalshi.check_name(name), Err(FORM.into()), "{name}");
        }
    }

    #[test]
    fn open_markets_are_listed_page_by_page() {
        let listing = read(PAGE).unwrap();
        let shown: Vec<_> = listing
            .instruments
            .iter()
            .map(|listed| format!("{} {}", listed.instrument, listed.title))
            .collect();
        assert_eq!(shown, ["KXRAIN-30-A Rain in Ayton?", "KXRAIN-30-C Rain in Celby?"]);
        assert_eq!(
            Kalshi.request("series:KXRAIN", listing.next.as_deref()),
            "/trade-api/v2/markets?series_ticker=KXRAIN&status=open&limit=1000&cursor=Cg%2BA%2F%3D"
        );
    }

    #[test]
    fn an_event_without_an_open_market_has_none_and_the_last_page_no_next_one() {
        assert_eq!(read(r#"{"cursor": "", "markets": []}"#), Ok(Listing::default()));
    }

    #[test]
    fn what_is_no_listing_is_an_error() {
        for (answer, told) in [
            ("<html>", "is not JSON (line 1, column 1)"),
            (r#"{"cursor": ""}"#, "has no markets"),
            (
                r#"{"error": {"code": "too_many_requests", "message": "slower"}}"#,
                "is an error: too_many_requests",
            ),
            (
                r#"{"cursor": "", "markets": [{"ticker": "KXSNOW-30-A", "event_ticker": "KXSNOW-30", "status": "active"}]}"#,
                "is about another event than the one that was asked for",
            ),
        ] {
            assert_eq!(read(answer).unwrap_err(), told, "{answer}");
        }
        assert!(read(&PAGE[..90]).unwrap_err().starts_with("is cut off"));
        let other = read(r#"{"markets": [{"name": "A"}]}"#).unwrap_err();
        assert!(other.starts_with("is not what the documentation describes"), "{other}");
    }
}
