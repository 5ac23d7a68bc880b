//! Which of a stream's endpoints is dialled next. As pure as the supervisor.

use super::failing::Forbidden;
use super::machine::RETRY_AFTER_CAP;
use super::{BreakerState, Input, Notice, later};
use crate::market::{Cause, Failure};
use std::time::{Duration, Instant};

/// The endpoints of one connection, tried in turn: each failure, of an attempt or of a live connection, moves on to the next.
///
/// One that has turned this side away is passed over as long as another is left: for as long as it asked to be left alone, or
/// until the stream is live or its breaker opens where redialling would not heal it.
#[derive(Clone, Debug)]
pub struct Rotation {
    endpoints: Vec<Standing>,
    at: usize,
    /// The next dial is for another one.
    moves: bool,
}

/// How one endpoint has received this side.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Asked to be left alone until then.
    rest_until: Option<Instant>,
    forbidden: Forbidden,
    /// Failed in a way that redialling does not heal.
    refused: bool,
}

impl Standing {
    fn rest(&self, now: Instant) -> Option<Duration> {
        let rest = self.rest_until?.saturating_duration_since(now);
        (!rest.is_zero()).then_some(rest)
    }
}

impl Rotation {
    /// At the first of so many endpoints; none counts as one.
    pub fn new(endpoints: usize) -> Self {
        Self {
            endpoints: vec![Standing::default(); endpoints.max(1)],
            at: 0,
            moves: false,
        }
    }

    /// The endpoint that is dialled, or was last.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whether the next dial that is due goes to another endpoint, if one is better.
    pub(crate) const fn is_to_move(&self) -> bool {
        self.moves
    }

    /// Takes note of a failed attempt, and returns what the supervisor is to hear of it. Where another endpoint is left, a fatal
    /// cause trips nothing by itself; and the shortest wish to be left alone is the one that counts, none where one has none.
    pub fn judge(&mut self, mut failure: Failure, now: Instant) -> Input {
        if self.endpoints.len() < 2 {
            return Input::Failed(failure);
        }
        self.write_down(&mut failure, now);
        let left = || self.endpoints.iter().filter(|standing| !standing.refused);
        if left().next().is_none() {
            return Input::Failed(failure);
        }
        let rests: Option<Vec<_>> = left().map(|standing| standing.rest(now)).collect();
        failure.retry_after = rests.and_then(|rests| rests.into_iter().min());
        Input::TurnedAway(failure)
    }

    /// The same of a successor's dial, which goes where the connection is, whatever holds for the other endpoints.
    pub fn judge_successor(&mut self, mut failure: Failure, now: Instant) -> Input {
        if self.endpoints.len() < 2 {
            return Input::SuccessorFailed(failure);
        }
        self.write_down(&mut failure, now);
        let is_free = |standing: &Standing| !standing.refused && standing.rest(now).is_none();
        if self.endpoints.iter().any(is_free) {
            Input::SuccessorTurnedAway(failure)
        } else {
            Input::SuccessorFailed(failure)
        }
    }

    /// Takes note of what happened to the connection.
    pub fn take_note(&mut self, notice: &Notice) {
        match notice {
            Notice::AttemptFailed { cause, .. } | Notice::Lost { cause, .. } if cause.is_failure() => {
                self.moves = self.endpoints.len() > 1;
            }
            // Live stays, also where a successor under way ended the outage.
            Notice::Up { .. } | Notice::Renewed { .. } => {
                self.moves = false;
                self.forgive();
            }
            Notice::Breaker(moved) if matches!(moved.to, BreakerState::Open { .. }) => self.forgive(),
            _ => {}
        }
    }

    /// A dial is due: moves on, where something has failed since the last one. Returns the endpoint if it is another one.
    ///
    /// `shut_until` says until when others have shut the gate of an endpoint. Of those that are shut or want to be left alone the
    /// one is taken that is free first.
    pub fn move_on(&mut self, now: Instant, shut_until: impl Fn(usize) -> Option<Instant>) -> Option<usize> {
        if !std::mem::take(&mut self.moves) {
            return None;
        }
        let before = self.at;
        let in_order = self.endpoints.iter().enumerate();
        let after_it = in_order.clone().skip(before + 1).chain(in_order.take(before + 1));
        let next = after_it.min_by_key(|(index, standing)| {
            let free = standing.rest_until.max(shut_until(*index)).unwrap_or(now).max(now);
            (standing.refused, free)
        });
        self.at = next.map_or(before, |(index, _)| index);
        (self.at != before).then_some(self.at)
    }

    /// How the endpoint that was dialled has received this side. Of several endpoints each has its 403 counted for itself: so the
    /// supervisor, which counts those of one, is told no status, but the cause that follows from it.
    fn write_down(&mut self, failure: &mut Failure, now: Instant) {
        let Some(standing) = self.endpoints.get_mut(self.at) else {
            return;
        };
        if standing.forbidden.is_believed(failure.status.take()) {
            failure.cause = Cause::Unauthorized;
        }
        standing.rest_until = failure.retry_after.map(|asked| later(now, asked.min(RETRY_AFTER_CAP)));
        standing.refused = failure.cause.is_fatal();
    }

