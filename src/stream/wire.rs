//! What lies between a socket and tungstenite: it reads ahead, and cuts out the frames that need nothing but that.
//!
//! Nearly all that a venue sends is text in one frame each. Such frames are taken here, without a copy and without a buffer of
//! the connection's own: what is read ahead stands in a buffer that the connection has only while there is something in it.
//! Everything else, and whatever is wrong, is left to tungstenite, which is never given more than the frame that it reads: so it
//! is known where the next one begins.

mod buffers;
mod header;

use super::tls::MaybeTls;
use bytes::{Buf, BytesMut};
use header::{Header, head_length};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_util::io::poll_read_buf;

/// A message of more fragments never ends: of the largest that are read, each would have a few hundred bytes.
const MOST_FRAGMENTS: u32 = 65_536;

/// What is read next.
pub(super) enum Next {
    /// A text in one frame.
    Text(Result<Message, tungstenite::Error>),
    /// Something that tungstenite has to read.
    Other,
}

pub(super) struct Wire<Io> {
    io: MaybeTls<Io>,
    /// Read, and not yet taken. It has no memory while there is nothing in it.
    ahead: BytesMut,
    /// How much is read ahead at most.
    size: usize,
    /// The largest payload that is taken.
    largest: usize,
    stage: Stage,
    /// So many bytes of what tungstenite reads have not been given to it.
    owed: u64,
    /// It has so many fragments of a message that more frames belong to.
    fragments: u32,
    /// The end, which tungstenite is told after everything that came before it.
    ended: Option<io::Result<()>>,
    /// Nothing can be written any more.
    unwritable: Unwritable,
}

/// tungstenite, which writes pongs while it reads, would end its reading because of it. So it is told nothing, and its frames go
/// nowhere: what came before may still be read, and may say why.
enum Unwritable {
    No,
    /// Nobody has been told.
    Since(io::Error),
    Told,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The answer to the upgrade, which does not end in the first so many bytes.
    Upgrade(usize),
    Frames,
    /// An answer that is no upgrade, or none that is known. All goes to tungstenite.
    Unknown,
}

impl<Io> Wire<Io> {
    /// Over a socket on which nothing has been read. `size`: how much is read ahead; `largest`: the largest message.
    pub(super) fn new(io: MaybeTls<Io>, size: usize, largest: usize) -> Self {
        Self {
            io,
            ahead: BytesMut::new(),
            size,
            largest,
            stage: Stage::Upgrade(0),
            owed: 0,
            fragments: 0,
            ended: None,
            unwritable: Unwritable::No,
        }
    }

    /// Why nothing can be written any more; told once.
    pub(super) fn take_write_error(&mut self) -> Option<io::Error> {
        match std::mem::replace(&mut self.unwritable, Unwritable::Told) {
            Unwritable::Since(error) => Some(error),
            before => {
                self.unwritable = before;
                None
            }
        }
    }

    /// The outcome of writing, as it is told to tungstenite; `all` where that is none.
    fn written<T>(&mut self, written: io::Result<T>, all: T) -> io::Result<T> {
        written.or_else(|error| {
            if matches!(self.stage, Stage::Upgrade(_)) {
                return Err(error);
            }
            if matches!(self.unwritable, Unwritable::No) {
                self.unwritable = Unwritable::Since(error);
            }
            Ok(all)
        })
    }

    /// All that was read of the socket, without what TLS adds.
    pub(super) const fn bytes_read(&self) -> u64 {
        self.io.bytes_read()
    }

    /// Whether tungstenite was given the answer to the upgrade, and not a byte of what follows.
    pub(super) fn is_between_frames(&self) -> bool {
        self.stage == Stage::Frames && self.owed == 0 && self.fragments == 0
    }

