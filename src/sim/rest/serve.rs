//! Its HTTP server.

use crate::sim::Venue;
use crate::stream::MaybeTls;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How long to wait when the system has no socket for us.
const RETRY: Duration = Duration::from_millis(50);

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
            let asked = request.uri();
            let answer = match &venue.rest {
                Some(rest) => rest.answer(&venue, asked.path(), asked.query().unwrap_or_default()),
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
