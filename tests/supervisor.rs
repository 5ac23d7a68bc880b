//! The supervisor's promises: single steps first, then random walks that check invariants after each step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail"
)]

use feedwatch::clock::Moment;
use feedwatch::market::{Cause, Failure};
use feedwatch::supervise::{
    Action, AttemptKind, BreakerState, Input, Notice, OnStale, Policy, Renewal, State, Supervisor, Transition, Trigger,
};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A supervisor with its own time.
struct Bench {
    supervisor: Supervisor,
    now: Instant,
}

impl Bench {
    fn new(policy: Policy) -> Self {
        let mut bench = Self {
            supervisor: Supervisor::new(policy, 7),
            now: Moment::now().mono,
        };
        bench.apply(Input::Start);
        bench
    }

    fn apply(&mut self, input: Input) -> Vec<Notice> {
        self.supervisor.apply(input, self.now)
    }

    fn fail(&mut self, cause: Cause) -> Vec<Notice> {
        self.apply(Input::Failed(cause.into()))
    }

    fn go_live(&mut self) {
        self.apply(Input::Connected);
        let notices = self.apply(Input::Subscribed {
            accepted: 1,
            refused: 0,
        });
        assert_eq!(
            notices,
            [Notice::Up {
                accepted: 1,
                refused: 0
            }]
        );
    }

    /// Moves the time to the action's deadline, and says so.
    fn elapse(&mut self) -> Vec<Notice> {
        self.now = deadline(self.supervisor.action()).expect("something is due");
        self.apply(Input::Elapsed)
    }

    fn wait(&self) -> Duration {
        match self.supervisor.action() {
            Action::Wait { due } => due - self.now,
            action => panic!("{action:?} is not a wait"),
        }
    }
}

fn deadline(action: Action) -> Option<Instant> {
    match action {
        Action::Connect { deadline } | Action::Subscribe { deadline } => Some(deadline),
        Action::Receive { deadline } => deadline,
        Action::Wait { due } => Some(due),
        Action::Idle | Action::Stop => None,
    }
}

fn policy() -> Policy {
    Policy {
        initial_delay: millis(10),
        max_delay: millis(100),
        backoff_multiplier: 2.0,
        jitter: 0.0,
        max_consecutive_failures: 3,
        circuit_breaker_cooldown: secs(5),
        ..Policy::default()
    }
}

fn tripped(notices: &[Notice]) -> Option<Trigger> {
    notices.iter().find_map(|notice| match notice {
        Notice::Breaker(Transition {
            from: BreakerState::Closed,
            to: BreakerState::Open { .. },
            trigger,
            ..
        }) => Some(*trigger),
        _ => None,
    })
}

#[test]
fn five_failed_dials_wait_10_20_40_80_and_100_ms() {
    let mut bench = Bench::new(Policy {
        max_consecutive_failures: 99,
        ..policy()
    });
    let mut waits = Vec::new();
    for _ in 0..5 {
        bench.fail(Cause::TcpRefused);
        waits.push(bench.wait());
        let notices = bench.elapse();
        assert!(
            matches!(
                notices[..],
                [Notice::Attempt {
                    kind: AttemptKind::Backoff,
                    ..
                }]
            ),
            "{notices:?}"
        );
    }
    assert_eq!(waits, [10, 20, 40, 80, 100].map(millis));
}

#[test]
fn a_failed_first_connect_is_retried_like_any_other() {
    let mut bench = Bench::new(policy());
    bench.fail(Cause::Dns);
    assert_eq!(bench.wait(), millis(10));
    bench.elapse();
    bench.go_live();
}

#[test]
fn a_venue_that_accepts_and_closes_at_once_trips_the_breaker() {
    let mut bench = Bench::new(policy());
    for loss in 1..=3 {
        bench.go_live();
        let notices = bench.fail(Cause::CloseNormal);
        assert_eq!(tripped(&notices).is_some(), loss == 3, "loss {loss}: {notices:?}");
        bench.elapse();
    }
}

