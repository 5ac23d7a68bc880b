//! What the kernel is asked to watch over a connection. It goes on watching where nobody polls the stream.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::net::TcpSocket;

/// So many probes without an answer end a connection.
const PROBES: u32 = 3;
/// Kernels count keep-alives in whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// When the kernel gives a connection up, which then fails with `ETIMEDOUT`.
///
/// Both are nets below the stream's own pings: by default those find a dead peer first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// After so long without a packet from the peer it is probed, thrice and a third of that apart (`SO_KEEPALIVE`). In whole
    /// seconds, one at least; `None` = never.
    pub keepalive: Option<Duration>,
    /// What was sent may stay unacknowledged for so long, SYN included (`TCP_USER_TIMEOUT`, RFC 5482), and so may probes.
    /// On Linux; elsewhere it is the system's own time. `None` = the system's own there, too: a quarter of an hour or more.
    pub user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            keepalive: Some(Duration::from_secs(30)),
            user_timeout: Some(Duration::from_secs(60)),
        }
    }
}

impl TcpOptions {
    /// Sets them on a socket that is not connected yet.
    pub(super) fn set_on(&self, socket: &TcpSocket) -> io::Result<()> {
        let socket = SockRef::from(socket);
        if let Some(idle) = self.keepalive {
            socket.set_tcp_keepalive(&keepalive(idle)).map_err(of("SO_KEEPALIVE"))?;
        }
        #[cfg(target_os = "linux")]
        if let Some(timeout) = self.user_timeout {
            socket
                .set_tcp_user_timeout(Some(timeout))
                .map_err(of("TCP_USER_TIMEOUT"))?;
        }
        Ok(())
    }
}

fn keepalive(idle: Duration) -> TcpKeepalive {
    let keepalive = TcpKeepalive::new().with_time(idle.max(SECOND));
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
    let keepalive = keepalive
        .with_interval((idle / PROBES).max(SECOND))
        .with_retries(PROBES);
    keepalive
}

fn of(option: &'static str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{option} cannot be set: {error}"))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn told(options: &TcpOptions) -> (bool, u64, u64, u32, Option<Duration>) {
        let socket = TcpSocket::new_v4().unwrap();
        options.set_on(&socket).unwrap();
        let socket = SockRef::from(&socket);
        (
            socket.keepalive().unwrap(),
            socket.tcp_keepalive_time().unwrap().as_secs(),
            socket.tcp_keepalive_interval().unwrap().as_secs(),
            socket.tcp_keepalive_retries().unwrap(),
            socket.tcp_user_timeout().unwrap(),
        )
    }

    #[test]
    fn the_kernel_is_told() {
        let seconds = Duration::from_secs;
        assert_eq!(told(&TcpOptions::default()), (true, 30, 10, 3, Some(seconds(60))));
        let least = TcpOptions {
            keepalive: Some(Duration::from_millis(1)),
            user_timeout: Some(Duration::from_millis(1)),
        };
        assert_eq!(told(&least), (true, 1, 1, 3, Some(Duration::from_millis(1))));
    }

    #[test]
    fn what_is_off_is_left_to_the_system() {
        let off = TcpOptions {
            keepalive: None,
            user_timeout: None,
        };
        let (is_on, .., user_timeout) = told(&off);
        assert_eq!((is_on, user_timeout.unwrap_or_default()), (false, Duration::ZERO));
    }
}
