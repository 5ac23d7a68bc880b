//! What was asked for and is not answered yet, of a venue that answers each request. Pure.

use super::Answer;
use crate::market::{self, Cause, Failure, Instrument, Subscribed};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// So many requests may be unanswered; of older ones no answer is expected. More than a connection has subscriptions, all of them
/// asked for, ended and asked for again.
pub(super) const MOST_UNANSWERED: usize = 65_536;

/// One more request leaves, of those that are answered in their order.
pub(super) fn expect<T>(unanswered: &mut VecDeque<T>, request: T) {
    if unanswered.len() >= MOST_UNANSWERED {
        unanswered.pop_front();
    }
    unanswered.push_back(request);
}

/// Requests, or parts of them, by what the venue names in its answer: the id of a request, or a channel and its instrument.
///
/// An instrument may stand in several of them, one for each channel: it is accepted when all have been, and refused as soon as
/// all are answered and one was refused.
#[derive(Debug)]
pub(super) struct Ledger<K> {
    asked: HashMap<K, Asked>,
    open: HashMap<Instrument, Open>,
    /// Those of requests that are not awaited any more; their answers may come late.
    is_given_up: bool,
    /// So many were refused by an answer that does not say which, and the last one's words.
    unnamed: usize,
    words: Cow<'static, str>,
}

#[derive(Debug)]
struct Asked {
    /// The number of the request that this is a part of.
    request: u64,
    /// Empty = of no interest any more. The answer comes all the same.
    instruments: Vec<Instrument>,
    /// It was unanswered when the ledger gave up.
    is_late: bool,
}

#[derive(Debug, Default)]
struct Open {
    /// Requests without an answer.
    unanswered: usize,
    /// A part of it is in effect.
    is_granted: bool,
    is_refused: bool,
    /// Why, where it is refused and another answer is to come.
    words: Cow<'static, str>,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self {
            asked: HashMap::new(),
            open: HashMap::new(),
            is_given_up: false,
            unnamed: 0,
            words: Cow::Borrowed(""),
        }
    }
}

impl<K: Eq + Hash> Ledger<K> {
    /// A request leaves that has no number. One for no instruments is not awaited; of those that are refused without a name, it
    /// may be one.
    pub(super) fn ask(&mut self, key: K, instruments: impl IntoIterator<Item = Instrument>) {
        self.ask_in(0, key, instruments);
    }

    /// The same of a part of the request with that number, which is answered by itself, or with the rest of that request.
    pub(super) fn ask_in(&mut self, request: u64, key: K, instruments: impl IntoIterator<Item = Instrument>) {
        let instruments: Vec<_> = instruments.into_iter().collect();
        if !instruments.is_empty() {
            self.is_given_up = false;
        }
        if self.asked.len() >= MOST_UNANSWERED {
            self.drop_unwanted(|_| true);
        }
        for instrument in &instruments {
            self.open.entry(instrument.clone()).or_default().unanswered += 1;
        }
        let asked = Asked {
            request,
            instruments,
            is_late: false,
        };
        if let Some(before) = self.asked.insert(key, asked) {
            // The same was asked for again before its answer came; one answer will do.
            for instrument in before.instruments {
                self.close(&instrument, false);
            }
        }
    }

    /// These are wanted no more. Their requests stay: the answers come all the same.
    pub(super) fn forget(&mut self, instruments: &[Instrument]) {
        for asked in self.asked.values_mut() {
            asked.instruments.retain(|asked| !instruments.contains(asked));
        }
        for instrument in instruments {
            self.open.remove(instrument);
        }
    }

    pub(super) fn is_awaiting(&self) -> bool {
        !self.is_given_up && !self.open.is_empty()
    }

