//! The hand-off from a stream's task to its consumer: a bounded queue that tells what it had to give up.

mod backlog;
mod digest;

use crate::market::MarketEvent;
use crate::metrics::QueueCells;
use backlog::Backlog;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::task::coop;

/// Where nothing is read, so many news of the connection may wait beyond what the queue holds.
const SPARE: usize = 16;

closed_set! {
    /// What happens when the consumer's queue is full.
    pub enum WhenFull {
        /// The oldest events give way. Frames among them are lost, which [`MarketEvent::Missed`] tells in their place; of losses,
        /// answers and ends the last word is kept. The venue notices nothing: everything is read, pings are sent and answered.
        DropOldest => "drop_oldest",
        /// Nothing is read until there is room, so that nothing is lost here. The venue notices: it cannot send on, no ping of
        /// its is answered and none is sent. One that loses patience ends the connection, and then frames are missed after all.
        Block => "block",
    }
}

/// How events are handed to the consumer of a stream that runs on a task of its own.
///
/// Fields may be added in a minor release: begin with [`HandOff::default`].
///
/// ```
/// use feedwatch::ReconnectionConfig;
/// use feedwatch::market::MarketEvent;
/// use feedwatch::stream::{HandOff, MarketDataStream, ReconnectingDataStream};
/// use std::time::Duration;
/// # use feedwatch::clock::Moment;
/// # use feedwatch::market::{Failure, Frame, Instrument, Subscribed};
/// # struct Mock(Vec<&'static str>);
/// # impl MarketDataStream for Mock {
/// #     async fn connect(&mut self) -> Result<(), Failure> { Ok(()) }
/// #     async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
/// #         Ok(Subscribed { accepted: instruments.to_vec(), ..Subscribed::default() })
/// #     }
/// #     async fn next_event(&mut self) -> Option<MarketEvent> {
/// #         let Some(frame) = self.0.pop() else { return std::future::pending().await };
/// #         Some(MarketEvent::Frame(Frame { payload: frame.into(), received: Moment::now(), is_data: true }))
/// #     }
/// #     fn exchange_name(&self) -> &'static str { "mock" }
/// # }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// // This mock of a venue has sent five frames before anybody looks.
/// # let inner = Mock(vec!["5", "4", "3", "2", "1"]);
/// let mut stream = ReconnectingDataStream::new(inner, ReconnectionConfig::default());
/// stream.subscribe(&[Instrument::new("71")]).await.unwrap();
/// let mut events = stream.spawn(HandOff { max_events: 2, ..HandOff::default() });
/// tokio::time::sleep(Duration::from_secs(1)).await;
///
/// assert_eq!(events.next_event().await, Some(MarketEvent::Missed { frames: 3 }));
/// let Some(MarketEvent::Frame(frame)) = events.next_event().await else { unreachable!() };
/// assert_eq!(frame.text(), Some("4"));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOff {
    /// What happens when the queue is full.
    pub when_full: WhenFull,
    /// So many events may wait; 0 is taken for 1.
    pub max_events: usize,
    /// So many bytes of events may wait. One event is always taken, however large: that limit is
    /// [`super::TransportOptions::max_message_bytes`].
    pub max_bytes: usize,
}

impl Default for HandOff {
    /// Drops the oldest of more than 4,096 events or 16 MiB.
    fn default() -> Self {
        Self {
            when_full: WhenFull::DropOldest,
            max_events: 4096,
            max_bytes: 16 * 1024 * 1024,
        }
    }
}

/// Both ends of a queue.
pub(super) fn queue(hand_off: HandOff, cells: Option<Arc<QueueCells>>) -> (Producer, Consumer) {
    let shared = Arc::new(Mutex::new(Queue {
        backlog: Backlog::new(hand_off.max_events.max(1), hand_off.max_bytes),
        cells,
        consumer: None,
        producer: None,
        is_over: false,
        is_abandoned: false,
    }));
    let producer = Producer {
        queue: shared.clone(),
        when_full: hand_off.when_full,
    };
    (producer, Consumer { queue: shared })
}

