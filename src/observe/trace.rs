//! What a fact opens and ends in the traces: a root for an outage, and below it its attempts, their phases, and the waits.
//!
//! A root is a trace of its own, and links to the root before it: one unbroken chain of them an outage. All times of a trace
//! are counted by the monotonic clock from one reading of the wall clock, so that a clock which is set in the middle makes no
//! span negative.

mod span;

use crate::clock::Moment;
use crate::market::{Cause, DialPhase, TraceId};
use crate::stream::{Endpoint, Fact, TransportFact};
use crate::supervise::{AttemptKind, BreakerState, Notice, State, Trigger};
use opentelemetry::KeyValue;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{Link, SpanContext};
use span::{Anchor, Maker, Open, Target, of_peer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A new attempt that finds its root older than this begins a linked one: a backend shows a root only when it has ended.
const LONGEST_ROOT: Duration = Duration::from_secs(300);

/// The attribute of a link to the root before, within one outage. A sampler that wants outages whole looks at it.
pub fn same_outage() -> KeyValue {
    KeyValue::new("feedwatch.link", "same_outage")
}

fn previous_outage() -> KeyValue {
    KeyValue::new("feedwatch.link", "previous_outage")
}

/// The spans of one stream that are open: a root at most for each of its connections, all in one chain.
pub(super) struct Spans {
    maker: Maker,
    connections: BTreeMap<u32, OfConnection>,
    /// What the next root links to, whichever connection it is of.
    last_root: Option<SpanContext>,
    /// The stream was not live since a root was opened last, whichever connection it was of.
    in_outage: bool,
}

/// The spans of one connection.
#[derive(Default)]
struct OfConnection {
    /// Where its attempts go, if not to the first endpoint.
    target: Option<Target>,
    root: Option<Root>,
    /// The last root, as long as its outage goes on.
    outage: Option<SpanContext>,
    /// That of a planned reconnect. A dial that an outage took over stays in it.
    renewal: Option<Root>,
}

/// The open root, and what is open below it.
struct Root {
    anchor: Anchor,
    span: Open,
    /// The last one, of the loss or of an attempt.
    cause: Option<Cause>,
    attempts: i64,
    attempt: Option<Open>,
    phase: Option<Phase>,
    backoff: Option<Open>,
    /// The address that the attempt reached.
    peer: Option<SocketAddr>,
}

/// A phase of the attempt. Whether it failed is known only by what follows it.
struct Phase {
    which: DialPhase,
    span: Open,
    ended: Option<Instant>,
}

/// How a root ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Live,
    Tripped(Trigger),
    Reopened(Trigger),
    /// The outage goes on under a new root.
    Continued,
    Idle,
    Stopped,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Tripped(_) => "tripped",
            Self::Reopened(_) => "reopened",
            Self::Continued => "continued",
            Self::Idle => "idle",
            Self::Stopped => "stopped",
        }
    }
}

impl Spans {
    pub(super) fn new(tracer: Arc<BoxedTracer>, stream: &str, venue: &str, endpoint: &Endpoint) -> Self {
        Self {
            maker: Maker::new(tracer, stream, venue, endpoint),
            connections: BTreeMap::new(),
            last_root: None,
            in_outage: false,
        }
    }

    /// Takes note of a fact, which comes when the whole stream is in this state. Returns the trace that the fact belongs to, if
    /// the connection is in an outage and the trace recorded.
    pub(super) fn record(&mut self, number: u32, state: State, at: Moment, fact: &Fact) -> Option<TraceId> {
        self.in_outage &= !matches!(state, State::Live | State::Idle | State::Stopped);
        let mut connection = self.connections.remove(&number).unwrap_or_default();
        let before = connection.current();
        match fact {
            Fact::Supervisor(notice) => self.notice(&mut connection, at, notice),
            Fact::Transport(fact) => connection.transport(&self.maker, at, fact),
            // There is never a span for a message, nor for a change of what is subscribed to.
            Fact::Data(_) => {}
        }
        let trace = connection.current().or(before);
        self.connections.insert(number, connection);
        trace
    }

    /// The connection is no more.
    pub(super) fn forget(&mut self, number: u32) {
        self.connections.remove(&number);
    }

