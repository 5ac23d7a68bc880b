//! How names that people know become instruments: what to ask a venue's REST API, and how to read its answer. No I/O.

use crate::market::Instrument;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// The longest pattern: no id is longer.
const LONGEST_PATTERN: usize = 64;
/// The longest words of an error that are repeated.
const LONGEST_WORDS: usize = 100;
/// The longest mark of a next page that is asked for; those of venues have some dozens of characters.
const LONGEST_CURSOR: usize = 2000;

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

    /// The path and the query to ask for a name; `page` is what the answer before has given as its [`Listing::next`].
    fn request(&self, name: &str, page: Option<&str>) -> String;

    /// What is asked in the body of the request, as JSON, where the path does not tell all: it is a POST then. Without, it is a GET.
    fn body(&self, _name: &str, _page: Option<&str>) -> Option<String> {
        None
    }

    /// Reads the answer to that. What it lists is the venue's word; [`crate::venue::Venue::check_instrument`] knows what of it is possible.
    fn read(&self, name: &str, answer: &[u8]) -> Result<Listing, InvalidListing>;
}

/// What a name stands for at this moment, or a page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What is traded, in the venue's order. A name whose markets have all ended has none.
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

/// An answer that is no listing. The message repeats nothing of the answer, which is anybody's text, but the short and plain words
/// of an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidListing(Cow<'static, str>);

impl InvalidListing {
    /// With a sentence that goes on after "the answer".
    pub fn new(told: impl Into<Cow<'static, str>>) -> Self {
        Self(told.into())
    }
}

/// Whether an id is one of those that a pattern stands for: `*` is any number of characters, `?` is one.
///
/// ```
/// use feedwatch::venue::matches;
///
/// assert!(matches("BTC*", "BTCUSDT") && matches("???USDT", "BTCUSDT"));
/// assert!(!matches("BTC*", "WBTCUSDT") && !matches("??USDT", "BTCUSDT"));
/// ```
pub fn matches(pattern: &str, id: &str) -> bool {
    let (mut pattern, mut id) = (pattern.chars(), id.chars());
    // Where to go on when what follows the last star does not fit: one character further.
    let mut retry = None;
    loop {
        let before = (pattern.clone(), id.clone());
        match (pattern.next(), id.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                id = before.1.clone();
                retry = Some((pattern.clone(), before.1));
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
            _ => {
                let Some((behind, mut from)) = retry.take() else {
                    return false;
                };
                if from.next().is_none() {
                    return false;
                }
                (pattern, id) = (behind.clone(), from.clone());
                retry = Some((behind, from));
            }
        }
    }
}

/// Of all that a venue lists what a pattern stands for. Nothing is no listing: the pattern is wrong, or the answer is.
pub(super) fn matching(pattern: &str, all: impl Iterator<Item = Listed>) -> Result<Listing, InvalidListing> {
    fitting(all, |listed| matches(pattern, listed.instrument.as_str()))
}

/// The same where more than the id counts.
pub(super) fn fitting(
    all: impl Iterator<Item = Listed>,
    fits: impl Fn(&Listed) -> bool,
) -> Result<Listing, InvalidListing> {
    let instruments: Vec<_> = all.filter(fits).collect();
    if instruments.is_empty() {
        return Err(InvalidListing::new("lists nothing that fits"));
    }
    Ok(Listing {
        instruments,
        next: None,
    })
}

/// An instrument that the venue's people know by its id.
pub(super) fn untitled(id: String) -> Listed {
    Listed {
        instrument: Instrument::new(&id),
        title: id,
    }
}

/// Whether a name stands for more than one id.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a name is a pattern of ids, which are made of such bytes.
pub(super) fn is_pattern_of(name: &str, legal: impl Fn(u8) -> bool) -> bool {
    let may_stand = |byte: u8| matches!(byte, b'*' | b'?') || legal(byte);
    is_pattern(name) && name.len() <= LONGEST_PATTERN && name.bytes().all(may_stand)
}

/// An answer that is an error, in the venue's words where these are short and plain.
pub(super) fn refused(words: &str) -> InvalidListing {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b':' | b',' | b'.' | b'-' | b'_');
    if !words.is_empty() && words.len() <= LONGEST_WORDS && words.bytes().all(is_plain) {
        InvalidListing::new(format!("is an error: {words}"))
    } else {
        InvalidListing::new("is an error")
    }
}

