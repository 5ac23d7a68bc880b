//! How the venue ends connections.

use super::connection::LEAVE_LIMIT;
use super::frame::{self, Pieces};
use super::log::{ConnectionLog, What};
use super::session::Session;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

/// How long it is quiet before a reset.
const QUIET: Duration = Duration::from_millis(200);
/// How often a mute venue looks whether the client has gone.
const LOOK: Duration = Duration::from_millis(100);

/// How the venue ends a connection.
pub(super) enum Ending {
    /// The venue sends a close frame with this code and reason.
    Close(Option<u16>, String),
    /// The venue resets the TCP connection, in the middle of a frame or after one.
    Reset { in_frame: bool },
    /// The venue ends the TCP connection, in the middle of a frame or after one.
    Cut { in_frame: bool },
    /// The venue sends what no client can read, and waits until the client goes.
    Unreadable(Pieces),
    /// The venue is mute until the client goes.
    Mute,
}

impl Ending {
    /// Ends `session` in this way, within a time limit; the mute one lasts until the client goes.
    pub(super) async fn carry_out(self, session: Session) -> ConnectionLog {
        match self {
            Self::Close(code, reason) => close(session, code, reason).await,
            Self::Reset { in_frame } => reset(session, in_frame).await,
            Self::Cut { in_frame } => cut(session, in_frame).await,
            Self::Unreadable(pieces) => unreadable(session, pieces).await,
            Self::Mute => mute(session).await,
        }
    }
}

async fn close(mut session: Session, code: Option<u16>, reason: String) -> ConnectionLog {
    let frame = Message::Close(code.map(|code| CloseFrame {
        code: code.into(),
        reason: reason.into(),
    }));
    session.log.note(What::ClosedByVenue { code });
    let _ = timeout(LEAVE_LIMIT, async {
        if session.socket.feed(frame.clone()).await.is_ok() {
            session.log.sent(&frame);
        }
        let _ = session.socket.flush().await;
        // The client's reply, and what it had sent before.
        read_rest(&mut session).await;
    })
    .await;
    leave(session).await
}

/// Ends the connection in order, where both sides have closed it: TLS has a farewell of its own.
pub(super) async fn leave(mut session: Session) -> ConnectionLog {
    let _ = timeout(LEAVE_LIMIT, session.socket.get_mut().shutdown()).await;
    session.log
}

async fn reset(mut session: Session, in_frame: bool) -> ConnectionLog {
    // Unsent data is lost in a reset, and so may be what the client has not read.
    let _ = timeout(QUIET, finish(&mut session, in_frame)).await;
    sleep(QUIET).await;
    while let Some(Some(Ok(message))) = session.socket.next().now_or_never() {
        session.log.received(&message);
        if message.is_ping() || message.is_close() {
            break; // reading on would answer it
        }
    }
    session.log.note(What::Reset);
    // With a linger time of zero, closing sends RST.
    let _ = session.socket.get_ref().carrier().set_zero_linger();
    session.log
}

async fn cut(mut session: Session, in_frame: bool) -> ConnectionLog {
    let _ = timeout(LEAVE_LIMIT, finish(&mut session, in_frame)).await;
    session.log.note(What::Cut);
    let _ = timeout(LEAVE_LIMIT, async {
        let _ = session.socket.get_mut().shutdown().await;
        read_rest(&mut session).await;
    })
    .await;
    session.log
}

/// Sends what waits, and then a part of a frame where the connection is to end in one.
async fn finish(session: &mut Session, in_frame: bool) -> Result<(), tungstenite::Error> {
    session.socket.flush().await?;
    if in_frame {
        let socket = session.socket.get_mut();
        socket.write_all(&frame::part()).await?;
        socket.flush().await?;
    }
    Ok(())
}

async fn unreadable(mut session: Session, pieces: Pieces) -> ConnectionLog {
    let stop = session.venue.stop.clone();
    // In any order: the connection ends either way.
    tokio::select! {
        () = stop.cancelled() => {}
        what = write_and_wait(&mut session, pieces) => session.log.note(what),
    }
    session.log
}

/// Writes what cannot be read until the client goes, and returns how it went. Nothing that is answered from here on, by the
/// library, is read by a correct client: it does not count.
async fn write_and_wait(session: &mut Session, pieces: Pieces) -> What {
    if session.socket.flush().await.is_ok() {
        let socket = session.socket.get_mut();
        for piece in pieces {
            if socket.write_all(&piece).await.is_err() || socket.flush().await.is_err() {
                break; // what it sent before it went can still be read
            }
        }
    }
    while let Some(Ok(message)) = session.socket.next().await {
        session.log.received(&message);
        if let Message::Close(frame) = message {
            let code = frame.map(|frame| frame.code.into());
            return What::ClosedByClient { code };
        }
    }
    What::LostByClient
}

async fn mute(mut session: Session) -> ConnectionLog {
    let stop = session.venue.stop.clone();
    // In any order: the connection ends either way.
    tokio::select! {
        () = stop.cancelled() => {}
        () = client_gone(&session) => {
            // What it sent into the silence counts as received.
            let _ = timeout(LEAVE_LIMIT, read_rest(&mut session)).await;
            session.log.note(What::LostByClient);
        }
    }
    session.log
}

/// Waits until the client has ended the TCP connection, without reading from it: what it sent must stay unread. The socket
/// is readable all the time then, so this looks now and again.
async fn client_gone(session: &Session) {
    let stream = session.socket.get_ref().carrier();
    while let Ok(ready) = stream.ready(Interest::READABLE).await {
        if ready.is_read_closed() || ready.is_error() {
            return;
        }
        sleep(LOOK).await;
    }
}

/// Counts what still comes, until the client has gone.
async fn read_rest(session: &mut Session) {
    while let Some(Ok(message)) = session.socket.next().await {
        session.log.received(&message);
    }
}
