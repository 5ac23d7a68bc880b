//! Data that is incomplete: what the numbers and the checksums of a venue show, what is told of it, and what makes it whole.

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

use feedwatch::market::{Cause, Instrument, MarketEvent};
use feedwatch::supervise::{OnStale, Policy};
use feedwatch::venue::{Binance, Feed, Resync};
use std::time::Duration;
use support::Scrape;
use support::aftermath::leaves_nothing_behind;
use support::numbered::{Numbered, Server, grants};
use support::rig::Rig;
use support::rows::{assert_recovered, millis, policy};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(20);

const GAPS: &str = "feedwatch_sequence_gaps_total";
const MISSED: &str = "feedwatch_sequence_missed_total";
const RESYNCS: &str = "feedwatch_resyncs_total";

/// What the consumer was told: the texts of frames, and in brackets everything else. Acknowledgements are left out.
fn story(events: &[MarketEvent]) -> Vec<String> {
    let names = |instruments: &[Instrument]| {
        let names: Vec<_> = instruments.iter().map(Instrument::as_str).collect();
        names.join(" ")
    };
    let tell = |event: &MarketEvent| match event {
        MarketEvent::Frame(frame) => std::str::from_utf8(&frame.payload).unwrap().to_owned(),
        MarketEvent::Gap { instruments } => format!("[gap {}]", names(instruments)),
        MarketEvent::Disconnected { cause, .. } => format!("[lost {}]", cause.as_str()),
        MarketEvent::Reconnected { .. } => "[back]".to_owned(),
        MarketEvent::Subscribed(answer) => format!("[subscribed {}]", names(&answer.accepted)),
        other => panic!("{other:?}"),
    };
    events
        .iter()
        .map(tell)
        .filter(|told| !told.starts_with("OK ") && !told.contains("result"))
        .collect()
}

/// Has the server say these on that connection, and polls until the consumer has got the last of them.
async fn say(rig: &mut Rig, server: &Server, connection: usize, texts: &[&str]) {
    let last = *texts.last().unwrap();
    let came = |rig: &Rig| story(&rig.events).iter().filter(|told| *told == last).count();
    let all = came(rig) + texts.iter().filter(|text| **text == last).count();
    for text in texts {
        server.say(connection, text);
    }
    let begun = Instant::now();
    while came(rig) < all {
        assert!(
            begun.elapsed() < LIMIT,
            "not all of {texts:?}: {:?}",
            story(&rig.events)
        );
        rig.poll_once().await;
    }
}

/// A stream that is live and has this answer to gaps.
async fn live(server: &Server, resync: Resync, feed: Feed) -> Rig {
    let mut rig = server.watched(Numbered::with(resync), feed, policy()).await;
    rig.until_live().await;
    rig
}

/// Checksums are compared.
fn comparing() -> Feed {
    let mut feed = Feed::default();
    feed.checksums = true;
    feed
}

/// The connection is the first one still, and nothing was lost.
fn assert_kept(rig: &Rig, scrape: &Scrape) {
    assert_eq!(scrape.total("feedwatch_disconnects_total"), 0.0);
    assert_eq!(scrape.total("feedwatch_connect_attempts_total"), 1.0);
    assert_recovered(scrape);
    assert!(rig.error_types().is_empty() && rig.causes_of_outages().is_empty());
}

