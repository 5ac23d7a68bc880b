//! The one list of configuration keys: what is valid, what is left out by default, and how the environment names it.

mod venues;

pub use venues::VENUE_KEYS;

/// The prefix of every environment variable that overrides a key.
pub(super) const PREFIX: &str = "FEEDWATCH__";

/// A key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyDoc {
    /// Where it stands: `section.key`, or `streams[].key` for a key of each stream, `probe.modules{}.key` for one of each module.
    pub path: &'static str,
    /// What holds where it is left out, as TOML; `None` = nothing, or what the help says.
    pub default: Option<&'static str>,
    /// What it is for, and what is valid.
    pub help: &'static str,
}

impl KeyDoc {
    /// The environment variable that overrides it: `FEEDWATCH__SECTION__KEY`; `None` for the keys of streams and modules.
    pub fn variable(&self) -> Option<String> {
        let (section, key) = self.path.split_once('.')?;
        (!self.path.contains(['[', '{'])).then(|| format!("{PREFIX}{section}__{key}").to_ascii_uppercase())
    }
}

const fn key(path: &'static str, default: &'static str, help: &'static str) -> KeyDoc {
    KeyDoc {
        path,
        default: Some(default),
        help,
    }
}

const fn bare(path: &'static str, help: &'static str) -> KeyDoc {
    KeyDoc {
        path,
        default: None,
        help,
    }
}

