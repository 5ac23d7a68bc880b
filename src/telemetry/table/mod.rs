//! A live table of the streams, for whoever watches a terminal: one line a stream, drawn anew once a second.

mod layout;
mod row;

use super::log::{Pen, pen};
use super::screen::{Frame, is_coloured, is_terminal, size};
use crate::clock::Moment;
use crate::config::LogFormat;
use crate::metrics::Streams;
use row::Rows;
use std::panic;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(1);
/// The last frame is waited for no longer: nobody reads what is written.
const PATIENCE: Duration = Duration::from_secs(1);

/// When there is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableMode {
    /// Where stderr is a terminal, and its log lines are for people.
    Auto,
    /// Whatever stderr is.
    Always,
    /// Not at all.
    Never,
}

impl TableMode {
    fn is_wanted(self, log: LogFormat) -> bool {
        match self {
            Self::Auto => log == LogFormat::Human && is_terminal(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// A table below the log lines on stderr.
#[derive(Debug)]
pub struct Table {
    drawing: JoinHandle<()>,
    stop: CancellationToken,
}

impl Table {
    /// Draws it from now on; `None` where it is not wanted, or where nothing is logged. `log` is the format of the log lines.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn show(mode: TableMode, log: LogFormat, streams: Arc<Streams>) -> Option<Self> {
        let pen = pen().filter(|_| mode.is_wanted(log))?;
        keep_clear_of_panics(&pen);
        let stop = CancellationToken::new();
        Some(Self {
            drawing: tokio::spawn(draw(pen, streams, stop.clone())),
            stop,
        })
    }

    /// Draws it for the last time. What is written from then on stands below it.
    pub async fn leave(self) {
        self.stop.cancel();
        let _ = timeout(PATIENCE, self.drawing).await;
    }
}

async fn draw(pen: Pen, streams: Arc<Streams>, stop: CancellationToken) {
    let mut rows = Rows::default();
    let mut frame = |last| {
        let size = size();
        let lines = layout::lines(rows.at(&streams, Moment::now()), size, is_coloured());
        Frame { lines, size, last }
    };
    let mut tick = interval(EVERY);
    // A reader who stalls wants no second table at once.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased; // the end is not kept waiting for one more frame
            () = stop.cancelled() => break,
            _ = tick.tick() => pen.draw(frame(None)),
        }
    }
    let (told, stands) = oneshot::channel();
    pen.draw(frame(Some(told)));
    let _ = stands.await;
}

/// A panic's message is written past the log, below the table, and is not erased with it.
fn keep_clear_of_panics(pen: &Pen) {
    let screen = pen.screen.clone();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| screen.aside(|| report(panic))));
}
