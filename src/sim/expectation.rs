//! What a correct client must have counted, derived from the venue's log.
//!
//! Written straight from the rules of supervision and from what the venue saw, without the client's own state machine: two
//! answers to the same question, to compare. It is for a venue that serves one supervised connection at a time, whose client
//! neither reconnects on request nor changes what it is for.
//!
//! What a venue cannot see, it cannot expect: dials while its port is closed, and a `Retry-After` that a script wrote into the
//! headers as a date. Whether a
//! connection was live for `stable_after` is judged by the venue's clock, a network's delay apart from the client's.
//!
//! ```
//! use feedwatch::sim::{Expectation, SimOptions, SimulatedVenue};
//! use feedwatch::supervise::Policy;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let venue = SimulatedVenue::start(SimOptions::default()).unwrap();
//! // Here a client would be at work. From nobody, nothing is expected.
//! let expected = Expectation::of(&venue.log(), &Policy::default(), None);
//! assert_eq!(expected, Expectation::default());
//! venue.shutdown().await;
//! # }
//! ```

use super::log::{Entry, SimLog, What};
use crate::supervise::{OnStale, Policy};
use std::time::Duration;

/// A 403 comes from firewalls with moods as well as from venues: the third in a row is believed.
const FORBIDDEN_IN_A_ROW: u32 = 3;

/// What a correct client must have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Dials that the venue accepted.
    pub attempts: u64,
    /// Attempts that did not go live.
    pub failed_attempts: u64,
    /// Attempts that went live. `attempts = went_live + failed_attempts`, and one more while one is in flight.
    pub went_live: u64,
    /// Losses of a live connection.
    pub losses: u64,
    /// The breaker's moves from closed to open.
    pub trips: u64,
    /// Outages begun: by a loss, or by a start that failed.
    pub outages: u64,
    /// Whether the client is live.
    pub live: bool,
    /// Frames that the venue sent in all, by now (the cut-off is not for these).
    pub frames_received: u64,
    /// Their payload bytes.
    pub received_bytes: u64,
    /// Frames that the venue received in all, by now.
    pub frames_sent: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Whether the venue missed something: its port was closed, or its log overflowed. The figures are lower bounds then.
    pub incomplete: bool,
}

impl Expectation {
    /// What a client with this policy must have counted, from the entries before `cut_off` (time since the venue's start):
    /// leave the end of venue or client out with it.
    pub fn of(log: &SimLog, policy: &Policy, cut_off: Option<Duration>) -> Self {
        let entries = log.entries();
        let before = entries
            .iter()
            .take_while(|entry| cut_off.is_none_or(|cut_off| entry.at < cut_off));
        let counts = log.totals();
        let walked = Self::from_entries(before, policy);
        Self {
            frames_received: counts.sent.frames(),
            received_bytes: counts.sent.payload_bytes,
            frames_sent: counts.received.frames(),
            sent_bytes: counts.received.payload_bytes,
            incomplete: walked.incomplete || log.overflowed(),
            ..walked
        }
    }

    /// The same from entries alone, without frames and bytes.
    pub fn from_entries<'e>(entries: impl IntoIterator<Item = &'e Entry>, policy: &Policy) -> Self {
        let mut walk = Walk {
            policy,
            expected: Self::default(),
            current: None,
            in_outage: false,
            failures: 0,
            tripped: false,
            forbidden_in_a_row: 0,
            needs_data: false,
        };
        for entry in entries {
            walk.step(entry);
        }
        walk.expected.live = matches!(
            walk.current,
            Some(Current {
                stage: Stage::Live { .. },
                ..
            })
        );
        walk.expected
    }
}

struct Walk<'p> {
    policy: &'p Policy,
    expected: Expectation,
    current: Option<Current>,
    in_outage: bool,
    failures: u32,
    tripped: bool,
    forbidden_in_a_row: u32,
    /// The last loss was for want of data: only a connection with data is stable again.
    needs_data: bool,
}

/// The connection that the client works with.
struct Current {
    number: u64,
    stage: Stage,
}

