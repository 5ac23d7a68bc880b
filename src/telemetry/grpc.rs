//! A post over HTTP as a gRPC call, and its answer as one over HTTP.
//!
//! A unary call is a POST over HTTP/2 with a prefix before the message and a status behind the answer. So what is promised of posts,
//! time limit, headers, trust and how they are counted, holds for calls as well, and what tries again judges both alike.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use super::post::Failed;
use crate::market::ExportError;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::response;
use hyper::{Request, StatusCode};
use std::time::Duration;

/// Whether the message is compressed, and its length.
const PREFIX: usize = 5;
/// `OK`, as `grpc-status` says it.
const OK: u32 = 0;
/// The codes after which OTLP says to try again, where the server does not say when: `CANCELLED`, `DEADLINE_EXCEEDED`, `ABORTED`,
/// `OUT_OF_RANGE`, `UNAVAILABLE`, `DATA_LOSS`. Source: OTLP specification 1.5, "Failures".
const PASSING: [u32; 6] = [1, 4, 10, 11, 14, 15];
/// A sentence about a refusal is no longer.
const LONGEST_DETAIL: usize = 200;

/// The call that a post is: what is compressed stays so.
pub(super) fn call(post: Request<Bytes>, limit: Duration) -> Result<Request<Bytes>, Failed> {
    let (mut head, message) = post.into_parts();
    let encoding = head.headers.remove(header::CONTENT_ENCODING);
    let length = u32::try_from(message.len())
        .map_err(|_| Failed(ExportError::Internal, "too many spans for one call".to_owned()))?;
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(encoding.is_some().into());
    body.put_u32(length);
    body.extend_from_slice(&message);
    let headers = &mut head.headers;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    // Eight digits are the most that it may have.
    let millis = HeaderValue::from_str(&format!("{}m", limit.as_millis().min(99_999_999)));
    if let Ok(millis) = millis {
        headers.insert("grpc-timeout", millis);
    }
    if let Some(encoding) = encoding {
        headers.insert("grpc-encoding", encoding);
    }
    Ok(Request::from_parts(head, body.freeze()))
}

/// What a call was answered with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The message.
    Ok(Bytes),
    /// A status that is no success: as HTTP would have it, and a sentence.
    Refused(StatusCode, String),
}

/// Reads an answer: its head, its body, and what came behind that. An error where it is none of gRPC's.
pub(super) fn answer(head: &response::Parts, body: Bytes, trailers: Option<&HeaderMap>) -> Result<Answer, Failed> {
    let no_grpc = |detail: String| Failed(ExportError::Protocol, detail);
    if head.status != StatusCode::OK {
        // A proxy, or a server that has no gRPC there.
        return Ok(Answer::Refused(head.status, format!("answered with {}", head.status)));
    }
    // An answer without a message has its status in its head.
    let of_call = |name: &str| {
        trailers
            .and_then(|trailers| trailers.get(name))
            .or_else(|| head.headers.get(name))
    };
    let status = of_call("grpc-status").and_then(|status| status.to_str().ok()?.parse::<u32>().ok());
    let status = status.ok_or_else(|| no_grpc("answered without a gRPC status".to_owned()))?;
    if status != OK {
        let detail = of_call("grpc-message").map(|message| sentence(message.as_bytes()));
        let detail = format!("gRPC status {status}: {}", detail.unwrap_or_default());
        let status = if PASSING.contains(&status) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::BAD_REQUEST
        };
        return Ok(Answer::Refused(status, detail));
    }
    message(body)
        .map(Answer::Ok)
        .ok_or_else(|| no_grpc("answered with no whole message".to_owned()))
}

/// The message behind its prefix. It is not compressed: nobody said that it may be.
fn message(mut body: Bytes) -> Option<Bytes> {
    if body.len() < PREFIX || body.get_u8() != 0 {
        return None;
    }
    let length = usize::try_from(body.get_u32()).ok()?;
    (body.len() == length).then_some(body)
}

