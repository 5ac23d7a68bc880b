//! Where the next dial goes: the stream's endpoints, and the gates of their hosts.
//!
//! The move is made when the next dial is due, before the gate is asked: until then the stream is one of the host where it
//! failed, and what the venue asked for there is told to the gate there.

use super::{Fact, MarketDataStream, Moment, Observer, ReconnectingDataStream, TransportFact};
use crate::market::Failure;
use crate::stream::{DialGate, Endpoint};
use crate::supervise::{Input, Notice, Rotation};
use std::time::Instant;

pub(super) struct Endpoints {
    all: Vec<Endpoint>,
    rotation: Rotation,
    /// One for each endpoint, where each has its own.
    gates: Vec<DialGate>,
}

impl Endpoints {
    pub(super) fn new(all: Vec<Endpoint>) -> Self {
        Self {
            rotation: Rotation::new(all.len()),
            all,
            gates: Vec::new(),
        }
    }

    /// The place of the one that is dialled, or was last.
    pub(super) const fn at(&self) -> usize {
        self.rotation.at()
    }

    /// Whether something has failed since the last dial.
    pub(super) const fn is_to_move(&self) -> bool {
        self.rotation.is_to_move()
    }

    pub(super) fn take_note(&mut self, notice: &Notice) {
        self.rotation.take_note(notice);
    }

    /// What the supervisor is to hear of an attempt that failed.
    pub(super) fn judge(&mut self, failure: Failure, now: Instant) -> Input {
        self.rotation.judge(failure, now)
    }

    /// The same of a successor's dial.
    pub(super) fn judge_successor(&mut self, failure: Failure, now: Instant) -> Input {
        self.rotation.judge_successor(failure, now)
    }
}

impl<S: MarketDataStream + 'static, O: Observer> ReconnectingDataStream<S, O> {
    /// As [`ReconnectingDataStream::with_gate`], of a stream with several endpoints: the gates of their hosts, in the order of
    /// [`MarketDataStream::endpoints`]. Each dial asks that of its own endpoint. Endpoints of one host and port have the same.
    #[must_use]
    pub fn with_gates(mut self, gates: impl IntoIterator<Item = DialGate>) -> Self {
        self.endpoints.gates = gates.into_iter().collect();
        self.gate = self.endpoints.gates.first().map(DialGate::join);
        self
    }

    /// Goes on to the next endpoint, if the last one has failed.
    pub(super) fn move_on(&mut self, now: Moment) {
        let Endpoints { rotation, gates, .. } = &mut self.endpoints;
        let shut_until = |place: usize| gates.get(place)?.shut_until(now.mono);
        let Some(place) = rotation.move_on(now.mono, shut_until) else {
            return;
        };
        if let Some(gate) = self.endpoints.gates.get(place).cloned()
            && !self.gate.as_ref().is_some_and(|at| at.is_at(&gate))
        {
            self.give_up_turn(now);
            self.gate = Some(gate.join());
        }
        if let Some(endpoint) = self.endpoints.all.get(place) {
            let fact = TransportFact::Endpoint(endpoint.clone());
            self.observer.observe(now, &Fact::Transport(fact));
        }
    }
}
