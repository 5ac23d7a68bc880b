//! SOCKS5 (RFC 1928), with user name and password (RFC 1929).

use super::{Credentials, hung_up};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_socks::Error;
use tokio_socks::tcp::Socks5Stream;

/// Of a name the length is one byte.
const LONGEST_NAME: usize = 255;

/// Opens the way to `host` and `port`; or what the proxy did instead, as a sentence goes on after "the proxy".
pub(super) async fn tunnel<Io>(io: Io, host: &str, port: u16, credentials: Option<&Credentials>) -> Result<Io, String>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    if host.len() > LONGEST_NAME {
        return Err("cannot be told a name of more than 255 bytes".to_owned());
    }
    let target = (host, port);
    let opened = match credentials {
        Some(Credentials { username, password }) => {
            Socks5Stream::connect_with_password_and_socket(io, target, username, password).await
        }
        None => Socks5Stream::connect_with_socket(io, target).await,
    };
    opened.map(Socks5Stream::into_inner).map_err(|error| told(&error))
}

fn told(error: &Error) -> String {
    let told = match error {
        Error::Io(error) => return hung_up(error),
        Error::NoAcceptableAuthMethods | Error::AuthorizationRequired => {
            "wants a user name and a password, or another proof"
        }
        Error::PasswordAuthFailure(_) => "does not take this user name and password",
        Error::GeneralSocksServerFailure => "failed, and does not say at what",
        Error::ConnectionNotAllowedByRuleset => "has a rule that does not allow this connection",
        Error::NetworkUnreachable => "finds no way to the venue's network",
        Error::HostUnreachable => "cannot reach the venue's host, or does not know its name",
        Error::ConnectionRefused => "was refused by the venue's host",
        Error::TtlExpired => "found too long a way to the venue's host",
        Error::CommandNotSupported => "opens no connections",
        Error::AddressTypeNotSupported => "takes no such address",
        _ => "does not answer as SOCKS5 does",
    };
    told.to_owned()
}
