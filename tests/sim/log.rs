//! The venue's end, and its log.

use crate::client::{Client, SUBSCRIBE, ended, generated, logged, millis, silent, start, whats, within};
use crate::traffic::{fixture, replay};
use feedwatch::sim::{Expectation, Fault, Rule, SimOptions, SimulatedVenue, Speed, What};
use feedwatch::supervise::Policy;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn shutdown_closes_every_connection_whatever_it_is_doing_and_leaves_the_port_free() {
    let (_, mut options) = replay(&fixture("market__session.jsonl"), Speed::AsFastAsRead, true);
    options.script.rules = vec![
        Rule::connections(1, 1, Fault::Hang),
        Rule::connections(2, 2, Fault::Mute { after: Duration::ZERO }),
    ];
    let venue = start(options);
    let log = venue.log();
    let hung = TcpStream::connect(venue.address()).await.unwrap();
    logged(&log, |entry| entry.what == What::Hung).await;
    let muted = Client::subscribed(&venue).await;
    logged(&log, |entry| entry.what == What::FaultBegan { name: "mute" }).await;
    let not_reading = Client::subscribed(&venue).await;
    let mut reading = Client::connected(&venue).await;
    let address: SocketAddr = venue.address();
    let (code, ()) = tokio::join!(reading.end(), within(venue.shutdown()));
    assert_eq!(code.unwrap(), Some(1001));
    for number in 1..=4 {
        assert_eq!(whats(&log, number).last(), Some(&What::Ended), "connection {number}");
    }
    drop((hung, muted, not_reading, reading));
    let again = start(SimOptions {
        listen: address,
        ..silent(vec![])
    });
    Client::subscribed(&again).await;
    again.shutdown().await;
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let error = SimulatedVenue::start(silent(vec![Rule::always(Fault::Refuse)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "rule 1: fault: refuse needs until_ms: the port must open again"
    );
}

#[tokio::test]
async fn the_log_tells_what_a_correct_client_must_have_counted() {
    let venue = start(generated(vec![
        Rule::connections(
            1,
            1,
            Fault::Status {
                code: 500,
                headers: BTreeMap::new(),
                body: String::new(),
            },
        ),
        Rule::connections(2, 2, Fault::Cut { after: millis(50) }),
    ]));
    let log = venue.log();
    let mut news = log.subscribe();
    assert!(Client::dial(&venue).await.is_err());
    let mut cut = Client::subscribed(&venue).await;
    assert!(cut.end().await.is_err());
    drop(cut.socket);
    ended(&log, 2).await;
    let mut live = Client::subscribed(&venue).await;
    venue.pause_traffic();
    live.send("PING").await;
    while live.text().await != "PONG" {}

    let policy = Policy {
        max_consecutive_failures: 2,
        ..Policy::default()
    };
    let expected = Expectation::of(&log, &policy, None);
    assert_eq!(
        expected,
        Expectation {
            attempts: 3,
            failed_attempts: 1,
            went_live: 2,
            losses: 1,
            trips: 1,
            outages: 2,
            live: true,
            frames_received: cut.read.frames() + live.read.frames(),
            received_bytes: cut.read.payload_bytes + live.read.payload_bytes,
            frames_sent: 3,
            sent_bytes: (2 * SUBSCRIBE.len() + "PING".len()) as u64,
            incomplete: false,
        }
    );
    let cut_off = log.elapsed();
    live.socket.close(None).await.unwrap();
    live.end().await.unwrap();
    ended(&log, 3).await;
    assert_eq!(Expectation::of(&log, &policy, None).losses, 2);
    let before = Expectation::of(&log, &policy, Some(cut_off));
    assert_eq!((before.losses, before.live), (1, true));
    let entries = log.entries();
    for entry in &entries {
        assert_eq!(&news.recv().await.unwrap(), entry);
    }
    assert!(!log.overflowed());
    venue.shutdown().await;
}
