//! The venue's port: accepts connections, and is really closed while the script says so.

use super::Venue;
use super::connection::serve;
use super::log::{ConnectionLog, What};
use futures_util::FutureExt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// So many connections at once; further ones wait in the backlog.
const MAX_CONNECTIONS: usize = 10_000;
/// How long to wait when the system has no socket for us.
const RETRY: Duration = Duration::from_millis(50);

/// The port. It belongs to the venue also while it is closed: a bound socket that does not listen refuses every dial, and
/// keeps the kernel from giving the port to somebody else.
pub(super) enum Port {
    Open(TcpListener),
    Closed(TcpSocket),
}

impl Port {
    /// Takes the port, without listening yet.
    pub(super) fn reserve(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self::Closed(socket))
    }

    pub(super) fn open(self) -> io::Result<Self> {
        match self {
            Self::Closed(socket) => socket.listen(BACKLOG).map(Self::Open),
            open @ Self::Open(_) => Ok(open),
        }
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Open(listener) => listener.local_addr(),
            Self::Closed(socket) => socket.local_addr(),
        }
    }
}

/// Accepts until the venue stops.
pub(super) async fn accept(venue: Arc<Venue>, port: Port, address: SocketAddr) {
    let stop = venue.stop.clone();
    // In any order: the acceptor never ends by itself. Nothing is lost where it is dropped: accepted connections are tasks of their own by then.
    tokio::select! {
        () = stop.cancelled() => {}
        () = Acceptor { venue, address, arrivals: 0 }.run(port) => {}
    }
}

struct Acceptor {
    venue: Arc<Venue>,
    address: SocketAddr,
    arrivals: u64,
}

impl Acceptor {
    async fn run(mut self, mut port: Port) {
        loop {
            port = match port {
                Port::Closed(_) => self.reopen(port).await,
                Port::Open(listener) => {
                    self.accept_until_refusal(&listener).await;
                    self.close(listener).await
                }
            };
        }
    }

    /// Waits until no window is open any more, then listens.
    async fn reopen(&self, mut port: Port) -> Port {
        while let Some(until) = self.venue.script.refused_until(self.venue.log.elapsed()) {
            sleep(until.saturating_sub(self.venue.log.elapsed())).await;
        }
        loop {
            match port.open() {
                Ok(open) => {
                    self.venue.log.note(0, What::PortOpened);
                    return open;
                }
                Err(error) => {
                    tracing::warn!(%error, "the simulated venue cannot listen");
                    sleep(RETRY).await;
                    port = self.reserve_again().await;
                }
            }
        }
    }

    async fn accept_until_refusal(&mut self, listener: &TcpListener) {
        loop {
            let now = self.venue.log.elapsed();
            if self.venue.script.refused_until(now).is_some() {
                return;
            }
            let refusal = self.venue.script.next_refusal(now);
            let arrival = async {
                while self.venue.tasks.len() >= MAX_CONNECTIONS {
                    sleep(RETRY).await;
                }
                listener.accept().await
            };
            tokio::select! {
                // Refusals first: a stream of dials must not keep the port open.
                biased;
                () = super::until(refusal.map(|at| self.venue.log.started().mono + at)) => {}
                arrival = arrival => match arrival {
                    Ok((stream, _)) => self.arrived(stream),
                    Err(error) => {
                        tracing::warn!(%error, "the simulated venue cannot accept");
                        sleep(RETRY).await;
                    }
                },
            }
        }
    }

    /// Closes the port. Dials that the kernel has completed already are served: their clients think that they are connected.
    async fn close(&mut self, listener: TcpListener) -> Port {
        while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
            self.arrived(stream);
        }
        drop(listener);
        self.venue.log.note(0, What::PortClosed);
        self.reserve_again().await
    }

    async fn reserve_again(&self) -> Port {
        loop {
            match Port::reserve(self.address) {
                Ok(port) => return port,
                Err(error) => {
                    tracing::warn!(%error, "the simulated venue cannot bind its port again yet");
                    sleep(RETRY).await;
                }
            }
        }
    }

    fn arrived(&mut self, stream: TcpStream) {
        self.arrivals += 1;
        let fault = self.venue.script.fault(self.arrivals, self.venue.log.elapsed());
        let log = ConnectionLog::accepted(Arc::clone(&self.venue.log), self.arrivals);
        self.venue
            .tasks
            .spawn(serve(Arc::clone(&self.venue), log, stream, fault));
    }
}
