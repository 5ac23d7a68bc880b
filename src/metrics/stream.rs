//! The figures of one stream: one struct of atomics.
//!
//! What changes with each frame is counted in atomics of its own, without a lock, an allocation or a label look-up. What
//! changes when the stream moves stands behind a sequence lock, so that a scrape sees each move whole.

use super::connections::Connections;
use super::endpoints::ConnectionEndpoints;
use super::figures::Figures;
use super::instruments::{InstrumentClocks, StreamInstruments};
use super::labels::LabelSet;
use super::names::{NameCells, NameStatus};
use super::queue::{AttachedQueues, QueueCells};
use super::seqlock::{Plain, SeqLock, cells};
use super::skew;
use super::snapshot::{SilentInstrument, StreamSnapshot};
use super::venue::{Direction, Opcode, VenueCells};
use super::writer::StreamWriter;
use crate::clock::{Moment, unix_seconds};
use crate::history::History;
use crate::market::{EventKind, StreamName};
use crate::supervise::State;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::time::{Duration, Instant};

/// What a lag of the past still weighs after this long: 1/e.
const LAG_MEMORY_SECONDS: f64 = 10.0;
/// An event that is older than a day when it comes has a wrong time: no venue is that late, and no clock that wrong.
const OLDEST_EVENT_SECONDS: f64 = 86_400.0;

/// Who a stream is.
///
/// Fields may be added in a minor release: begin with [`StreamInfo::new`].
#[derive(Clone, Debug)]
pub struct StreamInfo {
    /// The stream's name.
    pub stream: StreamName,
    /// Where it is served, without credentials: `ws-subscriptions-clob.polymarket.com`.
    pub server_address: String,
    /// `ws` or `wss`.
    pub transport: String,
    /// Whether somebody is to be woken when it is stale.
    pub page_on_stale: bool,
}

impl StreamInfo {
    /// A stream that is served at `server_address` over `transport`, and for which nobody is woken when it is stale.
    pub fn new(stream: StreamName, server_address: impl Into<String>, transport: impl Into<String>) -> Self {
        Self {
            stream,
            server_address: server_address.into(),
            transport: transport.into(),
            page_on_stale: false,
        }
    }
}

cells! {
    /// What changes with each frame.
    Traffic, TrafficCells {
        frames_received: u64,
        frames_sent: u64,
        received_bytes: u64,
        sent_bytes: u64,
        messages: [u64; EventKind::COUNT],
        /// Nanoseconds since the origin; 0 = never. So are the next two.
        last_frame: u64,
        last_data: u64,
        lag_at: u64,
        /// The bits of an `f64`: seconds.
        lag: u64,
        /// See [`super::skew`].
        skew_since: u64,
        skew: u64,
        skew_before: u64,
    }
}

/// Which parts a stream has, of those that not every stream has; its queue, which comes and goes, tells for itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) sequences: bool,
    pub(super) checksums: bool,
}

/// The labels of a stream's series, rendered once. A scrape holds them, and not the stream.
#[derive(Debug)]
pub(super) struct StreamLabels {
    pub(super) identity: LabelSet,
    /// Without and with `page_on_stale`.
    info: [LabelSet; 2],
}

impl StreamLabels {
    fn new(info: &StreamInfo, venue: &VenueCells) -> Self {
        let info_labels = |page_on_stale| {
            LabelSet::new([
                ("server_address", info.server_address.as_str()),
                ("transport", info.transport.as_str()),
                ("page_on_stale", page_on_stale),
            ])
        };
        Self {
            identity: LabelSet::new([("venue", venue.name()), ("stream", info.stream.as_str())]),
            info: ["false", "true"].map(info_labels),
        }
    }

    /// Those of the series that says who the stream is, besides its identity.
    pub(super) const fn info(&self, page_on_stale: bool) -> &LabelSet {
        let [without, with] = &self.info;
        if page_on_stale { with } else { without }
    }
}