enum Stage {
    Attempt {
        /// A certificate that is not valid was shown.
        bad_certificate: bool,
        status: Option<u16>,
        retry_after: Duration,
    },
    Live {
        since: Duration,
        has_data: bool,
        /// The venue fell silent.
        starved: bool,
    },
}

impl Walk<'_> {
    fn step(&mut self, entry: &Entry) {
        match &entry.what {
            What::PortClosed => return self.expected.incomplete = true,
            What::Accepted => {
                // One connection at a time: who dials again has given the old one up, even if the venue has yet to notice.
                self.end(entry.at, true);
                self.expected.attempts += 1;
                self.current = Some(Current {
                    number: entry.connection,
                    stage: Stage::Attempt {
                        bad_certificate: false,
                        status: None,
                        retry_after: Duration::ZERO,
                    },
                });
                return;
            }
            _ => {}
        }
        let Some(current) = self
            .current
            .as_mut()
            .filter(|current| current.number == entry.connection)
        else {
            return;
        };
        match (&entry.what, &mut current.stage) {
            (
                What::UpgradeRefused {
                    status: refused_with,
                    retry_after_seconds,
                },
                Stage::Attempt {
                    status, retry_after, ..
                },
            ) => {
                *status = Some(*refused_with);
                *retry_after = Duration::from_secs(retry_after_seconds.unwrap_or(0));
            }
            (What::Subscribed { .. }, stage @ Stage::Attempt { .. }) => {
                self.expected.went_live += 1;
                self.in_outage = false;
                self.forbidden_in_a_row = 0;
                *stage = Stage::Live {
                    since: entry.at,
                    has_data: false, // the answer's books say nothing of what follows
                    starved: false,
                };
            }
            (What::Fed, Stage::Live { has_data, .. }) => *has_data = true,
            (What::FaultBegan { name }, Stage::Attempt { bad_certificate, .. }) => {
                *bad_certificate = matches!(*name, "tls_expired" | "tls_wrong_host" | "tls_unknown_authority");
            }
            (What::FaultBegan { name }, Stage::Live { starved, .. }) => {
                *starved = matches!(*name, "silence" | "heartbeats_only");
            }
            (What::ClosedByClient { .. } | What::LostByClient, _) => self.end(entry.at, true),
            (What::ClosedByVenue { .. } | What::Reset | What::Cut | What::Ended, _) => self.end(entry.at, false),
            _ => {}
        }
    }

    /// What was under way is over: a failed attempt, or a loss.
    fn end(&mut self, at: Duration, by_client: bool) {
        let Some(current) = self.current.take() else { return };
        let fatal = match current.stage {
            Stage::Attempt {
                bad_certificate,
                status,
                retry_after,
            } => {
                self.expected.failed_attempts += 1;
                self.is_fatal(status, retry_after) || bad_certificate
            }
            Stage::Live {
                since,
                has_data,
                starved,
            } => {
                self.expected.losses += 1;
                if at.saturating_sub(since) >= self.policy.stable_after && (has_data || !self.needs_data) {
                    self.failures = 0;
                    self.tripped = false;
                    self.needs_data = false;
                }
                self.needs_data |= by_client && starved && self.policy.on_stale == OnStale::Reconnect;
                false
            }
        };
        if !std::mem::replace(&mut self.in_outage, true) {
            self.expected.outages += 1;
        }
        self.failures = self.failures.saturating_add(1);
        let trips = fatal || self.failures >= self.policy.max_consecutive_failures;
        // While tripped, a failed probe only keeps it open.
        if trips && !std::mem::replace(&mut self.tripped, true) {
            self.expected.trips += 1;
        }
    }

    /// Whether the breaker trips at once.
    fn is_fatal(&mut self, status: Option<u16>, retry_after: Duration) -> bool {
        self.forbidden_in_a_row = if status == Some(403) {
            self.forbidden_in_a_row + 1
        } else {
            0
        };
        match status {
            Some(401 | 451) => true,
            Some(403) => self.forbidden_in_a_row >= FORBIDDEN_IN_A_ROW,
            Some(418 | 429 | 503) => retry_after > self.policy.retry_after_max,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::market::{Cause, Failure};
    use crate::supervise::{Action, BreakerState, Input, Notice, Supervisor};
    use proptest::prelude::*;
    use std::time::SystemTime;

    fn entry(millis: u64, connection: u64, what: What) -> Entry {
        Entry {
            at: Duration::from_millis(millis),
            wall: SystemTime::UNIX_EPOCH,
            connection,
            what,
        }
    }

    const LIVE: What = What::Subscribed {
        accepted: 1,
        refused: 0,
    };
    const CLOSED: What = What::ClosedByVenue { code: None };

    fn refused(status: u16) -> What {
        What::UpgradeRefused {
            status,
            retry_after_seconds: None,
        }
    }

    fn policy() -> Policy {
        Policy {
            max_consecutive_failures: 3,
            stable_after: Duration::from_millis(500),
            jitter: 0.0,
            ..Policy::default()
        }
    }

    fn expected(entries: &[Entry]) -> Expectation {
        Expectation::from_entries(entries, &policy())
    }

    #[test]
    fn a_venue_that_answers_and_is_dead_trips_and_one_that_sends_something_does_not() {
        let trips = |fed: &[What]| {
            let mut entries = Vec::new();
            for number in 1..=3 {
                let at = number * 10_000;
                entries.extend([entry(at, number, What::Accepted), entry(at, number, LIVE)]);
                entries.extend(fed.iter().map(|fed| entry(at + 10, number, fed.clone())));
                entries.extend([
                    entry(at + 20, number, What::FaultBegan { name: "silence" }),
                    entry(at + 5_000, number, What::ClosedByClient { code: None }),
                    entry(at + 5_000, number, What::Ended),
                ]);
            }
            let policy = Policy {
                on_stale: OnStale::Reconnect,
                ..policy()
            };
            Expectation::from_entries(&entries, &policy).trips
        };
        assert_eq!(trips(&[]), 1);
        assert_eq!(trips(&[What::Fed]), 0);
    }

    #[test]
    fn a_flapping_venue_trips_once_and_a_stable_connection_clears() {
        let mut entries = Vec::new();
        for number in 1..=5 {
            let at = number * 1000;
            entries.extend([
                entry(at, number, What::Accepted),
                entry(at, number, LIVE),
                entry(at + 100, number, CLOSED),
                entry(at + 110, number, What::Ended),
            ]);
        }
        let flapped = expected(&entries);
        assert_eq!((flapped.attempts, flapped.went_live, flapped.losses), (5, 5, 5));
        assert_eq!((flapped.trips, flapped.outages, flapped.live), (1, 5, false));

        entries.extend([entry(6000, 6, What::Accepted), entry(6000, 6, LIVE)]);
        assert!(expected(&entries).live);
        entries.push(entry(6500, 6, CLOSED));
        for number in 7..=8 {
            let at = number * 1000;
            entries.extend([
                entry(at, number, What::Accepted),
                entry(at, number, refused(500)),
                entry(at, number, What::Ended),
            ]);
        }
        let again = expected(&entries);
        assert_eq!((again.trips, again.failed_attempts, again.outages), (2, 2, 6));
    }

    #[test]
    fn a_start_that_fails_is_one_outage_and_one_that_succeeds_is_none() {
        let first = [
            entry(0, 1, What::Accepted),
            entry(1, 1, refused(500)),
            entry(1, 1, What::Ended),
            entry(5, 2, What::Accepted),
            entry(6, 2, What::Ended),
            entry(7, 3, What::Accepted),
            entry(8, 3, LIVE),
        ];
        let failed_twice = expected(&first);
        assert_eq!((failed_twice.outages, failed_twice.failed_attempts), (1, 2));
        assert_eq!(expected(&[entry(0, 1, What::Accepted), entry(1, 1, LIVE)]).outages, 0);
    }

    #[test]
    fn fatal_answers_trip_at_once_and_403_the_third_time() {
        let answered = |statuses: &[u16]| {
            let entries: Vec<_> = (1..)
                .zip(statuses)
                .flat_map(|(number, status)| {
                    [
                        entry(number, number, What::Accepted),
                        entry(number, number, refused(*status)),
                        entry(number, number, What::Ended),
                    ]
                })
                .collect();
            let policy = Policy {
                max_consecutive_failures: 10,
                ..policy()
            };
            Expectation::from_entries(&entries, &policy).trips
        };
        assert_eq!(answered(&[401]), 1);
        assert_eq!(answered(&[451, 401]), 1);
        assert_eq!(answered(&[403, 403]), 0);
        assert_eq!(answered(&[403, 403, 403]), 1);
        assert_eq!(answered(&[403, 403, 500, 403]), 0);
    }

    #[test]
    fn a_client_that_dials_again_has_given_the_old_connection_up() {
        let entries = [
            entry(0, 1, What::Accepted),
            entry(1, 1, LIVE),
            entry(50, 2, What::Accepted),
            entry(60, 1, What::LostByClient),
            entry(60, 1, What::Ended),
        ];
        let derived = expected(&entries);
        assert_eq!((derived.losses, derived.outages, derived.failed_attempts), (1, 1, 0));
    }

    /// What a connection meets, for the comparison with the supervisor.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        BadCertificate,
        Refused(u16),
        Lost { after_millis: u64 },
    }

    fn fates() -> impl Strategy<Value = Vec<Fate>> {
        let fate = prop_oneof![
            Just(Fate::BadCertificate),
            prop::sample::select(vec![500, 401, 403, 403, 403, 503]).prop_map(Fate::Refused),
            prop::sample::select(vec![10, 499, 501, 900]).prop_map(|after_millis| Fate::Lost { after_millis }),
        ];
        prop::collection::vec(fate, 0..60)
    }

    proptest! {
        #[test]
        fn the_derived_figures_are_the_supervisors(fates in fates()) {
            let start = Moment::now().mono;
            let (mut supervisor, mut now) = (Supervisor::new(policy(), 1), start);
            let (mut entries, mut notices) = (Vec::new(), supervisor.apply(Input::Start, start));
            for (number, fate) in (1..).zip(fates) {
                while let Action::Wait { due } = supervisor.action() {
                    now = due;
                    notices.extend(supervisor.apply(Input::Elapsed, now));
                }
                let mut log = |after: u64, what| {
                    let at = now - start + Duration::from_millis(after);
                    entries.push(Entry { at, ..entry(0, number, what) });
                };
                log(0, What::Accepted);
                match fate {
                    Fate::BadCertificate => {
                        log(0, What::FaultBegan { name: "tls_expired" });
                        log(0, What::LostByClient);
                        notices.extend(supervisor.apply(Input::Failed(Cause::TlsCertificate.into()), now));
                    }
                    Fate::Refused(status) => {
                        log(0, refused(status));
                        log(0, What::Ended);
                        let cause = if status == 401 { Cause::Unauthorized } else { Cause::HttpStatus };
                        let failure = Failure { status: Some(status), ..Failure::new(cause) };
                        notices.extend(supervisor.apply(Input::Failed(failure), now));
                    }
                    Fate::Lost { after_millis } => {
                        log(0, LIVE);
                        log(after_millis, CLOSED);
                        notices.extend(supervisor.apply(Input::Connected, now));
                        notices.extend(supervisor.apply(Input::Subscribed { accepted: 1, refused: 0 }, now));
                        now += Duration::from_millis(after_millis);
                        notices.extend(supervisor.apply(Input::Elapsed, now));
                        notices.extend(supervisor.apply(Input::Failed(Cause::CloseNormal.into()), now));
                    }
                }
            }
            let count = |wanted: fn(&Notice) -> bool| notices.iter().filter(|notice| wanted(notice)).count() as u64;
            let derived = expected(&entries);
            prop_assert_eq!(derived.losses, count(|notice| matches!(notice, Notice::Lost { .. })));
            prop_assert_eq!(derived.failed_attempts, count(|notice| matches!(notice, Notice::AttemptFailed { .. })));
            prop_assert_eq!(derived.went_live, count(|notice| matches!(notice, Notice::Up { .. })));
            prop_assert_eq!(derived.trips, count(|notice| {
                matches!(notice, Notice::Breaker(moved) if moved.from == BreakerState::Closed)
            }));
        }
    }
}