#[test]
fn such_a_venue_is_dialled_at_most_25_times_in_30_seconds() {
    let policy = Policy {
        initial_delay: millis(100),
        max_delay: millis(400),
        max_consecutive_failures: 4,
        circuit_breaker_cooldown: secs(2),
        ..policy()
    };
    let mut bench = Bench::new(policy);
    let (end, mut dials, mut trips) = (bench.now + secs(30), 1, 0);
    while bench.now < end {
        bench.go_live();
        trips += usize::from(tripped(&bench.fail(Cause::CloseNormal)).is_some());
        bench.elapse();
        dials += 1;
    }
    assert!(dials <= 25, "{dials} dials");
    assert_eq!(trips, 1);
}

#[test]
fn only_stable_clears_the_failure_count() {
    let mut bench = Bench::new(policy());
    bench.fail(Cause::Eof);
    bench.elapse();
    bench.go_live();
    bench.apply(Input::Data);
    assert_eq!(
        bench.supervisor.failures(),
        1,
        "neither the connection nor data clears it"
    );
    assert_eq!(bench.elapse(), [Notice::Stable]);
    assert_eq!(bench.supervisor.failures(), 0);
}

#[test]
fn data_that_comes_late_makes_nothing_stable_since_a_loss_may_wait_behind_it() {
    let mut bench = Bench::new(policy());
    bench.fail(Cause::Eof);
    bench.elapse();
    bench.go_live();
    bench.now += secs(3600);
    assert_eq!(bench.apply(Input::Data), []);
    let notices = bench.fail(Cause::Eof);
    assert!(
        matches!(
            notices[..],
            [Notice::Lost { .. }, Notice::BackingOff { failures: 2, .. }]
        ),
        "{notices:?}"
    );
}

#[test]
fn a_probe_that_becomes_stable_closes_the_breaker() {
    let mut bench = Bench::new(Policy {
        max_consecutive_failures: 1,
        ..policy()
    });
    bench.fail(Cause::Eof);
    assert_eq!(bench.supervisor.state(), State::CoolingDown);
    assert_eq!(bench.wait(), secs(5));
    let notices = bench.elapse();
    assert!(matches!(
        notices[..],
        [
            Notice::Breaker(_),
            Notice::Attempt {
                kind: AttemptKind::Probe,
                ..
            }
        ]
    ));
    bench.go_live();
    assert_eq!(
        bench.supervisor.breaker(),
        BreakerState::HalfOpen,
        "live is not yet stable"
    );
    bench.elapse();
    assert_eq!(bench.supervisor.breaker(), BreakerState::Closed);
}

#[test]
fn a_probe_that_is_lost_before_it_is_stable_reopens_without_a_second_trip() {
    let mut bench = Bench::new(Policy {
        max_consecutive_failures: 1,
        ..policy()
    });
    bench.fail(Cause::Eof);
    bench.elapse();
    bench.go_live();
    let notices = bench.fail(Cause::Eof);
    assert_eq!(tripped(&notices), None);
    assert!(matches!(bench.supervisor.breaker(), BreakerState::Open { .. }));
}

#[test]
fn what_redialling_cannot_heal_trips_at_once() {
    for cause in [Cause::Unauthorized, Cause::TlsCertificate] {
        assert_eq!(
            tripped(&Bench::new(policy()).fail(cause)),
            Some(Trigger::FatalError),
            "{cause}"
        );
    }
}

