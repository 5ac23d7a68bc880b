//! What is answered to which request.

use super::coding::{self, Coding};
use super::place::Place;
use super::scrape::{Rendering, ScrapeBody};
use super::{ExporterState, Limits, Prober, accept, api, probe};
use crate::clock::Moment;
use crate::metrics::{Exposition, Format, Handler, Streams};
use futures_util::FutureExt;
use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const PATHS: [(&str, Handler); 8] = [
    ("/", Handler::Landing),
    ("/metrics", Handler::Metrics),
    ("/-/healthy", Handler::Healthy),
    ("/-/ready", Handler::Ready),
    ("/api/v1/streams", Handler::ApiStreams),
    (ONE_STREAM, Handler::ApiStream),
    ("/api/v1/events", Handler::ApiEvents),
    ("/probe", Handler::Probe),
];
/// The path of one stream: `{name}` stands for its name.
const ONE_STREAM: &str = "/api/v1/streams/{name}";
/// How long the scraper gives up after. Source: <https://prometheus.io/docs/instrumenting/writing_exporters/>
pub(super) const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// The share of that time for encoding and sending; the rest is for the way back.
const SCRAPE_TIMEOUT_SHARE: f64 = 0.9;

pub(super) type Answer = Response<Either<Full<Bytes>, ScrapeBody>>;

/// Answers requests.
pub(super) struct Routes {
    state: ExporterState,
    scrapes: Arc<Semaphore>,
    api: Arc<Semaphore>,
    scrape_time: Duration,
    landing: Bytes,
    prober: Option<Arc<dyn Prober>>,
}

impl Routes {
    pub(super) fn new(state: ExporterState, limits: &Limits, prober: Option<Arc<dyn Prober>>) -> Self {
        let landing = include_str!("landing.html")
            .replace("{version}", &escape_html(&state.build.version))
            .replace("{revision}", &escape_html(&state.build.revision));
        Self {
            state,
            scrapes: Arc::new(Semaphore::new(limits.scrapes)),
            api: Arc::new(Semaphore::new(limits.scrapes)),
            scrape_time: limits.scrape_time,
            landing: landing.into(),
            prober,
        }
    }

