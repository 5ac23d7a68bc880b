//! One open WebSocket connection: frames, the subscription dialogue, and its clocks.
//!
//! Three clocks run apart, since one that heartbeats feed would never notice dead data: the transport's (any frame, judged
//! here against the pings), the data's (data frames, judged by the supervisor), and the venue's lag (in the metrics).

mod close;
mod outbox;
mod quality;
mod receive;

use self::outbox::Outbox;
use self::quality::Quality;
use super::clocks::{Clocks, Due, Limits};
use super::failure;
use super::tap::ConnectionTap;
use super::wire::{Next, Wire};
use super::{Fact, Observer, TransportOptions};
use crate::clock::Moment;
use crate::market::{Cause, Failure, Instrument, MarketEvent, Subscribed};
use crate::metrics::{Arrival, Direction, Opcode, SocketInstruments, StreamCells};
use crate::venue::{Decoder, Feed, Ping, Session, Venue, VenueRef};
use bytes::Bytes;
use futures_util::{Sink, Stream};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream as Socket;
use tokio_tungstenite::tungstenite::{self, Message};

pub(super) struct Connection<Io> {
    socket: Socket<Wire<Io>>,
    venue: VenueRef,
    ping: Ping,
    /// The time limits as they are changed.
    followed: watch::Receiver<TransportOptions>,
    session: Box<dyn Session>,
    decoder: Box<dyn Decoder>,
    quality: Box<Quality>,
    outbox: Outbox,
    send_timeout: Duration,
    close_timeout: Duration,
    /// What may wait for the consumer while the first subscription is not answered.
    queue_limit: usize,
    cells: Arc<StreamCells>,
    instruments: SocketInstruments,
    observer: Arc<dyn Observer>,
    tap: Option<ConnectionTap>,
    /// Read, and not yet yielded.
    queue: VecDeque<MarketEvent>,
    queued_bytes: usize,
    /// Why it ended. Nothing is read any more.
    ended: Option<Failure>,
    /// Nothing can be sent any more. What was received before is still read; then it has ended.
    broken: Option<Failure>,
    /// Whether a close frame was sent or received: the first one decides, and nothing is sent after it.
    closing: bool,
    /// Whether the venue has said that it will end the connection.
    is_told_leaving: bool,
    first_answer: FirstAnswer,
    /// So many more refused requests are asked for again in two parts.
    partings_left: u32,
    bytes_read: u64,
    arrival: Arrival,
    /// For so many more messages the clock is not read.
    of_arrival: u32,
    clocks: Clocks,
    timer: Pin<Box<Sleep>>,
}

/// What is read at once may be many messages, and they arrived together. But a consumer may take its time over each.
const OF_ONE_ARRIVAL: u32 = 32;

/// So many refused requests are asked for again in two parts without finding anything that the venue accepts: then it is not one of
/// the instruments that it minds.
const MOST_PARTINGS: u32 = 4;

/// Before a connection is live, the answer is what `subscribe` waits for; later it is an event.
enum FirstAnswer {
    /// What of it has come so far: what is in effect, and the first refusal.
    Awaited(Box<(Subscribed, Option<Failure>)>),
    Came(Result<Subscribed, Failure>),
    Taken,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    /// `options`: those of its dial; `followed`: what becomes of them.
    pub(super) fn new(
        socket: Socket<Wire<Io>>,
        (venue, feed): (VenueRef, Arc<Feed>),
        options: &TransportOptions,
        followed: watch::Receiver<TransportOptions>,
        cells: Arc<StreamCells>,
        instruments: SocketInstruments,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let now = Moment::now();
        let clocks = Clocks::new(limits(&*venue, options), now.mono);
        Self {
            arrival: cells.arrival(now),
            of_arrival: 0,
            bytes_read: socket.get_ref().bytes_read(),
            socket,
            ping: venue.heartbeat().ping,
            followed,
            session: venue.session(&feed),
            decoder: venue.decoder(),
            quality: Box::new(Quality::new(&*venue, &feed)),
            outbox: Outbox::new(venue.limits().requests),
            venue,
            send_timeout: options.send_timeout,
            close_timeout: options.close_timeout,
            queue_limit: options.max_message_bytes,
            cells,
            instruments,
            observer,
            tap: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            ended: None,
            broken: None,
            closing: false,
            is_told_leaving: false,
            first_answer: FirstAnswer::Awaited(Box::default()),
            partings_left: MOST_PARTINGS,
            timer: Box::pin(sleep_until(clocks.next().into())),
            clocks,
        }
    }

    /// The same, with a tap if there is one.
    pub(super) fn with_tap(mut self, tap: Option<ConnectionTap>) -> Self {
        self.tap = tap;
        self
    }

