//! A venue's adapter that panics costs its stream a connection, and nobody else anything.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::panic,
    reason = "tests may fail, adapters here shall, and counts are exact"
)]

mod support;

use feedwatch::market::{Cause, DecodeError, Envelope, EventKind, Instrument, MarketEvent, Value, ValueError};
use feedwatch::sim::{SimOptions, SimulatedVenue, Traffic};
use feedwatch::stream::{HandOff, MarketDataStream, TcpDialler, TlsTrust};
use feedwatch::supervise::Policy;
use feedwatch::venue::{Decoder, Feed, Heard, Heartbeat, Limits, Polymarket, Session, Venue};
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::aftermath::leaves_nothing_behind;
use support::rig::Rig;
use support::rows::{dial, options, policy, venue};
use support::{Scrape, rig};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

/// Where an adapter panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Session,
    Subscribe,
    Answer,
    /// The first frame of a connection.
    DecodeSnapshot,
    DecodeChange,
    Unsubscribe,
}

/// Polymarket's adapter, which panics so many times.
#[derive(Clone, Debug)]
struct Faulty {
    place: Place,
    left: Arc<AtomicUsize>,
}

impl Faulty {
    fn new(place: Place, times: usize) -> &'static Self {
        let left = Arc::new(AtomicUsize::new(times));
        Box::leak(Box::new(Self { place, left }))
    }

    fn pass(&self, place: Place) {
        let is_left = |left: usize| left.checked_sub(1);
        let is_due = place == self.place && self.left.fetch_update(SeqCst, SeqCst, is_left).is_ok();
        assert!(!is_due, "the adapter's defect: {place:?}");
    }
}

impl Venue for Faulty {
    fn name(&self) -> &'static str {
        Polymarket.name()
    }

    fn default_url(&self) -> &'static str {
        Polymarket.default_url()
    }

    fn limits(&self) -> Limits {
        Polymarket.limits()
    }

    fn heartbeat(&self) -> Heartbeat {
        Polymarket.heartbeat()
    }

    fn stale_after(&self) -> Duration {
        Polymarket.stale_after()
    }

    fn check_instrument(&self, id: &str) -> Result<(), Cow<'static, str>> {
        Polymarket.check_instrument(id)
    }

    fn session(&self, feed: &Feed) -> Box<dyn Session> {
        self.pass(Place::Session);
        Box::new(FaultySession {
            faulty: self.clone(),
            session: Polymarket.session(feed),
        })
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(FaultyDecoder {
            faulty: self.clone(),
            decoder: Polymarket.decoder(),
        })
    }
}

struct FaultyDecoder {
    faulty: Faulty,
    decoder: Box<dyn Decoder>,
}

impl Decoder for FaultyDecoder {
    fn decode(&mut self, frame: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> Result<(), DecodeError> {
        let faulty = &self.faulty;
        self.decoder.decode(frame, &mut |envelope| {
            match envelope.kind {
                EventKind::BookSnapshot => faulty.pass(Place::DecodeSnapshot),
                EventKind::BookDelta => faulty.pass(Place::DecodeChange),
                _ => {}
            }
            visit(envelope);
        })
    }

    fn values<'f>(&'f mut self, frame: &'f str, visit: &mut dyn FnMut(Result<Value<'f>, ValueError>)) {
        self.decoder.values(frame, visit);
    }
}

struct FaultySession {
    faulty: Faulty,
    session: Box<dyn Session>,
}

impl Session for FaultySession {
    fn subscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.faulty.pass(Place::Subscribe);
        self.session.subscribe(instruments)
    }

    fn unsubscribe(&mut self, instruments: &[Instrument]) -> Vec<String> {
        self.faulty.pass(Place::Unsubscribe);
        self.session.unsubscribe(instruments)
    }

    fn is_awaiting(&self) -> bool {
        self.session.is_awaiting()
    }

    fn hears_data(&self) -> bool {
        self.session.hears_data()
    }

    fn hear(&mut self, frame: &str) -> Option<Heard> {
        self.faulty.pass(Place::Answer);
        self.session.hear(frame)
    }

    fn give_up(&mut self) -> Vec<Instrument> {
        self.session.give_up()
    }
}

fn busy_venue() -> SimulatedVenue {
    SimulatedVenue::start(SimOptions {
        traffic: Traffic::Generated {
            events_per_second: 500.0,
        },
        ..SimOptions::default()
    })
    .unwrap()
}

async fn watch(faulty: &'static Faulty, url: &str, policy: Policy) -> Rig {
    let trust = TlsTrust::only([]).unwrap();
    Rig::of(faulty, url, policy, options(), trust, TcpDialler::default()).await
}

fn restarts(scrape: &Scrape) -> f64 {
    scrape.sum("feedwatch_task_restarts_total", &[])
}

fn is_live(scrape: &Scrape) -> bool {
    scrape.sum("feedwatch_stream_connected", &[]) == 1.0
}