    fn forgive(&mut self) {
        for standing in &mut self.endpoints {
            (standing.forbidden, standing.refused) = (Forbidden::default(), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::supervise::{CircuitBreaker, Stage};
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn open() -> Option<Instant> {
        None
    }

    struct Rotated {
        rotation: Rotation,
        now: Instant,
    }

    impl Rotated {
        fn new(endpoints: usize) -> Self {
            Self {
                rotation: Rotation::new(endpoints),
                now: Moment::now().mono,
            }
        }

        fn fail(&mut self, failure: impl Into<Failure>) -> Input {
            let failure = failure.into();
            let input = self.rotation.judge(failure.clone(), self.now);
            self.rotation.take_note(&Notice::AttemptFailed {
                stage: Stage::Connect,
                cause: failure.cause,
                detail: "".into(),
            });
            input
        }

        fn lose(&mut self, cause: Cause) {
            let detail = "".into();
            self.rotation.take_note(&Notice::Lost { cause, detail });
        }

        fn dial(&mut self) -> usize {
            self.rotation.move_on(self.now, |_| open());
            self.rotation.at()
        }
    }

    fn asking(retry_after: Duration) -> Failure {
        Failure {
            retry_after: Some(retry_after),
            ..Failure::new(Cause::RateLimited)
        }
    }

    fn forbidden() -> Failure {
        Failure {
            status: Some(403),
            ..Failure::new(Cause::HttpStatus)
        }
    }

    #[test]
    fn each_failure_moves_on_and_live_stays() {
        let mut rotated = Rotated::new(3);
        assert_eq!(rotated.dial(), 0);
        for expected in [1, 2, 0, 1] {
            rotated.fail(Cause::TcpRefused);
            assert_eq!((rotated.dial(), rotated.dial()), (expected, expected));
        }
        rotated.rotation.take_note(&Notice::Up {
            accepted: 1,
            refused: 0,
        });
        assert_eq!(rotated.dial(), 1);
        rotated.lose(Cause::Eof);
        assert_eq!(rotated.dial(), 2);
    }

    #[test]
    fn what_this_side_did_moves_nothing() {
        let mut rotated = Rotated::new(2);
        for cause in [Cause::Forced, Cause::Planned, Cause::Reload, Cause::ResourceLimit] {
            rotated.lose(cause);
            assert_eq!(rotated.dial(), 0, "{cause}");
        }
    }

    #[test]
    fn one_endpoint_is_judged_as_ever() {
        for failure in [asking(60 * SECOND), Cause::TlsCertificate.into(), forbidden()] {
            let mut rotated = Rotated::new(1);
            assert_eq!(rotated.fail(failure.clone()), Input::Failed(failure));
            assert_eq!(rotated.dial(), 0);
        }
    }

    #[test]
    fn a_fatal_cause_trips_only_where_no_endpoint_is_left() {
        let mut rotated = Rotated::new(2);
        let fatal = Failure::new(Cause::TlsCertificate);
        assert_eq!(rotated.fail(fatal.clone()), Input::TurnedAway(fatal.clone()));
        // The other one is redialled, and it is passed over.
        for _ in 0..3 {
            assert_eq!(rotated.dial(), 1);
            let refused = Failure::new(Cause::TcpRefused);
            assert_eq!(rotated.fail(refused.clone()), Input::TurnedAway(refused));
        }
        assert_eq!(rotated.dial(), 1);
        assert_eq!(rotated.fail(fatal.clone()), Input::Failed(fatal));
        // The breaker opens, and the probes ask all of them again.
        let mut breaker = CircuitBreaker::new();
        let opened = breaker.fail(1, true, SECOND, rotated.now).unwrap();
        rotated.rotation.take_note(&Notice::Breaker(opened));
        assert_eq!(rotated.dial(), 0);
        rotated.fail(Cause::TcpRefused);
        assert_eq!(rotated.dial(), 1);
    }

    #[test]
    fn forbidden_is_believed_the_third_time_in_a_row_by_endpoint() {
        let mut rotated = Rotated::new(2);
        let (not_yet, believed) = (Failure::new(Cause::HttpStatus), Failure::new(Cause::Unauthorized));
        for told in [&not_yet, &not_yet, &not_yet, &not_yet, &believed] {
            assert_eq!(rotated.fail(forbidden()), Input::TurnedAway(told.clone()));
            rotated.dial();
        }
        assert_eq!(rotated.fail(forbidden()), Input::Failed(believed));
    }

    #[test]
    fn what_turns_a_successor_away_is_remembered_of_its_endpoint() {
        let mut rotated = Rotated::new(2);
        let (rotation, now) = (&mut rotated.rotation, rotated.now);
        let rate_limited = asking(60 * SECOND);
        assert_eq!(
            rotation.judge_successor(rate_limited.clone(), now),
            Input::SuccessorTurnedAway(rate_limited.clone())
        );
        assert_eq!(rotation.move_on(now, |_| open()), None, "the connection is still there");
        rotated.lose(Cause::Eof);
        assert_eq!(rotated.dial(), 1);
        rotated.fail(Cause::TcpRefused);
        assert_eq!(rotated.dial(), 1, "the first one rests");

        // Where the others rest as well, its wish holds for the stream.
        let input = rotated.fail(asking(90 * SECOND));
        assert_eq!(input, Input::TurnedAway(asking(60 * SECOND)));
        let rest = rotated.rotation.judge_successor(rate_limited.clone(), rotated.now);
        assert_eq!(rest, Input::SuccessorFailed(rate_limited));

        // Who takes over forgives, as who goes live does.
        let mut rotated = Rotated::new(2);
        let fatal = Failure::new(Cause::Unauthorized);
        rotated.rotation.judge_successor(fatal.clone(), rotated.now);
        rotated.rotation.take_note(&Notice::Renewed {
            accepted: 1,
            refused: 0,
        });
        rotated.lose(Cause::Eof);
        assert_eq!(rotated.dial(), 1);
        assert_eq!(rotated.fail(fatal.clone()), Input::TurnedAway(fatal));

        let mut alone = Rotation::new(1);
        assert_eq!(
            alone.judge_successor(forbidden(), now),
            Input::SuccessorFailed(forbidden())
        );
    }

    #[test]
    fn a_wish_for_rest_is_waited_for_only_where_every_endpoint_has_one() {
        let mut rotated = Rotated::new(2);
        let no_wish = Input::TurnedAway(Failure::new(Cause::RateLimited));
        assert_eq!(rotated.fail(asking(60 * SECOND)), no_wish);
        assert_eq!(rotated.dial(), 1);
        rotated.now += 10 * SECOND;
        // The shorter one, whichever endpoint asked for it.
        assert_eq!(
            rotated.fail(asking(90 * SECOND)),
            Input::TurnedAway(asking(50 * SECOND))
        );
        rotated.now += 50 * SECOND;
        assert_eq!(rotated.dial(), 0);
        rotated.fail(Cause::TcpRefused);
        // The other one rests for forty seconds more.
        assert_eq!(rotated.dial(), 0);
        rotated.fail(Cause::TcpRefused);
        rotated.now += 40 * SECOND;
        assert_eq!(rotated.dial(), 1);
    }

    #[test]
    fn an_endpoint_whose_gate_is_shut_is_passed_over() {
        let mut rotated = Rotated::new(3);
        let now = rotated.now;
        let shut = |places: &'static [(usize, u32)]| {
            move |place: usize| {
                let of_place = places.iter().find(|(shut, _)| *shut == place);
                of_place.map(|(_, seconds)| now + *seconds * SECOND)
            }
        };
        for (places, expected) in [
            (&[(1, 5)][..], 2),
            (&[(0, 5), (1, 5)], 2),
            (&[(0, 9), (1, 7), (2, 8)], 1),
        ] {
            rotated.rotation = Rotation::new(3);
            rotated.fail(Cause::TcpRefused);
            assert_eq!(
                rotated.rotation.move_on(now, shut(places)),
                Some(expected),
                "{places:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_endpoint_has_its_turn_unless_it_turned_this_side_away(
            endpoints in 2..6_usize,
            failures in prop::collection::vec(0..4_u8, 1..60),
        ) {
            let mut rotated = Rotated::new(endpoints);
            let mut since = vec![0; endpoints];
            for kind in failures {
                let before = rotated.dial();
                let input = rotated.fail(match kind {
                    0 => Failure::new(Cause::Unauthorized),
                    1 => asking(30 * SECOND),
                    2 => forbidden(),
                    _ => Failure::new(Cause::TcpRefused),
                });
                prop_assert!(matches!(input, Input::Failed(_) | Input::TurnedAway(_)));
                rotated.now += SECOND;
                let next = rotated.dial();
                prop_assert!(next < endpoints);
                let is_well = |standing: &Standing| !standing.refused && standing.rest(rotated.now).is_none();
                let well: Vec<_> = rotated.rotation.endpoints.iter().map(is_well).collect();
                // Nobody who turned this side away is preferred to somebody who did not.
                prop_assert!(well[next] || !well.contains(&true));
                for (place, waited) in since.iter_mut().enumerate() {
                    *waited = if place == next || !well[place] { 0 } else { *waited + 1 };
                    prop_assert!(*waited < endpoints, "{place} waits, and {before} was dialled");
                }
            }
        }
    }
}
