//! What a program sees that formats its own types with `{:?}`: enough to tell streams apart, and nothing that may be secret.

use super::{
    Dialler, ManyConnections, MarketDataStream, Observer, ReconnectingDataStream, StreamHandle, TlsTrust,
    WebSocketStream,
};
use std::fmt;

impl<S: MarketDataStream + 'static, O: Observer> fmt::Debug for ReconnectingDataStream<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingDataStream")
            .field("venue", &self.exchange_name())
            .field("state", &self.state())
            .field("breaker", &self.breaker())
            .field("instruments", &self.instruments().len())
            .finish_non_exhaustive()
    }
}

impl<S, O, F> fmt::Debug for ManyConnections<S, O, F>
where
    S: MarketDataStream + 'static,
    O: Observer + 'static,
    F: FnMut(u32) -> ReconnectingDataStream<S, O> + Send,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyConnections")
            .field("venue", &self.exchange_name())
            .field("connections", &self.connections())
            .field("instruments", &self.instruments().count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StreamHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, bytes) = self.waiting();
        f.debug_struct("StreamHandle")
            .field("venue", &self.exchange_name())
            .field("waiting_events", &events)
            .field("waiting_bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl<D: Dialler> fmt::Debug for WebSocketStream<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketStream")
            .field("venue", &self.exchange_name())
            .field("dial_phase", &self.dial_phase())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTrust").finish_non_exhaustive()
    }
}
