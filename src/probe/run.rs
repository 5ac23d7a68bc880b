//! The course of a probe.

use super::facts::{FactKeeper, Facts};
use super::report::{ProbeReport, SeenEvent, SeenFrame, Verdict};
use crate::clock::Moment;
use crate::market::{Cause, DecodeError, DialPhase, Failure, Frame, Instrument, MarketEvent, StreamName, Subscribed};
use crate::metrics::{StreamCells, StreamInfo, Streams};
use crate::stream::{Access, DialGate, Dialler, Endpoint, MarketDataStream, TransportOptions, WebSocketStream};
use crate::supervise::later;
use crate::venue::{Decoder, Feed, Venue, VenueRef};
use futures_util::FutureExt;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout_at};

/// So many frames are shown, and so many events of each.
const SHOWN_FRAMES: usize = 5;
const SHOWN_EVENTS: usize = 8;
/// No name of an instrument is longer where it is shown: characters.
const SHOWN_NAME: usize = 128;
/// The first ping leaves so early that its answer comes in time. Afterwards the venue's own rule holds.
const FIRST_PING: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// One look at a venue: a single connection, which is closed at the end.
pub struct Probe {
    /// Whose protocol it speaks.
    pub venue: VenueRef,
    /// Where it connects.
    pub endpoint: Endpoint,
    /// What it subscribes to; with nothing it only connects.
    pub instruments: Vec<Instrument>,
    /// What it asks for of each.
    pub feed: Feed,
    /// What it brings along.
    pub access: Access,
    /// Where it waits for its turn; `None` = it dials at once.
    pub gate: Option<DialGate>,
    /// It takes no longer, all in all.
    pub time: Duration,
    /// It ends as soon as so many frames with data have come, and the answer to a ping.
    pub frames: u64,
    /// The figures of its connection.
    pub transport: TransportOptions,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("venue", &self.venue.name())
            .field("endpoint", &self.endpoint)
            .field("instruments", &self.instruments.len())
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

impl Probe {
    /// The report where it is not made, for want of anything to subscribe to.
    pub(crate) fn unresolved(&self) -> ProbeReport {
        ProbeReport {
            verdict: Verdict::Unresolved,
            ..self.report()
        }
    }

    fn report(&self) -> ProbeReport {
        let has_key = self.venue.needs_key().then_some(self.access.key.is_some());
        ProbeReport {
            has_key,
            ..ProbeReport::new(self.venue.name(), self.endpoint.clone(), self.instruments.len())
        }
    }

    /// Makes the probe. What is wrong is part of the report.
    ///
    /// The future must be polled to its end, or the connection ends without a close frame.
    pub async fn run<D: Dialler>(self, dialler: D) -> ProbeReport {
        let mut report = self.report();
        let began = report.began.mono;
        // Some of the time is kept for the closing handshake.
        let close_timeout = self.transport.close_timeout.min(self.time / 10);
        let due = later(began, self.time.saturating_sub(close_timeout));
        if let Some(gate) = &self.gate {
            let turn = timeout_at(due.into(), gate.pass()).await;
            report.waited = since(began);
            if turn.is_err() {
                report.took = report.waited;
                return report;
            }
        }
        let observer = Arc::new(FactKeeper::default());
        let first_ping = (self.time / 10).clamp(FIRST_PING.0, FIRST_PING.1);
        let options = TransportOptions {
            ping_interval: Some(first_ping.min(self.venue.heartbeat().interval)),
            close_timeout,
            ..self.transport.clone()
        };
        let mut talk = Talk {
            decoder: self.venue.decoder(),
            due,
            dialled: Moment::now().mono,
            connected: Moment::now().mono,
            frames: self.frames,
            facts: observer.follow(),
            first_ping: options.ping_interval.unwrap_or_default(),
            options: watch::channel(options.clone()).0,
            report: &mut report,
        };
        let trust = self.access.trust.clone();
        let Some(cells) = cells(&*self.venue, &self.endpoint) else {
            return report;
        };
        let mut socket = WebSocketStream::new(self.venue, self.endpoint, options, trust, cells, observer.clone())
            .with_feed(self.feed)
            .with_options(talk.options.subscribe())
            .with_access(watch::channel(self.access).1)
            .with_dialler(dialler);
        let talking = AssertUnwindSafe(talk.hold(&mut socket, &self.instruments)).catch_unwind();
        if Box::pin(talking).await.is_err() {
            let failure = Failure::new(Cause::Internal).with_detail("a panic in the venue's adapter: see above");
            report.fail(failure, socket.dial_phase());
        }
        // A limit of its own; the outer one is for what goes wrong in an adapter.
        socket.close().await;
        report.add(&observer.follow().borrow());
        report.took = since(began);
        report
    }
}

/// Between the dial and the close.
struct Talk<'r> {
    decoder: Box<dyn Decoder>,
    due: Instant,
    dialled: Instant,
    connected: Instant,
    frames: u64,
    facts: watch::Receiver<Facts>,
    first_ping: Duration,
    options: watch::Sender<TransportOptions>,
    report: &'r mut ProbeReport,
}

