//! The driver's promises, with a scripted stream and a paused clock: no socket, no real time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

use bytes::Bytes;
use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Failure, Frame, Instrument, MarketEvent, Subscribed};
use feedwatch::stream::{DataFact, Fact, MarketDataStream, Observer, ReconnectingDataStream};
use feedwatch::supervise::{BreakerState, Notice, Policy, State};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One connection as the venue will serve it.
#[derive(Clone)]
struct Connection {
    dial_takes: Duration,
    close_takes: Duration,
    dial: Result<(), Cause>,
    subscribe_takes: Duration,
    subscribe: Result<(), Cause>,
    /// Refused of what is asked for.
    refused: Vec<Instrument>,
    /// After a while each: an event, or `None` for the loss.
    events: VecDeque<(Duration, Option<MarketEvent>)>,
}

fn good() -> Connection {
    Connection {
        dial_takes: millis(5),
        close_takes: Duration::ZERO,
        dial: Ok(()),
        subscribe_takes: Duration::ZERO,
        subscribe: Ok(()),
        refused: vec![],
        events: VecDeque::new(),
    }
}

fn failing(cause: Cause) -> Connection {
    Connection {
        dial: Err(cause),
        ..good()
    }
}

fn yielding(events: impl IntoIterator<Item = (Duration, Option<MarketEvent>)>) -> Connection {
    Connection {
        events: events.into_iter().collect(),
        ..good()
    }
}

fn frame() -> MarketEvent {
    MarketEvent::Frame(Frame {
        payload: Bytes::from_static(b"{}"),
        received: Moment::now(),
        is_data: true,
    })
}

#[derive(Default)]
struct Journal {
    dials: Vec<Duration>,
    subscriptions: Vec<Vec<Instrument>>,
    unsubscriptions: Vec<Vec<Instrument>>,
    closes: usize,
    notices: Vec<Notice>,
    subscribed: Vec<(usize, usize)>,
}

/// A venue by script. The last connection of the script serves all later dials.
struct Mock {
    script: VecDeque<Connection>,
    current: Connection,
    started: Instant,
    journal: Arc<Mutex<Journal>>,
    /// The event under way and when it is due: kept here, so that `next_event` is cancel-safe.
    due: Option<Instant>,
}

impl MarketDataStream for Mock {
    async fn connect(&mut self) -> Result<(), Failure> {
        self.journal.lock().unwrap().dials.push(self.started.elapsed());
        if let Some(next) = self.script.pop_front() {
            self.current = next;
        }
        self.due = None;
        sleep(self.current.dial_takes).await;
        self.current.dial.map_err(Failure::new)
    }

    async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        self.journal.lock().unwrap().subscriptions.push(instruments.to_vec());
        sleep(self.current.subscribe_takes).await;
        self.current.subscribe.map_err(Failure::new)?;
        let (refused, accepted) = instruments
            .iter()
            .cloned()
            .partition(|instrument| self.current.refused.contains(instrument));
        Ok(Subscribed {
            accepted,
            refused,
            ..Subscribed::default()
        })
    }

    async fn unsubscribe(&mut self, instruments: &[Instrument]) -> Result<(), Failure> {
        self.journal.lock().unwrap().unsubscriptions.push(instruments.to_vec());
        Ok(())
    }

    async fn next_event(&mut self) -> Option<MarketEvent> {
        let Some((after, _)) = self.current.events.front() else {
            return std::future::pending().await;
        };
        let due = *self.due.get_or_insert(Instant::now() + *after);
        // What is there already needs no timer.
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        self.due = None;
        let mut event = self.current.events.pop_front().and_then(|(_, event)| event);
        if let Some(MarketEvent::Frame(frame)) = &mut event {
            frame.received = Moment::now();
        }
        event
    }

    async fn close(&mut self) {
        self.journal.lock().unwrap().closes += 1;
        sleep(self.current.close_takes).await;
    }

    fn exchange_name(&self) -> &'static str {
        "mock"
    }
}

struct Recorder(Arc<Mutex<Journal>>);

