//! Reads the frames of one connection: envelopes, and values when a consumer asks.

use super::description::{Description, EventRule};
use super::read::{Aliases, Role};
use super::tree::{Scope, Tree};
use super::values::Event;
use crate::market::{DecodeError, Envelope, EventKind, LONGEST_NAME, Value, ValueError};
use crate::venue::book::Visit;
use crate::venue::object::Place;
use crate::venue::{Decoder, wire};
use std::borrow::Cow;
use std::sync::Arc;

const NAME: &str = "an instrument's name of at most 256 bytes";
const ALIAS: &str = "what an acknowledgement told of";
const EVENTS: &str = "what the description has it as, with its list of events, 65536 at most";
const _: () = assert!(LONGEST_NAME == 256, "as the text says");

#[derive(Debug)]
pub(super) struct GenericDecoder {
    description: Arc<Description>,
    aliases: Aliases,
    /// Names of the last frame's instruments that stand nowhere in it as a whole: values borrow them.
    names: Vec<String>,
}

/// An event that tells a value.
struct Found<'d, 't, 'f> {
    index: usize,
    rule: &'d EventRule,
    scope: Scope<'t, 'f>,
    name: Option<Name<'f>>,
}

enum Name<'f> {
    Borrowed(&'f str),
    /// In the decoder, at this position.
    Kept(usize),
}

impl GenericDecoder {
    pub(super) fn new(description: Arc<Description>) -> Self {
        Self {
            description,
            aliases: Aliases::default(),
            names: Vec::new(),
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
            Role::Events => return self.description.envelopes(&tree, &self.aliases, visit),
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

    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {
        let Self {
            description,
            aliases,
            names,
        } = self;
        let text = frame.trim();
        let tells_any = description.events.iter().any(|rule| rule.value.is_some());
        if !tells_any || description.role_of_text(text).is_some() {
            return;
        }
        let tree = match Tree::parse(text) {
            Ok(tree) => tree,
            Err(error) => return visit(Err(Place::new(0).error("", error.to_string(), "JSON to the end"))),
        };
        match description.role(&tree) {
            Role::Events => {}
            Role::Acknowledgement(rule) => return aliases.learn(rule, &tree),
            Role::Refusal(_) | Role::Pong | Role::Ping | Role::Leaving => return,
        }
        let aliases: &'f Aliases = aliases;
        *names = Vec::new();
        let mut found = Vec::new();
        let read = description.events(&tree, &mut |index, rule, scope| {
            if rule.value.is_some() {
                let name = match rule.instrument(scope, aliases) {
                    Some(Cow::Owned(name)) => {
                        names.push(name);
                        Some(Name::Kept(names.len() - 1))
                    }
                    Some(Cow::Borrowed(name)) => Some(Name::Borrowed(name)),
                    None => None,
                };
                found.push(Found {
                    index,
                    rule,
                    scope,
                    name,
                });
            }
            Ok(())
        });
        let names: &'f [String] = names;
        for event in found {
            event.tell(names, visit);
        }
        if read == Err(DecodeError::Schema) {
            visit(Err(Place::new(0).wrong("", Some(tree.raw()), EVENTS)));
        }
    }
}

impl<'f> Found<'_, '_, 'f> {
    fn tell(self, names: &'f [String], visit: Visit<'_, 'f>) {
        let Self { rule, scope, .. } = self;
        let place = Place::new(self.index);
        let name = match self.name {
            Some(Name::Borrowed(name)) => Some(name),
            Some(Name::Kept(index)) => names.get(index).map(String::as_str),
            None => None,
        };
        let (Some(instrument), Some(value)) = (name, &rule.value) else {
            let (field, at, valid) = match &rule.alias {
                Some(alias) => ("alias", Some(alias), ALIAS),
                None => (
                    "instrument",
                    rule.instrument.as_ref().and_then(|pick| pick.of.first()),
                    NAME,
                ),
            };
            let raw = at.and_then(|at| scope.find(at)).map(Tree::raw);
            return visit(Err(place.wrong(field, raw, valid)));
        };
        let event = Event {
            scope,
            place: place.about(instrument),
            instrument,
            time: rule.time(scope).unwrap_or(None),
        };
        value.read(event, visit);
    }
}
