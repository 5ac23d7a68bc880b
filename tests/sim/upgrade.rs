//! Answers to the upgrade that are not what they must be.

use crate::client::{Client, ended, generated, logged, millis, silent, start, whats, within};
use feedwatch::sim::{Entry, Expectation, Fault, RetryForm, Rule, SimulatedVenue, UpgradeFault, What};
use feedwatch::supervise::Policy;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::HeaderMap;

const REQUEST: &str = "GET /ws/market HTTP/1.1\r\nHost: venue\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What answers this key (RFC 6455, section 1.3).
const ACCEPT: &str = "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn venue_with(kind: UpgradeFault) -> SimulatedVenue {
    start(generated(vec![Rule::connections(1, 1, Fault::Upgrade(kind))]))
}

async fn error(venue: &SimulatedVenue) -> Error {
    Client::dial(venue)
        .await
        .map(|_| ())
        .expect_err("no upgrade is to succeed")
}

/// A request by hand, and the head of its answer.
async fn ask(venue: &SimulatedVenue) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(venue.address()).await.unwrap();
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn a_slow_answer_comes_byte_by_byte_and_is_right_in_the_end() {
    let interval = millis(2);
    let venue = venue_with(UpgradeFault::Slow { interval });
    let begun = Instant::now();
    // By hand: a client of the library takes so many small packets for an attack.
    let (stream, head) = ask(&venue).await;
    assert!(begun.elapsed() > 100 * interval, "{:?}", begun.elapsed());
    assert!(head.contains(ACCEPT), "{head}");
    let mut client = Client::upgraded(stream).await;
    client.subscribe().await;
    for _ in 0..10 {
        client.text().await;
    }
    let whats = whats(&venue.log(), 1);
    let slow = What::FaultBegan { name: "upgrade_slow" };
    assert_eq!(whats[..3], [What::Accepted, slow, What::Upgraded]);
    venue.shutdown().await;
}

#[tokio::test]
async fn who_leaves_before_a_slow_answer_is_over_is_noticed_at_once() {
    let interval = Duration::from_secs(3600);
    let venue = venue_with(UpgradeFault::Slow { interval });
    let mut stream = TcpStream::connect(venue.address()).await.unwrap();
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    assert_eq!(within(stream.read_u8()).await.unwrap(), b'H');
    drop(stream);
    ended(&venue.log(), 1).await;
    assert!(whats(&venue.log(), 1).contains(&What::LostByClient));
    venue.shutdown().await;
}

#[tokio::test]
async fn an_accept_that_is_wrong_or_missing_is_no_handshake() {
    for (kind, name) in [
        (UpgradeFault::WrongAccept, "upgrade_wrong_accept"),
        (UpgradeFault::NoAccept, "upgrade_no_accept"),
    ] {
        let venue = venue_with(kind);
        let error = error(&venue).await;
        let mismatch = matches!(error, Error::Protocol(ProtocolError::SecWebSocketAcceptKeyMismatch));
        assert!(mismatch, "{name}: {error:?}");
        ended(&venue.log(), 1).await;
        assert_eq!(
            whats(&venue.log(), 1),
            [
                What::Accepted,
                What::FaultBegan { name },
                What::LostByClient,
                What::Ended
            ]
        );
        let expected = Expectation::of(&venue.log(), &Policy::default(), None);
        assert_eq!((expected.failed_attempts, expected.trips), (1, 0));
        venue.shutdown().await;
    }
}

#[tokio::test]
async fn an_answer_has_as_many_bytes_of_headers_as_are_asked_for() {
    let bytes = 200_000;
    let venue = venue_with(UpgradeFault::Headers { bytes });
    let (_stream, head) = ask(&venue).await;
    let fillers = head.lines().filter(|line| line.starts_with("X-Filler-"));
    let size: usize = fillers.map(|line| line.len() + 2).sum();
    assert!((bytes..bytes + 1024).contains(&size), "{size}");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT));
    venue.shutdown().await;
    let venue = venue_with(UpgradeFault::Headers { bytes: 64 * 1024 });
    error(&venue).await;
    venue.shutdown().await;
}

#[tokio::test]
async fn an_extension_is_named_that_nobody_asked_for() {
    let venue = venue_with(UpgradeFault::Extension);
    let (_stream, head) = ask(&venue).await;
    assert!(
        head.contains("\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
        "{head}"
    );
    venue.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_is_cut_ends_in_its_middle() {
    let venue = venue_with(UpgradeFault::Cut);
    let error = error(&venue).await;
    assert!(
        matches!(error, Error::Protocol(ProtocolError::HandshakeIncomplete)),
        "{error:?}"
    );
    ended(&venue.log(), 1).await;
    assert!(whats(&venue.log(), 1).contains(&What::Cut));
    Client::subscribed(&venue).await;
    venue.shutdown().await;
}

async fn refusal(venue: &SimulatedVenue) -> (u16, HeaderMap) {
    match error(venue).await {
        Error::Http(response) => (response.status().as_u16(), response.headers().clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn retry_after_is_told_in_seconds_or_as_a_date_from_the_venues_own() {
    let later = |form| Fault::RetryAfter {
        code: 429,
        seconds: 7,
        form,
    };
    let venue = start(silent(vec![
        Rule::connections(1, 1, later(RetryForm::Seconds)),
        Rule::connections(2, 2, later(RetryForm::Date)),
    ]));
    let (status, headers) = refusal(&venue).await;
    assert_eq!((status, &headers["retry-after"]), (429, &"7".parse().unwrap()));
    let (status, headers) = refusal(&venue).await;
    let date = |name: &str| httpdate::parse_http_date(headers[name].to_str().unwrap()).unwrap();
    assert_eq!(status, 429);
    assert_eq!(date("retry-after"), date("date") + Duration::from_secs(7));

    let told = What::UpgradeRefused {
        status: 429,
        retry_after_seconds: Some(7),
    };
    let log = venue.log();
    for number in [1, 2] {
        logged(&log, |entry: &Entry| entry.connection == number && entry.what == told).await;
    }
    let patience = |seconds| Policy {
        retry_after_max: Duration::from_secs(seconds),
        ..Policy::default()
    };
    assert_eq!(Expectation::of(&log, &patience(7), None).trips, 0);
    assert_eq!(Expectation::of(&log, &patience(6), None).trips, 1);
    venue.shutdown().await;
}
