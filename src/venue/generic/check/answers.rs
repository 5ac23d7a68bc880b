//! Whether the answers of a description fit its requests.

use super::{InvalidDescription, Matching, OF_NOTHING, check_absence, is_of_nothing, wrong};
use crate::venue::generic::description::{AcceptedBy, AnswerRule, Description};
use crate::venue::generic::pointer::Pointer;
use crate::venue::generic::template::{Hole, Template};

impl Description {
    pub(super) fn check_answers(&self) -> Result<(), InvalidDescription> {
        if self.accepted_by == AcceptedBy::Acknowledgement {
            if self.acknowledgements.is_empty() {
                let problem = "is missing: nothing else accepts a subscription, as accepted_by has it";
                return Err(wrong("acknowledgements", None, problem));
            }
            if self.subscribe.is_none() {
                return Err(wrong("subscribe", None, "is missing: something is to be acknowledged"));
            }
        }
        let tells_alias = self.acknowledgements.iter().any(|rule| rule.alias.is_some());
        if self.accepted_by == AcceptedBy::Sent && !self.acknowledgements.is_empty() && !tells_alias {
            let problem = "is of no use: subscriptions are accepted when they are sent; leave accepted_by out, or make it an event of the kind ack";
            return Err(wrong("acknowledgements", None, problem));
        }
        let matching = self.matching();
        self.check_unsubscribe(matching)?;
        for (key, rules) in [
            ("acknowledgements", &self.acknowledgements),
            ("refusals", &self.refusals),
        ] {
            let is_binding = key == "refusals" || self.accepted_by == AcceptedBy::Acknowledgement;
            for (index, rule) in rules.iter().enumerate() {
                check_answer(key, index, rule)?;
                if rule.alias.is_some() && !self.uses_alias() {
                    let problem = "has an alias, which no event and no unsubscribe names";
                    return Err(wrong(key, Some(index), problem));
                }
                let own = Matching::of(rule);
                let is_free = key == "refusals" && own == Matching::Order;
                if is_binding && own != matching && !is_free {
                    let problem = format!("has {}; subscriptions are accepted by {}", own.keys(), matching.keys());
                    return Err(wrong(key, Some(index), problem));
                }
            }
        }
        if matching == Matching::Channel && self.channels.is_empty() {
            let problem = "has a channel, and requests name none; name {channel} in subscribe, and the channels";
            return Err(wrong("acknowledgements", Some(0), problem));
        }
        let has_id = self.subscribe.as_ref().is_some_and(Template::has_whole_id);
        if matching == Matching::Id && !has_id {
            let problem = "has no {id} that an acknowledgement could repeat: as a value of its own, {id} or \"{id}\"";
            return Err(wrong("subscribe", None, problem));
        }
        Ok(())
    }

    fn uses_alias(&self) -> bool {
        let unsubscribe = self.unsubscribe.as_ref();
        self.events.iter().any(|rule| rule.alias.is_some())
            || unsubscribe.is_some_and(|template| template.names(|hole| *hole == Hole::Alias))
    }

    fn check_unsubscribe(&self, matching: Matching) -> Result<(), InvalidDescription> {
        let key = "unsubscribe_acknowledged";
        let problem = match (matching, &self.unsubscribe, self.unsubscribe_acknowledged) {
            (Matching::Order, Some(_), None) => {
                "is missing: acknowledgements name nothing, so requests are answered in their order; say whether an acknowledgement answers an unsubscribe as well: true or false"
            }
            (_, None, Some(_)) => "is of no use without unsubscribe",
            (Matching::Id | Matching::Instrument | Matching::Channel, _, Some(_)) => {
                "is of no use: only requests that are answered in their order need it, whose acknowledgements name nothing"
            }
            _ => return Ok(()),
        };
        Err(wrong(key, None, problem))
    }
}

fn check_answer(key: &'static str, index: usize, rule: &AnswerRule) -> Result<(), InvalidDescription> {
    if is_of_nothing([&rule.instrument, &rule.channel]) {
        return Err(wrong(key, Some(index), OF_NOTHING));
    }
    let names = [&rule.instrument, &rule.channel].into_iter().flatten();
    let parts = rule.id.iter().chain(&rule.alias);
    let parts = parts.chain(names.flat_map(|pick| &pick.of));
    let of_items = parts.clone().any(Pointer::is_of_event);
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
    check_absence(key, Some(index), &rule.when, parts.chain(&rule.each).chain(&rule.words))
}
