//! One GET to a venue's REST API, bounded in time and in size. Redirects are not followed.

use crate::clock::Moment;
use crate::market::LookupOutcome;
use crate::stream::{Access, RestEndpoint, TcpDialler, open, retry_after};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::time::timeout;

/// No listing of a venue is larger.
const MOST_BYTES: usize = 32 * 1024 * 1024;
const USER_AGENT: &str = concat!("feedwatch/", env!("CARGO_PKG_VERSION"));

/// How a REST API is asked.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) rest: RestEndpoint,
    pub(super) access: Access,
    pub(super) dialler: TcpDialler,
    /// Of several addresses of a host, each has so much of a head start over the next.
    pub(super) head_start: Duration,
    /// The time limit of a request: from the name look-up to the end of the answer.
    pub(super) limit: Duration,
}

/// Why there is no answer to use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub(super) outcome: LookupOutcome,
    /// A sentence. It holds nothing of the answer's body.
    pub(super) told: String,
    /// The API wants to be left alone for so long, and asking sooner is of no use.
    pub(super) retry_after: Option<Duration>,
}

impl Unanswered {
    pub(super) fn new(outcome: LookupOutcome, told: impl Into<String>) -> Self {
        Self {
            outcome,
            told: told.into(),
            retry_after: None,
        }
    }

    /// Whether another name would fare no better.
    pub(super) const fn is_of_host(&self) -> bool {
        !matches!(self.outcome, LookupOutcome::Unknown | LookupOutcome::Answer)
    }
}

impl Asker {
    /// The body of the answer, which was a success.
    pub(super) async fn get(&self, asked: &str) -> Result<Bytes, Unanswered> {
        // Dialling with TLS makes a large future.
        let answered = timeout(self.limit, Box::pin(self.exchange(asked))).await;
        answered.unwrap_or_else(|_| {
            let told = format!("{} did not answer within {} ms", self.rest, self.limit.as_millis());
            Err(Unanswered::new(LookupOutcome::Timeout, told))
        })
    }

    async fn exchange(&self, asked: &str) -> Result<Bytes, Unanswered> {
        let rest = &self.rest;
        let opened = open(&self.dialler, rest, &self.access, self.head_start).await;
        let io = opened.map_err(|failure| {
            let told = format!("{rest} cannot be reached: {}: {}", failure.cause, failure.detail);
            Unanswered::new(LookupOutcome::Connect, told)
        })?;
        let broken =
            |error: &hyper::Error| Unanswered::new(LookupOutcome::Answer, format!("{rest} broke off: {error}"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(io))
            .await
            .map_err(|error| broken(&error))?;
        let request = Request::get(rest.path_to(asked))
            .header(header::HOST, host(rest))
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Unanswered::new(LookupOutcome::Answer, error.to_string()))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let (head, body) = response.into_parts();
            if !head.status.is_success() {
                return Err(Unanswered {
                    retry_after: retry_after(&head.headers, Moment::now().wall),
                    ..of_status(rest, head.status)
                });
            }
            let body = Limited::new(body, MOST_BYTES).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| {
                Unanswered::new(
                    LookupOutcome::Answer,
                    format!("{rest} did not answer to the end: {error}"),
                )
            })
        };
        tokio::pin!(connection, answer);
        // The connection does the work; it may end as soon as the answer is whole.
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(broken(&error)),
            },
        }
    }
}

fn of_status(rest: &RestEndpoint, status: StatusCode) -> Unanswered {
    match status {
        StatusCode::NOT_FOUND => {
            Unanswered::new(LookupOutcome::Unknown, format!("{rest} knows no such name ({status})"))
        }
        StatusCode::TOO_MANY_REQUESTS => Unanswered::new(
            LookupOutcome::RateLimited,
            format!("{rest} was asked too often ({status})"),
        ),
        status if status.is_redirection() => Unanswered::new(
            LookupOutcome::HttpStatus,
            format!("{rest} answered {status}: redirects are not followed, set rest_url to where it leads"),
        ),
        status => Unanswered::new(LookupOutcome::HttpStatus, format!("{rest} answered {status}")),
    }
}

/// As a browser would write it: without the port that its scheme has anyway.
fn host(rest: &RestEndpoint) -> String {
    let endpoint = rest.endpoint();
    let usual = if endpoint.is_tls() { 443 } else { 80 };
    let authority = endpoint.authority();
    if endpoint.port() == usual {
        let host = authority.rsplit_once(':').map(|(host, _)| host.to_owned());
        host.unwrap_or(authority)
    } else {
        authority
    }
}
