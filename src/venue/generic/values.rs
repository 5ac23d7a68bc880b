//! Where the values of events stand, and how they are read: at leisure, and as strictly as those of the built-in venues.

use super::pattern::Wanted;
use super::pointer::Pointer;
use super::tree::{Scope, Tree};
use crate::market::{BestPrices, Book, Decimal, LastPrice, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::object::{AMOUNT, Place, Raw, amount};
use std::borrow::Cow;

const LEVELS: &str = "a list of levels, 65536 at most";
const SIDE: &str = "one of the words for buy or sell that the description has";

/// Calls with each value of an event.
pub(super) type Visit<'v, 'f> = &'v mut dyn FnMut(Result<Value<'f>, ValueError>);

/// Where the value of an event stands. Prices and sizes are decimals of 0 or more, in quotes or not; of those that are there and
/// `null` there are none.
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
    /// A [`PriceChange`] for each level that has another size now. One of the lists may be missing: nothing changed there.
    Changes {
        /// Of who buys.
        bids: LevelsRule,
        /// Of who sells.
        asks: LevelsRule,
    },
    /// One [`PriceChange`].
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
        /// The price of the last trade.
        last: Option<Pointer>,
    },
}

/// Where a trade stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TradeRule {
    /// Its price.
    pub price: Pointer,
    /// Its size.
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
                visit(read.map(|(side, level)| event.change(side, level)));
            }
            Self::Ticker { best, last } => {
                if let Some((bid, ask)) = best {
                    visit(event.best_prices(bid, ask).map(Value::BestPrices));
                }
                if let Some(last) = last {
                    visit(event.last_price(last).map(Value::LastPrice));
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
            size: rule.size.as_ref().map(|at| self.amount("size", at)).transpose()?,
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

    fn change(&self, side: Side, Level { price, size }: Level) -> Value<'f> {
        Value::PriceChange(PriceChange {
            instrument: self.instrument,
            side,
            price,
            size: Some(size),
            best_bid: None,
            best_ask: None,
            venue_time_ms: self.time,
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
        Ok(Book {
            instrument: self.instrument,
            bids: side("bids", bids)?,
            asks: side("asks", asks)?,
            tick_size: None,
            last_trade_price: None,
            venue_time_ms: self.time,
        })
    }

    fn changes(&self, bids: &LevelsRule, asks: &LevelsRule, visit: Visit<'_, 'f>) {
        let mut is_there = false;
        for (name, side, rule) in [("bids", Side::Buy, bids), ("asks", Side::Sell, asks)] {
            let levels = self.levels(name, rule);
            is_there |= !matches!(levels, Ok(None));
            match levels {
                Ok(levels) => {
                    for level in levels.unwrap_or_default() {
                        visit(Ok(self.change(side, level)));
                    }
                }
                Err(error) => visit(Err(error)),
            }
        }
        if !is_there {
            visit(Err(self.place.wrong("bids", None, LEVELS)));
        }
    }

    fn best_prices(&self, bid: &Pointer, ask: &Pointer) -> Result<BestPrices<'f>, ValueError> {
        let price = |name, at| match self.scope.stands(at) {
            Some(found) if found.is_null() || found.raw().get() == r#""""# => Ok(None),
            // Where it is missing, this may be news of the other one alone.
            _ => self.amount(name, at).map(|price| (!price.is_zero()).then_some(price)),
        };
        Ok(BestPrices {
            instrument: self.instrument,
            bid: price("bid", bid)?,
            ask: price("ask", ask)?,
            venue_time_ms: self.time,
        })
    }

    fn last_price(&self, last: &Pointer) -> Result<LastPrice<'f>, ValueError> {
        Ok(LastPrice {
            instrument: self.instrument,
            price: self.amount("last", last)?,
            venue_time_ms: self.time,
        })
    }
}
