//! The answer to the upgrade, a good one and bad ones.

use super::PATH;
use super::connection::{Io, LEAVE_LIMIT, REQUEST_LIMIT, read_to_end};
use super::fault::{Fault, RetryForm, UpgradeFault};
use super::log::{ConnectionLog, What};
use crate::clock::Moment;
use httpdate::fmt_http_date;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// A longer request head than this is none.
const MAX_HEAD: usize = 16 * 1024;
/// A longer message from a client than this ends the connection.
const MAX_MESSAGE: usize = 1 << 20;
/// Headers that only fill are so long, name and end of line included.
const FILLER: usize = 1024;
/// An answer to another client's key.
const OTHER_KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// Answers as it should be: whoever brings the `required` header along is let in, at the path of the market channel or at any.
pub(super) async fn answer(
    log: &ConnectionLog,
    stream: Io,
    required: Option<&(String, String)>,
    any_path: bool,
) -> Option<WebSocketStream<Io>> {
    let is_let_in = |request: &Request| {
        let brings =
            |(name, value): &(String, String)| request.headers().get(name).is_some_and(|brought| brought == value);
        required.is_none_or(brings)
    };
    #[allow(clippy::result_large_err)] // the library's signature
    let on_request = |request: &Request, response: Response| {
        let (status, told) = if !any_path && request.uri().path() != PATH {
            (StatusCode::NOT_FOUND, "not found\n")
        } else if !is_let_in(request) {
            (StatusCode::UNAUTHORIZED, "not let in\n")
        } else {
            // Before the answer leaves, so that what the client does next is later in the log.
            log.note(What::Upgraded);
            return Ok(response);
        };
        let mut refusal = ErrorResponse::new(Some(told.to_owned()));
        *refusal.status_mut() = status;
        log.note(What::UpgradeRefused {
            status: status.as_u16(),
            retry_after_seconds: None,
        });
        Err(refusal)
    };
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, on_request, Some(config()));
    match timeout(REQUEST_LIMIT, accepted).await {
        Ok(Ok(socket)) => Some(socket),
        Ok(Err(Error::Http(_))) => None, // refused above
        Ok(Err(_)) | Err(_) => {
            log.note(What::LostByClient);
            None
        }
    }
}

