//! What leads from one configuration to another. Pure.
//!
//! Everything is taken apart whole here: a new field does not compile before it is decided what a change of it means, whether
//! it can be followed while the service runs, and whether a stream has to be connected afresh for it.

mod access;

use super::{
    AccessConfig, Config, DialConfig, ExporterConfig, LogConfig, MetricsConfig, NamesConfig, ProbeConfig, StreamConfig,
    TracesConfig, TransportConfig, WatchConfig,
};
use crate::market::{Instrument, StreamName};
use crate::stream::{TcpOptions, TransportOptions};
use crate::supervise::Policy;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// What leads from one configuration to another.
#[derive(Debug)]
#[non_exhaustive]
pub struct Difference<'c> {
    /// Every stream of the next one, in the order of its file, and what becomes of it.
    pub streams: Vec<(&'c StreamConfig, Fate)>,
    /// The streams that the next one does not have.
    pub removed: Vec<&'c StreamName>,
    /// The keys outside the streams that differ. All of them can be followed.
    pub keys: Vec<&'static str>,
}

/// What becomes of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is new.
    Added,
    /// It connects elsewhere: the old one ends, and a new one of the same name begins.
    Replaced {
        /// The keys that differ.
        keys: Vec<&'static str>,
    },
    /// It goes on, with its connection.
    Kept {
        /// Its own keys that differ.
        keys: Vec<&'static str>,
        /// What it has to be told. It may come from keys outside the streams.
        changes: Vec<Change>,
    },
}

/// What a stream that runs is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Another policy is in force.
    Policy(Box<Policy>),
    /// The time limits of the open connection, and all figures of the next one.
    Transport(TransportOptions),
    /// These instruments are wanted, too.
    Subscribe(Vec<Instrument>),
    /// These are wanted no more.
    Unsubscribe(Vec<Instrument>),
    /// Whether it is worth a page when it is stale.
    PageOnStale(bool),
    /// The next dial gets there in this way. What files hold counts, and not their names.
    Access(Box<AccessConfig>),
}

/// The next configuration differs in what is fixed while the service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NeedsRestart {
    /// The keys.
    pub keys: Vec<&'static str>,
}

impl fmt::Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.join(", ");
        write!(f, "{keys}: cannot change while it runs; restart it, or take that back")
    }
}

impl std::error::Error for NeedsRestart {}

impl Config {
    /// What leads from this configuration to `next`; an error where nothing does but a restart.
    ///
    /// ```
    /// use feedwatch::config::{Config, Fate};
    ///
    /// let parse = |text: &str| {
    ///     let no_variables: [(&str, &str); 0] = [];
    ///     let stream = "[[streams]]\nname = \"a\"\nvenue = \"polymarket\"\n";
    ///     Config::parse("feeds.toml", &format!("{text}{stream}"), no_variables).unwrap()
    /// };
    /// let before = parse("");
    /// let slower = parse("[dial]\nper_second = 1\n");
    /// let difference = before.difference(&slower).unwrap();
    /// assert_eq!(difference.keys, ["dial.per_second"]);
    /// assert!(matches!(difference.streams[0].1, Fate::Kept { .. }));
    ///
    /// let elsewhere = parse("[exporter]\nlisten = \"127.0.0.1:1\"\n");
    /// assert_eq!(before.difference(&elsewhere).unwrap_err().keys, ["exporter.listen"]);
    /// ```
    pub fn difference<'c>(&'c self, next: &'c Self) -> Result<Difference<'c>, NeedsRestart> {
        let Self {
            exporter,
            transport,
            dial,
            names,
            traces,
            log,
            metrics,
            probe,
            watch_interval,
            shutdown_grace,
            venues,
            // Whoever goes that way tells of it.
            access: _,
            streams,
            // Of all the others.
            hash: _,
        } = self;
        let LogConfig { level, format } = log;
        // It is a limit of what is valid, and no more.
        let MetricsConfig { max_streams } = metrics;
        let mut fixed = of_exporter(exporter, &next.exporter);
        fixed.extend(of_traces(traces.as_ref(), next.traces.as_ref()));
        fixed.extend(differing([("log.format", *format != next.log.format)]));
        if !fixed.is_empty() {
            return Err(NeedsRestart { keys: fixed });
        }
        let mut keys = of_transport(transport, &next.transport);
        let DialConfig { per_second, burst } = dial;
        let NamesConfig {
            refresh_interval,
            timeout,
            max_instruments,
        } = names;
        let ProbeConfig {
            max_concurrent,
            allow_urls,
            modules,
        } = probe;
        keys.extend(differing([
            ("dial.per_second", *per_second != next.dial.per_second),
            ("dial.burst", *burst != next.dial.burst),
            (
                "names.refresh_interval_ms",
                *refresh_interval != next.names.refresh_interval,
            ),
            ("names.timeout_ms", *timeout != next.names.timeout),
            ("names.max_instruments", *max_instruments != next.names.max_instruments),
            ("log.level", *level != next.log.level),
            ("metrics.max_streams", *max_streams != next.metrics.max_streams),
            ("probe.max_concurrent", *max_concurrent != next.probe.max_concurrent),
            ("probe.allow_urls", *allow_urls != next.probe.allow_urls),
            ("probe.modules", *modules != next.probe.modules),
            ("reload.watch_interval_ms", *watch_interval != next.watch_interval),
            ("shutdown.grace_ms", *shutdown_grace != next.shutdown_grace),
            ("venues", *venues != next.venues),
        ]));

        let mut before: HashMap<_, _> = streams.iter().map(|stream| (&stream.name, stream)).collect();
        let mut fate_of = |stream: &StreamConfig| match before.remove(&stream.name) {
            Some(before) => of_stream(
                (before, &before.transport_options(transport)),
                (stream, stream.transport_options(&next.transport)),
            ),
            None => Fate::Added,
        };
        let fates = next.streams.iter().map(|stream| (stream, fate_of(stream))).collect();
        let is_removed = |stream: &&StreamConfig| before.contains_key(&stream.name);
        Ok(Difference {
            streams: fates,
            removed: streams.iter().filter(is_removed).map(|stream| &stream.name).collect(),
            keys,
        })
    }
}