#[tokio::test]
async fn a_panic_while_connecting_is_a_failed_attempt_and_the_next_one_goes_well() {
    leaves_nothing_behind(async || {
        for place in [Place::Session, Place::Subscribe, Place::Answer, Place::DecodeSnapshot] {
            let venue = busy_venue();
            let mut rig = watch(Faulty::new(place, 1), &venue.url(), policy()).await;
            let scrape = rig.until_live().await;
            assert_eq!(restarts(&scrape), 1.0, "{place:?}");
            assert_eq!(
                scrape.nonzero("feedwatch_connect_failures_total", "cause"),
                ["internal"],
                "{place:?}"
            );
            assert_eq!(scrape.sum("feedwatch_connect_attempts_total", &[]), 2.0, "{place:?}");
            assert_eq!(rig.error_types(), ["internal"], "{place:?}");
            rig.end().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_while_live_is_a_loss_that_the_consumer_is_told_of() {
    leaves_nothing_behind(async || {
        for place in [Place::DecodeChange, Place::Unsubscribe] {
            let venue = busy_venue();
            let mut rig = watch(Faulty::new(place, 1), &venue.url(), policy()).await;
            if place == Place::Unsubscribe {
                rig.until_live().await;
                rig.stream.unsubscribe(&[Instrument::new("12")]).await.unwrap();
            }
            let again = |scrape: &Scrape| restarts(scrape) == 1.0 && is_live(scrape);
            let scrape = rig.until("live again", again).await;
            assert_eq!(
                scrape.nonzero("feedwatch_disconnects_total", "cause"),
                ["internal"],
                "{place:?}"
            );
            assert_eq!(rig.causes_of_outages(), ["internal"], "{place:?}");
            // What is told comes with the next call.
            let gap: Vec<_> = rig
                .events
                .iter()
                .filter(|event| !matches!(event, MarketEvent::Frame(_)))
                .collect();
            assert!(
                matches!(gap[0], MarketEvent::Disconnected { cause: Cause::Internal, detail, .. } if detail.contains("panicked")),
                "{place:?}: {gap:?}"
            );
            rig.end().await;
            venue.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_adapter_that_always_panics_trips_its_breaker_and_its_neighbour_does_not_notice() {
    leaves_nothing_behind(async || {
        let venue = busy_venue();
        let mut good = dial(&venue.url(), policy()).await;
        good.until_live().await;
        let three = Policy {
            max_consecutive_failures: 3,
            ..policy()
        };
        let mut bad = watch(Faulty::new(Place::DecodeChange, usize::MAX), &venue.url(), three).await;
        let (scrape, ()) = tokio::join!(bad.until_tripped(), async {
            // In the same task, so that a panic that got out would be its end, too.
            good.until("a lot has come", |scrape| {
                scrape.sum("feedwatch_frames_received_total", &[]) > 100.0
            })
            .await;
        });
        assert_eq!(restarts(&scrape), 3.0);
        assert_eq!(
            scrape.sum("feedwatch_breaker_trips_total", &[("trigger", "consecutive_failures")]),
            1.0
        );
        assert_eq!(good.scrape().sum("feedwatch_disconnects_total", &[]), 0.0);
        for rig in [&mut good, &mut bad] {
            rig.stream.close().await;
        }
        venue.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_on_a_task_of_its_own_survives_as_well() {
    leaves_nothing_behind(async || {
        let venue = busy_venue();
        let rig::Rig { stream, shown, .. } = watch(Faulty::new(Place::DecodeChange, 1), &venue.url(), policy()).await;
        let mut events = stream.spawn(HandOff::default());
        let mut story = Vec::new();
        while story.len() < 2 {
            match timeout(LIMIT, events.next_event()).await.expect("in time") {
                Some(MarketEvent::Frame(_)) => {}
                Some(event) => story.push(event),
                None => panic!("the task has ended: {story:?}"),
            }
        }
        assert!(
            matches!(
                story[..],
                [
                    MarketEvent::Disconnected {
                        cause: Cause::Internal,
                        ..
                    },
                    MarketEvent::Reconnected { .. }
                ]
            ),
            "{story:?}"
        );
        let text = feedwatch::metrics::text::render(&shown, feedwatch::clock::Moment::now());
        assert_eq!(restarts(&Scrape::read(&text)), 1.0);
        events.close().await;
        venue.shutdown().await;
    })
    .await;
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_the_panic_said_is_logged_once() {
    leaves_nothing_behind(async || {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let venue = venue(vec![]);
        let mut rig = watch(Faulty::new(Place::Answer, 1), &venue.url(), policy()).await;
        rig.until_live().await;
        rig.stream.close().await;
        venue.shutdown().await;

        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let told: Vec<_> = text
            .lines()
            .filter(|line| line.contains("the adapter's defect: Answer"))
            .collect();
        assert_eq!(told.len(), 1, "{text}");
        assert!(
            told[0].contains("ERROR") && told[0].contains("stream=\"test\""),
            "{}",
            told[0]
        );
        assert!(text.contains("cause=\"internal\""), "{text}");
    })
    .await;
}