#[test]
fn the_third_403_in_a_row_is_believed() {
    let forbidden = || {
        Input::Failed(Failure {
            status: Some(403),
            ..Cause::HttpStatus.into()
        })
    };
    let mut bench = Bench::new(Policy {
        max_consecutive_failures: 99,
        ..policy()
    });
    for _ in 0..2 {
        assert_eq!(tripped(&bench.apply(forbidden())), None);
        bench.elapse();
    }
    bench.fail(Cause::Eof);
    bench.elapse();
    for attempt in 1..=3 {
        let notices = bench.apply(forbidden());
        let believed = attempt == 3;
        let cause = if believed {
            Cause::Unauthorized
        } else {
            Cause::HttpStatus
        };
        assert!(
            matches!(&notices[0], Notice::AttemptFailed { cause: c, .. } if *c == cause),
            "{notices:?}"
        );
        assert_eq!(tripped(&notices).is_some(), believed);
        bench.elapse();
    }
}

#[test]
fn a_retry_after_is_waited_for() {
    let limited = |secs| {
        Input::Failed(Failure {
            retry_after: Some(Duration::from_secs(secs)),
            ..Cause::RateLimited.into()
        })
    };
    let mut bench = Bench::new(policy());
    assert_eq!(tripped(&bench.apply(limited(120))), None);
    assert_eq!(bench.wait(), secs(120));

    let mut bench = Bench::new(policy());
    assert_eq!(
        tripped(&bench.apply(limited(901))),
        Some(Trigger::FatalError),
        "longer than retry_after_max"
    );
    assert_eq!(bench.wait(), secs(901));

    let mut bench = Bench::new(policy());
    bench.apply(limited(u64::MAX));
    assert_eq!(bench.wait(), secs(3 * 24 * 3600), "three days at most");
}

#[test]
fn a_venue_that_restarts_is_left_alone_for_five_seconds() {
    for cause in [Cause::CloseServiceRestart, Cause::CloseTryAgain] {
        let mut bench = Bench::new(policy());
        bench.go_live();
        bench.fail(cause);
        assert_eq!(bench.wait(), secs(5), "{cause}");
    }
}

#[test]
fn running_out_of_file_descriptors_backs_off_and_never_trips() {
    let mut bench = Bench::new(policy());
    for _ in 0..20 {
        assert_eq!(tripped(&bench.fail(Cause::ResourceLimit)), None);
        assert_eq!(bench.wait(), millis(10));
        bench.elapse();
    }
}

#[test]
fn silence_is_reported_once_and_ends_with_data() {
    let mut bench = Bench::new(Policy {
        stale_after: Some(secs(60)),
        ..policy()
    });
    bench.go_live();
    assert_eq!(bench.elapse(), [Notice::Stable]);
    assert_eq!(bench.elapse(), [Notice::Stale]);
    assert_eq!(bench.apply(Input::Elapsed), []);
    assert_eq!(bench.apply(Input::Data), [Notice::Fresh]);
}

#[test]
fn data_from_before_going_live_makes_a_live_stream_no_older() {
    let mut bench = Bench::new(Policy {
        stale_after: Some(secs(5)),
        ..policy()
    });
    bench.apply(Input::Connected);
    let received = bench.now + secs(1);
    bench.now += secs(8);
    bench.apply(Input::Subscribed {
        accepted: 1,
        refused: 0,
    });
    let due = Some(bench.now + secs(5));
    assert_eq!(deadline(bench.supervisor.action()), due);
    assert_eq!(bench.supervisor.apply(Input::Data, received), []);
    assert_eq!(deadline(bench.supervisor.action()), due);
}

#[test]
fn a_venue_that_stays_dead_trips_where_stale_streams_reconnect() {
    let policy = Policy {
        stale_after: Some(secs(60)),
        on_stale: OnStale::Reconnect,
        ..policy()
    };
    let mut bench = Bench::new(policy);
    let mut trips = 0;
    for round in 0..3 {
        let answered = bench.now;
        bench.go_live();
        // Books that are the answer to the subscription: read with it, and told after it.
        assert_eq!(bench.supervisor.apply(Input::Data, answered), []);
        let mut notices = bench.elapse();
        if round == 0 {
            assert_eq!(notices, [Notice::Stable], "it has not been dead before");
            notices = bench.elapse();
        }
        assert!(
            matches!(
                notices[..],
                [
                    Notice::Stale,
                    Notice::Lost {
                        cause: Cause::Stale,
                        ..
                    },
                    ..
                ]
            ),
            "{notices:?}"
        );
        trips += usize::from(tripped(&notices).is_some());
        bench.elapse();
    }
    assert_eq!(trips, 1);
}

