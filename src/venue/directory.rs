//! How names that people know become instruments: what to ask a venue's REST API, and how to read its answer. No I/O.

use crate::market::Instrument;
use std::borrow::Cow;
use std::fmt;

/// What a venue lists over REST, and under which names.
///
/// Whoever asks does the rest: dials, follows the pages, repeats what has failed. A name that the venue does not know is answered
/// with 404, or with an answer in which nothing is found: neither is a listing.
///
/// ```
/// use feedwatch::venue::{Directory, Polymarket, Venue};
///
/// let directory = Polymarket.directory().unwrap();
/// let name = "https://polymarket.com/event/who-wins";
/// directory.check_name(name).unwrap();
/// assert_eq!(directory.request(name, None), "/events/slug/who-wins");
///
/// let answer = br#"{"slug": "who-wins", "markets": [
///     {"question": "Will A win?", "closed": false, "clobTokenIds": "[\"71\", \"72\"]"},
///     {"question": "Will B win?", "closed": true, "clobTokenIds": "[\"81\", \"82\"]"}
/// ]}"#;
/// let listing = directory.read(name, answer).unwrap();
/// let open: Vec<_> = listing.instruments.iter().map(|listed| listed.instrument.as_str()).collect();
/// assert_eq!(open, ["71", "72"], "what has ended is left out");
/// assert!(directory.read(name, b"<html>").is_err());
/// ```
pub trait Directory: Send + Sync + fmt::Debug {
    /// Where it is served: `https://gamma-api.polymarket.com`.
    fn default_url(&self) -> &str;

    /// Whether a name is possible; the error says what one looks like.
    fn check_name(&self, name: &str) -> Result<(), Cow<'static, str>>;

    /// The path and the query to GET for a name; `page` is what the answer before has given as its [`Listing::next`].
    fn request(&self, name: &str, page: Option<&str>) -> String;

    /// Reads the answer to that.
    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing>;
}

/// What a name stands for at this moment, or a page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What can be subscribed to, in the venue's order. A name whose markets have all ended has none.
    pub instruments: Vec<Listed>,
    /// There is another page, asked for with this.
    pub next: Option<String>,
}

/// An instrument, and what people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub instrument: Instrument,
    /// For logs: the venue's own words.
    pub title: String,
}

/// An answer that is no listing. The message never repeats what the answer holds, which is anybody's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidListing(Cow<'static, str>);

impl InvalidListing {
    /// With a sentence that goes on after "the answer".
    pub fn new(told: impl Into<Cow<'static, str>>) -> Self {
        Self(told.into())
    }
}
