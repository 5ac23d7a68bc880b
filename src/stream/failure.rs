//! The one place where errors of sockets, TLS and WebSocket become causes.

use crate::market::{Cause, Failure};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::http::{HeaderMap, Response, header};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, http::StatusCode};

/// `EMFILE`, `ENFILE` and `ENOBUFS`, for which `std` has no kind.
const OUT_OF_RESOURCES: [i32; 3] = [24, 23, 105];
/// `EAFNOSUPPORT`, for which it has none either.
const NO_SUCH_FAMILY: i32 = 97;

/// Name look-up.
pub(super) fn of_resolve(error: &io::Error) -> Failure {
    let cause = if is_resource_limit(error) {
        Cause::ResourceLimit
    } else {
        Cause::Dns
    };
    Failure::new(cause).with_detail(error.to_string())
}

/// TCP connect to an address. Without that family, or an address of its own in it (IPv6 is off), the host cannot reach it;
/// otherwise it has run out of ports.
pub(super) fn of_connect(error: &io::Error, address: SocketAddr) -> Failure {
    let has_no_address = error.kind() == io::ErrorKind::AddrNotAvailable && address.is_ipv6();
    if has_no_address || error.raw_os_error() == Some(NO_SUCH_FAMILY) {
        return Failure::new(Cause::TcpUnreachable).with_detail(error.to_string());
    }
    of_io(error)
}

/// What fails on the way to a proxy says so: the names and the ports of a cause are else the venue's.
pub(super) fn on_the_way_to_a_proxy(mut failure: Failure) -> Failure {
    failure.detail = format!("on the way to the proxy: {}", failure.detail).into();
    failure
}

/// TCP, and what runs on it.
pub(super) fn of_io(error: &io::Error) -> Failure {
    let cause = match error.kind() {
        _ if is_resource_limit(error) => Cause::ResourceLimit,
        io::ErrorKind::ConnectionRefused => Cause::TcpRefused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            Cause::TcpReset
        }
        io::ErrorKind::TimedOut => Cause::TcpTimeout,
        // A firewall of this host says "permission denied".
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::PermissionDenied => Cause::TcpUnreachable,
        io::ErrorKind::UnexpectedEof => Cause::Eof,
        // No socket says so: it is a message that does not end.
        io::ErrorKind::FileTooLarge => Cause::TooBig,
        _ => return of_alert(error).unwrap_or_else(|| Failure::new(Cause::Internal).with_detail(error.to_string())),
    };
    Failure::new(cause).with_detail(error.to_string())
}

/// An error of TLS itself. In TLS 1.3 a server judges the client's certificate when the client has long finished its handshake,
/// and goes on to what follows: its alert comes in place of the first answer (RFC 8446, section 4.4.2.4).
fn of_alert(error: &io::Error) -> Option<Failure> {
    use rustls::AlertDescription as Alert;
    let told = error.to_string();
    Some(match tls_error(error)? {
        rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateRequired,
        ) => {
            let told = format!("the venue does not take this side's certificate, or wants one: {told}");
            Failure::new(Cause::TlsCertificate).with_detail(told)
        }
        _ => Failure::new(Cause::Tls).with_detail(told),
    })
}

/// The TLS handshake.
pub(super) fn of_tls(error: &io::Error) -> Failure {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            Failure::new(Cause::TlsCertificate).with_detail(error.to_string())
        }
        _ => of_io(error),
    }
}

/// The upgrade to WebSocket. `now` serves to read a `Retry-After` that is a date, where the answer has no `Date`.
pub(super) fn of_upgrade(error: tungstenite::Error, now: SystemTime) -> Failure {
    match error {
        tungstenite::Error::Http(response) => of_status(&response, now),
        tungstenite::Error::Io(error) => of_io(&error),
        // The socket ended before the answer did.
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::Protocol(
            ProtocolError::HandshakeIncomplete | ProtocolError::ResetWithoutClosingHandshake,
        ) => Failure::new(Cause::Eof).with_detail("the connection ended before the upgrade was answered"),
        error => Failure::new(Cause::Upgrade).with_detail(error.to_string()),
    }
}

/// A connection that is upgraded.
pub(super) fn of_socket(error: &tungstenite::Error) -> Failure {
    let cause = match error {
        tungstenite::Error::Io(error) => return of_io(error),
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed => Cause::Eof,
        tungstenite::Error::Protocol(_) => Cause::Protocol,
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => Cause::TooBig,
        tungstenite::Error::Utf8(_) => Cause::InvalidUtf8,
        // Nothing else was waiting to leave: it is the request itself.
        tungstenite::Error::WriteBufferFull(_) => {
            return Failure::new(Cause::TooBig)
                .with_detail("a request is larger than what may wait to leave, a megabyte");
        }
        _ => Cause::Internal,
    };
    Failure::new(cause).with_detail(error.to_string())
}

/// A close frame.
pub(super) fn of_close(frame: Option<&CloseFrame>) -> Failure {
    let Some(frame) = frame else {
        return Failure::new(Cause::CloseNormal).with_detail("closed without a code");
    };
    if is_illegal_close(frame) {
        return Failure::new(Cause::Protocol).with_detail("closed with an illegal code");
    }
    let code = u16::from(frame.code);
    let reason: String = frame.reason.chars().filter(|c| !c.is_control()).collect();
    Failure::new(Cause::of_close_code(Some(code))).with_detail(format!("closed with {code} {reason:?}"))
}

/// Whether the peer closed with a code that must not be sent (RFC 6455, section 7.4). tungstenite puts a frame of its own in
/// the place of such a one, so that its code and its reason are lost.
pub(super) fn is_illegal_close(frame: &CloseFrame) -> bool {
    frame.code == CloseCode::Protocol && frame.reason.as_str() == "Protocol violation"
}

