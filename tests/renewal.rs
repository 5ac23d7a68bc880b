//! How a live connection is replaced before it ends: by the supervisor alone, and by the driver with streams by script and a
//! paused clock. No socket, no real time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

use bytes::Bytes;
use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Failure, Frame, Instrument, MarketEvent, Subscribed};
use feedwatch::stream::{
    DialGate, Fact, GateReason, MarketDataStream, Observer, ReconnectingDataStream, TransportFact,
};
use feedwatch::supervise::{
    Action, BreakerState, DialLimit, Input, Notice, Policy, Renewal, Stage, State, Supervisor, Trigger,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn policy() -> Policy {
    Policy {
        initial_delay: millis(100),
        max_delay: secs(2),
        jitter: 0.0,
        max_consecutive_failures: 3,
        circuit_breaker_cooldown: secs(50),
        ..Policy::default()
    }
}

fn aged(age: Duration) -> Policy {
    Policy {
        max_connection_age: Some(age),
        ..policy()
    }
}

/// A supervisor with its own time.
struct Bench {
    supervisor: Supervisor,
    begun: std::time::Instant,
    now: std::time::Instant,
}

impl Bench {
    /// Live since ten seconds, upgraded a second before that.
    fn live(policy: Policy) -> Self {
        let now = Moment::now().mono;
        let mut bench = Self {
            supervisor: Supervisor::new(policy, 7),
            begun: now,
            now,
        };
        bench.apply(Input::Start);
        bench.apply(Input::Connected);
        bench.now += secs(1);
        bench.apply(Input::Subscribed {
            accepted: 1,
            refused: 0,
        });
        bench.now += secs(10);
        bench
    }

    fn apply(&mut self, input: Input) -> Vec<Notice> {
        self.supervisor.apply(input, self.now)
    }

    fn fail(&mut self, failure: impl Into<Failure>) -> Vec<Notice> {
        self.apply(Input::SuccessorFailed(failure.into()))
    }

    fn go_live(&mut self) -> Vec<Notice> {
        self.apply(Input::SuccessorConnected);
        self.apply(Input::SuccessorSubscribed {
            accepted: 2,
            refused: 1,
        })
    }

    /// When another connection is due, since the first one was upgraded.
    fn due(&self) -> Option<Duration> {
        match self.supervisor.renewal() {
            Renewal::Wait { due } => Some(due.duration_since(self.begun)),
            _ => None,
        }
    }
}

#[test]
fn a_successor_takes_over_and_the_stream_was_live_all_the_time() {
    let mut bench = Bench::live(policy());
    assert_eq!(bench.supervisor.renewal(), Renewal::None, "nobody asks for it");
    assert_eq!(bench.apply(Input::Renew), [Notice::Renewing { number: 1 }]);
    assert!(matches!(bench.supervisor.action(), Action::Receive { .. }));
    let Renewal::Connect { deadline } = bench.supervisor.renewal() else {
        panic!("{:?}", bench.supervisor.renewal())
    };
    assert_eq!(deadline, bench.now + policy().connect_timeout);
    assert_eq!(bench.apply(Input::Renew), [], "it is under way");
    let early = Input::SuccessorSubscribed {
        accepted: 1,
        refused: 0,
    };
    assert_eq!(bench.apply(early), [], "it is not connected yet");
    let action = bench.supervisor.action();
    let renewed = Notice::Renewed {
        accepted: 2,
        refused: 1,
    };
    assert_eq!(bench.go_live(), [renewed]);
    assert_eq!(bench.supervisor.state(), State::Live);
    assert_eq!(
        bench.supervisor.action(),
        action,
        "what it waits for it goes on waiting for"
    );
    assert_eq!(bench.supervisor.renewal(), Renewal::None);
}

#[test]
fn an_age_counts_from_the_upgrade_less_jitter_and_follows_the_policy() {
    let mut bench = Bench::live(aged(secs(60)));
    assert_eq!(bench.due(), Some(secs(60)));
    bench.apply(Input::Policy(Box::new(aged(secs(5)))));
    assert_eq!(bench.due(), Some(secs(5)), "overdue");
    bench.apply(Input::Renew);
    bench.fail(Cause::TcpRefused);
    assert!(bench.due().is_some(), "it is tried again");
    bench.apply(Input::Policy(Box::new(policy())));
    assert_eq!(bench.supervisor.renewal(), Renewal::None, "nobody wants it any more");
    bench.apply(Input::Policy(Box::new(aged(secs(60)))));
    bench.apply(Input::Renew);
    bench.go_live();
    assert_eq!(bench.due(), Some(secs(11 + 60)), "that of the other connection");

    let jittered = Policy {
        jitter: 0.2,
        ..aged(secs(1000))
    };
    let dues: Vec<_> = (0..50)
        .map(|seed| {
            let now = Moment::now().mono;
            let mut supervisor = Supervisor::new(jittered.clone(), seed);
            let subscribed = Input::Subscribed {
                accepted: 1,
                refused: 0,
            };
            for input in [Input::Start, Input::Connected, subscribed] {
                supervisor.apply(input, now);
            }
            match supervisor.renewal() {
                Renewal::Wait { due } => due.duration_since(now),
                renewal => panic!("{renewal:?}"),
            }
        })
        .collect();
    assert!(
        dues.iter().all(|due| (secs(800)..=secs(1000)).contains(due)),
        "{dues:?}"
    );
    let spread = dues.iter().max().unwrap().saturating_sub(*dues.iter().min().unwrap());
    assert!(spread > secs(150), "not all at once: {spread:?}");
}

#[test]
fn a_successor_that_fails_is_no_failure_and_the_next_one_waits_by_the_ladder_and_then_for_cooldowns() {
    let mut bench = Bench::live(policy());
    let mut waits = Vec::new();
    for number in 1..=4 {
        assert_eq!(bench.apply(Input::Renew), [Notice::Renewing { number }]);
        let notices = bench.fail(Cause::TcpRefused);
        let [
            Notice::RenewalFailed {
                stage: Stage::Connect,
                cause: Cause::TcpRefused,
                due: Some(due),
                ..
            },
        ] = notices[..]
        else {
            panic!("{notices:?}")
        };
        assert_eq!(bench.supervisor.renewal(), Renewal::Wait { due });
        waits.push(due.duration_since(bench.now));
        bench.now = due;
    }
    assert_eq!(waits, [millis(100), millis(200), secs(50), secs(50)]);
    assert_eq!(
        (
            bench.supervisor.state(),
            bench.supervisor.failures(),
            bench.supervisor.breaker()
        ),
        (State::Live, 0, BreakerState::Closed)
    );
    bench.apply(Input::Renew);
    let fatal = bench.fail(Cause::Unauthorized);
    assert!(matches!(fatal[..], [Notice::RenewalFailed { .. }]), "{fatal:?}");
    bench.apply(Input::Renew);
    bench.go_live();
    bench.apply(Input::Renew);
    bench.fail(Cause::TcpRefused);
    let Renewal::Wait { due } = bench.supervisor.renewal() else {
        panic!()
    };
    assert_eq!(due, bench.now + millis(100), "a success clears the ladder");
}

#[test]
fn a_venue_that_asks_a_successor_for_rest_gets_it_also_from_an_outage() {
    let mut bench = Bench::live(policy());
    bench.apply(Input::Renew);
    bench.fail(Failure {
        retry_after: Some(secs(30)),
        ..Failure::new(Cause::RateLimited)
    });
    assert_eq!(bench.due(), Some(secs(11 + 30)));
    bench.now += secs(10);
    bench.apply(Input::Failed(Cause::Eof.into()));
    assert_eq!(
        bench.supervisor.action(),
        Action::Wait {
            due: bench.now + secs(20)
        }
    );
}

#[test]
fn where_another_endpoint_is_left_an_outage_need_not_wait_for_that_rest() {
    let mut bench = Bench::live(policy());
    bench.apply(Input::Renew);
    bench.apply(Input::SuccessorTurnedAway(Failure {
        retry_after: Some(secs(30)),
        ..Failure::new(Cause::RateLimited)
    }));
    assert_eq!(bench.due(), Some(secs(11 + 30)), "the next one is dialled there, too");
    bench.now += secs(10);
    bench.apply(Input::Failed(Cause::Eof.into()));
    let due = bench.now + millis(100);
    assert_eq!(bench.supervisor.action(), Action::Wait { due });
}

#[test]
fn a_loss_meanwhile_is_an_outage_which_the_dial_under_way_is_to_end() {
    for (stage, state) in [
        (Stage::Connect, State::Connecting),
        (Stage::Subscribe, State::Subscribing),
    ] {
        let mut bench = Bench::live(policy());
        bench.apply(Input::Renew);
        if stage == Stage::Subscribe {
            assert_eq!(bench.apply(Input::SuccessorConnected), [Notice::SuccessorConnected]);
        }
        let notices = bench.apply(Input::Failed(Cause::Eof.into()));
        let [Notice::Lost { cause: Cause::Eof, .. }, taken_over] = &notices[..] else {
            panic!("{notices:?}")
        };
        assert_eq!(*taken_over, Notice::TakenOver { stage, failures: 1 });
        assert_eq!(bench.supervisor.state(), state);
        if stage == Stage::Connect {
            bench.apply(Input::Connected);
        }
        let up = bench.apply(Input::Subscribed {
            accepted: 1,
            refused: 0,
        });
        assert!(matches!(up[..], [Notice::Up { .. }]), "{up:?}");
    }
}

#[test]
fn a_loss_that_trips_ends_the_dial_under_way_as_well() {
    let mut bench = Bench::live(Policy {
        max_consecutive_failures: 1,
        ..policy()
    });
    bench.apply(Input::Renew);
    let notices = bench.apply(Input::Failed(Cause::Eof.into()));
    let [
        Notice::Lost { .. },
        Notice::RenewalFailed {
            cause: Cause::Forced,
            due: None,
            ..
        },
        Notice::Breaker(moved),
    ] = &notices[..]
    else {
        panic!("{notices:?}")
    };
    assert_eq!(moved.trigger, Trigger::ConsecutiveFailures);
    assert_eq!(bench.supervisor.state(), State::CoolingDown);
}

#[test]
fn whoever_ends_a_connection_ends_its_successor_first() {
    for (input, cause) in [
        (Input::Stop, Cause::Shutdown),
        (Input::Retire, Cause::Reload),
        (Input::Reconnect, Cause::Forced),
    ] {
        let mut bench = Bench::live(policy());
        bench.apply(Input::Renew);
        let notices = bench.apply(input);
        let [
            Notice::RenewalFailed {
                cause: given_up,
                due: None,
                ..
            },
            Notice::Lost { cause: lost, .. },
            _,
        ] = &notices[..]
        else {
            panic!("{notices:?}")
        };
        assert_eq!((*given_up, *lost), (cause, cause));
    }
}

#[test]
fn a_probe_is_not_replaced_before_it_is_stable() {
    let mut bench = Bench::live(Policy {
        max_consecutive_failures: 1,
        ..aged(secs(20))
    });
    bench.apply(Input::Failed(Cause::Eof.into()));
    let Action::Wait { due } = bench.supervisor.action() else {
        panic!()
    };
    bench.now = due;
    bench.apply(Input::Elapsed);
    bench.apply(Input::Connected);
    bench.apply(Input::Subscribed {
        accepted: 1,
        refused: 0,
    });
    assert_eq!(bench.supervisor.breaker(), BreakerState::HalfOpen);
    bench.now += secs(25);
    assert_eq!(bench.supervisor.renewal(), Renewal::None);
    assert_eq!(bench.apply(Input::Renew), []);
    bench.now += secs(5);
    bench.apply(Input::Elapsed);
    assert!(bench.due().is_some(), "overdue");
}

// From here on: the driver.

/// One connection as the venue will serve it.
#[derive(Clone, Default)]
struct Connection {
    dial: Option<Cause>,
    dial_takes: Duration,
    /// Frames and the end, each after so long since the connection was made live.
    events: Vec<(Duration, &'static str)>,
    /// What it brings after it was asked to end, and the time between.
    last_words: Vec<(Duration, &'static str)>,
    cannot_hang_up: bool,
}

/// With frames once a second, named after it.
fn ticking(name: &'static str) -> Connection {
    Connection {
        dial_takes: millis(50),
        events: (1..100).map(|second| (secs(second), name)).collect(),
        ..Connection::default()
    }
}

#[derive(Default)]
struct Journal {
    dials: Vec<Duration>,
    subscriptions: Vec<(usize, Vec<Instrument>)>,
    hung_up: usize,
    closed: Vec<usize>,
    notices: Vec<(Duration, Notice)>,
    long_waits: Vec<TransportFact>,
    open: usize,
    most_open: usize,
}

struct Shared {
    script: Mutex<VecDeque<Connection>>,
    journal: Mutex<Journal>,
    begun: Instant,
}

/// A venue by script; the last of it serves all later dials.
struct Mock {
    shared: Arc<Shared>,
    number: usize,
    current: Connection,
    is_open: bool,
    since: Instant,
    told: usize,
    leaving: Option<Instant>,
}

impl Mock {
    fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            number: 0,
            current: Connection::default(),
            is_open: false,
            since: Instant::now(),
            told: 0,
            leaving: None,
        }
    }
}

impl MarketDataStream for Mock {
    async fn connect(&mut self) -> Result<(), Failure> {
        {
            let mut journal = self.shared.journal.lock().unwrap();
            journal.dials.push(self.shared.begun.elapsed());
            self.number = journal.dials.len();
            let mut script = self.shared.script.lock().unwrap();
            self.current = if script.len() > 1 {
                script.pop_front().unwrap()
            } else {
                script[0].clone()
            };
        }
        sleep(self.current.dial_takes).await;
        if let Some(cause) = self.current.dial {
            return Err(cause.into());
        }
        (self.since, self.told, self.leaving, self.is_open) = (Instant::now(), 0, None, true);
        let mut journal = self.shared.journal.lock().unwrap();
        journal.open += 1;
        journal.most_open = journal.most_open.max(journal.open);
        Ok(())
    }

    async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        let mut journal = self.shared.journal.lock().unwrap();
        journal.subscriptions.push((self.number, instruments.to_vec()));
        Ok(Subscribed {
            accepted: instruments.to_vec(),
            ..Subscribed::default()
        })
    }

    async fn next_event(&mut self) -> Option<MarketEvent> {
        let next = if let Some(since) = self.leaving {
            let words = &self.current.last_words;
            words.get(self.told).map(|(after, word)| (since + *after, *word))
        } else {
            let events = &self.current.events;
            events.get(self.told).map(|(after, word)| (self.since + *after, *word))
        };
        let (due, word) = next?;
        if due > Instant::now() {
            sleep_until(due).await;
        }
        self.told += 1;
        if word == "BYE" {
            let detail = "soon".into();
            return Some(MarketEvent::Leaving { detail });
        }
        (word != "END").then(|| {
            MarketEvent::Frame(Frame {
                payload: Bytes::from_static(word.as_bytes()),
                received: Moment::now(),
                is_data: true,
            })
        })
    }

    async fn hang_up(&mut self) -> bool {
        self.shared.journal.lock().unwrap().hung_up += 1;
        (self.leaving, self.told) = (Some(Instant::now()), 0);
        !self.current.cannot_hang_up
    }

    fn another(&self) -> Option<Self> {
        Some(Self::new(&self.shared))
    }

    async fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let mut journal = self.shared.journal.lock().unwrap();
            journal.open -= 1;
            journal.closed.push(self.number);
        }
    }

    fn exchange_name(&self) -> &'static str {
        "mock"
    }
}

