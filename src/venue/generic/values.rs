//! Where the values of events stand, and how they are read: at leisure, and as strictly as those of the built-in venues.

use super::pattern::Wanted;
use super::pointer::Pointer;
use super::tree::{Scope, Tree};
use crate::market::{BestPrices, Book, Decimal, LastPrice, Level, Side, Trade, Value, ValueError};
use crate::venue::book::{self, Visit};
use crate::venue::object::{AMOUNT, Place, Raw, amount};
use std::borrow::Cow;

const LEVELS: &str = "a list of levels, 65536 at most";
const SIDE: &str = "one of the words for buy or sell that the description has";

/// Where the value of an event stands. Prices and sizes are decimals of 0 or more, in quotes or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueRule {
    /// A [`Trade`].
    Trade(TradeRule),
    /// A whole [`Book`]; both lists must be there, or `null` where there is nobody.
    Book {
        /// Who buys.
        bids: LevelsRule,
        /// Who sells.
        asks: LevelsRule,
    },
    /// A [`PriceChange`](crate::market::PriceChange) for each level that has another size now. One of the lists may be missing:
    /// nothing changed there.
    Changes {
        /// Of who buys.
        bids: LevelsRule,
        /// Of who sells.
        asks: LevelsRule,
    },
    /// One [`PriceChange`](crate::market::PriceChange).
    Change {
        /// Bids or asks.
        side: SideRule,
        /// Which level.
        price: Pointer,
        /// Its size from now on; 0 = it is gone.
        size: Pointer,
    },
    /// [`BestPrices`], [`LastPrice`], or both.
    Ticker {
        /// The best bid and the best ask. Both must be there; of one that is `null`, empty or 0 there is nobody.
        best: Option<(Pointer, Pointer)>,
        /// The price of the last trade. It must be there; where it is `null`, empty or 0 there was none yet.
        last: Option<Pointer>,
    },
}

/// Where a trade stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TradeRule {
    /// Its price.
    pub price: Pointer,
    /// Its size. It must be there; where it is `null` or empty, it is not told.
    pub size: Option<Pointer>,
    /// What the taker did.
    pub side: Option<SideRule>,
    /// The venue's id of it.
    pub id: Option<Pointer>,
}

/// Where a side stands, and the words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideRule {
    /// Where one of the words stands.
    pub of: Pointer,
    /// The words for who buys.
    pub buy: Vec<Wanted>,
    /// The words for who sells.
    pub sell: Vec<Wanted>,
}

/// Where the levels of a side of a book stand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelsRule {
    /// The list of levels.
    pub each: Pointer,
    /// The price in each of them: a pointer that begins with `*`.
    pub price: Pointer,
    /// The size in each of them: a pointer that begins with `*`.
    pub size: Pointer,
}

impl TradeRule {
    /// One of that price, of which no more is said yet.
    pub const fn new(price: Pointer) -> Self {
        Self {
            price,
            size: None,
            side: None,
            id: None,
        }
    }
}

impl SideRule {
    /// A side that stands there, in the words `buy` and `sell`, in small letters or not.
    pub fn at(of: Pointer) -> Self {
        let words = |words: [&str; 3]| words.map(|word| Wanted::Text(word.to_owned())).to_vec();
        Self {
            of,
            buy: words(["buy", "Buy", "BUY"]),
            sell: words(["sell", "Sell", "SELL"]),
        }
    }
}

impl LevelsRule {
    /// Levels that are lists which begin with a price and a size.
    pub fn lists(each: Pointer) -> Self {
        Self {
            each,
            price: Pointer::of_item(0),
            size: Pointer::of_item(1),
        }
    }
}

impl ValueRule {
    /// All that lead from the event or its frame. Those of levels lead from a level.
    pub(super) fn pointers(&self) -> Vec<&Pointer> {
        match self {
            Self::Trade(TradeRule { price, size, side, id }) => {
                let of_side = side.as_ref().map(|side| &side.of);
                let maybe = [size.as_ref(), of_side, id.as_ref()];
                maybe.into_iter().flatten().chain([price]).collect()
            }
            Self::Book { bids, asks } | Self::Changes { bids, asks } => vec![&bids.each, &asks.each],
            Self::Change { side, price, size } => vec![&side.of, price, size],
            Self::Ticker { best, last } => {
                let best = best.iter().flat_map(|(bid, ask)| [bid, ask]);
                best.chain(last).collect()
            }
        }
    }

    /// The levels of its book, if it is about one.
    pub(super) fn levels(&self) -> Option<[&LevelsRule; 2]> {
        match self {
            Self::Book { bids, asks } | Self::Changes { bids, asks } => Some([bids, asks]),
            _ => None,
        }
    }

    pub(super) fn read<'f>(&self, event: Event<'_, 'f>, visit: Visit<'_, 'f>) {
        match self {
            Self::Trade(rule) => visit(event.trade(rule).map(Value::Trade)),
            Self::Book { bids, asks } => visit(event.book(bids, asks).map(Value::Book)),
            Self::Changes { bids, asks } => event.changes(bids, asks, visit),
            Self::Change { side, price, size } => {
                let read = event.side(side).and_then(|side| Ok((side, event.level(price, size)?)));
                let change = |(side, level)| book::change(event.instrument, side, level, event.time);
                visit(read.map(change).map(Value::PriceChange));
            }
            Self::Ticker { best, last } => {
                if let Some((bid, ask)) = best {
                    visit(event.best_prices(bid, ask).map(Value::BestPrices));
                }
                if let Some(told) = last.as_ref().and_then(|last| event.last_price(last).transpose()) {
                    visit(told.map(Value::LastPrice));
                }
            }
        }
    }
}

