//! Polymarket's protocol, as the venue speaks it.

use crate::client::{Client, SUBSCRIBE, ended, generated, logged, silent, start, whats};
use feedwatch::sim::{Counts, SimOptions, What};
use futures_util::SinkExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

#[tokio::test]
async fn a_subscription_is_answered_with_the_books_of_known_tokens() {
    let options = SimOptions {
        unknown: ["22".to_owned(), "33".to_owned()].into(),
        ..silent(vec![])
    };
    let venue = start(options);
    let mut client = Client::connected(&venue).await;
    let answer = client.ask(SUBSCRIBE).await;
    assert!(answer.ends_with("]\n"), "{answer}");
    let books: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(books.as_array().unwrap().len(), 1);
    assert_eq!(books[0]["asset_id"], "11");
    let mut other = Client::connected(&venue).await;
    assert_eq!(other.ask(r#"{"assets_ids":["33","22"],"type":"market"}"#).await, "[]\n");
    assert_eq!(
        whats(&venue.log(), 2),
        [
            What::Accepted,
            What::Upgraded,
            What::Subscribed {
                accepted: 0,
                refused: 2
            }
        ]
    );
    venue.shutdown().await;
}

#[tokio::test]
async fn subscriptions_change_on_the_open_connection() {
    let venue = start(generated(vec![]));
    let mut client = Client::subscribed(&venue).await;
    client
        .send(r#"{"assets_ids":["11","22"],"operation":"unsubscribe"}"#)
        .await;
    logged(&venue.log(), |entry| {
        entry.what
            == What::SubscriptionChanged {
                added: 0,
                refused: 0,
                removed: 2,
            }
    })
    .await;
    // What was sent before is still under way; after the answer to this there is nothing.
    client.send("PING").await;
    while client.text().await != "PONG" {}
    client.hears_nothing().await;

    let books = client
        .ask(r#"{"assets_ids":["11","44"],"operation":"subscribe"}"#)
        .await;
    let books: Value = serde_json::from_str(&books).unwrap();
    assert_eq!(
        (&books[0]["asset_id"], &books[1]["asset_id"]),
        (&"11".into(), &"44".into())
    );
    venue.pause_traffic();
    client.send(r#"{"assets_ids":["44"],"operation":"subscribe"}"#).await;
    while client.text().await != "NO NEW ASSETS" {}
    venue.shutdown().await;
}

#[tokio::test]
async fn what_it_does_not_understand_is_an_invalid_operation() {
    let venue = start(silent(vec![]));
    let mut client = Client::connected(&venue).await;
    for text in [
        "hello",
        "{}",
        "ping",
        r#"{"assets_ids":["1"],"operation":"subscribe"}"#,
        r#"{"asset_ids":["1"],"type":"market"}"#,
        r#"{"assets_ids":["1"],"type":"user"}"#,
    ] {
        assert_eq!(client.ask(text).await, "INVALID OPERATION", "{text}");
    }
    client.socket.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(client.text().await, "INVALID OPERATION");
    client.ask(SUBSCRIBE).await;
    assert_eq!(client.ask(SUBSCRIBE).await, "INVALID OPERATION");
    assert_eq!(
        client.ask(r#"{"assets_ids":["1"],"operation":"explode"}"#).await,
        "INVALID OPERATION"
    );
    venue.shutdown().await;
}

#[tokio::test]
async fn pings_of_both_kinds_are_answered() {
    let venue = start(silent(vec![]));
    let mut client = Client::connected(&venue).await;
    assert_eq!(client.ask("PING").await, "PONG");
    for payload in ["a", "b", "c"] {
        client.socket.feed(Message::Ping(payload.into())).await.unwrap();
    }
    client.socket.flush().await.unwrap();
    for payload in ["a", "b", "c"] {
        let pong = client.next().await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(Bytes::from(payload)));
    }
    let counts = venue.log().counts(1).unwrap();
    assert_eq!((counts.received.ping, counts.sent.pong), (3, 3));
    venue.shutdown().await;
}

#[tokio::test]
async fn another_path_is_not_found() {
    let venue = start(silent(vec![]));
    let stream = TcpStream::connect(venue.address()).await.unwrap();
    let url = format!("ws://{}/ws/user", venue.address());
    match tokio_tungstenite::client_async(url, stream).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 404),
        other => panic!("{:?}", other.map(|_| ())),
    }
    ended(&venue.log(), 1).await;
    venue.shutdown().await;
}

#[tokio::test]
async fn every_frame_and_byte_that_a_client_reads_is_counted_and_no_other() {
    let venue = start(generated(vec![]));
    let mut client = Client::subscribed(&venue).await;
    for _ in 0..300 {
        client.text().await;
    }
    client.send("PING").await;
    client.socket.send(Message::Ping("xy".into())).await.unwrap();
    client.socket.close(None).await.unwrap();
    assert_eq!(client.end().await.unwrap(), None);
    ended(&venue.log(), 1).await;
    let log = venue.log();
    let Counts {
        sent,
        close_replies,
        received,
    } = log.counts(1).unwrap();
    assert_eq!(sent, client.read);
    assert_eq!((sent.close, close_replies.close, close_replies.frames()), (1, 1, 1));
    assert_eq!((received.text, received.ping, received.close), (2, 1, 1));
    assert_eq!(received.payload_bytes, (SUBSCRIBE.len() + "PINGxy".len()) as u64);
    assert_eq!(log.totals(), log.counts(1).unwrap());
    assert!(whats(&log, 1).contains(&What::ClosedByClient { code: None }));
    venue.shutdown().await;
}
