//! A stream on a task of its own, and a consumer that is slow, silent or gone.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::panic,
    reason = "tests may fail, and counts are exact"
)]

mod support;

use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Instrument, MarketEvent};
use feedwatch::metrics::{Streams, text};
use feedwatch::sim::{
    Capture, CapturedFrame, Counts, Fault, Flood, Rule, Script, SimOptions, SimulatedVenue, Speed, Traffic, What,
};
use feedwatch::stream::{
    Dialler, HandOff, MarketDataStream, StreamHandle, TcpDialler, TlsTrust, TransportOptions, WhenFull,
};
use feedwatch::supervise::Policy;
use futures_util::stream::FusedStream;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::pipe::{Pipe, serve_first_subscription};
use support::rig::Rig;
use support::rows::{millis, options, policy, venue};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// Nothing here takes so long, even on a busy machine; what does has failed.
const LIMIT: Duration = Duration::from_secs(20);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A stream on a task of its own, and where its figures are shown.
async fn spawned<D: Dialler>(
    url: &str,
    hand_off: HandOff,
    options: TransportOptions,
    dialler: D,
) -> (StreamHandle, Arc<Streams>) {
    let trust = TlsTrust::only([]).unwrap();
    let Rig { stream, shown, .. } = Rig::new(url, policy(), options, trust, dialler).await;
    (stream.spawn(hand_off), shown)
}

fn scrape(shown: &Streams) -> Scrape {
    Scrape::read(&text::render(shown, Moment::now()))
}

/// What the history of the stream says of its queue, the oldest first.
fn told(shown: &Streams) -> Vec<&'static str> {
    let mut entries = shown.all()[0].history().newest_first();
    entries.reverse();
    let words = entries.into_iter().map(|entry| entry.what);
    words
        .filter(|what| ["queue_full", "caught_up"].contains(what))
        .collect()
}

/// What a consumer has received.
#[derive(Debug, Default)]
struct Received {
    frames: u64,
    missed: u64,
    news: Vec<MarketEvent>,
}

impl Received {
    fn on_event(&mut self, event: MarketEvent) {
        match event {
            MarketEvent::Frame(_) => self.frames += 1,
            MarketEvent::Missed { frames } => self.missed += frames,
            news => self.news.push(news),
        }
    }

    /// Takes what is there.
    fn take_all(&mut self, events: &mut StreamHandle) {
        // Each look has the budget of a whole task.
        while let Some(Some(event)) = tokio::task::coop::unconstrained(events.next()).now_or_never() {
            self.on_event(event);
        }
    }
}

/// What a venue at the other end of a pipe did.
#[derive(Debug, Default)]
struct Done {
    sent: u64,
    pings: u64,
    pongs: u64,
    /// Pings of this venue's own protocol, which the client sends.
    kept_alive: u64,
}

/// A frame of so many bytes.
fn trade(bytes: usize) -> String {
    let text = r#"{"event_type":"last_trade_price","asset_id":"11","timestamp":"1"}"#;
    format!("{text:bytes$}")
}

