//! Who consumes a stream, and does with it what consumers do: looks elsewhere, changes its mind, presses buttons.

use super::chance::{millis, pick};
use super::journal::Journal;
use super::ledger::Ledger;
use super::network::Host;
use super::promise::Promise;
use super::stream::{self, Stream};
use fastrand::Rng;
use feedwatch::clock::Moment;
use feedwatch::market::{Instrument, MarketEvent};
use feedwatch::metrics::StreamCells;
use feedwatch::supervise::{Policy, State};
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

/// Where the network has been well for so long, all that was sent on a connection has arrived by now.
const WELL: Duration = Duration::from_secs(5);

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
    pub(crate) hosts: Vec<Arc<Host>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) rng: Rng,
    /// What it wants, for others to see.
    pub(crate) wishes: Arc<Mutex<BTreeSet<String>>>,
    /// It was told of a loss, and not yet of the return.
    pub(crate) gap: bool,
    /// The connection and the number of the last frame since the last return.
    pub(crate) last_frame: Option<(u64, u64)>,
    /// Of a stream of several connections: the number of the last frame of each of them, as the venue numbers them.
    pub(crate) last_frames: BTreeMap<u64, u64>,
    /// The connections that were replaced while the network was well, each with the number of the last frame that was read.
    pub(crate) replaced: Vec<(u64, u64)>,
    /// What was told to be lost, and not yet to be back.
    pub(crate) down: BTreeSet<String>,
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
        self.stream.connect().await;
        let mut calmed_down = false;
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
                () = sleep_until(calm), if !calmed_down => {
                    // From now on there is one connection where there is one.
                    calmed_down = true;
                    self.journal.note(&self.who, format_args!("lets its connections get old"));
                    self.stream.set_policy(Policy { max_connection_age: None, ..stream::policy(self.number) });
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
        self.look_at_the_replaced();
        let ledger = self.ledger.lock().unwrap();
        let (told, mut counted) = (&self.losses_told, ledger.losses.clone());
        if self.stream.is_spread() {
            // Of a connection that nothing is left for nobody has to be told.
            let told = told.get("planned").copied();
            let enough = |counted: &u64| told.unwrap_or(0) <= *counted;
            if counted.remove("planned").as_ref().is_none_or(enough) {
                counted.extend(told.map(|told| ("planned", told)));
            }
        }
        self.journal
            .expect(Promise::EachLossTold, *told == counted, &self.who, || {
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
        match event {
            MarketEvent::Frame(frame) => {
                let text = frame.text().expect("the venue sends text");
                let Some((connection, number)) = frame_number(text) else {
                    return journal.note(&who, format_args!("reads {text:?}"));
                };
                journal.note(&who, format_args!("reads frame {connection}/{number}"));
                self.take_frame(connection, number, text);
            }
            MarketEvent::Disconnected { cause, instruments, .. } => {
                journal.note(&who, format_args!("is told: disconnected, {cause}"));
                self.told(!self.gap, "a second loss, and no return between them");
                self.gap = !self.stream.is_spread();
                self.down
                    .extend(instruments.iter().map(|lost| lost.as_str().to_owned()));
                *self.losses_told.entry(cause.as_str()).or_default() += 1;
            }
            MarketEvent::Reconnected { instruments } => {
                journal.note(&who, format_args!("is told: reconnected"));
                self.told(self.gap || self.stream.is_spread(), "a return without a loss");
                self.gap = false;
                self.last_frame = None;
                self.down
                    .retain(|lost| !instruments.iter().any(|back| back.as_str() == lost));
            }
            MarketEvent::Renewed { .. } => {
                journal.note(&who, format_args!("is told: renewed"));
                self.told(!self.gap, "another connection has taken over from a lost one");
                *self.losses_told.entry("planned").or_default() += 1;
                let is_well = self.hosts.iter().all(|host| host.is_fine_for(WELL));
                self.replaced.extend(self.last_frame.take().filter(|_| is_well));
            }
            event => journal.note(&who, format_args!("is told: {event:?}")),
        }
    }

    fn told(&self, holds: bool, why: &str) {
        self.journal
            .expect(Promise::NoGapHidden, holds, &self.who, || why.to_owned());
    }

    fn take_frame(&mut self, connection: u64, number: u64, text: &str) {
        self.told(!self.gap, "a frame between a loss and the return");
        if self.stream.is_spread() {
            let is_lost = tokens_of(text).any(|token| self.down.contains(token));
            self.told(!is_lost, "a frame of what is lost");
            let last = self.last_frames.insert(connection, number).unwrap_or(0);
            self.told(last + 1 == number, "a frame of the connection is missing");
            return;
        }
        match self.last_frame.replace((connection, number)) {
            Some((before, last)) => {
                self.told(
                    before == connection,
                    "a frame of another connection, and no loss was told",
                );
                self.told(last + 1 == number, "a frame is missing");
            }
            None => self.told(number == 1, "the first frames after the return are missing"),
        }
    }

    /// All that was sent on the connections that were replaced has been read. Looked at late: the venue may learn of the end
    /// after this side has.
    fn look_at_the_replaced(&self) {
        for (connection, last) in &self.replaced {
            // Not where the venue's own end of it was faster.
            let sent = |host: &Arc<Host>| host.farewells.lock().unwrap().get(connection).copied();
            let Some(sent) = self.hosts.iter().find_map(sent) else {
                continue;
            };
            self.journal
                .expect(Promise::RenewalMissesNothing, *last == sent, &self.who, || {
                    format!("of connection {connection} {last} frames were read, and {sent} sent")
                });
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
        let (state, breaker) = (ledger.state(), ledger.breaker());
        agree("state", &shown.state(), &state, shown.state() == state);
        agree("breaker", &shown.breaker(), &breaker, shown.breaker() == breaker);
        // A connection that is being closed, since nothing is left for it, is none of the stream's any more.
        if self.stream.machines().len() == ledger.lines.len() {
            let (machines, breakers) = (self.stream.state(), self.stream.breaker());
            agree("state by the books", &state, &machines, machines == state);
            agree("breaker by the books", &breaker, &breakers, breakers == breaker);
        }
        agree(
            "live",
            &shown.is_live(),
            &state,
            shown.is_live() == (state == State::Live),
        );
        let connections = shown.connections().1;
        agree(
            "live connections",
            &connections,
            &ledger.live(),
            connections == ledger.live() as u64,
        );
        let unix = |at: std::time::Instant| now.unix_seconds_at(at);
        let same_time = |shown: Option<f64>, is: Option<std::time::Instant>| match (shown, is) {
            (Some(shown), Some(is)) => (shown - unix(is)).abs() <= 0.001,
            (shown, is) => shown.is_none() && is.is_none(),
        };
        let until = ledger.open_until();
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
            &ledger.due().map(unix),
            same_time(next, ledger.due()),
        );
        let outage = shown.outage_since();
        let same = same_time(outage, ledger.outage);
        agree("outage", &outage, &ledger.outage.map(unix), same);
        let failures = shown.failures().0;
        agree(
            "failures",
            &failures,
            &ledger.failures(),
            failures == u64::from(ledger.failures()),
        );
        agree(
            "stale",
            &shown.is_stale(),
            &ledger.is_stale(),
            shown.is_stale() == ledger.is_stale(),
        );
        let (desired, active) = shown.subscriptions();
        let wished = self.wishes.lock().unwrap().len() as u64;
        // Of connections that have ended the last one is shown alone.
        let is_over = self.stream.is_spread() && state == State::Stopped;
        agree("desired", &desired, &wished, desired == wished || is_over);
        agree(
            "active",
            &active,
            &desired,
            active <= desired && active == ledger.active() as u64 && (ledger.live() > 0 || active == 0),
        );

        let holds = !ledger.should_have_tripped();
        self.journal.expect(Promise::BreakerTrips, holds, &self.who, || {
            format!("closed after {} failures in a row", ledger.failures())
        });
    }

    async fn ask_for_some(&mut self) {
        let most = if self.stream.is_spread() { 5 } else { 3 };
        let tokens: Vec<String> = (0..self.rng.usize(1..=most))
            .map(|_| format!("{}", self.number as u64 * 100 + self.rng.u64(0..TOKENS)))
            .collect();
        self.journal.note(&self.who, format_args!("asks for {tokens:?}"));
        self.wishes.lock().unwrap().extend(tokens.iter().cloned());
        let tokens: Vec<_> = tokens.iter().map(|token| Instrument::new(token)).collect();
        self.stream.subscribe(&tokens).await;
    }

    async fn take_back(&mut self, tokens: Vec<String>) {
        self.journal.note(&self.who, format_args!("takes back {tokens:?}"));
        self.wishes.lock().unwrap().retain(|wish| !tokens.contains(wish));
        self.down.retain(|lost| !tokens.contains(lost));
        let tokens: Vec<_> = tokens.iter().map(|token| Instrument::new(token)).collect();
        self.stream.unsubscribe(&tokens).await;
    }

    async fn whim(&mut self) {
        let wishes: Vec<String> = self.wishes.lock().unwrap().iter().cloned().collect();
        match self.rng.u32(0..15) {
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
            9..=11 => {
                self.journal
                    .note(&self.who, format_args!("asks for another connection"));
                self.stream.renew();
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

/// What a frame is about.
fn tokens_of(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(r#""asset_id":""#).skip(1);
    parts.filter_map(|part| part.split_once('"').map(|(token, _)| token))
}
