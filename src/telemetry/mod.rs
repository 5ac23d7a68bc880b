//! What the program says of itself while it runs: log lines to stderr, spans to a tracing backend, and how its runtime is.

mod export;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod log;
mod post;
mod runtime;
mod screen;
mod table;
mod traces;

pub use log::{LogLevel, finish};
pub(crate) use post::innermost;
pub use table::{Table, TableMode};
pub use traces::{Traces, TracesError};

use crate::config::LogConfig;
use crate::metrics::OwnMetrics;
use std::sync::Arc;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Starts logging for the process, the traces of what the service does itself, and the watch over the runtime. Once; a second
/// call is an error.
///
/// The outages of streams are traced by their observers, with [`Traces::tracer`]. Returns what changes the level later on.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn init(log: &LogConfig, own: Arc<OwnMetrics>, traces: Option<&Traces>) -> Result<LogLevel, TryInitError> {
    let mut level = LogLevel::new();
    let (lines, writing) = log::layer(log, &own, &mut level);
    // Each layer is filtered for itself: a global filter would switch off spans that another layer wants.
    tracing_subscriber::registry()
        .with(lines)
        .with(log::counter(log, own.clone(), &mut level))
        // Ours alone: what the HTTP client does while it exports would feed itself.
        .with(traces.map(|traces| {
            traces
                .layer()
                .with_filter(Targets::new().with_target("feedwatch", tracing::Level::INFO))
        }))
        .try_init()?;
    log::keep(writing);
    runtime::watch(own);
    Ok(level)
}
