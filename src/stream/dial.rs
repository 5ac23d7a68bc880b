//! Dialling: name look-up and TCP, behind a trait so that a stream can run in a simulated network.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

/// Look-ups of one dialler at once.
const LOOKUPS: usize = 4;

/// Makes the byte streams that WebSocket connections run on. Time limits are the caller's.
pub trait Dialler: Send + Sync + 'static {
    /// A connected byte stream.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The addresses of a host.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// A connection to one of them.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// Dials with the system's resolver and TCP, without Nagle's delay.
///
/// A look-up holds a thread for as long as the resolver pleases, also after the dial has given it up. So that a resolver
/// which hangs does not take every thread there is, the streams of a host share one of these (it is cheap to clone), and
/// look up only a few at once.
#[derive(Clone, Debug)]
pub struct TcpDialler {
    lookups: Arc<Semaphore>,
}

impl Default for TcpDialler {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }
}

impl Dialler for TcpDialler {
    type Io = TcpStream;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let permit = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let _until_it_returns = permit;
            (host, port).to_socket_addrs().map(Iterator::collect)
        });
        // Out of file descriptors, the resolver says that there is no such name; a socket says what is the matter.
        lookup
            .await
            .map_err(io::Error::other)?
            .map_err(|error| TcpSocket::new_v4().err().unwrap_or(error))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
