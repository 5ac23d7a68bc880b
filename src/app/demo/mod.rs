//! The demo: simulated venues with faults by script, and the real service that watches them.

mod scenario;
mod verify;

pub use scenario::Scenario;
pub use verify::Comparison;

use super::{Signals, StartError};
use crate::config::{Config, ConfigErrors};
use crate::metrics::{BuildInfo, OwnMetrics};
use crate::sim::{SimOptions, SimulatedVenue, Traffic};
use crate::telemetry::{Table, TableMode};
use scenario::{Feed, RECONNECTION};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How a demo is to run.
#[derive(Clone, Copy)]
pub struct DemoOptions {
    /// What it shows.
    pub scenario: &'static Scenario,
    /// Where the service listens.
    pub listen: SocketAddr,
    /// When it ends by itself; `None` = with a signal.
    pub duration: Option<Duration>,
    /// Whether it compares `/metrics` with the venues' logs at its end.
    pub verify: bool,
    /// Whether there is a table of the streams.
    pub table: TableMode,
}

/// A feed whose venue runs.
struct Running {
    feed: &'static Feed,
    venue: SimulatedVenue,
}

impl Running {
    fn start(feed: &'static Feed, seed: u64) -> io::Result<Self> {
        let traffic = Traffic::Generated {
            events_per_second: 20.0,
        };
        let venue = SimulatedVenue::start(SimOptions {
            traffic,
            script: feed.script(),
            seed,
            ..SimOptions::default()
        })?;
        Ok(Self { feed, venue })
    }
}

/// Runs a demo. Returns the figures that differ; none without `verify`.
pub async fn demo(options: DemoOptions, build: BuildInfo) -> Result<Vec<Comparison>, Error> {
    let scenario = options.scenario;
    say(&format!(
        "feedwatch demo, scenario `{}`: {}",
        scenario.name, scenario.about
    ))?;
    let feeds: Vec<_> = (0..)
        .zip(scenario.feeds())
        .map(|(seed, feed)| Running::start(feed, seed))
        .collect::<Result<_, _>>()?;
    let config = config(&feeds, options.listen)?;
    let own = Arc::new(OwnMetrics::new(&build)?);
    let traces = super::start_traces(&config, &own).map_err(StartError::Traces)?;
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let (service, _) = super::start(&config, build, own, traces.as_ref()).await?;
    for Running { feed, .. } in &feeds {
        say(&format!("  {:<9} {}", feed.name, feed.about))?;
    }
    say(&format!(
        "open     http://{0}/\nmetrics  http://{0}/metrics\nstreams  http://{0}/api/v1/streams",
        service.address()
    ))?;
    say(match options.duration {
        None => "Ctrl-C ends it; what happens follows, a line for each event",
        Some(_) => "what happens follows, a line for each event",
    })?;

    let table = Table::show(options.table, config.log.format, service.streams());
    // In any order: either ends the demo.
    tokio::select! {
        _ = signals.next() => {}
        () = wait(options.duration) => {}
    }
    super::leave(table).await;
    let end = async {
        let compared = if options.verify {
            verify::compare(&feeds, &config, service.address()).await
        } else {
            Ok(Vec::new())
        };
        super::stop(service, traces, config.shutdown_grace).await;
        for Running { venue, .. } in feeds {
            venue.shutdown().await;
        }
        compared
    };
    let comparisons = signals.or_exit(end).await?;
    for comparison in &comparisons {
        say(&comparison.to_string())?;
    }
    let differences: Vec<_> = comparisons
        .iter()
        .filter(|comparison| !comparison.agrees())
        .cloned()
        .collect();
    if options.verify {
        say(&format!(
            "verified: {} figures, {} different",
            comparisons.len(),
            differences.len()
        ))?;
    }
    Ok(differences)
}

async fn wait(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The configuration of a demo is read like any other.
fn config(feeds: &[Running], listen: SocketAddr) -> Result<Config, ConfigErrors> {
    let mut text = format!("exporter.listen = \"{listen}\"\n{RECONNECTION}");
    for (index, Running { feed, venue }) in feeds.iter().enumerate() {
        let Feed { name, reconnection, .. } = feed;
        let (url, tokens) = (venue.url(), [1, 2, 3, 4].map(|token| (index * 10 + token).to_string()));
        // Writing to a string never fails.
        let _ = write!(
            text,
            "[[streams]]\nname = \"{name}\"\nvenue = \"polymarket\"\nurl = \"{url}\"\ninstruments = {tokens:?}\n\
             reconnection = {{ {reconnection} }}\n"
        );
    }
    // Somebody may want to see its traces; all else is as the demo needs it.
    let variables = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_"));
    Config::parse("the demo's configuration", &text, variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_feed_has_a_valid_configuration() {
        for scenario in Scenario::ALL {
            let feeds: Vec<_> = scenario
                .feeds()
                .iter()
                .map(|feed| Running::start(feed, 0).unwrap())
                .collect();
            let config = config(&feeds, (std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            assert_eq!(config.streams.len(), feeds.len());
        }
    }
}
