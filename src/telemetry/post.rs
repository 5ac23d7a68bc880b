//! Hands encoded spans over: an HTTP client on the service's own runtime, for OTLP over HTTP and over gRPC.
//!
//! The SDK exports from a thread of its own that has no reactor, where a client of hyper's panics: so the request runs on the
//! runtime, and the thread waits for it. How a post failed is kept here, since the SDK passes on a sentence only.

use crate::config::{TracesConfig, TracesProtocol};
use crate::market::ExportError;
use crate::stream::TlsTrust;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap};
use hyper::http::response::Parts;
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// An answer holds a sentence about what was rejected; no good one is larger.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// A connection that nobody uses is closed after this time: the next batch may be far away.
const IDLE: Duration = Duration::from_secs(60);

/// What came of the last post.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Why it failed.
    pub(super) error: Option<ExportError>,
    /// A sentence about it.
    pub(super) detail: String,
    /// Spans that the backend took none of, although it answered with success.
    pub(super) rejected: u64,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub(super) struct Post {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    protocol: TracesProtocol,
    headers: HeaderMap,
    limit: Duration,
    runtime: Handle,
    verdict: Arc<Mutex<Verdict>>,
}

impl Post {
    /// A client on this runtime.
    pub(super) fn new(config: &TracesConfig, runtime: Handle) -> Result<Self, tokio_rustls::rustls::Error> {
        let needs_tls = config.endpoint.uri().scheme_str() == Some("https");
        let trust = if needs_tls && config.authorities.is_empty() {
            TlsTrust::system()?
        } else {
            TlsTrust::only(config.authorities.iter().cloned())?
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust.into_config())
            .https_or_http();
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        let client = match config.protocol {
            TracesProtocol::Http => client.build(connector.enable_http1().build()),
            #[cfg(feature = "otlp-grpc")]
            TracesProtocol::Grpc => client.http2_only(true).build(connector.enable_http2().build()),
        };
        Ok(Self {
            client,
            protocol: config.protocol,
            headers: config.headers.clone(),
            limit: config.timeout,
            runtime,
            verdict: Arc::default(),
        })
    }

    /// What came of the last post; and forgets it.
    pub(super) fn take_verdict(&self) -> Verdict {
        std::mem::take(&mut *self.verdict.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn judge(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict;
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<(Response<Bytes>, Verdict), Failed> {
        let request = self.addressed(request);
        match self.protocol {
            TracesProtocol::Http => {
                let (head, body) = self.ask(request).await?;
                let answer = Response::from_parts(head, body.to_bytes());
                let verdict = verdict(&answer);
                Ok((answer, verdict))
            }
            #[cfg(feature = "otlp-grpc")]
            TracesProtocol::Grpc => {
                use super::grpc::{Answer, answer, call};
                let (mut head, body) = self.ask(call(request, self.limit)?).await?;
                let trailers = body.trailers().cloned();
                match answer(&head, body.to_bytes(), trailers.as_ref())? {
                    Answer::Ok(message) => {
                        let verdict = of_message(&message);
                        Ok((Response::from_parts(head, message), verdict))
                    }
                    Answer::Refused(status, detail) => {
                        head.status = status;
                        let verdict = Verdict {
                            error: Some(ExportError::GrpcStatus),
                            detail,
                            rejected: 0,
                        };
                        Ok((Response::from_parts(head, Bytes::new()), verdict))
                    }
                }
            }
        }
    }

    /// With the headers that are to be sent, and no others.
    fn addressed(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        // The exporter adds the headers of its own reading of the environment: those of another backend, where a file says what
        // is to be sent.
        let own = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::USER_AGENT].map(|name| {
            let value = request.headers().get(&name).cloned();
            (name, value)
        });
        request.headers_mut().clear();
        for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            request.headers_mut().insert(name, value);
        }
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        request
    }

    /// The answer, its body read to the end.
    async fn ask(&self, request: Request<Bytes>) -> Result<(Parts, Collected<Bytes>), Failed> {
        let answer = self.client.request(request.map(Full::new)).await.map_err(|error| {
            let kind = if error.is_connect() {
                ExportError::Connect
            } else {
                ExportError::Protocol
            };
            Failed(kind, innermost(&error))
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Failed(ExportError::Protocol, error.to_string()))?;
        Ok((head, body))
    }
}

#[async_trait::async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let post = self.clone();
        let limit = self.limit;
        let posted = self
            .runtime
            .spawn(async move { timeout(limit, post.exchange(request)).await });
        let outcome = match posted.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failed(
                ExportError::Timeout,
                format!("no answer within {} ms", limit.as_millis()),
            )),
            // The runtime has ended.
            Err(ended) => Err(Failed(ExportError::Internal, ended.to_string())),
        };
        match outcome {
            Ok((answer, verdict)) => {
                self.judge(verdict);
                Ok(answer)
            }
            Err(failed) => {
                let Failed(error, detail) = &failed;
                self.judge(Verdict {
                    error: Some(*error),
                    detail: detail.clone(),
                    rejected: 0,
                });
                Err(failed.into())
            }
        }
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}

/// A post without an answer.
#[derive(Debug, thiserror::Error)]
#[error("{1}")]
pub(super) struct Failed(pub(super) ExportError, pub(super) String);

fn verdict(answer: &Response<Bytes>) -> Verdict {
    let status = answer.status();
    if !status.is_success() {
        return Verdict {
            error: Some(ExportError::HttpStatus),
            detail: format!("answered with {status}"),
            rejected: 0,
        };
    }
    of_message(answer.body())
}

/// What the backend says of what it took. An answer that is none of OTLP's rejects nothing.
fn of_message(message: &Bytes) -> Verdict {
    let partial = ExportTraceServiceResponse::decode(message.clone())
        .ok()
        .and_then(|answer| answer.partial_success)
        .filter(|partial| partial.rejected_spans > 0);
    partial.map_or_else(Verdict::default, |partial| Verdict {
        error: Some(ExportError::Rejected),
        detail: partial
            .error_message
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect(),
        rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
    })
}

/// hyper's own sentences say where, the innermost says why.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
