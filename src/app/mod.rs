//! What the program does: runs the service, checks a configuration, simulates a venue, shows a demo.

mod demo;
mod descriptors;
mod http;
mod service;
mod signals;
mod simulate;

pub use demo::{Comparison, DemoOptions, Scenario, demo};
pub use service::{Service, StartError};
pub use signals::Signals;
pub use simulate::simulate;

use crate::config::Config;
use crate::metrics::{BuildInfo, OwnMetrics};
use crate::telemetry;
use std::sync::Arc;
use tracing::info;

/// Runs the service until a signal ends it.
pub async fn run(config: Config, build: BuildInfo) -> Result<(), StartError> {
    let own = Arc::new(OwnMetrics::new(&build)?);
    telemetry::init(&config.log, own.clone())?;
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let service = Service::start(&config, build, own).await?;
    let signal = signals.next().await;
    info!(signal, "shutting down");
    signals.or_exit(service.stop(config.shutdown_grace)).await;
    info!("shut down");
    Ok(())
}
