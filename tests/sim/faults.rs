//! What the venue does on purpose.

use crate::client::{Client, NOTHING, SUBSCRIBE, ended, generated, logged, millis, silent, start, whats, within};
use feedwatch::sim::{Expectation, Fault, Rule, What};
use feedwatch::supervise::Policy;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

#[tokio::test]
async fn refuse_closes_the_port_and_opens_it_again() {
    let window = Rule::during(Duration::ZERO, millis(1000), Fault::Refuse);
    let later = Rule::during(millis(2500), millis(4000), Fault::Refuse);
    let venue = start(silent(vec![window, later]));
    let refused = || async {
        let dial = TcpStream::connect(venue.address()).await;
        dial.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    assert!(refused().await);
    logged(&venue.log(), |entry| entry.what == What::PortOpened).await;
    let mut client = Client::subscribed(&venue).await;
    logged(&venue.log(), |entry| {
        entry.what == What::PortClosed && entry.at >= millis(2500)
    })
    .await;
    assert!(within(refused()).await);
    assert_eq!(client.ask("PING").await, "PONG", "open connections stay");
    logged(&venue.log(), |entry| {
        entry.what == What::PortOpened && entry.at >= millis(4000)
    })
    .await;
    Client::subscribed(&venue).await;
    assert!(Expectation::of(&venue.log(), &Policy::default(), None).incomplete);
    venue.shutdown().await;
}

#[tokio::test]
async fn a_port_can_be_closed_in_each_period() {
    let period = millis(400);
    let window = Rule::during(millis(200), period, Fault::Refuse).each(period);
    let venue = start(silent(vec![window]));
    let log = venue.log();
    for round in 1..=3 {
        let from = round * period;
        let opened = logged(&log, |entry| entry.what == What::PortOpened && entry.at >= from).await;
        logged(&log, |entry| entry.what == What::PortClosed && entry.at > opened.at).await;
    }
    within(venue.shutdown()).await;
}

#[tokio::test]
async fn hang_accepts_and_never_answers() {
    let venue = start(silent(vec![Rule::always(Fault::Hang)]));
    let mut stream = TcpStream::connect(venue.address()).await.unwrap();
    stream.write_all(b"GET /ws/market HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = timeout(NOTHING, stream.read_u8()).await;
    assert!(answer.is_err(), "{answer:?}");
    drop(stream);
    ended(&venue.log(), 1).await;
    assert_eq!(
        whats(&venue.log(), 1),
        [
            What::Accepted,
            What::FaultBegan { name: "hang" },
            What::Hung,
            What::LostByClient,
            What::Ended
        ]
    );
    venue.shutdown().await;
}

#[tokio::test]
async fn status_answers_the_upgrade_with_it_its_headers_and_its_body() {
    let status = |code| Fault::Status {
        code,
        headers: [("Retry-After".to_owned(), "7".to_owned())].into(),
        body: "busy".into(),
    };
    let venue = start(silent(vec![
        Rule::connections(1, 1, status(503)),
        Rule::connections(2, 2, status(200)),
    ]));
    for code in [503, 200] {
        match Client::dial(&venue).await {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), code);
                assert_eq!(response.headers()["retry-after"], "7");
                assert_eq!(response.headers()["content-length"], "4");
                assert_eq!(response.body().as_deref(), Some(&b"busy"[..]));
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
    assert!(whats(&venue.log(), 1).contains(&What::UpgradeRefused {
        status: 503,
        retry_after_seconds: Some(7)
    }));
    Client::subscribed(&venue).await;
    venue.shutdown().await;
}

#[tokio::test]
async fn close_sends_its_code_and_reason_and_all_frames_before_it() {
    let close = |code, reason: &str| Fault::Close {
        code,
        reason: reason.into(),
        after: millis(200),
    };
    let venue = start(generated(vec![
        Rule::connections(1, 1, close(Some(1013), "slow consumer: send buffer full")),
        Rule::connections(2, 2, close(None, "")),
        Rule::connections(3, 3, Fault::Flap),
    ]));
    for (number, code) in [(1, Some(1013)), (2, None), (3, Some(1000))] {
        let mut client = Client::subscribed(&venue).await;
        assert_eq!(client.end().await.unwrap(), code);
        drop(client.socket);
        ended(&venue.log(), number).await;
        assert_eq!(venue.log().counts(number).unwrap().sent, client.read);
        assert!(whats(&venue.log(), number).contains(&What::ClosedByVenue { code }));
    }
    venue.shutdown().await;
}

#[tokio::test]
async fn reset_and_cut_end_without_a_close_frame_after_all_frames_are_read() {
    let venue = start(generated(vec![
        Rule::connections(1, 1, Fault::Reset { after: millis(100) }),
        Rule::connections(2, 2, Fault::Cut { after: millis(100) }),
    ]));
    for number in [1, 2] {
        let mut client = Client::subscribed(&venue).await;
        match client.end().await {
            Err(Error::Io(error)) if number == 1 => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) if number == 2 => {}
            other => panic!("connection {number}: {other:?}"),
        }
        drop(client.socket);
        ended(&venue.log(), number).await;
        assert_eq!(venue.log().counts(number).unwrap().sent, client.read);
    }
    assert!(whats(&venue.log(), 1).contains(&What::Reset));
    assert!(whats(&venue.log(), 2).contains(&What::Cut));
    venue.shutdown().await;
}

#[tokio::test]
async fn silence_sends_no_data_and_answers() {
    let venue = start(generated(vec![Rule::always(Fault::Silence { after: millis(100) })]));
    let mut client = Client::subscribed(&venue).await;
    logged(&venue.log(), |entry| entry.what == What::FaultBegan { name: "silence" }).await;
    client.send("PING").await;
    while client.text().await != "PONG" {}
    client.hears_nothing().await;
    assert_eq!(client.ask("PING").await, "PONG");
    venue.shutdown().await;
}

#[tokio::test]
async fn heartbeats_only_sends_pongs_that_nobody_asked_for() {
    let fault = Fault::HeartbeatsOnly { after: Duration::ZERO };
    let venue = start(generated(vec![Rule::always(fault)]));
    let mut client = Client::subscribed(&venue).await;
    assert_eq!(client.text().await, "PONG");
    assert_eq!(client.text().await, "PONG");
    venue.shutdown().await;
}

#[tokio::test]
async fn mute_neither_reads_nor_writes_and_keeps_the_socket_open() {
    let venue = start(generated(vec![Rule::always(Fault::Mute { after: Duration::ZERO })]));
    let mut client = Client::subscribed(&venue).await;
    logged(&venue.log(), |entry| entry.what == What::FaultBegan { name: "mute" }).await;
    client.send("PING").await;
    client.hears_nothing().await;
    assert!(!whats(&venue.log(), 1).contains(&What::Ended));
    drop(client);
    ended(&venue.log(), 1).await;
    assert!(whats(&venue.log(), 1).contains(&What::LostByClient));
    assert_eq!(venue.log().counts(1).unwrap().received.text, 2);
    venue.shutdown().await;
}

#[tokio::test]
async fn a_subscription_can_stay_unanswered_or_be_rejected() {
    let venue = start(generated(vec![
        Rule::connections(1, 1, Fault::NoAnswer),
        Rule::connections(2, 2, Fault::RejectSubscription),
    ]));
    let mut client = Client::connected(&venue).await;
    client.send(SUBSCRIBE).await;
    client.hears_nothing().await;
    assert_eq!(client.ask("PING").await, "PONG");
    let mut client = Client::connected(&venue).await;
    assert_eq!(client.ask(SUBSCRIBE).await, "INVALID OPERATION");
    client.hears_nothing().await;
    assert!(whats(&venue.log(), 2).contains(&What::Rejected));
    venue.shutdown().await;
}
