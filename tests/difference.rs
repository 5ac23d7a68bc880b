//! Whoever follows the difference between two configurations is where one would be who had begun with the second.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail")]

use feedwatch::config::{AccessConfig, Change, Config, Fate, StreamConfig};
use feedwatch::market::{Instrument, StreamName};
use feedwatch::stream::TransportOptions;
use feedwatch::supervise::Policy;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What runs, by name.
type Running = BTreeMap<StreamName, Follower>;

/// A stream that does as it is told, and no more.
#[derive(Clone, Debug, PartialEq)]
struct Follower {
    /// Counted up with each connection that is made.
    connection: u32,
    addresses: Vec<String>,
    policy: Policy,
    options: TransportOptions,
    instruments: BTreeSet<Instrument>,
    page_on_stale: bool,
    access: AccessConfig,
}

impl Follower {
    fn start(stream: &StreamConfig, config: &Config) -> Self {
        Self {
            connection: 1,
            addresses: addresses(stream),
            policy: stream.policy.clone(),
            options: stream.transport_options(&config.transport),
            instruments: stream.instruments.iter().cloned().collect(),
            page_on_stale: stream.page_on_stale,
            access: stream.access.clone(),
        }
    }

    fn follow(&mut self, change: Change) {
        match change {
            Change::Policy(policy) => self.policy = *policy,
            Change::Transport(options) => self.options = options,
            Change::Subscribe(instruments) => {
                for instrument in instruments {
                    assert!(self.instruments.insert(instrument), "it has it already");
                }
            }
            Change::Unsubscribe(instruments) => {
                for instrument in instruments {
                    assert!(self.instruments.remove(&instrument), "it does not have it");
                }
            }
            Change::Access(access) => {
                assert_ne!(self.access, *access);
                self.access = *access;
            }
            Change::PageOnStale(page_on_stale) => {
                assert_ne!(self.page_on_stale, page_on_stale);
                self.page_on_stale = page_on_stale;
            }
        }
    }
}

fn addresses(stream: &StreamConfig) -> Vec<String> {
    stream.endpoints().map(ToString::to_string).collect()
}

fn all(config: &Config) -> Running {
    let streams = config.streams.iter();
    streams
        .map(|stream| (stream.name.clone(), Follower::start(stream, config)))
        .collect()
}

fn follow(running: &mut Running, before: &Config, next: &Config) {
    let difference = before.difference(next).unwrap();
    for name in difference.removed {
        assert!(running.remove(name).is_some());
    }
    for (stream, fate) in difference.streams {
        match fate {
            Fate::Added => {
                let before = running.insert(stream.name.clone(), Follower::start(stream, next));
                assert_eq!(before, None);
            }
            Fate::Replaced { .. } => {
                let before = running.get_mut(&stream.name).unwrap();
                let afresh = Follower {
                    connection: before.connection + 1,
                    ..Follower::start(stream, next)
                };
                assert_ne!(before.addresses, afresh.addresses);
                *before = afresh;
            }
            Fate::Kept { changes, .. } => {
                let kept = running.get_mut(&stream.name).unwrap();
                for change in changes {
                    let was_idle = kept.instruments.is_empty();
                    kept.follow(change);
                    let hangs_up = !was_idle && kept.instruments.is_empty();
                    assert!(
                        !hangs_up || stream.instruments.is_empty(),
                        "for a moment it wants nothing"
                    );
                }
            }
        }
    }
}

/// What differs from one configuration to another, of few values each, so that some are often the same.
fn any_config() -> impl Strategy<Value = Config> {
    let stream = (
        (1..3_u8, 1..4_u8),
        prop::collection::btree_set(1..5_u8, 0..4),
        1..3_u32,
        1..3_u32,
        any::<bool>(),
        (1..3_u8, 0..3_u8),
    );
    let streams = prop::collection::btree_map(1..5_u8, stream, 1..4);
    (streams, 1..3_u32, 1..3_u32, 1..3_u32, 1..3_u8).prop_map(|(streams, send_timeout, head_start, max_failures, proxy)| {
        let mut text = format!(
            "transport.send_timeout_ms = {send_timeout}\ntransport.connect_attempt_delay_ms = 1{head_start}\n\
             reconnection.max_consecutive_failures = {max_failures}\nproxy.url = \"http://127.0.0.1:{proxy}\"\n"
        );
        for (name, ((port, other), instruments, pong_timeout, stable_after, page, (key, own))) in streams {
            // That of all, none, or one of its own.
            let proxy = match own {
                0 => "{}",
                1 => "{ url = '' }",
                _ => "{ url = 'socks5://127.0.0.1:1' }",
            };
            let instruments: Vec<_> = instruments.iter().map(|id| format!("\"{id}\"")).collect();
            write!(
                text,
                "[[streams]]\nname = \"{name}\"\nvenue = \"polymarket\"\nurl = \"ws://127.0.0.1:{port}/\"\nalternatives = [{}]\ninstruments = [{}]\n\
                 reconnection = {{ pong_timeout_ms = {pong_timeout}, stable_after_ms = {stable_after}, page_on_stale = {page} }}\n\
                 headers = {{ X-Key = \"{key}\" }}\nproxy = {proxy}\n",
                if other > 1 { format!("'ws://127.0.0.1:{other}/2'") } else { String::new() },
                instruments.join(", ")
            )
            .unwrap();
        }
        let none: [(&str, &str); 0] = [];
        Config::parse("any", &text, none).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
    })
}

proptest! {
    #[test]
    fn who_follows_is_where_who_begins_is(first in any_config(), second in any_config(), third in any_config()) {
        let mut running = all(&first);
        follow(&mut running, &first, &second);
        follow(&mut running, &second, &third);
        let connections: Vec<_> = running.values_mut().map(|stream| std::mem::replace(&mut stream.connection, 1)).collect();
        prop_assert_eq!(&running, &all(&third));
        // A stream that connected to one place all the time was connected once.
        for ((name, _), connection) in running.iter().zip(connections) {
            let address_in = |config: &Config| {
                let mut streams = config.streams.iter();
                streams.find(|stream| stream.name == *name).map(addresses)
            };
            let addresses = [&first, &second, &third].map(address_in);
            let stayed = addresses.iter().all(|address| *address == addresses[0]);
            prop_assert!(!stayed || connection == 1, "{} was connected {} times", name, connection);
        }
    }

    #[test]
    fn nothing_leads_from_a_configuration_to_itself(config in any_config()) {
        let difference = config.difference(&config).unwrap();
        prop_assert!(difference.removed.is_empty() && difference.keys.is_empty());
        for (_, fate) in difference.streams {
            prop_assert_eq!(fate, Fate::Kept { keys: Vec::new(), changes: Vec::new() });
        }
    }
}
