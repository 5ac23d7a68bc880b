//! How the connections of a stream add up to what is shown of it. Pure.

use super::figures::Figures;
use crate::supervise::{BreakerState, State};

/// What one connection is doing. Times are nanoseconds since the stream's origin; 0 = none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) state: State,
    /// The position in [`BreakerState::NAMES`].
    pub(super) breaker: u64,
    pub(super) open_until: u64,
    pub(super) delay: u64,
    pub(super) next_attempt: u64,
    pub(super) consecutive_failures: u64,
    /// Live without data for too long.
    pub(super) stale: bool,
    pub(super) desired: u64,
    pub(super) active: u64,
}

impl Connection {
    const NEW: Self = Self {
        state: State::Idle,
        breaker: 0,
        open_until: 0,
        delay: 0,
        next_attempt: 0,
        consecutive_failures: 0,
        stale: false,
        desired: 0,
        active: 0,
    };

    const fn is_observed(&self) -> bool {
        !matches!(self.state, State::Idle | State::Stopped)
    }
}

/// The connections of a stream, by number.
#[derive(Debug, Default)]
pub(super) struct Connections(Vec<(u32, Connection)>);

impl Connections {
    /// One that was never heard of is idle.
    pub(super) fn get(&self, number: u32) -> Connection {
        let known = self.0.iter().find(|(known, _)| *known == number);
        known.map_or(Connection::NEW, |(_, connection)| *connection)
    }

    /// Of the connections that have stopped at most one is kept, where there is no other: then the stream has stopped.
    pub(super) fn set(&mut self, number: u32, connection: Connection) {
        match self.0.iter_mut().find(|(known, _)| *known == number) {
            Some((_, known)) => *known = connection,
            None => self.0.push((number, connection)),
        }
        let ended = |(_, connection): &(u32, Connection)| connection.state == State::Stopped;
        if self.0.len() > 1 {
            if self.0.iter().all(ended) {
                self.0.truncate(1);
            } else {
                self.0.retain(|entry| !ended(entry));
            }
        }
    }

    /// Writes the sum into the figures.
    pub(super) fn add_up(&self, figures: &mut Figures) {
        let all = || self.0.iter().map(|(_, connection)| connection);
        let sum = |figure: fn(&Connection) -> u64| all().map(figure).fold(0, u64::saturating_add);
        let earliest = |figure: fn(&Connection) -> u64| all().map(figure).filter(|at| *at != 0).min().unwrap_or(0);

        let is_observed = all().any(Connection::is_observed);
        // Of a stream that runs, a connection that has not begun is as one that is dialling: what it carries is missing.
        let is_meant = |connection: &&Connection| connection.is_observed() || is_observed && connection.desired > 0;
        let state_of = |connection: &Connection| match connection.state {
            State::Idle => State::Connecting,
            state => state,
        };
        let state = all()
            .filter(is_meant)
            .map(state_of)
            .min_by_key(|state| rank(*state))
            .or_else(|| {
                all()
                    .map(|connection| connection.state)
                    .max_by_key(|state| *state == State::Stopped)
            });
        let breaker = all()
            .map(|connection| connection.breaker)
            .max_by_key(|breaker| severity(*breaker));
        let next = all().filter(|connection| connection.next_attempt != 0);

        figures.pack(
            state.unwrap_or(State::Idle),
            breaker.unwrap_or(0),
            all().any(|connection| connection.stale),
        );
        figures.open_until = earliest(|connection| connection.open_until);
        figures.next_attempt = earliest(|connection| connection.next_attempt);
        figures.delay = next
            .min_by_key(|connection| connection.next_attempt)
            .map_or(0, |next| next.delay);
        figures.consecutive_failures = all()
            .map(|connection| connection.consecutive_failures)
            .max()
            .unwrap_or(0);
        figures.live = sum(|connection| u64::from(connection.state == State::Live));
        figures.meant = all().filter(is_meant).count() as u64;
        figures.desired = sum(|connection| connection.desired);
        figures.active = sum(|connection| connection.active);
    }
}

/// The state of a stream is the worst of its connections': the one of the lowest rank.
const fn rank(state: State) -> u8 {
    match state {
        State::Stopped => 0,
        State::CoolingDown => 1,
        State::BackingOff => 2,
        State::Idle => 3,
        State::Connecting => 4,
        State::Subscribing => 5,
        State::Live => 6,
    }
}