fn of_status(response: &Response<Option<Vec<u8>>>, now: SystemTime) -> Failure {
    let status = response.status();
    let cause = match status {
        StatusCode::UNAUTHORIZED | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => Cause::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::IM_A_TEAPOT => Cause::RateLimited,
        status if status.is_client_error() || status.is_server_error() => Cause::HttpStatus,
        _ => Cause::Upgrade,
    };
    Failure {
        status: Some(status.as_u16()),
        retry_after: retry_after(response.headers(), now),
        ..Failure::new(cause).with_detail(format!("the upgrade was answered with {status}"))
    }
}

/// `Retry-After` in either form: seconds, or a date (RFC 9110, section 10.2.3). A date is judged by the venue's own clock.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(header::RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let due = httpdate::parse_http_date(value).ok()?;
    let now = text(header::DATE)
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    Some(due.duration_since(now).unwrap_or_default())
}

fn is_resource_limit(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| OUT_OF_RESOURCES.contains(&code))
        || matches!(
            error.kind(),
            io::ErrorKind::OutOfMemory | io::ErrorKind::AddrNotAvailable
        )
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn answered(status: u16, headers: &[(&str, &str)]) -> Failure {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        of_upgrade(
            tungstenite::Error::Http(Box::new(response.body(None).unwrap())),
            UNIX_EPOCH,
        )
    }

    #[test]
    fn an_http_answer_has_its_cause() {
        for (status, cause) in [
            (200, Cause::Upgrade),
            (302, Cause::Upgrade),
            (400, Cause::HttpStatus),
            (401, Cause::Unauthorized),
            (403, Cause::HttpStatus),
            (418, Cause::RateLimited),
            (429, Cause::RateLimited),
            (451, Cause::Unauthorized),
            (503, Cause::HttpStatus),
        ] {
            let failure = answered(status, &[]);
            assert_eq!((failure.cause, failure.status), (cause, Some(status)));
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let wait = |headers: &[(&str, &str)]| answered(429, headers).retry_after;
        assert_eq!(wait(&[("retry-after", "120")]), Some(Duration::from_secs(120)));
        assert_eq!(
            wait(&[("retry-after", "99999999999999999999")]),
            Some(Duration::from_secs(u64::MAX))
        );
        let date = ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            wait(&[date, ("date", "Sun, 06 Nov 1994 08:49:00 GMT")]),
            Some(Duration::from_secs(37))
        );
        assert_eq!(
            wait(&[date, ("date", "Sun, 06 Nov 1994 09:00:00 GMT")]),
            Some(Duration::ZERO),
            "over already"
        );
        assert_eq!(
            wait(&[date]),
            Some(Duration::from_secs(784_111_777)),
            "by this side's clock"
        );
        assert_eq!(wait(&[("retry-after", "soon")]), None);
    }

    #[test]
    fn an_error_of_the_system_has_its_cause() {
        for code in [24, 23, 105, 99] {
            assert_eq!(
                of_io(&io::Error::from_raw_os_error(code)).cause,
                Cause::ResourceLimit,
                "{code}"
            );
        }
        let no_address = io::Error::from_raw_os_error(99);
        assert_eq!(
            of_connect(&no_address, ([0_u16; 8], 80).into()).cause,
            Cause::TcpUnreachable
        );
        assert_eq!(
            of_connect(&no_address, ([127, 0, 0, 1], 80).into()).cause,
            Cause::ResourceLimit
        );
        let no_family = io::Error::from_raw_os_error(97);
        assert_eq!(
            of_connect(&no_family, ([0_u16; 8], 80).into()).cause,
            Cause::TcpUnreachable
        );
        for (kind, cause) in [
            (io::ErrorKind::ConnectionRefused, Cause::TcpRefused),
            (io::ErrorKind::BrokenPipe, Cause::TcpReset),
            (io::ErrorKind::TimedOut, Cause::TcpTimeout),
            (io::ErrorKind::PermissionDenied, Cause::TcpUnreachable),
            (io::ErrorKind::UnexpectedEof, Cause::Eof),
        ] {
            assert_eq!(of_io(&kind.into()).cause, cause);
        }
    }

    #[test]
    fn an_alert_about_this_sides_certificate_is_told_from_others() {
        use rustls::AlertDescription as Alert;
        let received = |alert| {
            let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
            [
                of_io(&error).cause,
                of_tls(&error).cause,
                of_upgrade(tungstenite::Error::Io(error), UNIX_EPOCH).cause,
            ]
        };
        for alert in [
            Alert::CertificateRequired,
            Alert::BadCertificate,
            Alert::UnknownCA,
            Alert::CertificateExpired,
            Alert::AccessDenied,
        ] {
            assert_eq!(received(alert), [Cause::TlsCertificate; 3], "{alert:?}");
        }
        for alert in [Alert::HandshakeFailure, Alert::ProtocolVersion, Alert::InternalError] {
            assert_eq!(received(alert), [Cause::Tls; 3], "{alert:?}");
        }
    }

    #[test]
    fn a_close_frame_has_its_cause() {
        let closed = |code: u16, reason: &'static str| {
            of_close(Some(&CloseFrame {
                code: code.into(),
                reason: reason.into(),
            }))
        };
        assert_eq!(closed(1001, "").cause, Cause::CloseGoingAway);
        assert_eq!(closed(1002, "Protocol violation").cause, Cause::Protocol);
        assert_eq!(closed(1002, "your fault").cause, Cause::CloseOther);
        assert_eq!(
            closed(1013, "slow consumer").detail,
            "closed with 1013 \"slow consumer\""
        );
        assert_eq!(of_close(None).cause, Cause::CloseNormal);
    }
}
