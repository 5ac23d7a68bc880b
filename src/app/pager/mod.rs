//! A receiver for Alertmanager's webhooks that prints what it is told: to see the paging work before a pager is bought.

mod notification;

use super::Signals;
use super::output::{cannot_listen, last_lines};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use notification::Received;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

/// A notification of so many alerts that it is larger is refused.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The time for a body to come, and then to find a place among what is to be printed.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// How long a connection may be idle: notifications of a group are minutes apart.
const IDLE_TIME: Duration = Duration::from_secs(300);
/// Connections at once: Alertmanager keeps one for each receiver.
const MAX_CONNECTIONS: usize = 64;
/// Notifications that wait for stdout.
const MAX_WAITING: usize = 16;
/// How long it waits after the system had no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How notifications are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagerFormat {
    /// A paragraph for each, for people. Repeated heartbeats are left out.
    Human,
    /// A JSON object a line: `path`, where it was sent to, and `notification`, as it came.
    Json,
}

/// Listens until a signal ends it, or nobody reads stdout any more.
pub async fn pager(listen: SocketAddr, format: PagerFormat) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| cannot_listen(listen, &error))?;
    writeln!(io::stderr(), "pager at http://{}", listener.local_addr()?)?;
    let (sender, waiting) = mpsc::channel(MAX_WAITING);
    // On a thread of its own: a reader of stdout that stalls does not keep it from ending.
    let mut printer = spawn_blocking(move || print(waiting, format));
    tokio::select! {
        biased; // a signal ends it, whatever else happens at the same moment
        _ = signals.next() => {}
        ended = &mut printer => return ended.map_err(io::Error::other)?,
        () = listen_on(listener, sender) => {}
    }
    // Connections are gone, and with them whoever could add to what is printed.
    signals.or_exit(last_lines(printer)).await
}

fn print(mut waiting: mpsc::Receiver<Received>, format: PagerFormat) -> io::Result<()> {
    let mut heartbeat_seen = false;
    while let Some(received) = waiting.blocking_recv() {
        let text = match format {
            PagerFormat::Json => received.json()?,
            PagerFormat::Human if received.is_heartbeat() && heartbeat_seen => continue,
            PagerFormat::Human => received.to_string(),
        };
        heartbeat_seen |= received.is_heartbeat();
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
    }
    Ok(())
}

/// Accepts for ever. Dropping it ends every connection.
async fn listen_on(listener: TcpListener, sender: mpsc::Sender<Received>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // In any order: neither is lost.
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    // One too many is closed at once.
                    if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                        let connection = serve(socket, sender.clone());
                        connections.spawn(async move {
                            connection.await;
                            drop(slot);
                        });
                    }
                }
                Err(error) => {
                    let _ = writeln!(io::stderr(), "cannot accept connections: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn serve(socket: TcpStream, sender: mpsc::Sender<Received>) {
    let service = service_fn(|request| async {
        let (status, told) = match take(request, &sender).await {
            Ok(()) => (StatusCode::OK, String::new()),
            Err((status, told)) => (status, told + "\n"),
        };
        let mut response = Response::new(Full::<Bytes>::from(told));
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    });
    // What goes wrong with a connection is its client's to notice: it sends again.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIME)
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

/// Hands a notification over to be printed, or says why not.
async fn take(request: Request<Incoming>, sender: &mpsc::Sender<Received>) -> Result<(), (StatusCode, String)> {
    if request.method() != Method::POST {
        let told = "this is where Alertmanager posts notifications";
        return Err((StatusCode::METHOD_NOT_ALLOWED, told.into()));
    }
    let too_large = || {
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a notification has at most {MAX_BYTES} bytes"),
        )
    };
    if request.body().size_hint().lower() > MAX_BYTES as u64 {
        return Err(too_large());
    }
    let path = request.uri().path().to_owned();
    let body = timeout(REQUEST_TIME, Limited::new(request.into_body(), MAX_BYTES).collect());
    let body = match body.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => return Err((StatusCode::BAD_REQUEST, error.to_string())),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time".into())),
    };
    let received = Received::parse(path, &body).map_err(|error| {
        (
            StatusCode::BAD_REQUEST,
            format!("no notification of Alertmanager: {error}"),
        )
    })?;
    // It fails when nobody reads what is printed; Alertmanager tries again.
    match timeout(REQUEST_TIME, sender.send(received)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "what came before is not printed yet".into(),
        )),
    }
}