/// An event, and what is known of it already.
#[derive(Clone, Copy)]
pub(super) struct Event<'t, 'f> {
    pub(super) scope: Scope<'t, 'f>,
    pub(super) place: Place<'f>,
    pub(super) instrument: &'f str,
    pub(super) time: Option<i64>,
}

impl<'f> Event<'_, 'f> {
    fn raw(&self, at: &Pointer) -> Raw<'f> {
        self.scope.find(at).map(Tree::raw)
    }

    fn amount(&self, name: &str, at: &Pointer) -> Result<Decimal, ValueError> {
        let raw = self.raw(at);
        amount(raw).ok_or_else(|| self.place.wrong(name, raw, AMOUNT))
    }

    /// What may be `null` or an empty text. Where it is missing, this may be news of something else alone.
    fn optional(&self, name: &str, at: &Pointer) -> Result<Option<Decimal>, ValueError> {
        match self.scope.stands(at) {
            Some(found) if found.is_null() || found.raw().get() == r#""""# => Ok(None),
            _ => self.amount(name, at).map(Some),
        }
    }

    /// A price of a ticker: where there is none, it may be 0 as well.
    fn price(&self, name: &str, at: &Pointer) -> Result<Option<Decimal>, ValueError> {
        let price = self.optional(name, at)?;
        Ok(price.filter(|price| !price.is_zero()))
    }

    /// A text without escapes, or a number.
    fn plain(&self, at: &Pointer) -> Option<&'f str> {
        match self.scope.text(at)? {
            Cow::Borrowed(text) => Some(text),
            Cow::Owned(_) => None,
        }
    }

    fn trade(&self, rule: &TradeRule) -> Result<Trade<'f>, ValueError> {
        Ok(Trade {
            instrument: self.instrument,
            price: self.amount("price", &rule.price)?,
            size: match &rule.size {
                Some(at) => self.optional("size", at)?,
                None => None,
            },
            // Some trades have no taker, such as those of auctions.
            side: rule.side.as_ref().and_then(|rule| self.side(rule).ok()),
            id: rule.id.as_ref().and_then(|at| self.plain(at)),
            venue_time_ms: self.time,
        })
    }

    fn side(&self, rule: &SideRule) -> Result<Side, ValueError> {
        let found = self.scope.find(&rule.of);
        let is = |words: &[Wanted]| Wanted::fits(words, found);
        match (is(&rule.buy), is(&rule.sell)) {
            (true, _) => Ok(Side::Buy),
            (false, true) => Ok(Side::Sell),
            (false, false) => Err(self.place.wrong("side", self.raw(&rule.of), SIDE)),
        }
    }

    fn level(&self, price: &Pointer, size: &Pointer) -> Result<Level, ValueError> {
        Ok(Level {
            price: self.amount("price", price)?,
            size: self.amount("size", size)?,
        })
    }

    /// The levels of a side; `None` = the list is not there.
    fn levels(&self, name: &'static str, rule: &LevelsRule) -> Result<Option<Vec<Level>>, ValueError> {
        let Some(list) = self.scope.stands(&rule.each) else {
            return Ok(None);
        };
        if list.is_null() {
            return Ok(Some(Vec::new()));
        }
        let items = list
            .items()
            .ok_or_else(|| self.place.wrong(name, Some(list.raw()), LEVELS))?;
        let level = |(index, item)| {
            let level = Event {
                scope: Scope {
                    event: Some(item),
                    ..self.scope
                },
                place: self.place.item(name, index),
                ..*self
            };
            level.level(&rule.price, &rule.size)
        };
        items.iter().enumerate().map(level).collect::<Result<_, _>>().map(Some)
    }

    fn book(&self, bids: &LevelsRule, asks: &LevelsRule) -> Result<Book<'f>, ValueError> {
        let side = |name, rule| {
            self.levels(name, rule)?
                .ok_or_else(|| self.place.wrong(name, None, LEVELS))
        };
        Ok(book::book(
            self.instrument,
            side("bids", bids)?,
            side("asks", asks)?,
            self.time,
        ))
    }

    fn changes(&self, bids: &LevelsRule, asks: &LevelsRule, visit: Visit<'_, 'f>) {
        let mut is_there = false;
        for (name, side, rule) in [("bids", Side::Buy, bids), ("asks", Side::Sell, asks)] {
            let levels = self.levels(name, rule);
            is_there |= !matches!(levels, Ok(None));
            let read = levels.map(|levels| (self.instrument, levels.unwrap_or_default()));
            book::visit_changes(read, side, self.time, visit);
        }
        if !is_there {
            visit(Err(self.place.wrong("bids", None, LEVELS)));
        }
    }

    fn best_prices(&self, bid: &Pointer, ask: &Pointer) -> Result<BestPrices<'f>, ValueError> {
        Ok(BestPrices {
            instrument: self.instrument,
            bid: self.price("bid", bid)?,
            ask: self.price("ask", ask)?,
            venue_time_ms: self.time,
        })
    }

    /// `None` before the first trade.
    fn last_price(&self, last: &Pointer) -> Result<Option<LastPrice<'f>>, ValueError> {
        let price = self.price("last", last)?;
        Ok(price.map(|price| LastPrice {
            instrument: self.instrument,
            price,
            venue_time_ms: self.time,
        }))
    }
}