/// Open is worse than half-open, which is worse than closed.
const fn severity(breaker: u64) -> u8 {
    match breaker {
        0 => 0,
        open if open == BreakerState::OPEN as u64 => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::seqlock::Plain;

    fn added_up(connections: &[Connection]) -> Figures {
        let mut all = Connections::default();
        for (number, connection) in (0..).zip(connections) {
            all.set(number, *connection);
        }
        let mut figures = Figures::ZERO;
        all.add_up(&mut figures);
        figures
    }

    fn in_state(state: State) -> Connection {
        Connection {
            state,
            desired: 5,
            active: if state == State::Live { 4 } else { 0 },
            ..Connection::NEW
        }
    }

    fn states(of: &[State]) -> Figures {
        added_up(&of.iter().copied().map(in_state).collect::<Vec<_>>())
    }

    #[test]
    fn a_stream_is_in_the_worst_state_of_its_connections_and_live_when_all_are() {
        use State::{BackingOff, Connecting, CoolingDown, Idle, Live, Stopped, Subscribing};
        for (of, state, live, meant) in [
            (&[][..], Idle, 0, 0),
            (&[Idle], Idle, 0, 0),
            (&[Idle, Idle], Idle, 0, 0),
            (&[Live, Live], Live, 2, 2),
            (&[Live, Subscribing], Subscribing, 1, 2),
            (&[Connecting, Subscribing], Connecting, 0, 2),
            (&[Live, BackingOff, Connecting], BackingOff, 1, 3),
            (&[CoolingDown, BackingOff], CoolingDown, 0, 2),
            (&[Stopped, Live], Live, 1, 1),
            (&[Stopped], Stopped, 0, 0),
            (&[Stopped, Stopped], Stopped, 0, 0),
        ] {
            let figures = states(of);
            assert_eq!(
                (figures.state(), figures.live, figures.meant),
                (state, live, meant),
                "{of:?}"
            );
        }
    }

    #[test]
    fn a_connection_that_has_not_begun_is_missed_unless_nothing_is_asked_of_it() {
        let figures = states(&[State::Live, State::Idle]);
        assert_eq!((figures.state(), figures.meant), (State::Connecting, 2));
        let spare = Connection {
            desired: 0,
            ..in_state(State::Idle)
        };
        let figures = added_up(&[in_state(State::Live), spare]);
        assert_eq!((figures.state(), figures.meant), (State::Live, 1));
    }

    #[test]
    fn the_breaker_is_open_if_one_is_and_closed_if_all_are() {
        let breaker = |breaker| Connection {
            breaker,
            ..in_state(State::Connecting)
        };
        for (of, whole) in [(&[0, 0][..], 0), (&[0, 1], 1), (&[2, 1], 1), (&[0, 2], 2), (&[2, 2], 2)] {
            let of: Vec<_> = of.iter().copied().map(breaker).collect();
            assert_eq!(added_up(&of).breaker(), whole, "{of:?}");
        }
    }

    #[test]
    fn subscriptions_add_up_the_next_dial_is_the_earliest_and_failures_are_those_of_the_worst() {
        let waiting = |open_until, delay, next_attempt, consecutive_failures| Connection {
            open_until,
            delay,
            next_attempt,
            consecutive_failures,
            ..in_state(State::BackingOff)
        };
        let figures = added_up(&[
            in_state(State::Live),
            waiting(0, 7, 90, 2),
            waiting(60, 9, 60, 1),
            waiting(70, 1, 70, 3),
        ]);
        assert_eq!((figures.delay, figures.next_attempt, figures.open_until), (9, 60, 60));
        assert_eq!(figures.consecutive_failures, 3);
        assert_eq!((figures.desired, figures.active), (20, 4));
        let none = states(&[State::Live]);
        assert_eq!((none.delay, none.next_attempt, none.open_until), (0, 0, 0));
    }

    #[test]
    fn a_live_stream_is_stale_if_one_connection_is() {
        let stale = Connection {
            stale: true,
            ..in_state(State::Live)
        };
        assert!(added_up(&[in_state(State::Live), stale]).is_stale());
        assert!(
            !added_up(&[in_state(State::Connecting), stale]).is_stale(),
            "down, and counted as that"
        );
    }
}
