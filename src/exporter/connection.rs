//! One HTTP connection, from its first byte to its end.

use super::Limits;
use super::routes::Routes;
use super::write_limit::WriteLimit;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A body that nobody reads is thrown away for so long and so far, so that its sender gets the answer and not a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Answers requests until the client goes, a limit is passed or, after `stop`, the answer under way is out.
pub(super) async fn serve(socket: TcpStream, routes: Arc<Routes>, limits: Limits, stop: CancellationToken) {
    let io = TokioIo::new(WriteLimit::new(socket, limits.write_time));
    let service = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(routes.answer(request).await) }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who has asked may say that it asks no more, and still wants the answer.
        .half_close(true)
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(8 * 1024))
        .serve_connection(io, service);

    let ended = {
        let early = tokio::select! {
            // The connection first: what it has to say is worth more than the news that it is time to stop.
            biased;
            ended = &mut connection => Some(ended),
            () = stop.cancelled() => None,
        };
        if let Some(ended) = early {
            ended
        } else {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if ended.is_ok() {
        linger(connection.into_parts().io.into_inner().into_inner()).await;
    }
}

/// Reads to the end, within bounds. This side has said that it writes no more.
async fn linger(mut socket: impl AsyncRead + Unpin) {
    let mut waste = [0; 4096];
    let drain = async {
        for _ in 0..LINGER_BYTES / waste.len() {
            if !matches!(socket.read(&mut waste).await, Ok(read) if read > 0) {
                break;
            }
        }
    };
    // Longer is not worth the slot.
    let _ = timeout(LINGER, drain).await;
}
