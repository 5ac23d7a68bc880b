//! What the gate of a host promises to all its streams, whoever asks when: no clock, no socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail"
)]

#[path = "support/rate.rs"]
mod rate;

use feedwatch::clock::Moment;
use feedwatch::supervise::{BreakerState, Dial, DialLimit, HostGate, Notice, Standing, Transition, Trigger, Turn};
use proptest::prelude::*;
use rate::most_in_a_second;
use std::time::{Duration, Instant};

const COOLDOWN: Duration = Duration::from_secs(60);
const VERDICT_WITHIN: Duration = Duration::from_secs(25);
const PROBE: Dial = Dial::Probe {
    cooldown: COOLDOWN,
    verdict_within: VERDICT_WITHIN,
};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn limit(per_second: f64, burst: u32) -> DialLimit {
    DialLimit { per_second, burst }
}

/// A gate and its streams.
struct Host {
    gate: HostGate,
    streams: Vec<Standing>,
    begun: Instant,
    passed: Vec<(usize, Instant)>,
}

impl Host {
    fn new(limit: DialLimit, streams: usize) -> Self {
        let begun = Moment::now().mono;
        let mut gate = HostGate::new(limit, begun);
        Self {
            streams: (0..streams).map(|_| gate.join()).collect(),
            gate,
            begun,
            passed: Vec::new(),
        }
    }

    fn ask(&mut self, stream: usize, dial: Dial, now: Instant) -> Turn {
        let turn = self.gate.ask(&mut self.streams[stream], dial, now);
        if turn == Turn::Now {
            self.passed.push((stream, now));
        }
        turn
    }

    fn tell(&mut self, stream: usize, notice: &Notice, now: Instant) -> bool {
        self.gate.take_note(&mut self.streams[stream], notice, now)
    }

    /// Without a dial rate worth the name; the breakers of the first `out` of these streams have tripped.
    fn out(out: usize, streams: usize) -> Self {
        let mut host = Self::new(limit(1000.0, 1000), streams);
        for stream in 0..out {
            host.opens(stream, BreakerState::Closed, COOLDOWN, host.begun);
        }
        host
    }

    /// The breaker opens from `from`; its own cooldown ends `wait` later.
    fn opens(&mut self, stream: usize, from: BreakerState, wait: Duration, now: Instant) -> bool {
        self.tell(stream, &moved(from, BreakerState::Open { until: now + wait }), now)
    }

    fn half_opens(&mut self, stream: usize, now: Instant) {
        let open = BreakerState::Open { until: now };
        self.tell(stream, &moved(open, BreakerState::HalfOpen), now);
    }

    /// Lets these streams ask, all at once and then whenever they were told to, until all have passed.
    fn let_all_pass(&mut self, streams: impl IntoIterator<Item = usize>, dial: Dial, from: Instant) {
        let mut asking: Vec<_> = streams.into_iter().map(|stream| (from, stream)).collect();
        while let Some(index) = (0..asking.len()).min_by_key(|index| asking[*index]) {
            let (now, stream) = asking[index];
            match self.ask(stream, dial, now) {
                Turn::Now => drop(asking.remove(index)),
                Turn::At(due) => {
                    assert!(due > now, "it would ask for ever");
                    asking[index].0 = due;
                }
            }
        }
    }

    /// The most dials in any second.
    fn most_in_a_second(&self) -> usize {
        let times: Vec<_> = self.passed.iter().map(|(_, at)| *at).collect();
        most_in_a_second(&times)
    }
}

fn moved(from: BreakerState, to: BreakerState) -> Notice {
    Notice::Breaker(Transition {
        from,
        to,
        trigger: Trigger::ProbeFailed,
        failures: 9,
    })
}

