//! The dialogue of one connection, by the templates and rules of a description.

use super::check::Matching;
use super::description::{AcceptedBy, AnswerRule, Description};
use super::read::{Aliases, Role, words};
use super::template::{Filling, Hole, Template};
use super::time::number;
use super::tree::{Scope, Tree};
use crate::market::{Instrument, Subscribed};
use crate::venue::ledger::Ledger;
use crate::venue::{Answer, Heard, Session};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

/// So many requests may be unanswered at a venue that answers them in their order; of older ones no answer is expected. More
/// than a connection has subscriptions, all of them asked for, ended and asked for again.
const MOST_REQUESTS: usize = 65_536;

/// So much one frame answers.
const MOST_KEYS: usize = 65_536;

/// What an answer names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Request(u64),
    Subscription(String, Option<String>),
}

#[derive(Debug)]
pub(super) struct GenericSession {
    description: Arc<Description>,
    matching: Matching,
    channels: Vec<String>,
    has_said_hello: bool,
    last_id: u64,
    ledger: Ledger<Key>,
    /// Requests that are sent and will be answered, where answers come in their order: those that end subscriptions too.
    order: VecDeque<u64>,
    /// What is subscribed to, where each request names everything.
    wanted: Vec<Instrument>,
    aliases: Aliases,
}

/// A request, and what it is about.
struct Request {
    id: u64,
    instruments: Vec<Instrument>,
    channels: Vec<String>,
    text: String,
}

impl GenericSession {
    pub(super) fn new(description: Arc<Description>, channels: Vec<String>) -> Self {
        Self {
            matching: description.matching(),
            description,
            channels,
            has_said_hello: false,
            last_id: 0,
            ledger: Ledger::default(),
            order: VecDeque::new(),
            wanted: Vec::new(),
            aliases: Aliases::default(),
        }
    }

    /// A template that names one instrument or one channel makes a request for each; else there is one for all channels, and for
    /// as many instruments as a request may have.
    fn requests(&mut self, template: &Template, instruments: &[Instrument]) -> Vec<Request> {
        let description = Arc::clone(&self.description);
        let names_alias = template.names(|hole| *hole == Hole::Alias);
        let names_one = names_alias || template.names(|hole| matches!(hole, Hole::Instrument(_)));
        let most = match (names_one, description.replaces) {
            (true, _) => 1,
            (false, true) => instruments.len().max(1),
            (false, false) => description.batch,
        };
        let sets = each_or_all(&self.channels, template.names(|hole| *hole == Hole::Channel));
        let mut requests = Vec::new();
        for batch in instruments.chunks(most) {
            let ids: Vec<_> = batch.iter().map(Instrument::as_str).collect();
            // One for each name that the venue has given it.
            let aliases: Vec<String> = if names_alias {
                let known = ids.first().map(|id| self.aliases.of(id).map(str::to_owned).collect());
                known.unwrap_or_default()
            } else {
                vec![String::new()]
            };
            for channels in &sets {
                let names: Vec<_> = channels.iter().map(String::as_str).collect();
                for alias in &aliases {
                    self.last_id += 1;
                    let mut filling = Filling {
                        instruments: &ids,
                        channels: &names,
                        items: "",
                        id: self.last_id,
                        alias,
                    };
                    let items = description.item.as_ref().map(|item| fill_items(item, &filling));
                    filling.items = items.as_deref().unwrap_or_default();
                    requests.push(Request {
                        id: self.last_id,
                        instruments: batch.to_vec(),
                        channels: channels.to_vec(),
                        text: template.fill(&filling),
                    });
                }
            }
        }
        requests
    }

    fn ask(&mut self, request: &Request) {
        let one = |instrument: &Instrument| [instrument.clone()];
        match self.matching {
            Matching::Id | Matching::Order => {
                self.ledger
                    .ask(Key::Request(request.id), request.instruments.iter().cloned());
                self.expect(request.id);
            }
            Matching::Instrument => self.ask_for(&request.instruments),
            Matching::Channel => {
                for instrument in &request.instruments {
                    for channel in &request.channels {
                        let key = Key::Subscription(instrument.to_string(), Some(channel.clone()));
                        self.ledger.ask(key, one(instrument));
                    }
                }
            }
        }
    }

