//! One simulated market: a book that walks at random, and its events in Polymarket's shapes.
//!
//! A market has two tokens, and one book seen from both sides: a bid for the first at p is an ask for the second at 1 - p.
//! In the captures, events that come later have a space after each comma, and the first frame of a connection has none.

use super::desk::fingerprint;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Prices are in thousandths: 1 to 999.
const UNIT: u16 = 1000;
/// So many levels a side are kept at least, and at most.
const LEVELS: std::ops::RangeInclusive<usize> = 3..=40;

/// A token of a market.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) id: String,
    /// Whether the connection asked for it.
    pub(super) subscribed: bool,
}

/// Which of a market's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Buy,
    Sell,
}

impl Side {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
        }
    }

    const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// A market as one connection sees it.
#[derive(Debug)]
pub(super) struct Market {
    id: String,
    pub(super) yes: Token,
    pub(super) no: Token,
    /// The tick size, in thousandths.
    tick: u16,
    /// Price to size, of the first token; sizes in hundredths.
    bids: BTreeMap<u16, u32>,
    asks: BTreeMap<u16, u32>,
    last_trade: u16,
}

impl Market {
    /// The market of these tokens, with the book that it begins with under `seed`.
    pub(super) fn new(yes: Token, no: Token, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ fingerprint(&yes.id));
        let tick = 10;
        let middle = rng.u16(20..80) * tick;
        let mut market = Self {
            id: hex(&mut rng, 64),
            yes,
            no,
            tick,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            last_trade: middle,
        };
        for level in 1..=rng.u16(6..=15) {
            market.bids.insert(middle - level * tick, random_size(&mut rng));
            market.asks.insert(middle + level * tick, random_size(&mut rng));
        }
        market
    }

    /// Whether `token` is one of the two.
    pub(super) fn token(&mut self, token: &str) -> Option<&mut Token> {
        [&mut self.yes, &mut self.no].into_iter().find(|own| own.id == token)
    }

    /// What happens next, one event a string; some of it together, as on the venue.
    pub(super) fn burst(&mut self, now_ms: i64, rng: &mut Rng, events: &mut Vec<String>) {
        match rng.u32(0..1000) {
            0..150 => self.trade(now_ms, rng, events),
            150..250 => self.each_subscribed(events, |market, outcome| market.best_bid_ask(outcome, now_ms)),
            250..253 if self.tick == 10 => {
                self.tick = 1;
                self.each_subscribed(events, |market, outcome| market.tick_size_change(outcome, now_ms));
            }
            _ => {
                for _ in 0..rng.u32(1..=6) {
                    events.push(self.price_change(now_ms, rng));
                }
            }
        }
        // The venue repeats itself as a matter of routine.
        if rng.u32(0..40) == 0
            && let Some(last) = events.last().cloned()
        {
            events.push(last);
        }
    }

    /// The book of a subscribed token as in the first frame: compact, with the tick size.
    pub(super) fn first_book(&self, token: &str, now_ms: i64, rng: &mut Rng) -> String {
        let outcome = if token == self.no.id { Outcome::No } else { Outcome::Yes };
        let (bids, asks) = self.levels(outcome, ",");
        format!(
            r#"{{"market":"{}","asset_id":"{token}","timestamp":"{now_ms}","hash":"{}","bids":[{bids}],"asks":[{asks}],"tick_size":"{}","event_type":"book","last_trade_price":"{}"}}"#,
            self.id,
            hash(rng),
            price(self.tick),
            last_trade_price(seen(outcome, self.last_trade)),
        )
    }

    /// A trade, what it took from the book, and the books after it.
    fn trade(&mut self, now_ms: i64, rng: &mut Rng, events: &mut Vec<String>) {
        let side = if rng.bool() { Side::Buy } else { Side::Sell };
        let taken = match side {
            Side::Buy => self.best_ask(),
            Side::Sell => self.best_bid(),
        };
        self.last_trade = taken;
        // Trades are stamped by another clock than books: their times lie up to some tenths of a second back.
        let traded_ms = now_ms - rng.i64(0..300);
        let (traded, hash) = (size_text(random_size(rng)), hex(rng, 64));
        self.each_subscribed(events, |market, outcome| {
            let side = if outcome == Outcome::Yes { side } else { side.opposite() };
            format!(
                r#"{{"market":"{}", "asset_id":"{}", "price":"{}", "size":"{traded}", "fee_rate_bps":"0", "side":"{}", "timestamp":"{traded_ms}", "event_type":"last_trade_price", "transaction_hash":"{hash}"}}"#,
                market.id,
                market.id_of(outcome),
                price(seen(outcome, taken)),
                side.as_str(),
            )
        });
        events.push(self.price_change(now_ms, rng));
        let hash = self::hash(rng);
        self.each_subscribed(events, |market, outcome| {
            let (bids, asks) = market.levels(outcome, ", ");
            format!(
                r#"{{"market":"{}", "asset_id":"{}", "timestamp":"{now_ms}", "hash":"{hash}", "bids":[{bids}], "asks":[{asks}], "last_trade_price":"{}", "event_type":"book"}}"#,
                market.id,
                market.id_of(outcome),
                last_trade_price(seen(outcome, market.last_trade)),
            )
        });
    }

    /// Changes one level, and tells it for both tokens.
    fn price_change(&mut self, now_ms: i64, rng: &mut Rng) -> String {
        let side = if rng.bool() { Side::Buy } else { Side::Sell };
        let (at, resting) = self.step(side, rng);
        let mut changes = String::new();
        for outcome in [Outcome::Yes, Outcome::No] {
            let (best_bid, best_ask) = self.best(outcome);
            let side = if outcome == Outcome::Yes { side } else { side.opposite() };
            let _ = write!(
                changes,
                r#"{}{{"asset_id":"{}", "price":"{}", "size":"{}", "side":"{}", "hash":"{}", "best_bid":"{}", "best_ask":"{}"}}"#,
                if changes.is_empty() { "" } else { ", " },
                self.id_of(outcome),
                price(seen(outcome, at)),
                size_text(resting),
                side.as_str(),
                hash(rng),
                price(best_bid),
                price(best_ask),
            );
        }
        format!(
            r#"{{"market":"{}", "price_changes":[{changes}], "timestamp":"{now_ms}", "event_type":"price_change"}}"#,
            self.id
        )
    }

    fn best_bid_ask(&self, outcome: Outcome, now_ms: i64) -> String {
        let (bid, ask) = self.best(outcome);
        format!(
            r#"{{"market":"{}", "asset_id":"{}", "best_bid":"{}", "best_ask":"{}", "spread":"{}", "timestamp":"{now_ms}", "event_type":"best_bid_ask"}}"#,
            self.id,
            self.id_of(outcome),
            price(bid),
            price(ask),
            price(ask - bid),
        )
    }

    fn tick_size_change(&self, outcome: Outcome, now_ms: i64) -> String {
        format!(
            r#"{{"market":"{}", "asset_id":"{}", "old_tick_size":"0.01", "new_tick_size":"0.001", "timestamp":"{now_ms}", "event_type":"tick_size_change"}}"#,
            self.id,
            self.id_of(outcome),
        )
    }

    /// One step of the walk on one side of the book: the level that changed, and its size, 0 where it is gone.
    fn step(&mut self, side: Side, rng: &mut Rng) -> (u16, u32) {
        let (best_bid, best_ask) = (self.best_bid(), self.best_ask());
        let (levels, best, inside) = match side {
            Side::Buy => (&mut self.bids, best_bid, best_bid + self.tick),
            Side::Sell => (&mut self.asks, best_ask, best_ask - self.tick),
        };
        let fits = best_bid < inside && inside < best_ask;
        match rng.u32(0..10) {
            0..3 if fits && levels.len() < *LEVELS.end() => {
                let resting = random_size(rng);
                levels.insert(inside, resting);
                (inside, resting)
            }
            3..6 if levels.len() > *LEVELS.start() => {
                levels.remove(&best);
                (best, 0)
            }
            _ => {
                let index = rng.usize(..levels.len());
                let at = levels.keys().nth(index).copied().unwrap_or(best);
                let resting = random_size(rng);
                levels.insert(at, resting);
                (at, resting)
            }
        }
    }

    /// There are always levels on both sides; the outermost prices stand in, so that nothing can fail.
    fn best_bid(&self) -> u16 {
        self.bids.last_key_value().map_or(0, |(at, _)| *at)
    }

    fn best_ask(&self) -> u16 {
        self.asks.first_key_value().map_or(UNIT, |(at, _)| *at)
    }

    fn best(&self, outcome: Outcome) -> (u16, u16) {
        let (bid, ask) = (self.best_bid(), self.best_ask());
        match outcome {
            Outcome::Yes => (bid, ask),
            Outcome::No => (UNIT - ask, UNIT - bid),
        }
    }

    fn id_of(&self, outcome: Outcome) -> &str {
        match outcome {
            Outcome::Yes => &self.yes.id,
            Outcome::No => &self.no.id,
        }
    }

    /// Both sides as JSON: bids ascend and asks descend, so that the best price is last in both.
    fn levels(&self, outcome: Outcome, comma: &str) -> (String, String) {
        let level = |(at, size): (&u16, &u32)| {
            let (at, size) = (price(seen(outcome, *at)), size_text(*size));
            format!(r#"{{"price":"{at}"{comma}"size":"{size}"}}"#)
        };
        let rising = |levels: &BTreeMap<u16, u32>| levels.iter().map(level).collect::<Vec<_>>().join(comma);
        let falling = |levels: &BTreeMap<u16, u32>| levels.iter().rev().map(level).collect::<Vec<_>>().join(comma);
        match outcome {
            Outcome::Yes => (rising(&self.bids), falling(&self.asks)),
            Outcome::No => (falling(&self.asks), rising(&self.bids)),
        }
    }

    fn each_subscribed(&self, events: &mut Vec<String>, event: impl Fn(&Self, Outcome) -> String) {
        for (token, outcome) in [(&self.yes, Outcome::Yes), (&self.no, Outcome::No)] {
            if token.subscribed {
                events.push(event(self, outcome));
            }
        }
    }
}