    /// Whether an answer may still come, awaited or not.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// What is unanswered, awaited or not.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &Instrument> {
        self.open.keys()
    }

    /// The parts of the request with that number that are not answered, and whether each still is wanted.
    pub(super) fn parts(&self, request: u64) -> impl Iterator<Item = (&K, bool)> {
        let parts = self.asked.iter().filter(move |(_, asked)| asked.request == request);
        parts.map(|(key, asked)| (key, !asked.instruments.is_empty()))
    }

    /// No longer waits; what is unanswered.
    ///
    /// Nobody waits for the answer to a request of which nothing is wanted: it is dropped when it is unanswered for the second time,
    /// since one that has only just left is about to be answered.
    pub(super) fn give_up(&mut self) -> Vec<Instrument> {
        self.is_given_up = !self.open.is_empty();
        self.drop_unwanted(|asked| std::mem::replace(&mut asked.is_late, true));
        self.open.keys().cloned().collect()
    }

    /// Drops those of which nothing is wanted, and which nobody expects to be answered any more.
    fn drop_unwanted(&mut self, is_over: impl Fn(&mut Asked) -> bool) {
        let before = self.asked.len();
        self.asked
            .retain(|_, asked| !is_over(asked) || !asked.instruments.is_empty());
        // They may be the ones that were refused without a name.
        let dropped = before.saturating_sub(self.asked.len());
        self.unnamed = self.unnamed.saturating_sub(dropped);
    }

    /// The request was granted. `None`: nothing is settled by it yet.
    pub(super) fn accept(&mut self, key: &K) -> Option<Answer> {
        let mut answer = Subscribed::default();
        let asked = self.asked.remove(key)?;
        self.close_all(asked.instruments, true, &mut answer);
        self.with_unnamed(settled(answer))
    }

    /// The request was refused, in these words of the venue.
    pub(super) fn refuse(&mut self, key: &K, words: impl Into<Cow<'static, str>>) -> Option<Answer> {
        let asked = self.asked.remove(key)?;
        let answer = self.refuse_together(asked.instruments, words);
        self.with_unnamed(answer)
    }

    /// These were refused together, as far as they are not answered.
    pub(super) fn refuse_each<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k K>,
        words: impl Into<Cow<'static, str>>,
    ) -> Option<Answer>
    where
        K: 'k,
    {
        let asked = keys.into_iter().filter_map(|key| self.asked.remove(key));
        let instruments = asked.flat_map(|asked| asked.instruments).collect();
        let answer = self.refuse_all(instruments, words);
        self.with_unnamed(answer)
    }

    /// The rest of the request with that number is answered at once: each part was granted, or left out.
    pub(super) fn settle_request(&mut self, request: u64, is_granted: impl Fn(&K) -> bool) -> Option<Answer> {
        let mut answer = Subscribed::default();
        for (key, asked) in self.take_request(request) {
            self.close_all(asked.instruments, is_granted(&key), &mut answer);
        }
        self.with_unnamed(settled(answer))
    }

    /// The rest of the request with that number was refused, by a venue that would have named the part if it minded only one.
    pub(super) fn refuse_request(&mut self, request: u64, words: impl Into<Cow<'static, str>>) -> Option<Answer> {
        let instruments = self.take_instruments(request);
        let answer = self.refuse_all(instruments, words);
        self.with_unnamed(answer)
    }

    /// The same by a venue that refuses all of a request for one part of it.
    pub(super) fn refuse_request_as_one(
        &mut self,
        request: u64,
        words: impl Into<Cow<'static, str>>,
    ) -> Option<Answer> {
        let instruments = self.take_instruments(request);
        let answer = self.refuse_together(instruments, words);
        self.with_unnamed(answer)
    }

    fn take_instruments(&mut self, request: u64) -> Vec<Instrument> {
        let parts = self.take_request(request).into_iter();
        parts.flat_map(|(_, asked)| asked.instruments).collect()
    }

    fn take_request(&mut self, request: u64) -> Vec<(K, Asked)> {
        self.asked.extract_if(|_, asked| asked.request == request).collect()
    }

    /// Everything that is awaited was refused: the venue does not say what it means.
    pub(super) fn refuse_rest(&mut self, words: impl Into<Cow<'static, str>>) -> Option<Answer> {
        self.unnamed = 0;
        let instruments = self.asked.drain().flat_map(|(_, asked)| asked.instruments).collect();
        self.refuse_all(instruments, words)
    }

    /// One request was refused, and the venue does not say which: it is known as soon as no more are unanswered than were
    /// refused like this.
    pub(super) fn refuse_unnamed(&mut self, words: impl Into<Cow<'static, str>>) -> Option<Answer> {
        if self.asked.is_empty() {
            return None;
        }
        self.unnamed += 1;
        self.words = market::words(words);
        self.settle_unnamed()
    }

    /// That answer, and what it shows to have been refused without a name.
    fn with_unnamed(&mut self, answer: Option<Answer>) -> Option<Answer> {
        let rest = self.settle_unnamed();
        answer.into_iter().chain(rest).reduce(Answer::with)
    }

    fn settle_unnamed(&mut self) -> Option<Answer> {
        if self.unnamed == 0 || self.unnamed < self.asked.len() {
            return None;
        }
        let words = std::mem::take(&mut self.words);
        self.refuse_rest(words)
    }

    /// One request was for all of these. Where nothing else was asked of them, they may be asked for again, apart.
    fn refuse_together(&mut self, instruments: Vec<Instrument>, words: impl Into<Cow<'static, str>>) -> Option<Answer> {
        let stands_elsewhere = |open: &Open| open.unanswered > 1 || open.is_granted || open.is_refused;
        let is_whole = !instruments
            .iter()
            .filter_map(|one| self.open.get(one))
            .any(stands_elsewhere);
        match self.refuse_all(instruments, words)? {
            Answer::Rejected(mut refused, failure) if is_whole && refused.len() > 1 => {
                refused.sort_unstable();
                Some(Answer::RejectedTogether(refused, failure))
            }
            answer => Some(answer),
        }
    }

    fn refuse_all(&mut self, instruments: Vec<Instrument>, words: impl Into<Cow<'static, str>>) -> Option<Answer> {
        let mut refused = Vec::new();
        let words = market::words(words);
        for instrument in instruments {
            if self.close(&instrument, true).is_some() {
                refused.push(instrument);
            } else if let Some(open) = self.open.get_mut(&instrument) {
                open.words.clone_from(&words);
            }
        }
        let failure = || Failure::new(Cause::SubscribeRejected).with_detail(words);
        (!refused.is_empty()).then(|| Answer::Rejected(refused, failure()))
    }

    fn close_all(&mut self, instruments: Vec<Instrument>, is_granted: bool, answer: &mut Subscribed) {
        for instrument in instruments {
            match self.close(&instrument, !is_granted) {
                Some(open) if !open.is_refused => answer.accepted.push(instrument),
                Some(open) => {
                    answer.refused.push(instrument);
                    if answer.words.is_empty() {
                        answer.words = open.words;
                    }
                }
                None => {}
            }
        }
    }

    /// One of its requests is answered. What came of it, once all are.
    fn close(&mut self, instrument: &Instrument, is_refused: bool) -> Option<Open> {
        let open = self.open.get_mut(instrument)?;
        open.unanswered = open.unanswered.saturating_sub(1);
        open.is_refused |= is_refused;
        open.is_granted |= !is_refused;
        if open.unanswered > 0 {
            return None;
        }
        self.open.remove(instrument)
    }
}

