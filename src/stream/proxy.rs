//! Proxies: what a stream goes through where it may not dial its venue itself. Two protocols, HTTP CONNECT and SOCKS5.
//!
//! Both say where the way leads and who asks, read an answer that is bounded, and read nothing behind it: from then on the bytes
//! are the venue's. TLS with the venue runs through the tunnel, so a proxy sees names and ports, and no word that is said.

mod http;
mod socks;

use crate::market::{Cause, Failure};
use std::fmt;
use std::io;
use std::net::Ipv6Addr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::http::uri::Authority;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// HTTP CONNECT (RFC 9110, section 9.3.6).
    Http,
    /// SOCKS5 (RFC 1928). The proxy resolves the venue's name.
    Socks5,
}

/// A proxy, and who asks it. Neither `Debug` nor `Display` shows the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    protocol: ProxyProtocol,
    host: String,
    port: u16,
    credentials: Option<Arc<Credentials>>,
}

#[derive(PartialEq, Eq)]
struct Credentials {
    username: String,
    password: String,
}

/// Why an address is none of a proxy. The message never repeats the address, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// Another scheme, or none.
    #[error("does not begin with http:// or socks5://")]
    Scheme,
    /// They would end up in logs.
    #[error("holds a user name or password, which have keys of their own")]
    Credentials,
    /// A proxy has no paths.
    #[error("has something behind the port")]
    Path,
    /// No host, or none that can be.
    #[error("has no valid host")]
    Host,
    /// None, or one that is not from 1 to 65535: there is none that all proxies have.
    #[error("has no port from 1 to 65535")]
    Port,
}

/// Why credentials cannot be shown to a proxy. The message never repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// The first colon ends the name (RFC 7617, section 2).
    #[error("the user name for an HTTP proxy cannot hold a colon")]
    Colon,
    /// RFC 7617, section 2.
    #[error("neither user name nor password can hold control characters, such as the end of a line")]
    Control,
    /// RFC 1929, section 2; HTTP itself has no limit.
    #[error(
        "user name and password have 1 to 255 bytes each in SOCKS5, and up to {} for an HTTP proxy",
        Proxy::MOST_BYTES
    )]
    Length,
}

impl Proxy {
    /// What an address looks like, for messages.
    pub const FORM: &'static str = r#""http://HOST:PORT" or "socks5://HOST:PORT""#;
    /// User name and password for an HTTP proxy have so many bytes at most, each.
    pub const MOST_BYTES: usize = 4096;

    /// Takes `http://host:port` or `socks5://host:port` apart.
    pub fn parse(url: &str) -> Result<Self, InvalidProxy> {
        let (protocol, rest) = if let Some(rest) = url.strip_prefix("http://") {
            (ProxyProtocol::Http, rest)
        } else if let Some(rest) = url.strip_prefix("socks5://") {
            (ProxyProtocol::Socks5, rest)
        } else {
            return Err(InvalidProxy::Scheme);
        };
        if rest.contains('@') {
            return Err(InvalidProxy::Credentials);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(InvalidProxy::Path);
        }
        let parsed: Authority = authority.parse().map_err(|_| InvalidProxy::Host)?;
        let host = parsed.host();
        let bare = host.trim_matches(['[', ']']);
        let is_bracketed = host.len() != bare.len();
        if bare.is_empty() || is_bracketed && bare.parse::<Ipv6Addr>().is_err() {
            return Err(InvalidProxy::Host);
        }
        let port = authority.strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
        let port = port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = port.and_then(|port| port.parse().ok()).filter(|port| *port > 0);
        Ok(Self {
            protocol,
            host: bare.to_owned(),
            port: port.ok_or(InvalidProxy::Port)?,
            credentials: None,
        })
    }

