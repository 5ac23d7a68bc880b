//! The end of a connection.

use super::Connection;
use crate::clock::Moment;
use crate::market::Cause;
use crate::metrics::{Direction, Opcode};
use crate::stream::deadline::by;
use crate::supervise::later;
use futures_util::SinkExt;
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    /// Closes: answers the venue's close frame, or sends one that says why. A venue that did nothing wrong gets time to answer;
    /// what still comes is counted, and nobody is told.
    pub(in crate::stream) async fn close(mut self) {
        let friendly = self.ended.is_none();
        let limit = self.close_timeout;
        let closing = async {
            if self.closing {
                // The answer is queued already.
                let _ = self.socket.flush().await;
            } else {
                self.send_close().await;
            }
            while friendly && self.ended.is_none() {
                poll_fn(|cx| self.poll_progress(cx)).await;
                self.queue.clear();
                self.queued_bytes = 0;
            }
        };
        // Past its time the connection is dropped as it is.
        let _ = timeout(limit, closing).await;
    }

    /// Sends a close frame where none has passed yet, and goes on yielding what still comes, for as long as the venue may take to
    /// answer. `false` = it does not leave.
    pub(in crate::stream) async fn hang_up(&mut self) -> bool {
        if !self.closing {
            let due = later(Moment::now().mono, self.send_timeout);
            if by(due, self.send_close()).await.is_none() {
                return false;
            }
        }
        self.clocks.hung_up(Moment::now().mono, self.close_timeout);
        true
    }

    async fn send_close(&mut self) {
        let code = match self.ended.as_ref().map(|failure| failure.cause) {
            None => CloseCode::Normal,
            Some(Cause::TooBig) => CloseCode::Size,
            Some(Cause::InvalidUtf8) => CloseCode::Invalid,
            Some(Cause::Protocol) => CloseCode::Protocol,
            Some(_) => CloseCode::Away,
        };
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        self.closing = true;
        let is_sent = self.socket.send(Message::Close(Some(frame))).await.is_ok();
        if is_sent && self.take_write_failure().is_none() {
            self.cells.control_frame(Opcode::Close, Direction::Sent);
            self.cells.frame_sent(2);
        }
    }
}
