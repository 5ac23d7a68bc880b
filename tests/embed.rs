//! The bot of the example: it throws its books away when the connection is lost, builds them anew, and trades on nothing else.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: helpers may fail the test, too"
)]

#[allow(dead_code, reason = "its command line is not for tests")]
#[path = "../examples/embed.rs"]
mod embed;

use embed::Bot;
use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Frame, Instrument, Level, MarketEvent, OrderBook};
use feedwatch::sim::{Fault, Rule, Script, SimOptions, SimulatedVenue, Traffic};
use feedwatch::stream::{HandOff, MarketDataStream};
use feedwatch::supervise::Policy;
use prometheus::{Registry, TextEncoder};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::timeout;

/// Nothing here takes so long; what does has failed.
const LIMIT: Duration = Duration::from_secs(20);
const TOKENS: [&str; 2] = ["11", "22"];

/// A venue with one market, which cuts the first connection.
fn cutting() -> SimulatedVenue {
    let after = Duration::from_millis(200);
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 500.0,
        },
        script: Script {
            rules: vec![Rule::connections(1, 1, Fault::Cut { after })],
        },
        ..SimOptions::default()
    })
    .unwrap()
}

fn policy() -> Policy {
    Policy {
        initial_delay: Duration::from_millis(10),
        stale_after: Some(LIMIT),
        ..Policy::default()
    }
}

fn bot() -> Bot<Vec<u8>> {
    Bot::new(TOKENS.map(Instrument::new), Vec::new())
}

/// What the bot has said since the last time.
fn said(bot: &mut Bot<Vec<u8>>) -> Vec<String> {
    let text = String::from_utf8(std::mem::take(&mut bot.out)).unwrap();
    text.lines().map(str::to_owned).collect()
}

// The venue's own books, read by another way.

/// Bids and asks: the price in millionths, to price and size as they were written.
type Sides = [BTreeMap<u32, (String, String)>; 2];

/// What the venue has told on this connection.
#[derive(Default)]
struct Told {
    books: BTreeMap<String, Sides>,
}

fn millionths(price: &str) -> u32 {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    format!("{whole}{fraction:0<6}").parse().unwrap()
}

fn text<'j>(of: &'j Json, name: &str) -> &'j str {
    of[name].as_str().unwrap()
}

fn set(levels: &mut BTreeMap<u32, (String, String)>, level: &Json) {
    let (price, size) = (text(level, "price"), text(level, "size"));
    if size == "0" {
        levels.remove(&millionths(price));
    } else {
        levels.insert(millionths(price), (price.to_owned(), size.to_owned()));
    }
}

/// Bids and asks, the best first, each as `0.45 x 60`.
fn offers(sides: &Sides) -> [Vec<String>; 2] {
    let offer = |(price, size): &(String, String)| format!("{price} x {size}");
    [
        sides[0].values().rev().map(offer).collect(),
        sides[1].values().map(offer).collect(),
    ]
}

fn offers_of(book: &OrderBook) -> [Vec<String>; 2] {
    let offer = |level: Level| format!("{} x {}", level.price, level.size);
    [book.bids().map(offer).collect(), book.asks().map(offer).collect()]
}

impl Told {
    fn on_event(&mut self, event: &Json) {
        match text(event, "event_type") {
            "book" => {
                let mut sides = Sides::default();
                for (side, name) in sides.iter_mut().zip(["bids", "asks"]) {
                    for level in event[name].as_array().unwrap() {
                        set(side, level);
                    }
                }
                self.books.insert(text(event, "asset_id").to_owned(), sides);
            }
            "price_change" => {
                for change in event["price_changes"].as_array().unwrap() {
                    let sides = self.books.get_mut(text(change, "asset_id")).unwrap();
                    set(&mut sides[usize::from(text(change, "side") == "SELL")], change);
                }
            }
            _ => {}
        }
    }

