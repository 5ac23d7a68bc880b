//! The shipped configuration files load and say the truth; each bad file in `tests/config` gives exactly the message next
//! to it.
#![cfg(feature = "service")]

use feedwatch::config::{Config, ConfigErrors, KEYS, LogFormat};
use feedwatch::stream::{Endpoint, TcpOptions};
use feedwatch::supervise::{OnStale, Policy};
use proptest::prelude::*;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::Duration;

const NO_VARIABLES: [(&str, &str); 0] = [];
const STREAM: &str = "[[streams]]\nname = \"a\"\nvenue = \"polymarket\"\n";

fn load(path: &str) -> Result<Config, ConfigErrors> {
    Config::load(Path::new(path), NO_VARIABLES)
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse("f.toml", text, NO_VARIABLES)
}

fn with_variables(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::parse("f.toml", STREAM, variables.iter().copied())
}

#[test]
fn each_bad_file_gives_exactly_its_message() {
    let mut names: Vec<_> = fs::read_dir("tests/config")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let mut wrong = Vec::new();
    for path in &names {
        let counterpart = match path.extension().and_then(OsStr::to_str) {
            Some("toml") => path.with_extension("expected"),
            Some("expected") => path.with_extension("toml"),
            _ => panic!("{} is neither a bad file nor what is expected of one", path.display()),
        };
        assert!(counterpart.exists(), "{} is missing", counterpart.display());
        if path.extension().unwrap() == "toml" {
            let told =
                load(path.to_str().unwrap()).map_or_else(|errors| format!("{errors}\n"), |_| "valid\n".to_owned());
            let expected = fs::read_to_string(counterpart).unwrap();
            if told != expected {
                wrong.push(format!("{}\n  told:\n{told}  expected:\n{expected}", path.display()));
            }
        }
    }
    assert!(names.len() > 100, "the bad files are gone");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_no_more_than_a_thousand_venues() {
    let venues = |count: usize| {
        let venue = |n| format!("[[venues]]\nname = 'v{n}'\nurl = 'ws://v.example'\nevents = [{{ kind = 'trade' }}]\n");
        let venues: String = (0..count).map(venue).collect();
        parse(&format!("{STREAM}{venues}"))
    };
    assert_eq!(venues(1000).unwrap().venues.len(), 1000);
    assert_eq!(
        venues(1001).unwrap_err().to_string(),
        "f.toml:4004:1: venues: 1001 venues are more than 1000"
    );
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    let shipped = load("config/feedwatch.toml").unwrap();
    let text = fs::read_to_string("config/feedwatch.toml").unwrap();
    let only_streams = &text[text.find("\n[[streams]]").unwrap()..];
    let defaults = parse(only_streams).unwrap();
    let figures = |config: &Config| {
        let mut config = config.clone();
        config.hash = 0;
        format!("{config:?}")
    };
    assert_eq!(figures(&shipped), figures(&defaults));
    assert_eq!(
        shipped.streams[0].policy,
        Policy {
            stale_after: Some(Duration::from_secs(300)),
            ..Policy::default()
        }
    );
}

#[test]
fn the_shipped_file_mentions_every_key_with_its_default() {
    let text = fs::read_to_string("config/feedwatch.toml").unwrap();
    let mut section = String::new();
    let mut shown = Vec::new();
    for line in text.lines() {
        // A module is the only section that the file shows as a whole in a comment.
        let line = line
            .strip_prefix("# [probe.modules.")
            .map_or(line, |_| "[probe.modules{}]");
        if line.starts_with('[') {
            section = line
                .replace("[[streams]]", "streams[]")
                .trim_matches(['[', ']'])
                .to_owned();
            section = if section.starts_with("streams") {
                "streams[]".to_owned()
            } else {
                section
            };
        } else if let Some((key, value)) = line.trim_start_matches("# ").split_once(" = ") {
            let value = value.split(" #").next().unwrap().trim();
            shown.push((format!("{section}.{key}"), value.to_owned(), line.starts_with('#')));
        }
    }
    for key in KEYS {
        let found = shown.iter().find(|(path, ..)| path == key.path);
        let (_, value, is_comment) = found.unwrap_or_else(|| panic!("{} is not mentioned", key.path));
        if !key.path.contains(['[', '{']) {
            assert_eq!(*is_comment, key.default.is_none(), "{}", key.path);
            assert_eq!(value, key.default.unwrap_or(value), "{}", key.path);
        }
    }
    for (path, ..) in &shown {
        assert!(KEYS.iter().any(|key| key.path == path), "{path} is no key");
    }
}

#[test]
fn what_the_shipped_file_leaves_commented_is_valid() {
    let text = fs::read_to_string("config/feedwatch.toml").unwrap();
    let keys = [
        "ping_interval_ms",
        "stale_after_ms",
        "per_second",
        "burst",
        "endpoint",
        "service_name",
        "sample_ratio",
        "timeout_ms",
        "url",
        "alternatives",
        "instruments_per_connection",
        "reconnection",
        "venue",
        "instruments",
        "frames",
    ];
    let text = text.replace("\n# [probe.modules", "\n[probe.modules");
    let text = keys.iter().fold(text, |text, key| {
        let commented = format!("\n# {key} = ");
        assert!(text.contains(&commented), "{key}");
        text.replace(&commented, &format!("\n{key} = "))
    });
    let config = parse(&text).unwrap();
    assert_eq!(config.streams[0].ping_interval, Some(Duration::from_secs(10)));
    assert_eq!(config.streams[0].policy.on_stale, OnStale::Reconnect);
    assert_eq!(
        config.streams[0].endpoint.to_string(),
        "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    );
    assert_eq!((config.dial.per_second, config.dial.burst), (Some(5.0), Some(5)));
    let traces = config.traces.unwrap();
    assert_eq!(*traces.endpoint.uri(), "http://127.0.0.1:4318/v1/traces");
    assert_eq!((traces.sample_ratio, traces.timeout.as_secs()), (1.0, 10));
    assert_eq!(traces.resource, [("service.name".into(), "feedwatch".into())]);
    let module = &config.probe.modules["polymarket-quick"];
    assert_eq!((module.venue.name(), module.instruments.len()), ("polymarket", 1));
    assert_eq!(module.endpoint, config.streams[0].endpoint);
}

#[test]
fn the_production_file_listens_everywhere_and_logs_json() {
    let config = load("deploy/feedwatch.prod.toml").unwrap();
    assert_eq!(config.exporter.listen.to_string(), "0.0.0.0:9885");
    assert_eq!(config.log.format, LogFormat::Json);
    assert!(config.streams.iter().all(|stream| !stream.instruments.is_empty()));
}

#[test]
fn every_key_in_the_list_is_read_from_the_file_and_from_the_environment() {
    for key in KEYS {
        let (section, name) = key.path.split_once('.').unwrap();
        let text = match section {
            "streams[]" if name == "name" => "[[streams]]\nname = 1979-05-27\nvenue = 'polymarket'".to_owned(),
            "streams[]" if name == "venue" => "[[streams]]\nname = 'a'\nvenue = 1979-05-27".to_owned(),
            "streams[]" => format!("{STREAM}{name} = 1979-05-27"),
            "probe" if name == "modules{}.venue" => format!("{STREAM}[probe.modules.m]\nvenue = 1979-05-27"),
            "probe" if name.starts_with("modules") => {
                let name = name.split_once('.').unwrap().1;
                format!("{STREAM}[probe.modules.m]\nvenue = 'polymarket'\n{name} = 1979-05-27")
            }
            _ => format!("[{section}]\n{name} = 1979-05-27\n{STREAM}"),
        };
        let errors = parse(&text).unwrap_err();
        assert_eq!(errors.errors().len(), 1, "{errors}");
        let error = &errors.errors()[0];
        assert_eq!(error.path, key.path.replace("[]", "[0]").replace("{}", ".m"));
        assert!(error.problem.ends_with(", not a date or time"), "{error}");

        // Any text is a name.
        if let Some(variable) = key.variable().filter(|_| key.path != "telemetry.service_name") {
            let errors = with_variables(&[(&variable, "\u{1f41f}")]).unwrap_err();
            assert_eq!(errors.errors().len(), 1, "{errors}");
            assert_eq!(
                (&errors.errors()[0].place, errors.errors()[0].path.as_str()),
                (&variable, key.path)
            );
        }
    }
}

#[test]
fn a_default_in_the_list_is_the_default_in_the_code() {
    const MODULE: &str = "[probe.modules.m]\nvenue = 'polymarket'\n";
    let (streams, module) = (parse(STREAM).unwrap(), parse(&format!("{STREAM}{MODULE}")).unwrap());
    for key in KEYS {
        let Some(default) = key.default else { continue };
        let (section, name) = key.path.split_once('.').unwrap();
        let of_module = name.strip_prefix("modules{}.");
        let plain = if of_module.is_some() { &module } else { &streams };
        let text = match (section, of_module) {
            (_, Some(name)) => format!("{STREAM}{MODULE}{name} = {default}"),
            ("streams[]", _) => format!("{STREAM}{name} = {default}"),
            _ => format!("[{section}]\n{name} = {default}\n{STREAM}"),
        };
        let config = parse(&text).unwrap();
        let figures = |config: &Config| {
            let mut config = config.clone();
            config.hash = 0;
            format!("{config:?}")
        };
        assert_eq!(figures(&config), figures(plain), "{}", key.path);
    }
}

#[test]
fn a_venue_that_ends_connections_has_them_replaced_before_unless_somebody_says_otherwise() {
    let age = |lines: &str, venue: &str| {
        let text = format!("{lines}\n[[streams]]\nname = 'a'\nvenue = '{venue}'");
        parse(&text).unwrap().streams[0].policy.max_connection_age
    };
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    assert_eq!(age("", "binance"), hours(23));
    assert_eq!(age("", "polymarket"), None);
    for venue in ["binance", "polymarket"] {
        assert_eq!(age("[reconnection]\nmax_connection_age_ms = 7200000", venue), hours(2));
        assert_eq!(age("[reconnection]\nmax_connection_age_ms = 0", venue), None);
    }
}

#[test]
fn a_stream_overrides_the_policy_key_by_key() {
    let text = "
        [reconnection]
        initial_delay_ms = 200
        max_delay_ms = 3000
        stale_after_ms = 60000
        instrument_stale_after_ms = 90000
        max_connection_age_ms = 82800000
        ping_interval_ms = 7000
        [[streams]]
        name = 'a'
        venue = 'polymarket'
        instruments_per_connection = 7
        reconnection = { max_delay_ms = 5000, stale_after_ms = 0, instrument_stale_after_ms = 0, max_connection_age_ms = 0, pong_timeout_ms = 9000, page_on_stale = true }
        [[streams]]
        name = 'b'
        venue = 'polymarket'
        url = 'ws://127.0.0.1:9001/ws'
        [streams.reconnection]
        on_stale = 'reconnect'
        backoff_multiplier = 3
    ";
    let config = parse(text).unwrap();
    let general = Policy {
        initial_delay: Duration::from_millis(200),
        max_delay: Duration::from_secs(3),
        stale_after: Some(Duration::from_secs(60)),
        instrument_stale_after: Some(Duration::from_secs(90)),
        max_connection_age: Some(Duration::from_secs(23 * 3600)),
        ..Policy::default()
    };
    let [a, b] = config.streams.as_slice() else {
        panic!("two streams")
    };
    assert_eq!(
        a.policy,
        Policy {
            max_delay: Duration::from_secs(5),
            stale_after: None,
            instrument_stale_after: None,
            max_connection_age: None,
            ..general.clone()
        }
    );
    assert_eq!((a.instruments_per_connection, b.instruments_per_connection), (7, 500));
    assert_eq!((a.pong_timeout, a.page_on_stale), (Duration::from_secs(9), true));
    assert_eq!(a.endpoint, Endpoint::parse(a.venue.default_url()).unwrap());
    assert_eq!(
        b.policy,
        Policy {
            on_stale: OnStale::Reconnect,
            backoff_multiplier: 3.0,
            ..general
        }
    );
    assert_eq!((b.pong_timeout, b.page_on_stale), (Duration::from_secs(20), false));
    assert_eq!(b.ping_interval, Some(Duration::from_secs(7)));
    assert_eq!(b.endpoint.to_string(), "ws://127.0.0.1:9001/ws");
}

#[test]
fn a_stream_has_the_endpoints_that_it_names_in_their_order() {
    let named = |lines: &str| {
        let config = parse(&format!("{STREAM}{lines}")).unwrap();
        let endpoints = config.streams[0].endpoints().map(Endpoint::authority);
        endpoints.collect::<Vec<_>>()
    };
    let own = "ws-subscriptions-clob.polymarket.com:443";
    assert_eq!(named(""), [own]);
    assert_eq!(named("alternatives = ['ws://two.example']"), [own, "two.example:80"]);
    let lines = "url = 'wss://one.example'\nalternatives = ['wss://two.example:8443', 'ws://[::1]:9001']";
    assert_eq!(named(lines), ["one.example:443", "two.example:8443", "[::1]:9001"]);
    let many: Vec<_> = (1..16).map(|n| format!("'wss://{n}.example'")).collect();
    assert_eq!(named(&format!("alternatives = [{}]", many.join(", "))).len(), 16);
}

/// A stream of so many instruments at a venue, `more` besides.
fn stream_of(venue: &str, count: usize, more: &str) -> String {
    let ids: Vec<_> = (0..count).map(|n| format!("'C{n}'")).collect();
    let name = format!("{venue}-{count}-{}", more.len());
    let ids = ids.join(", ");
    format!("[[streams]]\nname = '{name}'\nvenue = '{venue}'\ninstruments = [{ids}]\n{more}\n")
}

#[test]
fn a_venue_gets_no_more_from_one_address_than_it_takes() {
    let most = stream_of("hyperliquid", 500, "");
    let all = parse(&most).unwrap();
    assert_eq!(all.streams[0].connections(), 5);
    let told = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(
        told(&stream_of("hyperliquid", 6000, "")),
        "f.toml:4:15: streams[0].instruments: 12000 subscriptions, instruments times channels, of all streams go to \
         api.hyperliquid.xyz, and hyperliquid takes 1000 from one address; list no more than 500 here, or subscribe to fewer \
         channels, or take some through another proxy, or to another machine\n\
         f.toml:4:15: streams[0].instruments: 60 connections of all streams go to api.hyperliquid.xyz, and hyperliquid takes 10 \
         from one address; put streams together, or raise instruments_per_connection, or take some through another proxy, or to \
         another machine"
    );
    let one_more = format!("{most}{}", stream_of("hyperliquid", 1, ""));
    assert!(
        told(&one_more).contains("streams[1].instruments: 1002 subscriptions"),
        "{}",
        told(&one_more)
    );
    // From another address, to another host, or of another kind.
    for elsewhere in [
        stream_of("hyperliquid", 1, "proxy = { url = 'http://127.0.0.1:3128' }"),
        stream_of("hyperliquid", 1, "url = 'wss://gateway.example/ws'"),
        stream_of("bybit_spot", 1, ""),
    ] {
        assert!(parse(&format!("{most}{elsewhere}")).is_ok(), "{elsewhere}");
    }
}

#[test]
fn names_share_what_the_instruments_of_all_streams_leave() {
    let watching = |venue: &str, name: &str| stream_of(venue, 0, &format!("watch = ['{name}']"));
    let rooms = |text: &str| {
        let config = parse(text).unwrap();
        let watched = config.streams.iter().filter_map(|stream| stream.watch.as_ref());
        let rooms = watched.map(|watch| (watch.room, watch.max_instruments(&config.names)));
        rooms.collect::<Vec<_>>()
    };
    let polymarket = watching("polymarket", "event:who-wins");
    assert_eq!(rooms(&polymarket), [(None, 1000)]);
    // 200 of 1,000 subscriptions are taken: 400 for each of two, at two a coin.
    let hyperliquid = format!(
        "{}{}{}",
        stream_of("hyperliquid", 100, ""),
        watching("hyperliquid", "k*"),
        watching("hyperliquid", "PURR*")
    );
    assert_eq!(rooms(&hyperliquid), [(Some(200), 200), (Some(200), 200)]);
    // As many as 32 connections carry, 250 on each.
    assert_eq!(rooms(&watching("deribit", "option:BTC-*")), [(Some(8000), 1000)]);
    let full = format!("{}{}", stream_of("hyperliquid", 500, ""), watching("hyperliquid", "k*"));
    let told = parse(&full).unwrap_err().to_string();
    assert_eq!(
        told,
        "f.toml:10:9: streams[1].watch: there is no room for what the names stand for: hyperliquid takes no more from one address \
         than the instruments that go to api.hyperliquid.xyz; list fewer, or take some through another proxy, or to another machine"
    );
}

#[test]
fn what_the_kernel_watches_over_can_be_turned_off() {
    let tcp = |lines: &str| parse(&format!("{lines}\n{STREAM}")).unwrap().transport.tcp;
    assert_eq!(tcp(""), TcpOptions::default());
    let off = TcpOptions {
        keepalive: None,
        user_timeout: None,
    };
    assert_eq!(
        tcp("transport.tcp_keepalive_ms = 0\ntransport.tcp_user_timeout_ms = 0"),
        off
    );
    let set = TcpOptions {
        keepalive: Some(Duration::from_secs(1)),
        user_timeout: Some(Duration::from_secs(2)),
    };
    let lines = "transport.tcp_keepalive_ms = 1000\ntransport.tcp_user_timeout_ms = 2000";
    assert_eq!(tcp(lines), set);
}

#[test]
fn a_variable_overrides_the_file_but_not_a_streams_own_key() {
    let text = format!("[reconnection]\njitter = 'wrong'\n{STREAM}reconnection = {{ max_delay_ms = 5000 }}");
    let variables = [
        ("FEEDWATCH__RECONNECTION__JITTER", "0.1"),
        ("FEEDWATCH__RECONNECTION__MAX_DELAY_MS", "7000"),
        ("FEEDWATCH__EXPORTER__LISTEN", "0.0.0.0:9886"),
        ("FEEDWATCH__LOG__FORMAT", "json"),
        ("FEEDWATCH__RECONNECTION__PAGE_ON_STALE", "true"),
        ("FEEDWATCH_OTHER", "x"),
        ("PATH", "/bin"),
    ];
    let config = Config::parse("f.toml", &text, variables).unwrap();
    let stream = &config.streams[0];
    assert!((stream.policy.jitter - 0.1).abs() < f64::EPSILON);
    assert_eq!(stream.policy.max_delay, Duration::from_secs(5));
    assert!(stream.page_on_stale);
    assert_eq!(config.exporter.listen.to_string(), "0.0.0.0:9886");
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn an_error_in_a_variable_names_the_variable() {
    for (name, value, expected) in [
        (
            "FEEDWATCH__RECONNECTION__JITTER",
            "1.5",
            "FEEDWATCH__RECONNECTION__JITTER: reconnection.jitter: must be from 0 to 1, not 1.5",
        ),
        (
            "FEEDWATCH__RECONNECTION__JITTER",
            "much",
            r#"FEEDWATCH__RECONNECTION__JITTER: reconnection.jitter: must be a number, not "much""#,
        ),
        (
            "FEEDWATCH__RECONNECTION__MAX_DELAY_MS",
            "500",
            "FEEDWATCH__RECONNECTION__MAX_DELAY_MS: reconnection.initial_delay_ms: 1000 ms is more than the longest delay, 500 ms; set it too",
        ),
        (
            "FEEDWATCH__SHUTDOWN__GRACE_MS",
            "5s",
            r#"FEEDWATCH__SHUTDOWN__GRACE_MS: shutdown.grace_ms: must be a whole number from 0 to 604800000 ms (7 days), not "5s""#,
        ),
        (
            "FEEDWATCH__STREAMS__0__NAME",
            "a",
            "FEEDWATCH__STREAMS__0__NAME: streams cannot be set from the environment; write them in the file, as [[streams]]",
        ),
    ] {
        assert_eq!(with_variables(&[(name, value)]).unwrap_err().to_string(), expected);
    }
    let unknown = with_variables(&[("FEEDWATCH__EXPORTER__LISTN", "secret")])
        .unwrap_err()
        .to_string();
    let start = "FEEDWATCH__EXPORTER__LISTN: overrides no key; did you mean FEEDWATCH__EXPORTER__LISTEN? valid: FEEDWATCH__EXPORTER__LISTEN, FEEDWATCH__EXPORTER__MAX_CONCURRENT_SCRAPES, ";
    assert!(unknown.starts_with(start), "{unknown}");
    assert!(unknown.ends_with(", FEEDWATCH__SHUTDOWN__GRACE_MS"), "{unknown}");
}

#[test]
fn errors_of_the_file_and_of_the_environment_are_told_together() {
    let variables = [("FEEDWATCH__LOG__LEVEL", "loud")];
    let errors = Config::parse("f.toml", "[log]\nformat = 5\n", variables).unwrap_err();
    let places: Vec<_> = errors.errors().iter().map(|error| error.place.as_str()).collect();
    assert_eq!(places, ["f.toml:1:1", "f.toml:2:10", "FEEDWATCH__LOG__LEVEL"]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let not_utf8 = || OsString::from_vec(vec![0xFF]);
    let parse = |name: OsString| Config::parse("f.toml", STREAM, [(name, not_utf8())]);
    let errors = parse("FEEDWATCH__LOG__LEVEL".into()).unwrap_err();
    assert_eq!(errors.to_string(), "FEEDWATCH__LOG__LEVEL: log.level: is not UTF-8");
    let mut name = OsString::from("FEEDWATCH__");
    name.push(not_utf8());
    assert!(
        parse(name)
            .unwrap_err()
            .to_string()
            .starts_with("FEEDWATCH__\u{fffd}: overrides no key; valid: ")
    );
    assert!(parse(not_utf8()).is_ok(), "not ours");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = load("tests/no-such-file.toml").unwrap_err().to_string();
    assert!(
        missing.starts_with("tests/no-such-file.toml: cannot be read: "),
        "{missing}"
    );
    assert!(
        load("tests")
            .unwrap_err()
            .to_string()
            .starts_with("tests: cannot be read: ")
    );
}

#[test]
fn a_file_that_is_not_utf8_or_too_large_is_refused() {
    let path = std::env::temp_dir().join(format!("feedwatch-config-{}.toml", std::process::id()));
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Config::load(&path, NO_VARIABLES).map_err(|errors| errors.to_string())
    };
    let file = path.display();
    assert_eq!(
        load(b"[log]\n# \xC3\xA9\xFF").unwrap_err(),
        format!("{file}:2:4: is not UTF-8 from here on; save the file as UTF-8")
    );
    let mut text = STREAM.to_owned();
    text.push_str(&"#".repeat(4 * 1024 * 1024 - text.len()));
    assert!(load(text.as_bytes()).is_ok());
    text.push('#');
    assert_eq!(
        load(text.as_bytes()).unwrap_err(),
        format!("{file}: is larger than 4194304 bytes (4 MiB)")
    );
    fs::remove_file(&path).unwrap();
}

#[test]
fn the_hash_tells_configurations_apart_and_fits_a_gauge() {
    let hash = |variables: &[(&str, &str)]| with_variables(variables).unwrap().hash;
    let plain = hash(&[]);
    assert_eq!(plain, 0x8266_5a4e_f8d8, "the same on every machine");
    assert_eq!(plain, hash(&[("PATH", "/bin")]));
    assert_ne!(plain, hash(&[("FEEDWATCH__LOG__LEVEL", "warn")]));
    assert_ne!(
        hash(&[("FEEDWATCH__LOG__LEVEL", "debug")]),
        hash(&[("FEEDWATCH__LOG__LEVEL", "warn")])
    );
    let both = [("FEEDWATCH__LOG__LEVEL", "warn"), ("FEEDWATCH__LOG__FORMAT", "json")];
    assert_eq!(hash(&both), hash(&[both[1], both[0]]), "the environment has no order");
    assert_ne!(plain, parse(&format!("{STREAM}\n")).unwrap().hash);
    assert!(plain < 1 << 48);
}

#[test]
fn debug_output_leaves_the_query_of_an_address_out() {
    let config = parse(&format!("{STREAM}url = 'wss://venue.example/ws?token=hunter2'")).unwrap();
    let shown = format!("{config:?}");
    assert!(
        shown.contains("wss://venue.example/ws") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn no_message_repeats_the_secret_of_an_address_that_stands_in_the_wrong_place() {
    let address = "'wss://user:hunter2@venue.example/ws?token=hunter3'";
    for line in ["name", "venue", "url", address] {
        let errors = parse(&format!(
            "[[streams]]\n{line} = {address}\ninstruments = [{address}, {address}]"
        ));
        let errors = errors.unwrap_err().to_string();
        assert!(errors.contains("f.toml:2:") && !errors.contains("hunter"), "{errors}");
    }
    let errors = with_variables(&[("FEEDWATCH__EXPORTER__LISTEN", address)]).unwrap_err();
    assert!(!errors.to_string().contains("hunter"), "{errors}");
}

#[test]
fn errors_are_bounded_however_wrong_the_file_is() {
    let lines: Vec<_> = (0..100_000).map(|n| format!("x{n}=1")).collect();
    let errors = parse(&lines.join("\n")).unwrap_err();
    assert_eq!(errors.errors().len(), 100);
    assert_eq!(errors.untold(), 99_901, "and that there is no stream");
}

#[test]
fn deep_nesting_is_refused_or_read_but_never_fatal() {
    let dotted = format!("{}a = 1", "a.".repeat(1_000_000));
    let arrays = format!("a = {}", "[".repeat(1_000_000));
    let tables = format!("a = {}", "{a=".repeat(1_000_000));
    let both = format!(
        "a = {}1{}",
        format!("{{{}a=", "a.".repeat(78)).repeat(78),
        "}".repeat(78)
    );
    for text in [dotted, arrays, tables, both] {
        assert!(parse(&text).is_err());
    }
}

/// Text that looks like a configuration, more or less.
fn plausible_text() -> impl Strategy<Value = String> {
    let paths: Vec<_> = KEYS.iter().map(|key| key.path.replace("[]", "")).collect();
    let value = prop_oneof![
        any::<i128>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:?}").to_lowercase()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        ".{0,20}".prop_map(|text| format!("{text:?}")),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[{ name = 'a' }, { venue = 'polymarket', reconnection = { jitter = 7 } }, 1]".to_owned()),
        Just("'wss://@#:'".to_owned()),
    ];
    let line = prop_oneof![
        (prop::sample::select(paths), value).prop_map(|(path, value)| format!("{path} = {value}")),
        prop::sample::select(vec!["exporter", "log", "reconnection", "streams"]).prop_map(|name| format!("[{name}]")),
        Just("[[streams]]".to_owned()),
        Just("name = 'a'".to_owned()),
        Just("venue = 'polymarket'".to_owned()),
    ];
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

fn told_well(text: &str, variables: &[(String, String)]) -> Result<(), TestCaseError> {
    if let Err(errors) = Config::parse("f.toml", text, variables.iter().map(|(name, value)| (name, value))) {
        let lines = errors.errors().len() + usize::from(errors.untold() > 0);
        let told = errors.to_string();
        prop_assert!(lines > 0);
        prop_assert_eq!(told.split(['\n', '\r']).count(), lines, "one error a line: {}", told);
        prop_assert!(!told.contains('\u{1b}'), "a terminal would obey: {:?}", told);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        told_well(&text, &[])?;
    }

    #[test]
    fn any_plausible_text_is_read_or_refused(text in plausible_text()) {
        told_well(&text, &[])?;
    }

    #[test]
    fn any_value_of_any_variable_is_read_or_refused(key in prop::sample::select(KEYS), value in any::<String>(), suffix in any::<String>()) {
        let variable = key.variable().unwrap_or_default();
        told_well(STREAM, &[(variable, value.clone()), (format!("FEEDWATCH__{suffix}"), value)])?;
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(from in 0..5000_usize, cut in 0..50_usize, put in "[\\[\\]{}=\"'a0.#\n\u{1b}]{0,4}") {
        let text = fs::read_to_string("config/feedwatch.toml").unwrap();
        let text: String = text.chars().take(from).chain(put.chars()).chain(text.chars().skip(from + cut)).collect();
        told_well(&text, &[])?;
    }
}