fn up() -> Notice {
    Notice::Up {
        accepted: 1,
        refused: 0,
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize),
    GiveUp(usize),
    Close(u64),
    Wait(u64),
    /// Another limit, not above the first one: so many times as low.
    Lower(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..30_usize).prop_map(Step::Ask),
        1 => (0..30_usize).prop_map(Step::GiveUp),
        1 => (0..3000_u64).prop_map(Step::Close),
        1 => (1..5_u32).prop_map(Step::Lower),
        4 => (0..200_u64).prop_map(Step::Wait),
        1 => (0..5000_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_second_has_more_dials_than_the_limit_whoever_asks_when(
        rate in prop_oneof![0.1..5.0_f64, 5.0..50.0_f64], burst in 1..12_u32, steps in steps(),
    ) {
        let mut host = Host::new(limit(rate, burst), 30);
        let (mut now, mut shut_until) = (host.begun, host.begun);
        for step in steps {
            match step {
                Step::Ask(stream) => {
                    if host.ask(stream, Dial::Plain, now) == Turn::Now {
                        prop_assert!(now >= shut_until, "through a closed gate");
                    }
                }
                Step::GiveUp(stream) => host.gate.give_up(&mut host.streams[stream], now),
                Step::Close(wait) => {
                    host.gate.close(now + millis(wait), now);
                    shut_until = shut_until.max(now + millis(wait));
                }
                Step::Wait(wait) => now += millis(wait),
                Step::Lower(times) => host.gate.set_limit(limit(rate / f64::from(times), burst.div_ceil(times))),
            }
        }
        let most = (rate.ceil() as usize).max(burst as usize);
        prop_assert!(host.most_in_a_second() <= most, "{} in a second", host.most_in_a_second());
    }

    #[test]
    fn who_comes_to_a_turn_gets_it_and_in_the_order_of_asking(
        rate in 0.5..100.0_f64, burst in 1..10_u32, gaps in prop::collection::vec(0..400_u64, 1..80),
    ) {
        let mut host = Host::new(limit(rate.max(f64::from(burst)), burst), gaps.len());
        let mut now = host.begun;
        let mut turns = Vec::new();
        for (stream, gap) in gaps.iter().enumerate() {
            now += millis(*gap);
            // Those whose turn has come before.
            turns.sort_by_key(|(due, _)| *due);
            while let Some((due, earlier)) = turns.first().copied().filter(|(due, _)| *due <= now) {
                turns.remove(0);
                prop_assert_eq!(host.ask(earlier, Dial::Plain, due), Turn::Now);
            }
            if let Turn::At(due) = host.ask(stream, Dial::Plain, now) {
                turns.push((due, stream));
            }
        }
        turns.sort_by_key(|(due, _)| *due);
        for (due, stream) in turns {
            prop_assert_eq!(host.ask(stream, Dial::Plain, due), Turn::Now);
        }
        prop_assert!(host.passed.iter().map(|(stream, _)| *stream).eq(0..gaps.len()), "not in order");
    }

    #[test]
    fn however_many_want_to_dial_at_once_the_rate_is_used(rate in 1.0..200.0_f64, burst in 1..20_u32, streams in 1..300_usize) {
        let mut host = Host::new(limit(rate.max(f64::from(burst)), burst), streams);
        let begun = host.begun;
        host.let_all_pass(0..streams, Dial::Plain, begun);
        let took = host.passed.last().unwrap().1 - begun;
        let ideal = Duration::from_secs_f64(streams as f64 / rate.max(f64::from(burst)));
        prop_assert!(took <= ideal.mul_f64(1.09), "{took:?} instead of {ideal:?}");
        let at_once = host.passed.iter().filter(|(_, at)| *at == begun).count();
        prop_assert_eq!(at_once, streams.min(burst as usize), "the burst");
    }

    #[test]
    fn while_a_host_is_down_one_probes_for_all(streams in 3..40_usize, verdicts in prop::collection::vec(any::<bool>(), 1..12)) {
        let mut host = Host::out(streams, streams);
        let mut now = host.begun;
        for is_back in verdicts {
            now += COOLDOWN * 2;
            let (first, rest) = (now, 1..streams);
            prop_assert_eq!(host.ask(0, PROBE, first), Turn::Now, "the first probes");
            host.half_opens(0, first);
            for stream in rest.clone() {
                prop_assert_eq!(host.ask(stream, PROBE, now), Turn::At(first + VERDICT_WITHIN));
                prop_assert!(host.streams[stream].is_held());
            }
            now += millis(300);
            if is_back {
                prop_assert!(host.tell(0, &up(), now), "those that are held learn of it");
                for stream in rest {
                    prop_assert_eq!(host.ask(stream, PROBE, now), Turn::Now, "they may follow");
                    host.half_opens(stream, now);
                    host.opens(stream, BreakerState::HalfOpen, COOLDOWN, now);
                }
                // The one that went live is lost again.
                host.tell(0, &Notice::Lost { cause: feedwatch::market::Cause::Eof, detail: "".into() }, now);
            }
            prop_assert!(host.opens(0, BreakerState::HalfOpen, COOLDOWN * 3, now), "and of that");
            for stream in 1..streams {
                prop_assert_eq!(host.ask(stream, PROBE, now), Turn::At(now + COOLDOWN), "the next probe's turn");
            }
        }
    }
}

#[test]
fn a_burst_is_had_at_once_and_paid_back() {
    let mut host = Host::new(limit(10.0, 3), 20);
    let begun = host.begun;
    host.let_all_pass(0..6, Dial::Plain, begun);
    let at: Vec<_> = host.passed.iter().map(|(_, at)| (*at - begun).as_millis()).collect();
    assert_eq!(at, [0, 0, 0, 324, 432, 540]);
    // A quiet while of one turn saves one, and no more than the burst is ever saved.
    for (quiet, at_once) in [(millis(108), 2), (Duration::from_secs(3600), 3)] {
        host.passed.clear();
        let later = begun + millis(648) + quiet;
        host.let_all_pass(6..12, Dial::Plain, later);
        assert_eq!(
            host.passed.iter().filter(|(_, at)| *at == later).count(),
            at_once,
            "{quiet:?}"
        );
        host.gate = HostGate::new(limit(10.0, 3), begun);
        host.let_all_pass(0..6, Dial::Plain, begun);
    }
}

#[test]
fn while_it_is_closed_everybody_keeps_his_place_in_line() {
    let mut host = Host::new(limit(10.0, 1), 30);
    let begun = host.begun;
    let turns: Vec<_> = (0..30).map(|stream| host.ask(stream, Dial::Plain, begun)).collect();
    assert_eq!(turns[0], Turn::Now);
    assert_eq!(turns[29], Turn::At(begun + millis(29 * 108)));
    host.gate.close(begun + millis(5010), begun + millis(10));
    host.gate.close(begun + millis(4000), begun + millis(20)); // shorter: no effect
    assert_eq!(
        host.ask(1, Dial::Plain, begun + millis(108)),
        Turn::At(begun + millis(5108))
    );
    host.let_all_pass(1..30, Dial::Plain, begun + millis(200));
    assert!(host.passed.iter().map(|(stream, _)| *stream).eq(0..30));
    assert_eq!(host.passed[1].1, begun + millis(5108));
    assert_eq!(host.passed[29].1, begun + millis(5000 + 29 * 108));
}

#[test]
fn asking_and_giving_up_by_turns_pushes_nobody_back() {
    let mut host = Host::new(limit(1.0, 1), 3);
    let begun = host.begun;
    assert_eq!(host.ask(0, Dial::Plain, begun), Turn::Now);
    for _ in 0..1000 {
        assert_eq!(host.ask(1, Dial::Plain, begun), Turn::At(begun + millis(1080)));
        host.gate.give_up(&mut host.streams[1], begun);
    }
    assert_eq!(host.ask(2, Dial::Plain, begun), Turn::At(begun + millis(2160)));
}

#[test]
fn who_does_not_come_to_a_turn_holds_nobody_up() {
    let mut host = Host::new(limit(10.0, 1), 200);
    let begun = host.begun;
    for stream in 0..200 {
        host.ask(stream, Dial::Plain, begun);
    }
    // Nobody but the last comes to his turn.
    let last = begun + millis(199 * 108);
    assert_eq!(host.ask(199, Dial::Plain, last), Turn::Now);
    // All others come at once, much too late: they stand in line again.
    let late = last + Duration::from_secs(60);
    host.let_all_pass(1..199, Dial::Plain, late);
    let at: Vec<_> = host.passed.iter().map(|(_, at)| *at).skip(2).collect();
    assert_eq!((at.len(), at[0]), (198, late));
    assert!(
        at.windows(2).all(|pair| pair[1] - pair[0] == millis(108)),
        "not in one go: {at:?}"
    );
}

#[test]
fn another_limit_is_followed_from_now_on_by_those_who_wait_as_well() {
    let mut host = Host::new(limit(100.0, 1), 60);
    let begun = host.begun;
    let turns = (0..50).map(|stream| host.ask(stream, Dial::Plain, begun));
    assert_eq!(turns.last(), Some(Turn::At(begun + Duration::from_micros(49 * 10_800))));
    host.gate.set_limit(limit(10.0, 10));
    host.let_all_pass(1..50, Dial::Plain, begun);
    assert!(host.most_in_a_second() <= 10);
    assert!(
        host.passed.last().unwrap().1 >= begun + millis(4000),
        "50 at 10 a second"
    );
    // And a higher one.
    host.passed.clear();
    host.gate.set_limit(limit(1000.0, 10));
    let later = begun + Duration::from_secs(60);
    host.let_all_pass(50..60, Dial::Plain, later);
    assert!(host.passed.iter().all(|(_, at)| *at == later), "its burst");
}

#[test]
fn few_open_breakers_or_a_minority_probe_each_for_itself() {
    for (streams, open) in [(2, 2), (6, 3), (10, 5)] {
        let mut host = Host::out(open, streams);
        let now = host.begun;
        for stream in open..streams {
            assert_eq!(host.ask(stream, Dial::Plain, now), Turn::Now);
        }
        assert!(!host.gate.is_down(), "{open} of {streams}");
        for stream in 0..open {
            assert_eq!(
                host.ask(stream, PROBE, now + COOLDOWN),
                Turn::Now,
                "{stream} of {streams}"
            );
        }
    }
}

#[test]
fn plain_dials_are_not_held_by_a_host_that_is_down() {
    let mut host = Host::out(4, 5);
    let now = host.begun;
    assert_eq!(host.ask(0, PROBE, now), Turn::Now);
    assert_eq!(host.ask(4, Dial::Plain, now), Turn::Now);
    // It goes live: that shows as well that the host is back.
    assert!(matches!(host.ask(1, PROBE, now), Turn::At(_)));
    assert!(host.tell(4, &up(), now));
    assert_eq!(host.ask(1, PROBE, now), Turn::Now);
}

#[test]
fn a_probe_without_a_verdict_is_not_waited_for_for_ever() {
    let mut host = Host::out(3, 3);
    let now = host.begun;
    assert_eq!(host.ask(0, PROBE, now), Turn::Now);
    assert_eq!(host.ask(1, PROBE, now), Turn::At(now + VERDICT_WITHIN));
    assert_eq!(host.ask(1, PROBE, now + VERDICT_WITHIN), Turn::Now);
    assert_eq!(
        host.ask(2, PROBE, now + VERDICT_WITHIN),
        Turn::At(now + VERDICT_WITHIN * 2)
    );
    // Its stream is dropped: the next one need not wait for it.
    let (gate, streams) = (&mut host.gate, &mut host.streams);
    assert!(gate.leave(&mut streams[1], now + VERDICT_WITHIN));
    assert_eq!(host.ask(2, PROBE, now + VERDICT_WITHIN), Turn::Now);
}

#[test]
fn one_stream_that_cannot_come_back_does_not_keep_the_others_out() {
    let mut host = Host::out(9, 9);
    let now = host.begun;
    assert_eq!(host.ask(0, PROBE, now), Turn::Now);
    host.half_opens(0, now);
    host.tell(0, &up(), now);
    // The next one fails for a reason of its own.
    assert_eq!(host.ask(1, PROBE, now), Turn::Now);
    host.half_opens(1, now);
    host.opens(1, BreakerState::HalfOpen, COOLDOWN, now);
    for stream in 2..9 {
        assert_eq!(host.ask(stream, PROBE, now), Turn::Now);
    }
    // One that waits for days of its own does not make the others wait as long, either.
    let days = Duration::from_secs(3 * 24 * 3600);
    host.tell(
        0,
        &Notice::Lost {
            cause: feedwatch::market::Cause::Eof,
            detail: "".into(),
        },
        now,
    );
    host.opens(0, BreakerState::HalfOpen, days, now);
    assert_eq!(host.ask(2, PROBE, now), Turn::At(now + COOLDOWN));
}

#[test]
fn a_visit_takes_its_turn_and_says_nothing_about_the_host() {
    let mut host = Host::out(3, 5);
    assert!(host.gate.is_down());
    let mut visitor = host.gate.join();
    assert_eq!(host.gate.ask(&mut visitor, Dial::Visit, host.begun), Turn::Now);
    assert!(host.gate.is_down(), "three of five, not of six");
    assert!(
        !host.gate.leave(&mut visitor, host.begun),
        "no news for those that are held"
    );

    let mut host = Host::new(limit(1.0, 1), 1);
    let mut visitor = host.gate.join();
    assert_eq!(host.ask(0, Dial::Plain, host.begun), Turn::Now);
    let Turn::At(due) = host.gate.ask(&mut visitor, Dial::Visit, host.begun) else {
        panic!("a second dial in the same second");
    };
    assert!(due >= host.begun + Duration::from_secs(1));
    assert_eq!(host.gate.ask(&mut visitor, Dial::Visit, due), Turn::Now);
}