    /// The next answer without a name that nothing before has a right to is this request's.
    fn expect(&mut self, id: u64) {
        if self.matching == Matching::Order {
            self.order.push_back(id);
            if self.order.len() > MOST_REQUESTS {
                self.order.pop_front();
            }
        }
    }

    fn ask_for(&mut self, instruments: &[Instrument]) {
        for instrument in instruments {
            let key = Key::Subscription(instrument.to_string(), None);
            self.ledger.ask(key, [instrument.clone()]);
        }
    }

    fn acknowledged(&mut self, rule: &AnswerRule, frame: &Tree<'_>) -> Option<Answer> {
        self.aliases.learn(rule, frame);
        if self.description.accepted_by != AcceptedBy::Acknowledgement {
            return None;
        }
        let keys = match self.matching {
            Matching::Order => vec![Key::Request(self.order.pop_front()?)],
            _ => keys(rule, frame)?,
        };
        let answers: Vec<_> = keys.iter().filter_map(|key| self.ledger.accept(key)).collect();
        together(answers)
    }

    fn refused(&mut self, rule: &AnswerRule, frame: &Tree<'_>) -> Option<Answer> {
        let words = words(&rule.words, frame).unwrap_or(Cow::Borrowed("the venue refused the subscription"));
        let Some(keys) = keys(rule, frame) else {
            if self.matching == Matching::Order {
                let request = Key::Request(self.order.pop_front()?);
                return self.ledger.refuse(&request, words);
            }
            return self.ledger.refuse_rest(words);
        };
        let answers: Vec<_> = keys
            .iter()
            .filter_map(|key| self.ledger.refuse(key, words.clone()))
            .collect();
        together(answers)
    }

    /// Data of an instrument is its answer.
    fn data(&mut self, frame: &Tree<'_>) -> Option<Answer> {
        let (mut seen, mut of_all) = (Vec::new(), false);
        let description = Arc::clone(&self.description);
        // What is wrong with it has been told where it was counted.
        let _ = description.envelopes(frame, &self.aliases, &mut |event| match event.instrument {
            Some(instrument) if event.kind.is_data() => seen.push(instrument.to_owned()),
            None if event.kind.is_data() => of_all = true,
            _ => {}
        });
        if of_all {
            // Events that name no instrument are of whatever was asked for.
            seen.extend(self.ledger.unanswered().map(ToString::to_string));
        }
        let keys = seen.into_iter().map(|instrument| Key::Subscription(instrument, None));
        let answers: Vec<_> = keys.filter_map(|key| self.ledger.accept(&key)).collect();
        together(answers)
    }
}

