//! What a venue allows, and that what it is asked keeps to it: `tests/fixtures/<venue>/limits.json`, and of those of
//! `config/venues` what they document: `tests/fixtures/<venue>/documented.json`.

use super::fixture::{self, message, venues};
use feedwatch::market::Instrument;
use feedwatch::supervise::DialLimit;
use feedwatch::venue::Venue;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The figures of a venue. `null` = there is no such limit, or it is not documented.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    subscriptions_per_connection: usize,
    dial: Rate,
    requests: Option<Rate>,
    max_connection_age_secs: Option<u64>,
    connections_per_address: Option<usize>,
    subscriptions_per_address: Option<usize>,
    ping_interval_secs: u64,
    stale_after_secs: u64,
    documented: Documented,
    asking: Asking,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    per_second: f64,
    burst: u32,
}

/// The venue's own words, which the figures keep to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Documented {
    subscriptions_per_connection: Option<usize>,
    dials: Option<Most>,
    requests: Option<Most>,
    /// In a longer time as well.
    #[serde(default)]
    requests_in_long: Option<Most>,
    /// Open at a time.
    connections_per_address: Option<usize>,
    /// Of all connections together.
    subscriptions_per_address: Option<usize>,
    /// It ends each connection then.
    closes_after_secs: Option<u64>,
    /// It ends a connection on which nothing was said for so long, or wants a ping by then.
    silence_secs: Option<u64>,
}

/// So many in that time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Most {
    count: u32,
    secs: u32,
    /// What counts as well: pings, pongs or dials.
    #[serde(default)]
    besides: u32,
    /// All connections of an address together, as many as there may be.
    #[serde(default)]
    per_address: bool,
}

/// What asks for the usual channels of as many instruments as a connection carries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    /// An instrument, with a number for `$n`: as long as real ones are, or longer.
    instrument: String,
    /// So many texts come before the requests.
    greetings: usize,
    /// Where in a request the list of its parts is; `null` = it is one.
    each: Option<String>,
    /// Where in a part the name of the channel is, or several; not given = there is only one kind.
    channel: Option<String>,
    /// Where in a part the instrument is, or several.
    instruments: Option<String>,
    /// A part is a text, which is this for a channel.
    topics: Option<BTreeMap<String, String>>,
    /// Channels that are asked for with the usual ones.
    #[serde(default)]
    besides: Vec<String>,
    /// How many requests there are.
    requests: usize,
    /// A request is no longer than that.
    most_bytes: Option<usize>,
    /// It asks for no more than so many channels of instruments.
    most_items: Option<usize>,
}

impl Rate {
    fn limit(&self) -> DialLimit {
        DialLimit {
            per_second: self.per_second,
            burst: self.burst,
        }
    }
}

impl Most {
    /// Whether a limit never lets through more in any such time, on so many connections.
    fn holds(&self, limit: DialLimit, connections: Option<usize>) -> bool {
        let times = if self.per_address {
            u32::try_from(connections.expect("nobody knows how many connections there may be")).unwrap()
        } else {
            1
        };
        let most = f64::from(limit.burst + self.besides) + limit.per_second * f64::from(self.secs);
        f64::from(times) * most <= f64::from(self.count)
    }
}

/// One text or several.
fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
    value
        .as_array()
        .map_or_else(|| vec![text(value)], |list| list.iter().map(text).collect())
}

impl Asking {
    fn instruments(&self, count: usize) -> Vec<Instrument> {
        let named = |n| Instrument::new(&self.instrument.replace("$n", &format!("{n:04}")));
        (0..count).map(named).collect()
    }

    /// All that is to be asked for.
    fn expected(&self, venue: &dyn Venue, instruments: &[Instrument]) -> Vec<String> {
        let mut channels = venue.channels();
        channels.extend(self.besides.iter().cloned());
        if channels.is_empty() {
            channels.push(String::new());
        }
        let of = |instrument: &Instrument| -> Vec<String> {
            let item = |channel: &String| match &self.topics {
                Some(topics) => topics[channel]
                    .replace("$instrument", instrument.as_str())
                    .replace("$lower", &instrument.as_str().to_lowercase()),
                None => format!("{channel} {instrument}"),
            };
            channels.iter().map(item).collect()
        };
        instruments.iter().flat_map(of).collect()
    }

