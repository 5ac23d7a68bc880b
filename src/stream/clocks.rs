//! The transport's clocks of one connection: when to ping, and when silence or a frame that does not leave ends it. Pure.

use super::deadline::Deadline;
use crate::market::Cause;
use crate::supervise::later;
use std::time::{Duration, Instant};

/// The time limits of one connection.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) ping_interval: Duration,
    pub(super) pong_timeout: Duration,
    pub(super) subscribe_timeout: Duration,
    pub(super) send_timeout: Duration,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The connection is lost.
    Lost(Cause, &'static str),
    /// The answer to a change of subscriptions is awaited no longer.
    AnswerOver,
    /// A ping.
    Ping,
}

/// The pings whose pongs have not come. Pongs do not say what they answer.
#[derive(Debug)]
enum Unanswered {
    None,
    /// It left then.
    One(Instant),
    Several,
}

#[derive(Debug)]
pub(super) struct Clocks {
    limits: Limits,
    ping_due: Instant,
    /// A ping left, and nothing at all has come since: pongs queue behind data.
    silence: Option<Deadline>,
    unanswered: Unanswered,
    /// Something waits to leave.
    unsent: Option<Deadline>,
    /// The answer to a change of subscriptions is awaited.
    answer: Option<Deadline>,
    /// The answer to a close frame is awaited.
    end: Option<Deadline>,
}

