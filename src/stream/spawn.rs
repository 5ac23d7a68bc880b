//! A stream on a task of its own, which keeps it alive whatever its consumer does.

mod lag;
mod spawned;

use super::handoff::{self, Consumer, HandOff, Producer};
use super::{ManyConnections, MarketDataStream, Observer, ReconnectingDataStream};
use crate::clock::Moment;
use crate::market::{Cause, Failure, Instrument, MarketEvent, Subscribed};
use crate::supervise::Policy;
use futures_util::Stream;
use futures_util::stream::FusedStream;
use lag::Lag;
use spawned::{Order, Spawned};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

/// So many commands may wait for the task.
const COMMANDS: usize = 16;

impl<S: MarketDataStream + 'static, O: Observer + 'static> ReconnectingDataStream<S, O> {
    /// Runs the stream on a task of its own: from now on it dials, keeps itself alive and receives, whatever the consumer does.
    /// Events wait for the consumer in a bounded queue; `hand_off` says what happens where it is full.
    ///
    /// Dropping the handle closes the stream, in its own time; [`MarketDataStream::close`] also waits for that.
    ///
    /// ```
    /// use feedwatch::market::MarketEvent;
    /// use feedwatch::stream::{HandOff, MarketDataStream, ReconnectingDataStream};
    /// use futures_util::StreamExt;
    ///
    /// async fn watch<S: MarketDataStream + 'static>(stream: ReconnectingDataStream<S>) {
    ///     let mut events = stream.spawn(HandOff::default());
    ///     while let Some(event) = events.next().await {
    ///         match event {
    ///             MarketEvent::Frame(frame) => println!("{} bytes", frame.payload.len()),
    ///             MarketEvent::Disconnected { cause, .. } => println!("throw the books away: {cause}"),
    ///             MarketEvent::Missed { frames } => println!("throw the books away: too slow for {frames} frames"),
    ///             _ => {}
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn(self, hand_off: HandOff) -> StreamHandle {
        start(self, hand_off)
    }
}

impl<S, O, F> ManyConnections<S, O, F>
where
    S: MarketDataStream + 'static,
    O: Observer + 'static,
    F: FnMut(u32) -> ReconnectingDataStream<S, O> + Send + 'static,
{
    /// Runs the stream on a task of its own, all of its connections: as [`ReconnectingDataStream::spawn`].
    ///
    /// Where the queue is full and nothing may be dropped, those that are live are read no more; the others dial on.
    ///
    /// ```
    /// use feedwatch::ReconnectionConfig;
    /// use feedwatch::market::{Instrument, MarketEvent};
    /// use feedwatch::stream::{HandOff, ManyConnections, MarketDataStream, ReconnectingDataStream};
    /// use futures_util::StreamExt;
    ///
    /// async fn watch<S: MarketDataStream + 'static>(dial: impl Fn() -> S + Send + 'static, all: &[Instrument]) {
    ///     let make = move |_number| ReconnectingDataStream::new(dial(), ReconnectionConfig::default());
    ///     let mut stream = ManyConnections::new(500, make);
    ///     let _ = stream.subscribe(all).await;
    ///     let mut events = stream.spawn(HandOff::default());
    ///     while let Some(event) = events.next().await {
    ///         if let MarketEvent::Disconnected { instruments, .. } = event {
    ///             println!("throw {} books away", instruments.len());
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn(self, hand_off: HandOff) -> StreamHandle {
        start(self, hand_off)
    }
}

fn start<S: Spawned + 'static>(stream: S, hand_off: HandOff) -> StreamHandle {
    let venue = stream.exchange_name().into();
    let cells = stream.attach_queue(hand_off.max_events.max(1));
    let (producer, consumer) = handoff::queue(hand_off, cells);
    let (commands, received) = mpsc::channel(COMMANDS);
    StreamHandle {
        venue,
        events: consumer,
        commands: Some(commands),
        _task: tokio::spawn(async {
            let stream = run(stream, received, producer).await;
            Box::new(stream) as Box<dyn Send>
        }),
    }
}

