//! A dialler that counts what is read from its connections.

use feedwatch::stream::{Dialler, TcpDialler, TcpIo};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Dials like the service.
#[derive(Clone, Default)]
pub(crate) struct Metered {
    dialler: TcpDialler,
    read: Arc<AtomicU64>,
}

impl Metered {
    /// The bytes that all its connections have read: more than this they cannot hold.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Relaxed)
    }
}

impl Dialler for Metered {
    type Io = MeteredIo;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.dialler.resolve(host, port).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<MeteredIo> {
        Ok(MeteredIo {
            io: self.dialler.connect(address).await?,
            read: self.read.clone(),
        })
    }
}

pub(crate) struct MeteredIo {
    io: TcpIo,
    read: Arc<AtomicU64>,
}

impl AsyncRead for MeteredIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.read.fetch_add((buffer.filled().len() - before) as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
