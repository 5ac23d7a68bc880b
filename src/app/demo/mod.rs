//! The demo: simulated venues with faults by script, and the real service that watches them.

mod scenario;
mod verify;

pub use scenario::Scenario;
pub use verify::Comparison;

use super::{Service, Signals, StartError};
use crate::config::{Config, ExporterConfig, LogConfig, LogFormat, MetricsConfig, StreamConfig, TransportConfig};
use crate::market::{Instrument, StreamName};
use crate::metrics::OwnMetrics;
use crate::sim::{SimOptions, SimulatedVenue, Traffic};
use crate::stream::Endpoint;
use crate::telemetry;
use crate::venue::Polymarket;
use scenario::Feed;
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
}

/// A feed whose venue runs.
struct Running {
    feed: &'static Feed,
    venue: SimulatedVenue,
}

/// Runs a demo. Returns the figures that differ; none without `verify`.
pub async fn demo(options: DemoOptions, own: Arc<OwnMetrics>) -> Result<Vec<Comparison>, Error> {
    let scenario = options.scenario;
    say(&format!("feedwatch demo, scenario `{}`: {}", scenario.name, scenario.about))?;
    let mut feeds = Vec::new();
    for (index, feed) in (0..).zip(scenario.feeds()) {
        let traffic = Traffic::Generated { events_per_second: 20.0 };
        let venue = SimulatedVenue::start(SimOptions { traffic, script: feed.script(), seed: index, ..SimOptions::default() })?;
        feeds.push(Running { feed, venue });
    }
    let config = config(&feeds, options.listen)?;
    telemetry::init(&config.log, own.clone()).map_err(StartError::Log)?;
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let service = Service::start(&config, own).await?;
    for Running { feed, .. } in &feeds {
        say(&format!("  {:<9} {}", feed.name, feed.about))?;
    }
    say(&format!("open     http://{0}/\nmetrics  http://{0}/metrics\nstreams  http://{0}/api/v1/streams", service.address()))?;
    say(match options.duration {
        None => "Ctrl-C ends it; what happens follows, a line for each event",
        Some(_) => "what happens follows, a line for each event",
    })?;

    tokio::select! {
        _ = signals.next() => {}
        () = wait(options.duration) => {}
    }
    let end = async {
        let compared = if options.verify { verify::compare(&feeds, service.address()).await } else { Ok(Vec::new()) };
        service.stop(config.shutdown_grace).await;
        for Running { venue, .. } in feeds {
            venue.shutdown().await;
        }
        compared
    };
    let comparisons = signals.or_exit(end).await?;
    for comparison in &comparisons {
        say(&comparison.to_string())?;
    }
    let differences: Vec<_> = comparisons.iter().filter(|comparison| !comparison.agrees()).cloned().collect();
    if options.verify {
        say(&format!("verified: {} figures, {} different", comparisons.len(), differences.len()))?;
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

fn config(feeds: &[Running], listen: SocketAddr) -> Result<Config, Error> {
    let streams = (0_u64..).zip(feeds).map(|(index, running)| {
        Ok(StreamConfig {
            name: StreamName::new(running.feed.name)?,
            venue: &Polymarket,
            endpoint: Endpoint::parse(&running.venue.url())?,
            instruments: (1..=4).map(|token| Instrument::new(&(index * 10 + token).to_string())).collect(),
            policy: running.feed.policy(),
            ping_interval: Some(Duration::from_secs(2)),
            pong_timeout: Duration::from_secs(5),
            page_on_stale: false,
        })
    });
    Ok(Config {
        exporter: ExporterConfig { listen, ..ExporterConfig::default() },
        transport: TransportConfig::default(),
        log: LogConfig { format: LogFormat::Human, ..LogConfig::default() },
        metrics: MetricsConfig::default(),
        shutdown_grace: Duration::from_secs(5),
        streams: streams.collect::<Result<_, Error>>()?,
        hash: 0,
    })
}