/// A price of the first token, seen from `outcome`.
const fn seen(outcome: Outcome, at: u16) -> u16 {
    match outcome {
        Outcome::Yes => at,
        Outcome::No => UNIT - at,
    }
}

/// A price as the venue writes it: without trailing zeros.
fn price(thousandths: u16) -> String {
    let text = format!("{}.{:03}", thousandths / UNIT, thousandths % UNIT);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The price of the last trade as books have it: with three decimals.
fn last_trade_price(thousandths: u16) -> String {
    format!("{}.{:03}", thousandths / UNIT, thousandths % UNIT)
}

/// A size from hundredths, as the venue writes it: without trailing zeros.
fn size_text(hundredths: u32) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Many small sizes, few large ones; half of them round.
fn random_size(rng: &mut Rng) -> u32 {
    let magnitude = 10_u32.pow(rng.u32(0..=5));
    let whole = rng.u32(1..=9) * magnitude;
    whole * 100 + if rng.bool() { 0 } else { rng.u32(1..100) }
}

fn hash(rng: &mut Rng) -> String {
    hex(rng, 40).trim_start_matches("0x").to_owned()
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    let mut text = String::from("0x");
    text.extend((0..digits).map(|_| rng.digit(16)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market() -> Market {
        let token = |id: &str| Token {
            id: id.into(),
            subscribed: true,
        };
        Market::new(token("11"), token("22"), 7)
    }

    #[test]
    fn the_walk_never_crosses_the_book_nor_empties_it() {
        let (mut market, mut rng) = (market(), Rng::with_seed(1));
        for _ in 0..20_000 {
            let mut events = Vec::new();
            market.burst(0, &mut rng, &mut events);
            assert!(!events.is_empty());
            assert!(0 < market.best_bid() && market.best_bid() < market.best_ask() && market.best_ask() < UNIT);
            assert!(LEVELS.contains(&market.bids.len()) && LEVELS.contains(&market.asks.len()));
        }
        assert_eq!(market.tick, 1, "a tick size change is rare, not absent");
    }

    #[test]
    fn prices_and_sizes_are_written_as_the_venue_does() {
        assert_eq!(
            (price(500), price(585), price(10)),
            ("0.5".into(), "0.585".into(), "0.01".into())
        );
        assert_eq!(last_trade_price(140), "0.140");
        assert_eq!(
            (size_text(25_400), size_text(1273), size_text(0)),
            ("254".into(), "12.73".into(), "0".into())
        );
    }
}