impl Clocks {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let ping_due = later(now, limits.ping_interval);
        Self {
            limits,
            ping_due,
            silence: None,
            unanswered: Unanswered::None,
            unsent: None,
            answer: None,
            end: None,
        }
    }

    /// Other limits from now on. The next ping is due so long after the last one; what is awaited already keeps its deadline.
    pub(super) fn follow(&mut self, limits: Limits) {
        let before = std::mem::replace(&mut self.limits, limits);
        if let Some(last) = self.ping_due.checked_sub(before.ping_interval) {
            self.ping_due = later(last, self.limits.ping_interval);
        }
    }

    /// A frame of any kind came, or a part of one.
    pub(super) const fn received(&mut self) {
        self.silence = None;
    }

    /// Something was queued, and leaves with the next flush.
    pub(super) fn queued(&mut self, now: Instant) {
        let due = later(now, self.limits.send_timeout);
        self.unsent.get_or_insert(Deadline::new(due));
    }

    /// Everything has left.
    pub(super) const fn flushed(&mut self) {
        self.unsent = None;
    }

    pub(super) const fn is_unsent(&self) -> bool {
        self.unsent.is_some()
    }

    /// A ping was queued.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.queued(now);
        let due = later(now, self.limits.pong_timeout);
        self.silence.get_or_insert(Deadline::new(due));
        self.unanswered = match self.unanswered {
            Unanswered::None => Unanswered::One(now),
            Unanswered::One(_) | Unanswered::Several => Unanswered::Several,
        };
    }

    /// A pong came; the time since its ping, where it is known which one that was.
    pub(super) fn ponged(&mut self, now: Instant) -> Option<Duration> {
        match std::mem::replace(&mut self.unanswered, Unanswered::None) {
            Unanswered::One(pinged_at) => Some(now.saturating_duration_since(pinged_at)),
            Unanswered::None | Unanswered::Several => None,
        }
    }

    /// A change of subscriptions was asked for.
    pub(super) fn asked(&mut self, now: Instant) {
        self.answer = Some(Deadline::new(later(now, self.limits.subscribe_timeout)));
    }

    /// The first subscription was asked for, whose answer may come in parts. Who waits for it gives up a little later: until then
    /// it has to be known which parts there are.
    pub(super) fn asked_first(&mut self, now: Instant) {
        let limit = self.limits.subscribe_timeout;
        self.answer = Some(Deadline::new(later(now, limit.mul_f64(0.9))));
    }

    /// A close frame was sent, whose answer may take so long.
    pub(super) fn hung_up(&mut self, now: Instant, limit: Duration) {
        self.end = Some(Deadline::new(later(now, limit)));
    }

    /// When the clocks want to be looked at next.
    pub(super) fn next(&self) -> Instant {
        [self.silence, self.unsent, self.answer, self.end]
            .iter()
            .flatten()
            .map(Deadline::next)
            .fold(self.ping_due, Instant::min)
    }

    /// What is due at `now`; call it until nothing is. A ping or an answer is due once.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let over = |deadline: &mut Option<Deadline>| deadline.as_mut().is_some_and(|deadline| deadline.is_over(now));
        if over(&mut self.silence) {
            return Some(Due::Lost(
                Cause::PongTimeout,
                "nothing came in time after a ping, not even its pong",
            ));
        }
        if over(&mut self.unsent) {
            return Some(Due::Lost(Cause::SendTimeout, "the venue stopped reading"));
        }
        if over(&mut self.end) {
            return Some(Due::Lost(Cause::Planned, "the venue did not answer the close frame"));
        }
        if over(&mut self.answer) {
            self.answer = None;
            return Some(Due::AnswerOver);
        }
        (self.ping_due <= now).then(|| {
            self.ping_due = later(now, self.limits.ping_interval);
            Due::Ping
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// What is between the two looks, where the first one is in time.
    const LOOK: Duration = Duration::from_millis(1);

    fn clocks() -> (Clocks, Instant) {
        let limits = Limits {
            ping_interval: secs(10),
            pong_timeout: secs(20),
            subscribe_timeout: secs(7),
            send_timeout: secs(5),
        };
        let now = Moment::now().mono;
        (Clocks::new(limits, now), now)
    }

    #[test]
    fn other_limits_move_the_next_ping_and_no_deadline_that_runs() {
        let (mut clocks, now) = clocks();
        assert_eq!(clocks.due(now + secs(10)), Some(Due::Ping));
        clocks.pinged(now + secs(10));
        clocks.flushed();
        clocks.follow(Limits {
            ping_interval: secs(3),
            pong_timeout: secs(1),
            ..clocks.limits.clone()
        });
        assert_eq!(clocks.next(), now + secs(13), "three seconds after the last one");
        assert_eq!(
            clocks.due(now + secs(29)),
            Some(Due::Ping),
            "and the pong is awaited until 30"
        );
        clocks.received();
        clocks.pinged(now + secs(29));
        clocks.flushed();
        assert_eq!(clocks.next(), now + secs(30));
    }

    #[test]
    fn a_ping_is_due_once_an_interval() {
        let (mut clocks, now) = clocks();
        assert_eq!((clocks.next(), clocks.due(now)), (now + secs(10), None));
        assert_eq!(clocks.due(now + secs(10)), Some(Due::Ping));
        assert_eq!((clocks.next(), clocks.due(now + secs(10))), (now + secs(20), None));
    }

    #[test]
    fn a_ping_that_nothing_follows_ends_the_connection_and_any_frame_saves_it() {
        let (mut clocks, now) = clocks();
        for ping in [10, 20] {
            assert_eq!(clocks.due(now + secs(ping)), Some(Due::Ping));
            clocks.pinged(now + secs(ping));
            clocks.flushed();
        }
        assert_eq!(clocks.due(now + secs(30)), Some(Due::Ping));
        clocks.pinged(now + secs(30));
        assert!(
            matches!(
                clocks.due(now + secs(30) + LOOK),
                Some(Due::Lost(Cause::PongTimeout, _))
            ),
            "from the first ping on"
        );
        clocks.received();
        assert_eq!(clocks.due(now + secs(39)), None);
    }

    #[test]
    fn several_that_passed_while_nobody_looked_are_judged_a_second_later_and_a_ping_leaves_at_once() {
        let (mut clocks, now) = clocks();
        clocks.pinged(now);
        clocks.asked(now);
        let woken = now + secs(60);
        assert_eq!(clocks.due(woken), Some(Due::Ping));
        assert_eq!((clocks.due(woken), clocks.next()), (None, woken + secs(1)));
        clocks.flushed();
        clocks.received();
        assert_eq!(clocks.due(woken + secs(1)), Some(Due::AnswerOver));
        assert_eq!((clocks.due(woken + secs(1)), clocks.next()), (None, woken + secs(10)));
    }

    #[test]
    fn a_frame_that_does_not_leave_ends_the_connection() {
        let (mut clocks, now) = clocks();
        clocks.queued(now);
        clocks.queued(now + secs(3));
        assert_eq!(clocks.next(), now + secs(5), "counted from the first that waits");
        assert_eq!(clocks.due(now + secs(5)), None, "the first look");
        assert_eq!(clocks.next(), now + secs(5) + LOOK);
        assert!(matches!(
            clocks.due(now + secs(5) + LOOK),
            Some(Due::Lost(Cause::SendTimeout, _))
        ));
        clocks.flushed();
        assert_eq!(clocks.due(now + secs(6)), None);
    }

    #[test]
    fn an_answer_is_awaited_so_long_and_given_up_once() {
        let (mut clocks, now) = clocks();
        clocks.asked(now);
        assert_eq!(clocks.due(now + secs(7)), None, "the first look");
        assert_eq!(clocks.due(now + secs(7) + LOOK), Some(Due::AnswerOver));
        assert_eq!(clocks.due(now + secs(7) + LOOK), None);
    }

    #[test]
    fn an_answer_to_a_close_frame_is_awaited_for_so_long() {
        let (mut clocks, now) = clocks();
        clocks.hung_up(now, secs(2));
        assert_eq!((clocks.next(), clocks.due(now + secs(2))), (now + secs(2), None));
        assert!(matches!(
            clocks.due(now + secs(2) + LOOK),
            Some(Due::Lost(Cause::Planned, _))
        ));
    }

    #[test]
    fn a_round_trip_is_measured_once_and_only_where_it_is_known_which_ping_was_answered() {
        let (mut clocks, now) = clocks();
        assert_eq!(clocks.ponged(now), None, "unasked");
        clocks.pinged(now);
        assert_eq!(clocks.ponged(now + secs(2)), Some(secs(2)));
        assert_eq!(clocks.ponged(now + secs(3)), None);
        // A pong has waited while nobody looked, and is read after the next ping was sent.
        clocks.pinged(now + secs(10));
        clocks.pinged(now + secs(70));
        assert_eq!(clocks.ponged(now + secs(70)), None);
        clocks.pinged(now + secs(80));
        assert_eq!(clocks.ponged(now + secs(81)), Some(secs(1)));
    }
}