#[test]
fn a_reset_restores_all() {
    let mut bench = Bench::new(policy());
    for _ in 0..3 {
        bench.fail(Cause::Eof);
        if bench.supervisor.breaker() == BreakerState::Closed {
            bench.elapse();
        }
    }
    let notices = bench.apply(Input::ResetBreaker);
    let expected = matches!(
        notices[..],
        [
            Notice::Breaker(_),
            Notice::Reset,
            Notice::Attempt {
                kind: AttemptKind::Forced,
                ..
            }
        ]
    );
    assert!(expected, "{notices:?}");
    assert_eq!(
        (bench.supervisor.breaker(), bench.supervisor.failures()),
        (BreakerState::Closed, 0)
    );
    bench.fail(Cause::Eof);
    assert_eq!(bench.wait(), millis(10), "the ladder starts again");
}

#[test]
fn a_reset_of_a_closed_breaker_clears_the_count_and_the_wait_goes_on() {
    let forbidden = || {
        Input::Failed(Failure {
            status: Some(403),
            ..Cause::HttpStatus.into()
        })
    };
    let mut bench = Bench::new(policy());
    for _ in 0..2 {
        bench.apply(forbidden());
        bench.apply(Input::ResetBreaker);
        assert_eq!(bench.supervisor.failures(), 0);
        assert_eq!(bench.wait(), millis(10));
        bench.elapse();
    }
    assert_eq!(
        tripped(&bench.apply(forbidden())),
        None,
        "403 is counted from the reset on"
    );
}

#[test]
fn an_idle_stream_does_not_forget_how_long_the_venue_asked_to_be_left_alone() {
    let mut bench = Bench::new(policy());
    bench.apply(Input::Failed(Failure {
        retry_after: Some(secs(600)),
        ..Cause::RateLimited.into()
    }));
    bench.apply(Input::Idle);
    bench.now += secs(60);
    let notices = bench.apply(Input::Start);
    assert!(matches!(notices[..], [Notice::BackingOff { .. }]), "{notices:?}");
    assert_eq!(bench.wait(), secs(540));
    bench.apply(Input::Idle);
    bench.now += secs(600);
    assert!(
        matches!(bench.apply(Input::Start)[..], [Notice::Attempt { .. }]),
        "it is over by now"
    );
}

#[test]
fn a_forced_reconnect_is_a_gap_but_no_failure() {
    let mut bench = Bench::new(policy());
    bench.go_live();
    let notices = bench.apply(Input::Reconnect);
    assert!(
        matches!(
            notices[..],
            [
                Notice::Lost {
                    cause: Cause::Forced,
                    ..
                },
                Notice::Attempt {
                    kind: AttemptKind::Forced,
                    ..
                }
            ]
        ),
        "{notices:?}"
    );
    assert_eq!(bench.supervisor.failures(), 0);
}

#[test]
fn a_stream_that_is_retired_ends_for_the_reload_and_that_is_no_failure() {
    let mut live = Bench::new(policy());
    live.go_live();
    let notices = live.apply(Input::Retire);
    let cause = Cause::Reload;
    assert!(
        matches!(&notices[..], [Notice::Lost { cause: found, .. }, Notice::Stopped] if *found == cause),
        "{notices:?}"
    );
    assert_eq!(
        (live.supervisor.state(), live.supervisor.failures()),
        (State::Stopped, 0)
    );
    assert!(cause.is_on_purpose() && !cause.is_failure() && !cause.is_outage());

    let mut dialling = Bench::new(policy());
    let notices = dialling.apply(Input::Retire);
    assert!(
        matches!(&notices[..], [Notice::AttemptFailed { cause: found, .. }, Notice::Stopped] if *found == cause),
        "{notices:?}"
    );

    let mut waiting = Bench::new(policy());
    waiting.fail(Cause::Eof);
    assert_eq!(waiting.apply(Input::Retire), [Notice::Stopped]);
    assert_eq!(waiting.supervisor.action(), Action::Stop);
    assert_eq!(waiting.apply(Input::Start), []);
}

