//! Reads an HTTP answer as it comes from the socket.

#![allow(dead_code, reason = "not every test uses everything")]

use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Taken out of its chunks, and as it is otherwise.
    pub(crate) body: Vec<u8>,
}

/// The next answer of a connection, to a GET. An error where it is cut before its end.
pub(crate) async fn read(socket: impl AsyncRead + Unpin) -> io::Result<Answer> {
    let mut socket = BufReader::new(socket);
    let mut answer = head(&mut socket).await?;
    if let Some(length) = answer.headers.get("content-length") {
        answer.body.resize(length.parse().unwrap(), 0);
        socket.read_exact(&mut answer.body).await?;
        return Ok(answer);
    }
    assert_eq!(answer.headers["transfer-encoding"], "chunked");
    loop {
        let size = line(&mut socket).await?;
        let size = usize::from_str_radix(&size, 16).unwrap();
        let mut chunk = vec![0; size + 2];
        socket.read_exact(&mut chunk).await?;
        assert!(chunk.ends_with(b"\r\n"));
        answer.body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Ok(answer);
        }
    }
}

/// Up to the body.
pub(crate) async fn head(socket: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Answer> {
    let status = line(socket).await?;
    let mut headers = BTreeMap::new();
    loop {
        let line = line(socket).await?;
        let Some((name, value)) = line.split_once(": ") else {
            assert_eq!(line, "");
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    Ok(Answer {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers,
        body: Vec::new(),
    })
}

async fn line(socket: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut line = String::new();
    socket.read_line(&mut line).await?;
    let whole = line.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(whole.to_owned())
}
