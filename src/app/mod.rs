//! What the program does: runs the service, checks a configuration, simulates a venue, shows a demo, prints pages.

mod demo;
mod descriptors;
mod healthcheck;
mod http;
mod manager;
mod output;
mod pager;
mod service;
mod signals;
mod simulate;

pub use demo::{Comparison, DemoOptions, Scenario, demo};
pub use healthcheck::healthcheck;
pub use pager::{PagerFormat, pager};
pub use service::{Service, StartError};
pub use signals::Signals;
pub use simulate::simulate;

use crate::config::Config;
use crate::metrics::{BuildInfo, OwnMetrics};
use crate::telemetry::{self, Table, TableMode, Traces, TracesError};
use manager::ServiceManager;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Instrument, info, info_span};

/// Runs the service until a signal ends it; with a table of the streams where `table` says so.
pub async fn run(config: Config, build: BuildInfo, table: TableMode) -> Result<(), StartError> {
    let own = Arc::new(OwnMetrics::new(&build)?);
    let traces = start_traces(&config, &own)?;
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let service = start(&config, build, own, traces.as_ref()).await?;
    let (streams, address) = (config.streams.len(), service.address());
    let manager = ServiceManager::ready(&format!("streams: {streams}, http://{address}"));
    let table = Table::show(table, config.log.format, service.streams());
    let signal = signals.next().await;
    if let Some(table) = table {
        table.leave().await;
    }
    info!(signal, "shutting down");
    let end = async {
        manager.stopping().await;
        stop(service, traces, config.shutdown_grace).await;
    };
    signals.or_exit(end).await;
    info!("shut down");
    Ok(())
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
) -> Result<Service, StartError> {
    telemetry::init(&config.log, own.clone(), traces)?;
    Service::start(config, build, own, traces.map(Traces::tracer))
        .instrument(info_span!("service.start"))
        .await
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