    /// What a bot says that trades on these books and on no others.
    fn trades(&self) -> Vec<String> {
        if self.books.is_empty() {
            return vec!["not ready".into()];
        }
        let best = |offers: &[String]| offers.first().map_or("nothing".to_owned(), String::clone);
        let books = self.books.iter().map(|(token, sides)| {
            let [bids, asks] = offers(sides);
            format!("{token}: {} / {}", best(&bids), best(&asks))
        });
        books.collect()
    }
}

/// How often the bot's books were compared with what the venue said of its own.
#[derive(Default)]
struct Compared {
    whole: usize,
    best: usize,
}

/// A book that comes later is what the venue holds itself: the changes before it must have led the bot to the same.
fn compare_whole(bot: &Bot<Vec<u8>>, events: &[Json]) -> usize {
    let mut compared = 0;
    for event in events.iter().filter(|event| text(event, "event_type") == "book") {
        if let Some(held) = bot.books.get(text(event, "asset_id")) {
            let mut venue = Told::default();
            venue.on_event(event);
            assert_eq!(offers_of(held), offers(&venue.books[text(event, "asset_id")]));
            compared += 1;
        }
    }
    compared
}

/// A price change says what the venue's best prices are after it.
fn compare_best(bot: &Bot<Vec<u8>>, events: &[Json]) -> usize {
    let changes = events
        .iter()
        .filter_map(|event| event["price_changes"].as_array())
        .flatten();
    let mut compared = 0;
    for change in changes {
        let held = &bot.books[text(change, "asset_id")];
        let best = [held.best_bid(), held.best_ask()].map(|level| level.unwrap().price.to_string());
        assert_eq!(best, [text(change, "best_bid"), text(change, "best_ask")]);
        compared += 1;
    }
    compared
}

#[tokio::test]
async fn after_a_loss_the_bot_trades_on_nothing_until_the_venues_books_are_whole_again() {
    let venue = cutting();
    let mut stream = embed::build(&venue.url(), policy(), &Registry::new()).unwrap();
    stream.subscribe(&TOKENS.map(Instrument::new)).await.unwrap();
    stream.connect().await.unwrap();
    let (mut bot, mut told, mut compared) = (bot(), Told::default(), Compared::default());
    let mut story = Vec::new();

    bot.trade();
    assert_eq!(said(&mut bot), ["not ready"]);
    // Asked after every single event, the bot quotes what this connection has told, and nothing else.
    while bot.losses == 0 || compared.whole < 10 || compared.best < 100 {
        let event = timeout(LIMIT, stream.next_event())
            .await
            .expect("the frames come")
            .unwrap();
        let mut events = Vec::new();
        match &event {
            MarketEvent::Frame(frame) => match serde_json::from_slice(&frame.payload) {
                Ok(Json::Array(array)) => events = array,
                Ok(event) => events = vec![event],
                Err(_) => {}
            },
            MarketEvent::Disconnected { .. } => {
                assert_eq!(bot.books.len(), 2, "there is something to throw away");
                told = Told::default();
                compared = Compared::default();
            }
            _ => {}
        }
        compared.whole += compare_whole(&bot, &events);
        for event in &events {
            told.on_event(event);
        }

        bot.on_event(&event);
        story.extend(said(&mut bot));
        compared.best += compare_best(&bot, &events);
        bot.trade();
        let trades = said(&mut bot);
        assert_eq!(trades, told.trades());
        story.extend(trades.contains(&"not ready".into()).then(|| "not ready".to_owned()));
    }
    story.dedup();
    let expected = [
        "11: whole",
        "22: whole",
        "lost (eof), books thrown away: 2",
        "not ready",
        "live again",
        "not ready",
        "11: whole",
        "22: whole",
    ];
    assert_eq!(story, expected);
    stream.close().await;
    venue.shutdown().await;
}