    /// What a request asks for.
    fn items(&self, request: &Value) -> Vec<String> {
        let at = |value: &Value, pointer: &str| {
            let found = value.pointer(pointer).cloned();
            found.unwrap_or_else(|| panic!("{value} has no {pointer}"))
        };
        let parts = match self.each.as_ref().map(|each| at(request, each)) {
            None => vec![request.clone()],
            Some(Value::Array(parts)) => parts,
            Some(part) => vec![part],
        };
        let of_part = |part: &Value| -> Vec<String> {
            let Some(instruments) = &self.instruments else {
                return texts(part);
            };
            let instruments = texts(&at(part, instruments));
            let channels = self.channel.as_ref().map(|channel| texts(&at(part, channel)));
            let channels = channels.unwrap_or_else(|| vec![String::new()]);
            let of = |channel: &String| -> Vec<String> {
                instruments
                    .iter()
                    .map(|instrument| format!("{channel} {instrument}"))
                    .collect()
            };
            channels.iter().flat_map(of).collect()
        };
        parts.iter().flat_map(of_part).collect()
    }

    fn check(&self, about: &str, texts: &[String], expected: &[String]) {
        assert_eq!(texts.len(), self.requests, "{about}: requests");
        let mut asked = Vec::new();
        for text in texts {
            let items = self.items(&message(text));
            assert!(!items.is_empty(), "{about}: {text} asks for nothing");
            let fits = self.most_items.is_none_or(|most| items.len() <= most)
                && self.most_bytes.is_none_or(|most| text.len() <= most);
            assert!(fits, "{about}: {} items, {} bytes", items.len(), text.len());
            asked.extend(items);
        }
        asked.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert!(
            asked == expected,
            "{about}: {} items are asked for, of {}",
            asked.len(),
            expected.len()
        );
    }
}

fn figures(venue: &dyn Venue) -> Figures {
    fixture::whole(venue.name(), "limits.json")
}

#[test]
fn limits_are_the_figures_that_are_known_of_the_venue() {
    for venue in venues() {
        let (name, limits, known) = (venue.name(), venue.limits(), figures(venue));
        assert_eq!(
            limits.subscriptions_per_connection, known.subscriptions_per_connection,
            "{name}"
        );
        assert_eq!(limits.dial, known.dial.limit(), "{name}: dials");
        assert_eq!(
            limits.requests,
            known.requests.as_ref().map(Rate::limit),
            "{name}: requests"
        );
        let seconds = |seconds: &u64| Duration::from_secs(*seconds);
        assert_eq!(
            limits.max_connection_age,
            known.max_connection_age_secs.as_ref().map(seconds),
            "{name}"
        );
        assert_eq!(
            (limits.connections_per_address, limits.subscriptions_per_address),
            (known.connections_per_address, known.subscriptions_per_address),
            "{name}: of one address"
        );
        assert_eq!(venue.heartbeat().interval, seconds(&known.ping_interval_secs), "{name}");
        assert_eq!(venue.stale_after(), seconds(&known.stale_after_secs), "{name}");
        for limit in [Some(limits.dial), limits.requests].into_iter().flatten() {
            assert!(
                DialLimit::RATES.contains(&limit.per_second) && DialLimit::BURSTS.contains(&limit.burst),
                "{name}: {limit:?} cannot be configured"
            );
        }
    }
}

impl Documented {
    fn check(&self, venue: &dyn Venue) {
        let (name, limits) = (venue.name(), venue.limits());
        let most = self.subscriptions_per_connection;
        assert!(
            most.is_none_or(|most| limits.subscriptions_per_connection <= most),
            "{name}"
        );
        let holds =
            |most: &Option<Most>, limit, connections| most.as_ref().is_none_or(|most| most.holds(limit, connections));
        assert!(holds(&self.dials, limits.dial, None), "{name}: dials");
        for most in [&self.requests, &self.requests_in_long] {
            assert!(
                limits
                    .requests
                    .is_none_or(|limit| holds(most, limit, limits.connections_per_address)),
                "{name}: requests"
            );
        }
        for (most, limit) in [
            (self.connections_per_address, limits.connections_per_address),
            (self.subscriptions_per_address, limits.subscriptions_per_address),
        ] {
            // What the venue counts is known of it, or the configuration could not keep to it.
            assert!(
                most.is_none_or(|most| limit.is_some_and(|limit| limit <= most)),
                "{name}: of one address"
            );
        }
        let ends = self.closes_after_secs.map(Duration::from_secs);
        assert_eq!(ends.is_some(), limits.max_connection_age.is_some(), "{name}: age");
        assert!(limits.max_connection_age < ends || ends.is_none(), "{name}: age");
        let silence = self.silence_secs.map(Duration::from_secs);
        assert!(
            silence.is_none_or(|silence| venue.heartbeat().interval <= silence),
            "{name}: silence"
        );
    }
}

