//! Who consumes a stream, and does with it what consumers do: looks elsewhere, changes its mind, presses buttons.

use super::chance::{millis, pick};
use super::journal::Journal;
use super::ledger::Ledger;
use super::promise::Promise;
use super::stream::Stream;
use fastrand::Rng;
use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent};
use feedwatch::metrics::StreamCells;
use feedwatch::stream::MarketDataStream;
use feedwatch::supervise::{BreakerState, State};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// So many tokens there are for a stream to ask for.
const TOKENS: u64 = 8;
/// So many looks without news are let pass.
const SPARED: u32 = 30;

/// More looks at a stream at one instant than any flood of frames here brings about.
const TOO_MANY: u32 = 10_000;

/// Counts the looks at one instant of virtual time.
#[derive(Default)]
pub(crate) struct Looks {
    at: Option<Instant>,
    here: u32,
}

impl Looks {
    fn is_one_too_many(&mut self) -> bool {
        let now = Instant::now();
        self.here = if self.at.replace(now) == Some(now) {
            self.here + 1
        } else {
            1
        };
        self.here > TOO_MANY
    }
}

/// The moment of a virtual wall clock that runs with the paused one: Unix time 10^9 when the world began.
pub(crate) fn virtual_moment(begun: Instant) -> Moment {
    Moment {
        mono: Instant::now().into_std(),
        wall: UNIX_EPOCH + Duration::from_secs(1_000_000_000) + begun.elapsed(),
    }
}

pub(crate) struct Consumer {
    pub(crate) number: usize,
    pub(crate) who: String,
    pub(crate) stream: Stream,
    pub(crate) cells: Arc<StreamCells>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) rng: Rng,
    /// What it wants, for others to see.
    pub(crate) wishes: Arc<Mutex<BTreeSet<String>>>,
    /// It was told of a loss, and not yet of the return.
    pub(crate) gap: bool,
    /// The connection and the number of the last frame since the last return.
    pub(crate) last_frame: Option<(u64, u64)>,
    pub(crate) losses_told: BTreeMap<&'static str, u64>,
    /// The facts that the last comparison knew of, and the looks since then.
    pub(crate) compared: (u64, u32),
    pub(crate) looks: Looks,
}

impl Consumer {
    /// Consumes until `stop`, and does what comes to its mind until `calm`.
    pub(crate) async fn run(mut self, calm: Instant, stop: CancellationToken) {
        sleep(millis(&mut self.rng, 0..3_000)).await;
        self.ask_for_some().await;
        self.stream.connect().await.unwrap();
        let mut next_whim = Instant::now() + millis(&mut self.rng, 5_000..60_000);
        loop {
            let whims = next_whim < calm;
            tokio::select! {
                biased; // one history a seed
                () = stop.cancelled() => break,
                () = sleep_until(next_whim), if whims => {
                    self.whim().await;
                    next_whim = Instant::now() + millis(&mut self.rng, 1_000..60_000);
                    self.compare();
                }
                event = self.step() => match event {
                    Some(event) => self.take(&event),
                    None => return,
                },
            }
        }
        self.stream.close().await;
        self.compare();
        while let Some(event) = self.stream.next_event().await {
            self.take(&event);
        }
        let ledger = self.ledger.lock().unwrap();
        let (told, counted) = (&self.losses_told, &ledger.losses);
        self.journal
            .expect(Promise::EachLossTold, told == counted, &self.who, || {
                format!("told {told:?}, counted {counted:?}")
            });
    }

    /// The next event; `None` = it spins. Every other consumer gives the call up after each look, and calls again.
    async fn step(&mut self) -> Option<MarketEvent> {
        let event = if self.number.is_multiple_of(2) {
            let mut next = pin!(self.stream.next_event());
            let looks = &mut self.looks;
            poll_fn(|cx| {
                if looks.is_one_too_many() {
                    Poll::Ready(None)
                } else {
                    next.as_mut().poll(cx)
                }
            })
            .await
        } else {
            poll_fn(|cx| {
                if self.looks.is_one_too_many() {
                    return Poll::Ready(None);
                }
                let event = pin!(self.stream.next_event()).poll(cx);
                self.compare();
                event
            })
            .await
        };
        self.compare();
        let spins = event.is_none();
        self.journal.expect(Promise::NeverSpins, !spins, &self.who, || {
            format!("it was woken {} times at one instant", self.looks.here)
        });
        event
    }

    fn take(&mut self, event: &MarketEvent) {
        let (journal, who) = (self.journal.clone(), self.who.clone());
        let told = |holds: bool, why: &str| journal.expect(Promise::NoGapHidden, holds, &who, || why.to_owned());
        match event {
            MarketEvent::Frame(frame) => {
                let text = frame.text().expect("the venue sends text");
                told(!self.gap, "a frame between a loss and the return");
                let Some((connection, number)) = frame_number(text) else {
                    return journal.note(&who, format_args!("reads {text:?}"));
                };
                journal.note(&who, format_args!("reads frame {connection}/{number}"));
                match self.last_frame {
                    Some((before, last)) => {
                        told(
                            before == connection,
                            "a frame of another connection, and no loss was told",
                        );
                        told(last + 1 == number, "a frame is missing");
                    }
                    None => told(number == 1, "the first frames after the return are missing"),
                }
                self.last_frame = Some((connection, number));
            }
            MarketEvent::Disconnected { cause, .. } => {
                journal.note(&who, format_args!("is told: disconnected, {cause}"));
                told(!self.gap, "a second loss, and no return between them");
                self.gap = true;
                *self.losses_told.entry(cause.as_str()).or_default() += 1;
            }
            MarketEvent::Reconnected { .. } => {
                journal.note(&who, format_args!("is told: reconnected"));
                told(self.gap, "a return without a loss");
                self.gap = false;
                self.last_frame = None;
            }
            event => journal.note(&who, format_args!("is told: {event:?}")),
        }
    }

