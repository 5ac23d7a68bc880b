//! Where log lines go: stderr, for people or as JSON, and each is counted.

use super::screen::{Frame, Screen, Writer, is_coloured};
use crate::config::{LogConfig, LogFormat};
use crate::metrics::OwnMetrics;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

/// Lines that wait for whoever reads stderr. Past that they are dropped, and counted.
const WAITING_LINES: usize = 8192;

/// The thread that writes.
static WRITER: Mutex<Option<Writing>> = Mutex::new(None);

/// A thread that writes: dropping it ends the thread.
pub(super) struct Writing {
    _guard: WorkerGuard,
    pen: Pen,
}

/// What hands frames of a table to the thread that writes.
#[derive(Clone, Debug)]
pub(super) struct Pen {
    pub(super) screen: Arc<Screen>,
    lines: NonBlocking,
}

impl Pen {
    /// Has it drawn as soon as the lines before it are written.
    pub(super) fn draw(&self, frame: Frame) {
        if self.screen.offer(frame) {
            // Without a byte: it wakes the thread. It is never an error.
            let _ = self.lines.clone().write(b"");
        }
    }
}

/// The pen of the thread that writes, while there is one.
pub(super) fn pen() -> Option<Pen> {
    let writing = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    writing.as_ref().map(|writing| writing.pen.clone())
}

/// The layer that writes lines, and the thread that does.
///
/// Lines are written by a thread of their own: a reader of stderr that stalls stops no stream, no scrape and no shutdown.
pub(super) fn layer<S>(log: &LogConfig, own: &OwnMetrics, level: &mut LogLevel) -> (impl Layer<S> + use<S>, Writing)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let screen = Arc::new(Screen::new());
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(Writer(screen.clone()));
    let dropped = writer.error_counter();
    own.count_dropped_lines(move || dropped.dropped_lines() as u64);
    let pen = Pen {
        screen,
        lines: writer.clone(),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let lines = match log.format {
        LogFormat::Human => lines.with_ansi(is_coloured()).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    (
        lines.with_filter(level.filter(log.level)),
        Writing { _guard: guard, pen },
    )
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
pub(super) fn keep(writing: Writing) {
    *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(writing);
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
