//! The tracer of the service, and its end.

use super::export::{Counted, Counting, Ledger};
use super::post::Post;
use crate::config::TracesConfig;
use crate::metrics::OwnMetrics;
use crate::observe::same_outage;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{Link, SpanKind, TraceId, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Compression, ExporterBuildError, Protocol, SpanExporter};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingResult, SdkTracerProvider, ShouldSample,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::{Subscriber, warn};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// The name of what makes the spans: their instrumentation scope.
const SCOPE: &str = "feedwatch";

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// TLS cannot be set up.
    #[error("{0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// The SDK does not accept the settings.
    #[error("{0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Where the service's spans go.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: Arc<BoxedTracer>,
    ledger: Arc<Ledger>,
}

impl Traces {
    /// Starts to export. Whether the backend can be reached plays no part: spans wait, and past that are dropped and counted.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(config: &TracesConfig, own: Arc<OwnMetrics>) -> Result<Self, TracesError> {
        let ledger = Arc::new(Ledger::new(own, config.max_queue));
        let post = Post::new(config, Handle::current())?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(post.clone())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(config.endpoint.uri().to_string())
            .with_timeout(config.timeout);
        let exporter = if config.gzip {
            exporter.with_compression(Compression::Gzip)
        } else {
            exporter
        };
        let exporter = Counting {
            inner: exporter.build()?,
            post,
            ledger: ledger.clone(),
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.max_queue)
            .with_max_export_batch_size(config.max_batch)
            .with_scheduled_delay(config.schedule_delay)
            .build();
        let processor = Counted {
            inner: BatchSpanProcessor::builder(exporter).with_batch_config(batches).build(),
            ledger: ledger.clone(),
        };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(OfOutage::new(config.sample_ratio))
            .with_resource(resource(config))
            .build();
        let tracer = BoxedTracer::new(Box::new(provider.tracer(SCOPE)));
        Ok(Self {
            tracer: Arc::new(tracer),
            provider,
            ledger,
        })
    }

    /// Makes spans.
    pub fn tracer(&self) -> Arc<BoxedTracer> {
        Arc::clone(&self.tracer)
    }

    /// Turns spans of the `tracing` crate into such spans: a lean one, without places in the source.
    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_tracer(self.provider.tracer(SCOPE))
    }

    /// Exports what waits; gives up after `limit`.
    pub async fn finish(self, limit: Duration) {
        let Self { provider, ledger, .. } = self;
        // It waits for the exporter's thread, which waits for this runtime.
        let ended = spawn_blocking(move || provider.shutdown_with_timeout(limit)).await;
        let waiting = ledger.waiting();
        if waiting > 0 || !matches!(ended, Ok(Ok(()))) {
            warn!(spans = waiting, "not all traces were exported");
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}

/// An outage is recorded whole or not at all: all the traces of its chain.
#[derive(Clone, Debug)]
struct OfOutage {
    first: Sampler,
}

impl OfOutage {
    fn new(ratio: f64) -> Self {
        let first = if ratio >= 1.0 {
            Sampler::AlwaysOn
        } else {
            Sampler::TraceIdRatioBased(ratio)
        };
        Self { first }
    }
}

impl ShouldSample for OfOutage {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let as_before = |recorded: bool| {
            if recorded {
                Sampler::AlwaysOn
            } else {
                Sampler::AlwaysOff
            }
        };
        let sampler = match links.iter().find(|link| link.attributes.contains(&same_outage())) {
            Some(root_before) => as_before(root_before.span_context.is_sampled()),
            None => self.first.clone(),
        };
        let within_traces = Sampler::ParentBased(Box::new(sampler));
        within_traces.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

fn resource(config: &TracesConfig) -> Resource {
    let attributes = config
        .resource
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(attributes)
        .build()
}
