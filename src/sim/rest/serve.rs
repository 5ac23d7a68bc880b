//! Its HTTP server.

use super::query::Query;
use crate::sim::Venue;
use crate::stream::MaybeTls;
use http_body_util::{BodyExt, Collected, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// How long to wait when the system has no socket for us.
const RETRY: Duration = Duration::from_millis(50);
/// So much of a body is read, and for so long: what venues are asked in one has some dozens of bytes.
const MOST_BYTES: usize = 16 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);

/// Serves the REST part until the venue stops.
pub(in crate::sim) async fn serve(venue: Arc<Venue>, listener: std::net::TcpListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "the simulated venue cannot serve its REST part");
            return;
        }
    };
    let stop = venue.stop.clone();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(Arc::clone(&venue), stream);
                    let stop = venue.stop.clone();
                    venue
                        .tasks
                        .spawn(async move { stop.run_until_cancelled(connection).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "the simulated venue cannot accept");
                    sleep(RETRY).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accept).await;
}

async fn connection(venue: Arc<Venue>, stream: TcpStream) {
    let io = match &venue.tls {
        Some(tls) => tls.secure_well(stream).await,
        None => Some(MaybeTls::plain(stream)),
    };
    let (Some(io), true) = (io, venue.rest.is_some()) else {
        return;
    };
    let service = service_fn(|request: Request<Incoming>| {
        let venue = Arc::clone(&venue);
        async move {
            let asked = request.uri().clone();
            let body = body(request).await;
            let query = Query::new(asked.query().unwrap_or_default(), &body);
            let answer = match &venue.rest {
                Some(rest) => rest.answer(&venue, asked.path(), &query),
                None => None,
            };
            match answer {
                Some(answer) => Ok::<_, io::Error>(answer),
                None => std::future::pending().await,
            }
        }
    });
    let mut server = http1::Builder::new();
    // An error is the client's, or a scripted cut.
    let _ = server
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(io), service)
        .await;
}

/// What is posted. What is too long, or does not come, says nothing: it is refused like that by whoever is asked with a body.
async fn body(request: Request<Incoming>) -> Bytes {
    if request.method() != Method::POST {
        return Bytes::new();
    }
    let body = Limited::new(request.into_body(), MOST_BYTES).collect();
    let body = timeout(BODY_TIME, body).await.ok().and_then(Result::ok);
    body.map(Collected::to_bytes).unwrap_or_default()
}
