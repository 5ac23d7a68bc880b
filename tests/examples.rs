//! The examples do what their pages say, against a simulated venue. That of `embed` has tests of its own.
#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests: helpers may fail the test, too, and counts are exact"
)]

#[allow(dead_code, reason = "its command line is not for tests")]
#[path = "../examples/connections.rs"]
mod connections;
#[allow(dead_code, reason = "its command line is not for tests")]
#[path = "../examples/gate.rs"]
mod gate;

use feedwatch::market::{Cause, Instrument, MarketEvent};
use feedwatch::sim::{Fault, Rule, Script, SimOptions, SimulatedVenue, Traffic};
use feedwatch::stream::MarketDataStream;
use feedwatch::supervise::{DialLimit, Policy};
use prometheus::{Registry, TextEncoder};
use std::time::Duration;
use tokio::time::timeout;

/// Nothing here takes so long; what does has failed.
const LIMIT: Duration = Duration::from_secs(20);
const TOKENS: [&str; 5] = ["11", "22", "33", "44", "55"];

fn venue(rules: Vec<Rule>) -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 500.0,
        },
        script: Script { rules },
        ..SimOptions::default()
    })
    .unwrap()
}

fn scraped(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

/// The value of the only sample that begins so.
fn sample(text: &str, beginning: &str) -> f64 {
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with(beginning)).collect();
    assert_eq!(lines.len(), 1, "{beginning}: {lines:?}");
    lines[0].rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_lost_connection_costs_its_own_books_and_comes_back() {
    let after = Duration::from_millis(300);
    let venue = venue(vec![Rule::connections(2, 2, Fault::Cut { after })]);
    let (registry, instruments) = (Registry::new(), TOKENS.map(Instrument::new));
    let policy = Policy {
        initial_delay: Duration::from_millis(10),
        ..Policy::default()
    };
    let mut events = connections::spawn(&venue.url(), policy, &instruments, 2, &registry)
        .await
        .unwrap();
    let mut bot = connections::Bot::new(instruments);
    let follow = connections::follow(&mut events, &mut bot, 1500);
    timeout(LIMIT, follow).await.expect("the frames come");
    let text = scraped(&registry);
    assert_eq!(sample(&text, "feedwatch_connections_live"), 3.0);
    assert_eq!(sample(&text, "feedwatch_queue_capacity"), 1024.0);
    events.close().await;

    assert!((1..=2).contains(&bot.thrown_away), "{}", bot.thrown_away);
    assert_eq!(bot.books.len(), 5, "and all are whole again");
    venue.shutdown().await;
}

#[test]
fn what_a_connection_misses_costs_its_own_books_and_what_the_bot_misses_all() {
    let book = |token| {
        format!(r#"{{"event_type":"book","asset_id":"{token}","bids":[{{"price":"0.45","size":"60"}}],"asks":[]}}"#)
    };
    let frame = |text: String| {
        MarketEvent::Frame(feedwatch::market::Frame {
            payload: text.into(),
            received: feedwatch::clock::Moment::now(),
            is_data: true,
        })
    };
    let lost = |tokens: &[&str]| MarketEvent::Disconnected {
        cause: Cause::Eof,
        detail: "".into(),
        instruments: tokens.iter().copied().map(Instrument::new).collect(),
    };
    let books = || frame(format!("[{},{},{},{}]", book("11"), book("22"), book("33"), book("99")));
    let mut bot = connections::Bot::new(["11", "22", "33"].map(Instrument::new));
    bot.on_event(&books());
    assert_eq!(bot.books.len(), 3, "nobody follows 99");

    bot.on_event(&lost(&["11", "22"]));
    let held: Vec<_> = bot.books.keys().map(Instrument::as_str).collect();
    assert_eq!((held, bot.thrown_away), (vec!["33"], 2));
    bot.on_event(&books());
    bot.on_event(&MarketEvent::Missed { frames: 7 });
    assert_eq!((bot.books.len(), bot.thrown_away), (0, 5), "of whatever instrument");
    bot.on_event(&books());
    bot.on_event(&frame("{".into()));
    assert_eq!((bot.books.len(), bot.thrown_away), (0, 8));
}

#[tokio::test]
async fn streams_that_share_a_gate_wait_for_each_other_and_are_in_the_bots_registry() {
    let venue = venue(Vec::new());
    let registry = Registry::new();
    let limit = DialLimit {
        per_second: 10.0,
        burst: 1,
    };
    let mut fleet = gate::Fleet::new(&venue.url(), limit, &registry).unwrap();
    for token in &TOKENS[..3] {
        fleet.spawn(token).await.unwrap();
    }
    timeout(LIMIT, fleet.follow(300)).await.expect("the frames come");
    let text = scraped(&registry);
    for token in &TOKENS[..3] {
        let attempts = format!(r#"feedwatch_connect_attempts_total{{venue="polymarket",stream="{token}"}}"#);
        assert_eq!(sample(&text, &attempts), 1.0);
    }
    // The second waits for a tenth of a second, the third for two.
    let waited = sample(&text, "feedwatch_dial_limiter_wait_seconds_total");
    assert!(waited >= 0.1, "{waited}");
    assert_eq!(sample(&text, "bot_gaps_total"), 0.0);

    fleet.close().await;
    drop(fleet);
    assert!(
        !scraped(&registry).contains("feedwatch_"),
        "its series go with a stream"
    );
    venue.shutdown().await;
}
