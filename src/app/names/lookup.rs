//! Looking a name up: every page of it, read off the workers that carry the streams.

use super::Settings;
use super::fetch::{Asked, Asker, Unanswered};
use crate::market::LookupOutcome;
use crate::venue::{Listed, Listing};
use hyper::body::Bytes;
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

impl<'s> LookUps<'s> {
    pub(super) fn new(settings: &'s Settings) -> Self {
        Self {
            settings,
            asker: settings.asker(),
            last: None,
        }
    }

    /// Every page of what a name stands for, or more of it than a stream may have.
    pub(super) async fn look_up(&mut self, name: &str) -> Result<Vec<Listed>, Unanswered> {
        let mut all = Vec::new();
        let mut page = None;
        for _ in 0..MOST_PAGES {
            let listing = self.page(name, page.as_deref()).await?;
            all.extend(listing.instruments);
            page = listing.next;
            if page.is_none() || all.len() > self.settings.names.max_instruments {
                break;
            }
        }
        Ok(all)
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
        let turn = self.settings.turns.take().await;
        let answered = self.asker.ask(asked).await;
        turn.hold(answered.as_ref().err().and_then(|unanswered| unanswered.retry_after));
        answered
    }
}
