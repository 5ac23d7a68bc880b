//! The dialogue without a socket: what a session says, and what it makes of what the venue says.

use super::fixture::{self, Exchange, Scenario, Step, message, text, venues};
use feedwatch::market::{Cause, EventKind, Failure, Instrument};
use feedwatch::venue::{Answer, Decoder, Feed, Heard, Ping, Session, Venue};
use std::collections::BTreeSet;

/// All that came of a scenario.
#[derive(Debug, Default)]
struct Outcome {
    accepted: BTreeSet<Instrument>,
    refused: BTreeSet<Instrument>,
    refusal: Option<Failure>,
}

/// As a connection shows frames to a session: those with something else than data in them, or all.
pub(crate) fn hear(
    venue: &dyn Venue,
    decoder: &mut dyn Decoder,
    session: &mut dyn Session,
    frame: &str,
) -> Option<Heard> {
    let mut is_control = false;
    let read = decoder.decode(frame, &mut |event| is_control |= !event.kind.is_data());
    assert_eq!(read, Ok(()), "{}: {frame}", venue.name());
    if is_control || session.hears_data() {
        session.hear(frame)
    } else {
        None
    }
}

fn run(venue: &dyn Venue, scenario: &Scenario) -> Outcome {
    let (mut session, mut decoder) = (venue.session(&scenario.feed()), venue.decoder());
    let instruments = scenario.instruments();
    let mut said: Vec<_> = session
        .subscribe(&instruments)
        .iter()
        .map(|text| message(text))
        .collect();
    let mut outcome = Outcome::default();
    for step in &scenario.steps {
        match step {
            Step::Client(expected) => {
                if said.is_empty() {
                    let taken_back = session.unsubscribe(&instruments);
                    said = taken_back.iter().map(|text| message(text)).collect();
                }
                assert_eq!(said, *expected, "{}", venue.name());
                said.clear();
            }
            Step::Venue(frames) => {
                for frame in frames.iter().map(text) {
                    match hear(venue, &mut *decoder, &mut *session, &frame) {
                        Some(Heard::Answer(Answer::Settled(answer))) => {
                            outcome.accepted.extend(answer.accepted);
                            outcome.refused.extend(answer.refused);
                        }
                        // As a connection does: each half by itself.
                        Some(Heard::Answer(Answer::RejectedTogether(refused, _))) => {
                            let (left, right) = refused.split_at(refused.len() / 2);
                            for half in [left, right] {
                                said.extend(session.subscribe(half).iter().map(|text| message(text)));
                            }
                        }
                        Some(Heard::Answer(Answer::Rejected(refused, failure))) => {
                            outcome.refused.extend(refused);
                            outcome.refusal = Some(failure);
                        }
                        None => {}
                        other => panic!("{}: {frame}: {other:?}", venue.name()),
                    }
                }
            }
        }
    }
    assert!(said.is_empty(), "{}: it says {said:?} as well", venue.name());
    assert!(!session.is_awaiting(), "{}: not all of it is answered", venue.name());
    outcome
}

fn set(ids: &[String]) -> BTreeSet<Instrument> {
    ids.iter().map(|id| Instrument::new(id)).collect()
}

#[test]
fn each_answer_is_matched_to_what_was_asked() {
    for venue in venues() {
        let dialogue = fixture::dialogue(venue.name());
        let scenarios = [
            &dialogue.accepted,
            &dialogue.refused_one,
            &dialogue.refused_all,
            &dialogue.unsubscribed,
        ];
        for scenario in scenarios {
            for id in &scenario.instruments {
                assert_eq!(venue.check_instrument(id), Ok(()), "{}", venue.name());
            }
            for channel in &scenario.channels {
                assert_eq!(venue.check_channel(channel), Ok(()), "{}", venue.name());
            }
            let outcome = run(venue, scenario);
            assert_eq!(outcome.accepted, set(&scenario.accepted), "{}", venue.name());
            assert_eq!(outcome.refused, set(&scenario.refused), "{}", venue.name());
            if let Some(words) = &scenario.words {
                let failure = outcome
                    .refusal
                    .unwrap_or_else(|| panic!("{} does not say why", venue.name()));
                assert_eq!(
                    (failure.cause, &*failure.detail),
                    (Cause::SubscribeRejected, words.as_str())
                );
            }
        }
        let name = venue.name();
        assert!(
            !dialogue.accepted.accepted.is_empty() && dialogue.accepted.refused.is_empty(),
            "{name}"
        );
        assert!(
            !dialogue.refused_one.accepted.is_empty() && !dialogue.refused_one.refused.is_empty(),
            "{name}"
        );
        assert!(
            dialogue.refused_all.accepted.is_empty() && dialogue.refused_all.words.is_some(),
            "{name}"
        );
    }
}