/// A value of a query, with every byte escaped that has a meaning there; those of `kept` are left as they are.
pub(super) fn query_value(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Where the next page begins: venues say with an empty text that there is none.
pub(super) fn next_page(cursor: Option<String>) -> Result<Option<String>, InvalidListing> {
    let cursor = cursor.filter(|cursor| !cursor.is_empty());
    if cursor.as_ref().is_some_and(|cursor| cursor.len() > LONGEST_CURSOR) {
        return Err(InvalidListing::new("names a next page at excessive length"));
    }
    Ok(cursor)
}

/// Reads JSON; the error says how far it could be read.
pub(super) fn read_json<T: DeserializeOwned>(answer: &[u8]) -> Result<T, InvalidListing> {
    serde_json::from_slice(answer).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "is not what the documentation describes",
            serde_json::error::Category::Eof => "is cut off",
            _ => "is not JSON",
        };
        InvalidListing::new(format!("{what} (line {line}, column {column})"))
    })
}

/// For the tests of venues: what an answer lists under a name, as it is shown there, or why nothing.
#[cfg(test)]
pub(super) fn listed<T>(
    directory: &dyn Directory,
    name: &str,
    answer: &str,
    shown: fn(&Listed) -> T,
) -> Result<Vec<T>, String> {
    match directory.read(name, answer.as_bytes()) {
        Ok(listing) => Ok(listing.instruments.iter().map(shown).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::RestEndpoint;
    use crate::venue::ALL;
    use proptest::prelude::*;

    /// The same by trying everything.
    fn slowly(pattern: &[char], id: &[char]) -> bool {
        match (pattern.split_first(), id.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=id.len()).any(|taken| slowly(rest, &id[taken..])),
            (Some((wanted, rest)), Some((found, others))) => {
                (*wanted == '?' || wanted == found) && slowly(rest, others)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_it_fits_when_everything_is_tried(pattern in "[ab*?]{0,6}", id in "[ab*]{0,8}") {
            let (chars, of_id): (Vec<_>, Vec<_>) = (pattern.chars().collect(), id.chars().collect());
            prop_assert_eq!(matches(&pattern, &id), slowly(&chars, &of_id), "{} {}", pattern, id);
        }
    }

    /// What its words on names give as examples: `..., as in A or B; ...`.
    fn examples(words: &str) -> Vec<&str> {
        let (_, given) = words.split_once(", as in ").unwrap_or_default();
        let given = given.split(';').next().unwrap_or_default();
        given.split(" or ").flat_map(|several| several.split(", ")).collect()
    }

    #[test]
    fn every_venue_that_is_built_in_has_names_and_takes_those_that_it_gives_as_examples() {
        for venue in ALL {
            let directory = venue.directory();
            let directory =
                directory.unwrap_or_else(|| panic!("{} has a REST API that lists its instruments", venue.name()));
            let address = directory.default_url();
            assert!(
                address.starts_with("https://") && RestEndpoint::parse(address).is_ok(),
                "{address}"
            );
            let words = directory.check_name("").unwrap_err();
            assert!(words.starts_with("a name at "), "{words}");
            let examples = examples(&words);
            assert!(!examples.is_empty(), "{words}");
            for name in examples {
                assert_eq!(directory.check_name(name), Ok(()), "{} {name}", venue.name());
                assert!(directory.request(name, None).starts_with('/'), "{name}");
                assert!(venue.check_instrument(name).is_err(), "{name} is an instrument, too");
            }
        }
    }

    #[test]
    fn only_short_and_plain_words_of_an_error_are_repeated() {
        let told = |words: &str| refused(words).to_string();
        assert_eq!(
            told("50011: Too many requests"),
            "is an error: 50011: Too many requests"
        );
        for words in ["", "<b>", "line\nbreak", &"x".repeat(LONGEST_WORDS + 1)] {
            assert_eq!(told(words), "is an error", "{words}");
        }
    }

    #[test]
    fn the_mark_of_a_page_stays_one_value_of_a_query() {
        assert_eq!(query_value("a+b/c=&d e%", b""), "a%2Bb%2Fc%3D%26d%20e%25");
        assert_eq!(query_value("first%3DA&x", b"%"), "first%3DA%26x");
        assert_eq!(next_page(Some(String::new())), Ok(None));
        assert!(next_page(Some("x".repeat(LONGEST_CURSOR + 1))).is_err());
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer() {
        let pattern = format!("{}b", "a*".repeat(2000));
        assert!(!matches(&pattern, &"a".repeat(20_000)));
    }
}
