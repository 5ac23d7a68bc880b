//! `[reconnection]`: the default policy, and what a stream overrides of it.

use super::keys::within;
use super::section::Section;
use super::value::Raw;
use crate::stream::TransportOptions;
use crate::supervise::{OnStale, Policy};
use crate::venue::Venue;
use std::time::Duration;

const ON_STALE: &[(&str, OnStale)] = &[("report", OnStale::Report), ("reconnect", OnStale::Reconnect)];

/// A connection that is replaced more often is hardly there before it goes.
const LEAST_AGE_MS: u64 = 1000;

/// The keys of a `[reconnection]` table.
#[derive(Clone, Debug)]
pub(super) struct Reconnection {
    /// Without `stale_after` and `max_connection_age`, which may depend on the venue.
    pub(super) policy: Policy,
    /// `None` = the venue's own; zero = never.
    pub(super) stale_after: Option<Duration>,
    /// `None` = the venue's own; the inner one = never.
    #[allow(clippy::option_option, reason = "two things that may be absent")]
    max_connection_age: Option<Option<Duration>>,
    /// `None` = the venue's own.
    pub(super) ping_interval: Option<Duration>,
    pub(super) pong_timeout: Duration,
    pub(super) page_on_stale: bool,
}

impl Default for Reconnection {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            stale_after: None,
            max_connection_age: None,
            ping_interval: None,
            pong_timeout: TransportOptions::default().pong_timeout,
            page_on_stale: false,
        }
    }
}

impl Reconnection {
    /// Reads the keys that are written; the others are those of `base`.
    pub(super) fn read(mut section: Section<'_, '_>, base: &Self) -> Self {
        let mut millis = |key, base| section.take(key, |raw| raw.millis(1)).unwrap_or(base);
        let policy = Policy {
            initial_delay: millis("initial_delay_ms", base.policy.initial_delay),
            max_delay: millis("max_delay_ms", base.policy.max_delay),
            circuit_breaker_cooldown: millis("circuit_breaker_cooldown_ms", base.policy.circuit_breaker_cooldown),
            stable_after: millis("stable_after_ms", base.policy.stable_after),
            connect_timeout: millis("connect_timeout_ms", base.policy.connect_timeout),
            subscribe_timeout: millis("subscribe_timeout_ms", base.policy.subscribe_timeout),
            retry_after_max: section
                .take("retry_after_max_ms", |raw| raw.millis(0))
                .unwrap_or(base.policy.retry_after_max),
            backoff_multiplier: section
                .take("backoff_multiplier", Raw::number)
                .unwrap_or(base.policy.backoff_multiplier),
            jitter: section.take("jitter", Raw::number).unwrap_or(base.policy.jitter),
            max_consecutive_failures: section
                .take("max_consecutive_failures", |raw| raw.whole(1..=u32::MAX.into()))
                .unwrap_or(base.policy.max_consecutive_failures),
            on_stale: section
                .take("on_stale", |raw| raw.choice(ON_STALE))
                .unwrap_or(base.policy.on_stale),
            stale_after: None,
            instrument_stale_after: section
                .take("instrument_stale_after_ms", |raw| raw.millis_or_never(1))
                .unwrap_or(base.policy.instrument_stale_after),
            max_connection_age: None,
        };
        let read = Self {
            policy,
            stale_after: section.take("stale_after_ms", |raw| raw.millis(0)).or(base.stale_after),
            max_connection_age: section
                .take("max_connection_age_ms", |raw| raw.millis_or_never(LEAST_AGE_MS))
                .or(base.max_connection_age),
            ping_interval: section
                .take("ping_interval_ms", |raw| raw.millis(1))
                .or(base.ping_interval),
            pong_timeout: section
                .take("pong_timeout_ms", |raw| raw.millis(1))
                .unwrap_or(base.pong_timeout),
            page_on_stale: section.take("page_on_stale", Raw::flag).unwrap_or(base.page_on_stale),
        };
        read.report_senseless_figures(&mut section, base);
        read
    }

    /// The policy of a stream on a venue with those rules of its own.
    pub(super) fn policy_for(&self, venue: &dyn Venue) -> Policy {
        let stale_after = self.stale_after.unwrap_or_else(|| venue.stale_after());
        let max_connection_age = self.max_connection_age;
        Policy {
            max_connection_age: max_connection_age.unwrap_or_else(|| venue.limits().max_connection_age),
            stale_after: (!stale_after.is_zero()).then_some(stale_after),
            ..self.policy.clone()
        }
    }

    fn report_senseless_figures(&self, section: &mut Section<'_, '_>, base: &Self) {
        const LONGEST: &str = "max_delay_ms";
        let inherited = base.policy.errors();
        for error in self.policy.errors() {
            let in_millis = format!("{}_ms", error.field);
            let valid = within("reconnection");
            let key = valid.iter().find(|name| **name == error.field || **name == in_millis);
            let key = *key.unwrap_or(&error.field);
            let is_here = section.place_of(key).is_some();
            let is_told = !is_here && inherited.contains(&error);
            // What could not be read has its default now, which nobody wrote.
            let is_guess = section.is_faulty(key) || section.is_faulty(LONGEST) && error.field == "initial_delay";
            if is_told || is_guess {
                continue;
            }
            if is_here {
                section.wrong(key, error.problem);
            } else {
                // Only the rule over both delays can be broken by a key that is not here.
                section.wrong_at(LONGEST, key, format!("{}; set it too", error.problem));
            }
        }
    }
}
