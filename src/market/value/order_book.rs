//! An order book that is kept by applying what the venue tells.

use super::{Book, Level, PriceChange, Side};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Why a book cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// A change does not say to what.
    #[error("the price change has no size; valid: the level's new size, 0 where it is gone")]
    NoSize,
    /// It would grow without limit.
    #[error("the book has more levels on a side than it may have; valid: at most {0}")]
    TooDeep(usize),
}

/// The order book of one instrument, as of the last event that was applied.
///
/// It begins with a whole book, so there is none that was never whole. It is what the venue says, right or wrong: empty,
/// one-sided, locked and crossed books are states like any other, and some venues have crossed ones for a moment.
///
/// Its memory is bounded: no side takes more levels than it may have, 10,000 unless said otherwise. A book that would need
/// more is given up with an error, since one that is cut would show prices that are not the next best.
///
/// Nothing in it knows of a lost connection. Throw it away at [`crate::market::MarketEvent::Disconnected`].
///
/// ```
/// use feedwatch::market::{OrderBook, Value};
/// use feedwatch::venue::{Polymarket, Venue};
///
/// let frames = [
///     r#"[{"asset_id":"71","bids":[{"price":"0.45","size":"60"}],"asks":[],"timestamp":"1793000000210","event_type":"book"}]"#,
///     r#"{"price_changes":[{"asset_id":"71", "price":"0.47", "size":"5.25", "side":"SELL"}], "event_type":"price_change"}"#,
/// ];
/// let mut book = None;
/// for frame in frames {
///     Polymarket.decoder().values(frame, &mut |value| match value {
///         Ok(Value::Book(snapshot)) => book = OrderBook::new(&snapshot).ok(),
///         Ok(Value::PriceChange(change)) => {
///             // After an error it is not the venue's book any more.
///             book = book.take().and_then(|mut book| book.apply(&change).is_ok().then_some(book));
///         }
///         Ok(_) => {}
///         Err(error) => panic!("{error}"),
///     });
/// }
/// let best = book.unwrap().best_ask().unwrap();
/// assert_eq!((best.price.to_string(), best.size.to_string()), ("0.47".into(), "5.25".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBook {
    /// Price to size.
    bids: BTreeMap<Decimal, Decimal>,
    asks: BTreeMap<Decimal, Decimal>,
    max_levels: usize,
    venue_time_ms: Option<i64>,
}

impl OrderBook {
    /// How many levels a side takes at most, unless said otherwise. Polymarket's finest step leaves room for 9,999.
    pub const MAX_LEVELS: usize = 10_000;

    /// A book as the venue has told it whole. Where it names a price twice, the later size counts; what has no size is no
    /// level.
    ///
    /// # Errors
    ///
    /// [`BookError::TooDeep`].
    pub fn new(snapshot: &Book<'_>) -> Result<Self, BookError> {
        Self::with_max_levels(snapshot, Self::MAX_LEVELS)
    }

    /// The same with so many levels a side at most, also later.
    ///
    /// # Errors
    ///
    /// [`BookError::TooDeep`].
    pub fn with_max_levels(snapshot: &Book<'_>, max_levels: usize) -> Result<Self, BookError> {
        let mut book = Self {
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            max_levels,
            venue_time_ms: snapshot.venue_time_ms,
        };
        for (side, levels) in [(Side::Buy, &snapshot.bids), (Side::Sell, &snapshot.asks)] {
            for level in levels {
                book.set(side, *level)?;
            }
        }
        Ok(book)
    }

    /// Applies a change. Repetitions do no harm, since sizes are absolute; changes count in the order in which they come.
    ///
    /// # Errors
    ///
    /// The book is left as it was, which is not what the venue has any more: throw it away, and begin with the venue's next
    /// whole one.
    pub fn apply(&mut self, change: &PriceChange<'_>) -> Result<(), BookError> {
        let size = change.size.ok_or(BookError::NoSize)?;
        let price = change.price;
        self.set(change.side, Level { price, size })?;
        self.venue_time_ms = change.venue_time_ms.or(self.venue_time_ms);
        Ok(())
    }

    /// The highest bid.
    pub fn best_bid(&self) -> Option<Level> {
        self.bids().next()
    }

    /// The lowest ask.
    pub fn best_ask(&self) -> Option<Level> {
        self.asks().next()
    }

