//! What the program does: runs the service, checks a configuration, simulates and probes venues, shows a demo, records, prints pages.

mod demo;
mod descriptors;
mod driven;
mod healthcheck;
mod http;
mod manager;
mod names;
mod output;
mod pager;
pub mod probe;
mod probes;
mod record;
mod reload;
mod running;
mod service;
mod signals;
mod simulate;
mod trust;
pub mod venues;

pub use demo::{Comparison, DemoOptions, Scenario, demo};
pub use healthcheck::healthcheck;
pub use pager::{PagerFormat, pager};
pub use record::{RecordError, RecordLimits, RecordOptions, Recorded, record};
pub use reload::ConfigSource;
pub use service::{RefusedReload, Service, StartError};
pub use signals::{Signals, Wish};
pub use simulate::{recordings, simulate};

use crate::config::Config;
use crate::metrics::{BuildInfo, OwnMetrics};
use crate::telemetry::{self, LogLevel, Table, TableMode, Traces, TracesError};
use manager::ServiceManager;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Instrument, info, info_span};

/// Runs the service until a signal ends it; with a table of the streams where `table` says so. `config` is what `source` was
/// read for the first time.
pub async fn run(
    mut source: ConfigSource,
    config: Config,
    build: BuildInfo,
    table: TableMode,
) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let own = Arc::new(OwnMetrics::new(&build)?);
    let traces = start_traces(&config, &own)?;
    let (mut service, level) = start(&config, build, own.clone(), traces.as_ref()).await?;
    let manager = ServiceManager::ready(&status(&service));
    let table = Table::show(table, config.log.format, service.streams());
    let signal = loop {
        let wish = tokio::select! {
            biased; // a signal comes before a look at the file
            wish = signals.wish() => wish,
            () = source.changed(service.config().watch_interval) => Wish::Reload,
        };
        if let Wish::End(signal) = wish {
            break signal;
        }
        manager.reloading().await;
        let reading = tokio::select! {
            biased; // a file system that hangs must not keep the end back
            signal = signals.end() => break signal,
            reading = source.read() => reading,
        };
        let is_taken = source.take_over(reading, &mut service, &own, &level).await;
        let refused = if is_taken { "" } else { ", last configuration refused" };
        manager.reloaded(&(status(&service) + refused)).await;
    };
    leave(table).await;
    info!(signal, "shutting down");
    let grace = service.config().shutdown_grace;
    let end = async {
        manager.stopping().await;
        stop(service, traces, grace).await;
    };
    signals.or_exit(end).await;
    info!("shut down");
    Ok(())
}

/// From here on everything is written below the table, if there is one.
async fn leave(table: Option<Table>) {
    if let Some(table) = table {
        table.leave().await;
    }
}

/// A line for `systemctl status`.
fn status(service: &Service) -> String {
    format!(
        "streams: {}, http://{}",
        service.config().streams.len(),
        service.address()
    )
}

fn start_traces(config: &Config, own: &Arc<OwnMetrics>) -> Result<Option<Traces>, TracesError> {
    let start = |traces| Traces::start(traces, Arc::clone(own));
    config.traces.as_ref().map(start).transpose()
}

async fn start(
    config: &Config,
    build: BuildInfo,
    own: Arc<OwnMetrics>,
    traces: Option<&Traces>,
) -> Result<(Service, LogLevel), StartError> {
    let level = telemetry::init(&config.log, own.clone(), traces)?;
    let service = Service::start(config, build, own, traces.map(Traces::tracer))
        .instrument(info_span!("service.start"))
        .await?;
    Ok((service, level))
}

/// The streams first, since their ends belong to the traces; some of the time is kept for these.
async fn stop(service: Service, traces: Option<Traces>, grace: Duration) {
    let deadline = Instant::now() + grace;
    let kept = traces.as_ref().map_or(Duration::ZERO, |_| grace / 5);
    service
        .stop(grace.saturating_sub(kept))
        .instrument(info_span!("service.stop"))
        .await;
    if let Some(traces) = traces {
        traces.finish(deadline.saturating_duration_since(Instant::now())).await;
    }
}
