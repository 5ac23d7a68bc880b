//! Counts what becomes of each span: the SDK throws the results of exports away.
//!
//! Every recorded span that ends is exported, dropped, or waits; what waits, also for an answer, is bounded here, so that the queue behind never
//! has to drop by itself, uncounted.

use super::post::Post;
use crate::market::ExportError;
use crate::metrics::OwnMetrics;
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;
use tracing::{info, warn};

/// What waits, and what has been said of the export.
pub(super) struct Ledger {
    own: Arc<OwnMetrics>,
    room: usize,
    waiting: AtomicUsize,
    ended: AtomicBool,
    /// The last export failed, and the log says so.
    is_failing: AtomicBool,
}

impl Ledger {
    pub(super) fn new(own: Arc<OwnMetrics>, room: usize) -> Self {
        Self {
            own,
            room,
            waiting: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Spans that wait to be exported, or are being exported.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Acquire)
    }

    /// A place in the queue, if there is one.
    fn enter(&self) -> bool {
        let more = |waiting: usize| (waiting < self.room).then_some(waiting + 1);
        !self.ended.load(Acquire) && self.waiting.fetch_update(AcqRel, Acquire, more).is_ok()
    }

    fn leave(&self, spans: usize) {
        self.waiting.fetch_sub(spans, AcqRel);
    }

    /// So many spans were posted, with this outcome.
    fn settle(&self, spans: u64, error: Option<ExportError>, rejected: u64, detail: &str) {
        let lost = rejected.min(spans);
        self.own.spans_exported(spans - lost);
        self.own.spans_dropped(lost);
        if let Some(error) = error {
            self.own.span_export_failed(error);
        }
        // Once for each change: a backend that is away for an hour is not worth a line every few seconds.
        match (error, self.is_failing.swap(error.is_some(), Relaxed)) {
            (Some(error), false) => warn!(
                error = error.as_str(),
                detail, "cannot export traces; further failures are only counted"
            ),
            (None, true) => info!("traces are exported again"),
            _ => {}
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ledger")
    }
}

/// A processor that lets no more spans through than the one behind it has room for.
#[derive(Debug)]
pub(super) struct Counted<P> {
    pub(super) inner: P,
    pub(super) ledger: Arc<Ledger>,
}

impl<P: SpanProcessor> SpanProcessor for Counted<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.ledger.enter() {
            self.inner.on_end(span);
        } else {
            self.ledger.own.spans_dropped(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.ledger.ended.store(true, Release);
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// An exporter whose results are counted.
#[derive(Debug)]
pub(super) struct Counting<E> {
    pub(super) inner: E,
    pub(super) post: Post,
    pub(super) ledger: Arc<Ledger>,
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.inner.export(batch).await;
        let verdict = self.post.take_verdict();
        let (error, lost) = match &outcome {
            Ok(()) => (verdict.error, verdict.rejected),
            // Where there was no post, the spans could not be encoded.
            Err(_) => (Some(verdict.error.unwrap_or(ExportError::Internal)), u64::MAX),
        };
        self.ledger.settle(spans as u64, error, lost, &verdict.detail);
        // Only now: what is being posted still takes up memory.
        self.ledger.leave(spans);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
