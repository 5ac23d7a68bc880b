//! The gate of a host, as its streams share it.

use crate::clock::Moment;
use crate::supervise::{Dial, DialLimit, HostGate, Notice, Policy, Standing, Turn, later};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::sleep_until;

/// A dial that leaves so long after its turn is another's in the eyes of the gate, whose seconds are by as much longer.
const KEPT: Duration = Duration::from_millis(20);
/// A wait that is no longer than this is not worth a word.
const SHORT: Duration = Duration::from_secs(1);

closed_set! {
    /// Why a dial waits at the gate of its host.
    pub enum GateReason {
        /// Others dial before it, and all together no faster than the host may be dialled.
        DialRate => "dial_rate",
        /// The venue wants to be left alone.
        Rest => "rest",
        /// The host is down, and the probe of one stream is to show that it is back.
        Probe => "probe",
    }
}

/// Spreads the dials of all streams of one host: one for each host and port, given to each of its streams with
/// [`super::ReconnectingDataStream::with_gate`]. A clone is the same gate.
///
/// What it lets through, and whom it holds, [`HostGate`] says. A stream that is not polled holds no other up.
///
/// ```
/// use feedwatch::ReconnectionConfig;
/// use feedwatch::stream::{DialGate, HandOff, MarketDataStream, ReconnectingDataStream};
/// use feedwatch::supervise::DialLimit;
/// use std::time::Duration;
/// # use feedwatch::market::{Failure, Instrument, MarketEvent, Subscribed};
/// # use tokio::{sync::mpsc, time::Instant};
/// # struct Mock(mpsc::UnboundedSender<Instant>);
/// # impl MarketDataStream for Mock {
/// #     async fn connect(&mut self) -> Result<(), Failure> { self.0.send(Instant::now()).unwrap(); Ok(()) }
/// #     async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
/// #         Ok(Subscribed { accepted: instruments.to_vec(), ..Subscribed::default() })
/// #     }
/// #     async fn next_event(&mut self) -> Option<MarketEvent> { std::future::pending().await }
/// #     fn exchange_name(&self) -> &'static str { "mock" }
/// # }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # let (tell, mut dialled) = mpsc::unbounded_channel();
/// let gate = DialGate::new(DialLimit { per_second: 1.0, burst: 1 });
/// let mut handles = Vec::new();
/// for _ in 0..3 {
///     let inner = Mock(tell.clone()); // tells when it is dialled
///     let mut stream = ReconnectingDataStream::new(inner, ReconnectionConfig::default()).with_gate(&gate);
///     stream.subscribe(&[Instrument::new("71")]).await.unwrap();
///     handles.push(stream.spawn(HandOff::default()));
/// }
/// let first = dialled.recv().await.unwrap();
/// assert!(dialled.recv().await.unwrap() >= first + Duration::from_secs(1));
/// assert!(dialled.recv().await.unwrap() >= first + Duration::from_secs(2));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DialGate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    gate: Mutex<HostGate>,
    /// Counts the times that who is held should ask again.
    editions: AtomicU64,
    /// Wakes them in the order in which they came to wait; tokio's `watch` would wake them in a random one.
    news: Notify,
}

impl Shared {
    fn gate(&self) -> MutexGuard<'_, HostGate> {
        // What it guards is valid after any panic: nothing in it runs foreign code.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, is_news: bool) {
        if is_news {
            self.editions.fetch_add(1, SeqCst);
            self.news.notify_waiters();
        }
    }
}

impl DialGate {
    /// An open gate.
    pub fn new(limit: DialLimit) -> Self {
        Self(Arc::new(Shared {
            gate: Mutex::new(HostGate::new(limit, Moment::now().mono)),
            editions: AtomicU64::new(0),
            news: Notify::new(),
        }))
    }

    /// Follows another limit from now on.
    pub fn set_limit(&self, limit: DialLimit) {
        self.0.gate().set_limit(limit);
    }

    /// Waits for a turn of somebody who is no stream of the host, and dials once: at once when it resolves. A turn that is not
    /// waited for holds nobody up.
    pub async fn pass(&self) {
        let mut place = self.join();
        while let (Turn::At(due), _) = place.ask(Dial::Visit, Moment::now().mono) {
            sleep_until(due.into()).await;
        }
    }

    /// Lets nobody through for so long: the venue has told somebody who is no stream of the host that it wants to be left alone.
    /// Returns for how long that holds: the streams are not kept away for longer than they would stay by themselves, which is
    /// the `retry_after_max` of the default policy.
    pub fn rest(&self, time: Duration) -> Duration {
        let now = Moment::now().mono;
        let time = time.min(Policy::default().retry_after_max);
        self.0.gate().close(later(now, time), now);
        time
    }

