//! Whether the parts of a description fit together.

use super::description::{AcceptedBy, AnswerRule, Description, EventRule, SeriesRule};
use super::pointer::Pointer;
use super::template::{Hole, Template};
use crate::market::StreamName;

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}{}: {problem}", index.map(|index| format!("[{index}]")).unwrap_or_default())]
#[non_exhaustive]
pub struct InvalidDescription {
    /// The field of the [`Description`].
    pub key: &'static str,
    /// Which one of several.
    pub index: Option<usize>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// How an answer names what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matching {
    /// By the id of the request.
    Id,
    /// By the instrument.
    Instrument,
    /// By the instrument and the channel.
    Channel,
    /// Not at all: requests are answered in their order.
    Order,
}

impl Matching {
    const fn of(rule: &AnswerRule) -> Self {
        match (&rule.id, &rule.instrument, &rule.channel) {
            (Some(_), ..) => Self::Id,
            (_, Some(_), Some(_)) => Self::Channel,
            (_, Some(_), None) => Self::Instrument,
            (None, None, _) => Self::Order,
        }
    }

    const fn keys(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Instrument => "instrument",
            Self::Channel => "instrument and channel",
            Self::Order => "neither id nor instrument",
        }
    }
}

impl Description {
    /// How its answers name what they answer.
    pub(super) fn matching(&self) -> Matching {
        match (self.accepted_by, self.acknowledgements.first()) {
            (AcceptedBy::Acknowledgement, Some(first)) => Matching::of(first),
            _ => Matching::Instrument,
        }
    }

    pub(super) fn check(&self) -> Result<(), InvalidDescription> {
        StreamName::new(&self.name)
            .map_err(|_| wrong("name", None, "must be 1 to 64 of the characters A-Z a-z 0-9 _ - ."))?;
        if self.batch == 0 {
            return Err(wrong("batch", None, "must be at least 1"));
        }
        self.check_requests()?;
        self.check_channels()?;
        self.check_answers()?;
        self.check_events()
    }

    fn check_requests(&self) -> Result<(), InvalidDescription> {
        let Some(subscribe) = &self.subscribe else {
            return Ok(());
        };
        let has_items = |template: &Template| template.names(|hole| *hole == Hole::Items);
        let has_alias = |template: &Template| template.names(|hole| *hole == Hole::Alias);
        let unsubscribe = self.unsubscribe.as_ref();
        match &self.item {
            Some(item) if has_items(item) || has_alias(item) => {
                return Err(wrong(
                    "item",
                    None,
                    "has a place for {items} or {alias}, which only requests have",
                ));
            }
            Some(_) if !has_items(subscribe) && !unsubscribe.is_some_and(has_items) => {
                return Err(wrong("item", None, "is of no use: no request has a place for {items}"));
            }
            None if has_items(subscribe) || unsubscribe.is_some_and(has_items) => {
                return Err(wrong("item", None, "is missing: a request has a place for {items}"));
            }
            _ => {}
        }
        if has_alias(subscribe) {
            return Err(wrong(
                "subscribe",
                None,
                "names an {alias}, which only comes with its answer",
            ));
        }
        let gets_alias = self.acknowledgements.iter().any(|rule| rule.alias.is_some());
        if unsubscribe.is_some_and(has_alias) && !gets_alias {
            return Err(wrong(
                "unsubscribe",
                None,
                "names an {alias}, which no acknowledgement tells",
            ));
        }
        let is_single = |hole: &Hole| matches!(hole, Hole::Instrument(_) | Hole::Channel);
        if self.replaces && subscribe.names(is_single) {
            let problem = "names one instrument or channel, and it replaces the request before; list them: {items} or {instruments}";
            return Err(wrong("subscribe", None, problem));
        }
        Ok(())
    }

