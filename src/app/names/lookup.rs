//! Looking a name up: every page of it, read off the workers that carry the streams.

use super::Settings;
use super::fetch::{Asked, Asker, Unanswered};
use crate::market::LookupOutcome;
use crate::stream::RestEndpoint;
use crate::venue::{Listed, Listing};
use hyper::body::Bytes;
use std::fmt::Write;
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
    /// So many of its instruments as a stream may have from all its names.
    pub(super) listed: Vec<Listed>,
    /// So many at least were left out.
    pub(super) beyond: usize,
}

impl Found {
    /// Adds those of a page, up to `most` in all.
    fn add(&mut self, page: Vec<Listed>, most: usize) {
        let mut page = page.into_iter();
        let room = most.saturating_sub(self.listed.len());
        self.listed.extend(page.by_ref().take(room));
        self.beyond += page.count();
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

    /// Every page of what a name stands for, up to where there is more of it than a stream may have.
    pub(super) async fn look_up(&mut self, name: &str) -> Result<Found, Unanswered> {
        let mut found = Found::default();
        let mut page = None;
        for _ in 0..MOST_PAGES {
            let listing = self.page(name, page.as_deref()).await?;
            found.add(listing.instruments, self.settings.max_instruments());
            page = listing.next;
            if page.is_none() || found.beyond > 0 {
                break;
            }
        }
        Ok(found)
    }

    async fn page(&mut self, name: &str, page: Option<&str>) -> Result<Listing, Unanswered> {
        let no_listing = |told: String| {
            let rest = &self.settings.watch.rest;
            Unanswered::new(LookupOutcome::Answer, format!("the answer of {rest} {told}"))
        };
        let Some(directory) = self.settings.venue.directory() else {
            // The configuration has no names for such a venue.
            return Err(no_listing("would say nothing: the venue has no names".to_owned()));
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
            Ok(Some(listing)) => listing.map_err(|error| no_listing(error.to_string()))?,
            // A panic, which has been told.
            Ok(None) | Err(_) => return Err(no_listing("cannot be read".to_owned())),
        };
        self.last = Some((asked, answer));
        let venue = &self.settings.venue;
        let is_impossible = |listed: &Listed| venue.check_instrument(listed.instrument.as_str()).is_err();
        if listing.instruments.iter().any(is_impossible) {
            return Err(no_listing("holds an impossible instrument".to_owned()));
        }
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
    use crate::market::Instrument;

    #[test]
    fn of_a_name_no_more_is_kept_than_a_stream_may_have() {
        let listed = |ids: std::ops::Range<u32>| {
            let one = |id: u32| Listed {
                instrument: Instrument::new(&id.to_string()),
                title: String::new(),
            };
            ids.map(one).collect::<Vec<_>>()
        };
        let mut found = Found::default();
        found.add(listed(0..900), 1000);
        assert_eq!((found.listed.len(), found.beyond), (900, 0));
        found.add(listed(900..100_000), 1000);
        assert_eq!(found.listed, listed(0..1000));
        assert_eq!(found.beyond, 99_000);
        assert!(found.listed.capacity() < 10_000, "nor is there room for more");
    }
}