fn of_stream(before: (&StreamConfig, &TransportOptions), next: (&StreamConfig, TransportOptions)) -> Fate {
    let (before, options) = before;
    let (next, next_options) = next;
    let StreamConfig {
        // The same, or it would be another stream.
        name: _,
        venue,
        endpoint,
        alternatives,
        instruments,
        watch,
        feed,
        instruments_per_connection,
        policy,
        ping_interval,
        pong_timeout,
        page_on_stale,
        access,
    } = before;
    let elsewhere = differing([
        ("venue", venue.name() != next.venue.name()),
        // Another protocol under the same name.
        ("venues", *venue != next.venue && venue.name() == next.venue.name()),
        ("url", *endpoint != next.endpoint),
        ("alternatives", *alternatives != next.alternatives),
        // Connections begin with it.
        ("channels", feed.channels != next.feed.channels),
        ("checksums", feed.checksums != next.feed.checksums),
        ("on_sequence_gap", feed.report_gaps_only != next.feed.report_gaps_only),
        // It is spread over its connections in another way.
        (
            "instruments_per_connection",
            *instruments_per_connection != next.instruments_per_connection,
        ),
    ]);
    let added = without(&next.instruments, instruments);
    let removed = without(instruments, &next.instruments);
    let mut keys = differing([("instruments", !(added.is_empty() && removed.is_empty()))]);
    // Whoever looks names up follows these by himself: the stream is told what comes of it.
    keys.extend(of_watch(watch.as_ref(), next.watch.as_ref()));
    keys.extend(of_policy(policy, &next.policy));
    keys.extend(differing([
        ("reconnection.ping_interval_ms", *ping_interval != next.ping_interval),
        ("reconnection.pong_timeout_ms", *pong_timeout != next.pong_timeout),
        ("reconnection.page_on_stale", *page_on_stale != next.page_on_stale),
    ]));
    keys.extend(access::differing(access, &next.access));
    if !elsewhere.is_empty() {
        return Fate::Replaced {
            keys: elsewhere.into_iter().chain(keys).collect(),
        };
    }
    let policy = (*policy != next.policy).then(|| Change::Policy(Box::new(next.policy.clone())));
    let transport = (*options != next_options).then_some(Change::Transport(next_options));
    let access = (*access != next.access).then(|| Change::Access(Box::new(next.access.clone())));
    let changes = [
        policy,
        transport,
        access,
        // In this order: a stream that wants nothing, if only for a moment, hangs up.
        (!added.is_empty()).then_some(Change::Subscribe(added)),
        (!removed.is_empty()).then_some(Change::Unsubscribe(removed)),
        (*page_on_stale != next.page_on_stale).then_some(Change::PageOnStale(next.page_on_stale)),
    ];
    Fate::Kept {
        keys,
        changes: changes.into_iter().flatten().collect(),
    }
}