/// Sends `frames` frames of a kilobyte, `pause` apart, and a ping with every fiftieth; takes what the client sends.
async fn flood(socket: &mut WebSocketStream<DuplexStream>, frames: u64, pause: Duration) -> Done {
    let mut done = Done {
        sent: 1, // the answer to the subscription
        ..Done::default()
    };
    let text = trade(1000);
    for at in 0..frames {
        socket.send(Message::text(text.clone())).await.unwrap();
        done.sent += 1;
        if at % 50 == 49 {
            socket.send(Message::Ping(Bytes::new())).await.unwrap();
            done.pings += 1;
        }
        sleep(pause).await;
        while let Some(message) = socket.next().now_or_never() {
            match message.unwrap().unwrap() {
                Message::Pong(_) => done.pongs += 1,
                Message::Text(text) if text == "PING" => done.kept_alive += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    done
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_stops_reading_for_ten_minutes_costs_no_memory_and_no_pong_and_learns_what_it_missed() {
    let (pipe, server) = Pipe::new(64 * 1024);
    let hand_off = HandOff {
        max_events: 100,
        max_bytes: 50_000,
        ..HandOff::default()
    };
    let (mut events, shown) = spawned("ws://venue.test/", hand_off, TransportOptions::default(), pipe).await;
    let serving = tokio::spawn(async move {
        let mut socket = serve_first_subscription(server).await;
        let done = flood(&mut socket, 6000, millis(100)).await;
        (done, socket)
    });

    let begun = Instant::now();
    let (done, _socket) = serving.await.unwrap();
    assert!(begun.elapsed() >= secs(600));
    assert_eq!((done.sent, done.pings), (6001, 120));
    assert_eq!(
        done.pongs, done.pings,
        "every ping was answered while nobody took an event"
    );
    assert!((59..=60).contains(&done.kept_alive), "{done:?}");

    assert_eq!(told(&shown), ["queue_full"], "once for all of them");
    let (waiting, bytes) = events.waiting();
    assert!(bytes <= 50_000, "{bytes}");
    assert!((30..50).contains(&waiting), "a kilobyte each: {waiting}");
    let figures = scrape(&shown);
    assert_eq!(figures.sum("feedwatch_queue_depth", &[]), waiting as f64);
    assert_eq!(figures.sum("feedwatch_queue_capacity", &[]), 100.0);

    let first = events.next_event().await;
    assert_eq!(
        first,
        Some(MarketEvent::Missed {
            frames: done.sent - waiting as u64
        }),
        "the gap is told in its place: before what is left"
    );
    let mut received = Received::default();
    received.on_event(first.unwrap());
    received.take_all(&mut events);
    assert_eq!(received.frames + received.missed, done.sent);
    assert_eq!(received.frames, waiting as u64);
    assert!(received.news.is_empty(), "the connection was kept: {received:?}");
    let figures = scrape(&shown);
    assert_eq!(
        figures.sum("feedwatch_queue_dropped_total", &[]),
        received.missed as f64
    );
    assert_eq!(figures.sum("feedwatch_queue_depth", &[]), 0.0);
    assert_eq!(figures.sum("feedwatch_disconnects_total", &[]), 0.0);
}

const fn blocking(max_events: usize) -> HandOff {
    HandOff {
        when_full: WhenFull::Block,
        max_events,
        max_bytes: usize::MAX,
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_blocks_loses_nothing_and_takes_no_silence_of_its_own_for_the_venue_s() {
    let (pipe, server) = Pipe::new(8 * 1024);
    let (mut events, shown) = spawned("ws://venue.test/", blocking(10), TransportOptions::default(), pipe).await;
    let serving = tokio::spawn(async move {
        let mut socket = serve_first_subscription(server).await;
        // It is held up by the pipe, which nobody reads.
        let done = flood(&mut socket, 1000, Duration::ZERO).await;
        (done, socket)
    });

    let mut received = Received::default();
    for _ in 0..5 {
        // Longer than the patience with a pong: nothing was read, so nothing can have been missed.
        sleep(secs(60)).await;
        assert_eq!(events.waiting().0, 10, "no more than there is room for");
        for _ in 0..50 {
            received.on_event(events.next_event().await.unwrap());
        }
    }
    while received.frames < 1001 {
        received.on_event(timeout(secs(60), events.next_event()).await.expect("in time").unwrap());
    }
    assert!(received.news.is_empty() && received.missed == 0, "{received:?}");
    let (done, _socket) = serving.await.unwrap();
    assert_eq!(done.sent, 1001);
    assert_eq!(told(&shown), ["queue_full", "caught_up"].repeat(5), "once a hold");
    let figures = scrape(&shown);
    assert_eq!(figures.sum("feedwatch_disconnects_total", &[]), 0.0);
    assert_eq!(figures.sum("feedwatch_queue_dropped_total", &[]), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_venue_that_loses_patience_with_a_blocked_consumer_is_not_blamed_alone() {
    let (pipe, server) = Pipe::new(64 * 1024);
    let (mut events, _shown) = spawned("ws://venue.test/", blocking(2), TransportOptions::default(), pipe).await;
    tokio::spawn(async move {
        let mut socket = serve_first_subscription(server).await;
        for _ in 0..10 {
            socket.send(Message::text("{}")).await.unwrap();
        }
        // No ping has come for too long.
        sleep(secs(45)).await;
    });
    sleep(secs(90)).await;
    let mut received = Received::default();
    while received.news.is_empty() {
        received.on_event(events.next_event().await.unwrap());
    }
    assert!(received.frames >= 2, "what waited in the queue is there: {received:?}");
    let [MarketEvent::Disconnected { detail, .. }] = &received.news[..] else {
        panic!("{received:?}");
    };
    assert!(
        detail.ends_with("nothing had been read for 90 s: the consumer's queue was full"),
        "{detail}"
    );
}

fn counts(venue: &SimulatedVenue) -> Counts {
    venue.log().counts(1).unwrap_or_default()
}

/// Frames that the venue has sent for the consumer: answers to pings are none.
fn sent_to_consumer(venue: &SimulatedVenue) -> u64 {
    let counts = counts(venue);
    // The first text of the client is its subscription.
    counts.sent.text - counts.received.text.saturating_sub(1)
}

#[tokio::test]
async fn a_megabyte_a_second_against_a_consumer_that_stopped_reading() {
    leaves_nothing_behind(async || {
        let text = trade(1000);
        let frames: Capture = (0..1000)
            .map(|at| CapturedFrame::text(Some(f64::from(at) / 1000.0), &text))
            .collect();
        let venue = SimulatedVenue::start(SimOptions {
            traffic: Traffic::Replay {
                recordings: vec![Arc::new(frames)],
                speed: Speed::Factor(1.0),
                repeat: false,
            },
            ..SimOptions::default()
        })
        .unwrap();
        let hand_off = HandOff {
            max_bytes: 64 * 1024,
            ..HandOff::default()
        };
        let (mut events, shown) = spawned(&venue.url(), hand_off, options(), TcpDialler::default()).await;
        let begun = Instant::now();
        while scrape(&shown).sum("feedwatch_messages_total", &[("kind", "trade")]) < 1000.0 {
            assert!(begun.elapsed() < LIMIT, "not all came");
            assert!(events.waiting().1 <= 64 * 1024);
            sleep(millis(5)).await;
        }
        let mut received = Received::default();
        received.take_all(&mut events);
        assert_eq!(
            received.frames + received.missed,
            1001,
            "and the answer to the subscription"
        );
        assert!((40..70).contains(&received.frames), "{received:?}");
        assert_eq!(
            scrape(&shown).sum("feedwatch_queue_dropped_total", &[]),
            received.missed as f64
        );
        assert!(received.news.is_empty(), "{received:?}");
        events.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_for_a_consumer_that_stopped_reading() {
    leaves_nothing_behind(async || {
        let flood = Fault::Flood {
            of: Flood::Pings,
            frames: 10_000,
            after: millis(50),
        };
        let venue = SimulatedVenue::start(SimOptions {
            traffic: Traffic::Generated {
                events_per_second: 500.0,
            },
            script: Script {
                rules: vec![Rule::always(flood)],
            },
            ..SimOptions::default()
        })
        .unwrap();
        let hand_off = HandOff {
            max_events: 50,
            ..HandOff::default()
        };
        let (mut events, _shown) = spawned(&venue.url(), hand_off, options(), TcpDialler::default()).await;
        let begun = Instant::now();
        while counts(&venue).received.pong < 10_000 || sent_to_consumer(&venue) < 500 {
            assert!(begun.elapsed() < LIMIT, "{:?}", counts(&venue));
            assert!(events.waiting().0 <= 50);
            sleep(millis(5)).await;
        }
        venue.pause_traffic();
        let mut received = Received::default();
        // What is on its way still comes.
        while received.frames + received.missed != sent_to_consumer(&venue) {
            assert!(begun.elapsed() < LIMIT, "{received:?} of {:?}", counts(&venue));
            received.take_all(&mut events);
            sleep(millis(5)).await;
        }
        assert!(received.missed > 100, "{received:?}");
        assert!(received.news.is_empty(), "{received:?}");
        events.close().await;
        venue.shutdown().await;
    })
    .await;
}

/// Waits for the end of the venue's first connection; how it ended.
async fn end_of_first(venue: &SimulatedVenue) -> What {
    let begun = Instant::now();
    loop {
        let ends = |what: &What| matches!(what, What::ClosedByClient { .. } | What::LostByClient);
        if let Some(entry) = venue.log().entries().into_iter().find(|entry| ends(&entry.what)) {
            return entry.what;
        }
        assert!(begun.elapsed() < LIMIT, "the connection is still open");
        sleep(millis(5)).await;
    }
}

#[tokio::test]
async fn a_handle_that_is_dropped_closes_its_connection_in_good_order_and_takes_its_series_along() {
    leaves_nothing_behind(async || {
        for hand_off in [HandOff::default(), blocking(1)] {
            let venue = venue(vec![]);
            let (mut events, shown) = spawned(&venue.url(), hand_off, options(), TcpDialler::default()).await;
            timeout(LIMIT, events.next_event())
                .await
                .expect("the answer comes")
                .unwrap();
            let begun = Instant::now();
            while events.waiting().0 == 0 {
                assert!(begun.elapsed() < LIMIT, "nothing waits to be taken");
                sleep(millis(5)).await;
            }
            let capacity = scrape(&shown).sum("feedwatch_queue_capacity", &[]);
            assert_eq!(capacity, hand_off.max_events as f64);
            drop(events);
            assert_eq!(end_of_first(&venue).await, What::ClosedByClient { code: Some(1000) });
            while !text::render(&shown, Moment::now()).is_empty() {
                assert!(begun.elapsed() < LIMIT, "the series stay");
                sleep(millis(5)).await;
            }
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_read_directly_has_no_series_of_a_queue() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![]);
        let mut rig = support::rows::dial(&venue.url(), policy()).await;
        rig.until_live().await;
        let text = text::render(&rig.shown, Moment::now());
        assert!(text.contains("feedwatch_stream_connected"), "{text}");
        assert!(!text.contains("feedwatch_queue"), "{text}");
        rig.stream.close().await;
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_on_a_task_of_its_own_does_what_it_is_told_and_ends_once_and_for_all() {
    leaves_nothing_behind(async || {
        let venue = venue(vec![]);
        let (mut events, shown) = spawned(&venue.url(), HandOff::default(), options(), TcpDialler::default()).await;
        let control = events.control();
        let mut news = async |wanted: fn(&MarketEvent) -> bool| {
            let next = async {
                loop {
                    let event = events.next().await.expect("it goes on");
                    if wanted(&event) {
                        return event;
                    }
                }
            };
            timeout(LIMIT, next).await.expect("in time")
        };
        news(|event| matches!(event, MarketEvent::Frame(_))).await;

        let [added, taken] = ["33", "12"].map(|id| [Instrument::new(id)]);
        control.subscribe(&added).await.unwrap();
        let MarketEvent::Subscribed(answer) = news(|event| matches!(event, MarketEvent::Subscribed(_))).await else {
            unreachable!();
        };
        assert_eq!(answer.accepted, added);
        control.unsubscribe(&taken).await.unwrap();
        control.reconnect().await.unwrap();
        let lost = news(|event| matches!(event, MarketEvent::Disconnected { .. })).await;
        assert!(
            matches!(
                lost,
                MarketEvent::Disconnected {
                    cause: Cause::Forced,
                    ..
                }
            ),
            "{lost:?}"
        );
        news(|event| matches!(event, MarketEvent::Reconnected { .. })).await;
        control
            .set_policy(Policy {
                max_consecutive_failures: 7,
                ..policy()
            })
            .await
            .unwrap();
        control.reset_breaker().await.unwrap();
        // Commands have their turn one after the other.
        control.subscribe(&taken).await.unwrap();
        news(|event| matches!(event, MarketEvent::Subscribed(_))).await;
        let figures = scrape(&shown);
        assert_eq!(figures.sum("feedwatch_breaker_failure_threshold", &[]), 7.0);
        assert_eq!(figures.sum("feedwatch_subscriptions_active", &[]), 3.0);

        assert!(!events.is_terminated());
        events.close().await;
        while events.next_event().await.is_some() {}
        assert!(events.is_terminated());
        assert_eq!(events.next().await, None, "for ever");
        let refused = control.reconnect().await.unwrap_err();
        assert_eq!(refused.to_string(), "shutdown: the stream has ended");
        assert_eq!(events.subscribe(&added).await.unwrap_err(), refused);
        assert_eq!(end_of_first(&venue).await, What::ClosedByClient { code: Some(1000) });
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_driver_is_a_stream_that_loses_nothing_and_ends_for_good() {
    let (pipe, server) = Pipe::new(64 * 1024);
    let trust = TlsTrust::only([]).unwrap();
    let mut rig = Rig::new("ws://venue.test/", policy(), TransportOptions::default(), trust, pipe).await;
    let serving = tokio::spawn(async move {
        let mut socket = serve_first_subscription(server).await;
        flood(&mut socket, 600, millis(100)).await
    });
    let mut frames = 0;
    let mut lost = None;
    while lost.is_none() {
        // The time limit drops the future over and over, and with it whatever it held.
        match timeout(millis(7), rig.stream.next()).await {
            Ok(Some(MarketEvent::Frame(_))) => frames += 1,
            Ok(event) => lost = event,
            Err(_) => {}
        }
    }
    let done = serving.await.unwrap();
    assert_eq!(frames, done.sent);
    assert_eq!(done.pongs, done.pings);
    assert!(
        matches!(lost, Some(MarketEvent::Disconnected { cause: Cause::Eof, .. })),
        "{lost:?}"
    );

    assert!(!rig.stream.is_terminated());
    rig.stream.close().await;
    for _ in 0..2 {
        assert_eq!(rig.stream.next().await, None);
        assert!(rig.stream.is_terminated());
    }
}

#[tokio::test(start_paused = true)]
async fn the_driver_as_a_stream_is_woken_by_frames_and_by_its_timers() {
    let (pipe, server) = Pipe::new(64 * 1024);
    let trust = TlsTrust::only([]).unwrap();
    let mut rig = Rig::new("ws://venue.test/", policy(), TransportOptions::default(), trust, pipe).await;
    tokio::spawn(async move {
        let mut socket = serve_first_subscription(server).await;
        sleep(secs(5)).await;
        socket.send(Message::text("{}")).await.unwrap();
        // Silent from now on, and deaf.
        std::future::pending::<()>().await;
    });
    let mut next = async || {
        timeout(secs(60), rig.stream.next())
            .await
            .expect("it is woken")
            .unwrap()
    };
    assert!(matches!(next().await, MarketEvent::Frame(_)));
    let begun = Instant::now();
    assert!(matches!(next().await, MarketEvent::Frame(_)));
    assert_eq!(begun.elapsed().as_secs(), 5);
    let lost = next().await;
    assert!(
        matches!(
            lost,
            MarketEvent::Disconnected {
                cause: Cause::PongTimeout,
                ..
            }
        ),
        "{lost:?}"
    );
    assert_eq!(
        begun.elapsed().as_secs(),
        30,
        "a ping after ten seconds, and twenty more"
    );
}
