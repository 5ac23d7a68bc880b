//! Streams: the trait, the facts that they report, the driver that reconnects, and the transport.

mod clocks;
mod connection;
mod deadline;
mod dial;
mod endpoint;
mod fact;
mod failure;
mod gate;
mod handoff;
mod isolation;
mod many;
mod polled;
mod reconnecting;
mod slot;
mod spawn;
mod subscriptions;
mod timer;
mod tls;
mod websocket;

pub use dial::{Dialler, TcpDialler, TcpIo};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use fact::{DataFact, Fact, NoObserver, Observer, TransportFact};
pub use gate::DialGate;
pub use handoff::{HandOff, WhenFull};
pub use many::ManyConnections;
pub use polled::PolledAfresh;
pub use reconnecting::ReconnectingDataStream;
pub use spawn::{StreamControl, StreamHandle};
#[cfg(feature = "service")]
pub(crate) use tls::MaybeTls;
pub use tls::TlsTrust;
pub use websocket::{TransportOptions, WebSocketStream};

use crate::market::{DialPhase, Failure, Instrument, MarketEvent, Subscribed};

/// A stream of market data: a venue's connection, or a mock.
pub trait MarketDataStream: Send {
    /// Connects. The driver drops the future at the deadline, and then calls [`MarketDataStream::close`].
    fn connect(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Subscribes. The first one on a connection resolves when the venue has answered; a later one as soon as it is sent,
    /// and its answer comes as [`MarketEvent::Subscribed`].
    fn subscribe(&mut self, instruments: &[Instrument]) -> impl Future<Output = Result<Subscribed, Failure>> + Send;

    /// The next event; `None` = the connection is lost. A stream that knows why yields [`MarketEvent::Disconnected`] first.
    ///
    /// Must be cancel-safe: a future that is dropped loses no event.
    fn next_event(&mut self) -> impl Future<Output = Option<MarketEvent>> + Send;

    /// The venue's name.
    fn exchange_name(&self) -> &'static str;

    /// Ends subscriptions on the open connection.
    fn unsubscribe(&mut self, _instruments: &[Instrument]) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }

    /// Closes the connection, with a close frame where there is one. Ends within a time limit of its own.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Asks the other side to end the connection. What still comes is yielded as before, then the end, within a time limit of its
    /// own. `false` = there is no such way: what is still to come is lost when it is closed.
    fn hang_up(&mut self) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// One more stream to the same place, not connected: a driver connects it to replace this one without a gap. `None` = there
    /// is only this one.
    fn another(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// The phase that was under way when a `connect` was cut off by its deadline.
    fn dial_phase(&self) -> DialPhase {
        DialPhase::Connect
    }
}
