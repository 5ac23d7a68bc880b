//! A random policy, and a random fault for each of the first connections.
//!
//! Times are far apart, so that a busy machine decides nothing: a connection lives much less or much more than it needs to be
//! stable, and what times out does so long after what does not.

use feedwatch::sim::{BadFrame, Fault, Rule, UpgradeFault};
use std::collections::BTreeMap;
use std::time::Duration;

/// Live for so long is stable.
pub(crate) const STABLE_AFTER: Duration = Duration::from_millis(500);
/// Live for so long is certainly stable.
const LONG_MS: u64 = 1500;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    /// What the connections meet, the first one first; those after them meet nothing.
    pub(crate) faults: Vec<Fault>,
    pub(crate) threshold: u32,
    pub(crate) reconnects_when_stale: bool,
    initial_delay_ms: u64,
    jitter: f64,
    cooldown_ms: u64,
}

impl Case {
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let reconnects_when_stale = random.bool();
        let faults = (0..random.usize(1..=7)).map(|_| fault(&mut random, reconnects_when_stale));
        Self {
            seed,
            faults: faults.collect(),
            threshold: random.u32(1..=4),
            reconnects_when_stale,
            initial_delay_ms: random.u64(5..=40),
            jitter: random.choice([0.0, 0.2, 1.0]).unwrap(),
            cooldown_ms: random.u64(20..=120),
        }
    }

    pub(crate) fn rules(&self) -> Vec<Rule> {
        let numbered = (1..).zip(&self.faults);
        numbered
            .map(|(number, fault)| Rule::connections(number, number, fault.clone()))
            .collect()
    }

    /// The stream's configuration.
    pub(crate) fn config(&self, url: &str) -> String {
        let on_stale = if self.reconnects_when_stale {
            "reconnect"
        } else {
            "report"
        };
        format!(
            "exporter.listen = \"127.0.0.1:0\"\n\
             dial = {{ per_second = 1000, burst = 1000 }}\n\
             [reconnection]\n\
             initial_delay_ms = {}\nmax_delay_ms = 60\njitter = {}\nmax_consecutive_failures = {}\n\
             circuit_breaker_cooldown_ms = {}\nstable_after_ms = {}\nretry_after_max_ms = 100\n\
             connect_timeout_ms = 1000\nsubscribe_timeout_ms = 1000\nping_interval_ms = 600\npong_timeout_ms = 800\n\
             stale_after_ms = 4000\non_stale = \"{on_stale}\"\n\
             [[streams]]\nname = \"s\"\nvenue = \"polymarket\"\nurl = \"{url}\"\ninstruments = [\"11\", \"22\"]\n",
            self.initial_delay_ms,
            self.jitter,
            self.threshold,
            self.cooldown_ms,
            STABLE_AFTER.as_millis(),
        )
    }
}

fn fault(random: &mut fastrand::Rng, reconnects_when_stale: bool) -> Fault {
    let after = Duration::from_millis(random.choice([0, 0, 30, 100, LONG_MS]).unwrap());
    match random.u32(0..if reconnects_when_stale { 18 } else { 16 }) {
        0 => Fault::Hang,
        1 => Fault::NoAnswer,
        2 => Fault::RejectSubscription,
        3 | 4 => status(random),
        5 | 6 => Fault::Close {
            code: random
                .choice([
                    None,
                    Some(1000),
                    Some(1001),
                    Some(1008),
                    Some(1011),
                    Some(1014),
                    Some(4000),
                ])
                .unwrap(),
            reason: String::new(),
            after,
        },
        7 => Fault::Reset { after },
        8 => Fault::Cut { after },
        9 => Fault::Mute { after },
        10 => Fault::CutInFrame { after },
        11 => Fault::ResetInFrame { after },
        12 | 13 => Fault::BadFrame {
            kind: random
                .choice([
                    BadFrame::InvalidUtf8,
                    BadFrame::ReservedBit,
                    BadFrame::Masked,
                    BadFrame::Opcode,
                    BadFrame::LongControl,
                    BadFrame::Continuation,
                ])
                .unwrap(),
            after,
        },
        14 | 15 => Fault::Upgrade(
            random
                .choice([
                    UpgradeFault::WrongAccept,
                    UpgradeFault::NoAccept,
                    UpgradeFault::Headers { bytes: 64 * 1024 },
                    UpgradeFault::Extension,
                    UpgradeFault::Cut,
                ])
                .unwrap(),
        ),
        16 => Fault::Silence { after },
        _ => Fault::HeartbeatsOnly { after },
    }
}

fn status(random: &mut fastrand::Rng) -> Fault {
    let (code, retry_after) = random
        .choice([
            (400, None),
            (404, None),
            (500, None),
            (503, None),
            (403, None),
            (403, None),
            (401, None),
            (451, None),
            (429, Some("0")),
            (418, None),
            (302, None),
            // More than the policy waits for: it trips at once.
            (503, Some("1")),
            (429, Some("1")),
        ])
        .unwrap();
    Fault::Status {
        code,
        headers: retry_after
            .map(|value| ("Retry-After".to_owned(), value.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        body: String::new(),
    }
}