#[tokio::test]
async fn each_kind_of_gap_is_told_before_the_frame_that_shows_it_and_a_repeat_is_none() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = live(&server, Resync::Consumer, Feed::default()).await;
        let texts = [
            "book 11 5;book 12 70",
            "next 11 6",
            // Two are missing; then one comes twice, and one late.
            "next 11 9",
            "next 11 9",
            "next 11 8",
            "next 12 71",
            // Begun anew.
            "next 11 0",
            "next 11 1",
            // A whole book begins anew without a gap, and says so.
            "book 11 1000;range 11 1001 1004;range 11 1003 1006",
            "range 11 1009 1010;next 12 75;range 11 1015 1015",
            "after 12 75 90;after 12 90 91",
            // Another order is none where the venue promises none.
            "late 11 1;late 11 3;late 11 2;late 11 4",
            // Of everything that the connection carries.
            "all 11 1",
            "all 12 4",
        ];
        say(&mut rig, &server, 0, &texts).await;
        let scrape = rig.scrape();
        let told = story(&rig.events);
        let mut expected: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        for (before, gap) in [
            ("all 12 4", "[gap 11 12]"),
            ("range 11 1009 1010;next 12 75;range 11 1015 1015", "[gap 11 12]"),
            ("next 11 0", "[gap 11]"),
            ("next 11 9", "[gap 11]"),
        ] {
            let at = expected.iter().position(|text| text == before).unwrap();
            expected.insert(at, gap.to_owned());
        }
        assert_eq!(told, expected);
        // 2, 2 and 3 and 4, 2; nobody knows how many before a series began anew.
        assert_eq!((scrape.total(GAPS), scrape.total(MISSED)), (6.0, 13.0));
        assert_eq!(scrape.total(RESYNCS), 0.0);
        assert_eq!(scrape.total("feedwatch_parse_errors_total"), 0.0);
        assert_kept(&rig, &scrape);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_instrument_with_a_gap_is_subscribed_to_anew_and_that_is_no_gap() {
    leaves_nothing_behind(async || {
        let server = Server::start(|_, text: &str| {
            if text.starts_with("SUB 3") {
                Vec::new()
            } else {
                grants(0, text)
            }
        })
        .await;
        let mut rig = live(&server, Resync::Resubscribe, Feed::default()).await;
        say(&mut rig, &server, 0, &["book 11 5;book 12 5", "next 11 9;next 11 12"]).await;
        rig.until("asked for anew", |_| server.requests(0).len() == 3).await;
        assert_eq!(server.requests(0), ["SUB 1 11 12", "UNSUB 2 11", "SUB 3 11"]);
        // Until it is answered, what comes is of the old subscription, or of none; the other instrument goes on.
        say(
            &mut rig,
            &server,
            0,
            &["next 11 20", "next 12 6", "OK 3 11", "next 11 700", "next 11 701"],
        )
        .await;
        let scrape = rig.scrape();
        assert_eq!(
            (scrape.total(GAPS), scrape.total(MISSED), scrape.total(RESYNCS)),
            (2.0, 5.0, 1.0)
        );
        assert_eq!(
            story(&rig.events),
            [
                "book 11 5;book 12 5",
                "[gap 11]",
                "next 11 9;next 11 12",
                "next 11 20",
                "next 12 6",
                "[subscribed 11]",
                "next 11 700",
                "next 11 701"
            ]
        );
        // A whole book may come before the answer, and is followed from then on.
        say(&mut rig, &server, 0, &["next 11 710", "book 11 800", "next 11 802"]).await;
        rig.until("asked for once more", |_| server.requests(0).len() == 7)
            .await;
        assert_kept(&rig, &rig.scrape());
        assert_eq!(rig.scrape().total(GAPS), 4.0);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_wanted_no_more_is_not_subscribed_to_anew() {
    leaves_nothing_behind(async || {
        use feedwatch::stream::MarketDataStream;
        let server = Server::start(grants).await;
        let mut rig = live(&server, Resync::Resubscribe, Feed::default()).await;
        say(&mut rig, &server, 0, &["book 11 5;book 12 5"]).await;
        rig.stream.unsubscribe(&[Instrument::new("12")]).await.unwrap();
        rig.until("taken back", |_| server.requests(0).len() == 2).await;
        // On its way when the request came.
        say(&mut rig, &server, 0, &["next 12 9", "next 11 6"]).await;
        assert_eq!(server.requests(0), ["SUB 1 11 12", "UNSUB 2 12"]);
        // Wanted again: where its numbers go on is no gap.
        rig.stream.subscribe(&[Instrument::new("12")]).await.unwrap();
        rig.until("asked for again", |_| server.requests(0).len() == 3).await;
        say(&mut rig, &server, 0, &["next 12 90", "next 12 91"]).await;
        let scrape = rig.scrape();
        // Nor was what is wanted no more followed.
        assert_eq!((scrape.total(GAPS), scrape.total(RESYNCS)), (0.0, 0.0));
        assert_kept(&rig, &scrape);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

/// The first connection is lost for a gap, and told; the stream is live again on the second.
async fn ends_with_a_gap(rig: &mut Rig, last: &[&str]) -> Scrape {
    let again = |scrape: &Scrape| {
        scrape.total("feedwatch_disconnects_total") == 1.0 && scrape.total("feedwatch_stream_connected") == 1.0
    };
    let scrape = rig.until("live again", again).await;
    assert_eq!(scrape.nonzero("feedwatch_disconnects_total", "cause"), ["sequence_gap"]);
    assert_eq!(
        scrape.sum("feedwatch_reconnect_attempts_total", &[("kind", "backoff")]),
        1.0
    );
    assert_eq!(rig.causes_of_outages(), ["sequence_gap"]);
    assert_recovered(&scrape);
    let told = story(&rig.events);
    assert_eq!(told[told.len() - last.len()..], *last);
    scrape
}

#[tokio::test]
async fn numbers_and_ends_of_what_nobody_asked_for_are_nobody_s() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = live(&server, Resync::Resubscribe, comparing()).await;
        let texts = [
            "next 11 5",
            "next 99 1",
            "next 99 7",
            "end 99",
            "next 11 6;next 99 3;next 11 7",
        ];
        say(&mut rig, &server, 0, &texts).await;
        assert_eq!(story(&rig.events), texts);
        let scrape = rig.scrape();
        assert_eq!((scrape.total(GAPS), scrape.total(RESYNCS)), (0.0, 0.0));
        assert_eq!(server.requests(0).len(), 1);
        assert_kept(&rig, &scrape);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

/// As where one subscription is for all that there is: then what nobody named is followed, until something is named.
#[tokio::test]
async fn where_nothing_that_was_asked_for_is_named_others_are_followed() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = live(&server, Resync::Consumer, Feed::default()).await;
        let texts = [
            "next 98 1;next 99 1",
            "next 99 4",
            "next 98 2",
            "next 11 1;next 98 7",
            "next 11 2",
        ];
        say(&mut rig, &server, 0, &texts).await;
        let mut expected = texts.to_vec();
        expected.insert(1, "[gap 99]");
        assert_eq!(story(&rig.events), expected);
        assert_eq!((rig.scrape().total(GAPS), rig.scrape().total(MISSED)), (1.0, 2.0));
        // Nothing is kept under a name that is none.
        let mut rig2 = live(&server, Resync::Consumer, Feed::default()).await;
        let endless = "9".repeat(257);
        let (first, second) = (format!("next {endless} 1"), format!("next {endless} 9"));
        say(&mut rig2, &server, 1, &[&first, &second]).await;
        assert_eq!(rig2.scrape().total(GAPS), 0.0);
        rig.end().await;
        rig2.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_gap_that_only_another_connection_closes_ends_this_one_behind_the_frame_that_shows_it() {
    leaves_nothing_behind(async || {
        for (resync, gap) in [(Resync::Reconnect, "next 11 9"), (Resync::Resubscribe, "all 11 9")] {
            let server = Server::start(grants).await;
            let mut rig = live(&server, resync, Feed::default()).await;
            server.say(0, "next 11 5;all 11 5");
            server.say(0, gap);
            let instruments = if resync == Resync::Reconnect { "11" } else { "11 12" };
            let told = format!("[gap {instruments}]");
            let scrape = ends_with_a_gap(&mut rig, &[&told, gap, "[lost sequence_gap]", "[back]"]).await;
            assert_eq!(
                (scrape.total(GAPS), scrape.total(MISSED), scrape.total(RESYNCS)),
                (1.0, 3.0, 0.0)
            );
            // The numbers of another connection begin anew.
            say(&mut rig, &server, 1, &["next 11 700;all 11 2", "next 11 701"]).await;
            assert_eq!(rig.scrape().total(GAPS), 1.0);
            rig.end().await;
            server.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_more_than_ten_gaps_closed_in_a_minute_gets_another_connection() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = live(&server, Resync::Resubscribe, Feed::default()).await;
        for time in 1..=10 {
            say(&mut rig, &server, 0, &["next 11 5", "next 11 9"]).await;
            // The answer to the request, and then the numbers are followed again.
            rig.until("closed", |_| server.requests(0).len() == 1 + 2 * time).await;
            let answers =
                |scrape: &Scrape| scrape.sum("feedwatch_messages_total", &[("kind", "ack")]) == 1.0 + time as f64;
            let scrape = rig.until("answered", answers).await;
            assert_eq!((scrape.total(RESYNCS), scrape.total(GAPS)), (time as f64, time as f64));
        }
        assert_kept(&rig, &rig.scrape());
        server.say(0, "next 11 5");
        server.say(0, "next 11 9");
        let scrape = ends_with_a_gap(&mut rig, &["[gap 11]", "next 11 9", "[lost sequence_gap]", "[back]"]).await;
        assert_eq!((scrape.total(RESYNCS), scrape.total(GAPS)), (10.0, 11.0));
        rig.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_venue_that_is_dead_after_a_gap_is_redialled_and_then_trips() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let policy = Policy {
            // Going live for so long clears the failures only where data has come.
            stable_after: millis(50),
            stale_after: Some(millis(200)),
            on_stale: OnStale::Reconnect,
            max_consecutive_failures: 3,
            ..policy()
        };
        let mut rig = server
            .watched(Numbered::with(Resync::Reconnect), Feed::default(), policy)
            .await;
        rig.until_live().await;
        server.say(0, "next 11 5");
        server.say(0, "next 11 9");
        let scrape = rig.until_tripped().await;
        let lost = |cause| scrape.sum("feedwatch_disconnects_total", &[("cause", cause)]);
        assert_eq!((lost("sequence_gap"), lost("stale")), (1.0, 2.0));
        assert_eq!(scrape.total("feedwatch_connect_attempts_total"), 3.0);
        assert_eq!(rig.errors_of_outages(), ["stale"]);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn where_gaps_are_only_reported_the_connection_is_kept_as_it_is() {
    leaves_nothing_behind(async || {
        for resync in [Resync::Reconnect, Resync::Resubscribe] {
            let server = Server::start(grants).await;
            let mut feed = Feed::default();
            feed.report_gaps_only = true;
            let mut rig = live(&server, resync, feed).await;
            say(&mut rig, &server, 0, &["next 11 5", "next 11 9", "next 11 10"]).await;
            assert_eq!(story(&rig.events), ["next 11 5", "[gap 11]", "next 11 9", "next 11 10"]);
            let scrape = rig.scrape();
            assert_eq!(
                (scrape.total(GAPS), scrape.total(MISSED), scrape.total(RESYNCS)),
                (1.0, 3.0, 0.0)
            );
            assert_eq!(server.requests(0).len(), 1);
            assert_kept(&rig, &scrape);
            rig.end().await;
            server.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_book_that_is_not_the_venue_s_is_told_and_subscribed_to_anew() {
    leaves_nothing_behind(async || {
        let server = Server::start(grants).await;
        let mut rig = live(&server, Resync::Resubscribe, comparing()).await;
        say(&mut rig, &server, 0, &["book 12 1", "sum 12"]).await;
        rig.until("asked for anew", |_| server.requests(0).len() == 3).await;
        let scrape = rig.scrape();
        assert_eq!(server.requests(0)[1..], ["UNSUB 2 12", "SUB 3 12"]);
        assert_eq!(scrape.total("feedwatch_checksum_failures_total"), 1.0);
        assert_eq!((scrape.total(GAPS), scrape.total(RESYNCS)), (0.0, 1.0));
        assert_eq!(story(&rig.events)[..3], ["book 12 1", "[gap 12]", "sum 12"]);
        assert_kept(&rig, &scrape);
        rig.end().await;

        // Where nobody asks for it nothing is compared, and nothing shown.
        let mut rig = live(&server, Resync::Resubscribe, Feed::default()).await;
        say(&mut rig, &server, 1, &["sum 12", "next 12 1"]).await;
        assert_eq!(story(&rig.events), ["sum 12", "next 12 1"]);
        let text = feedwatch::metrics::text::render(&rig.shown, feedwatch::clock::Moment::now());
        assert!(!text.contains("feedwatch_checksum_failures_total") && text.contains(GAPS));
        rig.end().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_book_that_is_asked_for_again_begins_with_a_whole_one() {
    leaves_nothing_behind(async || {
        use feedwatch::stream::MarketDataStream;
        let server = Server::start(grants).await;
        let mut feed = Feed::default();
        feed.checksums = true;
        let mut rig = server
            .watched(Numbered::with(Resync::Resubscribe), feed, policy())
            .await;
        rig.until_live().await;
        say(&mut rig, &server, 0, &["book 11 1", "book 12 1"]).await;
        let again = [Instrument::new("12")];
        rig.stream.unsubscribe(&again).await.unwrap();
        rig.until("taken back", |_| server.requests(0).len() == 2).await;
        rig.stream.subscribe(&again).await.unwrap();
        rig.until("asked for again", |_| server.requests(0).len() == 3).await;
        // Of the subscription before, or of a book that has changed meanwhile: what was kept of it says nothing.
        say(&mut rig, &server, 0, &["sum 12", "next 11 2"]).await;
        let failures = |rig: &Rig| rig.scrape().total("feedwatch_checksum_failures_total");
        assert_eq!(failures(&rig), 0.0);
        say(&mut rig, &server, 0, &["book 12 5", "sum 12", "next 11 3"]).await;
        assert_eq!(failures(&rig), 1.0, "the new one is compared");
        let scrape = rig.scrape();
        assert_eq!((scrape.total(GAPS), scrape.total(RESYNCS)), (0.0, 1.0));
        assert_kept(&rig, &scrape);
        rig.end().await;
        server.stop().await;
    })
    .await;
}

/// The consumer makes the books of Binance whole, by REST; trades are numbered as well.
#[tokio::test]
async fn gaps_of_binance_are_told_and_the_connection_is_kept() {
    let spot = |first: u64, last: u64| {
        format!(
            r#"{{"stream":"11@depth@100ms","data":{{"e":"depthUpdate","E":1793000000000,"s":"11","U":{first},"u":{last},"b":[],"a":[]}}}}"#
        )
    };
    let futures = |before: u64, last: u64| {
        format!(
            r#"{{"stream":"11@depth@100ms","data":{{"e":"depthUpdate","E":1793000000000,"T":1793000000000,"s":"11","U":{last},"u":{last},"pu":{before},"b":[],"a":[]}}}}"#
        )
    };
    let trade = |number: u64| {
        format!(
            r#"{{"stream":"12@trade","data":{{"e":"trade","E":1793000000000,"s":"12","t":{number},"p":"1","q":"1","T":1793000000000,"m":true}}}}"#
        )
    };
    leaves_nothing_behind(async || {
        for (venue, frames, gaps) in [
            (
                Binance::Spot,
                // 2 changes are missing; one comes twice; begun anew.
                vec![
                    spot(50_100, 50_104),
                    spot(50_105, 50_109),
                    spot(50_112, 50_115),
                    spot(50_112, 50_115),
                    spot(1, 2),
                    spot(3, 3),
                ],
                [(2, "11"), (4, "11")],
            ),
            (
                Binance::UsdM,
                vec![
                    futures(10, 1_000_000),
                    futures(1_000_000, 1_000_400),
                    futures(1_000_500, 1_000_600),
                    futures(1_000_600, 1_000_610),
                    futures(0, 7),
                    futures(7, 9),
                ],
                [(2, "11"), (4, "11")],
            ),
            (
                Binance::Spot,
                vec![trade(5), trade(6), trade(9), trade(8), trade(10), trade(12)],
                [(2, "12"), (5, "12")],
            ),
        ] {
            let server = Server::start(|_, text: &str| {
                let asked: serde_json::Value = serde_json::from_str(text).unwrap();
                vec![format!(r#"{{"result":null,"id":{}}}"#, asked["id"])]
            })
            .await;
            let venue: &'static Binance = Box::leak(Box::new(venue));
            let mut rig = server.watched(venue, Feed::default(), policy()).await;
            rig.until_live().await;
            let texts: Vec<_> = frames.iter().map(String::as_str).collect();
            say(&mut rig, &server, 0, &texts).await;
            let mut expected = frames.clone();
            for (before, instrument) in gaps.iter().rev() {
                expected.insert(*before, format!("[gap {instrument}]"));
            }
            assert_eq!(story(&rig.events), expected);
            assert_eq!(rig.scrape().total(GAPS), 2.0);
            assert_kept(&rig, &rig.scrape());
            rig.end().await;
            server.stop().await;
        }
    })
    .await;
}

#[test]
fn a_gap_keeps_its_name_where_it_comes_before_the_last_answer() {
    // Data of what is answered comes while the rest is still asked for.
    assert_eq!(Cause::SequenceGap.of_attempt(), Cause::SequenceGap);
    assert_eq!(Cause::SequenceGap.of_loss(), Cause::SequenceGap);
}