/// A stream that runs on a task of its own: its events, and the way to command it.
///
/// It is a [`Stream`] of [`MarketEvent`], and a [`MarketDataStream`] as well. Dropping it closes the stream.
pub struct StreamHandle {
    venue: Box<str>,
    events: Consumer,
    /// `None` = closed. Without it the task ends.
    commands: Option<mpsc::Sender<Command>>,
    /// Once it has ended, it holds the stream, and so its figures, for as long as the handle lives.
    _task: JoinHandle<Box<dyn Send>>,
}

impl StreamHandle {
    /// The way to command the stream from elsewhere. It does not keep the stream running.
    pub fn control(&self) -> StreamControl {
        StreamControl {
            commands: self.commands.as_ref().map(mpsc::Sender::downgrade),
        }
    }

    /// Events that wait in the queue, and what they cost in bytes.
    pub fn waiting(&self) -> (usize, usize) {
        self.events.waiting()
    }
}

impl Stream for StreamHandle {
    type Item = MarketEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<MarketEvent>> {
        self.events.poll_event(cx)
    }
}

impl FusedStream for StreamHandle {
    fn is_terminated(&self) -> bool {
        self.events.is_over()
    }
}

impl MarketDataStream for StreamHandle {
    /// It is connecting already.
    async fn connect(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// As [`StreamControl::subscribe`].
    async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        self.control().subscribe(instruments).await?;
        Ok(Subscribed::default())
    }

    /// As [`StreamControl::unsubscribe`].
    async fn unsubscribe(&mut self, instruments: &[Instrument]) -> Result<(), Failure> {
        self.control().unsubscribe(instruments).await
    }

    async fn next_event(&mut self) -> Option<MarketEvent> {
        poll_fn(|cx| self.events.poll_event(cx)).await
    }

    fn exchange_name(&self) -> &str {
        &self.venue
    }

    /// Closes the stream, with a close frame where it is connected, and waits until that is done. What waits in the queue can still
    /// be taken, and then comes `None`.
    async fn close(&mut self) {
        self.commands = None;
        poll_fn(|cx| self.events.poll_over(cx)).await;
    }
}

/// Commands a stream that runs on a task of its own.
///
/// A command is done when its turn comes; here one waits only for a place among the few that may wait. The error of each says
/// that the stream has ended.
///
/// ```
/// use feedwatch::ReconnectionConfig;
/// use feedwatch::market::{Cause, Instrument};
/// use feedwatch::stream::{HandOff, MarketDataStream, ReconnectingDataStream};
/// use std::time::Duration;
/// # use feedwatch::market::{Failure, MarketEvent, Subscribed};
/// # struct Mock;
/// # impl MarketDataStream for Mock {
/// #     async fn connect(&mut self) -> Result<(), Failure> { Ok(()) }
/// #     async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
/// #         Ok(Subscribed { accepted: instruments.to_vec(), ..Subscribed::default() })
/// #     }
/// #     async fn next_event(&mut self) -> Option<MarketEvent> { std::future::pending().await }
/// #     fn exchange_name(&self) -> &'static str { "mock" }
/// # }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut events =
///     ReconnectingDataStream::new(Mock, ReconnectionConfig::default()).spawn(HandOff::default());
/// let control = events.control(); // to be cloned, and sent to other tasks
/// control.subscribe(&[Instrument::new("71"), Instrument::new("72")]).await.unwrap();
/// tokio::time::sleep(Duration::from_secs(1)).await;
/// control.reconnect().await.unwrap();
/// assert!(matches!(events.next_event().await, Some(MarketEvent::Disconnected { cause: Cause::Forced, .. })));
///
/// events.close().await;
/// let error = control.reset_breaker().await.unwrap_err();
/// assert_eq!(error.to_string(), "shutdown: the stream has ended");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StreamControl {
    commands: Option<mpsc::WeakSender<Command>>,
}

impl StreamControl {
    /// Adds to the set of instruments.
    pub async fn subscribe(&self, instruments: &[Instrument]) -> Result<(), Failure> {
        self.send(Command::Subscribe(instruments.to_vec())).await
    }