    /// The same, asked by this user.
    pub fn with_credentials(mut self, username: &str, password: &str) -> Result<Self, InvalidCredentials> {
        let lengths = match self.protocol {
            ProxyProtocol::Http => 0..=Self::MOST_BYTES,
            ProxyProtocol::Socks5 => 1..=255,
        };
        if !lengths.contains(&username.len()) || !lengths.contains(&password.len()) {
            return Err(InvalidCredentials::Length);
        }
        if username.chars().chain(password.chars()).any(char::is_control) {
            return Err(InvalidCredentials::Control);
        }
        if self.protocol == ProxyProtocol::Http && username.contains(':') {
            return Err(InvalidCredentials::Colon);
        }
        self.credentials = Some(Arc::new(Credentials {
            username: username.to_owned(),
            password: password.to_owned(),
        }));
        Ok(self)
    }

    /// How it is spoken to.
    pub const fn protocol(&self) -> ProxyProtocol {
        self.protocol
    }

    /// Its host, without brackets around an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether both are the same proxy, whoever asks it.
    pub fn is_at_place_of(&self, other: &Self) -> bool {
        (self.protocol, &self.host, self.port) == (other.protocol, &other.host, other.port)
    }

    /// Whether both are asked by the same user, whatever the passwords.
    pub fn has_user_of(&self, other: &Self) -> bool {
        let user = |proxy: &Self| proxy.credentials.as_ref().map(|found| found.username.clone());
        user(self) == user(other)
    }

    /// Has the proxy that `io` leads to open the way to `host` and `port`. Every failure has the cause `proxy`.
    pub(super) async fn tunnel<Io>(&self, io: Io, host: &str, port: u16) -> Result<Io, Failure>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let credentials = self.credentials.as_deref();
        let opened = match self.protocol {
            ProxyProtocol::Http => http::tunnel(io, &joined(host, port), credentials).await,
            ProxyProtocol::Socks5 => socks::tunnel(io, host, port, credentials).await,
        };
        opened.map_err(|why| Failure::new(Cause::Proxy).with_detail(format!("the proxy {why}")))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", joined(&self.host, self.port))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = if self.credentials.is_some() {
            " with credentials"
        } else {
            ""
        };
        write!(f, "{self}{with}")
    }
}

