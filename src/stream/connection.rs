//! One open WebSocket connection: frames, the subscription dialogue, and its clocks.
//!
//! Three clocks run apart, since one that heartbeats feed would never notice dead data: the transport's (any frame, judged
//! here against the pings), the data's (data frames, judged by the supervisor), and the venue's lag (in the metrics).

mod close;
mod receive;

use super::clocks::{Clocks, Due, Limits};
use super::deadline::by;
use super::failure;
use super::tls::MaybeTls;
use super::{Fact, Observer, TransportOptions};
use crate::clock::Moment;
use crate::market::{Cause, Failure, Instrument, MarketEvent, Subscribed};
use crate::metrics::{Direction, Opcode, SocketInstruments, StreamCells};
use crate::supervise::later;
use crate::venue::{Ping, Session, Venue};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream as Socket;
use tokio_tungstenite::tungstenite::{self, Message};

pub(super) struct Connection<Io> {
    socket: Socket<MaybeTls<Io>>,
    venue: &'static dyn Venue,
    ping: Ping,
    session: Box<dyn Session>,
    send_timeout: Duration,
    close_timeout: Duration,
    /// What may wait for the consumer while the first subscription is not answered.
    queue_limit: usize,
    cells: Arc<StreamCells>,
    instruments: SocketInstruments,
    observer: Arc<dyn Observer>,
    /// Read, and not yet yielded.
    queue: VecDeque<MarketEvent>,
    queued_bytes: usize,
    /// Why it ended. Nothing is read any more.
    ended: Option<Failure>,
    /// Whether a close frame was sent or received: the first one decides, and nothing is sent after it.
    closing: bool,
    first_answer: FirstAnswer,
    bytes_read: u64,
    clocks: Clocks,
    timer: Pin<Box<Sleep>>,
}

/// Before a connection is live, the answer is what `subscribe` waits for; later it is an event.
enum FirstAnswer {
    Awaited,
    Came(Result<Subscribed, Failure>),
    Taken,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    pub(super) fn new(
        socket: Socket<MaybeTls<Io>>,
        venue: &'static dyn Venue,
        options: &TransportOptions,
        cells: Arc<StreamCells>,
        instruments: SocketInstruments,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let heartbeat = venue.heartbeat();
        let limits = Limits {
            ping_interval: options.ping_interval.unwrap_or(heartbeat.interval),
            pong_timeout: options.pong_timeout,
            subscribe_timeout: options.subscribe_timeout,
            send_timeout: options.send_timeout,
        };
        let clocks = Clocks::new(limits, Moment::now().mono);
        Self {
            bytes_read: socket.get_ref().bytes_read(),
            socket,
            venue,
            ping: heartbeat.ping,
            session: venue.session(),
            send_timeout: options.send_timeout,
            close_timeout: options.close_timeout,
            queue_limit: options.max_message_bytes,
            cells,
            instruments,
            observer,
            queue: VecDeque::new(),
            queued_bytes: 0,
            ended: None,
            closing: false,
            first_answer: FirstAnswer::Awaited,
            timer: Box::pin(sleep_until(clocks.next().into())),
            clocks,
        }
    }

    /// Subscribes. The first time it resolves with the answer, and what arrives before it is kept for `poll_event`.
    pub(super) async fn subscribe(&mut self, instruments: &[Instrument]) -> Result<Subscribed, Failure> {
        if matches!(self.first_answer, FirstAnswer::Taken) {
            self.instruments.ask_for(instruments);
        } else {
            self.instruments.ask_for_all(instruments);
        }
        for request in self.session.subscribe(instruments) {
            self.send(request).await?;
        }
        if matches!(self.first_answer, FirstAnswer::Taken) {
            self.clocks.asked(Moment::now().mono);
            return Ok(Subscribed::default());
        }
        poll_fn(|cx| self.poll_first_answer(cx)).await
    }

    pub(super) async fn unsubscribe(&mut self, instruments: &[Instrument]) -> Result<(), Failure> {
        self.instruments.leave_out(instruments);
        for request in self.session.unsubscribe(instruments) {
            self.send(request).await?;
        }
        Ok(())
    }