    /// Compares what is shown with what the stream does and with this side's books. Where nothing has happened since the last
    /// time, only now and then: it costs.
    fn compare(&mut self) {
        let ledger = self.ledger.lock().unwrap();
        let (facts, looks) = self.compared;
        if facts == ledger.facts && looks < SPARED {
            self.compared = (facts, looks + 1);
            return;
        }
        self.compared = (ledger.facts, 0);
        let now = virtual_moment(self.journal.begun());
        let shown = self.cells.snapshot(now);
        let agree = |what: &str, shown: &dyn std::fmt::Debug, is: &dyn std::fmt::Debug, same: bool| {
            self.journal.expect(Promise::GaugesAgree, same, &self.who, || {
                format!("{what}: {shown:?} is shown, and it is {is:?}")
            });
        };
        let (state, breaker) = (self.stream.state(), self.stream.breaker());
        agree("state", &shown.state(), &state, shown.state() == state);
        agree("state by the books", &ledger.state, &state, ledger.state == state);
        agree(
            "breaker",
            &shown.breaker(),
            &breaker,
            shown.breaker() == breaker.as_str(),
        );
        agree(
            "breaker by the books",
            &ledger.breaker,
            &breaker,
            ledger.breaker == breaker,
        );
        agree(
            "live",
            &shown.is_live(),
            &state,
            shown.is_live() == (state == State::Live),
        );
        let unix = |at: std::time::Instant| now.unix_seconds_at(at);
        let same_time = |shown: Option<f64>, is: Option<std::time::Instant>| match (shown, is) {
            (Some(shown), Some(is)) => (shown - unix(is)).abs() <= 0.001,
            (shown, is) => shown.is_none() && is.is_none(),
        };
        let until = match breaker {
            BreakerState::Open { until } => Some(until),
            BreakerState::Closed | BreakerState::HalfOpen => None,
        };
        let open_until = shown.breaker_open_until();
        agree(
            "open until",
            &open_until,
            &until.map(unix),
            same_time(open_until, until),
        );
        let next = shown.next_attempt();
        agree(
            "next attempt",
            &next,
            &ledger.due.map(unix),
            same_time(next, ledger.due),
        );
        let outage = shown.outage_since();
        let same = same_time(outage, ledger.outage);
        agree("outage", &outage, &ledger.outage.map(unix), same);
        let failures = shown.failures().0;
        agree(
            "failures",
            &failures,
            &ledger.failures,
            failures == u64::from(ledger.failures),
        );
        agree(
            "stale",
            &shown.is_stale(),
            &ledger.stale,
            shown.is_stale() == ledger.stale,
        );
        let (desired, active) = shown.subscriptions();
        let wished = self.wishes.lock().unwrap().len() as u64;
        agree("desired", &desired, &wished, desired == wished);
        agree(
            "active",
            &active,
            &desired,
            active <= desired && (state == State::Live || active == 0),
        );

        let holds = breaker != BreakerState::Closed || !ledger.breaker_has_cause();
        self.journal.expect(Promise::BreakerTrips, holds, &self.who, || {
            format!("closed after {} failures in a row", ledger.failures)
        });
    }

    async fn ask_for_some(&mut self) {
        let tokens: Vec<String> = (0..self.rng.usize(1..=3))
            .map(|_| format!("{}", self.number as u64 * 100 + self.rng.u64(0..TOKENS)))
            .collect();
        self.journal.note(&self.who, format_args!("asks for {tokens:?}"));
        self.wishes.lock().unwrap().extend(tokens.iter().cloned());
        let tokens: Vec<_> = tokens.iter().map(|token| Instrument::new(token)).collect();
        self.stream.subscribe(&tokens).await.unwrap();
    }

    async fn take_back(&mut self, tokens: Vec<String>) {
        self.journal.note(&self.who, format_args!("takes back {tokens:?}"));
        self.wishes.lock().unwrap().retain(|wish| !tokens.contains(wish));
        let tokens: Vec<_> = tokens.iter().map(|token| Instrument::new(token)).collect();
        self.stream.unsubscribe(&tokens).await.unwrap();
    }

    async fn whim(&mut self) {
        let wishes: Vec<String> = self.wishes.lock().unwrap().iter().cloned().collect();
        match self.rng.u32(0..12) {
            // Wants nothing, and soon after something again.
            _ if wishes.is_empty() => self.ask_for_some().await,
            0..=2 => self.ask_for_some().await,
            3..=4 => {
                let one = pick(&mut self.rng, &wishes);
                self.take_back(vec![one]).await;
            }
            5 => self.take_back(wishes).await,
            6..=7 => {
                self.journal.note(&self.who, format_args!("asks for a reconnect"));
                self.stream.reconnect();
            }
            8 => {
                self.journal.note(&self.who, format_args!("resets the breaker"));
                self.stream.reset_breaker();
            }
            _ => {
                let nap = millis(&mut self.rng, 10..20_000);
                self.journal
                    .note(&self.who, format_args!("looks elsewhere for {nap:?}"));
                sleep(nap).await;
            }
        }
    }
}

/// Which connection and which of its frames: `"hash":"3/17"`.
fn frame_number(text: &str) -> Option<(u64, u64)> {
    let (_, rest) = text.split_once(r#""hash":""#)?;
    let (number, _) = rest.split_once('"')?;
    let (connection, frame) = number.split_once('/')?;
    Some((connection.parse().ok()?, frame.parse().ok()?))
}
