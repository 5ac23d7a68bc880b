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
use tokio::time::timeout;

/// No listing has more pages.
const MOST_PAGES: usize = 100;
/// All the pages behind the first one together may take so many times as long as one request.
const PATIENCE: u32 = 10;

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
    /// The marks of the pages behind the first one.
    marks: HashSet<String>,
}

impl Reading {
    /// Adds those of a page that are possible and new, up to `most` in all. Returns the mark of the next page, where there is one
    /// and it is of use; the error says why the pages are no listing.
    fn add(
        &mut self,
        page: Listing,
        most: usize,
        is_possible: impl Fn(&Listed) -> bool,
    ) -> Result<Option<String>, &'static str> {
        let Self { found, seen, marks } = self;
        let all = page.instruments.len();
        let possible: Vec<_> = page.instruments.into_iter().filter(is_possible).collect();
        found.impossible += all - possible.len();
        let mut new = possible
            .into_iter()
            .filter(|listed| seen.insert(listed.instrument.clone()));
        let room = most.saturating_sub(found.listed.len());
        found.listed.extend(new.by_ref().take(room));
        found.beyond += new.count();
        let Some(next) = page.next.filter(|_| found.beyond == 0) else {
            return Ok(None);
        };
        // What comes after it is not known, so that what was known must stay.
        if marks.len() + 1 >= MOST_PAGES {
            return Err("has more than 100 pages");
        }
        if !marks.insert(next.clone()) {
            return Err("names a next page that was there before");
        }
        Ok(Some(next))
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
        let mut next = self.add_page(name, None, &mut reading).await?;
        // Meanwhile no other name of the stream is asked for.
        let limit = self.settings.names.timeout.saturating_mul(PATIENCE);
        let others = async {
            while let Some(page) = next {
                next = self.add_page(name, Some(&page), &mut reading).await?;
            }
            Ok(())
        };
        let read = timeout(limit, others).await;
        read.unwrap_or_else(|_| {
            let (rest, limit) = (&self.settings.watch.rest, limit.as_millis());
            let told = format!("{rest} did not list all pages within {limit} ms");
            Err(Unanswered::new(LookupOutcome::Timeout, told))
        })?;
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

    /// Adds a page to what is read. Returns the mark of the next one.
    async fn add_page(
        &mut self,
        name: &str,
        page: Option<&str>,
        reading: &mut Reading,
    ) -> Result<Option<String>, Unanswered> {
        let listing = self.page(name, page).await?;
        let (venue, most) = (&self.settings.venue, self.settings.max_instruments());
        let is_possible = |listed: &Listed| venue.check_instrument(listed.instrument.as_str()).is_ok();
        let next = reading.add(listing, most, is_possible);
        next.map_err(|told| self.no_listing(told))
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
        // What is over already is no wish.
        let wanted = wanted.filter(|wanted| !wanted.is_zero());
        let rest = turn.hold(wanted);
        if let (Err(unanswered), Some(wanted)) = (&mut answered, wanted) {
            unanswered.retry_after = Some(rest);
            let _ = write!(
                unanswered.told,
                "; it wants to be left alone for {} s",
                begun_seconds(wanted)
            );
            if wanted > rest {
                let _ = write!(unanswered.told, ", and is for {} s", begun_seconds(rest));
            }
        }
        answered
    }
}

/// Not asked: somebody was told that it wants to be left alone.
fn left_alone(rest: &RestEndpoint, remaining: Duration) -> Unanswered {
    let seconds = begun_seconds(remaining);
    let told = format!("{rest} is not asked: it wants to be left alone for another {seconds} s");
    Unanswered {
        retry_after: Some(remaining),
        ..Unanswered::new(LookupOutcome::RateLimited, told)
    }
}

/// Of what is told at once, the last second is not over yet.
fn begun_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: impl IntoIterator<Item = u32>, next: Option<String>) -> Listing {
        Listing {
            instruments: listed(ids),
            next,
        }
    }

    fn listed(ids: impl IntoIterator<Item = u32>) -> Vec<Listed> {
        let one = |id: u32| Listed {
            instrument: Instrument::new(&id.to_string()),
            title: String::new(),
        };
        ids.into_iter().map(one).collect()
    }

    #[test]
    fn of_a_name_no_more_is_kept_than_a_stream_may_have() {
        let (mut reading, next) = (Reading::default(), || Some("next".to_owned()));
        assert_eq!(reading.add(page(0..900, next()), 1000, |_| true), Ok(next()));
        assert_eq!((reading.found.listed.len(), reading.found.beyond), (900, 0));
        let is_possible = |listed: &Listed| listed.instrument.as_str() != "901";
        let after = reading.add(page(900..100_000, Some("third".into())), 1000, is_possible);
        assert_eq!(after, Ok(None), "there is enough");
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
        reading.add(page(twice, Some("next".into())), 3, |_| true).unwrap();
        reading.add(page([2, 1, 3, 3], None), 3, |_| true).unwrap();
        let found = reading.found;
        assert_eq!((found.listed, found.beyond), (listed([1, 2, 3]), 0));
    }

    #[test]
    fn pages_that_come_again_or_do_not_end_are_no_listing() {
        let mut reading = Reading::default();
        let mut add = |next: &str| reading.add(page([1], Some(next.to_owned())), 1000, |_| true);
        assert!(add("a").is_ok() && add("b").is_ok());
        assert_eq!(add("a"), Err("names a next page that was there before"));

        let mut reading = Reading::default();
        let mut add = |number: u32| reading.add(page([number], Some(number.to_string())), 1000, |_| true);
        assert!((1..100).all(|number| add(number).is_ok()));
        assert_eq!(add(100), Err("has more than 100 pages"));
        let mut last = Reading::default();
        for number in 1..100 {
            last.add(page([number], Some(number.to_string())), 1000, |_| true)
                .unwrap();
        }
        assert_eq!(last.add(page([100], None), 1000, |_| true), Ok(None), "these are 100");
    }
}
