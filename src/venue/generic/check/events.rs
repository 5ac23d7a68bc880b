//! Whether the rules of events fit together.

use super::{InvalidDescription, OF_NOTHING, check_absence, is_of_nothing, wrong};
use crate::market::EventKind;
use crate::venue::generic::description::{Description, EventRule, SeriesRule};
use crate::venue::generic::pointer::Pointer;
use crate::venue::generic::values::ValueRule;

impl Description {
    pub(super) fn check_events(&self) -> Result<(), InvalidDescription> {
        if !self.events.iter().any(|rule| rule.kind.is_data()) {
            let problem =
                "none is data; at least one is needed of the kinds trade, book_snapshot, book_delta, ticker, candle";
            return Err(wrong("events", None, problem));
        }
        let gets_alias = self.acknowledgements.iter().any(|rule| rule.alias.is_some());
        for (index, rule) in self.events.iter().enumerate() {
            check_event(index, rule)?;
            if rule.alias.is_some() && !gets_alias {
                return Err(wrong(
                    "events",
                    Some(index),
                    "has an alias, which no acknowledgement tells",
                ));
            }
        }
        Ok(())
    }
}

fn check_event(index: usize, rule: &EventRule) -> Result<(), InvalidDescription> {
    let mut pointers: Vec<_> = rule.alias.iter().collect();
    pointers.extend(rule.instrument.iter().flat_map(|pick| &pick.of));
    pointers.extend(rule.time.iter().map(|(pointer, _)| pointer));
    pointers.extend(rule.value.iter().flat_map(ValueRule::pointers));
    if let Some(sequence) = &rule.sequence {
        pointers.extend(sequence.place.pointers());
        if let SeriesRule::Channel(pointer) = &sequence.series {
            pointers.push(pointer);
        }
    }
    let all = pointers.iter().copied().chain(rule.when.pointers());
    if rule.each.is_none() && all.into_iter().any(Pointer::is_of_event) {
        return Err(wrong(
            "events",
            Some(index),
            "a pointer begins with *; say in each where the list is",
        ));
    }
    if rule.each.as_ref().is_some_and(Pointer::is_of_event) {
        return Err(wrong(
            "events",
            Some(index),
            "each begins with *; it leads into the frame alone",
        ));
    }
    if is_of_nothing([&rule.instrument]) {
        return Err(wrong("events", Some(index), OF_NOTHING));
    }
    if rule.instrument.is_some() && rule.alias.is_some() {
        return Err(wrong(
            "events",
            Some(index),
            "has an instrument and an alias; one of them tells whose it is",
        ));
    }
    if rule.ended && rule.instrument.is_none() && rule.alias.is_none() {
        return Err(wrong(
            "events",
            Some(index),
            "ends an instrument, and does not say which; add instrument",
        ));
    }
    check_absence(
        "events",
        Some(index),
        &rule.when,
        pointers.into_iter().chain(&rule.each),
    )?;
    check_value(index, rule)
}

fn check_value(index: usize, rule: &EventRule) -> Result<(), InvalidDescription> {
    let Some(value) = &rule.value else {
        return Ok(());
    };
    let told = match value {
        ValueRule::Trade(_) => rule.kind == EventKind::Trade,
        ValueRule::Book { .. } => rule.kind == EventKind::BookSnapshot,
        ValueRule::Changes { .. } | ValueRule::Change { .. } => rule.kind == EventKind::BookDelta,
        ValueRule::Ticker { .. } => rule.kind == EventKind::Ticker,
    };
    let problem = if !told {
        "tells a value of another kind than its own"
    } else if rule.instrument.is_none() && rule.alias.is_none() {
        "tells a value, and does not say of which instrument; add instrument"
    } else {
        let levels = value.levels().into_iter().flatten();
        let of_level = |pointer: &Pointer| pointer.is_of_event();
        let mut wrong_levels = levels
            .clone()
            .filter(|side| !of_level(&side.price) || !of_level(&side.size));
        // Or each event of a list would have the same book, however long both are.
        let mut wrong_lists = levels
            .clone()
            .filter(|side| rule.each.is_some() && !side.each.is_of_event());
        if wrong_levels.next().is_some() {
            "price and size of a level begin with *, such as */0; these lead into each level"
        } else if wrong_lists.next().is_some() {
            "the lists of bids and asks begin with *, such as */bids; each event of the list has its own"
        } else {
            return Ok(());
        }
    };
    Err(wrong("events", Some(index), problem))
}