    fn notice(&mut self, connection: &mut OfConnection, at: Moment, notice: &Notice) {
        match notice {
            Notice::Attempt { number, kind } => {
                let is_old = |root: &Root| root.anchor.age(at.mono) > LONGEST_ROOT;
                if connection.root.as_ref().is_some_and(is_old) {
                    connection.end_root(at.mono, End::Continued);
                }
                self.open_root(connection, at, None);
                if let Some(root) = &mut connection.root {
                    root.end_backoff(at.mono);
                    root.attempts += 1;
                    root.peer = None;
                    let start = root.anchor.wall(at.mono);
                    let target = connection.target.as_ref();
                    root.attempt = Some(self.maker.attempt(&root.span, start, target, (*number, *kind)));
                }
            }
            Notice::Renewing { number } => {
                // Beside the chain of outages, not in it: it may come in the middle of another connection's.
                let last = self.last_root.clone().filter(SpanContext::is_sampled);
                let link = last.map(|context| Link::new(context, vec![previous_outage()], 0));
                let mut root = Root::new(at, self.maker.renewal(at.wall, link));
                root.attempt = Some(self.maker.attempt(
                    &root.span,
                    at.wall,
                    connection.target.as_ref(),
                    (*number, AttemptKind::Planned),
                ));
                connection.renewal = Some(root);
            }
            Notice::AttemptFailed { cause, detail, .. } | Notice::RenewalFailed { cause, detail, .. } => {
                connection.end_attempt(at.mono, *cause, detail);
            }
            Notice::Up { accepted, refused } => {
                connection.succeed(at.mono, *accepted, *refused);
                connection.end_root(at.mono, End::Live);
            }
            Notice::Renewed { accepted, refused } => connection.succeed(at.mono, *accepted, *refused),
            Notice::Lost { cause, .. } if cause.is_outage() => self.open_root(connection, at, Some(*cause)),
            Notice::BackingOff { delay, failures, .. } => {
                self.open_root(connection, at, None);
                if let Some(root) = &mut connection.root {
                    let start = root.anchor.wall(at.mono);
                    root.backoff = Some(self.maker.backoff(&root.span, start, *delay, *failures));
                }
            }
            Notice::Breaker(moved) => match (moved.from, moved.to) {
                (BreakerState::Closed, BreakerState::Open { .. }) => {
                    connection.end_root(at.mono, End::Tripped(moved.trigger));
                }
                (_, BreakerState::Open { .. }) => connection.end_root(at.mono, End::Reopened(moved.trigger)),
                (_, BreakerState::Closed | BreakerState::HalfOpen) => {}
            },
            Notice::Idle => connection.end_root(at.mono, End::Idle),
            Notice::Stopped => connection.end_root(at.mono, End::Stopped),
            Notice::TakenOver { .. } => {
                if let Some(root) = &mut connection.root {
                    root.attempts += 1;
                }
            }
            // The subscription that follows tells of itself. What this side ends because nothing is wanted any more is no
            // outage. A cooldown has no span, each of its probes has a root; what waits at the gate of its host begins when it
            // is through. The rest happens to a live stream.
            Notice::Connected
            | Notice::SuccessorConnected
            | Notice::Lost { .. }
            | Notice::CoolingDown { .. }
            | Notice::Held { .. }
            | Notice::Stable
            | Notice::Stale
            | Notice::Fresh
            | Notice::Reset
            | Notice::Policy { .. } => {}
        }
    }

    /// Opens a root where there is none: after a loss for this cause, or else for what begins now.
    fn open_root(&mut self, connection: &mut OfConnection, at: Moment, cause: Option<Cause>) {
        if connection.root.is_some() {
            return;
        }
        let begin = match (&connection.outage, cause) {
            (Some(_), _) => "continuation",
            (None, Some(_)) => "loss",
            (None, None) => "start",
        };
        // The stream's outage goes on as long as one of its connections is missing, be it one that has not begun.
        let in_outage = std::mem::replace(&mut self.in_outage, true);
        let relation = if in_outage { same_outage() } else { previous_outage() };
        // Within an outage a sampler wants to know whether the root before was recorded; otherwise nobody could follow a link
        // to what was not.
        let leads_somewhere = |context: &SpanContext| context.is_valid() && (in_outage || context.is_sampled());
        let link = self.last_root.take().filter(leads_somewhere);
        let link = link.map(|context| Link::new(context, vec![relation], 0));
        let span = self.maker.root(at.wall, begin, cause, link);
        self.last_root = Some(span.context());
        connection.outage = Some(span.context());
        connection.root = Some(Root {
            cause,
            ..Root::new(at, span)
        });
    }
}

impl OfConnection {
    /// The trace of the outage that is under way, in a cooldown that of the root before it; or else that of a planned reconnect.
    fn current(&self) -> Option<TraceId> {
        let renewal = || self.renewal.as_ref().map(|renewal| renewal.span.context());
        let context = self.outage.clone().or_else(renewal);
        let context = context.filter(SpanContext::is_sampled)?;
        TraceId::from_bytes(context.trace_id().to_bytes())
    }

