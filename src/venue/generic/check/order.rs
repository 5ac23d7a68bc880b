//! Whether each rule can ever count: of those that a frame fits, the first does.

use super::{InvalidDescription, wrong};
use crate::venue::generic::description::Description;
use crate::venue::generic::pattern::{Pattern, Saying, Wanted};
use crate::venue::generic::pointer::Pointer;
use std::borrow::Cow;

/// A rule, and what it recognises frames by.
pub(super) struct Sign<'d> {
    pub(super) key: &'static str,
    pub(super) index: Option<usize>,
    pub(super) when: &'d Pattern,
    /// The list of events that it looks for: without it, it does not count.
    each: Option<&'d Pointer>,
}

impl Description {
    pub(super) fn check_order(&self) -> Result<(), InvalidDescription> {
        let signs = self.signs();
        for (place, sign) in signs.iter().enumerate() {
            let when = sign.whole();
            let mut before = signs.iter().take(place);
            if let Some(first) = before.find(|first| first.hides(sign, &when)) {
                let remedy = if first.key == sign.key {
                    "join them, or put the narrower one in front"
                } else {
                    "say in when what tells them apart"
                };
                let problem = format!(
                    "never counts: {} comes first, and fits whatever it fits; {remedy}",
                    first.name()
                );
                return Err(wrong(sign.key, sign.index, problem));
            }
        }
        Ok(())
    }

    /// All that recognise JSON, in the order in which [`Description::role`] and [`Description::events`] look at them.
    pub(super) fn signs(&self) -> Vec<Sign<'_>> {
        let of = |key, index, when, each| Sign { key, index, when, each };
        let answers = [
            ("refusals", &self.refusals),
            ("acknowledgements", &self.acknowledgements),
        ];
        let mut signs: Vec<_> = answers
            .into_iter()
            .flat_map(|(key, rules)| rules.iter().enumerate().map(move |(index, rule)| (key, index, rule)))
            .map(|(key, index, rule)| of(key, Some(index), &rule.when, None))
            .collect();
        let sayings = [
            ("pong", self.pong.as_ref()),
            ("venue_ping", self.venue_ping.as_ref().map(|(saying, _)| saying)),
        ];
        signs.extend(sayings.into_iter().filter_map(|(key, saying)| match saying? {
            Saying::Json(when) => Some(of(key, None, when, None)),
            Saying::Text(_) => None,
        }));
        signs.extend(self.leaving.iter().map(|rule| of("leaving", None, &rule.when, None)));
        let events = self.events.iter().enumerate();
        signs.extend(events.map(|(index, rule)| of("events", Some(index), &rule.when, rule.each.as_ref())));
        signs
    }
}

impl Sign<'_> {
    /// Whether it leaves nothing for a later one, which needs all of `when`.
    fn hides(&self, later: &Self, when: &Pattern) -> bool {
        let has_list = self.each.is_none() || self.each == later.each;
        has_list && self.when.includes(when)
    }

    /// All that has to stand in the frame, the list too.
    fn whole(&self) -> Cow<'_, Pattern> {
        let Some(each) = self.each else {
            return Cow::Borrowed(self.when);
        };
        let mut when = self.when.clone();
        when.0.push((each.clone(), vec![Wanted::Anything]));
        Cow::Owned(when)
    }

    fn name(&self) -> String {
        match self.index {
            Some(index) => format!("{}[{index}]", self.key),
            None => self.key.to_owned(),
        }
    }
}
