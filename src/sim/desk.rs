//! What one connection is subscribed to, and what the venue tells about it.

use super::market::{Market, Token};
use fastrand::Rng;
use std::collections::HashSet;

/// Beyond so many tokens on a connection the real venue silently stops sending snapshots; here they are left out.
const MAX_TOKENS: usize = 750;
/// A token id is a decimal number of at most so many digits (256 bits).
const MAX_DIGITS: usize = 78;

/// The markets of one connection.
#[derive(Debug)]
pub(super) struct Desk {
    seed: u64,
    rng: Rng,
    markets: Vec<Market>,
}

/// The answer to a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// An array with a book for each new token.
    pub(super) frame: String,
    /// How many those are.
    pub(super) accepted: usize,
    /// How many new tokens were left out.
    pub(super) refused: usize,
}

impl Desk {
    /// An empty desk. Under the same seed, every connection sees the same books at first, and another walk.
    pub(super) fn new(seed: u64, connection: u64) -> Self {
        Self {
            seed,
            rng: Rng::with_seed(seed ^ connection.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            markets: Vec::new(),
        }
    }

    /// Subscribes to what is not subscribed yet; `None` where nothing of it is new.
    pub(super) fn subscribe(
        &mut self,
        tokens: &[String],
        unknown: impl Fn(&str) -> bool,
        now_ms: i64,
    ) -> Option<Answer> {
        let mut seen = HashSet::new();
        let new: Vec<_> = tokens
            .iter()
            .filter(|token| seen.insert(token.as_str()) && !self.is_subscribed(token))
            .collect();
        if new.is_empty() {
            return None;
        }
        let room = MAX_TOKENS.saturating_sub(self.subscribed().count());
        let is_known = |token: &str| {
            let legal = (1..=MAX_DIGITS).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_digit());
            legal && !unknown(token)
        };
        let known: Vec<_> = new.iter().filter(|token| is_known(token)).take(room).collect();
        self.add(known.iter().map(|token| token.as_str()));
        let books: Vec<_> = known.iter().filter_map(|token| self.book(token, now_ms)).collect();
        Some(Answer {
            accepted: books.len(),
            refused: new.len() - books.len(),
            frame: format!("[{}]\n", books.join(",")),
        })
    }

    /// Ends subscriptions; returns how many.
    pub(super) fn unsubscribe(&mut self, tokens: &[String]) -> usize {
        let mut removed = 0;
        for token in tokens {
            if let Some(token) = self.markets.iter_mut().find_map(|market| market.token(token)) {
                removed += usize::from(std::mem::take(&mut token.subscribed));
            }
        }
        self.markets
            .retain(|market| market.yes.subscribed || market.no.subscribed);
        removed
    }

    /// Whether `token` is subscribed.
    pub(super) fn is_subscribed(&self, token: &str) -> bool {
        self.subscribed().any(|own| own.id == token)
    }

    /// One of the subscribed tokens.
    pub(super) fn first_token(&self) -> Option<&str> {
        self.subscribed().next().map(|token| token.id.as_str())
    }

    /// The next events, of one of the markets.
    pub(super) fn burst(&mut self, now_ms: i64) -> Vec<String> {
        let mut events = Vec::new();
        if !self.markets.is_empty() {
            let index = self.rng.usize(..self.markets.len());
            if let Some(market) = self.markets.get_mut(index) {
                market.burst(now_ms, &mut self.rng, &mut events);
            }
        }
        events
    }

    /// A random share for the traffic's spacing: uniform in `0.0..1.0`.
    pub(super) fn chance(&mut self) -> f64 {
        self.rng.f64()
    }

    fn subscribed(&self) -> impl Iterator<Item = &Token> {
        let tokens = self.markets.iter().flat_map(|market| [&market.yes, &market.no]);
        tokens.filter(|token| token.subscribed)
    }