#[test]
fn limits_keep_to_what_the_venue_documents() {
    for venue in venues() {
        figures(venue).documented.check(venue);
    }
}

/// But for the node of a chain, which is somebody's own.
#[cfg(feature = "service")]
#[test]
fn limits_of_shipped_descriptions_keep_to_what_the_venue_documents() {
    use feedwatch::config::Config;
    use std::path::Path;

    for name in ["bitget", "upbit"] {
        let path = format!("config/venues/{name}.toml");
        let config = Config::load(Path::new(&path), [("", ""); 0]).unwrap_or_else(|errors| panic!("{errors}"));
        let [described] = &*config.venues else {
            panic!("{path}: one venue");
        };
        assert!(described.venue.limits().requests.is_some(), "{name}: requests");
        fixture::whole::<Documented>(name, "documented.json").check(&*described.venue);
    }
}

#[test]
fn names_and_addresses_make_sense() {
    let mut names = BTreeSet::new();
    for venue in venues() {
        let name = venue.name();
        assert!(names.insert(name), "{name} stands twice in the registry");
        assert!(venue.default_url().starts_with("wss://"), "{name}");
        for channel in venue.channels() {
            assert_eq!(venue.check_channel(&channel), Ok(()), "{name}");
        }
        let words = venue.check_instrument("").unwrap_err();
        assert!(words.len() > 10, "{name}: {words}");
        assert!(
            venue.check_instrument("a\"b").is_err() && venue.check_instrument("a\nb").is_err(),
            "{name}"
        );
    }
}

/// A full connection, which needs several requests where the venue limits them.
#[test]
fn requests_ask_for_each_channel_of_each_instrument_once_and_are_not_too_long() {
    for venue in venues() {
        let (name, limits, asking) = (venue.name(), venue.limits(), figures(venue).asking);
        let channels = venue.channels().len();
        let instruments = asking.instruments(limits.instruments_per_connection(channels));
        for instrument in &instruments {
            assert_eq!(venue.check_instrument(instrument.as_str()), Ok(()), "{name}");
        }
        let expected = asking.expected(venue, &instruments);
        let mut session = venue.session(&fixture::dialogue(name).accepted.feed());
        let texts = session.subscribe(&instruments);
        asking.check(name, &texts[asking.greetings..], &expected);
        // What is wanted later, in one piece or in several, is asked for in the same way, without a greeting.
        let mut session = venue.session(&fixture::dialogue(name).accepted.feed());
        let (first, rest) = instruments.split_at(1);
        let mut texts = session.subscribe(first).split_off(asking.greetings);
        texts.extend(session.subscribe(rest));
        let items: Vec<_> = texts.iter().flat_map(|text| asking.items(&message(text))).collect();
        assert_eq!(
            items.into_iter().collect::<BTreeSet<_>>(),
            expected.iter().cloned().collect(),
            "{name}"
        );
        if !fixture::dialogue(name).unsubscribes_by_answer {
            asking.check(
                &format!("{name}, taken back"),
                &session.unsubscribe(&instruments),
                &expected,
            );
        }
    }
}

/// So long the requests of a full connection may take, at the venue's rate.
const LONGEST: f64 = 90.0;

#[test]
fn the_requests_of_a_full_connection_leave_in_time() {
    for venue in venues() {
        let requests = f64::from(u32::try_from(figures(venue).asking.requests).unwrap());
        let in_time = |limit: DialLimit| f64::from(limit.burst) + limit.per_second * LONGEST >= requests;
        assert!(
            venue.limits().requests.is_none_or(in_time),
            "{}: {requests}",
            venue.name()
        );
    }
}
