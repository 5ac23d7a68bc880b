//! The simulated venue against raw WebSocket clients: its protocol, its traffic, its faults, its log.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: helpers may fail the test, too"
)]

mod support;

use feedwatch::sim::{
    Capture, Counts, Entry, Expectation, Fault, FrameCounts, Rule, Script, SimLog, SimOptions, SimulatedVenue, Speed,
    Traffic, What,
};
use feedwatch::supervise::Policy;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

/// Nothing here takes so long; what does has failed.
const LIMIT: Duration = Duration::from_secs(20);
/// How long nothing must come to be called nothing.
const NOTHING: Duration = Duration::from_millis(300);
const SUBSCRIBE: &str = r#"{"assets_ids":["11","22"],"type":"market"}"#;

fn silent(rules: Vec<Rule>) -> SimOptions {
    SimOptions {
        traffic: Traffic::Silent,
        script: Script { rules },
        ..SimOptions::default()
    }
}

fn generated(rules: Vec<Rule>) -> SimOptions {
    SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 500.0,
        },
        ..silent(rules)
    }
}

fn start(options: SimOptions) -> SimulatedVenue {
    SimulatedVenue::start(options).unwrap()
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it takes too long")
}

/// Waits until the log has an entry like this.
async fn logged(log: &SimLog, wanted: impl Fn(&Entry) -> bool) -> Entry {
    within(async {
        loop {
            if let Some(entry) = log.entries().into_iter().find(|entry| wanted(entry)) {
                return entry;
            }
            sleep(millis(5)).await;
        }
    })
    .await
}

async fn ended(log: &SimLog, connection: u64) {
    logged(log, |entry| entry.connection == connection && entry.what == What::Ended).await;
}

fn whats(log: &SimLog, connection: u64) -> Vec<What> {
    let entries = log.entries().into_iter();
    entries
        .filter(|entry| entry.connection == connection)
        .map(|entry| entry.what)
        .collect()
}

/// A client that reads to the end and counts, as the venue does.
struct Client {
    socket: WebSocketStream<TcpStream>,
    read: FrameCounts,
}

impl Client {
    async fn dial(venue: &SimulatedVenue) -> Result<Self, Error> {
        let stream = TcpStream::connect(venue.address()).await?;
        let (socket, _) = within(tokio_tungstenite::client_async(venue.url(), stream)).await?;
        Ok(Self {
            socket,
            read: FrameCounts::default(),
        })
    }

    async fn connected(venue: &SimulatedVenue) -> Self {
        Self::dial(venue).await.unwrap()
    }

