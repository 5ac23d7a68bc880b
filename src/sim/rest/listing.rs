//! Events and markets, in the shapes that the Gamma API documents.

use crate::sim::fault::millis;
use crate::sim::script::some_millis;
use crate::venue::{Polymarket, Venue};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// An event, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedEvent {
    /// How it is asked for: `event:SLUG`.
    pub slug: String,
    /// Its markets.
    #[serde(default)]
    pub markets: Vec<ListedMarket>,
}

/// A market, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedMarket {
    /// How it is asked for: `market:SLUG`.
    pub slug: String,
    /// Its tokens: the first stands for yes, the second for no.
    pub tokens: Vec<String>,
    /// It is listed from then on, counted from the venue's start. In a script: `from_ms`.
    #[serde(rename = "from_ms", default, deserialize_with = "millis")]
    pub from: Duration,
    /// It is resolved then; `None` = never. In a script: `until_ms`.
    #[serde(rename = "until_ms", default, deserialize_with = "some_millis")]
    pub until: Option<Duration>,
}

impl ListedEvent {
    /// An event of these markets.
    pub fn new(slug: &str, markets: Vec<ListedMarket>) -> Self {
        Self {
            slug: slug.to_owned(),
            markets,
        }
    }

    /// Two towns and a cup: `event:who-wins`.
    pub(super) fn example() -> Self {
        let market = |town, yes, no| ListedMarket::new(&format!("will-{town}-win"), &[yes, no]);
        Self::new(
            "who-wins",
            vec![market("ayton", "71", "72"), market("beeham", "81", "82")],
        )
    }

    /// What makes no sense about it.
    pub(super) fn problem(&self) -> Option<String> {
        let name = |kind: &str, slug: &str| format!("{kind}:{slug}");
        let directory = Polymarket.directory()?;
        let of_name = |name: &str| Some(format!("{name:?}: {}", directory.check_name(name).err()?));
        let of_tokens = |market: &ListedMarket| {
            let mut wrong = market
                .tokens
                .iter()
                .filter_map(|token| Polymarket.check_instrument(token).err());
            Some(format!("market {:?}: {}", market.slug, wrong.next()?))
        };
        let of_market = |market: &ListedMarket| of_name(&name("market", &market.slug)).or_else(|| of_tokens(market));
        of_name(&name("event", &self.slug)).or_else(|| self.markets.iter().find_map(of_market))
    }

    /// At that moment, counted from the venue's start, by an API that knows of an end so much later.
    pub(super) fn json(&self, at: Duration, behind: Duration) -> Value {
        let listed: Vec<_> = self.markets.iter().filter(|market| market.from <= at).collect();
        let are_all_ended = listed.iter().all(|market| market.is_ended(at, behind));
        let markets: Vec<_> = listed.iter().map(|market| market.json(at, behind)).collect();
        json!({
            "id": "1", "slug": self.slug, "title": words(&self.slug), "active": true,
            "closed": are_all_ended && !markets.is_empty(), "archived": false, "markets": markets,
        })
    }
}

impl ListedMarket {
    /// A market that is there from the start.
    pub fn new(slug: &str, tokens: &[&str]) -> Self {
        Self {
            slug: slug.to_owned(),
            tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
            from: Duration::ZERO,
            until: None,
        }
    }

    fn is_ended(&self, at: Duration, behind: Duration) -> bool {
        self.until.is_some_and(|until| until.saturating_add(behind) <= at)
    }

    pub(super) fn json(&self, at: Duration, behind: Duration) -> Value {
        let closed = self.is_ended(at, behind);
        // Lists are written into strings there.
        let tokens = json!(self.tokens).to_string();
        let outcomes: Vec<_> = ["Yes", "No"].into_iter().take(self.tokens.len()).collect();
        json!({
            "id": "1", "slug": self.slug, "question": words(&self.slug), "active": true, "closed": closed,
            "archived": false, "enableOrderBook": true, "acceptingOrders": !closed,
            "outcomes": json!(outcomes).to_string(), "clobTokenIds": tokens,
        })
    }
}

/// A slug as a question.
fn words(slug: &str) -> String {
    let mut words = slug.replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words + "?"
}