struct Recorder(Arc<Shared>);

impl Observer for Recorder {
    fn observe(&self, _at: Moment, fact: &Fact) {
        if let Fact::Supervisor(notice) = fact {
            let at = self.0.begun.elapsed();
            self.0.journal.lock().unwrap().notices.push((at, notice.clone()));
        }
        if let Fact::Transport(fact @ TransportFact::WaitsAtGate { .. }) = fact {
            self.0.journal.lock().unwrap().long_waits.push(fact.clone());
        }
    }
}

type Stream = ReconnectingDataStream<Mock, Recorder>;

fn instruments(ids: &[&str]) -> Vec<Instrument> {
    ids.iter().copied().map(Instrument::new).collect()
}

async fn stream(policy: Policy, script: impl IntoIterator<Item = Connection>) -> (Stream, Arc<Shared>) {
    let shared = Arc::new(Shared {
        script: Mutex::new(script.into_iter().collect()),
        journal: Mutex::default(),
        begun: Instant::now(),
    });
    let mut stream = ReconnectingDataStream::with_observer(Mock::new(&shared), policy, 1, Recorder(shared.clone()));
    stream.subscribe(&instruments(&["a", "b"])).await.unwrap();
    stream.connect().await.unwrap();
    (stream, shared)
}

/// What the consumer gets within so long, in short: `1` for a frame of the first connection.
async fn told(stream: &mut Stream, within: Duration) -> String {
    let end = Instant::now() + within;
    let mut told = Vec::new();
    while let Ok(event) = tokio::time::timeout_at(end, stream.next_event()).await {
        told.push(match event.expect("it goes on") {
            MarketEvent::Frame(frame) => frame.text().unwrap().to_owned(),
            MarketEvent::Disconnected { cause, .. } => format!("lost:{cause}"),
            MarketEvent::Reconnected { .. } => "back".to_owned(),
            MarketEvent::Renewed { instruments } => format!("renewed:{}", instruments.len()),
            MarketEvent::Leaving { detail } => format!("leaving:{detail}"),
            event => panic!("{event:?}"),
        });
    }
    told.join(" ")
}

