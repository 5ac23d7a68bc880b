//! The way of nearly every event: the stream is live, and nothing is to be minded but what the connection brings.
//!
//! What the driver looks at before it receives changes seldom, and looking at all of it for each frame cost more than reading
//! the frame. So it is looked at once, and then not again before the first of all deadlines, before something else than a frame
//! comes, or before the consumer asks for something. A deadline that data has moved on is looked at too early, which is harmless.

use super::{Action, MarketDataStream, Moment, Observer, ReconnectingDataStream};
use crate::market::{Frame, MarketEvent};
use crate::stream::isolation::poll_caught;
use crate::stream::slot::Step;
use crate::supervise::Renewal;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calm {
    No,
    Until(Instant),
    /// Nothing is ever due.
    ForGood,
}

impl Calm {
    const fn due(self) -> Option<Instant> {
        match self {
            Self::Until(due) => Some(due),
            Self::No | Self::ForGood => None,
        }
    }
}

impl<S: MarketDataStream + 'static, O: Observer> ReconnectingDataStream<S, O> {
    /// After everything was looked at: whether nothing else is under way, or waits for its turn. `due`: the first of all deadlines, for
    /// which the timer is set.
    pub(super) fn calm_until(&self, action: Action, due: Option<Instant>) -> Calm {
        let is_calm = matches!(action, Action::Receive { .. })
            && !self.slot.is_busy()
            && !self.second.is_busy()
            && matches!(self.supervisor.renewal(), Renewal::None | Renewal::Wait { .. })
            && self.wish.is_none()
            && self.turn_due().is_none();
        match due {
            _ if !is_calm => Calm::No,
            Some(due) => Calm::Until(due),
            None => Calm::ForGood,
        }
    }

    /// The next event of the connection. `None`: something has to be looked at. Cancel-safe.
    pub(super) async fn next_in_calm(&mut self) -> Option<MarketEvent> {
        let due = self.calm.due();
        let mut event = Poll::Pending;
        let received = {
            let mut next = pin!(self.slot.at_hand_mut()?.next_event());
            let mut elapsed = pin!(self.timer.elapsed());
            // What is there to read comes before what is due.
            poll_fn(|cx| match poll_caught(next.as_mut(), cx, &mut event) {
                Ok(()) if event.is_ready() => Poll::Ready(Ok(())),
                Ok(()) if due.is_some() => elapsed.as_mut().poll(cx).map(Ok),
                Ok(()) => Poll::Pending,
                Err(panic) => Poll::Ready(Err(panic)),
            })
            .await
        };
        if let Poll::Ready(Some(MarketEvent::Frame(frame))) = &event {
            self.on_frame(frame);
        } else {
            return self.leave_calm(event, received.err());
        }
        match event {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// Something else than a frame came, or the first deadline.
    #[cold]
    fn leave_calm(&mut self, event: Poll<Option<MarketEvent>>, panic: Option<String>) -> Option<MarketEvent> {
        self.calm = Calm::No;
        if let Some(panic) = panic {
            let lost = self.slot.lose(panic);
            return self.on_step(Step::Event(Some(lost)));
        }
        if let Poll::Ready(event) = event {
            return self.on_step(Step::Event(event));
        }
        self.on_due(self.supervisor.action());
        None
    }

    /// Takes note of a frame.
    pub(super) fn on_frame(&mut self, frame: &Frame) {
        let is_early = |at: &Moment| frame.received.mono < at.mono;
        let at = self.succeeded.filter(is_early).unwrap_or(frame.received);
        if frame.is_data && !self.supervisor.goes_on(at.mono) {
            self.apply(super::Input::Data, at);
        }
        match self.calm {
            Calm::ForGood => {}
            Calm::Until(due) if at.mono < due => {}
            // A flood must keep back neither the verdict nor a renewal: where there is always more to read, this is the second look.
            Calm::No | Calm::Until(_) => {
                self.calm = Calm::No;
                self.judge(at);
                self.renew_if_due(at);
            }
        }
    }
}
