//! Reads frames by the rules of a description.

use super::description::{AnswerRule, Description, EventRule, PlaceRule, SequenceRule, SeriesRule};
use super::pattern::Saying;
use super::pointer::Pointer;
use super::time::number;
use super::tree::{Scope, Tree};
use crate::market::{self, DecodeError, Envelope, Place, Sequence, Series};
use std::borrow::Cow;
use std::collections::HashMap;

/// So many subscriptions are known by what the venue calls them, on one connection.
const MOST_ALIASES: usize = 16_384;

/// No alias and its instrument together are longer; what is longer is not kept.
pub(super) const LONGEST_ALIAS: usize = 1024;

/// Called with each event of a frame: its number, its rule, and where it stands.
pub(super) type Visit<'v, 'd, 't, 'f> =
    &'v mut dyn FnMut(usize, &'d EventRule, Scope<'t, 'f>) -> Result<(), DecodeError>;

/// What a frame is for.
#[derive(Clone, Copy)]
pub(super) enum Role<'d> {
    Acknowledgement(&'d AnswerRule),
    Refusal(&'d AnswerRule),
    Pong,
    Ping,
    Leaving,
    Events,
}

impl Description {
    /// What a frame is for that may be no JSON.
    pub(super) fn role_of_text(&self, text: &str) -> Option<Role<'_>> {
        let is = |saying: Option<&Saying>| matches!(saying, Some(Saying::Text(known)) if known == text);
        if is(self.pong.as_ref()) {
            Some(Role::Pong)
        } else if is(self.venue_ping.as_ref().map(|(saying, _)| saying)) {
            Some(Role::Ping)
        } else {
            None
        }
    }

    pub(super) fn role(&self, frame: &Tree<'_>) -> Role<'_> {
        let scope = Scope { frame, event: None };
        let is = |saying: Option<&Saying>| matches!(saying, Some(Saying::Json(pattern)) if pattern.holds(scope));
        let of = |rules: &'_ [AnswerRule]| rules.iter().position(|rule| rule.when.holds(scope));
        if let Some(rule) = of(&self.refusals).and_then(|index| self.refusals.get(index)) {
            Role::Refusal(rule)
        } else if let Some(rule) = of(&self.acknowledgements).and_then(|index| self.acknowledgements.get(index)) {
            Role::Acknowledgement(rule)
        } else if is(self.pong.as_ref()) {
            Role::Pong
        } else if is(self.venue_ping.as_ref().map(|(saying, _)| saying)) {
            Role::Ping
        } else if self.leaving.as_ref().is_some_and(|rule| rule.when.holds(scope)) {
            Role::Leaving
        } else {
            Role::Events
        }
    }

    /// Visits the envelopes of a frame's events; what is wrong with one does not hide the others.
    pub(super) fn envelopes(
        &self,
        frame: &Tree<'_>,
        aliases: &Aliases,
        visit: &mut dyn FnMut(Envelope<'_>),
    ) -> Result<(), DecodeError> {
        self.events(frame, &mut |_, rule, scope| rule.envelope(scope, aliases, visit))
    }

    /// Visits the events of a frame by their number, each with its rule; what is wrong with one does not hide the others.
    pub(super) fn events<'d, 't, 'f>(
        &'d self,
        frame: &'t Tree<'f>,
        visit: Visit<'_, 'd, 't, 'f>,
    ) -> Result<(), DecodeError> {
        let whole = Scope { frame, event: None };
        let mut defect = DecodeError::UnknownChannel;
        for first in &self.events {
            if !first.when.holds_of(whole, |pointer| !pointer.is_of_event()) {
                continue;
            }
            let Some(each) = &first.each else {
                return visit(0, first, whole);
            };
            match frame.at(each.steps()).and_then(Tree::items) {
                Some(items) => return self.each(whole, items, each, visit),
                // It is as the rule has it, but for the list.
                None => defect = DecodeError::Schema,
            }
        }
        Err(defect)
    }

    fn each<'d, 't, 'f>(
        &'d self,
        whole: Scope<'t, 'f>,
        items: &'t [Tree<'f>],
        list: &Pointer,
        visit: Visit<'_, 'd, 't, 'f>,
    ) -> Result<(), DecodeError> {
        // What is the same for all of them is looked at once: a list may be as long as the frame.
        let of_list = self.events.iter().filter(|rule| {
            rule.each.as_ref() == Some(list) && rule.when.holds_of(whole, |pointer| !pointer.is_of_event())
        });
        let of_list: Vec<_> = of_list.collect();
        let mut defect = None;
        for (index, item) in items.iter().enumerate() {
            let scope = Scope {
                event: Some(item),
                ..whole
            };
            let rule = of_list
                .iter()
                .find(|rule| rule.when.holds_of(scope, Pointer::is_of_event));
            let read = rule
                .ok_or(DecodeError::UnknownChannel)
                .and_then(|rule| visit(index, rule, scope));
            if let Err(error) = read {
                defect.get_or_insert(error);
            }
        }
        defect.map_or(Ok(()), Err)
    }
}