impl Talk<'_> {
    async fn hold<D: Dialler>(&mut self, socket: &mut WebSocketStream<D>, instruments: &[Instrument]) {
        let connected = timeout_at(self.due.into(), Box::pin(socket.connect())).await;
        let phase = socket.dial_phase();
        let over = || Err(Failure::new(phase.timeout_cause()).with_detail("the time of the probe was over"));
        if let Err(failure) = connected.unwrap_or_else(|_| over()) {
            return self.report.fail(failure, phase);
        }
        self.connected = Moment::now().mono;
        if !instruments.is_empty() {
            let asked = self.connected;
            let answered = timeout_at(self.due.into(), socket.subscribe(instruments)).await;
            self.report.phases.push((DialPhase::Subscribe, since(asked)));
            let unanswered = || Failure::new(Cause::SubscribeTimeout).with_detail("the time of the probe was over");
            match answered.unwrap_or_else(|_| Err(unanswered())) {
                Ok(answer) => self.report.answer = Some(answer),
                Err(failure) => {
                    self.report.fail(failure, DialPhase::Subscribe);
                    return self.count_waiting(socket);
                }
            }
        }
        self.receive(socket).await;
        self.report.judge();
    }

    /// What came while the answer was waited for may say why there was none. Nothing more is waited for: what is queued is bounded,
    /// and of the socket no more is read than a task reads in one turn.
    fn count_waiting<D: Dialler>(&mut self, socket: &mut WebSocketStream<D>) {
        while let Some(Some(event)) = socket.next_event().now_or_never() {
            // The verdict stands.
            if let MarketEvent::Frame(frame) = event {
                self.count(&frame);
            }
        }
    }

    /// Until enough has come, the time is over or the connection is lost.
    async fn receive<D: Dialler>(&mut self, socket: &mut WebSocketStream<D>) {
        // One early ping: what a second one asks while the first is unanswered, no pong tells.
        let mut is_early = true;
        let pinged = later(self.connected, self.first_ping + self.first_ping / 2);
        while !self.has_enough() {
            let event = tokio::select! {
                biased; // what came is looked at before the answer to a ping
                event = timeout_at(self.due.into(), socket.next_event()) => event,
                // Nobody else tells of it: the observer lives as long as this.
                _ = self.facts.changed() => continue,
                () = sleep_until(pinged.into()), if is_early => {
                    self.options.send_modify(|options| options.ping_interval = None);
                    is_early = false;
                    continue;
                }
            };
            match event {
                Ok(Some(event)) => self.take(event),
                Ok(None) => {
                    self.report.failure.get_or_insert(Cause::Eof.into());
                    return;
                }
                Err(_time_is_over) => return,
            }
        }
    }

    fn has_enough(&self) -> bool {
        let wanted = if self.report.asked == 0 { 0 } else { self.frames };
        self.report.failure.is_some() || self.report.data_frames >= wanted && self.facts.borrow().round_trip.is_some()
    }

    fn take(&mut self, event: MarketEvent) {
        match event {
            MarketEvent::Frame(frame) => self.count(&frame),
            MarketEvent::Disconnected { cause, detail, .. } => {
                let failure = Failure::new(cause.of_loss()).with_detail(detail);
                self.report.failure.get_or_insert(failure);
            }
            MarketEvent::Subscribed(late) => self.report.add_answer(late),
            // A driver's, or nothing that the verdict depends on.
            MarketEvent::Ended { .. }
            | MarketEvent::Reconnected { .. }
            | MarketEvent::Renewed { .. }
            | MarketEvent::Gap { .. }
            | MarketEvent::Leaving { .. }
            | MarketEvent::Missed { .. } => {}
        }
    }

    fn count(&mut self, frame: &Frame) {
        let after = frame.received.mono.saturating_duration_since(self.dialled);
        let bytes = frame.payload.len();
        let mut seen = SeenFrame {
            after,
            bytes,
            events: Vec::new(),
            further: 0,
            error: None,
        };
        let decoded = match frame.text() {
            Some(text) => self.decoder.decode(text, &mut |event| {
                if seen.events.len() < SHOWN_EVENTS {
                    seen.events.push(SeenEvent {
                        kind: event.kind,
                        instrument: event.instrument.map(|name| name.chars().take(SHOWN_NAME).collect()),
                        venue_time_ms: event.venue_time_ms,
                    });
                } else {
                    seen.further += 1;
                }
            }),
            None => Err(DecodeError::Utf8),
        };
        seen.error = decoded.err();
        let report = &mut *self.report;
        report.frames += 1;
        report.bytes += bytes as u64;
        report.unreadable_frames += u64::from(seen.error.is_some());
        report.first_frame.get_or_insert(after);
        if frame.is_data {
            report.data_frames += 1;
            report.first_data.get_or_insert(after);
        }
        if report.seen.len() < SHOWN_FRAMES {
            report.seen.push(seen);
        }
    }
}

impl ProbeReport {
    fn fail(&mut self, failure: Failure, phase: DialPhase) {
        self.verdict = Verdict::Failed;
        self.failure = Some(Failure {
            cause: failure.cause.of_attempt(),
            ..failure
        });
        self.failed_in = Some(phase);
    }

    fn add(&mut self, facts: &Facts) {
        self.phases.splice(..0, facts.phases.iter().copied());
        self.peer = facts.peer;
        self.status = facts.status;
        self.certificate_not_after = facts.certificate_not_after;
        self.round_trip = facts.round_trip;
    }

    /// An answer that came later than the first.
    fn add_answer(&mut self, late: Subscribed) {
        let answer = self.answer.get_or_insert_default();
        let is_told = |instrument: &Instrument| late.accepted.contains(instrument) || late.refused.contains(instrument);
        answer.unanswered.retain(|instrument| !is_told(instrument));
        answer.accepted.extend(late.accepted);
        answer.refused.extend(late.refused);
    }
}

/// A transport counts on its hot path; nobody reads these.
fn cells(venue: &dyn Venue, endpoint: &Endpoint) -> Option<Arc<StreamCells>> {
    let info = StreamInfo::new(StreamName::new("probe").ok()?, endpoint.host(), endpoint.scheme());
    let venue = Streams::new().venue(venue.name());
    Some(Arc::new(StreamCells::new(info, venue, Moment::now().mono)))
}

fn since(begun: Instant) -> Duration {
    Moment::now().mono.saturating_duration_since(begun)
}
