//! Whether what a rule says can be meant: no two numbers stand in one place, and nothing stands in a text.

use super::{InvalidDescription, wrong};
use crate::venue::generic::description::{Description, EventRule, PlaceRule};
use crate::venue::generic::pattern::{Pattern, Wanted};
use crate::venue::generic::pointer::Pointer;
use crate::venue::generic::values::{TradeRule, ValueRule};

/// A part of an event by its key, and where it stands.
type Part<'r> = (&'static str, &'r Pointer);

impl Description {
    pub(super) fn check_sense(&self) -> Result<(), InvalidDescription> {
        for sign in self.signs() {
            check_words(sign.when).map_err(|problem| wrong(sign.key, sign.index, problem))?;
        }
        for (index, rule) in self.events.iter().enumerate() {
            let sense = check_reach(rule)
                .and_then(|()| check_amounts(rule))
                .and_then(|()| check_levels(rule));
            sense.map_err(|problem| wrong("events", Some(index), problem))?;
            if let Some(PlaceRule::After { previous, number }) = rule.sequence.as_ref().map(|rule| &rule.place)
                && previous == number
            {
                let problem = same_place("previous", "number", number);
                return Err(wrong("events", Some(index), problem));
            }
        }
        Ok(())
    }
}

fn same_place(one: &str, other: &str, at: &Pointer) -> String {
    format!("has {one} and {other} in the same place, {at}")
}

/// Refuses a word that stands twice.
fn check_words(when: &Pattern) -> Result<(), String> {
    for (place, words) in &when.0 {
        let mut words_before = words
            .iter()
            .enumerate()
            .map(|(index, word)| (word, words.iter().take(index)));
        if words_before.any(|(word, mut before)| before.any(|one| one == word)) {
            return Err(format!("when has the same word twice for {place}"));
        }
    }
    Ok(())
}

/// Refuses a pointer into what is a text where the rule counts.
fn check_reach(rule: &EventRule) -> Result<(), String> {
    let parts = amounts(rule).into_iter().chain(names(rule)).map(|(_, at)| at);
    let parts: Vec<_> = parts.chain(rule.when.pointers()).collect();
    let levels = rule.value.as_ref().and_then(ValueRule::levels).into_iter().flatten();
    let lists: Vec<_> = levels.map(|side| &side.each).chain(&rule.each).collect();
    let is_text = |wanted: &Wanted| matches!(wanted, Wanted::Text(_) | Wanted::Prefix(_));
    for (place, _) in rule.when.0.iter().filter(|(_, wanted)| wanted.iter().all(is_text)) {
        let mut below = parts.iter().filter(|at| **at != place).chain(&lists);
        if let Some(at) = below.find(|at| at.is_within(place)) {
            return Err(format!(
                "looks for {at}, and {place} is a text or a number, as when has it"
            ));
        }
    }
    Ok(())
}

/// Refuses two meanings of one number.
fn check_amounts(rule: &EventRule) -> Result<(), String> {
    let (amounts, names) = (amounts(rule), names(rule));
    for (index, (name, at)) in amounts.iter().enumerate() {
        let mut others = names.iter().chain(amounts.iter().take(index));
        if let Some((other, _)) = others.find(|(_, other)| other == at) {
            return Err(same_place(other, name, at));
        }
    }
    Ok(())
}

/// The same of the levels of a book. Both sides may stand in one list, each with a price of its own.
fn check_levels(rule: &EventRule) -> Result<(), String> {
    let Some([bids, asks]) = rule.value.as_ref().and_then(ValueRule::levels) else {
        return Ok(());
    };
    if let Some(side) = [bids, asks].into_iter().find(|side| side.price == side.size) {
        return Err(same_place("price", "size of a level", &side.size));
    }
    if bids.each == asks.each && bids.price == asks.price {
        return Err(same_place("bids", "asks", &asks.each));
    }
    Ok(())
}

/// Its decimals.
fn amounts(rule: &EventRule) -> Vec<Part<'_>> {
    match &rule.value {
        Some(ValueRule::Trade(TradeRule { price, size, .. })) => {
            let size = size.iter().map(|size| ("size", size));
            [("price", price)].into_iter().chain(size).collect()
        }
        Some(ValueRule::Change { price, size, .. }) => vec![("price", price), ("size", size)],
        Some(ValueRule::Ticker { best, last }) => {
            let best = best.iter().flat_map(|(bid, ask)| [("bid", bid), ("ask", ask)]);
            best.chain(last.iter().map(|last| ("last", last))).collect()
        }
        _ => Vec::new(),
    }
}

/// What is no decimal: whose it is, of when, and which side.
fn names(rule: &EventRule) -> Vec<Part<'_>> {
    let side = match &rule.value {
        Some(ValueRule::Trade(TradeRule { side, .. })) => side.as_ref(),
        Some(ValueRule::Change { side, .. }) => Some(side),
        _ => None,
    };
    let instrument = rule.instrument.iter().flat_map(|pick| &pick.of);
    let instrument = instrument.map(|at| ("instrument", at));
    let alias = rule.alias.iter().map(|at| ("alias", at));
    let time = rule.time.iter().map(|(at, _)| ("time", at));
    let side = side.map(|side| ("side", &side.of));
    instrument.chain(alias).chain(time).chain(side).collect()
}