/// Every key but those of `[[venues]]`, in the order of the documentation.
pub const KEYS: &[KeyDoc] = &[
    key(
        "exporter.listen",
        r#""127.0.0.1:9885""#,
        "the IP address and port that HTTP is served on",
    ),
    key(
        "exporter.max_concurrent_scrapes",
        "4",
        "scrapes answered at once: 1 to 1000; one more gets 503",
    ),
    key(
        "exporter.max_connections",
        "256",
        "open HTTP connections: 1 to 65535; one more is closed at once",
    ),
    key(
        "reconnection.initial_delay_ms",
        "1000",
        "the delay after the first failure",
    ),
    key("reconnection.max_delay_ms", "60000", "the longest delay"),
    key(
        "reconnection.backoff_multiplier",
        "2.0",
        "the growth of the delay from failure to failure: at least 1",
    ),
    key(
        "reconnection.max_consecutive_failures",
        "10",
        "so many failures in a row trip the breaker: at least 1",
    ),
    key(
        "reconnection.circuit_breaker_cooldown_ms",
        "300000",
        "how long a tripped breaker stays open before the probe",
    ),
    key(
        "reconnection.jitter",
        "0.2",
        "the share of each delay that is random, subtracted: 0 to 1",
    ),
    key(
        "reconnection.stable_after_ms",
        "30000",
        "live for so long without a loss clears the failure count",
    ),
    key(
        "reconnection.connect_timeout_ms",
        "10000",
        "the time limit of a whole dial: look-up, TCP, TLS and upgrade",
    ),
    key(
        "reconnection.subscribe_timeout_ms",
        "10000",
        "the time limit of the answer to the subscriptions",
    ),
    bare(
        "reconnection.ping_interval_ms",
        "the time between two pings; by default the venue's own rule",
    ),
    key(
        "reconnection.pong_timeout_ms",
        "20000",
        "after a ping, a connection on which nothing at all comes for so long is lost",
    ),
    key(
        "reconnection.retry_after_max_ms",
        "900000",
        "the longest Retry-After that is simply waited for; a longer one trips the breaker",
    ),
    bare(
        "reconnection.stale_after_ms",
        "live without data for so long is stale; 0 = never; by default the venue's own",
    ),
    key(
        "reconnection.instrument_stale_after_ms",
        "0",
        "an instrument without data for so long, while the stream is live, counts as stale; 0 = never",
    ),
    key(
        "reconnection.on_stale",
        r#""report""#,
        "what happens to a stale connection: report or reconnect",
    ),
    key(
        "reconnection.page_on_stale",
        "false",
        "whether a stale stream is worth a page, or only a warning",
    ),
    bare(
        "reconnection.max_connection_age_ms",
        "before a connection is so old, less jitter, another one takes its place without a gap: at least 1000; 0 = never; by default the venue's own rule",
    ),
    key(
        "transport.connect_attempt_delay_ms",
        "250",
        "of several addresses of a host, each has so much of a head start over the next: 10 to 2000",
    ),
    key(
        "transport.tcp_keepalive_ms",
        "30000",
        "after so long without a packet the kernel probes the peer, thrice and a third of that apart: 1000 to 32767000, in whole seconds; 0 = never",
    ),
    key(
        "transport.tcp_user_timeout_ms",
        "60000",
        "the kernel ends a connection whose peer acknowledges nothing for so long: 1000 to 86400000; 0 = never before the system's own time; Linux only",
    ),
    key(
        "transport.send_timeout_ms",
        "5000",
        "the time limit of sending a frame; past it the connection is lost",
    ),
    key(
        "transport.close_timeout_ms",
        "2000",
        "how long the answer to a close frame is waited for",
    ),
    key(
        "transport.max_message_bytes",
        "16777216",
        "the largest message that is accepted: 1024 to 268435456 (256 MiB)",
    ),
    key(
        "transport.read_buffer_bytes",
        "65536",
        "the read buffer of a connection that has something to read: 4096 to 1048576 (1 MiB)",
    ),
    bare(
        "dial.per_second",
        "dials a second that the streams of a host make, all together: 0.01 to 1000; by default what its venue allows",
    ),
    bare(
        "dial.burst",
        "so many of them at once after a quiet while: 1 to 1000; by default what the venue allows",
    ),
    key(
        "names.refresh_interval_ms",
        "300000",
        "how often the names that streams watch are looked up, less a random part of a fifth: at least 1000",
    ),
    key(
        "names.timeout_ms",
        "10000",
        "the time limit of one request for a name; where there are several pages, the others together have ten times as long",
    ),
    key(
        "names.max_instruments",
        "1000",
        "the most instruments that a stream gets from its names, more are left out: 1 to 100000",
    ),
    bare(
        "tls.ca_file",
        "a file of certificates, in PEM, of those who may sign a venue's: instead of the system's; \"\" = the system's",
    ),
    bare(
        "tls.client_certificate_file",
        "a file with the certificate to show a venue that asks for one, and its chain, in PEM; \"\" = none",
    ),
    bare(
        "tls.client_key_file",
        "a file with the certificate's private key, in PEM, not encrypted",
    ),
    bare(
        "proxy.url",
        "what streams go through: http://HOST:PORT (CONNECT) or socks5://HOST:PORT, by default nothing; \"\" = nothing",
    ),
    bare("proxy.username", "who asks the proxy; needs a password"),
    bare("proxy.password_file", "a file with the password on its only line"),
    bare(
        "proxy.password",
        "the password; it is taken from the variable alone, never from this file",
    ),
    bare(
        "telemetry.endpoint",
        "where traces go: an http:// or https:// address, to which /v1/traces is added for OTLP over HTTP; by default no traces",
    ),
    bare(
        "telemetry.protocol",
        "how they go there, as OTLP: http/protobuf, or grpc in a build with the feature otlp-grpc; by default http/protobuf",
    ),
    bare(
        "telemetry.service_name",
        "what the traces call this program, their service.name; by default feedwatch",
    ),
    bare(
        "telemetry.sample_ratio",
        "the share of outages that is traced: 0 to 1; by default 1.0",
    ),
    bare(
        "telemetry.timeout_ms",
        "the time limit of handing traces over; by default 10000",
    ),
    bare(
        "telemetry.headers_file",
        "a file of HTTP headers to send with traces, a `name: value` a line: for the secrets of a tracing service",
    ),
    key("log.level", r#""info""#, "error, warn, info, debug or trace"),
    key("log.format", r#""human""#, "human or json"),
    key(
        "metrics.max_streams",
        "2000",
        "more streams than this are refused: 1 to 100000; each is about 120 series",
    ),
    key(
        "probe.max_concurrent",
        "4",
        "probes that /probe makes at once: 1 to 1000; one more gets 503",
    ),
    key(
        "probe.allow_urls",
        "false",
        "whether who asks /probe may name any address in target: then it connects wherever they like",
    ),
    bare("probe.modules{}.venue", "the venue's name"),
    bare(
        "probe.modules{}.url",
        "where to connect, ws:// or wss://; by default the venue's own address",
    ),
    key(
        "probe.modules{}.instruments",
        "[]",
        "what to subscribe to, in the venue's spelling; with none it only connects",
    ),
    bare(
        "probe.modules{}.channels",
        "what to subscribe to of each instrument, in the venue's words; by default the venue's usual ones",
    ),
    key(
        "probe.modules{}.timeout_ms",
        "10000",
        "the longest that a probe takes: 100 to 600000; the scraper's own limit, less half a second, counts as well",
    ),
    key(
        "probe.modules{}.frames",
        "1",
        "a probe ends as soon as so many frames of data have come, and the answer to a ping: 1 to 1000",
    ),
    key(
        "probe.modules{}.headers",
        "{}",
        "headers to send with the upgrade: at most 32, of 8192 bytes in all",
    ),
    bare(
        "probe.modules{}.headers_file",
        "a file of more such headers, a `name: value` a line: for secrets",
    ),
    bare(
        "probe.modules{}.api_key_id",
        "what the venue calls the key of the account that connects; as of a stream",
    ),
    bare(
        "probe.modules{}.api_key_file",
        "a file with that private key, in PEM; as of a stream",
    ),
    key("probe.modules{}.tls", "{}", "any keys of [tls], for this module alone"),
    key(
        "probe.modules{}.proxy",
        "{}",
        "any keys of [proxy], for this module alone: another url has credentials of its own",
    ),
    key(
        "reload.watch_interval_ms",
        "0",
        "how often the file is looked at, to follow its changes without a SIGHUP: at least 100; 0 = never",
    ),
    key(
        "shutdown.grace_ms",
        "5000",
        "how long a shutdown may take to say goodbye to venues and scrapers",
    ),
    bare(
        "streams[].name",
        "the stream's own name: 1 to 64 of the characters A-Z a-z 0-9 _ - .",
    ),
    bare("streams[].venue", "the venue's name"),
    bare(
        "streams[].url",
        "where to connect, ws:// or wss://; by default the venue's own address",
    ),
    key(
        "streams[].alternatives",
        "[]",
        "further addresses, tried in turn with that one: each failure moves on to the next; at most 15",
    ),
    key(
        "streams[].instruments",
        "[]",
        "what to subscribe to, in the venue's spelling; with none the stream idles",
    ),
    key(
        "streams[].watch",
        "[]",
        "names of what to subscribe to besides, which are looked up now and again: at Polymarket event:SLUG, market:SLUG or the address of a page, at most venues a pattern, BTC*; at most 100",
    ),
    bare(
        "streams[].rest_url",
        "where its names are looked up, http:// or https://; by default the venue's own address",
    ),
    bare(
        "streams[].channels",
        "what to subscribe to of each instrument, in the venue's words; by default the venue's usual ones",
    ),
    key(
        "streams[].checksums",
        "false",
        "whether books are compared with the checksums that the venue sends, which costs a book for each instrument",
    ),
    key(
        "streams[].on_sequence_gap",
        "\"resync\"",
        "what to do when events are missing: \"resync\" by the venue's rule, or only \"report\" it",
    ),
    bare(
        "streams[].instruments_per_connection",
        "the most instruments that one connection carries, more are spread over several: 1 to 10000; by default the venue's own rule",
    ),
    key(
        "streams[].reconnection",
        "{}",
        "any keys of [reconnection], for this stream alone",
    ),
    key(
        "streams[].headers",
        "{}",
        "headers to send with the upgrade, such as { X-Api-Key = \"...\" }: at most 32, of 8192 bytes in all",
    ),
    bare(
        "streams[].headers_file",
        "a file of more such headers, a `name: value` a line: for secrets",
    ),
    bare(
        "streams[].api_key_id",
        "what the venue calls the key of the account that connects; only where the venue takes no connection without one",
    ),
    bare(
        "streams[].api_key_file",
        "a file with that private key, in PEM, not encrypted",
    ),
    key("streams[].tls", "{}", "any keys of [tls], for this stream alone"),
    key(
        "streams[].proxy",
        "{}",
        "any keys of [proxy], for this stream alone: another url has credentials of its own",
    ),
];

/// The names that are valid directly within a section; the empty section is the whole file.
pub(super) fn within(section: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS.iter().chain(VENUE_KEYS) {
        let rest = if section.is_empty() {
            Some(key.path)
        } else {
            key.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        };
        let name = rest.and_then(|rest| rest.split(['.', '[', '{']).next());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

/// What is valid where `name` is not: a guess at what was meant, and the whole list.
pub(super) fn instead_of(name: &str, valid: &[&str]) -> String {
    let bare = |name: &str| name.trim_start_matches(PREFIX).to_ascii_lowercase();
    let similarity = |candidate: &str| strsim::jaro_winkler(&bare(name), &bare(candidate));
    // Nothing that long is a slip of the finger, and the comparison is quadratic.
    let guess = valid
        .iter()
        .filter(|_| name.len() <= 80)
        .map(|candidate| (similarity(candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|(left, _), (right, _)| left.total_cmp(right));
    let list = valid.join(", ");
    match guess {
        Some((_, guess)) => format!("did you mean {guess}? valid: {list}"),
        None => format!("valid: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalogue;

    #[test]
    fn every_path_stands_once_and_has_help() {
        let keys: Vec<_> = KEYS.iter().chain(VENUE_KEYS).collect();
        for (index, key) in keys.iter().enumerate() {
            assert!(!key.help.is_empty(), "{}", key.path);
            assert!(
                keys[..index].iter().all(|earlier| earlier.path != key.path),
                "{}",
                key.path
            );
        }
    }

    #[test]
    fn how_much_a_stream_is_told_to_be_is_what_it_is() {
        let help = KEYS.iter().find(|key| key.path == "metrics.max_streams").unwrap().help;
        let about = help.split("about ").nth(1).unwrap().split(' ').next().unwrap();
        let is = catalogue::series(2, 1) - catalogue::series(1, 1);
        assert!(about.parse::<usize>().unwrap().abs_diff(is) <= 10, "{is}: {help}");
    }

    #[test]
    fn a_variable_is_the_path_in_capitals_and_streams_have_none() {
        let variable = |path| KEYS.iter().find(|key| key.path == path).unwrap().variable();
        assert_eq!(
            variable("reconnection.jitter").unwrap(),
            "FEEDWATCH__RECONNECTION__JITTER"
        );
        assert_eq!(variable("streams[].name"), None);
        assert_eq!(variable("probe.modules{}.venue"), None);
        assert_eq!(within("probe"), ["max_concurrent", "allow_urls", "modules"]);
    }

    #[test]
    fn a_slip_of_the_finger_is_guessed_and_nonsense_is_not() {
        let valid = within("log");
        assert_eq!(instead_of("levle", &valid), "did you mean level? valid: level, format");
        assert_eq!(instead_of("xyz", &valid), "valid: level, format");
        assert_eq!(within("").first(), Some(&"exporter"));
        assert!(within("").contains(&"streams"));
    }
}
