//! Where log lines go: stderr, for people or as JSON, and each is counted.

use crate::config::{LogConfig, LogFormat};
use crate::metrics::OwnMetrics;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Lines that wait for whoever reads stderr. Past that they are dropped, and counted.
const WAITING_LINES: usize = 8192;

/// Ends the thread that writes.
static WRITER: Mutex<Option<WorkerGuard>> = Mutex::new(None);

/// Starts logging for the process. Once; a second call is an error.
///
/// Lines are written by a thread of their own: a reader of stderr that stalls stops no stream, no scrape and no shutdown.
pub fn init(log: &LogConfig, own: Arc<OwnMetrics>) -> Result<(), TryInitError> {
    // Each layer is filtered for itself: a global filter would switch off spans that another layer wants.
    let filter = || {
        Targets::new()
            .with_target("feedwatch", log.level)
            .with_default(log.level.min(tracing::Level::WARN))
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let dropped = writer.error_counter();
    own.count_dropped_lines(move || dropped.dropped_lines() as u64);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let lines = match log.format {
        LogFormat::Human => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colours).boxed()
        }
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter()))
        .with(Counter(own).with_filter(filter()))
        .try_init()?;
    *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    Ok(())
}

/// Writes what waits, as far as somebody reads it within a second or so. Nothing is logged afterwards.
pub fn finish() {
    drop(WRITER.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Counts log lines by level.
struct Counter(Arc<OwnMetrics>);

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.0.log_message(*event.metadata().level());
    }
}
