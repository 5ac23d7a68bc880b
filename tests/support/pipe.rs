//! A venue at the other end of a pipe in memory.

use feedwatch::stream::Dialler;
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// The answer to a subscription: the first of the rig's two instruments is in effect.
pub(crate) const BOOK: &str = r#"[{"event_type":"book","asset_id":"11","timestamp":"1"}]"#;

/// A dialler that reaches a pipe once, and from then on is refused.
pub(crate) struct Pipe(Mutex<Option<DuplexStream>>);

impl Pipe {
    /// With a buffer of so many bytes each way; the venue's end beside it.
    pub(crate) fn new(bytes: usize) -> (Self, DuplexStream) {
        let (client, server) = tokio::io::duplex(bytes);
        (Self(Mutex::new(Some(client))), server)
    }
}

impl Dialler for Pipe {
    type Io = DuplexStream;

    async fn resolve(&self, _host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![([127, 0, 0, 1], port).into()])
    }

    async fn connect(&self, _address: SocketAddr) -> io::Result<DuplexStream> {
        let end = self.0.lock().unwrap().take();
        end.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }
}

/// Answers the upgrade and the first subscription; then the venue does as it likes.
pub(crate) async fn serve_first_subscription<Io: AsyncRead + AsyncWrite + Unpin>(io: Io) -> WebSocketStream<Io> {
    let mut server = tokio_tungstenite::accept_async(io).await.unwrap();
    server.next().await.unwrap().unwrap();
    server.send(Message::text(BOOK)).await.unwrap();
    server
}
