//! Reads frames by the rules of a description.

use super::description::{AnswerRule, Description, EventRule, PlaceRule, SequenceRule, SeriesRule};
use super::pattern::Saying;
use super::pointer::Pointer;
use super::time::number;
use super::tree::{Scope, Tree};
use crate::market::{DecodeError, Envelope, EventKind, Place, Sequence, Series};
use crate::venue::{Decoder, wire};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// So many subscriptions are known by what the venue calls them, on one connection.
const MOST_ALIASES: usize = 16_384;

/// No alias and its instrument together are longer; what is longer is not kept.
const LONGEST_ALIAS: usize = 1024;
/// So much of a venue's words is told.
const LONGEST_WORDS: usize = 200;

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

    /// Visits the events of a frame; what is wrong with one does not hide the others.
    pub(super) fn events(
        &self,
        frame: &Tree<'_>,
        aliases: &Aliases,
        visit: &mut dyn FnMut(Envelope<'_>),
    ) -> Result<(), DecodeError> {
        let whole = Scope { frame, event: None };
        let mut defect = DecodeError::UnknownChannel;
        for first in &self.events {
            if !first.when.holds_of(whole, |pointer| !pointer.is_of_event()) {
                continue;
            }
            let Some(each) = &first.each else {
                return first.visit(whole, aliases, visit);
            };
            match frame.at(each.steps()).and_then(Tree::items) {
                Some(items) => return self.each(whole, items, each, aliases, visit),
                // It is as the rule has it, but for the list.
                None => defect = DecodeError::Schema,
            }
        }
        Err(defect)
    }

    fn each<'t, 'f>(
        &self,
        whole: Scope<'t, 'f>,
        items: &'t [Tree<'f>],
        list: &Pointer,
        aliases: &Aliases,
        visit: &mut dyn FnMut(Envelope<'_>),
    ) -> Result<(), DecodeError> {
        let mut defect = None;
        for item in items {
            let scope = Scope {
                event: Some(item),
                ..whole
            };
            let of_list = self.events.iter().filter(|rule| rule.each.as_ref() == Some(list));
            let rule = of_list.into_iter().find(|rule| rule.when.holds(scope));
            let read = rule
                .ok_or(DecodeError::UnknownChannel)
                .and_then(|rule| rule.visit(scope, aliases, visit));
            if let Err(error) = read {
                defect.get_or_insert(error);
            }
        }
        defect.map_or(Ok(()), Err)
    }
}

impl EventRule {
    fn visit(
        &self,
        scope: Scope<'_, '_>,
        aliases: &Aliases,
        visit: &mut dyn FnMut(Envelope<'_>),
    ) -> Result<(), DecodeError> {
        let named = match &self.instrument {
            // A rule that names instruments is wrong about a frame that does not.
            Some(pick) => Some(pick.text(scope).ok_or(DecodeError::Schema)?),
            None => None,
        };
        let alias = self.alias.as_ref().and_then(|pointer| scope.text(pointer));
        let known = alias.and_then(|alias| aliases.0.get(alias.as_ref()));
        let venue_time_ms = match &self.time {
            Some((pointer, unit)) => match scope.find(pointer) {
                Some(found) => Some(unit.millis(found.raw()).ok_or(DecodeError::Schema)?),
                None => None,
            },
            None => None,
        };
        let sequence = match &self.sequence {
            Some(rule) => rule.read(scope)?,
            None => None,
        };
        visit(Envelope {
            kind: self.kind,
            instrument: named.as_deref().or(known.map(String::as_str)),
            venue_time_ms,
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

/// The venue's words, on one line and cut to a readable length.
pub(super) fn words(at: &[Pointer], frame: &Tree<'_>) -> Option<Cow<'static, str>> {
    let scope = Scope { frame, event: None };
    let said: Vec<_> = at.iter().filter_map(|pointer| scope.text(pointer)).collect();
    let line = said.join(", ");
    let line: String = line
        .chars()
        .take(LONGEST_WORDS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    (!line.trim().is_empty()).then(|| line.into())
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

/// Reads the frames of one connection.
#[derive(Debug)]
pub(super) struct GenericDecoder {
    description: Arc<Description>,
    aliases: Aliases,
}

impl GenericDecoder {
    pub(super) fn new(description: Arc<Description>) -> Self {
        Self {
            description,
            aliases: Aliases::default(),
        }
    }
}

impl Decoder for GenericDecoder {
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        let text = frame.trim();
        if self.description.role_of_text(text).is_some() {
            visit(Envelope::new(EventKind::Heartbeat));
            return Ok(());
        }
        let tree = Tree::parse(text).map_err(|error| wire::reason(&error))?;
        let kind = match self.description.role(&tree) {
            Role::Events => return self.description.events(&tree, &self.aliases, visit),
            Role::Acknowledgement(rule) => {
                self.aliases.learn(rule, &tree);
                EventKind::Ack
            }
            Role::Refusal(_) => EventKind::Error,
            Role::Pong | Role::Ping => EventKind::Heartbeat,
            Role::Leaving => EventKind::Status,
        };
        visit(Envelope::new(kind));
        Ok(())
    }

    /// A description says nothing of prices: there are no values.
    fn values<'f>(
        &'f mut self,
        _frame: &'f str,
        _visit: &mut dyn FnMut(Result<crate::market::Value<'f>, crate::market::ValueError>),
    ) {
    }
}