impl EventRule {
    /// Whose it is, if that is told.
    pub(super) fn instrument<'f: 'o, 'o>(&self, scope: Scope<'_, 'f>, aliases: &'o Aliases) -> Option<Cow<'o, str>> {
        if let Some(pick) = &self.instrument {
            return pick.text(scope);
        }
        let alias = scope.text(self.alias.as_ref()?)?;
        aliases.0.get(alias.as_ref()).map(|known| Cow::Borrowed(known.as_str()))
    }

    /// The venue's time of it, if that is told.
    pub(super) fn time(&self, scope: Scope<'_, '_>) -> Result<Option<i64>, DecodeError> {
        let found = self
            .time
            .as_ref()
            .and_then(|(pointer, unit)| Some((scope.find(pointer)?, unit)));
        found
            .map(|(found, unit)| unit.millis(found.raw()).ok_or(DecodeError::Schema))
            .transpose()
    }

    fn envelope(
        &self,
        scope: Scope<'_, '_>,
        aliases: &Aliases,
        visit: &mut dyn FnMut(Envelope<'_>),
    ) -> Result<(), DecodeError> {
        let instrument = self.instrument(scope, aliases);
        // A rule that names instruments is wrong about a frame that does not.
        if self.instrument.is_some() && instrument.is_none() {
            return Err(DecodeError::Schema);
        }
        let sequence = match &self.sequence {
            Some(rule) => rule.read(scope)?,
            None => None,
        };
        visit(Envelope {
            kind: self.kind,
            instrument: instrument.as_deref(),
            venue_time_ms: self.time(scope)?,
            sequence: sequence.as_ref(),
            ended: self.ended,
        });
        Ok(())
    }
}

impl SequenceRule {
    /// Where the event stands; nowhere if none of its numbers is there.
    fn read(&self, scope: Scope<'_, '_>) -> Result<Option<Sequence>, DecodeError> {
        let read = |pointer: &Pointer| number(scope.find(pointer)?.raw());
        if self
            .place
            .pointers()
            .into_iter()
            .all(|pointer| scope.find(pointer).is_none())
        {
            return Ok(None);
        }
        let place = match &self.place {
            PlaceRule::Start(at) => read(at).map(Place::Start),
            PlaceRule::Next(at) => read(at).map(Place::Next),
            PlaceRule::Unordered(at) => read(at).map(Place::Unordered),
            PlaceRule::Range { first, last } => read(first)
                .zip(read(last))
                .map(|(first, last)| Place::Range { first, last }),
            PlaceRule::After { previous, number } => read(previous)
                .zip(read(number))
                .map(|(previous, number)| Place::After { previous, number }),
        };
        let series = match &self.series {
            SeriesRule::Connection => Some(Series::Connection),
            SeriesRule::Instrument(kind) => Some(Series::Instrument(*kind)),
            SeriesRule::Channel(at) => read(at).map(Series::Channel),
        };
        let (place, series) = place.zip(series).ok_or(DecodeError::Schema)?;
        Ok(Some(Sequence { series, place }))
    }
}

impl AnswerRule {
    /// The answers of a frame: one, or as many as its list has.
    pub(super) fn answers<'t, 'f>(&self, frame: &'t Tree<'f>) -> Vec<Scope<'t, 'f>> {
        match &self.each {
            None => vec![Scope { frame, event: None }],
            Some(each) => {
                let items = frame.at(each.steps()).and_then(Tree::items).unwrap_or_default();
                let event = |item| Scope {
                    frame,
                    event: Some(item),
                };
                items.iter().map(event).collect()
            }
        }
    }
}

/// The venue's words, fit to be shown.
pub(super) fn words(at: &[Pointer], frame: &Tree<'_>) -> Option<Cow<'static, str>> {
    let scope = Scope { frame, event: None };
    let said = at.iter().filter_map(|pointer| scope.find(pointer)?.whole_text());
    let said: Vec<_> = said.collect();
    // Whoever repeats them for each of many instruments has little to copy.
    let line = market::words(said.join(", "));
    (!line.trim().is_empty()).then_some(line)
}

/// Instruments by what the venue calls their subscriptions.
#[derive(Debug, Default)]
pub(super) struct Aliases(HashMap<String, String>);

impl Aliases {
    pub(super) fn learn(&mut self, rule: &AnswerRule, frame: &Tree<'_>) {
        let (Some(at), Some(pick)) = (&rule.alias, &rule.instrument) else {
            return;
        };
        for scope in rule.answers(frame) {
            if let (Some(alias), Some(instrument)) = (scope.text(at), pick.text(scope))
                && self.0.len() < MOST_ALIASES
                && alias.len() + instrument.len() <= LONGEST_ALIAS
            {
                self.0.insert(alias.into_owned(), instrument.into_owned());
            }
        }
    }

    /// What the venue calls the subscriptions of that instrument.
    pub(super) fn of<'a>(&'a self, instrument: &'a str) -> impl Iterator<Item = &'a str> {
        let of_instrument = self.0.iter().filter(move |(_, known)| *known == instrument);
        of_instrument.map(|(alias, _)| alias.as_str())
    }

    pub(super) fn forget(&mut self, instrument: &str) {
        self.0.retain(|_, known| known != instrument);
    }
}