fn settled(answer: Subscribed) -> Option<Answer> {
    (answer != Subscribed::default()).then_some(Answer::Settled(answer))
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn instruments(ids: &[&str]) -> Vec<Instrument> {
        ids.iter().copied().map(Instrument::new).collect()
    }

    fn settled(accepted: &[&str], refused: &[&str]) -> Answer {
        let (accepted, refused) = (instruments(accepted), instruments(refused));
        Answer::Settled(Subscribed {
            accepted,
            refused,
            ..Subscribed::default()
        })
    }

    #[test]
    fn an_instrument_is_accepted_when_each_of_its_channels_is() {
        let mut ledger = Ledger::default();
        ledger.ask(1, instruments(&["a", "b"]));
        ledger.ask(2, instruments(&["a"]));
        assert_eq!(ledger.accept(&1), Some(settled(&["b"], &[])));
        assert!(ledger.is_awaiting());
        assert_eq!(ledger.accept(&2), Some(settled(&["a"], &[])));
        assert!(!ledger.is_awaiting());
        assert_eq!(ledger.accept(&2), None, "an answer counts once");
    }

    #[test]
    fn one_refusal_refuses_the_instrument_and_the_words_are_kept() {
        let mut ledger = Ledger::default();
        ledger.ask("trade", instruments(&["a"]));
        ledger.ask("book", instruments(&["a"]));
        assert_eq!(
            ledger.refuse(&"trade", "no such symbol"),
            None,
            "the other is not answered"
        );
        let told = |ledger: &mut Ledger<&str>| match ledger.accept(&"book") {
            Some(Answer::Settled(answer)) => (answer.refused, answer.words.into_owned()),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(&mut ledger), (instruments(&["a"]), "no such symbol".to_owned()));

        ledger.ask("trade", instruments(&["a"]));
        let Some(Answer::Rejected(refused, failure)) = ledger.refuse(&"trade", "no such symbol") else {
            panic!("it says why")
        };
        assert_eq!(
            (refused, failure.detail.as_ref()),
            (instruments(&["a"]), "no such symbol")
        );
    }

    #[test]
    fn an_answer_after_giving_up_still_counts() {
        let mut ledger = Ledger::default();
        ledger.ask(1, instruments(&["a"]));
        assert_eq!(ledger.give_up(), instruments(&["a"]));
        assert!(!ledger.is_awaiting());
        assert_eq!(ledger.accept(&1), Some(settled(&["a"], &[])));
    }

    #[test]
    fn what_is_taken_back_is_awaited_no_more_and_its_answer_says_nothing() {
        let mut ledger = Ledger::default();
        ledger.ask(1, instruments(&["a"]));
        ledger.forget(&instruments(&["a"]));
        assert!(!ledger.is_awaiting());
        assert_eq!(ledger.accept(&1), None);
    }

    #[test]
    fn the_same_request_twice_is_answered_once() {
        let mut ledger = Ledger::default();
        ledger.ask("a", instruments(&["a"]));
        ledger.ask("a", instruments(&["a"]));
        assert_eq!(ledger.accept(&"a"), Some(settled(&["a"], &[])));
        assert!(!ledger.is_awaiting());
    }

    #[test]
    fn a_refusal_of_several_requests_refuses_what_is_not_answered() {
        let mut ledger = Ledger::default();
        ledger.ask_in(1, "book of a", instruments(&["a"]));
        ledger.ask_in(1, "trades of a", instruments(&["a"]));
        ledger.ask_in(1, "book of b", instruments(&["b"]));
        ledger.ask_in(2, "book of c", instruments(&["c"]));
        assert_eq!(ledger.accept(&"book of b"), Some(settled(&["b"], &[])));
        let Some(Answer::Rejected(refused, _)) = ledger.refuse_request(1, "too many") else {
            panic!("they were refused")
        };
        assert_eq!(refused, instruments(&["a"]));
        assert_eq!(ledger.refuse_request(1, "too many"), None, "an answer counts once");
        assert!(ledger.is_awaiting(), "c is");
    }

    #[test]
    fn a_request_that_is_answered_as_one_says_of_each_part_whether_it_was_granted() {
        let mut ledger = Ledger::default();
        ledger.ask_in(1, "book of a", instruments(&["a"]));
        ledger.ask_in(1, "trades of a", instruments(&["a"]));
        ledger.ask_in(1, "book of b", instruments(&["b"]));
        ledger.ask_in(1, "book of c", instruments(&["c"]));
        ledger.ask_in(2, "book of d", instruments(&["d"]));
        ledger.forget(&instruments(&["c"]));
        let mut parts: Vec<_> = ledger.parts(1).collect();
        parts.sort_unstable();
        let wanted = ["book of a", "book of b", "trades of a"].iter().map(|key| (key, true));
        let expected: Vec<_> = wanted.chain([(&"book of c", false)]).collect();
        assert!(
            expected.iter().all(|part| parts.contains(part)) && parts.len() == 4,
            "{parts:?}"
        );
        assert_eq!(
            ledger.settle_request(1, |key| *key != "trades of a"),
            Some(settled(&["b"], &["a"]))
        );
        assert_eq!((ledger.parts(1).count(), ledger.parts(2).count()), (0, 1));
    }

    #[test]
    fn a_refusal_of_nobody_knows_what_refuses_all_that_is_awaited() {
        let mut ledger = Ledger::default();
        ledger.ask(1, instruments(&["a"]));
        ledger.ask(2, instruments(&["b"]));
        let Some(Answer::Rejected(mut refused, _)) = ledger.refuse_rest("down for maintenance") else {
            panic!("all of them")
        };
        refused.sort();
        assert_eq!(refused, instruments(&["a", "b"]));
        assert!(!ledger.is_awaiting());
    }

    #[test]
    fn a_refusal_without_a_name_is_of_what_is_left_when_the_others_are_answered() {
        let mut ledger = Ledger::default();
        for id in ["a", "b", "c"] {
            ledger.ask(id, instruments(&[id]));
        }
        assert_eq!(ledger.refuse_unnamed("no such channel"), None, "it may be any of three");
        assert_eq!(ledger.accept(&"c"), Some(settled(&["c"], &[])));
        let Some(Answer::Settled(answer)) = ledger.accept(&"a") else {
            panic!("they are answered")
        };
        assert_eq!(
            (answer.accepted, answer.refused, answer.words.as_ref()),
            (instruments(&["a"]), instruments(&["b"]), "no such channel")
        );
        assert!(!ledger.is_awaiting());
        assert_eq!(ledger.refuse_unnamed("no such channel"), None, "of nothing");

        ledger.ask("a", instruments(&["a"]));
        let Some(Answer::Rejected(refused, failure)) = ledger.refuse_unnamed("no such channel") else {
            panic!("there is only one")
        };
        assert_eq!(
            (refused, failure.detail.as_ref()),
            (instruments(&["a"]), "no such channel")
        );
    }

    #[test]
    fn whatever_is_answered_last_settles_what_was_refused_without_a_name() {
        let refuses = |last: fn(&mut Ledger<&'static str>) -> Option<Answer>, expected: &[&str]| {
            let mut ledger = Ledger::default();
            for (request, id) in [(1, "a"), (2, "b"), (2, "c")] {
                ledger.ask_in(request, id, instruments(&[id]));
            }
            assert_eq!(ledger.refuse_unnamed("no such channel"), None, "any of three");
            let refused = match last(&mut ledger) {
                Some(Answer::Rejected(mut refused, _) | Answer::RejectedTogether(mut refused, _)) => {
                    refused.sort();
                    refused
                }
                Some(Answer::Settled(answer)) => answer.refused,
                None => Vec::new(),
            };
            assert_eq!((refused, ledger.is_open()), (instruments(expected), false));
            ledger.ask("d", instruments(&["d"]));
            ledger.ask("e", instruments(&["e"]));
            assert_eq!(
                ledger.accept(&"d"),
                Some(settled(&["d"], &[])),
                "and nothing is left of it"
            );
            assert_eq!(ledger.accept(&"e"), Some(settled(&["e"], &[])));
        };
        let named = |ledger: &mut Ledger<_>| {
            assert_eq!(ledger.accept(&"b"), Some(settled(&["b"], &[])));
            ledger.refuse(&"c", "no such symbol")
        };
        refuses(named, &["a", "c"]);
        refuses(|ledger| ledger.refuse_each(&["b", "c"], "too many"), &["a", "b", "c"]);
        refuses(|ledger| ledger.refuse_request(2, "too many"), &["a", "b", "c"]);
        refuses(|ledger| ledger.settle_request(2, |_| true), &["a"]);
        refuses(|ledger| ledger.refuse_rest("down for maintenance"), &["a", "b", "c"]);
    }

    #[test]
    fn what_is_dropped_may_be_what_was_refused_without_a_name() {
        let mut ledger = Ledger::default();
        ledger.ask("leave x", []);
        ledger.ask("a", instruments(&["a"]));
        assert_eq!(ledger.refuse_unnamed("no such channel"), None, "either");
        for _ in 0..2 {
            assert_eq!(ledger.give_up(), instruments(&["a"]));
        }
        ledger.ask("b", instruments(&["b"]));
        assert_eq!(
            ledger.accept(&"b"),
            Some(settled(&["b"], &[])),
            "a may be granted still"
        );
        assert_eq!(ledger.accept(&"a"), Some(settled(&["a"], &[])));
    }

    #[test]
    fn a_request_for_nothing_is_not_awaited_but_may_be_the_refused_one() {
        let mut ledger = Ledger::default();
        ledger.ask("leave x", []);
        assert!(!ledger.is_awaiting());
        ledger.ask("a", instruments(&["a"]));
        assert_eq!(ledger.refuse_unnamed("no such channel"), None, "either");
        assert_eq!(ledger.accept(&"a"), Some(settled(&["a"], &[])));
        assert_eq!(ledger.accept(&"leave x"), None);
    }

    #[test]
    fn giving_up_forgets_no_request_that_has_only_just_left() {
        let mut ledger = Ledger::default();
        ledger.ask("a", instruments(&["a"]));
        assert_eq!(ledger.accept(&"a"), Some(settled(&["a"], &[])));
        assert_eq!(ledger.give_up(), [], "all is answered");
        ledger.ask("leave a", []);
        ledger.ask("b", instruments(&["b"]));
        assert_eq!(ledger.refuse_unnamed("not subscribed"), None, "either");
        assert_eq!(ledger.accept(&"b"), Some(settled(&["b"], &[])));

        ledger.ask("c", instruments(&["c"]));
        ledger.ask("leave b", []);
        assert_eq!(ledger.give_up(), instruments(&["c"]));
        ledger.ask("d", instruments(&["d"]));
        assert!(ledger.is_awaiting());
        assert_eq!(ledger.refuse_unnamed("not subscribed"), None, "any of three");
        assert_eq!(ledger.accept(&"d"), Some(settled(&["d"], &[])));
        assert_eq!(ledger.accept(&"c"), Some(settled(&["c"], &[])));
    }

    #[test]
    fn what_is_never_answered_and_wanted_no_more_is_not_kept() {
        let mut ledger = Ledger::default();
        for request in 1..100 {
            ledger.ask_in(request, (request, "a"), instruments(&["a"]));
            ledger.ask_in(request, (request, "b"), instruments(&["b"]));
            ledger.forget(&instruments(&["a"]));
            assert_eq!(ledger.give_up(), instruments(&["b"]));
            ledger.forget(&instruments(&["b"]));
        }
        assert_eq!(ledger.asked.len(), 2, "those of the last round");
    }

    #[test]
    fn who_never_stops_asking_a_venue_that_never_answers_is_not_kept_without_end() {
        let (mut ledger, mut order) = (Ledger::default(), VecDeque::new());
        for request in 0..MOST_UNANSWERED + 10 {
            ledger.ask(request, []);
            expect(&mut order, request);
            assert!(ledger.asked.len() <= MOST_UNANSWERED && order.len() <= MOST_UNANSWERED);
        }
        ledger.ask(0, instruments(&["a"]));
        assert_eq!(ledger.accept(&0), Some(settled(&["a"], &[])));
        assert_eq!(order.front(), Some(&10), "the oldest are gone");
    }

    #[test]
    fn of_a_request_for_several_none_may_be_wrong_but_one() {
        let mut ledger = Ledger::default();
        ledger.ask(1, instruments(&["a", "b"]));
        ledger.ask(2, instruments(&["c"]));
        let Some(Answer::RejectedTogether(refused, _)) = ledger.refuse(&1, "no such symbol") else {
            panic!("it was one request")
        };
        assert_eq!(refused, instruments(&["a", "b"]));
        assert!(
            matches!(ledger.refuse(&2, "no such symbol"), Some(Answer::Rejected(..))),
            "it was one alone"
        );

        // What is in effect in part is not asked for again.
        ledger.ask(3, instruments(&["a", "b"]));
        ledger.ask(4, instruments(&["a", "b"]));
        assert_eq!(ledger.accept(&3), None);
        assert!(matches!(
            ledger.refuse(&4, "no such channel"),
            Some(Answer::Rejected(..))
        ));
    }
}
