//! The figures that a stream's supervision follows.

use super::Backoff;
use std::fmt;
use std::time::Duration;

/// What happens when a live stream gets no data for `stale_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStale {
    /// It is told, and the connection is kept.
    Report,
    /// It is told, and the connection is lost with the cause `stale`.
    Reconnect,
}

/// How a stream is supervised. The configuration's `[reconnection]` has the same names.
///
/// Fields may be added in a minor release: begin with [`Policy::default`], as here.
///
/// ```
/// use feedwatch::supervise::{OnStale, Policy};
/// use std::time::Duration;
///
/// let policy = Policy {
///     max_delay: Duration::from_secs(10),
///     max_consecutive_failures: 6,
///     stale_after: Some(Duration::from_secs(60)),
///     on_stale: OnStale::Reconnect,
///     ..Policy::default()
/// };
/// assert_eq!(policy.errors(), []);
///
/// // A policy that a user has written is judged before it is used.
/// let wrong = Policy { jitter: 1.5, ..policy };
/// assert_eq!(wrong.errors()[0].to_string(), "jitter: must be from 0 to 1, not 1.5");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The delay after the first failure.
    pub initial_delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
    /// The growth of the delay from failure to failure: at least 1.
    pub backoff_multiplier: f64,
    /// The share of each delay that is random: 0 to 1.
    pub jitter: f64,
    /// So many failures in a row trip the breaker.
    pub max_consecutive_failures: u32,
    /// How long a tripped breaker stays open before the probe.
    pub circuit_breaker_cooldown: Duration,
    /// Live for so long without a loss clears the failure count.
    pub stable_after: Duration,
    /// The time limit of a whole dial: look-up, TCP, TLS and upgrade.
    pub connect_timeout: Duration,
    /// The time limit of the answer to the subscriptions.
    pub subscribe_timeout: Duration,
    /// The longest `Retry-After` that is simply waited for; a longer one trips the breaker.
    pub retry_after_max: Duration,
    /// Live without data for so long is stale; `None` = never.
    pub stale_after: Option<Duration>,
    /// What happens then.
    pub on_stale: OnStale,
    /// An instrument without data for so long, on a live connection, is counted as stale; `None` = never.
    pub instrument_stale_after: Option<Duration>,
    /// No connection that can be replaced gets older: before that, less a random share of it of at most `jitter`, another one is
    /// made, and takes over; `None` = never.
    pub max_connection_age: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            backoff_multiplier: 2.0,
            jitter: 0.2,
            max_consecutive_failures: 10,
            circuit_breaker_cooldown: Duration::from_secs(300),
            stable_after: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            subscribe_timeout: Duration::from_secs(10),
            retry_after_max: Duration::from_secs(900),
            stale_after: None,
            on_stale: OnStale::Report,
            instrument_stale_after: None,
            max_connection_age: None,
        }
    }
}

/// A figure of a [`Policy`] that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyError {
    /// The field's name, as in [`Policy`].
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// The backoff of this policy.
    pub const fn backoff(&self) -> Backoff {
        Backoff {
            initial: self.initial_delay,
            max: self.max_delay,
            multiplier: self.backoff_multiplier,
            jitter: self.jitter,
        }
    }

    /// Every figure that makes no sense. A [`super::Supervisor`] copes with any figures; these are the ones that nobody can
    /// have meant.
    pub fn errors(&self) -> Vec<PolicyError> {
        let mut errors = Vec::new();
        let mut expect = |holds: bool, field: &'static str, problem: &dyn Fn() -> String| {
            if !holds {
                errors.push(PolicyError {
                    field,
                    problem: problem(),
                });
            }
        };
        for (field, duration) in [
            ("initial_delay", self.initial_delay),
            ("max_delay", self.max_delay),
            ("circuit_breaker_cooldown", self.circuit_breaker_cooldown),
            ("stable_after", self.stable_after),
            ("connect_timeout", self.connect_timeout),
            ("subscribe_timeout", self.subscribe_timeout),
        ] {
            expect(!duration.is_zero(), field, &|| "must be more than 0".into());
        }
        expect(self.initial_delay <= self.max_delay, "initial_delay", &|| {
            format!(
                "{} ms is more than the longest delay, {} ms",
                self.initial_delay.as_millis(),
                self.max_delay.as_millis()
            )
        });
        expect(
            self.backoff_multiplier >= 1.0 && self.backoff_multiplier.is_finite(),
            "backoff_multiplier",
            &|| format!("must be a number of at least 1, not {}", self.backoff_multiplier),
        );
        expect((0.0..=1.0).contains(&self.jitter), "jitter", &|| {
            format!("must be from 0 to 1, not {}", self.jitter)
        });
        expect(self.max_consecutive_failures > 0, "max_consecutive_failures", &|| {
            "must be at least 1".into()
        });
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_makes_sense() {
        assert_eq!(Policy::default().errors(), []);
    }

    #[test]
    fn each_senseless_figure_is_named() {
        let policy = Policy {
            initial_delay: Duration::from_secs(2),
            max_delay: Duration::from_secs(1),
            backoff_multiplier: f64::NAN,
            jitter: 1.5,
            max_consecutive_failures: 0,
            stable_after: Duration::ZERO,
            ..Policy::default()
        };
        let fields: Vec<_> = policy.errors().into_iter().map(|error| error.field).collect();
        assert_eq!(
            fields,
            [
                "stable_after",
                "initial_delay",
                "backoff_multiplier",
                "jitter",
                "max_consecutive_failures"
            ]
        );
    }
}
