//! Looking a name up: every page of it, read off the workers that carry the streams.

use super::Settings;
use super::fetch::{Asked, Asker, Unanswered};
use crate::market::{Instrument, LookupOutcome};
use crate::stream::RestEndpoint;
use crate::venue::{Listed, Listing};
use hyper::body::Bytes;
use std::collections::HashSet;
use std::fmt::{Display, Write};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// No listing has more pages.
const MOST_PAGES: usize = 100;

/// The look-ups of one round.
pub(super) struct LookUps<'s> {
    settings: &'s Settings,
    asker: Asker,
    /// What was asked last, and the answer: patterns of a venue are held against one and the same list.
    last: Option<(Asked, Bytes)>,
}

/// What a name stands for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// So many of its instruments as a stream may have from all its names, each once.
    pub(super) listed: Vec<Listed>,
    /// So many at least were left out.
    pub(super) beyond: usize,
    /// So many were left out, because they cannot be subscribed to.
    pub(super) impossible: usize,
}

/// A name that is being looked up.
#[derive(Debug, Default)]
struct Reading {
    found: Found,
    /// All that is possible of what was listed so far.
    seen: HashSet<Instrument>,
}

impl Reading {
    /// Adds those of a page that are possible and new, up to `most` in all.
    fn add(&mut self, page: Vec<Listed>, most: usize, is_possible: impl Fn(&Listed) -> bool) {
        let Self { found, seen } = self;
        let all = page.len();
        let possible: Vec<_> = page.into_iter().filter(is_possible).collect();
        found.impossible += all - possible.len();
        let mut new = possible
            .into_iter()
            .filter(|listed| seen.insert(listed.instrument.clone()));
        let room = most.saturating_sub(found.listed.len());
        found.listed.extend(new.by_ref().take(room));
        found.beyond += new.count();
    }
}

impl<'s> LookUps<'s> {
    pub(super) fn new(settings: &'s Settings) -> Self {
        Self {
            settings,
            asker: settings.asker(),
            last: None,
        }
    }

    /// Every page of what a name stands for, up to where there is more of it than a stream may have. At some venues anybody may list
    /// something: what cannot be subscribed to takes nothing else along, unless there is nothing else.
    pub(super) async fn look_up(&mut self, name: &str) -> Result<Found, Unanswered> {
        let mut reading = Reading::default();
        let mut page = None;
        for _ in 0..MOST_PAGES {
            let listing = self.page(name, page.as_deref()).await?;
            let most = self.settings.names.max_instruments;
            reading.add(listing.instruments, most, |listed| {
                let id = listed.instrument.as_str();
                self.settings.venue.check_instrument(id).is_ok()
            });
            page = listing.next;
            if page.is_none() || reading.found.beyond > 0 {
                break;
            }
        }
        let found = reading.found;
        if found.listed.is_empty() && found.impossible > 0 {
            return Err(self.no_listing("holds nothing but impossible instruments"));
        }
        Ok(found)
    }

    fn no_listing(&self, told: impl Display) -> Unanswered {
        let rest = &self.settings.watch.rest;
        Unanswered::new(LookupOutcome::Answer, format!("the answer of {rest} {told}"))
    }

    async fn page(&mut self, name: &str, page: Option<&str>) -> Result<Listing, Unanswered> {
        let Some(directory) = self.settings.venue.directory() else {
            // The configuration has no names for such a venue.
            return Err(self.no_listing("would say nothing: the venue has no names"));
        };
        let asked = Asked {
            path: directory.request(name, page),
            body: directory.body(name, page),
        };
        let answer = match self.last.take_if(|(last, _)| *last == asked) {
            Some((_, answer)) => answer,
            None => self.ask(&asked).await?,
        };
        let (venue, body, read) = (self.settings.venue.clone(), answer.clone(), name.to_owned());
        // Some lists are long, and a worker that reads one carries no stream meanwhile.
        let listing = spawn_blocking(move || venue.directory().map(|directory| directory.read(&read, &body)));
        let listing = match listing.await {
            Ok(Some(listing)) => listing.map_err(|error| self.no_listing(error))?,
            // A panic, which has been told.
            Ok(None) | Err(_) => return Err(self.no_listing("cannot be read")),
        };
        self.last = Some((asked, answer));
        Ok(listing)
    }

    async fn ask(&self, asked: &Asked) -> Result<Bytes, Unanswered> {
        let Settings {
            turns, names, watch, ..
        } = self.settings;
        // A wait that is longer than a request may take is a failure, or nobody would hear of it.
        let turn = turns.take(names.timeout).await;
        let turn = turn.map_err(|rest| left_alone(&watch.rest, rest))?;
        let mut answered = self.asker.ask(asked).await;
        let wanted = answered.as_ref().err().and_then(|unanswered| unanswered.retry_after);
        let rest = turn.hold(wanted);
        if let (Err(unanswered), Some(wanted)) = (&mut answered, wanted) {
            unanswered.retry_after = Some(rest);
            let _ = write!(
                unanswered.told,
                "; it wants to be left alone for {} s",
                wanted.as_secs()
            );
            if wanted > rest {
                let _ = write!(unanswered.told, ", and is for {} s", rest.as_secs());
            }
        }
        answered
    }
}

/// Not asked: somebody was told that it wants to be left alone.
fn left_alone(rest: &RestEndpoint, remaining: Duration) -> Unanswered {
    // Of what is told at once, the whole second is not over yet.
    let seconds = remaining.as_secs_f64().ceil();
    let told = format!("{rest} is not asked: it wants to be left alone for another {seconds} s");
    Unanswered {
        retry_after: Some(remaining),
        ..Unanswered::new(LookupOutcome::RateLimited, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(ids: impl IntoIterator<Item = u32>) -> Vec<Listed> {
        let one = |id: u32| Listed {
            instrument: Instrument::new(&id.to_string()),
            title: String::new(),
        };
        ids.into_iter().map(one).collect()
    }

    #[test]
    fn of_a_name_no_more_is_kept_than_a_stream_may_have() {
        let mut reading = Reading::default();
        reading.add(listed(0..900), 1000, |_| true);
        assert_eq!((reading.found.listed.len(), reading.found.beyond), (900, 0));
        let is_possible = |listed: &Listed| listed.instrument.as_str() != "901";
        reading.add(listed(900..100_000), 1000, is_possible);
        let found = reading.found;
        let kept = [listed(0..901), listed(902..1001)].concat();
        assert_eq!(found.listed, kept, "one is impossible");
        assert_eq!((found.beyond, found.impossible), (98_999, 1));
        assert!(found.listed.capacity() < 10_000, "nor is there room for more");
    }

    #[test]
    fn what_is_listed_again_takes_the_place_of_nothing_else() {
        let mut reading = Reading::default();
        let twice = std::iter::repeat_n(1, 1000).chain([2]);
        reading.add(listed(twice), 3, |_| true);
        reading.add(listed([2, 1, 3, 3]), 3, |_| true);
        let found = reading.found;
        assert_eq!((found.listed, found.beyond), (listed([1, 2, 3]), 0));
    }
}
