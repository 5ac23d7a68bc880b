//! The values of a described venue: where prices, sizes and sides stand.

use super::rules::{pointer, pointer_of, text_or_table, wanted};
use crate::config::section::Section;
use crate::market::EventKind;
use crate::venue::generic::{LevelsRule, SideRule, TradeRule, ValueRule, Wanted};

/// The keys of one kind's value, and all of them in words.
struct Keys {
    needed: &'static [&'static str],
    optional: &'static [&'static str],
    told_by: &'static str,
}

const ALL: [&str; 9] = ["price", "size", "side", "id", "bid", "ask", "last", "bids", "asks"];
const TRADE: Keys = Keys {
    needed: &["price"],
    optional: &["size", "side", "id"],
    told_by: "price, and maybe size, side and id",
};
const BOOK: Keys = Keys {
    needed: &["bids", "asks"],
    optional: &[],
    told_by: "bids and asks",
};
const CHANGES: Keys = Keys {
    told_by: "bids and asks, or price, size and side",
    ..BOOK
};
const CHANGE: Keys = Keys {
    needed: &["price", "size", "side"],
    optional: &[],
    told_by: CHANGES.told_by,
};
const TICKER: Keys = Keys {
    needed: &[],
    optional: &["bid", "ask", "last"],
    told_by: "bid and ask, last, or all of them",
};
const TICKER_OF_BEST: Keys = Keys {
    needed: &["bid", "ask"],
    ..TICKER
};

/// Where the value of an event of that kind stands; `None` where it tells none, or what is said of it is wrong and reported.
pub(super) fn value(section: &mut Section<'_, '_>, kind: Option<EventKind>) -> Option<ValueRule> {
    if let Some(kind) = kind {
        check_keys(section, kind);
    }
    let mut at = |key| section.take(key, pointer);
    let (price, amount, id) = (at("price"), at("size"), at("id"));
    let (bid, ask, last) = (at("bid"), at("ask"), at("last"));
    let side = side(section);
    let sides = levels(section, "bids").zip(levels(section, "asks"));
    match kind? {
        EventKind::Trade => {
            let mut trade = TradeRule::new(price?);
            (trade.size, trade.side, trade.id) = (amount, side, id);
            Some(ValueRule::Trade(trade))
        }
        EventKind::BookSnapshot => sides.map(|(bids, asks)| ValueRule::Book { bids, asks }),
        EventKind::BookDelta => match sides {
            Some((bids, asks)) => Some(ValueRule::Changes { bids, asks }),
            None => Some(ValueRule::Change {
                side: side?,
                price: price?,
                size: amount?,
            }),
        },
        EventKind::Ticker => {
            let best = bid.zip(ask);
            (best.is_some() || last.is_some()).then_some(ValueRule::Ticker { best, last })
        }
        _ => None,
    }
}

/// Reports what that kind has no use for, and what it lacks.
fn check_keys(section: &mut Section<'_, '_>, kind: EventKind) {
    let given: Vec<_> = ALL.into_iter().filter(|key| section.place_of(key).is_some()).collect();
    if given.is_empty() {
        return;
    }
    let is_given = |keys: [&str; 2]| keys.into_iter().any(|key| given.contains(&key));
    let keys = match kind {
        EventKind::Trade => TRADE,
        EventKind::BookSnapshot => BOOK,
        EventKind::BookDelta if is_given(["bids", "asks"]) => CHANGES,
        EventKind::BookDelta => CHANGE,
        EventKind::Ticker if is_given(["bid", "ask"]) => TICKER_OF_BEST,
        EventKind::Ticker => TICKER,
        _ => {
            for key in &given {
                section.wrong(key, format!("is of no use: there is no value of a {}", kind.as_str()));
            }
            return;
        }
    };
    let told = format!("the value of a {} is told by {}", kind.as_str(), keys.told_by);
    for key in &given {
        if !keys.needed.contains(key) && !keys.optional.contains(key) {
            section.wrong(key, format!("is of no use: {told}"));
        }
    }
    for key in keys.needed.iter().filter(|key| !given.contains(key)) {
        section.wrong(key, format!("is missing: {told}"));
    }
}

/// A pointer, or a table that has the words as well.
fn side(section: &mut Section<'_, '_>) -> Option<SideRule> {
    let read = |raw| text_or_table(raw, "a JSON pointer")?.map(pointer_of).transpose();
    if let Some(at) = section.take("side", read)? {
        return Some(SideRule::at(at));
    }
    let mut section = section.section_of("side", "venues[].events[].side");
    let of = section.require("of", "a JSON pointer", pointer);
    let (buy, sell) = (section.take("buy", wanted), section.take("sell", wanted));
    let mut side = SideRule::at(of?);
    side.buy = buy.unwrap_or(side.buy);
    side.sell = sell.unwrap_or(side.sell);
    if side.sell.iter().any(|word| Wanted::include(&side.buy, word)) {
        let problem = "has a word that fits buy as well, which comes first; valid: other words";
        section.wrong("sell", problem.to_owned());
    }
    Some(side)
}

/// A pointer to a list of lists, or a table that says where in each level price and size stand.
fn levels(section: &mut Section<'_, '_>, key: &'static str) -> Option<LevelsRule> {
    let read = |raw| text_or_table(raw, "a JSON pointer")?.map(pointer_of).transpose();
    if let Some(at) = section.take(key, read)? {
        return Some(LevelsRule::lists(at));
    }
    let mut section = section.section_of(key, "venues[].events[].bids");
    let each = section.require("each", "a JSON pointer to the list of levels", pointer);
    let (price, size) = (section.take("price", pointer), section.take("size", pointer));
    let mut levels = LevelsRule::lists(each?);
    levels.price = price.unwrap_or(levels.price);
    levels.size = size.unwrap_or(levels.size);
    Some(levels)
}