/// Host and port as a URL has them.
fn joined(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What a proxy did that hung up, as a sentence goes on after "the proxy".
fn hung_up(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        "ended the connection before it had answered".to_owned()
    } else {
        format!("was lost before it had answered: {error}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn an_address_is_taken_apart() {
        let proxy = Proxy::parse("socks5://[::1]:1080/").unwrap();
        assert_eq!(
            (proxy.protocol(), proxy.host(), proxy.port()),
            (ProxyProtocol::Socks5, "::1", 1080)
        );
        let proxy = Proxy::parse("http://proxy.example:3128").unwrap();
        let proxy = proxy.with_credentials("user", "hunter2").unwrap();
        assert_eq!(
            format!("{proxy} {proxy:?}"),
            "http://proxy.example:3128 http://proxy.example:3128 with credentials"
        );
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for (bad, error) in [
            ("", InvalidProxy::Scheme),
            ("https://proxy.example:1", InvalidProxy::Scheme),
            ("socks5h://proxy.example:1", InvalidProxy::Scheme),
            ("proxy.example:3128", InvalidProxy::Scheme),
            ("http://user:pass@proxy.example:1", InvalidProxy::Credentials),
            ("http://proxy.example:1/path", InvalidProxy::Path),
            ("http://proxy.example:1?x", InvalidProxy::Path),
            ("http://", InvalidProxy::Host),
            ("http://:1", InvalidProxy::Host),
            ("http://[]:1", InvalidProxy::Host),
            ("http://[proxy]:1", InvalidProxy::Host),
            ("http://a b:1", InvalidProxy::Host),
            ("http://proxy.example", InvalidProxy::Port),
            ("http://proxy.example:", InvalidProxy::Port),
            ("http://proxy.example:0", InvalidProxy::Port),
            ("http://proxy.example:+1", InvalidProxy::Port),
            ("http://proxy.example:65536", InvalidProxy::Port),
        ] {
            assert_eq!(Proxy::parse(bad).map(|proxy| proxy.to_string()), Err(error), "{bad}");
        }
    }

    #[test]
    fn credentials_are_those_that_the_protocol_can_carry() {
        let with = |url: &str, username: &str, password: &str| {
            let proxy = Proxy::parse(url).unwrap();
            proxy.with_credentials(username, password).map(|_| ())
        };
        let (http, socks) = ("http://p:1", "socks5://p:1");
        assert_eq!(with(http, "user", ""), Ok(()));
        assert_eq!(with(http, "us:er", "x"), Err(InvalidCredentials::Colon));
        assert_eq!(with(socks, "us:er", "x"), Ok(()));
        assert_eq!(with(socks, "user", ""), Err(InvalidCredentials::Length));
        assert_eq!(with(socks, &"x".repeat(256), "x"), Err(InvalidCredentials::Length));
        assert_eq!(with(http, &"x".repeat(4097), "x"), Err(InvalidCredentials::Length));
        assert_eq!(with(http, "user", "a\r\nHost: b"), Err(InvalidCredentials::Control));
    }

    /// The word of a venue stands right behind the proxy's answer.
    async fn tunnelled(url: &str, answers: &[&[u8]]) -> Result<Vec<u8>, Failure> {
        let (near, mut far) = tokio::io::duplex(128 * 1024);
        far.write_all(&answers.concat()).await.unwrap();
        far.shutdown().await.unwrap();
        let mut tunnel = Proxy::parse(url).unwrap().tunnel(near, "venue.example", 443).await?;
        let mut rest = Vec::new();
        tunnel.read_to_end(&mut rest).await.unwrap();
        Ok(rest)
    }

    #[tokio::test]
    async fn nothing_is_read_of_what_comes_behind_the_answer() {
        let http: [&[u8]; 3] = [
            b"HTTP/1.1 200 Connection established\r\nVia: x\r\nContent-Length: 5\r\n\r\n\r\nhello",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204\r\n\r\n\r\nhello",
            b"HTTP/1.1 200 OK\n\n\r\nhello",
        ];
        for answer in http {
            assert_eq!(
                tunnelled("http://p:1", &[answer]).await.unwrap(),
                b"\r\nhello",
                "{answer:?}"
            );
        }
        let bound: [&[u8]; 3] = [
            &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80],
            &[5, 0, 0, 3, 3, b'a', b'.', b'b', 0, 80],
            &[5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80],
        ];
        for bound in bound {
            let rest = tunnelled("socks5://p:1", &[&[5, 0], bound, b"hello"]).await.unwrap();
            assert_eq!(rest, b"hello", "{bound:?}");
        }
    }

    #[tokio::test]
    async fn what_a_proxy_refuses_is_told_in_words() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
        let http: [(&[u8], &str); 9] = [
            (
                b"HTTP/1.1 407 Hm\r\n\r\n",
                "the proxy answered 407 Proxy Authentication Required: it wants a user name and a password",
            ),
            (b"HTTP/1.1 403 s3cret\r\n\r\n", "the proxy answered 403 Forbidden"),
            (
                b"HTTP/1.1 101 Switching\r\n\r\n",
                "the proxy answered 101 Switching Protocols",
            ),
            (b"SSH-2.0-x\r\n\r\n", "the proxy does not answer with HTTP"),
            (b"HTTP/1.1\n200 OK\n\n", "the proxy does not answer with HTTP"),
            (b"HTTP/1.1 2000\r\n\r\n", "the proxy does not answer with HTTP"),
            (
                long.as_bytes(),
                "the proxy answered with more than 8192 bytes of headers",
            ),
            (
                b"HTTP/1.1 200 OK\r\nx",
                "the proxy ended the connection before it had answered",
            ),
            (b"", "the proxy ended the connection before it had answered"),
        ];
        for (answer, told) in http {
            let failure = tunnelled("http://p:1", &[answer]).await.unwrap_err();
            assert_eq!(
                (failure.cause, failure.status, &*failure.detail),
                (Cause::Proxy, None, told)
            );
        }
        let socks: [(&[u8], &str); 7] = [
            (
                &[5, 255],
                "the proxy wants a user name and a password, or another proof",
            ),
            (&[5, 2], "the proxy wants a user name and a password, or another proof"),
            (
                &[5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0],
                "the proxy has a rule that does not allow this connection",
            ),
            (
                &[5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
                "the proxy was refused by the venue's host",
            ),
            (
                &[5, 0, 5, 9, 0, 1, 0, 0, 0, 0, 0, 0],
                "the proxy does not answer as SOCKS5 does",
            ),
            (
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                "the proxy does not answer as SOCKS5 does",
            ),
            (&[5], "the proxy ended the connection before it had answered"),
        ];
        for (answer, told) in socks {
            let failure = tunnelled("socks5://p:1", &[answer]).await.unwrap_err();
            assert_eq!((failure.cause, &*failure.detail), (Cause::Proxy, told));
        }
    }

    /// An answer and what follows it, which comes in two parts.
    async fn in_two_parts(url: &str, bytes: &[u8], cut: usize) -> Result<Vec<u8>, Failure> {
        let (near, mut far) = tokio::io::duplex(1);
        let (mut asked, mut answers) = tokio::io::split(&mut far);
        let proxy = Proxy::parse(url).unwrap().with_credentials("user", "hunter2").unwrap();
        let answering = async {
            for part in [&bytes[..cut], &bytes[cut..]] {
                // Who has refused the answer is gone.
                let _ = answers.write_all(part).await;
                tokio::task::yield_now().await;
            }
            let _ = answers.shutdown().await;
        };
        let reading = async {
            let mut tunnel = proxy.tunnel(near, "venue.example", 443).await?;
            let mut rest = Vec::new();
            tunnel.read_to_end(&mut rest).await.unwrap();
            Ok(rest)
        };
        let mut request = Vec::new();
        let (read, (), _) = tokio::join!(reading, answering, asked.read_to_end(&mut request));
        read
    }

    #[tokio::test]
    async fn an_answer_may_be_cut_anywhere() {
        let http = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nVia: x\r\n\r\n\r\n\r\nhello";
        let socks = b"\x05\x02\x01\x00\x05\x00\x00\x03\x02xy\x00\x50\r\n\r\nhello";
        for (url, bytes) in [("http://p:1", &http[..]), ("socks5://p:1", &socks[..])] {
            let answer = bytes.len() - b"\r\n\r\nhello".len();
            for cut in 0..=bytes.len() {
                let read = in_two_parts(url, bytes, cut).await;
                assert_eq!(read.unwrap(), b"\r\n\r\nhello", "{url}, cut at {cut}");
            }
            for end in 0..answer {
                let failure = in_two_parts(url, &bytes[..end], end / 2).await.unwrap_err();
                assert_eq!(
                    failure.detail, "the proxy ended the connection before it had answered",
                    "{url}, {end}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_or_is_taken_for_another(
            bytes in prop::collection::vec(prop_oneof![0..6_u8, any::<u8>(), Just(b'\n')], 0..300),
            is_http in any::<bool>(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (url, begin) = if is_http { ("http://p:1", &b"HTTP/1.1 "[..]) } else { ("socks5://p:1", &[5, 0][..]) };
            let bytes = [begin, &bytes].concat();
            let read = runtime.block_on(in_two_parts(url, &bytes, bytes.len() / 2));
            match read {
                Ok(rest) => prop_assert!(bytes.ends_with(&rest)),
                Err(failure) => prop_assert_eq!(failure.cause, Cause::Proxy),
            }
        }
    }
}