#[test]
fn an_idle_stream_does_not_forget_an_open_breaker() {
    let mut bench = Bench::new(Policy {
        max_consecutive_failures: 1,
        ..policy()
    });
    bench.fail(Cause::Eof);
    assert_eq!(bench.apply(Input::Idle), [Notice::Idle]);
    assert_eq!(bench.supervisor.action(), Action::Idle);
    let notices = bench.apply(Input::Start);
    assert!(matches!(notices[..], [Notice::CoolingDown { .. }]), "{notices:?}");
    assert_eq!(bench.wait(), secs(5));
}

#[test]
fn a_start_that_is_held_at_the_gate_waits_and_is_still_the_first_dial() {
    let mut supervisor = Supervisor::new(policy(), 7);
    let now = Moment::now().mono;
    let due = now + secs(7);
    let held = Notice::Held {
        due,
        state: State::BackingOff,
    };
    assert_eq!(supervisor.apply(Input::Held { due }, now), std::slice::from_ref(&held));
    assert_eq!(supervisor.action(), Action::Wait { due: now }, "its own wait is none");
    assert_eq!(supervisor.apply(Input::Held { due }, now), [held], "told again");
    let first = Notice::Attempt {
        number: 1,
        kind: AttemptKind::First,
    };
    assert_eq!(supervisor.apply(Input::Elapsed, due), [first]);
    assert_eq!(supervisor.apply(Input::Held { due }, now), [], "nothing waits any more");
}

#[test]
fn a_probe_that_is_held_at_the_gate_cools_down() {
    let mut bench = Bench::new(policy());
    bench.apply(Input::Failed(Cause::Unauthorized.into()));
    bench.now += bench.wait();
    let due = bench.now + secs(60);
    let state = State::CoolingDown;
    assert_eq!(bench.apply(Input::Held { due }), [Notice::Held { due, state }]);
    assert!(matches!(bench.supervisor.breaker(), BreakerState::Open { .. }));
    let dial = bench.apply(Input::Elapsed);
    assert!(
        matches!(
            dial[..],
            [
                Notice::Breaker(_),
                Notice::Attempt {
                    kind: AttemptKind::Probe,
                    ..
                }
            ]
        ),
        "{dial:?}"
    );
}

#[test]
fn where_another_endpoint_is_left_a_fatal_cause_counts_like_any_other() {
    let mut bench = Bench::new(policy());
    let fatal = || Input::TurnedAway(Cause::TlsCertificate.into());
    let notices = bench.apply(fatal());
    assert!(
        matches!(
            notices[..],
            [
                Notice::AttemptFailed {
                    cause: Cause::TlsCertificate,
                    ..
                },
                Notice::BackingOff { failures: 1, .. }
            ]
        ),
        "{notices:?}"
    );
    // Only an attempt is turned away.
    assert_eq!(bench.apply(fatal()), []);
    for _ in 1..policy().max_consecutive_failures {
        assert_eq!(bench.supervisor.breaker(), BreakerState::Closed);
        bench.now += bench.wait();
        bench.apply(Input::Elapsed);
        bench.apply(fatal());
    }
    assert!(matches!(bench.supervisor.breaker(), BreakerState::Open { .. }));
}

#[test]
fn a_new_policy_applies_to_what_is_under_way() {
    let mut bench = Bench::new(policy());
    bench.go_live();
    bench.apply(Input::Policy(Box::new(Policy {
        stable_after: secs(1),
        ..policy()
    })));
    assert_eq!(deadline(bench.supervisor.action()), Some(bench.now + secs(1)));
}