/// The figures of one stream. Dropping the last handle removes all its series.
///
/// A [`crate::stream::WebSocketStream`] and a [`crate::observe::StreamObserver`] count here; who has neither, counts by hand:
///
/// ```
/// use feedwatch::clock::Moment;
/// use feedwatch::market::{EventKind, StreamName};
/// use feedwatch::metrics::{StreamCells, StreamInfo, VenueCells};
/// use feedwatch::supervise::State;
/// use std::sync::Arc;
///
/// let now = Moment::now();
/// let info = StreamInfo::new(StreamName::new("replay").unwrap(), "venue.example", "wss");
/// let cells = StreamCells::new(info, Arc::new(VenueCells::new("mock")), now.mono);
/// cells.frame_received(512, now.mono);
/// cells.message(EventKind::Trade);
/// cells.data(now.mono);
/// // One change, of which a scrape sees all or nothing.
/// cells.update(now.mono, |figures| figures.set_state(State::Connecting));
///
/// let shown = cells.snapshot(now);
/// assert_eq!((shown.state(), shown.messages()), (State::Connecting, 1));
/// ```
#[derive(Debug)]
pub struct StreamCells {
    info: StreamInfo,
    venue: Arc<VenueCells>,
    origin: Instant,
    labels: Arc<StreamLabels>,
    page_on_stale: AtomicBool,
    has_sequences: AtomicBool,
    compares_checksums: AtomicBool,
    figures: SeqLock<Figures, Connections>,
    /// Until when the clocks have been shown: nanoseconds since the origin.
    shown: AtomicU64,
    traffic: TrafficCells,
    instruments: StreamInstruments,
    endpoints: ConnectionEndpoints,
    history: History,
    queues: AttachedQueues,
    names: NameCells,
}

impl StreamCells {
    /// All at 0, and idle. `origin` is a moment before everything that will be reported, the present for instance.
    pub fn new(info: StreamInfo, venue: Arc<VenueCells>, origin: Instant) -> Self {
        Self {
            labels: Arc::new(StreamLabels::new(&info, &venue)),
            page_on_stale: AtomicBool::new(info.page_on_stale),
            has_sequences: AtomicBool::new(false),
            compares_checksums: AtomicBool::new(false),
            info,
            venue,
            origin,
            figures: SeqLock::new(&Figures::ZERO),
            shown: AtomicU64::new(0),
            traffic: Traffic::ZERO.to_atomic(),
            instruments: StreamInstruments::default(),
            endpoints: ConnectionEndpoints::default(),
            history: History::default(),
            queues: AttachedQueues::default(),
            names: NameCells::default(),
        }
    }

    /// Who the stream is, as it was when it was made.
    pub const fn info(&self) -> &StreamInfo {
        &self.info
    }

    pub(super) const fn labels(&self) -> &Arc<StreamLabels> {
        &self.labels
    }

    pub(super) fn pages_on_stale(&self) -> bool {
        self.page_on_stale.load(Relaxed)
    }

    /// From now on somebody is to be woken when it is stale, or nobody any more.
    pub fn set_page_on_stale(&self, page_on_stale: bool) {
        self.page_on_stale.store(page_on_stale, Relaxed);
    }

    /// Whether the events of the stream are numbered: only then its gaps are shown. A [`crate::stream::WebSocketStream`] says so
    /// by its venue.
    pub fn set_has_sequences(&self, has_sequences: bool) {
        self.has_sequences.store(has_sequences, Relaxed);
    }

    /// Whether its books are compared with checksums: only then it is shown how often they differed. A
    /// [`crate::stream::WebSocketStream`] says so by its venue and its feed.
    pub fn set_compares_checksums(&self, compares_checksums: bool) {
        self.compares_checksums.store(compares_checksums, Relaxed);
    }

    /// The connection with this number is, or dials, at this host and port.
    pub fn set_endpoint(&self, number: u32, endpoint: String) {
        self.endpoints.set(number, endpoint);
    }

