//! One request to a venue's REST API, bounded in time and in size. Redirects are not followed.

use crate::clock::Moment;
use crate::market::LookupOutcome;
use crate::stream::{Access, RestEndpoint, TcpDialler, open, retry_after};
use crate::telemetry::innermost;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
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

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The path and the query.
    pub(super) path: String,
    /// JSON: with it the request is a POST.
    pub(super) body: Option<String>,
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
    pub(super) async fn ask(&self, asked: &Asked) -> Result<Bytes, Unanswered> {
        // Dialling with TLS makes a large future.
        let answered = timeout(self.limit, Box::pin(self.exchange(asked))).await;
        answered.unwrap_or_else(|_| {
            let told = format!("{} did not answer within {} ms", self.rest, self.limit.as_millis());
            Err(Unanswered::new(LookupOutcome::Timeout, told))
        })
    }

    async fn exchange(&self, asked: &Asked) -> Result<Bytes, Unanswered> {
        let rest = &self.rest;
        let opened = open(&self.dialler, rest, &self.access, self.head_start).await;
        let io = opened.map_err(|failure| {
            let told = format!("{rest} cannot be reached: {}: {}", failure.cause, failure.detail);
            Unanswered::new(LookupOutcome::Connect, told)
        })?;
        let broken = |error: &hyper::Error| {
            let told = format!("{rest} broke off: {}", innermost(error));
            Unanswered::new(LookupOutcome::Answer, told)
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(io))
            .await
            .map_err(|error| broken(&error))?;
        let request =
            request(rest, asked).map_err(|error| Unanswered::new(LookupOutcome::Answer, error.to_string()))?;
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
                let told = format!("{rest} did not answer to the end: {}", innermost(&*error));
                Unanswered::new(LookupOutcome::Answer, told)
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

fn request(rest: &RestEndpoint, asked: &Asked) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let request = Request::builder()
        .uri(rest.path_to(&asked.path))
        .header(header::HOST, host(rest))
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    match &asked.body {
        None => request.body(Full::default()),
        Some(body) => request
            .method(Method::POST)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body.clone())),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Proxy, TlsTrust};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    /// What one request looks like where it arrives: its first line, and its headers and body in small letters.
    async fn heard(body: Option<&str>) -> (String, Vec<String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Asker {
            rest: RestEndpoint::parse(&format!("http://{}/below", listener.local_addr().unwrap())).unwrap(),
            access: Access::new(TlsTrust::only([]).unwrap()),
            dialler: TcpDialler::default(),
            head_start: Duration::from_secs(1),
            limit: Duration::from_secs(60),
        };
        let hear = async {
            let mut socket = BufReader::new(listener.accept().await.unwrap().0);
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                socket.read_line(&mut line).await.unwrap();
                match line.trim_end() {
                    "" => break,
                    line => lines.push(line.to_owned()),
                }
            }
            let first = lines.remove(0);
            let headers: Vec<_> = lines.iter().map(|line| line.to_ascii_lowercase()).collect();
            let length = headers.iter().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            socket.read_exact(&mut body).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            socket.write_all(answer).await.unwrap();
            (first, headers, String::from_utf8(body).unwrap())
        };
        let asked = Asked {
            path: "/info?a=b".to_owned(),
            body: body.map(str::to_owned),
        };
        let (answer, heard) = tokio::join!(api.ask(&asked), hear);
        assert_eq!(answer.unwrap(), "{}");
        heard
    }

    #[tokio::test]
    async fn what_has_a_body_is_posted_as_json_and_all_else_is_a_get() {
        let json = "content-type: application/json".to_owned();
        let (first, headers, body) = heard(Some(r#"{"type":"meta"}"#)).await;
        assert_eq!(first, "POST /below/info?a=b HTTP/1.1");
        assert!(headers.contains(&json), "{headers:?}");
        assert_eq!(body, r#"{"type":"meta"}"#);

        let (first, headers, body) = heard(None).await;
        assert_eq!(first, "GET /below/info?a=b HTTP/1.1");
        assert!(!headers.contains(&json), "{headers:?}");
        assert_eq!(body, "");
    }

    #[tokio::test]
    async fn what_answers_unasked_is_told_as_that() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let access = Access {
            proxy: Some(Proxy::parse(&proxy).unwrap()),
            ..Access::new(TlsTrust::only([]).unwrap())
        };
        let api = Asker {
            rest: RestEndpoint::parse("http://venue.example").unwrap(),
            access,
            dialler: TcpDialler::default(),
            head_start: Duration::from_secs(1),
            limit: Duration::from_secs(60),
        };
        let answer_twice = async {
            let mut socket = BufReader::new(listener.accept().await.unwrap().0);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                socket.read_line(&mut line).await.unwrap();
            }
            let answers = b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 401 Unauthorized\r\n\r\n";
            socket.write_all(answers).await.unwrap();
            socket
        };
        let asked = Asked {
            path: "/".to_owned(),
            body: None,
        };
        let (answer, _socket) = tokio::join!(api.ask(&asked), answer_twice);
        let told = "http://venue.example broke off: received unexpected message from connection";
        assert_eq!(answer.unwrap_err(), Unanswered::new(LookupOutcome::Answer, told));
    }
}