    /// Connects, subscribes to two tokens, and reads the answer.
    async fn subscribed(venue: &SimulatedVenue) -> Self {
        let mut client = Self::connected(venue).await;
        assert!(client.ask(SUBSCRIBE).await.starts_with(r#"[{"market":"#));
        client
    }

    async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        let next = within(self.socket.next()).await;
        if let Some(Ok(message)) = &next {
            let (opcode, bytes) = match message {
                Message::Text(text) => (&mut self.read.text, text.len()),
                Message::Binary(payload) => (&mut self.read.binary, payload.len()),
                Message::Ping(payload) => (&mut self.read.ping, payload.len()),
                Message::Pong(payload) => (&mut self.read.pong, payload.len()),
                Message::Close(frame) => (
                    &mut self.read.close,
                    frame.as_ref().map_or(0, |frame| 2 + frame.reason.len()),
                ),
                Message::Frame(_) => panic!("a raw frame"),
            };
            *opcode += 1;
            self.read.payload_bytes += bytes as u64;
        }
        next
    }

    async fn text(&mut self) -> String {
        match self.next().await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    async fn ask(&mut self, text: &str) -> String {
        self.send(text).await;
        self.text().await
    }

    async fn hears_nothing(&mut self) {
        let next = timeout(NOTHING, self.socket.next()).await;
        assert!(next.is_err(), "{next:?}");
    }

    /// Reads to the end of the connection: the close frame's code, or the error.
    async fn end(&mut self) -> Result<Option<u16>, Error> {
        let mut code = None;
        while let Some(next) = self.next().await {
            if let Message::Close(frame) = next? {
                code = frame.map(|frame| frame.code.into());
            }
        }
        Ok(code)
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/polymarket")
        .join(name)
}

fn replay(path: &Path, speed: Speed, repeat: bool) -> (Arc<Capture>, SimOptions) {
    let frames = Arc::new(Capture::read(path).unwrap());
    let traffic = Traffic::Replay {
        frames: Arc::clone(&frames),
        speed,
        repeat,
    };
    (
        frames,
        SimOptions {
            traffic,
            ..SimOptions::default()
        },
    )
}

async fn expect_replayed(client: &mut Client, frames: &Capture) {
    for (index, frame) in frames.frames().iter().enumerate() {
        let message = client.next().await.unwrap().unwrap();
        assert_eq!(message.is_text(), frame.is_text(), "frame {index}");
        assert_eq!(&message.into_data()[..], frame.payload(), "frame {index}");
    }
}

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

/// Whether every comma between JSON tokens is followed by a space, and no colon is; strings here hold neither.
fn is_spaced_like_the_venue(text: &str) -> bool {
    let bytes = text.as_bytes();
    let after = |index: usize| bytes.get(index + 1);
    bytes.iter().enumerate().all(|(index, byte)| match byte {
        b',' => after(index) == Some(&b' '),
        b':' => after(index) != Some(&b' '),
        _ => true,
    })
}

fn expect_sorted(levels: &Value, ascending: bool) {
    let prices: Vec<f64> = levels
        .as_array()
        .unwrap()
        .iter()
        .map(|level| {
            assert!(level["size"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
            level["price"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    assert!(!prices.is_empty());
    assert!(
        prices.is_sorted_by(|a, b| if ascending { a < b } else { a > b }),
        "{prices:?}"
    );
}

#[tokio::test]
async fn generated_events_have_the_venues_shapes() {
    let venue = start(SimOptions {
        traffic: Traffic::Generated { events_per_second: 1e6 },
        ..SimOptions::default()
    });
    let mut client = Client::connected(&venue).await;
    let first = client.ask(SUBSCRIBE).await;
    assert!(!first.contains(", ") && first.ends_with('\n'), "{first}");
    let first: Value = serde_json::from_str(&first).unwrap();
    for book in first.as_array().unwrap() {
        assert_eq!(book["event_type"], "book");
        assert_eq!(book["tick_size"], "0.01");
        expect_sorted(&book["bids"], true);
        expect_sorted(&book["asks"], false);
    }
    let mut seen = BTreeMap::<String, usize>::new();
    while seen.len() < 5 || seen.values().sum::<usize>() < 5000 {
        let text = client.text().await;
        assert!(
            is_spaced_like_the_venue(&text) && !text.starts_with(r#"{"event_type""#),
            "{text}"
        );
        let event: Value = serde_json::from_str(&text).unwrap();
        assert!(event["timestamp"].as_str().unwrap().parse::<i64>().unwrap() > 1_600_000_000_000);
        assert_eq!(event["market"].as_str().unwrap().len(), 66);
        let kind = event["event_type"].as_str().unwrap();
        *seen.entry(kind.to_owned()).or_default() += 1;
        if kind == "price_change" {
            let changes = event["price_changes"].as_array().unwrap();
            let ids: Vec<_> = changes.iter().map(|change| &change["asset_id"]).collect();
            assert_eq!(ids, ["11", "22"]);
            let number = |index: usize, field: &str| changes[index][field].as_str().unwrap().parse::<f64>().unwrap();
            assert!((number(0, "price") + number(1, "price") - 1.0).abs() < 1e-9);
            assert!((number(0, "best_bid") + number(1, "best_ask") - 1.0).abs() < 1e-9);
            assert!(number(0, "best_bid") < number(0, "best_ask"));
            assert_ne!(changes[0]["side"], changes[1]["side"]);
            continue;
        }
        assert!(event["asset_id"] == "11" || event["asset_id"] == "22");
        let fields: &[&str] = match kind {
            "book" => {
                assert_eq!(event.get("tick_size"), None);
                expect_sorted(&event["bids"], true);
                expect_sorted(&event["asks"], false);
                &["hash", "last_trade_price"]
            }
            "last_trade_price" => &["price", "size", "fee_rate_bps", "side", "transaction_hash"],
            "best_bid_ask" => &["best_bid", "best_ask", "spread"],
            "tick_size_change" => &["old_tick_size", "new_tick_size"],
            other => panic!("{other}"),
        };
        for field in fields {
            assert!(event[field].is_string(), "{field} in {text}");
        }
    }
    venue.shutdown().await;
}

#[tokio::test]
async fn recorded_frames_are_played_byte_for_byte_on_each_connection() {
    for name in ["market__session.jsonl", "odd__untimed-and-binary.jsonl"] {
        for speed in [Speed::AsFastAsRead, Speed::Factor(20.0)] {
            let (frames, options) = replay(&fixture(name), speed, false);
            let venue = start(options);
            for _ in 0..2 {
                let mut client = Client::subscribed(&venue).await;
                expect_replayed(&mut client, &frames).await;
                assert_eq!(client.ask("PING").await, "PONG", "nothing after the last frame");
            }
            venue.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_sent_more_than_the_socket_takes() {
    let (_, options) = replay(&fixture("market__session.jsonl"), Speed::AsFastAsRead, true);
    let venue = start(options);
    let mut client = Client::subscribed(&venue).await;
    let sent = || venue.log().totals().sent.frames();
    // Full when the count stands still.
    let full = within(async {
        loop {
            let before = sent();
            sleep(NOTHING).await;
            if sent() == before {
                return before;
            }
        }
    })
    .await;
    while client.read.frames() <= full {
        client.text().await;
    }
    assert!(sent() > full);
    within(venue.shutdown()).await;
}

#[tokio::test]
async fn paused_traffic_stops_and_pings_are_still_answered() {
    let venue = start(generated(vec![]));
    let mut client = Client::subscribed(&venue).await;
    client.text().await;
    venue.pause_traffic();
    client.send("PING").await;
    while client.text().await != "PONG" {}
    client.hears_nothing().await;
    assert_eq!(venue.log().totals().sent, client.read);
    venue.resume_traffic();
    assert!(client.text().await.contains("event_type"));
    venue.shutdown().await;
}

#[tokio::test]
async fn a_resolved_market_is_told_once_and_unknown_from_then_on() {
    let venue = start(silent(vec![]));
    let mut client = Client::subscribed(&venue).await;
    let mut other = Client::connected(&venue).await;
    other.ask(r#"{"assets_ids":["33"],"type":"market"}"#).await;
    venue.resolve(&["11", "22"]);
    let event: Value = serde_json::from_str(&client.text().await).unwrap();
    assert_eq!(event["event_type"], "market_resolved");
    assert_eq!(event["assets_ids"], serde_json::json!(["11", "22"]));
    assert_eq!(event["winning_asset_id"], "11");
    let again = client.ask(r#"{"assets_ids":["11"],"operation":"subscribe"}"#).await;
    assert_eq!(again, "[]\n");
    assert_eq!(other.ask("PING").await, "PONG", "it is not for this one");
    venue.shutdown().await;
}

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

#[test]
#[ignore = "needs recorded captures"]
fn every_recorded_capture_can_be_read() {
    let mut kinds = BTreeMap::<(bool, bool), usize>::new();
    let files = support::capture_files(&support::captures());
    for path in &files {
        for frame in Capture::read(path).unwrap().frames() {
            *kinds.entry((frame.is_text(), frame.at().is_some())).or_default() += 1;
        }
    }
    assert!(files.len() > 40, "{}", files.len());
    assert!(kinds.len() >= 3, "text and binary, with a time and without: {kinds:?}");
}

#[tokio::test]
#[ignore = "needs recorded captures"]
async fn recorded_polymarket_frames_are_played_byte_for_byte() {
    let files = support::capture_files(&support::captures().join("polymarket"));
    assert!(!files.is_empty());
    for path in files {
        let (frames, options) = replay(&path, Speed::AsFastAsRead, false);
        let venue = start(options);
        let mut client = Client::subscribed(&venue).await;
        expect_replayed(&mut client, &frames).await;
        assert_eq!(client.ask("PING").await, "PONG");
        assert_eq!(venue.log().totals().sent, client.read);
        venue.shutdown().await;
    }
}
