//! What a demo shows: a few feeds, each a simulated venue with faults by script and a stream that watches it.

use crate::sim::{Fault, Rule, Script};
use std::time::Duration;

/// A demo by name.
pub struct Scenario {
    /// The name, for `--scenario`.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    feeds: &'static [Feed],
}

/// A simulated venue and its stream.
pub(super) struct Feed {
    /// The stream's name.
    pub(super) name: &'static str,
    /// What will be seen.
    pub(super) about: &'static str,
    rules: fn() -> Vec<Rule>,
    /// What its `reconnection` has of its own.
    pub(super) reconnection: &'static str,
}

/// The default policy, made fast enough to watch.
pub(super) const RECONNECTION: &str = "
[reconnection]
initial_delay_ms = 500
max_delay_ms = 4000
max_consecutive_failures = 4
circuit_breaker_cooldown_ms = 8000
stable_after_ms = 5000
connect_timeout_ms = 5000
subscribe_timeout_ms = 5000
ping_interval_ms = 2000
pong_timeout_ms = 5000
stale_after_ms = 60000
";

impl Scenario {
    /// Every scenario; the first is the default.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "all",
            about: "all of the following at once",
            feeds: &[STEADY, DROP, OUTAGE, STALE, FLAPPING],
        },
        Self {
            name: "steady",
            about: "nothing goes wrong",
            feeds: &[STEADY],
        },
        Self {
            name: "drop",
            about: "a connection is lost and comes back at the first redial",
            feeds: &[DROP],
        },
        Self {
            name: "outage",
            about: "the backoff ladder, a breaker trip, a failed probe, a recovery",
            feeds: &[OUTAGE],
        },
        Self {
            name: "stale",
            about: "connected, answering pings, and without data",
            feeds: &[STALE],
        },
        Self {
            name: "flapping",
            about: "a venue that accepts and closes again, until the breaker trips",
            feeds: &[FLAPPING],
        },
    ];

    /// The scenario of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|scenario| scenario.name == name)
    }

    pub(super) const fn feeds(&self) -> &'static [Feed] {
        self.feeds
    }
}

impl Feed {
    pub(super) fn script(&self) -> Script {
        Script { rules: (self.rules)() }
    }
}

const STEADY: Feed = Feed {
    name: "steady",
    about: "never loses its connection",
    rules: Vec::new,
    reconnection: "",
};

const DROP: Feed = Feed {
    name: "drop",
    about: "is told to go away after 6 s, and back half a second later",
    rules: || vec![Rule::connections(1, 1, close(1001, "maintenance", secs(6)))],
    reconnection: "",
};

const OUTAGE: Feed = Feed {
    name: "outage",
    about: "drops after 3 s, three redials fail, the breaker trips, a probe fails, the next one recovers",
    rules: || {
        let unavailable = Fault::Status {
            code: 503,
            headers: std::collections::BTreeMap::new(),
            body: "try later".into(),
        };
        vec![
            Rule::connections(1, 1, Fault::Cut { after: secs(3) }),
            Rule::connections(2, 5, unavailable),
        ]
    },
    reconnection: "",
};

const STALE: Feed = Feed {
    name: "stale",
    about: "falls silent after 4 s, though it still answers pings",
    rules: || vec![Rule::always(Fault::HeartbeatsOnly { after: secs(4) })],
    reconnection: "stale_after_ms = 8000",
};

const FLAPPING: Feed = Feed {
    name: "flapping",
    about: "is accepted and closed again after a second, for ever",
    rules: || vec![Rule::always(Fault::Flap)],
    reconnection: "max_consecutive_failures = 6, circuit_breaker_cooldown_ms = 15000",
};

fn close(code: u16, reason: &str, after: Duration) -> Fault {
    Fault::Close {
        code: Some(code),
        reason: reason.to_owned(),
        after,
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_makes_sense() {
        for scenario in Scenario::ALL {
            let of_that_name = Scenario::ALL.iter().filter(|other| other.name == scenario.name).count();
            assert_eq!(of_that_name, 1, "{} is there twice", scenario.name);
            for feed in scenario.feeds() {
                assert_eq!(feed.script().problem(), None, "{}", feed.name);
            }
        }
    }
}