/// Answers the request that begins with `head` as a fault of the upgrade says.
pub(super) async fn answer_badly(
    log: &ConnectionLog,
    mut stream: Io,
    fault: &Fault,
    head: &str,
) -> Option<WebSocketStream<Io>> {
    let kind = match fault {
        Fault::Status { code, headers, body } => {
            let retry_after = header(headers, "Retry-After").and_then(|value| value.trim().parse().ok());
            refuse(log, &mut stream, *code, headers, body, retry_after).await;
            return None;
        }
        Fault::RetryAfter { code, seconds, form } => {
            let headers = retry_after(*seconds, *form);
            refuse(log, &mut stream, *code, &headers, "", Some(*seconds)).await;
            return None;
        }
        Fault::Upgrade(kind) => kind,
        _ => return None,
    };
    let accept = derive_accept_key(key(head).as_bytes());
    let answer = match kind {
        UpgradeFault::Slow { interval } => {
            if trickle(log, &mut stream, &switching(&accept, ""), *interval)
                .await
                .is_ok()
            {
                return Some(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await);
            }
            log.note(What::LostByClient);
            return None;
        }
        UpgradeFault::Cut => {
            let answer = switching(&accept, "");
            let (half, _) = answer.split_at(answer.len() / 2);
            log.note(What::Cut);
            deliver(&mut stream, half).await;
            return None;
        }
        UpgradeFault::WrongAccept => switching(&derive_accept_key(OTHER_KEY), ""),
        UpgradeFault::NoAccept => switching("", ""),
        UpgradeFault::Headers { bytes } => switching(&accept, &filling_headers(*bytes)),
        UpgradeFault::Extension => switching(&accept, "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
    };
    // Left open: that it cannot go on is for the client to find out.
    if stream.write_all(answer.as_bytes()).await.is_ok() && stream.flush().await.is_ok() {
        read_to_end(&mut stream).await;
    }
    log.note(What::LostByClient);
    None
}

/// The head of a request.
pub(super) async fn read_head(stream: &mut Io) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Writes an HTTP answer. By hand, since any status must be possible, also one that makes no sense here.
async fn refuse(
    log: &ConnectionLog,
    stream: &mut Io,
    code: u16,
    headers: &BTreeMap<String, String>,
    body: &str,
    retry_after_seconds: Option<u64>,
) {
    let reason = StatusCode::from_u16(code)
        .ok()
        .and_then(|status| status.canonical_reason());
    let mut answer = format!("HTTP/1.1 {code} {}\r\n", reason.unwrap_or("Unknown"));
    for (name, value) in headers {
        let _ = write!(answer, "{name}: {value}\r\n");
    }
    if header(headers, "Content-Length").is_none() {
        let _ = write!(answer, "Content-Length: {}\r\n", body.len());
    }
    answer.push_str("\r\n");
    answer.push_str(body);
    log.note(What::UpgradeRefused {
        status: code,
        retry_after_seconds,
    });
    deliver(stream, &answer).await;
}

/// `Retry-After` in one of its forms (RFC 9110, section 10.2.3). A date is of use only beside the venue's own.
pub(super) fn retry_after(seconds: u64, form: RetryForm) -> BTreeMap<String, String> {
    let now = Moment::now().wall;
    let headers: &[_] = match form {
        RetryForm::Seconds => &[("Retry-After", seconds.to_string())],
        RetryForm::Date => &[
            ("Date", fmt_http_date(now)),
            ("Retry-After", fmt_http_date(now + Duration::from_secs(seconds))),
        ],
    };
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn header<'h>(headers: &'h BTreeMap<String, String>, wanted: &str) -> Option<&'h String> {
    let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map(|(_, value)| value)
}

/// Writes what is all of an answer. Ended in order, or a reset could overtake it; a client that has left does not miss it.
async fn deliver(stream: &mut Io, answer: &str) {
    let _ = timeout(LEAVE_LIMIT, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        read_to_end(stream).await;
        io::Result::Ok(())
    })
    .await;
}

/// Writes one byte, waits, writes the next. An error where the client has gone before the last.
async fn trickle(log: &ConnectionLog, stream: &mut Io, answer: &str, interval: Duration) -> io::Result<()> {
    let (last, others) = answer.as_bytes().split_last().ok_or(io::ErrorKind::InvalidInput)?;
    for byte in others {
        stream.write_all(&[*byte]).await?;
        stream.flush().await?;
        tokio::select! {
            // First of all whether it is still there. Before the answer a client says nothing, so that this is its end.
            biased;
            _ = stream.read_u8() => return Err(io::ErrorKind::ConnectionAborted.into()),
            () = sleep(interval) => {}
        }
    }
    log.note(What::Upgraded);
    stream.write_all(&[*last]).await?;
    stream.flush().await
}

/// The answer that switches protocols, with this `Sec-WebSocket-Accept` (none where it is empty) and further headers.
fn switching(accept: &str, headers: &str) -> String {
    let accept = if accept.is_empty() {
        String::new()
    } else {
        format!("Sec-WebSocket-Accept: {accept}\r\n")
    };
    format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{accept}{headers}\r\n")
}

/// Headers of so many bytes, or a little more.
fn filling_headers(bytes: usize) -> String {
    let mut headers = String::with_capacity(bytes + FILLER);
    for number in 0..bytes.div_ceil(FILLER) {
        let _ = write!(headers, "X-Filler-{number:05}: {:x<1$}\r\n", "", FILLER - 18);
    }
    headers
}

/// The `Sec-WebSocket-Key` of a request; empty where there is none.
fn key(head: &str) -> &str {
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    headers
        .filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Key"))
        .map(|(_, value)| value.trim())
        .next()
        .unwrap_or_default()
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}