    /// Takes instruments out of the set.
    pub async fn unsubscribe(&self, instruments: &[Instrument]) -> Result<(), Failure> {
        self.send(Command::Unsubscribe(instruments.to_vec())).await
    }

    /// As [`ReconnectingDataStream::reconnect`], of each connection.
    pub async fn reconnect(&self) -> Result<(), Failure> {
        self.send(Command::Order(Order::Reconnect)).await
    }

    /// As [`ReconnectingDataStream::renew`], of each connection.
    pub async fn renew(&self) -> Result<(), Failure> {
        self.send(Command::Order(Order::Renew)).await
    }

    /// As [`ReconnectingDataStream::reset_breaker`], of each connection.
    pub async fn reset_breaker(&self) -> Result<(), Failure> {
        self.send(Command::Order(Order::ResetBreaker)).await
    }

    /// As [`ReconnectingDataStream::set_policy`], of each connection.
    pub async fn set_policy(&self, policy: Policy) -> Result<(), Failure> {
        self.send(Command::Order(Order::Policy(Box::new(policy)))).await
    }

    async fn send(&self, command: Command) -> Result<(), Failure> {
        let ended = || Failure::new(Cause::Shutdown).with_detail("the stream has ended");
        let commands = self.commands.as_ref().and_then(mpsc::WeakSender::upgrade);
        let sent = commands.ok_or_else(ended)?.send(command).await;
        sent.map_err(|_| ended())
    }
}

#[derive(Debug)]
enum Command {
    Subscribe(Vec<Instrument>),
    Unsubscribe(Vec<Instrument>),
    Order(Order),
}

/// Receives until the handle is closed or dropped. The queue is over when this is.
async fn run<S: Spawned>(mut stream: S, mut commands: mpsc::Receiver<Command>, events: Producer) -> S {
    // Spawning it is asking for a connection. This and the other wishes never fail.
    let _ = stream.connect().await;
    let mut lag = Lag::default();
    loop {
        // Only what a live connection yields is held up: one that was lost is dialled again.
        let has_room = events.has_room();
        let may_look = has_room || events.has_spare();
        let is_held_up = !(has_room || (may_look && !stream.has_live()));
        let news = match is_held_up {
            false if !lag.is_held_up() => None,
            false => lag.reading(Moment::now().mono),
            true => lag.held_up(Moment::now().mono),
        };
        if let Some(fact) = news {
            stream.tell(Moment::now(), fact);
        }
        tokio::select! {
            biased; // commands first, and so the end: a flood of events must not keep it back
            command = commands.recv() => match command {
                Some(command) => apply(&mut stream, command).await,
                None => break,
            },
            event = next(&mut stream, has_room), if may_look => match event {
                Some(event) => hand_over(&stream, &events, &mut lag, event),
                None => break,
            },
            () = events.room(), if !has_room => {}
            () = until(lag.due()), if is_held_up => {}
        }
    }
    stream.close().await;
    while let Some(event) = stream.next_event().await {
        events.push(event);
    }
    stream
}

async fn next<S: Spawned>(stream: &mut S, has_room: bool) -> Option<MarketEvent> {
    if has_room {
        stream.next_event().await
    } else {
        stream.next_of_others().await
    }
}

fn hand_over<S: Spawned>(stream: &S, events: &Producer, lag: &mut Lag, event: MarketEvent) {
    let event = match event {
        // The clock is read for what comes seldom.
        MarketEvent::Disconnected { .. } => lag.explain(event, Moment::now().mono),
        event => event,
    };
    let lost = events.push(event);
    if lost > 0 || lag.is_slow() {
        let now = Moment::now();
        if let Some(fact) = lag.handed_over(lost, now.mono) {
            stream.tell(now, fact);
        }
    }
}

/// For ever where there is nothing to wait for.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

async fn apply<S: Spawned>(stream: &mut S, command: Command) {
    match command {
        Command::Subscribe(instruments) => {
            let _ = stream.subscribe(&instruments).await;
        }
        Command::Unsubscribe(instruments) => {
            let _ = stream.unsubscribe(&instruments).await;
        }
        Command::Order(order) => stream.obey(order),
    }
}
