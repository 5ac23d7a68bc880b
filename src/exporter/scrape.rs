//! The answer to a scrape: rendered a portion at a time, compressed if the client likes, as fast as the client takes it.
//!
//! Portions are rendered on threads that may block, away from the workers that carry the streams, each while the one before is
//! being sent. Between two of them no thread is held: a client that reads slowly costs the packed figures, which are far smaller than
//! their text, and two portions. All figures are read at the beginning, so what a slow client gets is of one moment, too.

use super::coding::Coding;
use super::place::Place;
use crate::metrics::Exposition;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Sleep;

/// So many pieces of the exposition, 64 KiB each, are rendered in one go: it takes less than half a millisecond.
const PIECES: usize = 4;
/// A piece with what it may have beyond that: bytes. Compressed text is sent once there is so much of it, or no more.
const PART: usize = 72 * 1024;

/// A scrape on its way to bytes.
pub(super) struct Rendering {
    exposition: Exposition,
    output: Output,
    place: Place,
}

enum Output {
    Plain,
    /// With the piece that is compressed next.
    Gzip(Box<GzEncoder<Vec<u8>>>, String),
}

/// What was rendered in one go.
pub(super) struct Portion {
    parts: VecDeque<Bytes>,
    /// `None` when that was all: then the last part holds the scrape's place.
    rest: Option<Rendering>,
}

impl Rendering {
    /// It keeps its place until the last byte is sent.
    pub(super) fn new(exposition: Exposition, coding: Coding, place: Place) -> Self {
        let output = match coding {
            Coding::Identity => Output::Plain,
            // Higher levels take several times as long for a few per cent.
            Coding::Gzip => Output::Gzip(
                Box::new(GzEncoder::new(Vec::new(), Compression::fast())),
                String::with_capacity(PART),
            ),
        };
        Self {
            exposition,
            output,
            place,
        }
    }

    /// The next portion.
    pub(super) fn portion(self) -> io::Result<Portion> {
        self.render(PIECES)
    }

    /// All of it.
    pub(super) fn whole(self) -> io::Result<Portion> {
        self.render(usize::MAX)
    }

    fn render(mut self, pieces: usize) -> io::Result<Portion> {
        let mut parts = VecDeque::new();
        for _ in 0..pieces {
            let (part, is_more) = self.output.next(&mut self.exposition)?;
            if !is_more {
                parts.push_back(self.place.holding(part));
                return Ok(Portion { parts, rest: None });
            }
            if !part.is_empty() {
                parts.push_back(Bytes::from(part));
            }
        }
        let rest = Some(self);
        Ok(Portion { parts, rest })
    }
}

impl Output {
    /// What one more piece adds, maybe nothing yet, and whether there is more to come.
    fn next(&mut self, exposition: &mut Exposition) -> io::Result<(Vec<u8>, bool)> {
        match self {
            Self::Plain => {
                let mut piece = String::with_capacity(PART);
                let is_more = exposition.write_piece(&mut piece);
                Ok((piece.into_bytes(), is_more))
            }
            Self::Gzip(encoder, piece) => {
                piece.clear();
                let is_more = exposition.write_piece(piece);
                encoder.write_all(piece.as_bytes())?;
                if !is_more {
                    encoder.try_finish()?;
                }
                let compressed = encoder.get_mut();
                let part = if is_more && compressed.len() < PART {
                    Vec::new()
                } else {
                    mem::take(compressed)
                };
                Ok((part, is_more))
            }
        }
    }
}

/// The body of an answer to a scrape. Where it ends before its end, it ends with an error: the client's connection is cut, and what it
/// has got does not look whole.
pub(super) struct ScrapeBody {
    parts: VecDeque<Bytes>,
    next: Next,
    /// When it passes, the client has given up, or will be given up.
    time: Pin<Box<Sleep>>,
}

enum Next {
    /// Nothing: all is in the parts.
    Nothing,
    Waiting(Rendering),
    Rendering(JoinHandle<io::Result<Portion>>),
}

impl ScrapeBody {
    /// Begins with a portion, and has until `time` passes for the rest.
    pub(super) fn new(first: Portion, time: Pin<Box<Sleep>>) -> Self {
        Self {
            parts: first.parts,
            next: Next::after(first.rest),
            time,
        }
    }

    fn cut(&mut self, error: io::Error) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        tracing::debug!(%error, "a scrape was cut off");
        self.parts.clear();
        self.next = Next::Nothing;
        Poll::Ready(Some(Err(error)))
    }
}

impl Next {
    fn after(rest: Option<Rendering>) -> Self {
        rest.map_or(Self::Nothing, Self::Waiting)
    }

    /// Begins what has waited.
    fn begin(self) -> Self {
        match self {
            Self::Waiting(rendering) => Self::Rendering(spawn_blocking(|| rendering.portion())),
            begun => begun,
        }
    }
}

impl Body for ScrapeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.is_end_stream() {
            return Poll::Ready(None);
        }
        if this.time.as_mut().poll(cx).is_ready() {
            return this.cut(io::Error::new(
                io::ErrorKind::TimedOut,
                "the time for the scrape is over",
            ));
        }
        loop {
            this.next = mem::replace(&mut this.next, Next::Nothing).begin();
            if let Some(part) = this.parts.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            let Next::Rendering(rendering) = &mut this.next else {
                return Poll::Ready(None);
            };
            let rendered = ready!(Pin::new(rendering).poll(cx));
            match rendered.map_err(io::Error::other).and_then(|portion| portion) {
                Ok(portion) => {
                    this.parts = portion.parts;
                    this.next = Next::after(portion.rest);
                }
                Err(error) => return this.cut(error),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty() && matches!(self.next, Next::Nothing)
    }

    /// Exact where all of it is there: then the answer tells its length.
    fn size_hint(&self) -> SizeHint {
        let known = self.parts.iter().map(|part| part.len() as u64).sum();
        match self.next {
            Next::Nothing => SizeHint::with_exact(known),
            Next::Waiting(_) | Next::Rendering(_) => {
                let mut hint = SizeHint::new();
                hint.set_lower(known);
                hint
            }
        }
    }
}
