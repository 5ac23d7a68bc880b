//! What is known of the names of a stream. Pure.

use super::lookup::Found;
use crate::market::Instrument;
use crate::metrics::NameStatus;
use crate::venue::Listed;
use std::collections::BTreeSet;
use std::time::Instant;

/// Of a name for which a listing without anything came, and never one with something.
const NOTHING: &str = "the venue lists nothing under it: it is misspelt, has ended, or is not open yet";

/// The names of a stream, and what each of them stands for.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Another venue means something else by them.
    venue: String,
    /// In the order of the configuration.
    names: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    status: NameStatus,
    /// Whether the last failure was the API's, and none of this name.
    failed_with_all: bool,
    /// Whether it has ever stood for something.
    has_found: bool,
    /// Whether it was told that it never has.
    is_nothing_told: bool,
    /// No more than a stream may have from all its names.
    found: Found,
}

/// What a look-up has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The titles of what came in.
    pub(super) came: Vec<String>,
    /// The titles of what left.
    pub(super) left: Vec<String>,
    /// Whether it is the first answer, or the first after a failure.
    pub(super) is_first: bool,
    /// So many are left out as impossible, where none was before.
    pub(super) impossible: usize,
    /// The name has never stood for anything: why that may be, and whether it is to be told.
    pub(super) nothing: Option<(&'static str, bool)>,
}

impl Known {
    /// From now on these are the names. What is known of those that stay is kept, and what is wrong with them told once more.
    pub(super) fn keep(&mut self, venue: &str, names: &[String]) {
        let mut before = std::mem::take(&mut self.names);
        if self.venue != venue {
            venue.clone_into(&mut self.venue);
            before.clear();
        }
        let mut kept = |name: &String| {
            let found = before.iter().position(|known| known.status.name == *name);
            found.map(|index| Name {
                is_nothing_told: false,
                ..before.swap_remove(index)
            })
        };
        self.names = names
            .iter()
            .map(|name| kept(name).unwrap_or_else(|| Name::new(name)))
            .collect();
    }

    /// The venue has said what a name stands for.
    pub(super) fn learn(&mut self, name: &str, found: Found, now: Instant) -> News {
        let Some(known) = self.find(name) else {
            return News::default();
        };
        let before = std::mem::replace(&mut known.found, found);
        let listed = &known.found.listed;
        let is_news = before.impossible == 0;
        let mut news = News {
            came: titles_without(listed, &before.listed),
            left: titles_without(&before.listed, listed),
            is_first: !known.status.is_resolved(),
            impossible: if is_news { known.found.impossible } else { 0 },
            nothing: None,
        };
        known.status.instruments = listed.len() + known.found.beyond;
        known.status.resolved = Some(now);
        known.status.error = None;
        known.has_found |= !listed.is_empty();
        if !known.has_found {
            // Some venues answer so where they do not know the name.
            known.status.error = Some(NOTHING.to_owned());
            news.nothing = Some((NOTHING, !std::mem::replace(&mut known.is_nothing_told, true)));
        }
        news
    }

    /// A look-up has failed, of this name or `with_all` others: what was known stays. Returns whether that is news of the name.
    pub(super) fn fail(&mut self, name: &str, told: &str, with_all: bool) -> bool {
        let Some(known) = self.find(name) else { return false };
        let before = known.status.error.replace(told.to_owned());
        let failed_before = before.is_some_and(|before| before != NOTHING);
        let with_all_before = std::mem::replace(&mut known.failed_with_all, with_all);
        !with_all && (!failed_before || with_all_before)
    }

    /// What all names stand for, each once, in their order; at most so many. And how many were left out, at least.
    pub(super) fn instruments(&self, most: usize) -> (Vec<Instrument>, usize) {
        let mut seen = BTreeSet::new();
        let listed = self.names.iter().flat_map(|name| &name.found.listed);
        let mut all: Vec<_> = listed
            .map(|listed| listed.instrument.clone())
            .filter(|instrument| seen.insert(instrument.clone()))
            .collect();
        // What one name has beyond its bound another one may have as well: the largest is the least that they have together.
        let of_names = self
            .names
            .iter()
            .map(|name| name.found.listed.len() + name.found.beyond);
        let beyond = of_names
            .chain([all.len()])
            .max()
            .unwrap_or_default()
            .saturating_sub(most);
        all.truncate(most);
        (all, beyond)
    }

    pub(super) fn statuses(&self) -> Vec<NameStatus> {
        self.names.iter().map(|name| name.status.clone()).collect()
    }

    fn find(&mut self, name: &str) -> Option<&mut Name> {
        self.names.iter_mut().find(|known| known.status.name == name)
    }
}

impl Name {
    fn new(name: &str) -> Self {
        Self {
            status: NameStatus {
                name: name.to_owned(),
                instruments: 0,
                resolved: None,
                error: None,
            },
            failed_with_all: false,
            has_found: false,
            is_nothing_told: false,
            found: Found::default(),
        }
    }
}