fn of_watch(before: Option<&WatchConfig>, next: Option<&WatchConfig>) -> Vec<&'static str> {
    let (before, next) = match (before, next) {
        (Some(before), Some(next)) => (before, next),
        (None, None) => return Vec::new(),
        _ => return vec!["watch"],
    };
    let WatchConfig {
        names,
        rest,
        // Nobody has written it: it follows from what other streams have.
        room: _,
    } = before;
    differing([("watch", *names != next.names), ("rest_url", *rest != next.rest)])
}

fn of_policy(before: &Policy, next: &Policy) -> Vec<&'static str> {
    let Policy {
        initial_delay,
        max_delay,
        backoff_multiplier,
        jitter,
        max_consecutive_failures,
        circuit_breaker_cooldown,
        stable_after,
        connect_timeout,
        subscribe_timeout,
        retry_after_max,
        stale_after,
        on_stale,
        instrument_stale_after,
        max_connection_age,
    } = before;
    differing([
        ("reconnection.initial_delay_ms", *initial_delay != next.initial_delay),
        ("reconnection.max_delay_ms", *max_delay != next.max_delay),
        (
            "reconnection.backoff_multiplier",
            backoff_multiplier.total_cmp(&next.backoff_multiplier).is_ne(),
        ),
        ("reconnection.jitter", jitter.total_cmp(&next.jitter).is_ne()),
        (
            "reconnection.max_consecutive_failures",
            *max_consecutive_failures != next.max_consecutive_failures,
        ),
        (
            "reconnection.circuit_breaker_cooldown_ms",
            *circuit_breaker_cooldown != next.circuit_breaker_cooldown,
        ),
        ("reconnection.stable_after_ms", *stable_after != next.stable_after),
        (
            "reconnection.connect_timeout_ms",
            *connect_timeout != next.connect_timeout,
        ),
        (
            "reconnection.subscribe_timeout_ms",
            *subscribe_timeout != next.subscribe_timeout,
        ),
        (
            "reconnection.retry_after_max_ms",
            *retry_after_max != next.retry_after_max,
        ),
        ("reconnection.stale_after_ms", *stale_after != next.stale_after),
        ("reconnection.on_stale", *on_stale != next.on_stale),
        (
            "reconnection.instrument_stale_after_ms",
            *instrument_stale_after != next.instrument_stale_after,
        ),
        (
            "reconnection.max_connection_age_ms",
            *max_connection_age != next.max_connection_age,
        ),
    ])
}

fn of_transport(before: &TransportConfig, next: &TransportConfig) -> Vec<&'static str> {
    let TransportConfig {
        connect_attempt_delay,
        tcp: TcpOptions {
            keepalive,
            user_timeout,
        },
        send_timeout,
        close_timeout,
        max_message_bytes,
        read_buffer_bytes,
    } = before;
    differing([
        (
            "transport.connect_attempt_delay_ms",
            *connect_attempt_delay != next.connect_attempt_delay,
        ),
        ("transport.tcp_keepalive_ms", *keepalive != next.tcp.keepalive),
        ("transport.tcp_user_timeout_ms", *user_timeout != next.tcp.user_timeout),
        ("transport.send_timeout_ms", *send_timeout != next.send_timeout),
        ("transport.close_timeout_ms", *close_timeout != next.close_timeout),
        (
            "transport.max_message_bytes",
            *max_message_bytes != next.max_message_bytes,
        ),
        (
            "transport.read_buffer_bytes",
            *read_buffer_bytes != next.read_buffer_bytes,
        ),
    ])
}

/// The server has its socket and its places from the start.
fn of_exporter(before: &ExporterConfig, next: &ExporterConfig) -> Vec<&'static str> {
    let ExporterConfig {
        listen,
        max_concurrent_scrapes,
        max_connections,
    } = before;
    differing([
        ("exporter.listen", *listen != next.listen),
        (
            "exporter.max_concurrent_scrapes",
            *max_concurrent_scrapes != next.max_concurrent_scrapes,
        ),
        ("exporter.max_connections", *max_connections != next.max_connections),
    ])
}

