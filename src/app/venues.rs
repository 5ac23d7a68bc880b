//! `feedwatch venues`: what is built in, for people, for the documentation and for programs.
//!
//! ```
//! use feedwatch::app::venues;
//!
//! assert!(venues::markdown().contains("\n## kraken\n"));
//! ```

use crate::supervise::DialLimit;
use crate::venue::{self, Heartbeat, Limits, Ping, Resync, Venue};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// Of a limit that nobody knows.
const UNKNOWN: &str = "no limit is known";

/// What is told of a venue.
struct Row {
    name: String,
    url: String,
    channels: Vec<String>,
    limits: Limits,
    heartbeat: Heartbeat,
    stale_after: Duration,
    has_sequences: bool,
    has_checksums: bool,
    resync: Resync,
    /// What an instrument looks like.
    instrument: String,
    /// What a channel looks like.
    channel: String,
    needs_key: bool,
    /// What names that are looked up look like.
    names: Option<String>,
}

/// The one place that looks at a venue.
fn row(venue: &dyn Venue) -> Row {
    Row {
        name: venue.name().to_owned(),
        url: venue.default_url().to_owned(),
        channels: venue.channels(),
        limits: venue.limits(),
        heartbeat: venue.heartbeat(),
        stale_after: venue.stale_after(),
        has_sequences: venue.has_sequences(),
        has_checksums: venue.checksums().is_some(),
        resync: venue.resync(),
        // Who errs is told what is right.
        instrument: words(venue.check_instrument("")),
        channel: words(venue.check_channel("")),
        needs_key: venue.needs_key(),
        names: venue.directory().map(|directory| words(directory.check_name(""))),
    }
}

fn words(verdict: Result<(), impl ToString>) -> String {
    verdict
        .err()
        .map_or_else(|| "anything".to_owned(), |words| words.to_string())
}

fn rows() -> Vec<Row> {
    venue::ALL.iter().map(|venue| row(*venue)).collect()
}

/// A paragraph for each venue.
pub fn human() -> String {
    let mut out = String::new();
    for row in rows() {
        let _ = writeln!(out, "{}", row.name);
        for (title, told) in row.told() {
            let _ = writeln!(out, "  {title:<30} {told}");
        }
    }
    out
}

/// The page `docs/venues.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Venues\n\n\
         Made from the code by `feedwatch venues --format markdown`.\n\n\
         A venue is named in `venue` of a stream. Its address is the default of `url`; its limits are kept, unless the \
         configuration says otherwise.\n",
    );
    for row in rows() {
        let _ = write!(out, "\n## {}\n\n| what | |\n| --- | --- |\n", row.name);
        for (title, told) in row.told() {
            let _ = writeln!(out, "| {title} | {told} |");
        }
    }
    out
}

/// An array with an object for each venue.
pub fn json() -> Value {
    rows().iter().map(Row::json).collect()
}

impl Row {
    fn told(&self) -> Vec<(&'static str, String)> {
        let Limits {
            subscriptions_per_connection,
            dial,
            requests,
            max_connection_age,
            connections_per_address,
            subscriptions_per_address,
            ..
        } = self.limits;
        let channels = match self.channels.as_slice() {
            [] => "one kind of subscription only".to_owned(),
            channels => channels.join(", "),
        };
        let keep_alive = format!("{} every {}", self.ping(), time(self.heartbeat.interval));
        vec![
            ("address", self.url.clone()),
            ("instruments", self.instrument.clone()),
            ("channels", self.channel.clone()),
            ("channels by default", channels),
            (
                "names to watch",
                self.names.clone().unwrap_or_else(|| "none are looked up".to_owned()),
            ),
            (
                "a key",
                if self.needs_key {
                    "needed: api_key_id and api_key_file of the stream".to_owned()
                } else {
                    "not needed".to_owned()
                },
            ),
            (
                "subscriptions on a connection",
                subscriptions_per_connection.to_string(),
            ),
            ("connections from one address", count(connections_per_address)),
            ("subscriptions from one address", count(subscriptions_per_address)),
            ("dials from one address", rate(dial)),
            ("requests on a connection", requests.map_or(UNKNOWN.to_owned(), rate)),
            (
                "a connection is replaced after",
                max_connection_age.map_or("never".to_owned(), time),
            ),
            ("keep-alive", keep_alive),
            ("stale without data for", time(self.stale_after)),
            ("events are numbered", yes(self.has_sequences)),
            ("books have checksums", yes(self.has_checksums)),
            ("after a gap", self.after_gap().to_owned()),
        ]
    }

    fn ping(&self) -> String {
        match &self.heartbeat.ping {
            Ping::Text(text) => format!("text {text}"),
            Ping::Frame => "ping frame".to_owned(),
        }
    }

    const fn after_gap(&self) -> &'static str {
        match self.resync {
            Resync::Consumer => "the consumer fetches a whole book elsewhere",
            Resync::Resubscribe => "the instrument is subscribed to anew",
            Resync::Reconnect => "another connection is made",
        }
    }

    fn json(&self) -> Value {
        let limits = self.limits;
        json!({
            "name": self.name,
            "url": self.url,
            "channels": self.channels,
            "instrument_spelling": self.instrument,
            "channel_spelling": self.channel,
            "names": self.names,
            "needs_key": self.needs_key,
            "subscriptions_per_connection": limits.subscriptions_per_connection,
            "connections_per_address": limits.connections_per_address,
            "subscriptions_per_address": limits.subscriptions_per_address,
            "dials_per_second": limits.dial.per_second,
            "dial_burst": limits.dial.burst,
            "requests_per_second": limits.requests.map(|limit| limit.per_second),
            "request_burst": limits.requests.map(|limit| limit.burst),
            "max_connection_age_seconds": limits.max_connection_age.map(|age| age.as_secs_f64()),
            "ping": self.ping(),
            "ping_interval_seconds": self.heartbeat.interval.as_secs_f64(),
            "stale_after_seconds": self.stale_after.as_secs_f64(),
            "sequences": self.has_sequences,
            "checksums": self.has_checksums,
            "after_gap": self.after_gap(),
        })
    }
}

fn count(most: Option<usize>) -> String {
    most.map_or(UNKNOWN.to_owned(), |most| most.to_string())
}

fn rate(limit: DialLimit) -> String {
    let often = limit.per_second;
    let rate = if often < 0.1 {
        format!("{:.0} an hour", often * 3600.0)
    } else {
        format!("{often} a second")
    };
    format!("{rate}, {} at once", limit.burst)
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

fn time(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