impl Observer for Recorder {
    fn observe(&self, _at: Moment, fact: &Fact) {
        let mut journal = self.0.lock().unwrap();
        match fact {
            Fact::Supervisor(notice) => journal.notices.push(notice.clone()),
            Fact::Data(DataFact::Subscriptions { desired, active }) => journal.subscribed.push((*desired, *active)),
            _ => {}
        }
    }
}

type Stream = ReconnectingDataStream<Mock, Recorder>;

fn policy() -> Policy {
    Policy {
        initial_delay: millis(10),
        max_delay: millis(100),
        jitter: 0.0,
        max_consecutive_failures: 99,
        circuit_breaker_cooldown: secs(5),
        connect_timeout: secs(10),
        ..Policy::default()
    }
}

fn instruments(ids: &[&str]) -> Vec<Instrument> {
    ids.iter().copied().map(Instrument::new).collect()
}

async fn stream(policy: Policy, script: impl IntoIterator<Item = Connection>) -> (Stream, Arc<Mutex<Journal>>) {
    let journal = Arc::new(Mutex::new(Journal::default()));
    let mock = Mock {
        script: script.into_iter().collect(),
        current: good(),
        started: Instant::now(),
        journal: journal.clone(),
        due: None,
    };
    let mut stream = ReconnectingDataStream::with_observer(mock, policy, 1, Recorder(journal.clone()));
    stream.subscribe(&instruments(&["a", "b"])).await.unwrap();
    stream.connect().await.unwrap();
    (stream, journal)
}

fn disconnected(cause: Cause) -> MarketEvent {
    disconnected_with(cause, "")
}

fn disconnected_with(cause: Cause, detail: &'static str) -> MarketEvent {
    MarketEvent::Disconnected {
        cause,
        detail: detail.into(),
        instruments: instruments(&["a", "b"]),
    }
}

fn reconnected() -> MarketEvent {
    MarketEvent::Reconnected {
        instruments: instruments(&["a", "b"]),
    }
}