impl Session for GenericSession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let description = Arc::clone(&self.description);
        let mut texts = Vec::new();
        if !std::mem::replace(&mut self.has_said_hello, true) {
            texts.extend(description.hello.iter().cloned());
        }
        let Some(template) = &description.subscribe else {
            self.ask_for(instruments);
            return texts;
        };
        if description.replaces {
            let new: Vec<_> = instruments
                .iter()
                .filter(|new| !self.wanted.contains(new))
                .cloned()
                .collect();
            self.wanted.extend(new);
            let wanted = self.wanted.clone();
            for mut request in self.requests(template, &wanted) {
                request.instruments = instruments.to_vec();
                self.ask(&request);
                texts.push(request.text);
            }
            return texts;
        }
        for request in self.requests(template, instruments) {
            self.ask(&request);
            texts.push(request.text);
        }
        texts
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        let description = Arc::clone(&self.description);
        self.ledger.forget(instruments);
        self.wanted.retain(|wanted| !instruments.contains(wanted));
        let (template, about, is_answered) = match (&description.subscribe, &description.unsubscribe) {
            (Some(subscribe), _) if description.replaces && !self.wanted.is_empty() => {
                (subscribe, self.wanted.clone(), true)
            }
            (_, Some(unsubscribe)) => (
                unsubscribe,
                instruments.to_vec(),
                description.unsubscribe_acknowledged == Some(true),
            ),
            _ => return Vec::new(),
        };
        let requests = self.requests(template, &about);
        for instrument in instruments {
            self.aliases.forget(instrument.as_str());
        }
        for request in requests.iter().filter(|_| is_answered) {
            self.expect(request.id);
        }
        requests.into_iter().map(|request| request.text).collect()
    }

    fn is_awaiting(&self) -> bool {
        self.description.accepted_by != AcceptedBy::Sent && self.ledger.is_awaiting()
    }

    fn hears_data(&self) -> bool {
        self.description.accepted_by == AcceptedBy::FirstData && self.ledger.is_open()
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        let description = Arc::clone(&self.description);
        let text = frame.trim();
        match description.role_of_text(text) {
            Some(Role::Pong) => return Some(Heard::Pong),
            Some(_) => {
                let reply = description.venue_ping.as_ref().and_then(|(_, reply)| reply.plain());
                return reply.map(Heard::Reply);
            }
            None => {}
        }
        let tree = Tree::parse(text).ok()?;
        match description.role(&tree) {
            Role::Acknowledgement(rule) => self.acknowledged(rule, &tree).map(Heard::Answer),
            Role::Refusal(rule) => self.refused(rule, &tree).map(Heard::Answer),
            Role::Pong => Some(Heard::Pong),
            Role::Ping => {
                let (_, reply) = description.venue_ping.as_ref()?;
                let scope = Scope {
                    frame: &tree,
                    event: None,
                };
                reply.reply(scope).map(Heard::Reply)
            }
            Role::Leaving => {
                let said = description.leaving.as_ref().and_then(|rule| words(&rule.words, &tree));
                Some(Heard::Leaving(said.unwrap_or(Cow::Borrowed("the venue says so"))))
            }
            Role::Events if self.hears_data() => self.data(&tree).map(Heard::Answer),
            Role::Events => None,
        }
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        if self.description.accepted_by == AcceptedBy::Sent {
            return Vec::new();
        }
        self.ledger.give_up()
    }
}

/// What a frame answers; `None` where it does not say.
fn keys(rule: &AnswerRule, frame: &Tree<'_>) -> Option<Vec<Key>> {
    let mut keys = Vec::new();
    for scope in rule.answers(frame) {
        if keys.len() >= MOST_KEYS {
            break;
        }
        match (&rule.id, &rule.instrument) {
            (Some(at), _) => keys.extend(scope.find(at).and_then(|id| number(id.raw())).map(Key::Request)),
            (None, Some(pick)) => {
                let channel = rule.channel.as_ref().map(|pick| pick.text(scope).map(Cow::into_owned));
                if channel == Some(None) {
                    continue;
                }
                let texts = pick.texts(scope).into_iter();
                keys.extend(texts.map(|text| Key::Subscription(text.into_owned(), channel.clone().flatten())));
            }
            (None, None) => return None,
        }
    }
    (!keys.is_empty()).then_some(keys)
}

/// Each for itself, or all of them.
fn each_or_all<T>(all: &[T], is_each: bool) -> Vec<&[T]> {
    if is_each { all.chunks(1).collect() } else { vec![all] }
}

/// One for each instrument that it names for itself, and for each such channel.
fn fill_items(item: &Template, of: &Filling<'_>) -> String {
    let mut items = Vec::new();
    for instruments in each_or_all(of.instruments, item.names(|hole| matches!(hole, Hole::Instrument(_)))) {
        for channels in each_or_all(of.channels, item.names(|hole| *hole == Hole::Channel)) {
            items.push(item.fill(&Filling {
                instruments,
                channels,
                ..*of
            }));
        }
    }
    items.join(",")
}

/// What several answers of one frame come to.
fn together(answers: Vec<Answer>) -> Option<Answer> {
    answers.into_iter().reduce(|left, right| match (left, right) {
        (Answer::Settled(mut left), Answer::Settled(right)) => {
            left.accepted.extend(right.accepted);
            left.refused.extend(right.refused);
            Answer::Settled(left)
        }
        (Answer::Rejected(mut left, failure), Answer::Rejected(right, _)) => {
            left.extend(right);
            Answer::Rejected(left, failure)
        }
        // One frame grants or refuses; this would be both.
        (Answer::Rejected(refused, failure), Answer::Settled(settled))
        | (Answer::Settled(settled), Answer::Rejected(refused, failure)) => Answer::Settled(Subscribed {
            refused: [settled.refused, refused].concat(),
            words: failure.detail,
            ..settled
        }),
    })
}
