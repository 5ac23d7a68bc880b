//! Where log lines go: stderr, for people or as JSON, and each is counted.

use crate::config::{LogConfig, LogFormat};
use crate::metrics::OwnMetrics;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

/// Lines that wait for whoever reads stderr. Past that they are dropped, and counted.
const WAITING_LINES: usize = 8192;

/// Ends the thread that writes.
static WRITER: Mutex<Option<WorkerGuard>> = Mutex::new(None);

/// The layer that writes lines, and what ends its thread.
///
/// Lines are written by a thread of their own: a reader of stderr that stalls stops no stream, no scrape and no shutdown.
pub(super) fn layer<S>(log: &LogConfig, own: &OwnMetrics, level: &mut LogLevel) -> (impl Layer<S> + use<S>, WorkerGuard)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
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
    (lines.with_filter(level.filter(log.level)), guard)
}

/// The layer that counts lines.
pub(super) fn counter<S>(log: &LogConfig, own: Arc<OwnMetrics>, level: &mut LogLevel) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    Counter(own).with_filter(level.filter(log.level))
}

/// Which lines are written and counted, from now on and later.
pub struct LogLevel(Vec<Box<dyn Fn(Level) + Send + Sync>>);

impl LogLevel {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// From now on less important lines are left out.
    pub fn set(&self, level: Level) {
        for set in &self.0 {
            set(level);
        }
    }

    /// A filter for one layer.
    fn filter<S: Subscriber + 'static>(&mut self, level: Level) -> reload::Layer<Targets, S> {
        let (filter, handle) = reload::Layer::new(targets(level));
        self.0.push(Box::new(move |level| {
            // It fails where the layer is gone, and then nobody is left who could write.
            let _ = handle.reload(targets(level));
        }));
        filter
    }
}

fn targets(level: Level) -> Targets {
    Targets::new()
        .with_target("feedwatch", level)
        .with_default(level.min(Level::WARN))
}

/// Keeps the thread that writes until [`finish`].
pub(super) fn keep(guard: WorkerGuard) {
    *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
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