#[test]
fn a_stale_stream_is_judged_anew_by_a_new_policy() {
    let silent_for = |limit: Option<Duration>, on_stale| Policy {
        stale_after: limit,
        on_stale,
        ..policy()
    };
    let stale = || {
        let mut bench = Bench::new(silent_for(Some(secs(60)), OnStale::Report));
        bench.go_live();
        assert_eq!(bench.elapse(), [Notice::Stable]);
        assert_eq!(bench.elapse(), [Notice::Stale]);
        bench
    };
    let told = |bench: &mut Bench, policy| {
        let mut notices = bench.apply(Input::Policy(Box::new(policy)));
        assert!(matches!(notices.remove(0), Notice::Policy { .. }));
        notices
    };

    // One that allows the silence, or more of it, ends the episode.
    assert_eq!(told(&mut stale(), silent_for(None, OnStale::Report)), [Notice::Fresh]);
    let mut bench = stale();
    let longer = silent_for(Some(secs(90)), OnStale::Report);
    assert_eq!(told(&mut bench, longer), [Notice::Fresh]);
    assert_eq!(deadline(bench.supervisor.action()), Some(bench.now + secs(30)));
    assert_eq!(bench.elapse(), [Notice::Stale]);

    // One that does not changes nothing, unless it has such a stream reconnect.
    let mut bench = stale();
    assert_eq!(told(&mut bench, silent_for(Some(secs(30)), OnStale::Report)), []);
    let lost = told(&mut bench, silent_for(Some(secs(30)), OnStale::Reconnect));
    assert!(
        matches!(
            lost.first(),
            Some(Notice::Lost {
                cause: Cause::Stale,
                ..
            })
        ),
        "{lost:?}"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    ToDeadline,
    ToRenewal,
    Held(u64),
    Input(Input),
}

fn step() -> impl Strategy<Value = Step> {
    let failure = (
        0..Cause::COUNT,
        prop::option::of(0..2_000_u64),
        prop::option::of(Just(403)),
    )
        .prop_map(|(cause, retry_after, status)| Failure {
            retry_after: retry_after.map(secs),
            status,
            ..Cause::ALL[cause].into()
        });
    prop_oneof![
        2 => (0..100_000_u64).prop_map(Step::Advance),
        6 => Just(Step::ToDeadline),
        2 => (0..100_000_u64).prop_map(Step::Held),
        4 => Just(Step::Input(Input::Connected)),
        4 => Just(Step::Input(Input::Subscribed { accepted: 1, refused: 0 })),
        2 => Just(Step::Input(Input::Data)),
        2 => failure.clone().prop_map(|failure| Step::Input(Input::Failed(failure))),
        2 => failure.clone().prop_map(|failure| Step::Input(Input::TurnedAway(failure))),
        2 => Just(Step::ToRenewal),
        2 => Just(Step::Input(Input::Renew)),
        4 => Just(Step::Input(Input::SuccessorConnected)),
        4 => Just(Step::Input(Input::SuccessorSubscribed { accepted: 1, refused: 0 })),
        2 => failure.clone().prop_map(|failure| Step::Input(Input::SuccessorFailed(failure))),
        2 => failure.prop_map(|failure| Step::Input(Input::SuccessorTurnedAway(failure))),
        1 => Just(Step::Input(Input::Reconnect)),
        1 => Just(Step::Input(Input::ResetBreaker)),
        1 => Just(Step::Input(Input::Idle)),
        2 => Just(Step::Input(Input::Start)),
        2 => Just(Step::Input(Input::Elapsed)),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let seconds = || prop::option::of(1..400_u64);
    (1..8_u32, 0.0..=1.0, any::<bool>(), seconds(), seconds()).prop_map(
        |(max_consecutive_failures, jitter, reconnect, stale_after, age)| Policy {
            max_consecutive_failures,
            jitter,
            on_stale: if reconnect { OnStale::Reconnect } else { OnStale::Report },
            stale_after: stale_after.map(secs),
            max_connection_age: age.map(secs),
            ..Policy::default()
        },
    )
}

fn is_dialling_a_successor(supervisor: &Supervisor) -> bool {
    matches!(
        supervisor.renewal(),
        Renewal::Connect { .. } | Renewal::Subscribe { .. }
    )
}

/// What the notices add up to, kept beside the supervisor to judge it.
#[derive(Default)]
struct Ledger {
    attempts: u64,
    failed: u64,
    ups: u64,
    losses: u64,
    probes_of_this_half_open: u32,
    failures_at_last_look: u32,
}

impl Ledger {
    fn check_delay(after: &Supervisor, notice: &Notice, now: Instant) {
        let Notice::BackingOff { delay, due, failures } = notice else {
            return;
        };
        assert_eq!(*failures, after.failures(), "the failure count is told");
        let longest = after.policy().max_delay.max(after.policy().retry_after_max);
        assert!(
            *delay <= longest,
            "no delay is longer than the cap or an honoured Retry-After"
        );
        assert_eq!(*due, now + *delay, "the due time is the delay from now");
    }

    fn check_renewal(&mut self, before: &Supervisor, after: &Supervisor, notice: &Notice, now: Instant) {
        match notice {
            Notice::Renewing { .. } => {
                self.attempts += 1;
                assert_eq!(
                    before.breaker(),
                    BreakerState::Closed,
                    "only then is a connection replaced"
                );
            }
            Notice::RenewalFailed { cause, due, .. } => {
                self.failed += 1;
                assert!(cause.fails_attempts(), "{cause}");
                assert!(due.is_none_or(|due| due > now), "the next one waits");
            }
            Notice::Renewed { .. } => {
                self.ups += 1;
                self.losses += 1;
                assert_eq!((before.state(), after.state()), (State::Live, State::Live));
                assert_eq!(before.failures(), after.failures());
            }
            Notice::TakenOver { failures, .. } => {
                assert_eq!(*failures, after.failures(), "the failure count is told");
                assert!(is_dialling_a_successor(before), "a dial is under way");
            }
            _ => {}
        }
    }

    fn check(&mut self, before: &Supervisor, after: &Supervisor, notices: &[Notice], now: Instant) {
        let mut breaker = before.breaker();
        let mut cleared = false;
        for notice in notices {
            match notice {
                Notice::Attempt { kind, .. } => {
                    self.attempts += 1;
                    assert!(
                        !matches!(breaker, BreakerState::Open { .. }),
                        "never dials while the breaker is open"
                    );
                    if breaker == BreakerState::HalfOpen && *kind == AttemptKind::Probe {
                        self.probes_of_this_half_open += 1;
                        assert_eq!(self.probes_of_this_half_open, 1, "exactly one probe for each cooldown");
                    }
                }
                Notice::AttemptFailed { cause, .. } => {
                    self.failed += 1;
                    assert!(
                        cause.fails_attempts(),
                        "an attempt fails only for a cause of attempts: {cause}"
                    );
                }
                Notice::Renewing { .. }
                | Notice::RenewalFailed { .. }
                | Notice::Renewed { .. }
                | Notice::TakenOver { .. } => self.check_renewal(before, after, notice, now),
                Notice::Up { .. } => self.ups += 1,
                Notice::Lost { cause, .. } => {
                    self.losses += 1;
                    assert!(
                        cause.ends_connections(),
                        "a connection is lost only for a cause of losses: {cause}"
                    );
                }
                Notice::Stable | Notice::Reset => cleared = true,
                Notice::Breaker(transition) => {
                    assert_eq!(
                        transition.from, breaker,
                        "each transition starts where the last one ended"
                    );
                    assert_ne!(
                        transition.from.as_str(),
                        transition.to.as_str(),
                        "a transition changes the state"
                    );
                    if let (BreakerState::Closed, BreakerState::Open { .. }) = (transition.from, transition.to) {
                        let enough = transition.failures >= after.policy().max_consecutive_failures;
                        assert!(
                            enough || transition.trigger == Trigger::FatalError,
                            "trips only at the threshold or fatally"
                        );
                    }
                    if transition.to == BreakerState::HalfOpen {
                        self.probes_of_this_half_open = 0;
                    }
                    breaker = transition.to;
                }
                Notice::BackingOff { .. } => Self::check_delay(after, notice, now),
                Notice::Held { due, .. } => assert!(*due >= now, "a turn at the gate is to come"),
                Notice::Connected
                | Notice::SuccessorConnected
                | Notice::Stale
                | Notice::Fresh
                | Notice::CoolingDown { .. }
                | Notice::Policy { .. }
                | Notice::Idle
                | Notice::Stopped => {}
                notice => panic!("nothing judges {notice:?}"),
            }
        }
        assert_eq!(breaker, after.breaker(), "every move of the breaker is told");
        let told = notices.iter().filter_map(Notice::state).next_back();
        assert_eq!(
            told.unwrap_or(before.state()),
            after.state(),
            "every change of state is told"
        );
        let is_dialling = matches!(after.state(), State::Connecting | State::Subscribing);
        let in_flight = u64::from(is_dialling) + u64::from(is_dialling_a_successor(after));
        assert_eq!(
            self.attempts,
            self.ups + self.failed + in_flight,
            "attempts = made live + failed + in flight"
        );
        assert_eq!(
            self.ups,
            self.losses + u64::from(after.state() == State::Live),
            "connections = lost + live"
        );
        assert!(
            after.failures() >= self.failures_at_last_look || cleared,
            "only stable and a reset clear the failure count"
        );
        self.failures_at_last_look = after.failures();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_invariants_hold_on_random_walks(policy in any_policy(), seed: u64, steps in prop::collection::vec(step(), 1..200)) {
        let mut now = Moment::now().mono;
        let mut supervisor = Supervisor::new(policy, seed);
        let mut ledger = Ledger::default();
        for step in std::iter::once(Step::Input(Input::Start)).chain(steps) {
            let input = match step {
                Step::Advance(by) => {
                    now += millis(by);
                    continue;
                }
                Step::ToDeadline => {
                    now = now.max(deadline(supervisor.action()).unwrap_or(now));
                    Input::Elapsed
                }
                Step::ToRenewal => {
                    let Renewal::Wait { due } = supervisor.renewal() else { continue };
                    now = now.max(due);
                    Input::Renew
                }
                Step::Held(wait) => Input::Held { due: now + millis(wait) },
                Step::Input(input) => input,
            };
            prop_assert_eq!(supervisor.action(), supervisor.action());
            prop_assert_eq!(supervisor.renewal(), supervisor.renewal());
            let before = supervisor.clone();
            let notices = supervisor.apply(input, now);
            ledger.check(&before, &supervisor, &notices, now);
        }
    }

    #[test]
    fn too_early_is_harmless(policy in any_policy(), steps in prop::collection::vec(step(), 1..60)) {
        let mut now = Moment::now().mono;
        let mut supervisor = Supervisor::new(policy, 1);
        supervisor.apply(Input::Start, now);
        for step in steps {
            match step {
                Step::Advance(_) | Step::ToRenewal => {}
                Step::Held(wait) => drop(supervisor.apply(Input::Held { due: now + millis(wait) }, now)),
                Step::ToDeadline => now = now.max(deadline(supervisor.action()).unwrap_or(now)),
                Step::Input(input) => drop(supervisor.apply(input, now)),
            }
            if deadline(supervisor.action()).is_some_and(|due| due > now) {
                let action = supervisor.action();
                prop_assert_eq!(supervisor.apply(Input::Elapsed, now), vec![]);
                prop_assert_eq!(supervisor.action(), action);
            }
        }
    }
}