struct Queue {
    backlog: Backlog,
    cells: Option<Arc<QueueCells>>,
    /// Waits for an event, or for the end.
    consumer: Option<Waker>,
    /// Waits for room.
    producer: Option<Waker>,
    /// Nothing more will come.
    is_over: bool,
    /// Nobody will take anything.
    is_abandoned: bool,
}

impl Queue {
    fn has_room(&self) -> bool {
        self.is_abandoned || self.backlog.has_room()
    }

    fn wake_at_news(&mut self, cx: &Context<'_>) {
        if self.consumer.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.consumer = Some(cx.waker().clone());
        }
    }

    fn show_depth(&self) {
        if let Some(cells) = &self.cells {
            cells.set_depth(self.backlog.waiting().0);
        }
    }
}

/// The task's end. The queue is over when it is dropped, however that comes about.
pub(super) struct Producer {
    queue: Arc<Mutex<Queue>>,
    when_full: WhenFull,
}

impl Producer {
    /// Hands an event over. Returns how many frames are lost for it: none where the policy is not to drop.
    pub(super) fn push(&self, event: MarketEvent) -> u64 {
        let mut queue = lock(&self.queue);
        if queue.is_abandoned {
            return 0;
        }
        queue.backlog.push(event);
        let lost = match self.when_full {
            WhenFull::DropOldest => queue.backlog.give_up_oldest(),
            WhenFull::Block => 0,
        };
        queue.show_depth();
        if let (Some(cells), 1..) = (&queue.cells, lost) {
            cells.dropped(lost);
        }
        let consumer = queue.consumer.take();
        drop(queue);
        wake(consumer);
        lost
    }

    /// Whether another event may be asked for. Where the oldest give way there is always room.
    pub(super) fn has_room(&self) -> bool {
        self.when_full == WhenFull::DropOldest || lock(&self.queue).has_room()
    }

    /// Whether news of a connection may be asked for, though there is no room for what it yields.
    pub(super) fn has_spare(&self) -> bool {
        lock(&self.queue).backlog.has_spare(SPARE)
    }

    /// Waits for room. Cancel-safe.
    pub(super) async fn room(&self) {
        poll_fn(|cx| {
            let mut queue = lock(&self.queue);
            if queue.has_room() {
                return Poll::Ready(());
            }
            queue.producer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        queue.is_over = true;
        let consumer = queue.consumer.take();
        drop(queue);
        wake(consumer);
    }
}

/// The consumer's end.
pub(super) struct Consumer {
    queue: Arc<Mutex<Queue>>,
}

impl Consumer {
    /// The next event; `None` at the end, for ever. Loses nothing when it is not polled again.
    pub(super) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<MarketEvent>> {
        // A queue that is never empty must leave other tasks their turn.
        let turn = ready!(coop::poll_proceed(cx));
        let mut queue = lock(&self.queue);
        let event = queue.backlog.pop();
        if event.is_none() && !queue.is_over {
            queue.wake_at_news(cx);
            return Poll::Pending;
        }
        queue.show_depth();
        let producer = queue.producer.take();
        drop(queue);
        wake(producer);
        turn.made_progress();
        Poll::Ready(event)
    }

    /// Waits until nothing more will come.
    pub(super) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = lock(&self.queue);
        if queue.is_over {
            return Poll::Ready(());
        }
        queue.wake_at_news(cx);
        Poll::Pending
    }

    /// Events that wait, and what they cost in bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        lock(&self.queue).backlog.waiting()
    }

    /// Whether the end has been told, or would be told next.
    pub(super) fn is_over(&self) -> bool {
        let queue = lock(&self.queue);
        queue.is_over && queue.backlog.is_empty()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        queue.is_abandoned = true;
        queue.backlog = Backlog::new(1, 0);
        let producer = queue.producer.take();
        drop(queue);
        wake(producer);
    }
}

/// Every change is made whole under the lock, and nothing in it calls out.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
