//! Polymarket's decoder and its subscription dialogue, on any text.
//!
//! An input is a conversation. A line that begins with `>` is something that the client does; what stands between two of
//! them is a frame that comes from the venue. The client does three things, and any other such line only ends a frame:
//!
//! ```text
//! > subscribe 1 2
//! [{"event_type":"book","asset_id":"1","timestamp":"5"}]
//! > unsubscribe 1
//! > give up
//! ```

mod dialogue;
mod reading;

use dialogue::Dialogue;
use feedwatch::clock::Moment;
use feedwatch::market::{DecodeError, Envelope, Instrument};
use feedwatch::venue::{Polymarket, Venue};
use reading::{Reading, Seen};
use serde_json::value::RawValue;
use std::time::Duration;

/// No frame of a few thousand characters takes so long, not even with a sanitizer on a busy machine.
const TOO_LONG: Duration = Duration::from_secs(5);

/// # Panics
///
/// Where the decoder or the dialogue does what it must not do.
pub(crate) fn check(conversation: &str) {
    let mut dialogue = Dialogue::new();
    for step in steps(conversation) {
        match step {
            Step::Subscribe(ids) => dialogue.subscribe(&ids),
            Step::Unsubscribe(ids) => dialogue.unsubscribe(&ids),
            Step::GiveUp => dialogue.give_up(),
            Step::Frame(frame) => dialogue.frame(frame, &check_frame(frame)),
        }
    }
}

/// Returns what the decoder saw.
fn check_frame(frame: &str) -> Vec<Seen> {
    let started = Moment::now().mono;
    let (seen, result) = decoded(frame);
    let took = Moment::now().mono.duration_since(started);
    assert!(took < TOO_LONG, "{took:?}");
    assert_eq!(
        decoded(frame),
        (seen.clone(), result),
        "the second time it is something else"
    );
    assert!(seen.len() <= frame.len(), "more events than characters");

    // White space around a frame is nobody's business.
    let text = frame.trim();
    let is_control = ["PONG", "NO NEW ASSETS", "INVALID OPERATION"].contains(&text);
    if result != Err(DecodeError::Json) && !is_control {
        // The reader that looks at nothing: it takes numbers and nesting of any size.
        let json = serde_json::from_str::<&RawValue>(text);
        assert!(json.is_ok(), "{result:?}, but it is no JSON: {json:?}");
    }
    if let Some(read) = Reading::of(text) {
        assert_eq!((&seen, result), (&read.seen, read.result), "(decoded, read)");
        for cut in [text.len() / 3, text.len() / 2, text.len().saturating_sub(1)] {
            check_cut_off(text, cut, &read);
        }
    }
    seen
}

/// Of a frame that ends too early, the events that are whole are seen, and no others.
fn check_cut_off(text: &str, cut: usize, whole: &Reading) {
    let mut end = cut.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut_off = &text[..end];
    if !cut_off.starts_with(['[', '{']) {
        return;
    }
    let (seen, result) = decoded(cut_off);
    assert_eq!(result, Err(DecodeError::Json), "{cut_off}");
    assert!(whole.seen.starts_with(&seen), "{seen:?} of {:?}", whole.seen);
    assert!(
        seen.len() >= whole.seen_by(cut_off.len()),
        "{seen:?} of {:?}",
        whole.seen
    );
}

fn decoded(frame: &str) -> (Vec<Seen>, Result<(), DecodeError>) {
    let mut seen = Vec::new();
    let mut visit = |envelope: Envelope<'_>| {
        if let Some(id) = envelope.instrument {
            let offset = id.as_ptr().addr().checked_sub(frame.as_ptr().addr());
            let inside = offset.and_then(|offset| frame.get(offset..)?.get(..id.len()));
            assert_eq!(inside, Some(id), "the instrument is not borrowed from the frame");
        }
        seen.push(Seen::from(envelope));
    };
    let result = Polymarket.decoder().decode(frame, &mut visit);
    (seen, result)
}

enum Step<'t> {
    Frame(&'t str),
    Subscribe(Vec<Instrument>),
    Unsubscribe(Vec<Instrument>),
    GiveUp,
}

fn steps(conversation: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = conversation;
    while !rest.is_empty() || steps.is_empty() {
        let end = commands(rest).next().unwrap_or(rest.len());
        let (frame, after) = rest.split_at(end);
        let (command, after) = after.split_once('\n').unwrap_or((after, ""));
        if command.is_empty() || !frame.is_empty() {
            steps.push(Step::Frame(frame.strip_suffix('\n').unwrap_or(frame)));
        }
        let mut words = command.split_ascii_whitespace();
        let ids = |words: std::str::SplitAsciiWhitespace<'_>| words.map(Instrument::new).collect();
        match (words.next(), words.next()) {
            (Some(">"), Some("subscribe")) => steps.push(Step::Subscribe(ids(words))),
            (Some(">"), Some("unsubscribe")) => steps.push(Step::Unsubscribe(ids(words))),
            (Some(">"), Some("give")) => steps.push(Step::GiveUp),
            _ => {}
        }
        rest = after;
    }
    steps
}

/// Where lines begin that are the client's.
fn commands(text: &str) -> impl Iterator<Item = usize> {
    let lines = text.split_inclusive('\n');
    let starts = lines.scan(0, |end, line| {
        let start = *end;
        *end += line.len();
        Some((start, line))
    });
    starts.filter_map(|(start, line)| line.starts_with('>').then_some(start))
}
