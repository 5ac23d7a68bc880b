//! The driver as a [`Stream`] of the `futures` crates.

use super::{Dialler, MarketDataStream, Observer, ReconnectingDataStream, WebSocketStream};
use crate::market::MarketEvent;
use futures_util::Stream;
use futures_util::stream::FusedStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// A stream whose [`MarketDataStream::next_event`] may be polled once and dropped, again and again, as if it had been the same
/// future all the time.
///
/// Being cancel-safe is not enough for that: what is to wake the task up must outlast the future, too. It does where it belongs
/// to the stream (a socket, a channel's receiver, a timer that is kept); it does not where the future makes it, as
/// `tokio::time::sleep` in the body of `next_event`. A mock that does so runs behind [`ReconnectingDataStream::spawn`].
pub trait PolledAfresh: MarketDataStream {}

impl<D: Dialler> PolledAfresh for WebSocketStream<D> {}

impl<S: PolledAfresh + 'static, O: Observer> PolledAfresh for ReconnectingDataStream<S, O> {}

// Nothing is ever pinned in place but what has a box of its own.
impl<S: MarketDataStream, O: Observer> Unpin for ReconnectingDataStream<S, O> {}

/// The same events as [`MarketDataStream::next_event`] yields, without an allocation for each. `None` after
/// [`MarketDataStream::close`], for ever.
///
/// ```
/// use feedwatch::market::MarketEvent;
/// use feedwatch::stream::{PolledAfresh, ReconnectingDataStream};
/// use futures_util::StreamExt;
///
/// /// The first loss.
/// async fn loss<S: PolledAfresh + 'static>(stream: &mut ReconnectingDataStream<S>) -> Option<MarketEvent> {
///     let is_loss = |event: &MarketEvent| matches!(event, MarketEvent::Disconnected { .. });
///     stream.filter(|event| std::future::ready(is_loss(event))).next().await
/// }
/// ```
impl<S: PolledAfresh + 'static, O: Observer> Stream for ReconnectingDataStream<S, O> {
    type Item = MarketEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<MarketEvent>> {
        pin!(self.get_mut().next_event()).poll(cx)
    }
}

impl<S: PolledAfresh + 'static, O: Observer> FusedStream for ReconnectingDataStream<S, O> {
    fn is_terminated(&self) -> bool {
        self.is_over()
    }
}
