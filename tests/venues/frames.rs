//! What is read of frames.

use super::fixture::{self, venues};
use super::value::{event, told};
use feedwatch::venue::{Ping, Venue};
use std::collections::BTreeSet;

#[test]
fn each_frame_is_read_as_it_is_written() {
    for venue in venues() {
        let mut decoder = venue.decoder();
        // Apart: what a consumer reads values with sees the same frames.
        let mut reader = venue.decoder();
        for frame in fixture::frames(venue.name()) {
            let mut events = Vec::new();
            let read = decoder.decode(&frame.text, &mut |envelope| events.push(event(&envelope)));
            let about = (venue.name(), &frame.text);
            assert_eq!(events, frame.events, "{about:?}");
            assert_eq!(
                read.err().map(|error| error.as_str().to_owned()),
                frame.error,
                "{about:?}"
            );
            let mut values = Vec::new();
            reader.values(&frame.text, &mut |value| values.push(told(&value)));
            assert_eq!(values, frame.values, "{about:?}");
        }
    }
}

/// What is numbered apart, and by which rule, of events as they are written: `0:next`, `channel:next`.
pub(crate) fn sequences<'e>(events: impl IntoIterator<Item = &'e String>) -> BTreeSet<String> {
    let sequence = |event: &'e String| event.split(' ').nth(3)?.split_once('=');
    let name = |(name, _): (&str, &str)| match name.split_once(':') {
        Some((series, rule)) if series.starts_with("channel") => format!("channel:{rule}"),
        _ => name.to_owned(),
    };
    events.into_iter().filter_map(sequence).map(name).collect()
}

/// Whether its answers look like data, so that there need be no acknowledgement.
fn answers_with_data(venue: &dyn Venue) -> bool {
    let scenario = fixture::dialogue(venue.name()).accepted;
    let mut session = venue.session(&scenario.feed());
    session.subscribe(&scenario.instruments());
    session.hears_data()
}

/// What is read of the events of a kind, at least one of these.
const VALUES: [(&str, &[&str]); 4] = [
    ("trade", &["trade"]),
    ("book_snapshot", &["book"]),
    ("book_delta", &["change"]),
    ("ticker", &["best", "last"]),
];

/// Prices of oracles, which no channel of an instrument has.
const WITHOUT_VALUES: [(&str, &str); 1] = [("dydx", "ticker")];

#[test]
fn each_venue_has_frames_of_all_that_it_sends() {
    for venue in venues() {
        let frames = fixture::frames(venue.name());
        let kinds: BTreeSet<_> = frames
            .iter()
            .flat_map(|frame| &frame.events)
            .filter_map(|event| event.split(' ').next())
            .collect();
        let missing: Vec<_> = ["trade", "ack", "error"]
            .into_iter()
            .filter(|kind| !kinds.contains(kind) && (*kind != "ack" || !answers_with_data(venue)))
            .collect();
        assert!(missing.is_empty(), "{}: no frames of {missing:?}", venue.name());
        let has_book = kinds.contains("book_snapshot") || kinds.contains("book_delta");
        assert!(
            has_book || kinds.contains("ticker"),
            "{}: no books and no prices",
            venue.name()
        );
        let pings_in_text = matches!(venue.heartbeat().ping, Ping::Text(_));
        assert!(
            !pings_in_text || kinds.contains("heartbeat"),
            "{}: no heartbeat",
            venue.name()
        );
        let values: BTreeSet<_> = frames
            .iter()
            .flat_map(|frame| &frame.values)
            .filter_map(|value| value.split(' ').next())
            .collect();
        for (kind, of_kind) in VALUES {
            let has_one = of_kind.iter().any(|value| values.contains(value));
            let is_read = has_one || WITHOUT_VALUES.contains(&(venue.name(), kind));
            assert!(
                !kinds.contains(kind) || is_read,
                "{}: no values of {kind}",
                venue.name()
            );
        }
        let numbered = sequences(frames.iter().flat_map(|frame| &frame.events));
        assert_eq!(
            !numbered.is_empty(),
            venue.has_sequences(),
            "{}: {numbered:?}",
            venue.name()
        );
        let broken = frames
            .iter()
            .filter_map(|frame| frame.error.as_deref())
            .collect::<BTreeSet<_>>();
        assert!(
            broken.contains("json") && broken.contains("schema"),
            "{}: {broken:?}",
            venue.name()
        );
    }
}

#[test]
fn whatever_is_cut_off_or_put_together_wrongly_does_no_harm() {
    for venue in venues() {
        let frames = fixture::frames(venue.name());
        let (mut decoder, mut reader) = (venue.decoder(), venue.decoder());
        let mut read = |text: &str| {
            let _ = decoder.decode(text, &mut |_| ());
            reader.values(text, &mut |_| ());
        };
        for frame in &frames {
            for (cut, _) in frame.text.char_indices() {
                read(&frame.text[..cut]);
                read(&frame.text[cut..]);
            }
            for (from, to) in [
                ("\"", ""),
                (":", ","),
                ("[", "{"),
                ("0", "-9e99"),
                ("1", "null"),
                ("{", "["),
            ] {
                read(&frame.text.replace(from, to));
                read(&frame.text.replacen(from, to, 1));
            }
        }
        read(&"[".repeat(10_000));
        read(&r#"{"a":"#.repeat(10_000));
    }
}