/// Polls for so long, and expects nothing to be yielded.
async fn quiet_for(stream: &mut Stream, time: Duration) {
    if let Ok(event) = timeout(time, stream.next_event()).await {
        panic!("{event:?} where nothing was due");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_connect_delivers() {
    let (mut stream, journal) = stream(policy(), [yielding([(millis(1), Some(frame()))])]).await;
    assert!(matches!(stream.next_event().await, Some(MarketEvent::Frame(_))));
    assert_eq!(journal.lock().unwrap().subscriptions, [instruments(&["a", "b"])]);
}

#[tokio::test(start_paused = true)]
async fn failed_first_connects_are_retried_after_10_20_40_80_and_100_ms() {
    let mut script = vec![failing(Cause::TcpRefused); 6];
    script.push(yielding([(millis(1), Some(frame()))]));
    let (mut stream, journal) = stream(policy(), script).await;
    assert!(
        matches!(stream.next_event().await, Some(MarketEvent::Frame(_))),
        "a failed start is no event for the consumer"
    );
    let dials = journal.lock().unwrap().dials.clone();
    let gaps: Vec<_> = dials
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]).as_millis())
        .collect();
    // Each dial takes 5 ms before it fails; tokio's timers are exact to the millisecond.
    assert_eq!(gaps, [15, 25, 45, 85, 105, 105]);
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_is_told_and_then_reconnects_and_resubscribes() {
    let script = [yielding([(millis(1), None)]), yielding([(millis(1), Some(frame()))])];
    let (mut stream, journal) = stream(policy(), script).await;
    assert_eq!(stream.next_event().await, Some(disconnected(Cause::Eof)));
    assert_eq!(stream.next_event().await, Some(reconnected()));
    assert!(matches!(stream.next_event().await, Some(MarketEvent::Frame(_))));
    let journal = journal.lock().unwrap();
    assert_eq!(
        journal.subscriptions,
        [instruments(&["a", "b"]), instruments(&["a", "b"])]
    );
    assert_eq!(journal.closes, 1, "the lost connection was closed");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_ticks_faster_than_the_handshake_still_connects() {
    let slow = Connection {
        dial_takes: secs(7),
        ..yielding([(secs(4), Some(frame()))])
    };
    let (mut stream, journal) = stream(policy(), [slow]).await;
    let started = Instant::now();
    let event = loop {
        tokio::select! {
            event = stream.next_event() => break event,
            () = sleep(secs(3)) => {}
        }
    };
    assert!(matches!(event, Some(MarketEvent::Frame(_))));
    assert_eq!(started.elapsed().as_secs(), 11);
    let journal = journal.lock().unwrap();
    assert_eq!(journal.dials.len(), 1, "one attempt is one dial");
    let attempts = journal
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::Attempt { .. }))
        .count();
    assert_eq!(attempts, 1, "and one notice");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_polled_in_short_slices_ends_when_it_is_due() {
    let wait = Policy {
        initial_delay: secs(12),
        max_delay: secs(60),
        ..policy()
    };
    let (mut stream, journal) = stream(wait, [yielding([(millis(1), None)]), good()]).await;
    assert_eq!(stream.next_event().await, Some(disconnected(Cause::Eof)));
    let lost = Instant::now();
    while stream.state() != State::Live {
        let _ = timeout(secs(3), stream.next_event()).await;
        assert!(lost.elapsed() < secs(30), "it never reconnects");
    }
    assert_eq!(journal.lock().unwrap().dials.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_resubscribe_is_a_failed_attempt() {
    let refusing = Connection {
        subscribe: Err(Cause::SubscribeRejected),
        ..good()
    };
    let (mut stream, journal) = stream(policy(), [refusing, yielding([(millis(1), Some(frame()))])]).await;
    assert!(matches!(stream.next_event().await, Some(MarketEvent::Frame(_))));
    let journal = journal.lock().unwrap();
    let failed = |notice: &Notice| {
        matches!(
            notice,
            Notice::AttemptFailed {
                cause: Cause::SubscribeRejected,
                ..
            }
        )
    };
    assert_eq!(journal.notices.iter().filter(|notice| failed(notice)).count(), 1);
    assert_eq!(journal.dials.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn some_refused_instruments_are_told_and_no_failure() {
    let refusing = Connection {
        refused: instruments(&["b"]),
        ..yielding([(millis(1), Some(frame()))])
    };
    let (mut stream, journal) = stream(policy(), [refusing]).await;
    stream.next_event().await.unwrap();
    assert_eq!(journal.lock().unwrap().subscribed.last(), Some(&(2, 1)));
    assert_eq!(stream.state(), State::Live);
}

#[tokio::test(start_paused = true)]
async fn a_dial_ends_at_its_deadline_and_not_before() {
    let hanging = Connection {
        dial_takes: secs(3600),
        ..good()
    };
    let (mut stream, journal) = stream(policy(), [hanging]).await;
    quiet_for(&mut stream, millis(9_990)).await;
    assert_eq!(stream.state(), State::Connecting);
    quiet_for(&mut stream, millis(15)).await;
    let notices = journal.lock().unwrap().notices.clone();
    assert!(notices.iter().any(|notice| matches!(
        notice,
        Notice::AttemptFailed {
            cause: Cause::TcpTimeout,
            ..
        }
    )));
}

#[tokio::test(start_paused = true)]
async fn a_tripped_breaker_lets_one_probe_through_after_the_cooldown() {
    let tripping = Policy {
        max_consecutive_failures: 3,
        ..policy()
    };
    let (mut stream, journal) = stream(tripping, [failing(Cause::TcpRefused)]).await;
    quiet_for(&mut stream, secs(4)).await;
    assert!(matches!(stream.breaker(), BreakerState::Open { .. }));
    assert_eq!(journal.lock().unwrap().dials.len(), 3);
    quiet_for(&mut stream, secs(2)).await;
    assert_eq!(journal.lock().unwrap().dials.len(), 4, "one probe");
    quiet_for(&mut stream, secs(4)).await;
    assert_eq!(
        journal.lock().unwrap().dials.len(),
        4,
        "no second one before the next cooldown is over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaker_dials_at_once() {
    let tripping = Policy {
        max_consecutive_failures: 1,
        ..policy()
    };
    let (mut stream, _) = stream(
        tripping,
        [failing(Cause::TcpRefused), yielding([(millis(1), Some(frame()))])],
    )
    .await;
    quiet_for(&mut stream, secs(1)).await;
    stream.reset_breaker();
    assert_eq!(stream.breaker(), BreakerState::Closed);
    assert!(matches!(
        timeout(millis(50), stream.next_event()).await,
        Ok(Some(MarketEvent::Frame(_)))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_forced_reconnect_in_the_middle_of_a_handshake_starts_a_new_one() {
    let hanging = Connection {
        dial_takes: secs(9),
        ..good()
    };
    let (mut stream, journal) = stream(policy(), [hanging, yielding([(millis(1), Some(frame()))])]).await;
    quiet_for(&mut stream, secs(1)).await;
    stream.reconnect();
    assert!(matches!(
        timeout(secs(1), stream.next_event()).await,
        Ok(Some(MarketEvent::Frame(_)))
    ));
    let notices = journal.lock().unwrap().notices.clone();
    assert!(notices.iter().any(|notice| matches!(
        notice,
        Notice::AttemptFailed {
            cause: Cause::Forced,
            ..
        }
    )));
}

#[tokio::test(start_paused = true)]
async fn subscriptions_change_on_the_open_connection_and_are_remembered() {
    let script = [yielding([(secs(10), None)]), good()];
    let (mut stream, journal) = stream(policy(), script).await;
    quiet_for(&mut stream, secs(1)).await;
    stream.subscribe(&instruments(&["c"])).await.unwrap();
    stream.unsubscribe(&instruments(&["a"])).await.unwrap();
    quiet_for(&mut stream, secs(1)).await;
    {
        let journal = journal.lock().unwrap();
        assert_eq!(journal.subscriptions, [instruments(&["a", "b"]), instruments(&["c"])]);
        assert_eq!(journal.unsubscriptions, [instruments(&["a"])]);
        assert_eq!(journal.dials.len(), 1, "without reconnecting");
        assert_eq!(journal.subscribed.last(), Some(&(2, 2)));
    }
    let told = instruments(&["b", "c"]);
    let lost = stream.next_event().await;
    assert!(matches!(lost, Some(MarketEvent::Disconnected { instruments, .. }) if instruments == told));
    let live = stream.next_event().await;
    assert!(matches!(live, Some(MarketEvent::Reconnected { instruments }) if instruments == told));
    assert_eq!(journal.lock().unwrap().subscriptions.last(), Some(&told));
}

#[tokio::test(start_paused = true)]
async fn an_instrument_that_is_taken_back_and_wanted_again_stays_in_effect() {
    let (mut stream, journal) = stream(policy(), [good()]).await;
    quiet_for(&mut stream, secs(1)).await;
    stream.unsubscribe(&instruments(&["a"])).await.unwrap();
    assert_eq!(journal.lock().unwrap().subscribed.last(), Some(&(1, 1)));
    stream.subscribe(&instruments(&["a"])).await.unwrap();
    quiet_for(&mut stream, secs(1)).await;
    let journal = journal.lock().unwrap();
    assert_eq!(journal.subscribed.last(), Some(&(2, 2)));
    assert!(journal.unsubscriptions.is_empty(), "nothing has changed for the venue");
}

#[tokio::test(start_paused = true)]
async fn closing_the_last_connection_takes_nothing_from_the_time_of_the_next_dial() {
    let slow_to_close = Connection {
        close_takes: secs(8),
        ..good()
    };
    let slow_to_dial = Connection {
        dial_takes: secs(9),
        ..yielding([(millis(1), Some(frame()))])
    };
    let (mut stream, journal) = stream(policy(), [slow_to_close, slow_to_dial]).await;
    quiet_for(&mut stream, secs(1)).await;
    stream.reconnect();
    stream.reconnect();
    assert_eq!(
        stream.next_event().await,
        Some(disconnected_with(Cause::Forced, "a reconnect was asked for"))
    );
    assert_eq!(stream.next_event().await, Some(reconnected()));
    let journal = journal.lock().unwrap();
    assert_eq!(journal.dials.len(), 2);
    let attempts = journal
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::Attempt { .. }))
        .count();
    assert_eq!(
        attempts, 2,
        "one attempt is one dial, however often a reconnect is asked for"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_instruments_is_idle_and_dials_when_one_comes() {
    let (mut stream, journal) = stream(policy(), [good()]).await;
    stream.unsubscribe(&instruments(&["a", "b"])).await.unwrap();
    quiet_for(&mut stream, secs(60)).await;
    assert_eq!((stream.state(), journal.lock().unwrap().dials.len()), (State::Idle, 0));
    stream.subscribe(&instruments(&["c"])).await.unwrap();
    quiet_for(&mut stream, secs(1)).await;
    assert_eq!(stream.state(), State::Live);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_instruments_have_all_ended_becomes_idle_without_an_outage() {
    let ended = MarketEvent::Ended {
        instruments: instruments(&["a", "b"]),
    };
    let (mut stream, journal) = stream(policy(), [yielding([(millis(1), Some(ended.clone()))])]).await;
    assert_eq!(stream.next_event().await, Some(ended));
    assert!(matches!(
        stream.next_event().await,
        Some(MarketEvent::Disconnected {
            cause: Cause::Planned,
            ..
        })
    ));
    quiet_for(&mut stream, secs(60)).await;
    assert_eq!(stream.state(), State::Idle);
    assert_eq!(journal.lock().unwrap().dials.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_markets_that_nobody_asked_for_is_not_told() {
    let foreign = MarketEvent::Ended {
        instruments: instruments(&["x", "y"]),
    };
    let mixed = MarketEvent::Ended {
        instruments: instruments(&["x", "b"]),
    };
    let script = [yielding([(millis(1), Some(foreign)), (millis(1), Some(mixed))])];
    let (mut stream, journal) = stream(policy(), script).await;
    assert_eq!(
        stream.next_event().await,
        Some(MarketEvent::Ended {
            instruments: instruments(&["b"])
        })
    );
    assert_eq!(journal.lock().unwrap().subscribed.last(), Some(&(1, 1)));
}

#[tokio::test(start_paused = true)]
async fn data_that_waits_to_be_read_is_not_taken_for_silence() {
    let watching = Policy {
        stale_after: Some(secs(60)),
        ..policy()
    };
    let (mut stream, journal) = stream(watching, [yielding([(secs(59), Some(frame()))])]).await;
    quiet_for(&mut stream, secs(1)).await;
    // Nobody polls for two minutes: the frame is there, and its deadline is long over.
    sleep(secs(120)).await;
    assert!(matches!(stream.next_event().await, Some(MarketEvent::Frame(_))));
    assert!(!journal.lock().unwrap().notices.contains(&Notice::Stale));
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_when_it_is_due() {
    let watching = Policy {
        stale_after: Some(secs(60)),
        ..policy()
    };
    let (mut stream, journal) = stream(watching, [good()]).await;
    quiet_for(&mut stream, millis(59_990)).await;
    assert!(!journal.lock().unwrap().notices.contains(&Notice::Stale));
    quiet_for(&mut stream, millis(30)).await;
    assert!(journal.lock().unwrap().notices.contains(&Notice::Stale));
}

#[tokio::test(start_paused = true)]
async fn another_policy_between_two_frames_counts_from_the_last_one() {
    let frames = yielding(vec![(millis(100), Some(frame())); 10]);
    let (mut stream, journal) = stream(policy(), [frames]).await;
    for _ in 0..10 {
        assert!(matches!(stream.next_event().await, Some(MarketEvent::Frame(_))));
    }
    sleep(millis(400)).await;
    stream.set_policy(Policy {
        stale_after: Some(secs(1)),
        ..policy()
    });
    quiet_for(&mut stream, millis(590)).await;
    assert!(!journal.lock().unwrap().notices.contains(&Notice::Stale));
    quiet_for(&mut stream, millis(30)).await;
    assert!(journal.lock().unwrap().notices.contains(&Notice::Stale));
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_told_while_nothing_is_read() {
    let watching = Policy {
        stale_after: Some(secs(3)),
        ..policy()
    };
    let slow_to_change = Connection {
        subscribe_takes: secs(8),
        ..yielding([(secs(4), Some(frame()))])
    };
    let (mut stream, journal) = stream(watching, [slow_to_change]).await;
    quiet_for(&mut stream, millis(8_500)).await;
    assert_eq!(stream.state(), State::Live);
    // The request takes longer than a stream may be silent; meanwhile data comes, and waits.
    stream.subscribe(&instruments(&["c"])).await.unwrap();
    assert!(matches!(stream.next_event().await, Some(MarketEvent::Frame(_))));
    assert!(!journal.lock().unwrap().notices.contains(&Notice::Stale));
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_waits_behind_data_is_read_before_the_stream_is_called_stable() {
    let lost_early = yielding([
        (secs(1), Some(frame())),
        (Duration::ZERO, Some(frame())),
        (Duration::ZERO, None),
    ]);
    let (mut stream, journal) = stream(policy(), [failing(Cause::TcpRefused), lost_early]).await;
    quiet_for(&mut stream, millis(500)).await;
    assert_eq!(stream.state(), State::Live);
    // Nobody polls for longer than it takes to be stable.
    sleep(secs(120)).await;
    for _ in 0..2 {
        assert!(matches!(stream.next_event().await, Some(MarketEvent::Frame(_))));
    }
    assert_eq!(stream.next_event().await, Some(disconnected(Cause::Eof)));
    let notices = journal.lock().unwrap().notices.clone();
    assert!(!notices.contains(&Notice::Stable));
    let twice = |notice: &Notice| matches!(notice, Notice::BackingOff { failures: 2, .. });
    assert!(notices.iter().any(twice), "{notices:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_always_has_something_to_read_becomes_stable_and_stale_all_the_same() {
    let news = MarketEvent::Frame(Frame {
        payload: Bytes::from_static(b"news"),
        received: Moment::now(),
        is_data: false,
    });
    let flood = yielding(vec![(Duration::ZERO, Some(news)); 1000]);
    let watching = Policy {
        stale_after: Some(secs(60)),
        ..policy()
    };
    let (mut stream, journal) = stream(watching, [flood]).await;
    let mut told = Vec::new();
    for tenths in 0..900 {
        assert!(matches!(stream.next_event().await, Some(MarketEvent::Frame(_))));
        let new: Vec<_> = journal.lock().unwrap().notices.drain(..).collect();
        let verdicts = new
            .iter()
            .filter(|notice| matches!(notice, Notice::Stable | Notice::Stale));
        told.extend(verdicts.map(|verdict| (tenths, verdict.clone())));
        tokio::time::advance(millis(100)).await;
    }
    // The second look is the next frame.
    assert_eq!(told, [(301, Notice::Stable), (601, Notice::Stale)]);
}

#[tokio::test(start_paused = true)]
async fn after_close_it_tells_the_loss_and_ends() {
    let (mut stream, journal) = stream(policy(), [good()]).await;
    quiet_for(&mut stream, secs(1)).await;
    stream.close().await;
    assert_eq!(journal.lock().unwrap().closes, 1);
    assert_eq!(stream.next_event().await, Some(disconnected(Cause::Shutdown)));
    assert_eq!(stream.next_event().await, None);
    assert_eq!(stream.next_event().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_retired_closes_and_says_that_it_was_a_reload() {
    let (mut stream, journal) = stream(policy(), [good()]).await;
    quiet_for(&mut stream, secs(1)).await;
    stream.retire().await;
    assert_eq!(journal.lock().unwrap().closes, 1);
    assert_eq!(stream.next_event().await, Some(disconnected(Cause::Reload)));
    assert_eq!(stream.next_event().await, None);
}

#[tokio::test(start_paused = true)]
async fn closing_in_the_middle_of_a_handshake_gives_it_up() {
    let hanging = Connection {
        dial_takes: secs(9),
        ..good()
    };
    let (mut stream, _) = stream(policy(), [hanging]).await;
    quiet_for(&mut stream, secs(1)).await;
    let started = Instant::now();
    stream.close().await;
    assert!(started.elapsed() < millis(10));
    assert_eq!(stream.next_event().await, None);
}
