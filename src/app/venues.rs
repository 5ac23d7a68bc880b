//! `feedwatch venues`: what is built in, for people, for the documentation and for programs.

use crate::venue::{self, Ping, Venue};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// What is told of a venue.
struct Row {
    name: String,
    url: String,
    instruments_per_connection: usize,
    dials_per_second: f64,
    dial_burst: u32,
    ping_interval: Duration,
    ping: String,
    stale_after: Duration,
}

/// The one place that looks at a venue.
fn row(venue: &dyn Venue) -> Row {
    let (limits, heartbeat) = (venue.limits(), venue.heartbeat());
    Row {
        name: venue.name().to_owned(),
        url: venue.default_url().to_owned(),
        instruments_per_connection: limits.instruments_per_connection,
        dials_per_second: limits.dial.per_second,
        dial_burst: limits.dial.burst,
        ping_interval: heartbeat.interval,
        ping: match heartbeat.ping {
            Ping::Text(text) => format!("text {text}"),
            Ping::Frame => "ping frame".to_owned(),
        },
        stale_after: venue.stale_after(),
    }
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
            let _ = writeln!(out, "  {title:<28} {told}");
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
        let per_second = self.dials_per_second;
        vec![
            ("address", self.url.clone()),
            (
                "instruments on a connection",
                self.instruments_per_connection.to_string(),
            ),
            (
                "dials from one address",
                format!("{per_second} a second, {} at once", self.dial_burst),
            ),
            (
                "keep-alive",
                format!("{} every {}", self.ping, time(self.ping_interval)),
            ),
            ("stale without data for", time(self.stale_after)),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "url": self.url,
            "instruments_per_connection": self.instruments_per_connection,
            "dials_per_second": self.dials_per_second,
            "dial_burst": self.dial_burst,
            "ping_interval_seconds": self.ping_interval.as_secs_f64(),
            "ping": self.ping,
            "stale_after_seconds": self.stale_after.as_secs_f64(),
        })
    }
}

fn time(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
