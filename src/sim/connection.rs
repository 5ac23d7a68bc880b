//! One accepted connection, up to its upgrade.

use super::fault::Fault;
use super::log::{ConnectionLog, What};
use super::session::Session;
use super::{Venue, upgrade};
use crate::stream::MaybeTls;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;

/// What a WebSocket connection runs on.
pub(super) type Io = MaybeTls<TcpStream>;

/// How long the venue waits for a request.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long it waits for a client to leave that was told to.
pub(super) const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// Serves one connection to its end.
pub(super) async fn serve(venue: Arc<Venue>, log: ConnectionLog, stream: TcpStream, fault: Fault) {
    let stop = venue.stop.clone();
    // Small frames must leave at once; a socket that cannot do it is no worse a test.
    let _ = stream.set_nodelay(true);
    let upgraded = tokio::select! {
        // Stopping first: no new session then.
        biased;
        () = stop.cancelled() => None,
        upgraded = greet(&venue, &log, stream, &fault) => upgraded,
    };
    let log = match upgraded {
        Some(socket) => Session::new(venue, log, socket, fault).run().await,
        None => log,
    };
    log.note(What::Ended);
}

/// Shakes hands and answers the upgrade, or does what the fault says instead.
async fn greet(venue: &Venue, log: &ConnectionLog, stream: TcpStream, fault: &Fault) -> Option<WebSocketStream<Io>> {
    let mut stream = match &venue.tls {
        Some(tls) => tls.secure(log, stream, fault).await?,
        None => MaybeTls::plain(stream),
    };
    match fault {
        Fault::Hang => {
            log.note(What::FaultBegan { name: fault.name() });
            log.note(What::Hung);
            read_to_end(&mut stream).await;
            log.note(What::LostByClient);
            None
        }
        Fault::Status { .. } | Fault::RetryAfter { .. } | Fault::Upgrade(_) => {
            log.note(What::FaultBegan { name: fault.name() });
            if let Ok(Ok(head)) = timeout(REQUEST_LIMIT, upgrade::read_head(&mut stream)).await {
                upgrade::answer_badly(log, stream, fault, &head).await
            } else {
                log.note(What::LostByClient);
                None
            }
        }
        _ => upgrade::answer(log, stream, venue.required_header.as_ref(), venue.as_recorded).await,
    }
}

/// Reads until the client has gone.
pub(super) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}
