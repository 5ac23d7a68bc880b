//! What waits to be sent at the venue's rate: requests, and replies to what it asked.

use super::{Connection, FirstAnswer};
use crate::clock::Moment;
use crate::market::{Failure, Instrument};
use crate::stream::failure;
use crate::stream::pace::Pace;
use crate::supervise::{DialLimit, later};
use futures_util::Sink;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::{self, Message};

/// So many requests may wait for their turn behind those of the first subscription.
const MOST_REQUESTS: usize = 1000;

/// So many replies wait at most; the oldest gives way.
const MOST_REPLIES: usize = 64;

/// A reply waits no longer behind another, however few requests the venue takes: whoever wants it ends the connection without it.
/// No venue that is known waits for less than ten seconds.
const REPLY_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Outbox {
    requests: VecDeque<String>,
    /// Replies that have not left, no two the same: who asks ten times before it reads gets one.
    replies: VecDeque<String>,
    /// Of both.
    pace: Pace,
    last_reply: Option<Instant>,
    /// What left last was a reply: a request is next, so that who asks without end keeps nothing else back.
    has_replied: bool,
    /// The answer to the requests is awaited from when the last one leaves.
    expects_answer: bool,
}

impl Outbox {
    pub(super) fn new(limit: Option<DialLimit>) -> Self {
        Self {
            requests: VecDeque::new(),
            replies: VecDeque::new(),
            pace: Pace::new(limit),
            last_reply: None,
            has_replied: false,
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

    /// When the next text may leave, if one has to wait for its turn. One whose turn has come waits for the socket.
    pub(super) fn due(&self) -> Option<Instant> {
        let request = self.pace.due().filter(|_| !self.requests.is_empty());
        let reply = self.reply_due().filter(|_| !self.replies.is_empty());
        let due = request.into_iter().chain(reply).min()?;
        Some(due).filter(|due| *due > Moment::now().mono)
    }

    /// When a reply may leave: in its turn, and not much later. `None` = at once.
    fn reply_due(&self) -> Option<Instant> {
        Some(self.pace.due()?.min(later(self.last_reply?, REPLY_INTERVAL)))
    }

    fn may_reply(&self, now: Instant) -> bool {
        !self.replies.is_empty() && self.reply_due().is_none_or(|due| due <= now)
    }

    fn may_ask(&self, now: Instant) -> bool {
        !self.requests.is_empty() && self.pace.allows(now)
    }

    /// What may leave now: a reply before a request, and no two of them before one.
    fn next(&mut self, now: Instant) -> Option<String> {
        let replies = self.may_reply(now) && !(self.has_replied && self.may_ask(now));
        if !replies && !self.may_ask(now) {
            return None;
        }
        // One that is out of turn takes none away.
        if self.pace.allows(now) {
            self.pace.sent(now);
        }
        self.has_replied = replies;
        if replies {
            self.last_reply = Some(now);
            self.replies.pop_front()
        } else {
            self.requests.pop_front()
        }
    }

    fn has_next(&self, now: Instant) -> bool {
        self.may_reply(now) || self.may_ask(now)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    /// Asks for these. The first answer has a time limit already, that of its dial; each later one gets its own.
    pub(super) fn ask(&mut self, instruments: &[Instrument]) {
        self.outbox.queue(self.session.subscribe(instruments));
        if matches!(self.first_answer, FirstAnswer::Taken) {
            self.outbox.expect_answer();
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    /// What leaves within so many seconds, looked at ten times a second: `r` for each reply, `q` for each request.
    fn left(outbox: &mut Outbox, start: Instant, seconds: u64) -> String {
        let mut left = String::new();
        for tenth in 0..seconds * 10 {
            let now = later(start, Duration::from_millis(100 * tenth));
            while let Some(text) = outbox.next(now) {
                left += &text[..1];
            }
            assert!(!outbox.has_next(now));
        }
        left
    }

    fn full(per_second: f64, burst: u32) -> Outbox {
        let mut outbox = Outbox::new(Some(DialLimit { per_second, burst }));
        outbox.queue((0..8).map(|number| format!("q{number}")).collect());
        for number in 0..8 {
            outbox.reply(format!("r{number}"));
            outbox.reply("r0".to_owned());
        }
        outbox
    }

    #[test]
    fn replies_and_requests_share_the_rate_and_take_turns() {
        let now = Moment::now().mono;
        assert_eq!(
            left(&mut full(2.0, 4), now, 4),
            "rqrqrqrqrqr",
            "four, and three seconds more"
        );
        let mut unlimited = Outbox::new(None);
        unlimited.reply("r".to_owned());
        unlimited.queue(vec!["q".to_owned(); 3]);
        assert_eq!(left(&mut unlimited, now, 1), "rqqq");
    }

    #[test]
    fn a_reply_does_not_wait_for_a_venue_that_takes_hardly_any_request() {
        let now = Moment::now().mono;
        assert_eq!(left(&mut full(0.12, 1), now, 11), "rrqr", "one in five seconds");
        let mut asked = Outbox::new(Some(DialLimit {
            per_second: 0.1,
            burst: 1,
        }));
        asked.queue(vec!["q".to_owned(); 3]);
        assert_eq!(left(&mut asked, now, 1), "q");
        asked.reply("r".to_owned());
        assert_eq!(left(&mut asked, later(now, Duration::from_secs(1)), 1), "r", "at once");
    }
}
