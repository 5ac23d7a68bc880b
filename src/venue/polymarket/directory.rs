//! Events and markets by their slugs, as the Gamma API tells of them.
//!
//! Source of the protocol's facts: the venue's public documentation of the Gamma API ("Get event by slug", "Get market by slug")
//! and its official clients. An event holds its markets; the token ids of a market are a JSON array that is written into a string.

use crate::market::Instrument;
use crate::venue::directory::read_json;
use crate::venue::{Directory, InvalidListing, Listed, Listing, Polymarket, Venue};
use serde::Deserialize;
use std::borrow::Cow;

/// The longest slug that is asked for; the venue's own have some dozens of characters.
const LONGEST_SLUG: usize = 200;
const FORM: &str = "a name at Polymarket is event:SLUG, market:SLUG, or the address of an event or a market, as in \
                    https://polymarket.com/event/SLUG; a slug has the characters A-Z a-z 0-9 _ - .";
const HOSTS: [&str; 2] = ["https://polymarket.com/", "https://www.polymarket.com/"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name<'n> {
    Event(&'n str),
    Market(&'n str),
}

impl<'n> Name<'n> {
    fn parse(name: &'n str) -> Option<Self> {
        let parsed = if let Some(slug) = name.strip_prefix("event:") {
            Self::Event(slug)
        } else if let Some(slug) = name.strip_prefix("market:") {
            Self::Market(slug)
        } else {
            Self::of_address(name)?
        };
        let (Self::Event(slug) | Self::Market(slug)) = parsed;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // A slug of dots alone would be another path.
        let names = slug.bytes().any(|byte| byte.is_ascii_alphanumeric());
        (slug.len() <= LONGEST_SLUG && names && slug.bytes().all(legal)).then_some(parsed)
    }

    /// An event's page is also the page of each of its markets: `/event/EVENT/MARKET`.
    fn of_address(address: &'n str) -> Option<Self> {
        let path = HOSTS.iter().find_map(|host| address.strip_prefix(host))?;
        let path = path.split(['?', '#']).next()?.trim_end_matches('/');
        let parts: Vec<_> = path.split('/').collect();
        match parts.as_slice() {
            ["event", event] => Some(Self::Event(event)),
            ["event", _, market] | ["market", market] => Some(Self::Market(market)),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Event {
    slug: String,
    // Left out where the event has none yet.
    #[serde(default)]
    markets: Vec<Market>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Market {
    slug: Option<String>,
    question: Option<String>,
    closed: Option<bool>,
    archived: Option<bool>,
    active: Option<bool>,
    enable_order_book: Option<bool>,
    clob_token_ids: Option<String>,
    outcomes: Option<String>,
}

impl Market {
    /// Whether there is a book to subscribe to. One that takes no orders for a while, `acceptingOrders: false`, still has its own.
    fn is_open(&self) -> bool {
        self.closed != Some(true)
            && self.archived != Some(true)
            && self.active != Some(false)
            && self.enable_order_book != Some(false)
    }

    fn list(&self, into: &mut Vec<Listed>) -> Result<(), InvalidListing> {
        // A market has no tokens before it is on the chain.
        let ids = self.clob_token_ids.as_deref().filter(|ids| !ids.trim().is_empty());
        let (true, Some(ids)) = (self.is_open(), ids) else {
            return Ok(());
        };
        let ids: Vec<String> = serde_json::from_str(ids)
            .map_err(|_| InvalidListing::new("has clobTokenIds that are no JSON array of strings"))?;
        // Only for people: without them the tokens have the market's name alone.
        let outcomes = self.outcomes.as_deref().map(serde_json::from_str::<Vec<String>>);
        let outcomes = outcomes.and_then(Result::ok).unwrap_or_default();
        let question = self.question.as_deref().or(self.slug.as_deref()).unwrap_or_default();
        for (index, id) in ids.iter().enumerate() {
            Polymarket
                .check_instrument(id)
                .map_err(|_| InvalidListing::new("has clobTokenIds that are no token ids"))?;
            let outcome = outcomes
                .get(index)
                .map_or(String::new(), |outcome| format!(": {outcome}"));
            into.push(Listed {
                instrument: Instrument::new(id),
                title: format!("{question}{outcome}"),
            });
        }
        Ok(())
    }
}

impl Directory for Polymarket {
    fn default_url(&self) -> &'static str {
        "https://gamma-api.polymarket.com"
    }

    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>> {
        Name::parse(name).map(|_| ()).ok_or(Cow::Borrowed(FORM))
    }

    fn request(&self, name: &str, _page: Option<&str>) -> String {
        match Name::parse(name) {
            Some(Name::Market(slug)) => format!("/markets/slug/{slug}"),
            Some(Name::Event(slug)) => format!("/events/slug/{slug}"),
            // Never asked for: it was checked.
            None => "/events/slug/".to_owned(),
        }
    }

    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing> {
        let mut instruments = Vec::new();
        let (told, asked) = match Name::parse(name) {
            Some(Name::Market(slug)) => {
                let market: Market = read_json(answer)?;
                market.list(&mut instruments)?;
                (market.slug.unwrap_or_default(), slug)
            }
            Some(Name::Event(slug)) => {
                let event: Event = read_json(answer)?;
                for market in &event.markets {
                    market.list(&mut instruments)?;
                }
                (event.slug, slug)
            }
            None => return Err(InvalidListing::new("is to a name that is none")),
        };
        if !told.eq_ignore_ascii_case(asked) {
            return Err(InvalidListing::new(
                "is about another slug than the one that was asked for",
            ));
        }
        Ok(Listing {
            instruments,
            next: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::directory;

    const EVENT: &str = include_str!("../../../tests/fixtures/gamma/event.json");
    const MARKET: &str = include_str!("../../../tests/fixtures/gamma/market.json");

    fn listed(name: &str, answer: &str) -> Result<Vec<(String, String)>, String> {
        directory::listed(&Polymarket, name, answer, |one| {
            (one.instrument.to_string(), one.title.clone())
        })
    }

    #[test]
    fn a_name_is_a_slug_or_the_address_of_a_page() {
        for (name, request) in [
            ("event:who-wins", "/events/slug/who-wins"),
            ("market:will-a-win", "/markets/slug/will-a-win"),
            ("https://polymarket.com/event/who-wins", "/events/slug/who-wins"),
            (
                "https://polymarket.com/event/who-wins/?tid=1#top",
                "/events/slug/who-wins",
            ),
            (
                "https://www.polymarket.com/event/who-wins/will-a-win",
                "/markets/slug/will-a-win",
            ),
            ("https://polymarket.com/market/will-a-win", "/markets/slug/will-a-win"),
        ] {
            assert_eq!(Polymarket.check_name(name), Ok(()), "{name}");
            assert_eq!(Polymarket.request(name, None), request, "{name}");
        }
        let long = format!("event:{}", "x".repeat(LONGEST_SLUG + 1));
        for name in [
            "",
            "who-wins",
            "event:",
            "event:..",
            "event:a/b",
            "event:a?b=c",
            "event:a b",
            "EVENT:a",
            "https://polymarket.com/",
            "https://polymarket.com/event/",
            "https://polymarket.com/event/a/b/c",
            "https://polymarket.com/profile/a",
            "http://polymarket.com/event/a",
            "https://polymarket.com.example/event/a",
            &long,
        ] {
            assert_eq!(Polymarket.check_name(name), Err(FORM.into()), "{name}");
        }
    }

    #[test]
    fn the_open_markets_of_an_event_are_listed_with_their_outcomes() {
        let title = |question: &str, outcome: &str| format!("Will {question} win the cup?: {outcome}");
        let all = [
            ("101", "Ayton", "Yes"),
            ("102", "Ayton", "No"),
            ("301", "Celby", "Yes"),
            ("302", "Celby", "No"),
        ];
        let expected: Vec<_> = all
            .iter()
            .map(|(id, who, outcome)| ((*id).to_owned(), title(who, outcome)))
            .collect();
        // Beside them are one that is closed, one that is archived, one that is not on the chain and one without a book.
        assert_eq!(listed("event:who-wins-the-cup", EVENT).unwrap(), expected);
        assert_eq!(
            listed("market:will-ayton-win-the-cup", MARKET).unwrap(),
            expected[..2].to_vec()
        );
    }

    #[test]
    fn an_event_without_an_open_market_has_no_instruments_and_is_no_error() {
        let over = r#"{"slug":"over","markets":[{"slug":"m","closed":true,"clobTokenIds":"[\"1\"]"}]}"#;
        assert_eq!(listed("event:over", over), Ok(Vec::new()));
        assert_eq!(listed("event:over", r#"{"slug":"over"}"#), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_listing_says_why_and_repeats_nothing() {
        let half = &EVENT[..EVENT.len() / 2];
        for (answer, told) in [
            ("<html>", "is not JSON (line 1, column 1)"),
            ("[]", "is not what the documentation describes (line 1, column 2)"),
            (
                r#"{"type":"not found"}"#,
                "is not what the documentation describes (line 1, column 20)",
            ),
            (
                r#"{"slug":"another-cup","markets":[]}"#,
                "is about another slug than the one that was asked for",
            ),
            (
                r#"{"slug":"who-wins-the-cup","markets":[{"clobTokenIds":"101, 102"}]}"#,
                "has clobTokenIds that are no JSON array of strings",
            ),
            (
                r#"{"slug":"who-wins-the-cup","markets":[{"clobTokenIds":"[\"0xab\"]"}]}"#,
                "has clobTokenIds that are no token ids",
            ),
        ] {
            assert_eq!(listed("event:who-wins-the-cup", answer).unwrap_err(), told, "{answer}");
        }
        assert!(
            listed("event:who-wins-the-cup", half)
                .unwrap_err()
                .starts_with("is cut off")
        );
    }
}
