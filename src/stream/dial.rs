//! Dialling: name look-up and TCP, behind a trait so that a stream can run in a simulated network.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Look-ups at once, in the whole process. Each holds a thread for as long as the system's resolver pleases, also after the
/// dial has given it up: without a bound a resolver that hangs would take every thread there is.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

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
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDialler;

impl Dialler for TcpDialler {
    type Io = TcpStream;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let _until_it_returns = permit;
            (host, port).to_socket_addrs().map(Iterator::collect)
        });
        lookup.await.map_err(io::Error::other)?
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
