//! What the consumer asked for, what the connection was asked for, and what is in effect: three sets of one stream. Pure.

use crate::market::Instrument;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// The truth, restored on each connection.
    desired: BTreeSet<Instrument>,
    /// What this connection was asked for.
    requested: BTreeSet<Instrument>,
    /// Whether the two may differ: comparing them for each message would cost too much.
    changed: bool,
    /// What this connection has in effect.
    active: BTreeSet<Instrument>,
    /// What its successor was asked for.
    of_successor: BTreeSet<Instrument>,
}

/// What an open connection is to be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) added: Vec<Instrument>,
    pub(super) removed: Vec<Instrument>,
}

impl Subscriptions {
    pub(super) fn want(&mut self, instruments: &[Instrument]) {
        self.desired.extend(instruments.iter().cloned());
        self.changed = true;
    }

    pub(super) fn take_back(&mut self, instruments: &[Instrument]) {
        for instrument in instruments {
            self.desired.remove(instrument);
        }
        self.changed = true;
    }

    /// Everything that is asked for.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Instrument> {
        self.desired.iter()
    }

    /// Whether there is something to subscribe to.
    pub(super) fn is_wanted(&self) -> bool {
        !self.desired.is_empty()
    }

    pub(super) fn desired(&self) -> usize {
        self.desired.len()
    }

    /// What was taken back counts no more, also before the venue has been told.
    pub(super) fn active(&self) -> usize {
        self.active.intersection(&self.desired).count()
    }

    /// Everything, for a new connection.
    pub(super) fn request_all(&mut self) -> Vec<Instrument> {
        self.requested.clone_from(&self.desired);
        self.changed = false;
        self.desired.iter().cloned().collect()
    }

    /// Everything, for a connection that is to take over.
    pub(super) fn request_of_successor(&mut self) -> Vec<Instrument> {
        self.of_successor.clone_from(&self.desired);
        self.desired.iter().cloned().collect()
    }

    /// The successor is the connection now. What was asked for since it was asked is still to be.
    pub(super) fn succeed(&mut self) {
        self.requested = std::mem::take(&mut self.of_successor);
        self.active.clear();
        self.changed = true;
    }

    /// What has changed since the connection was asked; from now on it has been asked for that, too.
    pub(super) fn request_change(&mut self) -> Option<Change> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let added: Vec<_> = self.desired.difference(&self.requested).cloned().collect();
        let removed: Vec<_> = self.requested.difference(&self.desired).cloned().collect();
        self.requested.clone_from(&self.desired);
        self.active.retain(|active| self.desired.contains(active));
        let differ = !(added.is_empty() && removed.is_empty());
        differ.then_some(Change { added, removed })
    }

    /// The venue accepted these. What was taken back in the meantime is not in effect.
    pub(super) fn accept(&mut self, instruments: Vec<Instrument>) {
        self.active.extend(
            instruments
                .into_iter()
                .filter(|accepted| self.desired.contains(accepted)),
        );
    }

    /// The venue refused these. One that was in effect, and was asked for anew because something of it was missing, is no more.
    pub(super) fn refuse(&mut self, instruments: &[Instrument]) {
        for refused in instruments {
            self.active.remove(refused);
        }
    }

    /// These have ended. Returns those of them that were asked for.
    pub(super) fn end(&mut self, instruments: &[Instrument]) -> Vec<Instrument> {
        let ended: Vec<_> = instruments
            .iter()
            .filter_map(|instrument| self.desired.take(instrument))
            .collect();
        for instrument in &ended {
            self.requested.remove(instrument);
            self.active.remove(instrument);
            self.of_successor.remove(instrument);
        }
        ended
    }

    /// The connection is gone. Returns whether something was in effect.
    pub(super) fn disconnect(&mut self) -> bool {
        self.requested.clear();
        let was_active = !self.active.is_empty();
        self.active.clear();
        was_active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruments(ids: &[&str]) -> Vec<Instrument> {
        ids.iter().copied().map(Instrument::new).collect()
    }

    fn live(ids: &[&str]) -> Subscriptions {
        let mut subscriptions = Subscriptions::default();
        subscriptions.want(&instruments(ids));
        let all = subscriptions.request_all();
        subscriptions.accept(all);
        subscriptions
    }

    #[test]
    fn a_new_connection_is_asked_for_everything_and_an_open_one_for_the_difference() {
        let mut subscriptions = live(&["a", "b"]);
        assert_eq!(subscriptions.request_change(), None);
        subscriptions.want(&instruments(&["c"]));
        subscriptions.take_back(&instruments(&["a"]));
        assert_eq!((subscriptions.desired(), subscriptions.active()), (2, 1));
        let change = Change {
            added: instruments(&["c"]),
            removed: instruments(&["a"]),
        };
        assert_eq!(subscriptions.request_change(), Some(change));
        assert_eq!(subscriptions.request_change(), None);
        assert!(subscriptions.disconnect());
        assert_eq!(subscriptions.request_all(), instruments(&["b", "c"]));
    }

    #[test]
    fn what_is_taken_back_and_wanted_again_changes_nothing() {
        let mut subscriptions = live(&["a"]);
        subscriptions.take_back(&instruments(&["a"]));
        subscriptions.want(&instruments(&["a"]));
        assert_eq!(subscriptions.request_change(), None);
        assert_eq!(subscriptions.active(), 1);
    }

    #[test]
    fn an_answer_for_what_was_taken_back_puts_nothing_into_effect() {
        let mut subscriptions = live(&[]);
        subscriptions.want(&instruments(&["a"]));
        subscriptions.request_change();
        subscriptions.take_back(&instruments(&["a"]));
        subscriptions.accept(instruments(&["a"]));
        assert_eq!(subscriptions.active(), 0);
    }

    #[test]
    fn what_is_refused_later_is_in_effect_no_more_and_still_desired() {
        let mut subscriptions = live(&["a", "b"]);
        subscriptions.refuse(&instruments(&["a", "x"]));
        assert_eq!((subscriptions.desired(), subscriptions.active()), (2, 1));
    }

    #[test]
    fn a_successor_is_asked_for_everything_and_then_for_what_has_changed_since() {
        let mut subscriptions = live(&["a", "b", "d"]);
        assert_eq!(subscriptions.request_of_successor(), instruments(&["a", "b", "d"]));
        subscriptions.want(&instruments(&["c"]));
        subscriptions.take_back(&instruments(&["a"]));
        let change = Change {
            added: instruments(&["c"]),
            removed: instruments(&["a"]),
        };
        assert_eq!(
            subscriptions.request_change().as_ref(),
            Some(&change),
            "on the one before"
        );
        subscriptions.end(&instruments(&["d"]));
        subscriptions.succeed();
        subscriptions.accept(instruments(&["a", "b", "d"]));
        assert_eq!((subscriptions.desired(), subscriptions.active()), (2, 1));
        assert_eq!(subscriptions.request_change(), Some(change));
    }

    #[test]
    fn only_what_was_asked_for_can_end() {
        let mut subscriptions = live(&["a"]);
        assert_eq!(subscriptions.end(&instruments(&["x", "a"])), instruments(&["a"]));
        assert!(!subscriptions.is_wanted());
        assert_eq!(subscriptions.active(), 0);
    }
}