fn notices(shared: &Shared, wanted: impl Fn(&Notice) -> bool) -> usize {
    let journal = shared.journal.lock().unwrap();
    journal.notices.iter().filter(|(_, notice)| wanted(notice)).count()
}

fn is_loss(notice: &Notice) -> bool {
    matches!(notice, Notice::Lost { .. })
}

#[tokio::test(start_paused = true)]
async fn what_the_old_connection_still_brings_comes_before_the_mark_and_the_new_ones_after_it() {
    let first = Connection {
        last_words: vec![(millis(10), "last"), (millis(200), "words"), (millis(300), "END")],
        ..ticking("1")
    };
    let (mut stream, shared) = stream(policy(), [first, ticking("2")]).await;
    assert_eq!(told(&mut stream, millis(2500)).await, "1 1");
    stream.renew();
    assert_eq!(told(&mut stream, secs(3)).await, "last words renewed:2 2 2");
    assert_eq!(stream.state(), State::Live);
    let journal = shared.journal.lock().unwrap();
    assert_eq!(
        (journal.dials.len(), journal.hung_up, &journal.closed[..]),
        (2, 1, &[1][..])
    );
    assert_eq!((journal.open, journal.most_open), (1, 2));
    assert_eq!(journal.subscriptions[1], (2, instruments(&["a", "b"])));
    drop(journal);
    assert_eq!(notices(&shared, is_loss), 0);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_hang_up_is_closed_at_once_and_who_does_not_end_in_time() {
    let rude = Connection {
        cannot_hang_up: true,
        ..ticking("1")
    };
    let endless = Connection {
        last_words: (0..1000).map(|tick| (secs(tick), "on")).collect(),
        ..ticking("2")
    };
    let (mut stream, shared) = stream(policy(), [rude, endless, ticking("3")]).await;
    told(&mut stream, millis(1500)).await;
    stream.renew();
    assert_eq!(told(&mut stream, millis(1500)).await, "renewed:2 2");
    stream.renew();
    let heard = told(&mut stream, secs(12)).await;
    assert!(heard.starts_with("on on ") && heard.contains(" renewed:2 3"), "{heard}");
    assert_eq!(shared.journal.lock().unwrap().closed, [1, 2]);
    assert_eq!(notices(&shared, is_loss), 0);
}

#[tokio::test(start_paused = true)]
async fn a_venue_that_says_to_every_connection_that_it_will_end_is_not_dialled_without_end() {
    let fickle = Connection {
        dial_takes: millis(50),
        events: vec![(secs(1), "BYE"), (secs(1000), "END")],
        last_words: vec![(millis(10), "END")],
        ..Connection::default()
    };
    let (mut stream, shared) = stream(policy(), [fickle]).await;
    let heard = told(&mut stream, secs(25)).await;
    let each = "leaving:soon renewed:2";
    assert_eq!(heard, [each, each, each, "leaving:soon"].join(" "));
    let dials = shared.journal.lock().unwrap().dials.clone();
    assert_eq!(
        dials,
        [0, 1050, 11_050, 21_050].map(millis),
        "at once, and then no more often than every ten seconds"
    );
    assert_eq!(notices(&shared, is_loss), 0);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_fails_after_a_notice_is_tried_again_by_the_ladder() {
    let first = Connection {
        dial_takes: millis(50),
        events: [(secs(1), "BYE"), (millis(1010), "BYE")]
            .into_iter()
            .chain((2..100).map(|second| (secs(second), "1")))
            .collect(),
        last_words: vec![(millis(10), "END")],
        ..Connection::default()
    };
    let refused = Connection {
        dial: Some(Cause::TcpRefused),
        ..Connection::default()
    };
    let (mut stream, shared) = stream(policy(), [first, refused.clone(), refused, ticking("2")]).await;
    assert!(
        told(&mut stream, secs(4))
            .await
            .starts_with("leaving:soon leaving:soon renewed:2 2")
    );
    let dials = shared.journal.lock().unwrap().dials.clone();
    // The second notice waits for its time, and then there is nothing left to replace.
    assert_eq!(dials[..4], [0, 1050, 1150, 1350].map(millis));
    assert_eq!(notices(&shared, is_loss), 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_replaced_again_and_again_without_being_asked() {
    let (mut stream, shared) = stream(aged(secs(10)), [ticking("1"), ticking("2"), ticking("3"), ticking("4")]).await;
    let heard = told(&mut stream, secs(35)).await;
    assert_eq!(heard.matches("renewed:2").count(), 3, "{heard}");
    assert!(!heard.contains("lost"), "{heard}");
    let dials: Vec<_> = shared
        .journal
        .lock()
        .unwrap()
        .dials
        .iter()
        .map(Duration::as_millis)
        .collect();
    // Each is 10 seconds old, counted from its upgrade, which takes 50 ms.
    assert_eq!(dials, [0, 10_050, 20_100, 30_150]);
    assert_eq!(shared.journal.lock().unwrap().open, 1);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_is_refused_leaves_everything_as_it_was_and_is_tried_again() {
    let refused = Connection {
        dial: Some(Cause::TcpRefused),
        dial_takes: millis(50),
        ..Connection::default()
    };
    let (mut stream, shared) = stream(policy(), [ticking("1"), refused.clone(), refused, ticking("4")]).await;
    told(&mut stream, millis(1500)).await;
    stream.renew();
    let heard = told(&mut stream, secs(2)).await;
    assert!(
        heard.starts_with("renewed:2 4") || heard.starts_with("1 renewed:2"),
        "{heard}"
    );
    let dials: Vec<_> = shared
        .journal
        .lock()
        .unwrap()
        .dials
        .iter()
        .map(Duration::as_millis)
        .collect();
    assert_eq!(dials, [0, 1500, 1650, 1900], "after 100 and 200 ms");
    assert_eq!(notices(&shared, is_loss), 0);
    assert_eq!(stream.breaker(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_loss_meanwhile_is_told_and_the_dial_under_way_brings_the_stream_back() {
    let lost = Connection {
        events: vec![(millis(1600), "END")],
        dial_takes: millis(50),
        ..Connection::default()
    };
    let slow = Connection {
        dial_takes: millis(700),
        ..ticking("2")
    };
    let (mut stream, shared) = stream(policy(), [lost, slow]).await;
    assert_eq!(told(&mut stream, millis(1500)).await, "");
    stream.renew();
    assert_eq!(told(&mut stream, millis(1800)).await, "lost:eof back 2");
    assert_eq!(stream.state(), State::Live);
    let journal = shared.journal.lock().unwrap();
    assert_eq!((journal.dials.len(), journal.open), (2, 1), "one dial served both");
    assert_eq!(journal.hung_up, 0);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_that_change_meanwhile_are_made_up_for() {
    let slow = Connection {
        dial_takes: secs(2),
        ..ticking("2")
    };
    let (mut stream, shared) = stream(policy(), [ticking("1"), slow]).await;
    told(&mut stream, millis(500)).await;
    stream.renew();
    told(&mut stream, secs(1)).await;
    stream.subscribe(&instruments(&["c"])).await.unwrap();
    told(&mut stream, secs(2)).await;
    stream.subscribe(&instruments(&["d"])).await.unwrap();
    told(&mut stream, secs(1)).await;
    let journal = shared.journal.lock().unwrap();
    let asked: Vec<_> = journal
        .subscriptions
        .iter()
        .map(|(number, instruments)| (*number, instruments.len()))
        .collect();
    assert_eq!(asked, [(1, 2), (1, 1), (2, 3), (2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_waits_for_its_turn_at_the_gate_and_the_connection_stays_meanwhile() {
    let gate = DialGate::new(DialLimit {
        per_second: 0.1,
        burst: 1,
    });
    let (stream, shared) = stream(policy(), [ticking("1"), ticking("2")]).await;
    let mut stream = stream.with_gate(&gate);
    told(&mut stream, secs(1)).await;
    stream.renew();
    stream.renew();
    told(&mut stream, secs(8)).await;
    assert_eq!(shared.journal.lock().unwrap().dials.len(), 1);
    assert_eq!(stream.state(), State::Live);
    let waits = shared.journal.lock().unwrap().long_waits.clone();
    assert!(
        matches!(
            waits.as_slice(),
            [TransportFact::WaitsAtGate { time, reason: GateReason::DialRate, planned: true }] if *time > secs(9)
        ),
        "{waits:?}"
    );
    let heard = told(&mut stream, secs(5)).await;
    assert!(heard.contains("renewed:2 2"), "{heard}");
    let dials = shared.journal.lock().unwrap().dials.clone();
    assert!(dials.len() == 2 && dials[1] >= secs(10), "{dials:?}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_takes_the_age_back_calls_off_what_waits_for_its_turn_but_no_wish_by_hand() {
    for (next, by_hand, expected) in [
        (policy(), false, 1),
        (aged(secs(80)), false, 1),
        (aged(secs(12)), false, 2),
        (policy(), true, 2),
    ] {
        let gate = DialGate::new(DialLimit {
            per_second: 0.05,
            burst: 1,
        });
        let (stream, shared) = stream(aged(secs(10)), [ticking("1"), ticking("2")]).await;
        let mut stream = stream.with_gate(&gate);
        told(&mut stream, secs(15)).await;
        if by_hand {
            stream.renew();
        }
        stream.set_policy(next.clone());
        told(&mut stream, secs(15)).await;
        let dials = shared.journal.lock().unwrap().dials.len();
        assert_eq!(dials, expected, "{:?}, {by_hand}", next.max_connection_age);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_live_needs_no_renewal_and_a_reconnect_goes_further() {
    let lost = Connection {
        events: vec![(secs(1), "END")],
        ..Connection::default()
    };
    let (mut stream, shared) = stream(policy(), [lost, ticking("2"), ticking("3")]).await;
    assert_eq!(told(&mut stream, millis(1010)).await, "lost:eof");
    stream.renew();
    assert_eq!(told(&mut stream, secs(2)).await, "back 2");
    assert_eq!(shared.journal.lock().unwrap().dials.len(), 2);
    stream.renew();
    stream.reconnect();
    assert_eq!(told(&mut stream, millis(1500)).await, "lost:forced back 3");
    assert_eq!(shared.journal.lock().unwrap().open, 1);
}

#[tokio::test(start_paused = true)]
async fn closing_closes_both_connections() {
    let slow = Connection {
        last_words: vec![(secs(5), "END")],
        ..ticking("1")
    };
    let (mut stream, shared) = stream(policy(), [slow, ticking("2")]).await;
    told(&mut stream, secs(1)).await;
    stream.renew();
    let _ = timeout(secs(1), stream.next_event()).await;
    assert_eq!(shared.journal.lock().unwrap().open, 2);
    stream.close().await;
    assert_eq!(shared.journal.lock().unwrap().open, 0);
    while stream.next_event().await.is_some() {}
}

/// A venue that always has one more frame, received a millisecond after the last: nobody ever waits, so no timer is looked at.
struct Flooding(u64);

impl MarketDataStream for Flooding {
    async fn connect(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        Ok(Subscribed {
            accepted: instruments.to_vec(),
            ..Subscribed::default()
        })
    }

    async fn next_event(&mut self) -> Option<MarketEvent> {
        self.0 += 1;
        let mut received = Moment::now();
        received.mono += millis(self.0);
        Some(MarketEvent::Frame(Frame {
            payload: Bytes::new(),
            received,
            is_data: true,
        }))
    }

    fn exchange_name(&self) -> &'static str {
        "flooding"
    }

    fn another(&self) -> Option<Self> {
        Some(Self(0))
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_keeps_no_renewal_back() {
    let mut stream = ReconnectingDataStream::new(Flooding(0), aged(secs(1)));
    stream.subscribe(&instruments(&["a"])).await.unwrap();
    stream.connect().await.unwrap();
    let mut frames = 0;
    while !matches!(stream.next_event().await, Some(MarketEvent::Renewed { .. })) {
        frames += 1;
        assert!(frames < 2_000, "a second has passed, and another one");
    }
    assert!(frames >= 800, "after {frames} milliseconds");
}