    fn check_channels(&self) -> Result<(), InvalidDescription> {
        let templates = [&self.subscribe, &self.unsubscribe, &self.item];
        let is_named = templates
            .into_iter()
            .flatten()
            .any(|template| template.names(|hole| matches!(hole, Hole::Channel | Hole::Channels)));
        match (is_named, self.channels.is_empty()) {
            (true, true) => Err(wrong(
                "channels",
                None,
                "is missing: a request names {channel}; say which by default",
            )),
            (false, false) => Err(wrong("channels", None, "is of no use: no request names {channel}")),
            _ => Ok(()),
        }
    }

    fn check_answers(&self) -> Result<(), InvalidDescription> {
        if self.accepted_by == AcceptedBy::Acknowledgement {
            if self.acknowledgements.is_empty() {
                let problem = "is missing: nothing else accepts a subscription, as accepted_by has it";
                return Err(wrong("acknowledgements", None, problem));
            }
            if self.subscribe.is_none() {
                return Err(wrong("subscribe", None, "is missing: something is to be acknowledged"));
            }
        }
        let matching = self.matching();
        for (key, rules) in [
            ("acknowledgements", &self.acknowledgements),
            ("refusals", &self.refusals),
        ] {
            let is_binding = key == "refusals" || self.accepted_by == AcceptedBy::Acknowledgement;
            for (index, rule) in rules.iter().enumerate() {
                check_answer(key, index, rule)?;
                let own = Matching::of(rule);
                let is_free = key == "refusals" && own == Matching::Order;
                if is_binding && own != matching && !is_free {
                    let problem = format!("has {}; subscriptions are accepted by {}", own.keys(), matching.keys());
                    return Err(wrong(key, Some(index), problem));
                }
            }
        }
        let has_id = self
            .subscribe
            .as_ref()
            .is_some_and(|template| template.names(|hole| *hole == Hole::Id));
        if matching == Matching::Id && !has_id {
            return Err(wrong(
                "subscribe",
                None,
                "has no {id} that an acknowledgement could repeat",
            ));
        }
        Ok(())
    }

    fn check_events(&self) -> Result<(), InvalidDescription> {
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

fn check_answer(key: &'static str, index: usize, rule: &AnswerRule) -> Result<(), InvalidDescription> {
    let of_items = rule
        .id
        .iter()
        .chain(&rule.alias)
        .chain(
            [&rule.instrument, &rule.channel]
                .into_iter()
                .flatten()
                .flat_map(|pick| &pick.of),
        )
        .any(Pointer::is_of_event);
    let of_frame = rule.when.pointers().chain(&rule.each).chain(&rule.words);
    if of_frame.into_iter().any(Pointer::is_of_event) {
        let problem = "a pointer of when, each or words begins with *; these lead into the frame alone";
        return Err(wrong(key, Some(index), problem));
    }
    if of_items && rule.each.is_none() {
        return Err(wrong(
            key,
            Some(index),
            "a pointer begins with *; say in each where the list is",
        ));
    }
    if rule.alias.is_some() && rule.instrument.is_none() {
        return Err(wrong(
            key,
            Some(index),
            "has an alias and no instrument that it could stand for",
        ));
    }
    if rule.channel.is_some() && rule.instrument.is_none() {
        return Err(wrong(key, Some(index), "has a channel and no instrument beside it"));
    }
    Ok(())
}

fn check_event(index: usize, rule: &EventRule) -> Result<(), InvalidDescription> {
    let mut pointers: Vec<_> = rule.when.pointers().chain(&rule.alias).collect();
    pointers.extend(rule.instrument.iter().flat_map(|pick| &pick.of));
    pointers.extend(rule.time.iter().map(|(pointer, _)| pointer));
    if let Some(sequence) = &rule.sequence {
        pointers.extend(sequence.place.pointers());
        if let SeriesRule::Channel(pointer) = &sequence.series {
            pointers.push(pointer);
        }
    }
    if rule.each.is_none() && pointers.into_iter().any(Pointer::is_of_event) {
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
    Ok(())
}

fn wrong(key: &'static str, index: Option<usize>, problem: impl Into<String>) -> InvalidDescription {
    InvalidDescription {
        key,
        index,
        problem: problem.into(),
    }
}