fn titles_without(these: &[Listed], others: &[Listed]) -> Vec<String> {
    let others: BTreeSet<_> = others.iter().map(|listed| &listed.instrument).collect();
    let without = these.iter().filter(|listed| !others.contains(&listed.instrument));
    without.map(|listed| listed.title.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    fn found(ids: &[&str]) -> Found {
        let one = |id: &&str| Listed {
            instrument: Instrument::new(id),
            title: format!("title of {id}"),
        };
        Found {
            listed: ids.iter().map(one).collect(),
            ..Found::default()
        }
    }

    fn known(names: &[&str]) -> Known {
        let mut known = Known::default();
        known.keep("v", &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        known
    }

    fn ids(known: &Known, most: usize) -> (Vec<String>, usize) {
        let (all, beyond) = known.instruments(most);
        (all.iter().map(ToString::to_string).collect(), beyond)
    }

    #[test]
    fn a_failure_takes_nothing_away_and_is_news_once() {
        let now = Moment::now().mono;
        let mut known = known(&["a"]);
        let news = known.learn("a", found(&["1", "2"]), now);
        assert_eq!((news.came.len(), news.is_first), (2, true));
        assert!(known.fail("a", "unknown", false));
        assert!(!known.fail("a", "unknown", false));
        assert!(!known.fail("a", "down", true), "of the API, and not of this name");
        assert!(known.fail("a", "unknown", false), "now it is known whose fault it is");
        assert!(!known.fail("a", "still down", true));
        assert_eq!(ids(&known, 9), (vec!["1".into(), "2".into()], 0));
        assert_eq!(known.statuses()[0].error.as_deref(), Some("still down"));
        let news = known.learn("a", found(&["2", "3"]), now);
        assert_eq!(
            (news.came, news.left),
            (vec!["title of 3".into()], vec!["title of 1".into()])
        );
        assert!(news.is_first, "it was down in between");
        assert!(known.statuses()[0].is_resolved());
    }

    #[test]
    fn what_is_impossible_is_news_once() {
        let now = Moment::now().mono;
        let mut known = known(&["a"]);
        let mut learn = |impossible| {
            let found = Found {
                impossible,
                ..found(&["1"])
            };
            known.learn("a", found, now).impossible
        };
        assert_eq!([0, 2, 2, 3, 0, 1].map(&mut learn), [0, 2, 0, 0, 0, 1]);
    }

    #[test]
    fn a_name_that_never_stood_for_anything_is_not_resolved_and_one_whose_all_has_ended_is() {
        let now = Moment::now().mono;
        let mut known = known(&["a", "b"]);
        known.learn("b", found(&["1"]), now);
        let news = known.learn("b", found(&[]), now);
        assert_eq!((news.left.len(), news.nothing), (1, None));
        assert!(known.statuses()[1].is_resolved(), "all of it has ended");
        assert_eq!(known.learn("a", found(&[]), now).nothing, Some((NOTHING, true)));
        assert_eq!(
            known.learn("a", found(&[]), now).nothing,
            Some((NOTHING, false)),
            "once"
        );
        assert_eq!(known.statuses()[0].error.as_deref(), Some(NOTHING));
        assert!(!known.statuses()[0].is_resolved());
        assert!(known.fail("a", "unknown", false), "that is another fault");
        known.keep("v", &["a".into(), "b".into()]);
        assert_eq!(
            known.learn("a", found(&[]), now).nothing,
            Some((NOTHING, true)),
            "once more"
        );
        assert_eq!(known.learn("b", found(&[]), now).nothing, None);
        let news = known.learn("a", found(&["2"]), now);
        assert_eq!((news.came.len(), news.is_first, news.nothing), (1, true, None));
        assert!(known.statuses()[0].is_resolved());
    }

    #[test]
    fn what_is_beyond_the_bound_is_left_out_from_the_end() {
        let now = Moment::now().mono;
        let mut known = known(&["a", "b"]);
        known.learn("b", found(&["3", "1", "4"]), now);
        known.learn("a", found(&["1", "2"]), now);
        assert_eq!(ids(&known, 3), (vec!["1".into(), "2".into(), "3".into()], 1));
        assert_eq!(ids(&known, 4).1, 0);
        let more = |beyond, ids: &[&str]| Found { beyond, ..found(ids) };
        known.learn("a", more(7, &["1", "2", "5"]), now);
        assert_eq!(ids(&known, 3).1, 7, "what a look-up has left out is told with it");
        known.learn("b", more(4, &["3", "1", "4"]), now);
        assert_eq!(ids(&known, 3).1, 7, "the other name may have left out the same");
        known.learn("b", found(&["3", "1", "4"]), now);
        known.learn("a", found(&["1", "2"]), now);
        assert_eq!(ids(&known, 4).1, 0);
    }

    #[test]
    fn names_that_stay_keep_what_they_stand_for_and_another_venue_begins_anew() {
        let now = Moment::now().mono;
        let mut known = known(&["a", "b"]);
        known.learn("a", found(&["1"]), now);
        known.learn("b", found(&["2"]), now);
        known.keep("v", &["c".into(), "b".into()]);
        assert_eq!(ids(&known, 9), (vec!["2".into()], 0));
        let names: Vec<_> = known.statuses().into_iter().map(|status| status.name).collect();
        assert_eq!(names, ["c", "b"]);
        known.keep("w", &["b".into()]);
        assert_eq!(ids(&known, 9), (Vec::new(), 0));
    }
}