#[test]
fn who_gives_up_says_what_is_unanswered() {
    for venue in venues() {
        let scenario = fixture::dialogue(venue.name()).accepted;
        let mut session = venue.session(&scenario.feed());
        session.subscribe(&scenario.instruments());
        assert!(session.is_awaiting(), "{}", venue.name());
        let unanswered: BTreeSet<_> = session.give_up().into_iter().collect();
        assert_eq!(unanswered, set(&scenario.instruments), "{}", venue.name());
        assert!(!session.is_awaiting(), "{}", venue.name());
    }
}

#[test]
fn pings_and_notices_are_understood() {
    for venue in venues() {
        let dialogue = fixture::dialogue(venue.name());
        let (mut session, mut decoder) = (venue.session(&Feed::default()), venue.decoder());
        match (&dialogue.ping, venue.heartbeat().ping) {
            (Exchange::Frames, Ping::Frame) => {}
            (Exchange::Texts { ping, pong }, Ping::Text(said)) => {
                assert_eq!(message(&said), message(&text(ping)), "{}", venue.name());
                let heard = hear(venue, &mut *decoder, &mut *session, &text(pong));
                assert_eq!(heard, Some(Heard::Pong), "{}", venue.name());
            }
            (exchange, ping) => panic!("{}: {exchange:?}, but {ping:?}", venue.name()),
        }
        match &dialogue.venue_ping {
            Exchange::Frames | Exchange::Never => {}
            Exchange::Texts { ping, pong } => {
                let Some(Heard::Reply(reply)) = hear(venue, &mut *decoder, &mut *session, &text(ping)) else {
                    panic!("{} wants an answer to {ping}", venue.name())
                };
                assert_eq!(message(&reply), message(&text(pong)), "{}", venue.name());
            }
            Exchange::Sign(sign) => {
                let mut kinds = Vec::new();
                venue
                    .decoder()
                    .decode(&text(sign), &mut |event| kinds.push(event.kind))
                    .unwrap();
                assert_eq!(kinds, [EventKind::Heartbeat], "{}", venue.name());
                assert_eq!(
                    hear(venue, &mut *decoder, &mut *session, &text(sign)),
                    None,
                    "{}",
                    venue.name()
                );
            }
        }
        if let Some(notice) = &dialogue.leaving {
            // To be a notice it may have to differ from what was said at the start.
            for step in &dialogue.accepted.steps {
                if let Step::Venue(frames) = step {
                    for frame in frames.iter().map(text) {
                        hear(venue, &mut *decoder, &mut *session, &frame);
                    }
                }
            }
            let heard = hear(venue, &mut *decoder, &mut *session, &text(notice));
            assert!(matches!(heard, Some(Heard::Leaving(_))), "{}: {heard:?}", venue.name());
        }
    }
}

#[test]
fn what_is_taken_back_at_once_is_awaited_no_more_and_its_answer_says_nothing() {
    for venue in venues() {
        let dialogue = fixture::dialogue(venue.name());
        let scenario = dialogue.accepted;
        let Some(first) = scenario.instruments.first() else {
            panic!("{}", venue.name())
        };
        let instrument = Instrument::new(first);
        let (mut session, mut decoder) = (venue.session(&scenario.feed()), venue.decoder());
        let said = session.subscribe(std::slice::from_ref(&instrument));
        assert!(!said.is_empty(), "{}", venue.name());
        let again = session.unsubscribe(std::slice::from_ref(&instrument));
        assert_eq!(again.is_empty(), dialogue.unsubscribes_by_answer, "{}", venue.name());
        assert!(
            !session.is_awaiting(),
            "{}: what is taken back is awaited no more",
            venue.name()
        );
        let mut is_late = false;
        for step in &scenario.steps {
            if let Step::Venue(frames) = step {
                let heard = frames
                    .iter()
                    .map(|frame| hear(venue, &mut *decoder, &mut *session, &text(frame)));
                is_late |= heard.flatten().any(|heard| matches!(heard, Heard::Reply(_)));
            }
        }
        assert_eq!(is_late, dialogue.unsubscribes_by_answer, "{}", venue.name());
    }
}