#[tokio::test]
async fn the_bot_runs_through_a_loss_and_its_figures_are_in_its_registry() {
    let venue = cutting();
    let registry = Registry::new();
    let mut stream = embed::build(&venue.url(), policy(), &registry).unwrap();
    let mut bot = bot();

    let pause = Duration::from_millis(1);
    let run = embed::run(&mut stream, &mut bot, 400, pause, std::future::pending());
    timeout(LIMIT, run).await.expect("the frames come").unwrap();

    assert_eq!((bot.frames, bot.losses), (400, 1));
    let held: BTreeSet<_> = bot.books.keys().map(Instrument::as_str).collect();
    assert_eq!(held, BTreeSet::from(TOKENS));
    let lines = said(&mut bot);
    let is_trade = |line: &String| line.contains(" / ");
    let lost = lines
        .iter()
        .position(|line| line == "lost (eof), books thrown away: 2")
        .unwrap();
    let whole = lost + lines[lost..].iter().position(|line| line.ends_with(": whole")).unwrap();
    assert!(
        lines[..lost].iter().any(is_trade) && lines[whole..].iter().any(is_trade),
        "{lines:?}"
    );
    assert!(!lines[lost..whole].iter().any(is_trade), "{:?}", &lines[lost..whole]);

    shows_for_as_long_as_it_lives(
        &registry,
        stream,
        &[
            r#"feedwatch_connect_attempts_total{venue="polymarket",stream="bot"} 2"#,
            r#"feedwatch_disconnects_total{venue="polymarket",stream="bot",cause="eof"} 1"#,
            r#"feedwatch_stream_state{venue="polymarket",stream="bot",state="stopped"} 1"#,
            r#"feedwatch_breaker_failure_threshold{venue="polymarket",stream="bot"} 10"#,
            r#"feedwatch_stale_after_seconds{venue="polymarket",stream="bot"} 20"#,
        ],
    );
    venue.shutdown().await;
}

