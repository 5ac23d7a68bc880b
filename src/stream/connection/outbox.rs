//! What waits to be sent: requests at the venue's rate, and answers to what it asked.

use super::{Connection, FirstAnswer};
use crate::clock::Moment;
use crate::market::Failure;
use crate::stream::failure;
use crate::stream::pace::Pace;
use crate::supervise::DialLimit;
use futures_util::Sink;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::{self, Message};

/// So many requests may wait for their turn behind those of the first subscription.
const MOST_REQUESTS: usize = 1000;

/// So many replies wait at most; the oldest gives way.
const MOST_REPLIES: usize = 64;

#[derive(Debug)]
pub(super) struct Outbox {
    requests: VecDeque<String>,
    /// Replies that have not left, no two the same: who asks ten times before it reads gets one.
    replies: VecDeque<String>,
    pace: Pace,
    /// The answer to the requests is awaited from when the last one leaves.
    expects_answer: bool,
}

impl Outbox {
    pub(super) fn new(limit: Option<DialLimit>) -> Self {
        Self {
            requests: VecDeque::new(),
            replies: VecDeque::new(),
            pace: Pace::new(limit),
            expects_answer: false,
        }
    }

    pub(super) fn queue(&mut self, requests: Vec<String>) {
        self.requests.extend(requests);
    }

    pub(super) const fn expect_answer(&mut self) {
        self.expects_answer = true;
    }

    pub(super) fn reply(&mut self, text: String) {
        if self.replies.contains(&text) {
            return;
        }
        if self.replies.len() >= MOST_REPLIES {
            self.replies.pop_front();
        }
        self.replies.push_back(text);
    }

    pub(super) fn requests_left(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.replies.is_empty() && !self.expects_answer
    }

    /// When the next request may leave, if one has to wait for its turn. One whose turn has come waits for the socket.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.requests.is_empty() {
            return None;
        }
        self.pace.due().filter(|due| *due > Moment::now().mono)
    }

    /// What may leave now. A reply waits for no turn: it was asked for.
    fn next(&mut self, now: Instant) -> Option<String> {
        if let Some(reply) = self.replies.pop_front() {
            return Some(reply);
        }
        if !self.pace.allows(now) {
            return None;
        }
        let request = self.requests.pop_front()?;
        self.pace.sent(now);
        Some(request)
    }

    fn has_next(&self, now: Instant) -> bool {
        !self.replies.is_empty() || !self.requests.is_empty() && self.pace.allows(now)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    /// Resolves when all that may leave now has left; what is left waits for its turn, and leaves while the connection is polled.
    /// Where too much is left, whoever asks for more has to wait.
    pub(super) async fn send_queued(&mut self) -> Result<(), Failure> {
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if let Some(failure) = self.ended.as_ref().or(self.broken.as_ref()) {
                return Poll::Ready(Err(failure.clone()));
            }
            self.send_due(cx);
            let is_sent = !self.outbox.has_next(Moment::now().mono)
                && !self.clocks.is_unsent()
                && self.outbox.requests_left() <= MOST_REQUESTS;
            if is_sent || self.closing {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_progress(cx));
        }
    }

    /// Whether all that was handed over has left: before that nothing more is, so that beside the answers to pings no more than one
    /// message waits.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        let flushed = ready!(Pin::new(&mut self.socket).poll_flush(cx));
        Poll::Ready(flushed.map(|()| self.clocks.flushed()))
    }

    /// Hands over what may leave; it leaves with the next flush.
    pub(super) fn send_due(&mut self, cx: &mut Context<'_>) {
        if self.closing || self.broken.is_some() {
            return;
        }
        let moment = Moment::now();
        let now = moment.mono;
        while self.outbox.has_next(now) {
            match self.poll_room(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.break_down(failure::of_socket(&error)),
                // What is in the way has a time limit of its own.
                Poll::Pending => return,
            }
            let Some(text) = self.outbox.next(now) else { return };
            let bytes = text.len();
            if let Some(tap) = &self.tap {
                tap.sent(moment, &text);
            }
            if let Err(error) = Pin::new(&mut self.socket).start_send(Message::text(text)) {
                return self.break_down(failure::of_socket(&error));
            }
            if let Some(failure) = self.take_write_failure() {
                return self.break_down(failure);
            }
            self.cells.frame_sent(bytes);
            self.clocks.queued(now);
        }
        if self.outbox.requests.is_empty() && std::mem::take(&mut self.outbox.expects_answer) {
            if matches!(self.first_answer, FirstAnswer::Taken) {
                self.clocks.asked(now);
            } else {
                self.clocks.asked_first(now);
            }
        }
    }
}