    /// The bids, the best first.
    pub fn bids(&self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator {
        self.bids.iter().rev().map(level)
    }

    /// The asks, the best first.
    pub fn asks(&self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator {
        self.asks.iter().map(level)
    }

    /// Somebody bids as much as somebody asks, or more.
    pub fn is_crossed(&self) -> bool {
        let best = self.best_bid().zip(self.best_ask());
        best.is_some_and(|(bid, ask)| bid.price >= ask.price)
    }

    /// The venue's time of the last event that was applied and had one: milliseconds since the Unix epoch.
    pub const fn venue_time_ms(&self) -> Option<i64> {
        self.venue_time_ms
    }

    fn set(&mut self, side: Side, Level { price, size }: Level) -> Result<(), BookError> {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if size <= Decimal::ZERO {
            levels.remove(&price);
        } else if levels.len() < self.max_levels || levels.contains_key(&price) {
            levels.insert(price, size);
        } else {
            return Err(BookError::TooDeep(self.max_levels));
        }
        Ok(())
    }
}

fn level((price, size): (&Decimal, &Decimal)) -> Level {
    Level {
        price: *price,
        size: *size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::value::decimal;
    use proptest::prelude::*;

    fn number(text: &str) -> Decimal {
        decimal(text).unwrap()
    }

    fn levels(levels: &[(&str, &str)]) -> Vec<Level> {
        let level = |(price, size): &(&str, &str)| Level {
            price: number(price),
            size: number(size),
        };
        levels.iter().map(level).collect()
    }

    fn snapshot(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Book<'static> {
        Book {
            instrument: "1",
            bids: levels(bids),
            asks: levels(asks),
            tick_size: None,
            last_trade_price: None,
            venue_time_ms: Some(5),
        }
    }

    fn change(side: Side, at: &str, resting: Option<&str>) -> PriceChange<'static> {
        PriceChange {
            instrument: "1",
            side,
            price: number(at),
            size: resting.map(number),
            best_bid: None,
            best_ask: None,
            venue_time_ms: Some(7),
        }
    }

    fn shown(levels: impl Iterator<Item = Level>) -> Vec<String> {
        levels
            .map(|level| format!("{} x {}", level.price, level.size))
            .collect()
    }

    #[test]
    fn a_book_is_sorted_whatever_the_order_of_its_levels() {
        for bids in [[("0.42", "80"), ("0.44", "31.5")], [("0.44", "31.5"), ("0.42", "80")]] {
            let book = OrderBook::new(&snapshot(&bids, &[("0.5", "12"), ("0.47", "205")])).unwrap();
            assert_eq!(shown(book.bids()), ["0.44 x 31.5", "0.42 x 80"]);
            assert_eq!(shown(book.asks()), ["0.47 x 205", "0.5 x 12"]);
            assert_eq!(
                shown(book.best_bid().into_iter().chain(book.best_ask())),
                ["0.44 x 31.5", "0.47 x 205"]
            );
            assert_eq!((book.bids().len(), book.is_crossed()), (2, false));
        }
    }

    #[test]
    fn a_change_sets_a_level_and_no_size_deletes_it() {
        let mut book = OrderBook::new(&snapshot(&[("0.44", "31.5")], &[("0.47", "205")])).unwrap();
        assert_eq!(book.venue_time_ms(), Some(5));
        book.apply(&change(Side::Buy, "0.45", Some("60"))).unwrap();
        book.apply(&change(Side::Sell, "0.470", Some("3"))).unwrap();
        assert_eq!(
            (shown(book.bids()), shown(book.asks())),
            (vec!["0.45 x 60".into(), "0.44 x 31.5".into()], vec!["0.47 x 3".into()])
        );
        book.apply(&change(Side::Sell, "0.47", Some("0.00"))).unwrap();
        book.apply(&change(Side::Sell, "0.99", Some("0"))).unwrap();
        assert_eq!((book.best_ask(), book.venue_time_ms()), (None, Some(7)));
    }

    #[test]
    fn empty_one_sided_locked_and_crossed_books_are_legal() {
        for (bids, asks, crossed) in [
            (&[][..], &[][..], false),
            (&[("0.5", "1")], &[], false),
            (&[], &[("0.5", "1")], false),
            (&[("0.5", "1")], &[("0.50", "1")], true),
            (&[("0.6", "1")], &[("0.5", "1")], true),
        ] {
            let book = OrderBook::new(&snapshot(bids, asks)).unwrap();
            assert_eq!(book.is_crossed(), crossed, "{book:?}");
            assert_eq!((book.bids().len(), book.asks().len()), (bids.len(), asks.len()));
        }
    }

    #[test]
    fn a_snapshot_that_repeats_a_price_has_it_once_and_levels_without_size_not_at_all() {
        let book = OrderBook::new(&snapshot(&[("0.5", "1"), ("0.4", "0"), ("0.50", "2")], &[])).unwrap();
        assert_eq!(shown(book.bids()), ["0.5 x 2"]);
    }

    #[test]
    fn a_change_without_a_size_leaves_the_book_and_says_so() {
        let mut book = OrderBook::new(&snapshot(&[("0.44", "31.5")], &[])).unwrap();
        let before = book.clone();
        assert_eq!(book.apply(&change(Side::Buy, "0.44", None)), Err(BookError::NoSize));
        assert_eq!(book, before);
    }

    #[test]
    fn a_book_that_is_full_changes_and_loses_levels_and_takes_no_more() {
        let full = snapshot(&[("0.1", "1"), ("0.2", "1")], &[]);
        assert_eq!(OrderBook::with_max_levels(&full, 1), Err(BookError::TooDeep(1)));
        let mut book = OrderBook::with_max_levels(&full, 2).unwrap();
        let before = book.clone();
        assert_eq!(
            book.apply(&change(Side::Buy, "0.3", Some("1"))),
            Err(BookError::TooDeep(2))
        );
        assert_eq!(book, before);
        book.apply(&change(Side::Sell, "0.3", Some("1"))).unwrap();
        book.apply(&change(Side::Buy, "0.20", Some("5"))).unwrap();
        book.apply(&change(Side::Buy, "0.1", Some("0"))).unwrap();
        book.apply(&change(Side::Buy, "0.3", Some("1"))).unwrap();
        assert_eq!(shown(book.bids()), ["0.3 x 1", "0.2 x 5"]);
    }

    /// Hundredths to size, as integers.
    type Model = [BTreeMap<u8, u16>; 2];

    /// A price of so many hundredths, with needless zeros or without.
    fn hundredths(price: u8, zeros: u32) -> Decimal {
        let scale = 10_i128.pow(zeros);
        Decimal::from_i128_with_scale(i128::from(price) * scale, 2 + zeros)
    }

    fn set(model: &mut Model, side: usize, at: u8, resting: u16) {
        if resting == 0 {
            model[side].remove(&at);
        } else {
            model[side].insert(at, resting);
        }
    }

    proptest! {
        #[test]
        fn changes_of_a_snapshot_make_what_a_model_makes(
            first in prop::collection::vec((0_usize..2, 1_u8..100, 0_u16..5), 0..40),
            later in prop::collection::vec((0_usize..2, 1_u8..100, 0_u16..5, 0_u32..3), 0..200),
        ) {
            let mut model = Model::default();
            let mut snapshot = snapshot(&[], &[]);
            for (side, price, size) in first {
                set(&mut model, side, price, size);
                let levels = if side == 0 { &mut snapshot.bids } else { &mut snapshot.asks };
                levels.push(Level { price: hundredths(price, 0), size: size.into() });
            }
            let mut book = OrderBook::new(&snapshot).unwrap();
            for (side, price, size, zeros) in later {
                set(&mut model, side, price, size);
                let change = PriceChange {
                    side: [Side::Buy, Side::Sell][side],
                    price: hundredths(price, zeros),
                    size: Some(size.into()),
                    ..change(Side::Buy, "0", None)
                };
                book.apply(&change).unwrap();
                let expected = |(price, size): (&u8, &u16)| Level { price: hundredths(*price, 0), size: (*size).into() };
                prop_assert!(book.bids().eq(model[0].iter().rev().map(expected)));
                prop_assert!(book.asks().eq(model[1].iter().map(expected)));
                prop_assert_eq!(book.best_bid(), model[0].last_key_value().map(expected));
                prop_assert_eq!(book.best_ask(), model[1].first_key_value().map(expected));
            }
        }
    }
}
