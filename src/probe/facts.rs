//! The observer of a probe: keeps what is told, and wakes who waits for it.

use crate::clock::Moment;
use crate::market::DialPhase;
use crate::stream::{Fact, Observer, TransportFact};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;

/// What one attempt tells: each a handful, since there is only one.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) phases: Vec<(DialPhase, Duration)>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) status: Option<u16>,
    pub(super) certificate_not_after: Option<i64>,
    pub(super) round_trip: Option<Duration>,
}

/// Keeps the facts of a probe.
#[derive(Debug, Default)]
pub(super) struct FactKeeper(watch::Sender<Facts>);

impl FactKeeper {
    /// The facts, as they come.
    pub(super) fn follow(&self) -> watch::Receiver<Facts> {
        self.0.subscribe()
    }
}

impl Observer for FactKeeper {
    fn observe(&self, _at: Moment, fact: &Fact) {
        // What the supervisor and the data tell belongs to streams that are driven, or is counted frame by frame.
        let Fact::Transport(fact) = fact else { return };
        self.0.send_modify(|facts| match fact {
            TransportFact::PhaseEnded { phase, took } => facts.phases.push((*phase, *took)),
            TransportFact::Peer(peer) => facts.peer = Some(*peer),
            TransportFact::Answered { status } => facts.status = Some(*status),
            TransportFact::Certificate { not_after } => facts.certificate_not_after = Some(*not_after),
            TransportFact::RoundTrip(took) => facts.round_trip = Some(*took),
            TransportFact::WaitedAtGate(_)
            | TransportFact::WaitsAtGate { .. }
            | TransportFact::Endpoint(_)
            | TransportFact::PhaseBegan(_)
            | TransportFact::Panicked { .. } => {}
        });
    }
}