    /// The connection with this number is no more.
    pub fn forget_endpoint(&self, number: u32) {
        self.endpoints.forget(number);
    }

    /// Where its connections are, or dial, each host and port once, as far as that was told.
    pub fn endpoints(&self) -> Vec<String> {
        self.endpoints.distinct()
    }

    /// The figures of its venue.
    pub const fn venue(&self) -> &Arc<VenueCells> {
        &self.venue
    }

    /// What happened to the stream last.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// A consumer is attached, whose queue holds so many events. Its figures are shown for as long as they are held; those of several,
    /// one for each connection that is spawned, add up.
    pub fn attach_queue(&self, capacity: usize) -> Arc<QueueCells> {
        self.queues.attach(capacity)
    }

    /// What came of looking up the names that it watches, every one of them.
    pub fn set_names(&self, names: Vec<NameStatus>) {
        self.names.set(names, |at| stamp(self.origin, at));
    }

    /// The names that it watches, in the order of the configuration.
    pub fn names(&self) -> Vec<NameStatus> {
        self.names.all()
    }

    /// What the stream is doing.
    pub fn state(&self) -> State {
        Figures::unpack_state(self.figures.twin().phase.load(Relaxed))
    }

    /// Reports what changed at `now`, as one change: a scrape sees all of it or nothing. Of a stream with one connection.
    pub fn update(&self, now: Instant, change: impl FnOnce(&mut StreamWriter)) {
        self.update_connection(0, now, change);
    }

    /// The same of the connection with this number. The figures are what all connections add up to; one that has stopped no
    /// longer takes part.
    pub fn update_connection(&self, number: u32, now: Instant, change: impl FnOnce(&mut StreamWriter)) {
        let now = nanos_between(self.origin, now);
        self.figures.write(|figures, connections| {
            // A change that was stamped before a scrape and is reported after it must not take back what was shown.
            figures.settle(now.max(self.shown.load(Relaxed)));
            let mut writer = StreamWriter::new(figures.clone(), connections.get(number), self.origin);
            change(&mut writer);
            *figures = writer.finish(number, connections);
        });
    }

    /// All figures at `at`, those that grow with time included.
    pub fn snapshot(&self, at: Moment) -> StreamSnapshot {
        let until = nanos_between(self.origin, at.mono);
        self.shown.fetch_max(until, Relaxed);
        fence(SeqCst);
        let mut figures = self.figures.read();
        figures.settle(until);
        StreamSnapshot {
            at,
            origin: self.origin,
            silence: self.instruments.silence(until, figures.instrument_stale_after),
            figures,
            traffic: Traffic::load(&self.traffic),
            queue: self.queues.snapshot(),
            names: self.names.figures(),
            parts: Parts {
                sequences: self.has_sequences.load(Relaxed),
                checksums: self.compares_checksums.load(Relaxed),
            },
        }
    }

    /// The instruments in effect of which nothing has come for longest, at most so many, the most silent first.
    pub fn most_silent(&self, most: usize, at: Moment) -> Vec<SilentInstrument> {
        let show = |silent| SilentInstrument::new(silent, self.origin, at);
        self.instruments.most_silent(most).into_iter().map(show).collect()
    }

    /// The clocks of the instruments of one more connection; they count as long as somebody holds them.
    pub fn instrument_clocks(&self) -> Arc<InstrumentClocks> {
        self.instruments.of_connection(self.origin)
    }

    /// A frame of any kind came, with a payload of so many bytes.
    pub fn frame_received(&self, bytes: usize, at: Instant) {
        self.frame_arrived(bytes, stamp(self.origin, at));
    }

    /// The same at that stamp.
    pub(crate) fn frame_arrived(&self, bytes: usize, stamp: u64) {
        self.traffic.frames_received.fetch_add(1, Relaxed);
        self.traffic.received_bytes.fetch_add(bytes as u64, Relaxed);
        raise(&self.traffic.last_frame, stamp);
    }

