//! Frames that are not allowed, too large, endless or in parts; texts that are strange; floods.

use crate::client::{Client, READS, ended, generated, logged, millis, silent, start, whats, within};
use feedwatch::sim::{BadFrame, Expectation, Fault, Flood, OddText, Rule, SimulatedVenue, What};
use feedwatch::supervise::Policy;
use std::io::ErrorKind;
use std::time::Duration;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

fn busy(fault: Fault) -> SimulatedVenue {
    start(generated(vec![Rule::connections(1, 1, fault)]))
}

fn quiet(fault: Fault) -> SimulatedVenue {
    start(silent(vec![Rule::connections(1, 1, fault)]))
}

/// Reads up to what cannot be read, says farewell as a correct client does, and compares what both have counted.
async fn reads_to_the_error(venue: SimulatedVenue, name: &'static str) -> Error {
    let mut client = Client::subscribed(&venue).await;
    let error = client.end().await.expect_err("something cannot be read");
    let farewell = CloseFrame {
        code: 1002.into(),
        reason: "".into(),
    };
    client.socket.close(Some(farewell)).await.unwrap();
    drop(client.socket);
    let log = venue.log();
    ended(&log, 1).await;
    assert_eq!(log.counts(1).unwrap().sent, client.read, "{name}");
    assert_eq!(log.counts(1).unwrap().received.close, 1, "{name}");
    assert_eq!(
        whats(&log, 1)[3..],
        [
            What::FaultBegan { name },
            What::ClosedByClient { code: Some(1002) },
            What::Ended
        ]
    );
    let expected = Expectation::of(&log, &Policy::default(), None);
    assert_eq!((expected.went_live, expected.losses), (1, 1), "{name}");
    assert_eq!(expected.frames_received, client.read.frames(), "{name}");
    venue.shutdown().await;
    error
}

#[tokio::test]
async fn a_frame_that_is_not_allowed_comes_after_all_others_and_does_not_count() {
    for (kind, name) in [
        (BadFrame::InvalidUtf8, "bad_frame_invalid_utf8"),
        (BadFrame::ReservedBit, "bad_frame_reserved_bit"),
        (BadFrame::Masked, "bad_frame_masked"),
        (BadFrame::Opcode, "bad_frame_opcode"),
        (BadFrame::LongControl, "bad_frame_long_control"),
        (BadFrame::FragmentedControl, "bad_frame_fragmented_control"),
        (BadFrame::Continuation, "bad_frame_continuation"),
    ] {
        let after = millis(50);
        let error = reads_to_the_error(busy(Fault::BadFrame { kind, after }), name).await;
        let as_scripted = match error {
            Error::Utf8(_) => kind == BadFrame::InvalidUtf8,
            Error::Protocol(_) => kind != BadFrame::InvalidUtf8,
            _ => false,
        };
        assert!(as_scripted, "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_frame_can_be_larger_than_a_client_reads() {
    let (bytes, after) = (READS as u64 + 1, millis(50));
    let error = reads_to_the_error(busy(Fault::TooBig { bytes, after }), "too_big").await;
    let as_scripted = matches!(error, Error::Capacity(CapacityError::MessageTooLong { size, .. }) if size == READS + 1);
    assert!(as_scripted, "{error:?}");
}

#[tokio::test]
async fn a_message_can_be_endless() {
    let fault = Fault::EndlessFragments {
        bytes: 64 * 1024,
        fragments: 1 << 20,
        after: millis(50),
    };
    let error = reads_to_the_error(busy(fault), "endless_fragments").await;
    assert!(matches!(error, Error::Capacity(_)), "{error:?}");
}

#[tokio::test]
async fn a_venue_that_writes_what_nobody_reads_ends_when_it_is_told_to() {
    let fault = Fault::EndlessFragments {
        bytes: 64 * 1024,
        fragments: 1 << 20,
        after: Duration::ZERO,
    };
    let venue = quiet(fault);
    let _not_reading = Client::subscribed(&venue).await;
    let began = What::FaultBegan {
        name: "endless_fragments",
    };
    logged(&venue.log(), |entry| entry.what == began).await;
    within(venue.shutdown()).await;
}

#[tokio::test]
async fn a_connection_can_end_in_the_middle_of_a_frame() {
    let after = millis(50);
    for (fault, what) in [
        (Fault::ResetInFrame { after }, What::Reset),
        (Fault::CutInFrame { after }, What::Cut),
    ] {
        let (name, venue) = (fault.name(), busy(fault));
        let mut client = Client::subscribed(&venue).await;
        match (client.end().await, &what) {
            (Err(Error::Io(error)), What::Reset) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            (Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)), What::Cut) => {}
            other => panic!("{name}: {other:?}"),
        }
        drop(client.socket);
        ended(&venue.log(), 1).await;
        assert_eq!(venue.log().counts(1).unwrap().sent, client.read);
        assert_eq!(
            whats(&venue.log(), 1)[3..],
            [What::FaultBegan { name }, what, What::Ended]
        );
        venue.shutdown().await;
    }
}

