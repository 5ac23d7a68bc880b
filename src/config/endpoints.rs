//! Where a stream connects: `url` and `alternatives`. No message repeats an address, which may hold a secret.

use super::error::Place;
use super::section::Section;
use super::value::Wrong;
use crate::stream::Endpoint;
use crate::venue::VenueRef;

/// A stream has so many endpoints at most.
const MOST: usize = 16;

pub(super) fn parse(text: &str) -> Result<Endpoint, Wrong> {
    Endpoint::parse(text).map_err(|error| format!("{error}; an address is {}", Endpoint::FORM))
}

/// The endpoints beside `url`, or beside the venue's own; those that are wrong are left out and reported.
pub(super) fn read_alternatives(
    section: &mut Section<'_, '_>,
    url: Option<&Endpoint>,
    venue: Option<&VenueRef>,
) -> Vec<Endpoint> {
    let texts = section.texts("alternatives");
    if let Some((index, _, at)) = texts.get(MOST - 1) {
        let problem = format!(
            "{} addresses are too many; a stream has {MOST} at most, the first one included",
            texts.len()
        );
        section.add(Place::File(*at), &format!("alternatives[{index}]"), problem);
        return Vec::new();
    }
    let is_own = url.is_none() && section.place_of("url").is_none();
    let own = venue
        .filter(|_| is_own)
        .and_then(|venue| Endpoint::parse(venue.default_url()).ok());
    let mut known: Vec<(Endpoint, Option<usize>)> = Vec::new();
    known.extend(url.map(|url| (url.clone(), Some(section.offset_of("url")))));
    known.extend(own.map(|own| (own, None)));
    let mut alternatives = Vec::new();
    for (index, text, at) in texts {
        let key = format!("alternatives[{index}]");
        let endpoint = match parse(text) {
            Ok(endpoint) => endpoint,
            Err(wrong) => {
                section.add(Place::File(at), &key, wrong);
                continue;
            }
        };
        match known.iter().find(|(one, _)| one.is_same(&endpoint)) {
            Some((_, Some(first))) => {
                let problem = "is an address of this stream already; leave it out".to_owned();
                section.repeated(at, &key, problem, *first);
            }
            Some((_, None)) => {
                let problem = "is the venue's own address, which is tried first where there is no url; leave it out";
                section.add(Place::File(at), &key, problem.to_owned());
            }
            None => {
                known.push((endpoint.clone(), Some(at)));
                alternatives.push(endpoint);
            }
        }
    }
    alternatives
}
