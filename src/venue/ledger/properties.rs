//! Whatever is asked and answered, the ledger tells what the venue has decided, and tells it once.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
enum Step {
    /// One request for each instrument whose bit is set; of none = it ends something.
    Ask(u8),
    Accept(Index),
    Refuse(Index),
    RefuseUnnamed(Index),
    /// So many, as one.
    RefuseEach(Index, usize),
    RefuseRest,
    Forget(u8),
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        6 => (0..8_u8).prop_map(Step::Ask),
        5 => index().prop_map(Step::Accept),
        2 => index().prop_map(Step::Refuse),
        4 => index().prop_map(Step::RefuseUnnamed),
        1 => (index(), 1..3_usize).prop_map(|(of, count)| Step::RefuseEach(of, count)),
        1 => Just(Step::RefuseRest),
        2 => (1..8_u8).prop_map(Step::Forget),
        1 => Just(Step::GiveUp),
    ]
}

fn instruments(bits: u8) -> Vec<Instrument> {
    let is_set = |bit: &u8| bits >> bit & 1 == 1;
    (0..3)
        .filter(is_set)
        .map(|bit| Instrument::new(&bit.to_string()))
        .collect()
}

/// A venue that answers each request once, and none of those that are dropped.
#[derive(Debug, Default)]
struct Model {
    ledger: Ledger<u32>,
    last: u32,
    /// Not answered by the venue, and whether that was so already when the ledger gave up.
    pending: BTreeMap<u32, bool>,
    accepted: BTreeSet<u32>,
    refused: BTreeSet<u32>,
    /// What each instrument was asked for in, since it was told of or forgotten.
    open: BTreeMap<Instrument, Vec<u32>>,
    has_unanswered: bool,
}

impl Model {
    /// One that the venue has not answered.
    fn take(&mut self, index: Index) -> Option<u32> {
        let keys: Vec<_> = self.pending.keys().copied().collect();
        let key = *(!keys.is_empty()).then(|| index.get(&keys))?;
        self.pending.remove(&key);
        Some(key)
    }

    fn take_refused(&mut self, index: Index) -> Option<u32> {
        let key = self.take(index)?;
        self.refused.insert(key);
        Some(key)
    }

    fn accept(&mut self, key: u32) -> Option<Answer> {
        self.accepted.insert(key);
        self.ledger.accept(&key)
    }

    fn go(&mut self, step: &Step) -> Option<Answer> {
        match step {
            Step::Ask(bits) => {
                self.last += 1;
                let asked = instruments(*bits);
                for instrument in &asked {
                    self.open.entry(instrument.clone()).or_default().push(self.last);
                }
                self.pending.insert(self.last, false);
                self.ledger.ask(self.last, asked);
                None
            }
            Step::Accept(index) => {
                let key = self.take(*index)?;
                self.accept(key)
            }
            Step::Refuse(index) => {
                let key = self.take_refused(*index)?;
                self.ledger.refuse(&key, "named")
            }
            Step::RefuseUnnamed(index) => {
                self.take_refused(*index)?;
                self.ledger.refuse_unnamed("unnamed")
            }
            Step::RefuseEach(index, count) => {
                let keys: Vec<_> = (0..*count).filter_map(|_| self.take_refused(*index)).collect();
                self.ledger.refuse_each(&keys, "each")
            }
            Step::RefuseRest => {
                self.refused.extend(std::mem::take(&mut self.pending).into_keys());
                self.ledger.refuse_rest("rest")
            }
            Step::Forget(bits) => {
                let forgotten = instruments(*bits);
                self.open.retain(|instrument, _| !forgotten.contains(instrument));
                self.ledger.forget(&forgotten);
                None
            }
            Step::GiveUp => {
                let before = self.pending.len();
                let open = &self.open;
                self.pending.retain(|key, is_late| {
                    let was_late = std::mem::replace(is_late, true);
                    !was_late || open.values().any(|keys| keys.contains(key))
                });
                self.has_unanswered |= self.pending.len() < before;
                self.ledger.give_up();
                None
            }
        }
    }

    fn told(&mut self, answer: Answer) -> Result<(), TestCaseError> {
        let (accepted, refused) = match answer {
            Answer::Settled(answer) => (answer.accepted, answer.refused),
            Answer::Rejected(refused, _) | Answer::RejectedTogether(refused, _) => (Vec::new(), refused),
        };
        prop_assert!(!(accepted.is_empty() && refused.is_empty()), "it tells something");
        for instrument in accepted {
            let keys = self.open.remove(&instrument);
            prop_assert!(keys.is_some_and(|keys| keys.iter().all(|key| self.accepted.contains(key))));
        }
        for instrument in refused {
            let keys = self.open.remove(&instrument);
            prop_assert!(keys.is_some_and(|keys| keys.iter().any(|key| self.refused.contains(key))));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_is_what_the_venue_decided_and_is_told_once(steps in vec(step(), 1..40)) {
        let mut model = Model::default();
        for step in &steps {
            if let Some(answer) = model.go(step) {
                model.told(answer)?;
            }
            let unanswered: BTreeSet<_> = model.ledger.unanswered().collect();
            prop_assert_eq!(unanswered, model.open.keys().collect::<BTreeSet<_>>());
            prop_assert!(model.pending.keys().all(|key| model.ledger.asked.contains_key(key)));
            let unsettled = model.ledger.asked.len() - model.pending.len();
            prop_assert!(model.ledger.unnamed <= unsettled && model.ledger.unnamed <= model.refused.len());
        }
        // The venue answers what is left.
        while let Some((key, _)) = model.pending.pop_first() {
            if let Some(answer) = model.accept(key) {
                model.told(answer)?;
            }
        }
        if !model.has_unanswered {
            prop_assert!(model.ledger.asked.is_empty() && model.open.is_empty(), "{:?}", model);
        }
        for step in [Step::Forget(7), Step::GiveUp, Step::GiveUp] {
            model.go(&step);
        }
        prop_assert_eq!((model.ledger.asked.len(), model.ledger.unnamed), (0, 0));
    }
}