    /// How much of what was read ahead may be given to tungstenite.
    fn owes_now(&mut self) -> usize {
        let there = self.ahead.len();
        if self.owed == 0 {
            self.owed = match self.stage {
                Stage::Upgrade(looked) => match head_length(&self.ahead, looked) {
                    Some(length) if self.ahead.starts_with(b"HTTP/1.1 101") => {
                        self.stage = Stage::Frames;
                        length as u64
                    }
                    None if self.ended.is_none() && there < self.size => {
                        self.stage = Stage::Upgrade(there);
                        return 0;
                    }
                    _ => {
                        self.stage = Stage::Unknown;
                        there as u64
                    }
                },
                Stage::Frames => match Header::parse(&self.ahead) {
                    Some(header) => {
                        if let Some(is_last) = header.ends_message() {
                            self.fragments = if is_last { 0 } else { self.fragments.saturating_add(1) };
                        }
                        header.frame_length()
                    }
                    None if self.ended.is_none() => return 0,
                    None => there as u64,
                },
                Stage::Unknown => there as u64,
            };
        }
        there.min(usize::try_from(self.owed).unwrap_or(usize::MAX))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Wire<Io> {
    /// Looks at what comes next, and takes it where it is a text in one frame. Pending also where there is only a part of one.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.stage != Stage::Frames || self.owed > 0 || self.fragments > 0 || self.ended.is_some() {
            return Poll::Ready(Next::Other);
        }
        loop {
            if let Some(header) = Header::parse(&self.ahead) {
                let most = self.size.min(self.largest);
                let Some((head, payload)) = header.whole_text(most) else {
                    return Poll::Ready(Next::Other);
                };
                if self.ahead.len() >= head + payload {
                    self.ahead.advance(head);
                    let text = Utf8Bytes::try_from(self.ahead.split_to(payload).freeze());
                    return Poll::Ready(Next::Text(text.map(Message::Text).map_err(Into::into)));
                }
            }
            if self.ended.is_some() {
                return Poll::Ready(Next::Other);
            }
            ready!(self.poll_fill(cx));
        }
    }

    /// Reads ahead, or notes the end. Where there is nothing to read, and nothing that waits to be taken, the buffer is given
    /// back.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        buffers::make_room(&mut self.ahead, self.size);
        let read = poll_read_buf(Pin::new(&mut self.io), cx, &mut self.ahead);
        if self.ahead.is_empty() {
            buffers::give_back(&mut self.ahead);
        }
        match ready!(read) {
            Ok(0) => self.ended = Some(Ok(())),
            Ok(_) => {}
            Err(error) => self.ended = Some(Err(error)),
        }
        Poll::Ready(())
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // tungstenite reads on until a message is whole. One of endless fragments must leave the others their turn, so each counts.
        let turn = if this.owed == 0 {
            Some(ready!(coop::poll_proceed(cx)))
        } else {
            None
        };
        loop {
            let length = this.owes_now().min(buf.remaining());
            if this.fragments > MOST_FRAGMENTS {
                let endless = format!("a message of more than {MOST_FRAGMENTS} fragments");
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, endless)));
            }
            if length > 0 {
                buf.put_slice(this.ahead.get(..length).unwrap_or_default());
                this.ahead.advance(length);
                this.owed -= length as u64;
                if let Some(turn) = turn {
                    turn.made_progress();
                }
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = this.ended.take() {
                return Poll::Ready(end);
            }
            ready!(this.poll_fill(cx));
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(in_any_turn(cx, |cx| Pin::new(&mut this.io).poll_write(cx, bytes)));
        Poll::Ready(this.written(written, bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = ready!(in_any_turn(cx, |cx| Pin::new(&mut this.io).poll_flush(cx)));
        Poll::Ready(this.written(flushed, ()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Writes, also where a flood has taken all turns of this task: else nothing would leave, and the venue seem not to read. There is no
/// more to write than was asked for, or answers what has been read in its turn.
fn in_any_turn<T>(cx: &mut Context<'_>, write: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(coop::unconstrained(poll_fn(write))).poll(cx)
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;
