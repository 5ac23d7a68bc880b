//! Streams: the trait, the facts that they report, the driver that reconnects, and the transport.
//!
//! | what | for |
//! | --- | --- |
//! | [`MarketDataStream`] | one connection to a venue: [`WebSocketStream`], or a mock |
//! | [`ReconnectingDataStream`] | the same, redialled and resubscribed for as long as it is wanted |
//! | [`ManyConnections`] | the same over as many connections as its instruments need |
//! | [`StreamHandle`], [`StreamControl`], [`HandOff`] | the same on a task of its own |
//! | [`DialGate`] | one dial rate for all streams of a host |
//! | [`Observer`] | is told what happens; [`crate::observe::StreamObserver`] makes metrics, spans and log lines of it |
//! | [`Tap`] | a copy of each frame that passes, for a recorder |
//! | [`Endpoint`], [`TransportOptions`], [`TlsTrust`], [`Dialler`] | what a [`WebSocketStream`] is made of |
//!
//! ```
//! use feedwatch::ReconnectionConfig;
//! use feedwatch::market::{Cause, Instrument, MarketEvent};
//! use feedwatch::stream::{MarketDataStream, ReconnectingDataStream};
//! # use feedwatch::market::{Failure, Subscribed};
//! # struct Mock;
//! # impl MarketDataStream for Mock {
//! #     async fn connect(&mut self) -> Result<(), Failure> { Ok(()) }
//! #     async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
//! #         Ok(Subscribed { accepted: instruments.to_vec(), ..Subscribed::default() })
//! #     }
//! #     async fn next_event(&mut self) -> Option<MarketEvent> { None }
//! #     fn exchange_name(&self) -> &'static str { "mock" }
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//!
//! // This mock of a venue loses every connection as soon as it is live.
//! let mut stream = ReconnectingDataStream::new(Mock, ReconnectionConfig::default());
//! stream.subscribe(&[Instrument::new("71")]).await.unwrap();
//! stream.connect().await.unwrap();
//! assert!(matches!(stream.next_event().await, Some(MarketEvent::Disconnected { cause: Cause::Eof, .. })));
//! assert!(matches!(stream.next_event().await, Some(MarketEvent::Reconnected { .. })));
//! # }
//! ```

mod access;
mod candidates;
mod clocks;
mod connection;
mod deadline;
mod debug;
mod dial;
mod endpoint;
mod fact;
mod failure;
mod gate;
mod handoff;
mod headers;
mod isolation;
mod many;
mod options;
mod pace;
mod polled;
mod proxy;
mod reconnecting;
mod rest;
mod sequences;
mod slot;
mod spawn;
mod subscriptions;
mod tap;
mod tcp;
mod timer;
mod tls;
mod websocket;
mod wire;

pub use access::Access;
pub use dial::{Dialler, TcpDialler, TcpIo};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use fact::{DataFact, Fact, NoObserver, Observer, TransportFact};
#[cfg(feature = "service")]
pub(crate) use failure::retry_after;
pub use gate::{DialGate, GateReason};
pub use handoff::{HandOff, WhenFull};
pub use headers::{InvalidHeader, UpgradeHeaders};
pub use many::ManyConnections;
pub use options::TransportOptions;
pub use polled::PolledAfresh;
pub use proxy::{InvalidCredentials, InvalidProxy, Proxy, ProxyProtocol};
pub use reconnecting::ReconnectingDataStream;
pub use rest::RestEndpoint;
#[cfg(feature = "service")]
pub(crate) use rest::open;
pub use spawn::{StreamControl, StreamHandle};
pub use tap::{Tap, TapDirection, TapReader, TappedConnection, TappedFrame};
pub use tcp::TcpOptions;
#[cfg(feature = "service")]
pub(crate) use tls::MaybeTls;
#[cfg(feature = "service")]
pub(crate) use tls::certificates;
pub use tls::{Authorities, ClientIdentity, InvalidCertificates, InvalidIdentity, InvalidKey, TlsTrust};
pub use websocket::WebSocketStream;

use crate::market::{DialPhase, Failure, Instrument, MarketEvent, Subscribed};
use std::time::Duration;

/// A stream of market data: a venue's connection, or a mock.
///
/// Four methods are enough for a mock. Further ones will have a default.
///
/// ```
/// use feedwatch::ReconnectionConfig;
/// use feedwatch::clock::Moment;
/// use feedwatch::market::{Cause, Failure, Frame, Instrument, MarketEvent, Subscribed};
/// use feedwatch::stream::{MarketDataStream, ReconnectingDataStream};
///
/// /// Refuses the first dial, and has one frame a connection.
/// #[derive(Default)]
/// struct Mock {
///     dials: u32,
///     frame: Option<&'static str>,
/// }
///
/// impl MarketDataStream for Mock {
///     async fn connect(&mut self) -> Result<(), Failure> {
///         self.dials += 1;
///         if self.dials == 1 {
///             return Err(Failure::new(Cause::TcpRefused));
///         }
///         self.frame = Some("0.45");
///         Ok(())
///     }
///
///     async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
///         Ok(Subscribed { accepted: instruments.to_vec(), ..Subscribed::default() })
///     }
///
///     async fn next_event(&mut self) -> Option<MarketEvent> {
///         let payload = self.frame.take()?.into();
///         Some(MarketEvent::Frame(Frame { payload, received: Moment::now(), is_data: true }))
///     }
///
///     fn exchange_name(&self) -> &'static str {
///         "mock"
///     }
/// }
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() {
///     let mut stream = ReconnectingDataStream::new(Mock::default(), ReconnectionConfig::default());
///     stream.subscribe(&[Instrument::new("71")]).await.unwrap();
///     stream.connect().await.unwrap();
///     let Some(MarketEvent::Frame(frame)) = stream.next_event().await else { unreachable!() };
///     assert_eq!(frame.text(), Some("0.45"), "the second dial went well");
///     stream.close().await;
/// }
/// ```
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
    fn exchange_name(&self) -> &str;

    /// Ends subscriptions on the open connection.
    fn unsubscribe(&mut self, _instruments: &[Instrument]) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }

    /// Closes the connection, with a close frame where there is one. Ends within a time limit of its own.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Where it can connect, in the order in which its driver tries it; empty = it does not say.
    fn endpoints(&self) -> Vec<Endpoint> {
        Vec::new()
    }

    /// The next `connect` is to the endpoint at this place among [`MarketDataStream::endpoints`].
    fn choose_endpoint(&mut self, _place: usize) {}

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

    /// How long it takes to ask for these, where the venue wants its requests slowly: so much longer may the first
    /// [`MarketDataStream::subscribe`] take.
    fn time_to_ask(&self, _instruments: &[Instrument]) -> Duration {
        Duration::ZERO
    }

    /// The phase that was under way when a `connect` was cut off by its deadline.
    fn dial_phase(&self) -> DialPhase {
        DialPhase::Connect
    }
}
