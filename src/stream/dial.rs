//! Dialling: name look-up and TCP, behind a trait so that a stream can run in a simulated network.

use super::tcp::TcpOptions;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Look-ups of one dialler at once.
const LOOKUPS: usize = 4;

/// Makes the byte streams that WebSocket connections run on. Time limits are the caller's.
///
/// ```
/// use feedwatch::clock::Moment;
/// use feedwatch::market::{Cause, StreamName};
/// use feedwatch::metrics::{StreamCells, StreamInfo, Streams};
/// use feedwatch::stream::{Dialler, Endpoint, MarketDataStream, NoObserver, TlsTrust, TransportOptions, WebSocketStream};
/// use feedwatch::venue::Polymarket;
/// use std::{io, net::SocketAddr, sync::Arc};
/// use tokio::io::{AsyncWriteExt, DuplexStream};
///
/// /// A network in memory, in which every venue is busy.
/// struct InMemory;
///
/// impl Dialler for InMemory {
///     type Io = DuplexStream;
///
///     async fn resolve(&self, _host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
///         Ok(vec![([10, 0, 0, 1], port).into()])
///     }
///
///     async fn connect(&self, _address: SocketAddr) -> io::Result<DuplexStream> {
///         let (ours, mut theirs) = tokio::io::duplex(4096);
///         theirs.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n").await?;
///         tokio::spawn(async move { tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await });
///         Ok(ours)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let info = StreamInfo::new(StreamName::new("bot").unwrap(), "venue.example", "ws");
/// # let cells = Arc::new(StreamCells::new(info, Streams::new().venue("polymarket"), Moment::now().mono));
/// # let (endpoint, options) = (Endpoint::parse("ws://venue.example/ws").unwrap(), TransportOptions::default());
/// # let trust = TlsTrust::only([]).unwrap();
/// let socket = WebSocketStream::new(&Polymarket, endpoint, options, trust, cells, Arc::new(NoObserver));
/// let failure = socket.with_dialler(InMemory).connect().await.unwrap_err();
/// assert_eq!((failure.cause, failure.status), (Cause::HttpStatus, Some(503)));
/// # }
/// ```
pub trait Dialler: Send + Sync + 'static {
    /// A connected byte stream.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The addresses of a host, the preferred ones first.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// A connection to one of them. Several run at once; one that another has overtaken is dropped.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// Dials with the system's resolver and TCP, without Nagle's delay.
///
/// A look-up holds a thread for as long as the resolver pleases, also after the dial has given it up. So that a resolver
/// which hangs does not take every thread there is, the streams of a host share one of these (it is cheap to clone), and
/// look up only a few at once. A stream with endpoints on several hosts has a [`TcpDialler::with_lookups_of`] each.
#[derive(Clone, Debug)]
pub struct TcpDialler {
    lookups: Arc<Semaphore>,
    /// Those of other hosts, by name.
    others: Vec<(String, Arc<Semaphore>)>,
    places: Arc<Semaphore>,
    options: watch::Receiver<TcpOptions>,
}

impl TcpDialler {
    /// With a place for each socket: where none is left, a dial fails as if there were no file descriptor left.
    pub fn with_places(places: Arc<Semaphore>) -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            others: Vec::new(),
            places,
            options: watch::channel(TcpOptions::default()).1,
        }
    }

    /// The same with options that may change: each connection follows those of its dial.
    #[must_use]
    pub fn with_options(mut self, options: watch::Receiver<TcpOptions>) -> Self {
        self.options = options;
        self
    }

    /// The same, which looks this host up like the other dialler: a name server that hangs for one host keeps nobody from
    /// another.
    #[must_use]
    pub fn with_lookups_of(mut self, host: &str, other: &Self) -> Self {
        self.others.push((host.to_owned(), other.lookups.clone()));
        self
    }

    fn lookups(&self, host: &str) -> &Arc<Semaphore> {
        let mut others = self.others.iter();
        let other = others.find(|(name, _)| name.eq_ignore_ascii_case(host));
        other.map_or(&self.lookups, |(_, lookups)| lookups)
    }
}

impl Default for TcpDialler {
    /// As many sockets as the system allows.
    fn default() -> Self {
        Self::with_places(Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)))
    }
}

/// A TCP connection in its place.
#[derive(Debug)]
pub struct TcpIo {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for TcpIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TcpIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Dialler for TcpDialler {
    type Io = TcpIo;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let permit = self
            .lookups(host)
            .clone()
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
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

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpIo> {
        let no_place = |_| io::Error::new(io::ErrorKind::OutOfMemory, "no file descriptor is left for streams");
        let place = self.places.clone().try_acquire_owned().map_err(no_place)?;
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        self.options.borrow().set_on(&socket)?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(TcpIo { stream, _place: place })
    }
}