    /// Until when it is shut for every stream, if it is.
    pub(super) fn shut_until(&self, now: Instant) -> Option<Instant> {
        self.0.gate().shut_until(now)
    }

    /// One more stream.
    pub(super) fn join(&self) -> GatePlace {
        GatePlace {
            standing: self.0.gate().join(),
            edition: self.0.editions.load(SeqCst),
            shared: Arc::clone(&self.0),
            wait: None,
            let_through: None,
        }
    }
}

/// A stream's place at the gate.
#[derive(Debug)]
pub(super) struct GatePlace {
    shared: Arc<Shared>,
    standing: Standing,
    /// Knows the news up to this one.
    edition: u64,
    wait: Option<Wait>,
    /// It was let through then, and has not left yet.
    let_through: Option<Instant>,
}

/// The stream wants to dial, and may not yet.
#[derive(Clone, Copy, Debug)]
struct Wait {
    /// When to ask again.
    due: Instant,
    asked: Instant,
    /// When it began.
    since: Instant,
    /// Whether it was told that it is long.
    is_told: bool,
}

impl GatePlace {
    /// Whether it is a place at this gate.
    pub(super) fn is_at(&self, gate: &DialGate) -> bool {
        Arc::ptr_eq(&self.shared, &gate.0)
    }

    /// When to ask again, if it waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.wait.map(|wait| wait.due)
    }

    /// How long the wait is in all, as far as is known, and why: once, of one that is long.
    pub(super) fn tell_long_wait(&mut self, now: Instant) -> Option<(Duration, GateReason)> {
        let wait = self.wait.as_mut()?;
        let time = wait.due.saturating_duration_since(wait.since);
        if time <= SHORT || std::mem::replace(&mut wait.is_told, true) {
            return None;
        }
        let reason = if self.standing.is_held() {
            GateReason::Probe
        } else if self.shared.gate().shut_until(now).is_some() {
            GateReason::Rest
        } else {
            GateReason::DialRate
        };
        Some((time, reason))
    }

    /// Asks for a dial. Beside the answer: how long the stream has waited since it asked last.
    pub(super) fn ask(&mut self, dial: Dial, now: Instant) -> (Turn, Duration) {
        // Before the gate is asked: what changes afterwards is news.
        self.edition = self.shared.editions.load(SeqCst);
        let turn = self.shared.gate().ask(&mut self.standing, dial, now);
        let due = match turn {
            Turn::Now => {
                self.let_through = Some(now);
                None
            }
            Turn::At(due) => Some(due),
        };
        (turn, self.go_on_waiting(due, now))
    }

    /// The dial leaves, unless it was kept too long since it was let through.
    pub(super) fn leave(&mut self, now: Instant) -> bool {
        let was_kept = self
            .let_through
            .is_some_and(|at| now.saturating_duration_since(at) > KEPT);
        if !was_kept {
            self.let_through = None;
        }
        !was_kept
    }

    /// No longer wants to dial. Returns how long it has waited since it asked last.
    pub(super) fn give_up(&mut self, now: Instant) -> Duration {
        self.shared.gate().give_up(&mut self.standing, now);
        self.go_on_waiting(None, now)
    }

    /// Shuts the gate for every stream of the host.
    pub(super) fn close(&self, until: Instant, now: Instant) {
        self.shared.gate().close(until, now);
    }

    fn go_on_waiting(&mut self, due: Option<Instant>, now: Instant) -> Duration {
        let last = self.wait.take();
        self.wait = due.map(|due| Wait {
            due,
            asked: now,
            since: last.map_or(now, |wait| wait.since),
            is_told: last.is_some_and(|wait| wait.is_told),
        });
        last.map_or(Duration::ZERO, |wait| now.saturating_duration_since(wait.asked))
    }

    /// Tells the gate what happened to the stream.
    pub(super) fn take_note(&mut self, notice: &Notice, now: Instant) {
        let is_news = self.shared.gate().take_note(&mut self.standing, notice, now);
        self.shared.tell(is_news);
    }

    /// Resolves when it is held and should ask again. Cancel-safe.
    pub(super) async fn news(&mut self) {
        if !self.standing.is_held() {
            return std::future::pending().await;
        }
        loop {
            let mut news = pin!(self.shared.news.notified());
            // Before the look at the count, or what is told in between is missed.
            news.as_mut().enable();
            let edition = self.shared.editions.load(SeqCst);
            if std::mem::replace(&mut self.edition, edition) != edition {
                return;
            }
            news.await;
        }
    }
}

impl Drop for GatePlace {
    fn drop(&mut self) {
        let is_news = self.shared.gate().leave(&mut self.standing, Moment::now().mono);
        self.shared.tell(is_news);
    }
}