    /// The answer, counted. The request's body is not read; a panic becomes a 500.
    pub(super) async fn answer<B: Body>(&self, request: Request<B>) -> Answer {
        let began = Moment::now().mono;
        let has_body = !request.body().is_end_stream();
        let (head, _) = request.into_parts();
        let path = head.uri.path();
        let handler = PATHS
            .iter()
            .find(|(known, _)| *known == path || *known == ONE_STREAM && stream_name(path).is_some())
            .map(|(_, handler)| *handler);
        let is_api = path.starts_with("/api/");

        let answering = AssertUnwindSafe(self.route(handler, &head)).catch_unwind();
        let outcome = answering
            .await
            .unwrap_or_else(|_| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "a defect: see the log")));
        let mut answer = outcome.unwrap_or_else(|refusal| refusal.into_answer(is_api));

        let headers = answer.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if is_api {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if has_body {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let took = Moment::now().mono.saturating_duration_since(began);
        let handler = handler.unwrap_or(Handler::Other);
        self.state.own.request(handler, answer.status().as_u16(), took);
        answer
    }

    async fn route(&self, handler: Option<Handler>, head: &Parts) -> Result<Answer, Refusal> {
        let Some(handler) = handler else {
            let paths = PATHS.map(|(path, _)| path).join(" ");
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                format!("no such path; there are: {paths}"),
            ));
        };
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD").with(header::ALLOW, "GET, HEAD")
            );
        }
        match handler {
            Handler::Metrics => self.scrape(head).await,
            Handler::Healthy => Ok(ok(PLAIN, "healthy\n")),
            Handler::Ready => match self.state.readiness.obstacle() {
                None => Ok(ok(PLAIN, "ready\n")),
                Some(obstacle) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, obstacle)),
            },
            Handler::ApiStreams => self.api(api::streams).await,
            Handler::ApiStream => {
                let name = stream_name(head.uri.path()).unwrap_or_default().to_owned();
                self.api(move |streams, at| api::stream(streams, &name, at)).await
            }
            Handler::ApiEvents => {
                let most = api::limit(head.uri.query())?;
                self.api(move |streams, _| api::events(streams, most)).await
            }
            Handler::Probe => match &self.prober {
                Some(prober) => probe::answer(&**prober, head, accept::format(&head.headers)).await,
                None => Err(Refusal::new(StatusCode::NOT_FOUND, "this program makes no probes")),
            },
            Handler::Landing | Handler::Other => {
                let mut answer = ok(HTML, self.landing.clone());
                answer.headers_mut().insert(
                    header::CONTENT_SECURITY_POLICY,
                    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
                );
                Ok(answer)
            }
        }
    }

    /// Encodes an answer of the API away from the workers that carry the streams.
    async fn api(
        &self,
        encode: impl FnOnce(&Streams, Moment) -> Result<Vec<u8>, Refusal> + Send + 'static,
    ) -> Result<Answer, Refusal> {
        let place = Place::take(&self.api, None).ok_or_else(|| busy("too many requests at once"))?;
        let streams = Arc::clone(&self.state.streams);
        // The place goes along: it is taken for as long as somebody encodes, also when the client has gone.
        let encoding = spawn_blocking(move || encode(&streams, Moment::now()).map(|json| place.holding(json)));
        match encoding.await {
            Ok(json) => Ok(ok(JSON, json?)),
            Err(_panicked) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "cannot encode the answer: see the log",
            )),
        }
    }

    async fn scrape(&self, head: &Parts) -> Result<Answer, Refusal> {
        let headers = &head.headers;
        let in_flight = Some(self.state.own.scrapes_in_flight());
        let place = Place::take(&self.scrapes, in_flight).ok_or_else(|| busy("too many scrapes at once"))?;
        let (format, coding) = (accept::format(headers), coding::coding(headers));
        // Before HTTP/1.1 only its length tells a body that was cut from a whole one.
        let has_chunks = head.version >= Version::HTTP_11;
        let limit = asked_for(headers).map_or(self.scrape_time, |asked| asked.min(self.scrape_time));
        let mut time = Box::pin(sleep(limit));
        let state = self.state.clone();
        let rendering = spawn_blocking(move || {
            let rendering = Rendering::new(read(&state, format), coding, place);
            if has_chunks {
                rendering.portion()
            } else {
                rendering.whole()
            }
        });
        let rendered = tokio::select! {
            // What is there is sent, were it late: the client decides.
            biased;
            rendered = rendering => rendered,
            () = &mut time => return Err(busy("the time for the scrape is over")),
        };
        let Ok(Ok(first)) = rendered else {
            return Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "cannot encode the metrics: see the log",
            ));
        };
        let mut answer = Response::new(Either::Right(ScrapeBody::new(first, time)));
        let told = answer.headers_mut();
        told.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        told.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        if coding == Coding::Gzip {
            told.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(answer)
    }
}

pub(super) fn busy(reason: &'static str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason).with(header::RETRY_AFTER, "1")
}

/// Reads all figures that a scrape shows.
fn read(state: &ExporterState, format: Format) -> Exposition {
    state.own.set_streams(state.streams.count());
    let now = Moment::now();
    let own = state.own.gather(now);
    format.exposition(&state.streams, &own, now)
}

/// The time that the scraper leaves for encoding and sending.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let limit = scrape_timeout(headers)?.mul_f64(SCRAPE_TIMEOUT_SHARE);
    Some(limit).filter(|limit| !limit.is_zero())
}

/// How long the scraper waits, where it says so.
pub(super) fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(SCRAPE_TIMEOUT)?.to_str().ok()?.parse().ok()?;
    let timeout = Duration::try_from_secs_f64(seconds).ok()?;
    Some(timeout).filter(|timeout| !timeout.is_zero())
}

/// The name in the path of one stream.
fn stream_name(path: &str) -> Option<&str> {
    let (before, after) = ONE_STREAM.split_once("{name}")?;
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    Some(name).filter(|name| !name.is_empty() && !name.contains('/'))
}

/// A request that is not served.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            header: None,
        }
    }

    #[cfg(test)]
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    fn into_answer(self, is_api: bool) -> Answer {
        let mut answer = if is_api {
            ok(JSON, serde_json::json!({ "error": self.reason }).to_string())
        } else {
            ok(PLAIN, format!("{}\n", self.reason))
        };
        *answer.status_mut() = self.status;
        if let Some((name, value)) = self.header {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

pub(super) fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
    answer
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