#[tokio::test]
async fn an_event_in_several_fragments_is_one_message_and_the_connection_goes_on() {
    let fault = Fault::Fragments {
        fragments: 7,
        after: Duration::ZERO,
    };
    let venue = quiet(fault);
    let mut client = Client::subscribed(&venue).await;
    let event: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
    assert_eq!(
        (&event["event_type"], &event["asset_id"]),
        (&"last_trade_price".into(), &"11".into())
    );
    assert_eq!(client.ask("PING").await, "PONG");
    assert_eq!(venue.log().counts(1).unwrap().sent, client.read);
    venue.shutdown().await;
}

#[tokio::test]
async fn strange_texts_come_as_often_as_asked_for_and_the_connection_goes_on() {
    for (kind, what_it_holds) in [
        (OddText::NotJson, r#""bids":[}"#),
        (OddText::OtherSchema, "btcusdt@trade"),
        (OddText::UnknownChannel, r#""event_type":"quake""#),
        (OddText::DeepNesting, "[[[[]]]]"),
        (OddText::Future, "last_trade_price"),
        (OddText::LongAgo, r#""timestamp":"1209600000""#),
        (OddText::AbsurdTime, "last_trade_price"),
    ] {
        let (frames, after) = (3, Duration::ZERO);
        let venue = quiet(Fault::OddText { kind, frames, after });
        let mut client = Client::subscribed(&venue).await;
        for _ in 0..frames {
            let text = client.text().await;
            assert!(text.contains(what_it_holds), "{kind:?}: {text}");
        }
        assert_eq!(client.ask("PING").await, "PONG");
        assert_eq!(venue.log().counts(1).unwrap().sent, client.read, "{kind:?}");
        venue.shutdown().await;
    }
}

#[tokio::test]
async fn a_flood_is_counted_answered_and_over_some_time() {
    const FRAMES: u64 = 20_000;
    for of in [Flood::Pings, Flood::EmptyTexts] {
        let (frames, after) = (FRAMES, Duration::ZERO);
        let venue = quiet(Fault::Flood { of, frames, after });
        let mut client = Client::subscribed(&venue).await;
        for _ in 0..FRAMES {
            match (client.next().await.unwrap().unwrap(), of) {
                (Message::Ping(payload), Flood::Pings) => assert!(payload.is_empty()),
                (Message::Text(text), Flood::EmptyTexts) => assert!(text.is_empty()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(client.ask("PING").await, "PONG");
        let counts = venue.log().counts(1).unwrap();
        assert_eq!(counts.sent, client.read);
        let pongs = if of == Flood::Pings { FRAMES } else { 0 };
        assert_eq!(counts.received.pong, pongs, "each ping is answered");
        venue.shutdown().await;
    }
}
