//! Books as far as differences need them: the size of each level.

use crate::market::{Decimal, Level, Side, is_name};
use rustc_hash::FxBuildHasher;
use std::collections::HashMap;

/// So many books are kept. More than a connection carries come from a venue that is out of its mind.
const MOST_BOOKS: usize = 20_000;

/// More levels than there are prices between a dollar and nothing.
const MOST_LEVELS: usize = 20_000;

type Sizes = HashMap<(bool, Decimal), Decimal, FxBuildHasher>;

#[derive(Debug, Default)]
pub(super) struct Books {
    of: HashMap<Box<str>, Sizes, FxBuildHasher>,
}

impl Books {
    /// A whole book.
    pub(super) fn begin(&mut self, instrument: &str, bids: &[Level], asks: &[Level]) {
        let side = |is_bid: bool, levels: &[Level]| {
            let level = move |level: &Level| ((is_bid, level.price), level.size);
            levels.iter().map(level).collect::<Vec<_>>()
        };
        let sizes: Sizes = side(true, bids).into_iter().chain(side(false, asks)).collect();
        let has_room = self.of.len() < MOST_BOOKS || self.of.contains_key(instrument);
        if sizes.len() <= MOST_LEVELS && has_room && is_name(instrument) {
            self.of.insert(instrument.into(), sizes);
        } else {
            self.of.remove(instrument);
        }
    }

    /// The size of a level after that difference; `None` = the book is not known, or not any more.
    pub(super) fn change(&mut self, instrument: &str, side: Side, price: Decimal, by: Decimal) -> Option<Decimal> {
        let levels = self.of.get_mut(instrument)?;
        let key = (side == Side::Buy, price);
        let left = levels.get(&key).copied().unwrap_or_default().checked_add(by);
        match left {
            Some(left) if left.is_zero() => _ = levels.remove(&key),
            Some(left) if left > Decimal::ZERO && levels.len() < MOST_LEVELS => _ = levels.insert(key, left),
            // Less than nothing is no book of the venue's.
            _ => {
                self.of.remove(instrument);
                return None;
            }
        }
        left
    }
}
