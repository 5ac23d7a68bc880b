//! One accepted connection, up to its upgrade.

use super::fault::Fault;
use super::log::{ConnectionLog, What};
use super::session::Session;
use super::{PATH, Venue};
use crate::stream::MaybeTls;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// What a WebSocket connection runs on.
pub(super) type Io = MaybeTls<TcpStream>;

/// How long the venue waits for a request.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long it waits for a client to leave that was told to.
pub(super) const LEAVE_LIMIT: Duration = Duration::from_secs(1);
/// A longer request head than this is none.
const MAX_HEAD: usize = 16 * 1024;
/// A longer message from a client than this ends the connection.
const MAX_MESSAGE: usize = 1 << 20;

/// Serves one connection to its end.
pub(super) async fn serve(venue: Arc<Venue>, log: ConnectionLog, stream: TcpStream, fault: Fault) {
    let stop = venue.stop.clone();
    // Small frames must leave at once; a socket that cannot do it is no worse a test.
    let _ = stream.set_nodelay(true);
    let upgraded = tokio::select! {
        // Stopping first: no new session then.
        biased;
        () = stop.cancelled() => None,
        upgraded = greet(&venue, &log, stream, &fault) => upgraded,
    };
    let log = match upgraded {
        Some(socket) => Session::new(venue, log, socket, fault).run().await,
        None => log,
    };
    log.note(What::Ended);
}

/// Shakes hands and answers the upgrade, or does what the fault says instead.
async fn greet(venue: &Venue, log: &ConnectionLog, stream: TcpStream, fault: &Fault) -> Option<WebSocketStream<Io>> {
    let mut stream = match &venue.tls {
        Some(tls) => tls.secure(log, stream, fault).await?,
        None => MaybeTls::plain(stream),
    };
    match fault {
        Fault::Hang => {
            log.note(What::FaultBegan { name: fault.name() });
            log.note(What::Hung);
            read_to_end(&mut stream).await;
            log.note(What::LostByClient);
            None
        }
        Fault::Status { code, headers, body } => {
            log.note(What::FaultBegan { name: fault.name() });
            if timeout(REQUEST_LIMIT, read_head(&mut stream))
                .await
                .is_ok_and(|head| head.is_ok())
            {
                refuse(log, &mut stream, *code, headers, body).await;
            } else {
                log.note(What::LostByClient);
            }
            None
        }
        _ => upgrade(log, stream).await,
    }
}

async fn upgrade(log: &ConnectionLog, stream: Io) -> Option<WebSocketStream<Io>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    #[allow(clippy::result_large_err)] // the library's signature
    let on_request = |request: &Request, response: Response| {
        if request.uri().path() == PATH {
            // Before the answer leaves, so that what the client does next is later in the log.
            log.note(What::Upgraded);
            Ok(response)
        } else {
            let mut refusal = ErrorResponse::new(Some(String::from("not found\n")));
            *refusal.status_mut() = StatusCode::NOT_FOUND;
            log.note(What::UpgradeRefused {
                status: 404,
                retry_after_seconds: None,
            });
            Err(refusal)
        }
    };
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, on_request, Some(config));
    match timeout(REQUEST_LIMIT, accepted).await {
        Ok(Ok(socket)) => Some(socket),
        Ok(Err(Error::Http(_))) => None, // refused above
        Ok(Err(_)) | Err(_) => {
            log.note(What::LostByClient);
            None
        }
    }
}

/// Writes an HTTP answer. By hand, since any status must be possible, also one that makes no sense here.
async fn refuse(log: &ConnectionLog, stream: &mut Io, code: u16, headers: &BTreeMap<String, String>, body: &str) {
    let reason = StatusCode::from_u16(code)
        .ok()
        .and_then(|status| status.canonical_reason());
    let mut answer = format!("HTTP/1.1 {code} {}\r\n", reason.unwrap_or("Unknown"));
    for (name, value) in headers {
        let _ = write!(answer, "{name}: {value}\r\n");
    }
    let header = |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if header("Content-Length").is_none() {
        let _ = write!(answer, "Content-Length: {}\r\n", body.len());
    }
    answer.push_str("\r\n");
    answer.push_str(body);

    log.note(What::UpgradeRefused {
        status: code,
        retry_after_seconds: header("Retry-After").and_then(|(_, value)| value.trim().parse().ok()),
    });
    // Ended in order, or a reset could overtake the answer. A client that has left meanwhile does not miss it.
    let _ = timeout(LEAVE_LIMIT, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        read_to_end(stream).await;
        io::Result::Ok(())
    })
    .await;
}

async fn read_head(stream: &mut Io) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

/// Reads until the client has gone.
pub(super) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}