    fn transport(&mut self, maker: &Maker, at: Moment, fact: &TransportFact) {
        if let TransportFact::Endpoint(endpoint) = fact {
            self.target = Some(maker.target(endpoint));
        }
        // While a successor is dialled, or what was one, nothing else is.
        let Some(root) = self.renewal.as_mut().or(self.root.as_mut()) else {
            return;
        };
        match fact {
            TransportFact::PhaseBegan(phase) => {
                root.settle_phase(at.mono, None);
                root.begin_phase(maker, at.mono, self.target.as_ref(), *phase);
            }
            TransportFact::PhaseEnded { phase, .. } => {
                // That of an attempt which was given up finds no phase open.
                if let Some(open) = root.phase.as_mut().filter(|open| open.which == *phase) {
                    open.ended.get_or_insert(at.mono);
                }
            }
            TransportFact::Peer(address) => {
                root.peer = Some(*address);
                if let Some(phase) = &root.phase {
                    phase.span.set_all(of_peer(*address));
                }
            }
            TransportFact::Answered { status } => {
                if let Some(phase) = &root.phase {
                    phase.span.set("http.response.status_code", i64::from(*status));
                }
            }
            // Figures of the venue, and of a live connection; and what was before the attempt.
            TransportFact::Endpoint(_)
            | TransportFact::Certificate { .. }
            | TransportFact::RoundTrip(_)
            | TransportFact::WaitedAtGate(_)
            | TransportFact::WaitsAtGate { .. }
            | TransportFact::Panicked { .. } => {}
        }
    }

    /// The attempt under way has failed.
    fn end_attempt(&mut self, now: Instant, cause: Cause, detail: &str) {
        if let Some(mut renewal) = self.renewal.take() {
            renewal.end_attempt(now, Some((cause, detail)));
            renewal.end_renewal(now, "failed");
            // That it was taken over makes the failure one of the outage.
            if let Some(root) = &mut self.root {
                root.cause = Some(cause);
            }
        } else if let Some(root) = &mut self.root {
            root.end_attempt(now, Some((cause, detail)));
        }
    }

    /// The attempt under way is live.
    fn succeed(&mut self, now: Instant, accepted: usize, refused: usize) {
        let Some(root) = self.renewal.as_mut().or(self.root.as_mut()) else {
            return;
        };
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        if let Some(attempt) = &root.attempt {
            attempt.set("feedwatch.subscriptions.accepted", count(accepted));
            attempt.set("feedwatch.subscriptions.refused", count(refused));
        }
        root.end_attempt(now, None);
        if let Some(renewal) = self.renewal.take() {
            renewal.end_renewal(now, "live");
        }
    }

    fn end_root(&mut self, now: Instant, end: End) {
        if let Some(root) = self.root.take() {
            root.end(now, end);
        }
        if matches!(end, End::Live | End::Idle | End::Stopped) {
            self.outage = None;
        }
    }
}

impl Root {
    fn new(at: Moment, span: Open) -> Self {
        Self {
            anchor: Anchor::new(at),
            span,
            cause: None,
            attempts: 0,
            attempt: None,
            phase: None,
            backoff: None,
            peer: None,
        }
    }

    fn begin_phase(&mut self, maker: &Maker, now: Instant, to: Option<&Target>, which: DialPhase) {
        if let Some(attempt) = &self.attempt {
            self.phase = Some(Phase {
                which,
                span: maker.phase(attempt, self.anchor.wall(now), to, (which, self.peer)),
                ended: None,
            });
        }
    }

    /// Ends the phase, if one is open: well, or for this cause.
    fn settle_phase(&mut self, now: Instant, failed: Option<(Cause, &str)>) {
        if let Some(phase) = self.phase.take() {
            let end = self.anchor.wall(phase.ended.unwrap_or(now));
            phase.span.settle(end, failed);
        }
    }

    fn end_attempt(&mut self, now: Instant, failed: Option<(Cause, &str)>) {
        self.settle_phase(now, failed);
        if let Some(attempt) = self.attempt.take() {
            attempt.settle(self.anchor.wall(now), failed);
        }
        if let Some((cause, _)) = failed {
            self.cause = Some(cause);
        }
    }

    fn end_backoff(&mut self, now: Instant) {
        if let Some(backoff) = self.backoff.take() {
            backoff.settle(self.anchor.wall(now), None);
        }
    }

    /// Of a planned reconnect, where its dial is over.
    fn end_renewal(self, now: Instant, end: &'static str) {
        self.span.set("feedwatch.renewal.end", end);
        self.span.settle(self.anchor.wall(now), None);
    }

    /// A breaker that opens is an error; an outage that is over is none.
    fn end(mut self, now: Instant, end: End) {
        self.end_backoff(now);
        self.span.set("feedwatch.outage.end", end.as_str());
        self.span.set("feedwatch.outage.attempts", self.attempts);
        let failed = match end {
            End::Tripped(trigger) | End::Reopened(trigger) => {
                self.span.set("feedwatch.breaker.trigger", trigger.as_str());
                Some((self.cause.unwrap_or(Cause::Internal), "the breaker opened"))
            }
            End::Live | End::Continued | End::Idle | End::Stopped => None,
        };
        self.span.settle(self.anchor.wall(now), failed);
    }
}
