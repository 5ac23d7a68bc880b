//! Whether the parts of a description fit together.

mod answers;
mod bounds;
mod events;
mod order;
mod sense;

use super::check_name;
use super::description::{AcceptedBy, AnswerRule, Description};
use super::pattern::{Pattern, Pick, Saying};
use super::pointer::Pointer;
use super::template::{Hole, Template};
use crate::market::StreamName;
use crate::venue::Resync;

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
        self.check_counts()?;
        if self.batch == 0 {
            return Err(wrong("batch", None, "must be at least 1"));
        }
        self.check_requests()?;
        self.check_channels()?;
        self.check_lengths()?;
        self.check_answers()?;
        self.check_heartbeat()?;
        self.check_events()?;
        self.check_order()?;
        self.check_sense()?;
        self.check_resync()
    }

    fn check_requests(&self) -> Result<(), InvalidDescription> {
        let Some(subscribe) = &self.subscribe else {
            let needless = [
                ("unsubscribe", self.unsubscribe.is_some()),
                ("item", self.item.is_some()),
                ("replaces", self.replaces),
                ("refusals", !self.refusals.is_empty()),
            ];
            let needless = needless.into_iter().find(|(_, is_there)| *is_there);
            return needless.map_or(Ok(()), |(key, _)| {
                Err(wrong(key, None, "is of no use without subscribe"))
            });
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
            Some(item) if !item.names(|hole| *hole != Hole::Id) => {
                let problem = "names no instrument and no channel, and is the same for all; write it into the request";
                return Err(wrong("item", None, problem));
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
            _ => {
                self.channels.iter().enumerate().try_for_each(|(index, channel)| {
                    check_name(channel, "a channel").map_err(|problem| wrong("channels", Some(index), problem))
                })?;
                let fit = self.limits.check_channels(self.channels.len());
                fit.map_err(|problem| wrong("channels", None, problem))
            }
        }
    }

    fn check_heartbeat(&self) -> Result<(), InvalidDescription> {
        if self.pong.is_some() && self.ping.is_none() {
            let problem = "is of no use without ping: a WebSocket ping frame is answered by a pong frame";
            return Err(wrong("pong", None, problem));
        }
        let pings: Option<&Saying> = self.venue_ping.as_ref().map(|(saying, _)| saying);
        if pings.is_some() && pings == self.pong.as_ref() {
            let problem = "is the same as pong, which counts first; they must differ in something";
            return Err(wrong("venue_ping", None, problem));
        }
        for (key, saying) in [("pong", self.pong.as_ref()), ("venue_ping", pings)] {
            if let Some(Saying::Json(when)) = saying {
                check_absence(key, None, when, [])?;
            }
        }
        self.leaving.as_ref().map_or(Ok(()), |rule| {
            check_absence("leaving", None, &rule.when, rule.words.iter())
        })
    }

    fn check_resync(&self) -> Result<(), InvalidDescription> {
        if self.resync == Resync::Resubscribe && self.subscribe.is_none() {
            let problem =
                "subscribes anew, and there is no request for that; add subscribe, or choose consumer or reconnect";
            return Err(wrong("resync", None, problem));
        }
        if self.resync != Resync::Consumer && self.events.iter().all(|rule| rule.sequence.is_none()) {
            let problem = "is of no use: no event has a sequence that could show a gap";
            return Err(wrong("resync", None, problem));
        }
        Ok(())
    }
}

/// Refuses a rule that looks for something where its condition wants nothing.
fn check_absence<'r>(
    key: &'static str,
    index: Option<usize>,
    when: &'r Pattern,
    others: impl IntoIterator<Item = &'r Pointer>,
) -> Result<(), InvalidDescription> {
    match when.needed().chain(others).find(|pointer| when.rules_out(pointer)) {
        Some(pointer) => {
            let problem = format!("looks for {pointer:?}, and fits only where nothing stands there, as when has it");
            Err(wrong(key, index, problem))
        }
        None => Ok(()),
    }
}

/// Whether one of them is put together from nothing.
fn is_of_nothing<'p>(picks: impl IntoIterator<Item = &'p Option<Pick>>) -> bool {
    picks.into_iter().flatten().any(|pick| pick.of.is_empty())
}

const OF_NOTHING: &str = "an instrument or a channel has no pointer; say where it stands";

fn wrong(key: &'static str, index: Option<usize>, problem: impl Into<String>) -> InvalidDescription {
    InvalidDescription {
        key,
        index,
        problem: problem.into(),
    }
}
