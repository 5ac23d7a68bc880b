//! How spans are made: names, attributes, times. Decides nothing.

use crate::clock::Moment;
use crate::market::{Cause, DialPhase};
use crate::stream::Endpoint;
use crate::supervise::AttemptKind;
use crate::venue;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// One reading of both clocks, from which the wall times of a trace are counted.
#[derive(Clone, Copy)]
pub(super) struct Anchor(Moment);

impl Anchor {
    pub(super) const fn new(at: Moment) -> Self {
        Self(at)
    }

    pub(super) fn age(self, now: Instant) -> Duration {
        now.saturating_duration_since(self.0.mono)
    }

    /// The wall time of a moment, whatever has become of the wall clock since.
    pub(super) fn wall(self, at: Instant) -> SystemTime {
        let wall = self.0.wall;
        wall.checked_add(self.age(at)).unwrap_or(wall)
    }
}

/// A span that is open. It ends when it is told to, or when it is dropped.
pub(super) struct Open(Context);

impl Open {
    pub(super) fn context(&self) -> SpanContext {
        self.0.span().span_context().clone()
    }

    pub(super) fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(key, value));
    }

    pub(super) fn set_all(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        self.0.span().set_attributes(attributes);
    }

    /// Ends it: well, or for this cause, with a sentence about it.
    pub(super) fn settle(self, at: SystemTime, failed: Option<(Cause, &str)>) {
        if let Some((cause, detail)) = failed {
            self.set("error.type", cause.as_str());
            self.0.span().set_status(Status::error(detail.to_owned()));
        }
        self.0.span().end_with_timestamp(at);
    }
}

/// Makes the spans of one stream.
pub(super) struct Maker {
    tracer: Arc<BoxedTracer>,
    venue: String,
    /// Of each root and each attempt.
    identity: [KeyValue; 2],
    /// Where attempts go that were not told to go elsewhere.
    first: Target,
}

/// Where an attempt goes.
pub(super) struct Target {
    server: [KeyValue; 2],
    url: KeyValue,
}

impl Maker {
    pub(super) fn new(tracer: Arc<BoxedTracer>, stream: &str, venue: &str, endpoint: &Endpoint) -> Self {
        Self {
            tracer,
            identity: [
                KeyValue::new("feedwatch.stream", stream.to_owned()),
                KeyValue::new("feedwatch.venue", venue.to_owned()),
            ],
            first: target(endpoint, venue),
            venue: venue.to_owned(),
        }
    }

    pub(super) fn target(&self, endpoint: &Endpoint) -> Target {
        target(endpoint, &self.venue)
    }

    /// A root, in a trace of its own.
    pub(super) fn root(&self, at: SystemTime, begin: &'static str, cause: Option<Cause>, link: Option<Link>) -> Open {
        let mut attributes = self.identity.to_vec();
        attributes.push(KeyValue::new("feedwatch.outage.begin", begin));
        attributes.extend(cause.map(|cause| KeyValue::new("feedwatch.outage.cause", cause.as_str())));
        let builder = SpanBuilder::from_name("stream.outage")
            .with_links(link.into_iter().collect())
            .with_attributes(attributes);
        self.open(builder, at, &Context::new())
    }

    /// The root of a planned reconnect, which is no outage, and of one try of it alone.
    pub(super) fn renewal(&self, at: SystemTime, link: Option<Link>) -> Open {
        let builder = SpanBuilder::from_name("stream.renewal")
            .with_links(link.into_iter().collect())
            .with_attributes(self.identity.to_vec());
        self.open(builder, at, &Context::new())
    }

    /// `to` where it is not the first endpoint.
    pub(super) fn attempt(
        &self,
        root: &Open,
        at: SystemTime,
        to: Option<&Target>,
        (number, kind): (u32, AttemptKind),
    ) -> Open {
        let mut attributes = self.identity.to_vec();
        attributes.extend(to.unwrap_or(&self.first).server.clone());
        attributes.push(KeyValue::new("feedwatch.attempt.number", i64::from(number)));
        attributes.push(KeyValue::new("feedwatch.attempt.kind", kind.as_str()));
        let builder = SpanBuilder::from_name("stream.connect").with_attributes(attributes);
        self.open(builder, at, &root.0)
    }

    pub(super) fn backoff(&self, root: &Open, at: SystemTime, delay: Duration, failures: u32) -> Open {
        let builder = SpanBuilder::from_name("stream.backoff").with_attributes([
            KeyValue::new("feedwatch.backoff.delay_seconds", delay.as_secs_f64()),
            KeyValue::new("feedwatch.breaker.consecutive_failures", i64::from(failures)),
        ]);
        self.open(builder, at, &root.0)
    }

    /// The upgrade is an HTTP request, and has the name and the kind of one.
    pub(super) fn phase(
        &self,
        attempt: &Open,
        at: SystemTime,
        to: Option<&Target>,
        (phase, peer): (DialPhase, Option<SocketAddr>),
    ) -> Open {
        let builder = match phase {
            DialPhase::Resolve => SpanBuilder::from_name("dns.lookup"),
            DialPhase::Connect => SpanBuilder::from_name("tcp.connect"),
            DialPhase::Proxy => SpanBuilder::from_name("proxy.connect"),
            DialPhase::Tls => SpanBuilder::from_name("tls.handshake"),
            DialPhase::Upgrade => SpanBuilder::from_name("GET").with_kind(SpanKind::Client),
            DialPhase::Subscribe => SpanBuilder::from_name("stream.subscribe"),
        };
        let Target { server, url } = to.unwrap_or(&self.first);
        let mut attributes = server.to_vec();
        if phase == DialPhase::Upgrade {
            attributes.push(KeyValue::new("http.request.method", "GET"));
            attributes.push(url.clone());
        }
        attributes.extend(peer.into_iter().flat_map(of_peer));
        self.open(builder.with_attributes(attributes), at, &attempt.0)
    }

    fn open(&self, builder: SpanBuilder, at: SystemTime, parent: &Context) -> Open {
        let span = self.tracer.build_with_context(builder.with_start_time(at), parent);
        Open(Context::new().with_span(span))
    }
}

fn target(endpoint: &Endpoint, venue: &str) -> Target {
    Target {
        server: [
            KeyValue::new("server.address", endpoint.host().to_owned()),
            KeyValue::new("server.port", i64::from(endpoint.port())),
        ],
        url: KeyValue::new("url.full", shown(endpoint, venue)),
    }
}

/// An address without what may be a secret: its query, and a path that is not the venue's own.
fn shown(endpoint: &Endpoint, venue: &str) -> String {
    let own = venue::find(venue).and_then(|venue| Endpoint::parse(venue.default_url()).ok());
    if own.is_some_and(|own| own.path() == endpoint.path()) || endpoint.path() == "/" {
        endpoint.to_string()
    } else {
        format!("{}/REDACTED", endpoint.origin())
    }
}

/// Who answered.
pub(super) fn of_peer(address: SocketAddr) -> [KeyValue; 2] {
    [
        KeyValue::new("network.peer.address", address.ip().to_string()),
        KeyValue::new("network.peer.port", i64::from(address.port())),
    ]
}
