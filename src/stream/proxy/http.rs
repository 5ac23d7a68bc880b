//! HTTP CONNECT (RFC 9110, section 9.3.6), with the `Basic` scheme (RFC 7617).

use super::{Credentials, hung_up};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::http::StatusCode;

/// More than this of a head is no answer, those of interim answers included.
const MOST_BYTES: usize = 8192;

/// Opens the way to `authority`; or what the proxy did instead, as a sentence goes on after "the proxy".
pub(super) async fn tunnel<Io>(mut io: Io, authority: &str, credentials: Option<&Credentials>) -> Result<Io, String>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let request = request(authority, credentials);
    let sent = async {
        io.write_all(request.as_bytes()).await?;
        io.flush().await
    };
    sent.await.map_err(|error| hung_up(&error))?;
    let mut left = MOST_BYTES;
    loop {
        let status = read_status(&mut io, &mut left).await?;
        match status {
            // What the head says of a body counts for nothing: there is none.
            status if status.is_success() => return Ok(io),
            StatusCode::SWITCHING_PROTOCOLS => return Err(format!("answered {status}")),
            status if status.is_informational() => {}
            StatusCode::PROXY_AUTHENTICATION_REQUIRED if credentials.is_some() => {
                return Err(format!(
                    "answered {status}: it does not take this user name and password"
                ));
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                return Err(format!("answered {status}: it wants a user name and a password"));
            }
            status => return Err(format!("answered {status}")),
        }
    }
}

fn request(authority: &str, credentials: Option<&Credentials>) -> String {
    let proof = credentials.map_or_else(String::new, |Credentials { username, password }| {
        let proof = STANDARD.encode(format!("{username}:{password}"));
        format!("Proxy-Authorization: Basic {proof}\r\n")
    });
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{proof}\r\n")
}

/// The status of the next answer, its head read to the end. `left` is what of all heads may still come.
async fn read_status<Io: AsyncRead + Unpin>(io: &mut Io, left: &mut usize) -> Result<StatusCode, String> {
    let mut head = Vec::with_capacity(256);
    // Byte for byte: behind the empty line the venue's own begin, and what was read cannot be put back.
    while !(head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n")) {
        if *left == 0 {
            return Err(format!("answered with more than {MOST_BYTES} bytes of headers"));
        }
        *left -= 1;
        head.push(io.read_u8().await.map_err(|error| hung_up(&error))?);
        // What is no HTTP may never have an empty line.
        if head.len() == VERSION.len() && !head.starts_with(VERSION) {
            return Err("does not answer with HTTP".to_owned());
        }
    }
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let status = line.and_then(|line| line.split(|byte| *byte == b' ').nth(1));
    let status = status.and_then(|status| StatusCode::from_bytes(status).ok());
    // What it says beside the number is anybody's text.
    status.ok_or_else(|| "does not answer with HTTP".to_owned())
}

/// What an answer begins with, but for the minor version.
const VERSION: &[u8] = b"HTTP/1.";
