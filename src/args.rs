//! The command line.

// The doc comments are help texts for a terminal, which shows no Markdown.
#![allow(clippy::doc_markdown)]

use clap::{Args, Parser, Subcommand, ValueEnum};
use feedwatch::app::Scenario;
use feedwatch::telemetry::TableMode;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("FEEDWATCH_REVISION"), ")");

const EXAMPLES: &str = "\
Examples:
  feedwatch demo                                   see it work, with a simulated venue inside
  feedwatch check --config config/feedwatch.toml   is the configuration valid?
  feedwatch run --config config/feedwatch.toml     run the exporter
  curl http://127.0.0.1:9885/metrics               scrape it
  feedwatch probe polymarket                       can this venue be reached from here?

Exit codes:
  0    done, or shut down in an orderly way by SIGTERM, SIGINT or SIGHUP
  1    failed while running; `demo --verify` found a difference; `probe` found something wrong
  2    the command line or the configuration is wrong
  3    `record` ended, and not one frame had come
  130  a second signal came before the shutdown was over";

/// Keeps market-data WebSocket streams connected, and shows when, why and for how long they were not.
#[derive(Parser)]
#[command(name = "feedwatch", version = VERSION, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the exporter
    #[command(after_help = "Example:\n  feedwatch run --config config/feedwatch.toml --listen 0.0.0.0:9885")]
    Run {
        #[command(flatten)]
        config: ConfigFile,
        /// Serve HTTP here instead of [exporter] listen
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Below the log, show a table of the streams that is drawn anew each second; auto = where stderr is a terminal
        #[arg(long, value_enum, value_name = "WHEN", default_value_t = ShowTable::Auto)]
        table: ShowTable,
    },
    /// Check a configuration; prints every error as file:line:column, and exits with 2 if there is one
    #[command(after_help = "Example:\n  feedwatch check --config config/feedwatch.toml")]
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print the list of all metrics
    #[command(after_help = "Example:\n  feedwatch metrics --format markdown > docs/metrics.md")]
    Metrics {
        /// How
        #[arg(long, value_enum, default_value_t = Format::Markdown)]
        format: Format,
    },
    /// Record what a stream receives and sends, in files that `simulate --capture` plays
    #[command(after_help = RECORD_EXAMPLES)]
    Record(Record),
    /// Run a simulated venue, Polymarket's or any that was recorded; prints what it does, one JSON object a line
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(Simulate),
    /// Run the exporter against simulated venues that fail in all the usual ways
    #[command(after_help = "Examples:\n  feedwatch demo\n  feedwatch demo --scenario outage --for 40s --verify")]
    Demo(Demo),
    /// Ask a running exporter whether it answers; exits with 1 if not
    #[command(
        after_help = "Examples:\n  feedwatch healthcheck\n  feedwatch healthcheck --config config/feedwatch.toml"
    )]
    Healthcheck {
        /// Where it listens
        #[arg(
            long,
            value_name = "ADDR",
            default_value = "127.0.0.1:9885",
            conflicts_with = "config"
        )]
        address: SocketAddr,
        /// Its configuration, which says where it listens
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The longest that is waited: 3s, 500ms
        #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
        timeout: Duration,
    },
    /// Connect to a venue once, and say how that went and what is wrong; exits with 1 if something is
    #[command(after_help = PROBE_EXAMPLES)]
    Probe(Probe),
    /// List the venues that are built in, with their limits
    #[command(after_help = "Example:\n  feedwatch venues --format markdown > docs/venues.md")]
    Venues {
        /// How
        #[arg(long, value_enum, default_value_t = VenuesFormat::Human)]
        format: VenuesFormat,
    },
    /// Print what Alertmanager would page and chat: a receiver for its webhooks
    #[command(after_help = "Example:\n  feedwatch pager")]
    Pager {
        /// Where it listens; the shipped configuration of Alertmanager sends here
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9887")]
        listen: SocketAddr,
        /// A paragraph for people, or a JSON object a line
        #[arg(long, value_enum, default_value_t = PagerFormat::Human)]
        format: PagerFormat,
    },
}

const SIMULATE_EXAMPLES: &str = "\
Examples:
  feedwatch simulate
  feedwatch simulate --capture frames.jsonl.zst --speed max --script faults.toml
  feedwatch simulate --capture recorded.jsonl.zst --as-recorded
  feedwatch simulate --as-recorded --capture recorded.jsonl.zst --capture recorded.2.jsonl.zst
  feedwatch simulate --tls --tls-authority ca.pem

Without --as-recorded it speaks Polymarket's market channel: it answers subscriptions and pings
itself, and sends generated events, or the frames of the files. A stream reaches it with url =
\"ws://127.0.0.1:9886/ws/market\". With --as-recorded it is whatever venue was recorded, at any
path: url = \"ws://127.0.0.1:9886\". Of several files, a connection is played the one in whose
course its client says the same, by the .sent.jsonl beside each; of several such, or without
any, they take turns.