    /// The next event; `None` after the one that tells the end. Loses nothing when it is not polled again.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<MarketEvent>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                if let MarketEvent::Frame(frame) = &event {
                    self.queued_bytes = self.queued_bytes.saturating_sub(receive::queue_cost(&frame.payload));
                }
                return Poll::Ready(Some(event));
            }
            if self.ended.is_some() {
                return Poll::Ready(None);
            }
            ready!(self.poll_progress(cx));
        }
    }

    fn poll_first_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Subscribed, Failure>> {
        loop {
            if let FirstAnswer::Came(answer) = std::mem::replace(&mut self.first_answer, FirstAnswer::Awaited) {
                self.first_answer = FirstAnswer::Taken;
                return Poll::Ready(answer);
            }
            if let Some(failure) = &self.ended {
                return Poll::Ready(Err(failure.clone()));
            }
            ready!(self.poll_progress(cx));
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Failure> {
        let bytes = text.len();
        let due = later(Moment::now().mono, self.send_timeout);
        match by(due, self.socket.send(Message::text(text))).await {
            Some(Ok(())) => {
                self.cells.frame_sent(bytes);
                Ok(())
            }
            Some(Err(error)) => Err(failure::of_socket(&error)),
            None => Err(Cause::SendTimeout.into()),
        }
    }

    /// Reads one message, or else sends and judges what is due. Pending only when there is nothing to do.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // One read of the socket may hold thousands of frames: each of them counts, so that a flood leaves the others their turn.
        let turn = ready!(coop::poll_proceed(cx));
        // What is there to read comes first: after a pause it may be the very thing that a clock misses.
        let arrived = Pin::new(&mut self.socket).poll_next(cx);
        // A part of a frame is a sign of life as well: a pong queues behind it, however long it takes.
        let bytes_read = self.socket.get_ref().bytes_read();
        if std::mem::replace(&mut self.bytes_read, bytes_read) != bytes_read {
            self.clocks.received();
        }
        let read = match arrived {
            Poll::Ready(Some(Ok(message))) => Some(self.on_message(message)),
            Poll::Ready(Some(Err(error))) => {
                self.end(failure::of_socket(&error));
                return Poll::Ready(());
            }
            Poll::Ready(None) => {
                self.end(Cause::Eof.into());
                return Poll::Ready(());
            }
            Poll::Pending => None,
        };
        if self.clocks.is_unsent() {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.clocks.flushed(),
                Poll::Ready(Err(error)) => {
                    self.end(failure::of_socket(&error));
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
        }
        // A flood of messages must not keep the pings back, so the clocks are looked at in either case.
        let due = self.clocks.next();
        if let Some(at) = read {
            if due <= at {
                self.on_due(at, cx);
            }
        } else {
            if self.timer.deadline() != due.into() {
                self.timer.as_mut().reset(due.into());
            }
            ready!(self.timer.as_mut().poll(cx));
            self.on_due(Moment::now().mono, cx);
        }
        turn.made_progress();
        Poll::Ready(())
    }

    fn on_due(&mut self, now: Instant, cx: &mut Context<'_>) {
        while let Some(due) = self.clocks.due(now) {
            match due {
                Due::Lost(cause, detail) => return self.end(Failure::new(cause).with_detail(detail)),
                Due::AnswerOver => {
                    let unanswered = self.session.give_up();
                    if unanswered.is_empty() {
                        continue;
                    }
                    self.queue.push_back(MarketEvent::Subscribed(Subscribed {
                        unanswered,
                        ..Subscribed::default()
                    }));
                }
                Due::Ping => {
                    if let Err(error) = self.send_ping(now, cx) {
                        return self.end(failure::of_socket(&error));
                    }
                }
            }
        }
    }

    fn send_ping(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), tungstenite::Error> {
        if self.closing {
            return Ok(());
        }
        let mut socket = Pin::new(&mut self.socket);
        match socket.as_mut().poll_ready(cx) {
            Poll::Ready(ready) => ready?,
            // What is in the way has a time limit of its own.
            Poll::Pending => return Ok(()),
        }
        let bytes = match self.ping {
            Ping::Text(text) => {
                socket.start_send(Message::text(text))?;
                text.len()
            }
            Ping::Frame => {
                socket.start_send(Message::Ping(Bytes::new()))?;
                self.cells.control_frame(Opcode::Ping, Direction::Sent);
                0
            }
        };
        self.cells.frame_sent(bytes);
        self.clocks.pinged(now);
        Ok(())
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