fn shows_for_as_long_as_it_lives(registry: &Registry, stream: impl MarketDataStream, lines: &[&str]) {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in lines {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    drop(stream);
    assert!(registry.gather().is_empty(), "its series go with the stream");
}

#[tokio::test]
async fn the_bot_runs_as_well_where_the_stream_has_a_task_of_its_own() {
    let venue = cutting();
    let registry = Registry::new();
    let stream = embed::build(&venue.url(), policy(), &registry).unwrap();
    let mut stream = stream.spawn(HandOff::default());
    let mut bot = bot();
    let run = embed::run(&mut stream, &mut bot, 400, LIMIT, std::future::pending());
    timeout(LIMIT, run).await.expect("the frames come").unwrap();
    assert_eq!((bot.frames, bot.losses), (400, 1));

    shows_for_as_long_as_it_lives(
        &registry,
        stream,
        &[
            r#"feedwatch_stream_state{venue="polymarket",stream="bot",state="stopped"} 1"#,
            r#"feedwatch_queue_capacity{venue="polymarket",stream="bot"} 4096"#,
            r#"feedwatch_queue_dropped_total{venue="polymarket",stream="bot"} 0"#,
        ],
    );
    venue.shutdown().await;
}

#[tokio::test]
async fn the_bot_ends_when_it_is_told_to() {
    let venue = SimulatedVenue::start(SimOptions::default()).unwrap();
    let mut stream = embed::build(&venue.url(), Policy::default(), &Registry::new()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut bot = bot();
    let run = embed::run(&mut stream, &mut bot, u64::MAX, LIMIT, async {
        let _ = stopped.await;
    });
    stop.send(()).unwrap();
    timeout(LIMIT, run).await.expect("it ends").unwrap();
    venue.shutdown().await;
}

// What the simulated venue never does.

fn frame(text: &str) -> MarketEvent {
    MarketEvent::Frame(Frame {
        payload: text.to_owned().into(),
        received: Moment::now(),
        is_data: true,
    })
}

fn book(token: &str) -> String {
    format!(
        r#"{{"event_type":"book","asset_id":"{token}","bids":[{{"price":"0.45","size":"60"}}],"asks":[{{"price":"0.47","size":"5"}}]}}"#
    )
}

fn change(change: &str) -> String {
    format!(r#"{{"event_type":"price_change","price_changes":[{change}]}}"#)
}

#[test]
fn a_change_that_cannot_be_read_or_applied_costs_its_book_until_the_next_whole_one() {
    let changed = r#""price":"0.45","side":"BUY""#;
    for (bad, reason) in [
        (
            format!(r#"{{"asset_id":"11",{changed},"size":"-1"}}"#),
            r#"event 0: price_changes[0].size: "-1"; valid: a decimal of 0 or more in quotes, such as "219.21""#,
        ),
        (
            format!(r#"{{"asset_id":"11",{changed}}}"#),
            "the price change has no size; valid: the level's new size, 0 where it is gone",
        ),
    ] {
        let mut bot = bot();
        bot.on_event(&frame(&format!("[{},{}]", book("11"), book("22"))));
        said(&mut bot);

        bot.on_event(&frame(&change(&bad)));
        assert_eq!(said(&mut bot), [format!("{reason}, books thrown away: 1")]);
        bot.on_event(&frame(&change(&format!(r#"{{"asset_id":"11",{changed},"size":"7"}}"#))));
        bot.trade();
        assert_eq!(said(&mut bot), ["22: 0.45 x 60 / 0.47 x 5"], "a change makes no book");

        bot.on_event(&frame(&book("11")));
        bot.trade();
        assert_eq!(
            said(&mut bot),
            ["11: whole", "11: 0.45 x 60 / 0.47 x 5", "22: 0.45 x 60 / 0.47 x 5"]
        );
    }
}

#[test]
fn a_frame_that_cannot_be_read_at_all_costs_every_book() {
    let mut bot = bot();
    bot.on_event(&frame(&book("11")));
    bot.on_event(&frame(r#"{"event_type":"price_change""#));
    bot.trade();
    let reason = "event 0: EOF while parsing an object at line 1 column 28; valid: JSON to the end";
    assert_eq!(
        said(&mut bot),
        ["11: whole", &format!("{reason}, books thrown away: 1"), "not ready"]
    );
}

#[test]
fn frames_that_the_bot_was_too_slow_for_cost_every_book() {
    let mut bot = bot();
    bot.on_event(&frame(&format!("[{},{}]", book("11"), book("22"))));
    said(&mut bot);
    bot.on_event(&MarketEvent::Missed { frames: 7 });
    bot.trade();
    assert_eq!(said(&mut bot), ["missed 7 frames, books thrown away: 2", "not ready"]);
}

#[test]
fn the_bot_holds_no_book_that_it_does_not_follow_and_none_of_a_market_that_has_ended() {
    let mut bot = bot();
    bot.on_event(&frame(&book("33")));
    bot.on_event(&frame(&book("11")));
    bot.on_event(&MarketEvent::Ended {
        instruments: vec![Instrument::new("11")],
    });
    bot.trade();
    assert_eq!(said(&mut bot), ["11: whole", "not ready"]);
}

#[test]
fn one_sided_books_are_traded_on_for_what_they_are() {
    let mut bot = bot();
    bot.on_event(&frame(
        r#"{"event_type":"book","asset_id":"11","bids":[],"asks":[{"price":"0.47","size":"5"}]}"#,
    ));
    bot.trade();
    assert_eq!(said(&mut bot), ["11: whole", "11: nothing / 0.47 x 5"]);
    bot.on_event(&MarketEvent::Disconnected {
        cause: Cause::PongTimeout,
        detail: "".into(),
        instruments: vec![Instrument::new("11"), Instrument::new("12")],
    });
    bot.trade();
    assert_eq!(
        said(&mut bot),
        ["lost (pong_timeout), books thrown away: 1", "not ready"]
    );
}