/// Percent-encoded, for people.
fn sentence(message: &[u8]) -> String {
    let text = percent_encoding::percent_decode(message).decode_utf8_lossy();
    text.chars().filter(|c| !c.is_control()).take(LONGEST_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Response;

    fn answered(
        status: u16,
        headers: &[(&'static str, &str)],
        body: &[u8],
        trailers: &[(&'static str, &str)],
    ) -> Result<Answer, String> {
        let map = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect()
        };
        let (mut head, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
        head.headers = map(headers);
        let trailers = (!trailers.is_empty()).then(|| map(trailers));
        answer(&head, Bytes::copy_from_slice(body), trailers.as_ref()).map_err(|Failed(error, detail)| {
            assert_eq!(error, ExportError::Protocol);
            detail
        })
    }

    fn refused(status: u16, detail: &str) -> Answer {
        Answer::Refused(StatusCode::from_u16(status).unwrap(), detail.to_owned())
    }

    #[test]
    fn a_post_becomes_a_call_with_a_prefix_and_a_time_limit() {
        let post = Request::post("http://a.example/x")
            .body(Bytes::from_static(b"abc"))
            .unwrap();
        let call_of = call(post, Duration::from_secs(10)).unwrap();
        assert_eq!(call_of.body().as_ref(), [0, 0, 0, 0, 3, b'a', b'b', b'c']);
        let header = |name: &str| call_of.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("content-type"), Some("application/grpc"));
        assert_eq!(
            (header("te"), header("grpc-timeout")),
            (Some("trailers"), Some("10000m"))
        );
        assert_eq!(header("grpc-encoding"), None);

        let post = Request::post("http://a.example/x").header("content-encoding", "gzip");
        let call_of = call(post.body(Bytes::from_static(b"z")).unwrap(), Duration::MAX).unwrap();
        assert_eq!(call_of.body().as_ref(), [1, 0, 0, 0, 1, b'z']);
        assert_eq!(call_of.headers()["grpc-encoding"], "gzip");
        assert!(!call_of.headers().contains_key("content-encoding"));
        assert_eq!(call_of.headers()["grpc-timeout"], "99999999m");
    }

    #[test]
    fn an_answer_is_its_status_and_its_message() {
        let whole = [0, 0, 0, 0, 2, 8, 1];
        let ok = [("grpc-status", "0")];
        assert_eq!(
            answered(200, &[], &whole, &ok),
            Ok(Answer::Ok(Bytes::from_static(&[8, 1])))
        );
        assert_eq!(answered(200, &[], &[0; 5], &ok), Ok(Answer::Ok(Bytes::new())));
        let told = [("grpc-status", "16"), ("grpc-message", "no%20token%0a")];
        assert_eq!(
            answered(200, &told, &[], &[]),
            Ok(refused(400, "gRPC status 16: no token"))
        );
        assert_eq!(
            answered(200, &[], &whole, &told),
            Ok(refused(400, "gRPC status 16: no token")),
            "behind a message"
        );
        assert_eq!(
            answered(200, &[("grpc-status", "14")], &[], &[]),
            Ok(refused(503, "gRPC status 14: "))
        );
        assert_eq!(
            answered(502, &ok, &whole, &ok),
            Ok(refused(502, "answered with 502 Bad Gateway"))
        );
    }

    #[test]
    fn what_is_no_answer_of_grpc_is_told() {
        let ok = [("grpc-status", "0")];
        assert_eq!(
            answered(200, &[], b"hello", &[]),
            Err("answered without a gRPC status".to_owned())
        );
        assert_eq!(
            answered(200, &[("grpc-status", "fine")], &[], &[]),
            Err("answered without a gRPC status".to_owned())
        );
        for body in [
            &[] as &[u8],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 8],
            &[0, 0, 0, 0, 0, 8],
            &[1, 0, 0, 0, 1, 8],
        ] {
            assert_eq!(
                answered(200, &[], body, &ok),
                Err("answered with no whole message".to_owned()),
                "{body:?}"
            );
        }
    }
}