Names are listed over REST, for the rest_url of streams with watch: those of every venue, each
at its own path.

A script of faults:
  [[rules]]
  first_connection = 1
  last_connection = 1
  fault = { close = { code = 1001, after_ms = 5000 } }

An event for streams that watch = [\"event:who-wins\"], in the same file:
  [[events]]
  slug = \"who-wins\"
  markets = [{ slug = \"will-ayton-win\", tokens = [\"71\", \"72\"], until_ms = 60000 }]

Instruments for streams that watch = [\"BTC*\"], and an API that is busy for half a minute:
  [[instruments]]
  venue = \"binance\"
  ids = [\"BTCUSDT\", \"BTCEUR\"]

  [[rest]]
  from_ms = 30000
  until_ms = 60000
  fault = { retry_after = { code = 429, seconds = 10 } }";

const RECORD_EXAMPLES: &str = "\
Examples:
  feedwatch record elections --config config/feedwatch.toml -o elections.jsonl.zst
  feedwatch record elections --config config/feedwatch.toml -o elections.jsonl --for 10m
  feedwatch record elections --config config/feedwatch.toml -o elections.jsonl.zst --resume --max-file-age 1h
  feedwatch simulate --capture elections.jsonl.zst --as-recorded

Files:
  elections.jsonl.zst      what the first connection received: {\"t\": Unix time, \"frame\": text} a line
  elections.sent.jsonl     what was sent on it; may hold what logs in, so all files are their owner's alone
  elections.2.jsonl.zst    the second connection
  elections.2.3.jsonl.zst  the third part of it

Nothing waits longer than two seconds to be written, and what is written can be read whatever happens to the
process. Where the disk is too slow, frames are left out and counted; the stream itself never waits. There is
no HTTP server, and no traces are exported.

Exit codes:
  0  its time was over, or a signal ended it, and something was recorded
  1  a file cannot be written; what was written before can be read
  2  the command line or the configuration is wrong
  3  its time was over, or a signal ended it, and not one frame was recorded: `feedwatch probe` says why";

#[derive(Args)]
pub(crate) struct Record {
    /// The name of the stream in the configuration
    pub(crate) stream: String,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The first file: .jsonl.zst, or .jsonl for plain text
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Go on after the files that this recording has already; they stay, and count for --max-total-size
    #[arg(long)]
    pub(crate) resume: bool,
    /// End after this time: 30s, 10m, 12h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Go on in another file before one is larger: 64MiB, 1GiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub(crate) max_file_size: u64,
    /// Go on in another file when one is so old, at least 1s: 1h
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) max_file_age: Option<Duration>,
    /// Delete the oldest files of this recording before all are larger
    #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = size)]
    pub(crate) max_total_size: u64,
}

const PROBE_EXAMPLES: &str = "\
Examples:
  feedwatch probe polymarket
  feedwatch probe polymarket --instrument 21740938561527409836651284930175562839410772635481900427365518203946672510843
  feedwatch probe polymarket --url ws://127.0.0.1:9886/ws/market --instrument 11 --for 3s --format json
  feedwatch probe --config config/feedwatch.toml --stream elections
  feedwatch probe ticks --config config/feedwatch.toml    a venue that [[venues]] describes

Exit codes:
  0  all well: live, and data came; without an instrument: connected and upgraded
  1  something is wrong
  2  the command line or the configuration is wrong";

#[derive(Args)]
pub(crate) struct ConfigFile {
    /// The configuration file (TOML); FEEDWATCH__SECTION__KEY variables override it
    #[arg(long = "config", value_name = "FILE")]
    pub(crate) path: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Markdown,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum VenuesFormat {
    Human,
    Markdown,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ProbeFormat {
    Human,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PagerFormat {
    Human,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ShowTable {
    Auto,
    Always,
    Never,
}

impl From<ShowTable> for TableMode {
    fn from(when: ShowTable) -> Self {
        match when {
            ShowTable::Auto => Self::Auto,
            ShowTable::Always => Self::Always,
            ShowTable::Never => Self::Never,
        }
    }
}

#[derive(Args)]
pub(crate) struct Simulate {
    /// Where it listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9886")]
    pub(crate) listen: SocketAddr,
    /// Where it serves the REST part, at which names are looked up; any free port where it is left out
    #[arg(long, value_name = "ADDR")]
    pub(crate) rest_listen: Option<SocketAddr>,
    /// Serve wss, with certificates made at the start and signed by an authority of its own
    #[arg(long)]
    pub(crate) tls: bool,
    /// Write the authority's certificate (PEM) to this file; SSL_CERT_FILE can name it to a client
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) tls_authority: Option<PathBuf>,
    /// Play the frames of this file (.jsonl or .jsonl.zst) instead of generated ones; may be repeated, for connections that
    /// were recorded each in a file of its own
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Vec<PathBuf>,
    /// How many times as fast as they were recorded; `max` = as fast as they are read
    #[arg(long, default_value = "1", requires = "capture", value_parser = speed)]
    pub(crate) speed: feedwatch::sim::Speed,
    /// Start again after the last frame
    #[arg(long, requires = "capture")]
    pub(crate) repeat: bool,
    /// The files are of any venue, and bring their own answers: what a client says first begins one, and nothing else is said
    #[arg(long, requires = "capture")]
    pub(crate) as_recorded: bool,
    /// Generated events per second on each connection
    #[arg(long, default_value_t = 10.0, conflicts_with = "capture", value_parser = rate)]
    pub(crate) rate: f64,
    /// Faults, and what is listed at which time (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
    /// A token of Polymarket that is not known, or whose market has ended; may be repeated
    #[arg(long = "unknown", value_name = "TOKEN")]
    pub(crate) unknown: Vec<String>,
    /// Decides the generated markets
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Args)]
pub(crate) struct Demo {
    /// End after this time, with exit code 0: 30s, 2m, 500ms
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// What to show
    #[arg(long, value_name = "NAME", default_value = "all", value_parser = scenario)]
    pub(crate) scenario: &'static Scenario,
    /// List the scenarios and end
    #[arg(long)]
    pub(crate) list_scenarios: bool,
    /// Serve HTTP here
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9885")]
    pub(crate) listen: SocketAddr,
    /// At the end compare /metrics with what the simulated venues did; exit with 1 on a difference
    #[arg(long)]
    pub(crate) verify: bool,
    /// Below the log, show a table of the streams that is drawn anew each second; auto = where stderr is a terminal
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ShowTable::Auto)]
    pub(crate) table: ShowTable,
}

#[derive(Args)]
pub(crate) struct Probe {
    /// The venue's name: see `feedwatch venues`; with --config also one that it describes
    #[arg(value_name = "VENUE", required_unless_present = "stream", conflicts_with = "stream")]
    pub(crate) venue: Option<String>,
    /// Connect here instead of the venue's own address
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Subscribe to this; may be repeated. Without one it only connects
    #[arg(long = "instrument", value_name = "ID")]
    pub(crate) instruments: Vec<String>,
    /// Of each instrument this channel, in the venue's words, instead of its usual ones; may be repeated
    #[arg(long = "channel", value_name = "NAME")]
    pub(crate) channels: Vec<String>,
    /// It takes no longer than this, all in all: 10s, 500ms
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = time_to_probe)]
    pub(crate) time: Duration,
    /// It ends earlier, with so many frames of data
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: u64,
    /// A configuration: its [[venues]] are known, and its [tls], [proxy] and [transport] hold
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A stream of it, which is probed as it is; the names that it watches are looked up first, unless there is an --instrument
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(crate) stream: Option<String>,
    /// A report for people, or a JSON object
    #[arg(long, value_enum, default_value_t = ProbeFormat::Human)]
    pub(crate) format: ProbeFormat,
}

/// Of a file that is not followed by another at once.
fn age(text: &str) -> Result<Duration, String> {
    let age = duration(text)?;
    let fits = (age >= Duration::from_secs(1)).then_some(age);
    fits.ok_or_else(|| "must be at least 1s".into())
}

fn time_to_probe(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    let fits = range.contains(&time).then_some(time);
    fits.ok_or_else(|| "must be from 100ms to 1h".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a time like 500ms, 30s, 2m or 1h".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a time like 500ms, 30s, 2m or 1h".to_owned())?;
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| "that is too long".into())
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let parts = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let number = parts.and_then(|(number, shift)| Some((number.parse::<u64>().ok()?, shift)));
    let (number, shift) = number.ok_or("write a size like 64MiB, 2GiB or 1TiB")?;
    let bytes = number.checked_mul(1 << shift).ok_or("that is too large")?;
    if bytes < 64 * 1024 {
        return Err("must be at least 64KiB".into());
    }
    Ok(bytes)
}

fn scenario(name: &str) -> Result<&'static Scenario, String> {
    let names = || {
        Scenario::ALL
            .iter()
            .map(|scenario| scenario.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    Scenario::find(name).ok_or_else(|| format!("choose one of: {}", names()))
}

fn speed(text: &str) -> Result<feedwatch::sim::Speed, String> {
    if text == "max" {
        return Ok(feedwatch::sim::Speed::AsFastAsRead);
    }
    match text.trim_end_matches('x').parse() {
        Ok(factor) if factor > 0.0 && f64::is_finite(factor) => Ok(feedwatch::sim::Speed::Factor(factor)),
        _ => Err("write a number more than 0, or `max`".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=1e6).contains(&rate) => Ok(rate),
        _ => Err("write a number from 0 to 1000000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        assert_eq!(size("64KiB"), Ok(64 * 1024));
        assert_eq!(size("3GiB"), Ok(3 << 30));
        for bad in [
            "",
            "5",
            "MiB",
            "-1MiB",
            "1.5MiB",
            "1MB",
            "63KiB",
            "0TiB",
            "16777216TiB",
            "18446744073709551616KiB",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_a_number_with_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