/// The export has its connections and its queue from the start. What no key says comes from variables, which never change
/// while a process runs, and the files that they name.
fn of_traces(before: Option<&TracesConfig>, next: Option<&TracesConfig>) -> Vec<&'static str> {
    let (before, next) = match (before, next) {
        (Some(before), Some(next)) => (before, next),
        (None, None) => return Vec::new(),
        _ => return vec!["telemetry.endpoint"],
    };
    let TracesConfig {
        endpoint,
        protocol,
        headers,
        timeout,
        gzip,
        authorities,
        resource,
        sample_ratio,
        schedule_delay,
        max_queue,
        max_batch,
    } = before;
    let by_variables = *gzip != next.gzip
        || *authorities != next.authorities
        || *schedule_delay != next.schedule_delay
        || *max_queue != next.max_queue
        || *max_batch != next.max_batch;
    differing([
        ("telemetry.endpoint", *endpoint != next.endpoint),
        ("telemetry.protocol", *protocol != next.protocol),
        ("telemetry.service_name", *resource != next.resource),
        (
            "telemetry.sample_ratio",
            sample_ratio.total_cmp(&next.sample_ratio).is_ne(),
        ),
        ("telemetry.timeout_ms", *timeout != next.timeout),
        ("telemetry.headers_file", *headers != next.headers),
        ("the variables OTEL_...", by_variables),
    ])
}

fn differing<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    let differing = keys.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key).collect()
}