    /// Subscribes. The first time it resolves with the answer, and what arrives before it is kept for `poll_event`.
    pub(super) async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        if matches!(self.first_answer, FirstAnswer::Taken) {
            self.instruments.ask_for(instruments);
        } else {
            self.instruments.ask_for_all(instruments);
        }
        self.partings_left = MOST_PARTINGS;
        self.ask(instruments);
        if matches!(self.first_answer, FirstAnswer::Taken) {
            self.quality.begin_anew(instruments, self.session.is_awaiting());
            return self.send_queued().await.map(|()| Subscribed::default());
        }
        if self.session.is_awaiting() {
            self.outbox.expect_answer();
        } else {
            // A venue that answers nothing: what it was asked for counts as in effect once everything has left.
            self.first_answer = FirstAnswer::Came(Ok(Subscribed {
                accepted: instruments.to_vec(),
                ..Subscribed::default()
            }));
        }
        poll_fn(|cx| self.poll_first_answer(cx)).await
    }

    pub(super) async fn unsubscribe(&mut self, instruments: &[Instrument]) -> Result<(), Failure> {
        self.instruments.leave_out(instruments);
        self.quality.forget_books(instruments);
        self.outbox.queue(self.session.unsubscribe(instruments));
        self.send_queued().await
    }

    /// The next event; `None` after the one that tells the end. Loses nothing when it is not polled again.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<MarketEvent>> {
        loop {
            let event = self.queue.pop_front();
            if let Some(MarketEvent::Frame(frame)) = &event {
                self.queued_bytes = self.queued_bytes.saturating_sub(receive::queue_cost(&frame.payload));
            }
            // As it is: taken apart and put together again, it is moved byte by byte.
            if event.is_some() {
                return Poll::Ready(event);
            }
            if self.ended.is_some() {
                return Poll::Ready(None);
            }
            ready!(self.poll_progress(cx));
        }
    }

    fn poll_first_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Subscribed, Failure>> {
        loop {
            if self.outbox.requests_left() == 0
                && matches!(self.first_answer, FirstAnswer::Came(_))
                && let FirstAnswer::Came(answer) = std::mem::replace(&mut self.first_answer, FirstAnswer::Taken)
            {
                return Poll::Ready(answer);
            }
            if let Some(failure) = &self.ended {
                return Poll::Ready(Err(failure.clone()));
            }
            ready!(self.poll_progress(cx));
        }
    }

    /// Reads one message, or else sends and judges what is due. Pending only when there is nothing to do.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // One read of the socket may hold thousands of frames: each of them counts, so that a flood leaves the others their turn.
        let turn = ready!(coop::poll_proceed(cx));
        // What is there to read comes first: after a pause it may be the very thing that a clock misses.
        let arrived = match self.socket.get_mut().poll_next(cx) {
            Poll::Ready(Next::Text(message)) => Poll::Ready(Some(message)),
            Poll::Ready(Next::Other) => Pin::new(&mut self.socket).poll_next(cx),
            Poll::Pending => Poll::Pending,
        };
        // A part of a frame is a sign of life as well: a pong queues behind it, however long it takes.
        let bytes_read = self.socket.get_ref().bytes_read();
        if std::mem::replace(&mut self.bytes_read, bytes_read) != bytes_read {
            self.clocks.received();
            self.of_arrival = 0;
        }
        let read = match arrived {
            Poll::Ready(Some(Ok(message))) => Some(self.on_message(message)),
            Poll::Ready(Some(Err(error))) => {
                self.end_of_reading(failure::of_socket(&error));
                return Poll::Ready(());
            }
            Poll::Ready(None) => {
                self.end_of_reading(Cause::Eof.into());
                return Poll::Ready(());
            }
            Poll::Pending => None,
        };
        if let Some(failure) = self.take_write_failure() {
            self.break_down(failure);
        }
        if let Some(failure) = self.broken.take_if(|_| read.is_none()) {
            self.end(failure);
            return Poll::Ready(());
        }
        if !self.outbox.is_empty() {
            self.send_due(cx);
        }
        if self.clocks.is_unsent() {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.clocks.flushed(),
                Poll::Ready(Err(error)) => {
                    self.break_down(failure::of_socket(&error));
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
        }
        self.follow_options();
        // A flood of messages must not keep the pings back, so the clocks are looked at in either case.
        let due = self.outbox.due().into_iter().fold(self.clocks.next(), Instant::min);
        if let Some(at) = read {
            if due <= at {
                self.on_due(at, cx);
            }
        } else {
            if self.timer.deadline() != due.into() {
                self.timer.as_mut().reset(due.into());
            }
            // A message of many fragments may have taken all turns: time passes all the same.
            ready!(pin!(coop::unconstrained(self.timer.as_mut())).poll(cx));
            self.on_due(Moment::now().mono, cx);
        }
        turn.made_progress();
        Poll::Ready(())
    }

    /// A change of the time limits reaches the open connection.
    fn follow_options(&mut self) {
        if self.followed.has_changed().unwrap_or(false) {
            let options = self.followed.borrow_and_update().clone();
            (self.send_timeout, self.close_timeout) = (options.send_timeout, options.close_timeout);
            self.clocks.follow(limits(&*self.venue, &options));
        }
    }

    fn on_due(&mut self, now: Instant, cx: &mut Context<'_>) {
        while let Some(due) = self.clocks.due(now) {
            match due {
                Due::Lost(cause, detail) => return self.end(Failure::new(cause).with_detail(detail)),
                Due::AnswerOver if !matches!(self.first_answer, FirstAnswer::Taken) => self.go_on_without_the_rest(),
                Due::AnswerOver => {
                    let unanswered = self.session.give_up();
                    if unanswered.is_empty() {
                        continue;
                    }
                    self.quality.goes_on_with(&unanswered);
                    self.queue.push_back(MarketEvent::Subscribed(Subscribed {
                        unanswered,
                        ..Subscribed::default()
                    }));
                }
                Due::Ping => {
                    if let Err(error) = self.send_ping(now, cx) {
                        return self.break_down(failure::of_socket(&error));
                    }
                }
            }
        }
    }

    /// Where the first subscription was answered in part, those that were accepted go on. Where all that came was refused, that is the
    /// answer; where nothing came, whoever waits for the answer gives up.
    fn go_on_without_the_rest(&mut self) {
        let FirstAnswer::Awaited(came) = &mut self.first_answer else {
            return;
        };
        let (mut answer, refusal) = std::mem::take(&mut **came);
        self.first_answer = match refusal {
            None if answer.accepted.is_empty() => return,
            Some(refusal) if answer.accepted.is_empty() => FirstAnswer::Came(Err(refusal)),
            _ => {
                answer.unanswered = self.session.give_up();
                FirstAnswer::Came(Ok(answer))
            }
        };
    }

    fn send_ping(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), tungstenite::Error> {
        if self.closing || self.broken.is_some() {
            return Ok(());
        }
        match self.poll_room(cx) {
            Poll::Ready(room) => room?,
            // What is in the way has a time limit of its own.
            Poll::Pending => return Ok(()),
        }
        let socket = Pin::new(&mut self.socket);
        let bytes = match &self.ping {
            Ping::Text(text) => {
                let text = text.as_ref();
                socket.start_send(Message::text(text))?;
                if let Some(tap) = &self.tap {
                    tap.sent(Moment::now(), text);
                }
                text.len()
            }
            Ping::Frame => {
                socket.start_send(Message::Ping(Bytes::new()))?;
                0
            }
        };
        if let Some(failure) = self.take_write_failure() {
            self.break_down(failure);
            return Ok(());
        }
        if self.ping == Ping::Frame {
            self.cells.control_frame(Opcode::Ping, Direction::Sent);
        }
        self.cells.frame_sent(bytes);
        self.clocks.pinged(now);
        Ok(())
    }

    /// Nothing can be sent any more: the venue is gone, but what it sent before may wait to be read, and may say why.
    fn break_down(&mut self, failure: Failure) {
        self.clocks.flushed();
        self.broken.get_or_insert(failure);
    }

    fn take_write_failure(&mut self) -> Option<Failure> {
        let error = self.socket.get_mut().take_write_error()?;
        Some(failure::of_io(&error))
    }

    /// There is nothing more to read. What went wrong before is the reason.
    fn end_of_reading(&mut self, failure: Failure) {
        let failure = self.broken.take().unwrap_or(failure);
        self.end(failure);
    }

    /// Ends, for the first reason that is given.
    fn end(&mut self, failure: Failure) {
        if self.ended.is_none() {
            let (cause, detail) = (failure.cause, failure.detail.clone());
            self.queue.push_back(MarketEvent::Disconnected {
                cause,
                detail,
                instruments: Vec::new(),
            });
            self.ended = Some(failure);
        }
    }

    fn tell(&self, at: Moment, fact: &Fact) {
        self.observer.observe(at, fact);
    }
}

fn limits(venue: &dyn Venue, options: &TransportOptions) -> Limits {
    Limits {
        ping_interval: options.ping_interval.unwrap_or_else(|| venue.heartbeat().interval),
        pong_timeout: options.pong_timeout,
        subscribe_timeout: options.subscribe_timeout,
        send_timeout: options.send_timeout,
    }
}