    /// A moment, made ready for all frames that arrive at it.
    pub(crate) fn arrival(&self, at: Moment) -> Arrival {
        Arrival {
            at,
            stamp: stamp(self.origin, at.mono),
            unix_seconds: unix_seconds(at.wall),
        }
    }

    /// A frame of any kind was sent, with a payload of so many bytes.
    pub fn frame_sent(&self, bytes: usize) {
        self.traffic.frames_sent.fetch_add(1, Relaxed);
        self.traffic.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A control frame came or went. It is a frame as well: report that too.
    pub fn control_frame(&self, opcode: Opcode, direction: Direction) {
        self.venue.control_frame(opcode, direction);
    }

    /// A message: one event of a frame.
    pub fn message(&self, kind: EventKind) {
        if let Some(cell) = self.traffic.messages.get(kind.index()) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// Market data came: feeds the data clock.
    pub fn data(&self, at: Instant) {
        self.data_arrived(stamp(self.origin, at));
    }

    /// The same at that stamp.
    pub(crate) fn data_arrived(&self, stamp: u64) {
        raise(&self.traffic.last_data, stamp);
    }

    /// An event of the venue's time `venue_time_ms` (milliseconds since the Unix epoch) came at `received`.
    ///
    /// A time in the future or more than a day ago is no latency: it counts as clock skew, and touches neither histogram nor
    /// lag. How far in the future it is, up to a day, is shown as the skew of the stream.
    /// One task reports at a time.
    pub fn latency(&self, venue_time_ms: i64, received: Moment) {
        self.event_arrived(venue_time_ms, &self.arrival(received));
    }

    /// The same of that arrival.
    pub(crate) fn event_arrived(&self, venue_time_ms: i64, arrival: &Arrival) {
        let seconds = arrival.unix_seconds - venue_time_ms as f64 / 1000.0;
        if !(0.0..=OLDEST_EVENT_SECONDS).contains(&seconds) {
            self.venue.clock_skew.fetch_add(1, Relaxed);
            if (-OLDEST_EVENT_SECONDS..0.0).contains(&seconds) {
                skew::note(&self.traffic, -seconds, arrival.stamp);
            }
            return;
        }
        self.venue.message_latency.observe_seconds(seconds);
        self.smooth_lag(seconds, arrival.stamp);
    }

    /// Exponential smoothing over irregular intervals. Of events that come together the first one counts.
    fn smooth_lag(&self, seconds: f64, now: u64) {
        let last = self.traffic.lag_at.load(Relaxed);
        if now <= last {
            return;
        }
        let lag = if last == 0 {
            seconds
        } else {
            let before = f64::from_bits(self.traffic.lag.load(Relaxed));
            let passed = Duration::from_nanos(now - last).as_secs_f64();
            before + (seconds - before) * -(-passed / LAG_MEMORY_SECONDS).exp_m1()
        };
        self.traffic.lag.store(lag.to_bits(), Relaxed);
        self.traffic.lag_at.store(now, Relaxed);
    }
}

/// When frames were read, as it is needed for each of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The moment.
    pub(crate) at: Moment,
    /// The same for the figures of its stream.
    pub(crate) stamp: u64,
    unix_seconds: f64,
}

/// Nothing is written where it stands so high already, as it does for all but the first of the frames that are read together.
fn raise(cell: &AtomicU64, to: u64) {
    if cell.load(Relaxed) < to {
        cell.fetch_max(to, Relaxed);
    }
}

/// Nanoseconds from `origin` to `at`: 0 if it is earlier.
pub(super) fn nanos_between(origin: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(origin).as_nanos()).unwrap_or(u64::MAX)
}

/// `at` as a figure in which 0 means never.
pub(super) fn stamp(origin: Instant, at: Instant) -> u64 {
    nanos_between(origin, at).max(1)
}