fn without(all: &[Instrument], others: &[Instrument]) -> Vec<Instrument> {
    let others: HashSet<_> = others.iter().collect();
    all.iter().filter(|one| !others.contains(one)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TWO: &str = r#"
        [[streams]]
        name = "a"
        venue = "polymarket"
        url = "wss://venue.example/ws?key=1"
        instruments = ["1", "2"]
        [[streams]]
        name = "b"
        venue = "polymarket"
    "#;

    fn parse(text: &str) -> Config {
        let none: [(&str, &str); 0] = [];
        Config::parse("test", text, none).unwrap()
    }

    /// What becomes of the two streams when these parts of the text are exchanged.
    fn fates(exchanged: &[(&str, &str)]) -> Vec<Fate> {
        let mut text = TWO.to_owned();
        for (old, new) in exchanged {
            assert!(text.contains(old), "{old}");
            text = text.replacen(old, new, 1);
        }
        let (before, next) = (parse(TWO), parse(&text));
        let difference = before.difference(&next).unwrap();
        assert!(difference.removed.is_empty());
        difference.streams.into_iter().map(|(_, fate)| fate).collect()
    }

    fn kept(keys: &[&'static str], changes: Vec<Change>) -> Fate {
        let keys = keys.to_vec();
        Fate::Kept { keys, changes }
    }

    fn instruments(ids: &[&str]) -> Vec<Instrument> {
        ids.iter().copied().map(Instrument::new).collect()
    }

    #[test]
    fn what_is_the_same_is_left_alone() {
        let untouched = kept(&[], Vec::new());
        assert_eq!(fates(&[]), [untouched.clone(), untouched.clone()]);
        // Another text and the same meaning: comments, and the order of instruments.
        let same = [("[\"1\", \"2\"]", "[\"2\", \"1\"] # both")];
        assert_eq!(fates(&same), [untouched.clone(), untouched]);
    }

    #[test]
    fn streams_come_and_go_by_their_names() {
        let before = parse(TWO);
        let next = parse(&TWO.replace("\"a\"", "\"c\""));
        let difference = before.difference(&next).unwrap();
        assert_eq!(difference.removed, [&before.streams[0].name]);
        let fates: Vec<_> = difference
            .streams
            .iter()
            .map(|(stream, fate)| (stream.name.as_str(), fate))
            .collect();
        assert_eq!(fates, [("c", &Fate::Added), ("b", &kept(&[], Vec::new()))]);
    }

    #[test]
    fn another_address_is_another_stream_be_it_only_in_the_query() {
        let replaced = |keys: &[&'static str]| Fate::Replaced { keys: keys.to_vec() };
        let fate = fates(&[("key=1", "key=2"), ("\"2\"", "\"3\"")]).remove(0);
        assert_eq!(fate, replaced(&["url", "instruments"]));
        let fate = fates(&[("name = \"b\"", "name = \"b\"\nurl = \"ws://127.0.0.1:1\"")]).remove(1);
        assert_eq!(fate, replaced(&["url"]));
        let fate = fates(&[("name = \"b\"", "name = \"b\"\nalternatives = ['ws://127.0.0.1:1']")]).remove(1);
        assert_eq!(fate, replaced(&["alternatives"]));
    }

    #[test]
    fn instruments_are_added_before_others_are_taken_away() {
        let changes = vec![
            Change::Subscribe(instruments(&["3", "4"])),
            Change::Unsubscribe(instruments(&["1", "2"])),
        ];
        let fate = fates(&[("[\"1\", \"2\"]", "[\"3\", \"4\"]")]).remove(0);
        assert_eq!(fate, kept(&["instruments"], changes));
    }

    #[test]
    fn another_greatest_age_is_a_policy_and_no_new_connection() {
        let aged = parse(&TWO.replace(
            "name = \"b\"",
            "name = \"b\"\nreconnection.max_connection_age_ms = 3600000",
        ));
        let before = parse(TWO);
        let mut fates = before
            .difference(&aged)
            .unwrap()
            .streams
            .into_iter()
            .map(|(_, fate)| fate);
        assert_eq!(fates.next(), Some(kept(&[], Vec::new())));
        let policy = Box::new(aged.streams[1].policy.clone());
        assert_eq!(policy.max_connection_age, Some(Duration::from_secs(3600)));
        let changes = vec![Change::Policy(policy)];
        assert_eq!(
            fates.next(),
            Some(kept(&["reconnection.max_connection_age_ms"], changes))
        );
    }

    #[test]
    fn what_a_stream_says_of_its_reconnection_is_its_own_alone() {
        let own = "url = \"wss://venue.example/ws?key=1\"\nreconnection = { max_delay_ms = 5000, pong_timeout_ms = 9, page_on_stale = true }";
        let fates = fates(&[("url = \"wss://venue.example/ws?key=1\"", own)]);
        let keys = [
            "reconnection.max_delay_ms",
            "reconnection.pong_timeout_ms",
            "reconnection.page_on_stale",
        ];
        let Fate::Kept {
            keys: differing,
            changes,
        } = &fates[0]
        else {
            panic!("{fates:?}");
        };
        assert_eq!(*differing, keys);
        let [
            Change::Policy(policy),
            Change::Transport(options),
            Change::PageOnStale(true),
        ] = changes.as_slice()
        else {
            panic!("{changes:?}");
        };
        assert_eq!(policy.max_delay, Duration::from_secs(5));
        assert_eq!(options.pong_timeout, Duration::from_millis(9));
        assert_eq!(fates[1], kept(&[], Vec::new()));
    }

    #[test]
    fn every_key_of_a_policy_is_named_and_told_to_every_stream_that_has_no_own() {
        for (key, value) in [
            ("initial_delay_ms", "7"),
            ("max_delay_ms", "70000"),
            ("backoff_multiplier", "7.0"),
            ("jitter", "0.7"),
            ("max_consecutive_failures", "7"),
            ("circuit_breaker_cooldown_ms", "7"),
            ("stable_after_ms", "7"),
            ("connect_timeout_ms", "7"),
            ("subscribe_timeout_ms", "7"),
            ("retry_after_max_ms", "7"),
            ("stale_after_ms", "7"),
            ("on_stale", "\"reconnect\""),
        ] {
            let (before, next) = (parse(TWO), parse(&format!("reconnection.{key} = {value}\n{TWO}")));
            let difference = before.difference(&next).unwrap();
            assert!(difference.keys.is_empty(), "{difference:?}");
            for (stream, fate) in difference.streams {
                let Fate::Kept { keys, changes } = fate else {
                    panic!("{key}: {fate:?}");
                };
                assert_eq!(keys, [format!("reconnection.{key}")]);
                assert_eq!(changes[0], Change::Policy(Box::new(stream.policy.clone())), "{key}");
            }
        }
    }

    #[test]
    fn each_key_outside_the_streams_is_followed_or_needs_a_restart() {
        const FIXED: [&str; 9] = [
            "exporter.listen",
            "exporter.max_concurrent_scrapes",
            "exporter.max_connections",
            "log.format",
            "telemetry.endpoint",
            "telemetry.headers_file",
            "telemetry.sample_ratio",
            "telemetry.service_name",
            "telemetry.timeout_ms",
        ];
        let traced = format!("telemetry.endpoint = \"http://127.0.0.1:4318\"\n{TWO}");
        let headers = std::env::temp_dir().join(format!("feedwatch-difference-{}", std::process::id()));
        std::fs::write(&headers, "authorization: secret").unwrap();
        for key in crate::config::KEYS {
            // Another protocol is not in every build, and changes the endpoint as well.
            let is_left_out = key.path.contains(['[', '{']) || key.path == "telemetry.protocol";
            let is_of_streams = ["reconnection.", "tls.", "proxy."]
                .iter()
                .any(|of| key.path.starts_with(of));
            if is_left_out || is_of_streams {
                continue;
            }
            let headers = format!("{headers:?}");
            let value = match key.path {
                "exporter.listen" => "\"127.0.0.1:1\"",
                "dial.per_second" | "dial.burst" | "probe.max_concurrent" => "7",
                "log.format" => "\"json\"",
                "log.level" => "\"debug\"",
                "probe.allow_urls" => "true",
                "transport.connect_attempt_delay_ms" => "500",
                "telemetry.endpoint" => "\"http://127.0.0.1:1\"",
                "telemetry.service_name" => "\"other\"",
                "telemetry.sample_ratio" => "0.5",
                "telemetry.headers_file" => headers.as_str(),
                _ => "5678",
            };
            let value = if key.path.ends_with("scrapes") { "7" } else { value };
            let base = traced.replace(&format!("{} = ", key.path), "# ");
            let next = parse(&format!("{} = {value}\n{base}", key.path));
            let before = parse(&traced);
            match before.difference(&next) {
                Ok(difference) => assert_eq!(difference.keys, [key.path]),
                Err(refused) => {
                    assert_eq!(refused.keys, [key.path]);
                    assert!(FIXED.contains(&key.path), "{refused}");
                }
            }
            assert_eq!(
                before.difference(&next).is_err(),
                FIXED.contains(&key.path),
                "{}",
                key.path
            );
        }
        std::fs::remove_file(headers).unwrap();
    }

    #[test]
    fn another_module_is_followed_without_touching_a_stream() {
        let next = format!("probe.modules.quick = {{ venue = 'polymarket', timeout_ms = 2000 }}\n{TWO}");
        let (before, next) = (parse(TWO), parse(&next));
        let difference = before.difference(&next).unwrap();
        assert_eq!(difference.keys, ["probe.modules"]);
        assert!(
            difference
                .streams
                .iter()
                .all(|(_, fate)| *fate == kept(&[], Vec::new()))
        );
        assert!(next.difference(&next.clone()).unwrap().keys.is_empty());
    }

    #[test]
    fn another_description_of_a_venue_is_another_module_of_the_same_name() {
        let described = |pair: &str| {
            let events = format!("events = [{{ kind = 'trade', instrument = '/{pair}' }}]");
            let venue = format!("[[venues]]\nname = 'ticks'\nurl = 'ws://127.0.0.1:1'\n{events}\n");
            parse(&format!("probe.modules.quick = {{ venue = 'ticks' }}\n{TWO}\n{venue}"))
        };
        let (before, next) = (described("pair"), described("symbol"));
        assert_eq!(before.difference(&next).unwrap().keys, ["probe.modules", "venues"]);
        assert!(before.difference(&described("pair")).unwrap().keys.is_empty());
    }

    #[test]
    fn what_needs_a_restart_is_named_and_the_way_out() {
        let next = format!("exporter.listen = \"127.0.0.1:1\"\nlog.format = \"json\"\n{TWO}");
        let refused = parse(TWO).difference(&parse(&next)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "exporter.listen, log.format: cannot change while it runs; restart it, or take that back"
        );
    }

    #[test]
    fn a_transport_key_concerns_every_stream_and_is_told_once() {
        let (before, next) = (parse(TWO), parse(&format!("transport.send_timeout_ms = 7\n{TWO}")));
        let difference = before.difference(&next).unwrap();
        assert_eq!(difference.keys, ["transport.send_timeout_ms"]);
        for (stream, fate) in difference.streams {
            let options = stream.transport_options(&next.transport);
            assert_eq!(options.send_timeout, Duration::from_millis(7));
            assert_eq!(fate, kept(&[], vec![Change::Transport(options)]));
        }
    }
}