    /// Two tokens that come one after another are a market; a token that is left over gets an invented complement.
    fn add<'t>(&mut self, tokens: impl Iterator<Item = &'t str>) {
        let mut waiting: Option<&str> = None;
        for token in tokens {
            if let Some(known) = self.markets.iter_mut().find_map(|market| market.token(token)) {
                known.subscribed = true; // the other token of a market that is here already
            } else if let Some(yes) = waiting.take() {
                self.open(yes, token.to_owned(), true);
            } else {
                waiting = Some(token);
            }
        }
        if let Some(yes) = waiting {
            self.open(yes, complement(yes), false);
        }
    }

    fn open(&mut self, yes: &str, no: String, no_is_subscribed: bool) {
        let yes = Token {
            id: yes.to_owned(),
            subscribed: true,
        };
        let no = Token {
            id: no,
            subscribed: no_is_subscribed,
        };
        self.markets.push(Market::new(yes, no, self.seed));
    }

    fn book(&mut self, token: &str, now_ms: i64) -> Option<String> {
        let market = self
            .markets
            .iter_mut()
            .find(|market| market.yes.id == token || market.no.id == token)?;
        Some(market.first_book(token, now_ms, &mut self.rng))
    }
}

/// The id of the token that completes a market: always the same for the same token.
fn complement(token: &str) -> String {
    let mut rng = Rng::with_seed(fingerprint(token));
    let mut id = String::from("1");
    id.extend((1..77).map(|_| rng.digit(10)));
    id
}

/// FNV-1a: the same on every machine and in every version.
pub(super) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// The event that ends a market; the first of its tokens has won.
pub(super) fn market_resolved(tokens: &[String], now_ms: i64) -> String {
    let winner = tokens.first().map_or("", String::as_str);
    let id = fingerprint(winner);
    let quoted = |token: &str| serde_json::Value::from(token).to_string();
    let all: Vec<_> = tokens.iter().map(|token| quoted(token)).collect();
    format!(
        r#"{{"id":"{}", "market":"0x{id:064x}", "assets_ids":[{}], "winning_asset_id":{}, "winning_outcome":"Yes", "timestamp":"{now_ms}", "event_type":"market_resolved", "tags":[]}}"#,
        id % 10_000_000,
        all.join(", "),
        quoted(winner),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn known_tokens_are_answered_with_books_and_the_others_left_out() {
        let mut desk = Desk::new(1, 1);
        let answer = desk
            .subscribe(&tokens(&["1", "2", "2", "3", "no"]), |token| token == "2", 5)
            .unwrap();
        assert_eq!((answer.accepted, answer.refused), (2, 2));
        let books: serde_json::Value = serde_json::from_str(&answer.frame).unwrap();
        let ids: Vec<_> = books.as_array().unwrap().iter().map(|book| &book["asset_id"]).collect();
        assert_eq!(ids, ["1", "3"]);
        assert_eq!(desk.subscribe(&tokens(&["3", "1"]), |_| false, 5), None);
        let none = desk.subscribe(&tokens(&["2"]), |_| true, 5).unwrap();
        assert_eq!(none.frame, "[]\n");
    }

    #[test]
    fn tokens_that_come_together_are_one_market_and_a_single_one_gets_a_complement() {
        let mut desk = Desk::new(1, 1);
        desk.subscribe(&tokens(&["1", "2", "3"]), |_| false, 5).unwrap();
        let pairs: Vec<_> = desk
            .markets
            .iter()
            .map(|market| (market.yes.id.as_str(), market.no.id.as_str()))
            .collect();
        assert_eq!(pairs, [("1", "2"), ("3", complement("3").as_str())]);
        assert_eq!(complement("3"), complement("3"));
        assert_eq!(desk.subscribed().count(), 3);
    }

    #[test]
    fn an_unsubscribed_market_is_told_of_no_more() {
        let mut desk = Desk::new(1, 1);
        desk.subscribe(&tokens(&["1", "2", "3", "4"]), |_| false, 5).unwrap();
        assert_eq!(desk.unsubscribe(&tokens(&["1", "2", "9"])), 2);
        for _ in 0..100 {
            assert!(desk.burst(5).iter().all(|event| !event.contains(r#""asset_id":"1""#)));
        }
        assert_eq!(desk.unsubscribe(&tokens(&["3", "4"])), 2);
        assert_eq!(desk.burst(5), Vec::<String>::new());
    }

    #[test]
    fn a_connection_carries_no_more_than_the_venue_allows() {
        let mut desk = Desk::new(1, 1);
        let many: Vec<_> = (1..=MAX_TOKENS + 10).map(|id| id.to_string()).collect();
        let answer = desk.subscribe(&many, |_| false, 5).unwrap();
        assert_eq!((answer.accepted, answer.refused), (MAX_TOKENS, 10));
    }
}
