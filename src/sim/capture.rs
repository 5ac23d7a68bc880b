//! Recorded frames, as read from a capture file.

mod format;
mod zstd;

pub(crate) use format::write_line;
pub(crate) use zstd::compress;

use format::Unreadable;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use tokio_tungstenite::tungstenite::Message;
use zstd::Zstd;

/// A capture holds at most so many bytes, uncompressed.
const MAX_BYTES: u64 = 1 << 30;
/// So many texts are kept of what was sent: what tells one connection from another comes first.
const MOST_SENT: usize = 64;
/// The ends of the names of recordings, and of the file beside each that has what was sent.
const RECEIVED: [&str; 2] = [".jsonl.zst", ".jsonl"];
const SENT: &str = ".sent.jsonl";

/// The frames that one connection received, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capture {
    frames: Vec<CapturedFrame>,
    is_cut_short: bool,
    sent: Vec<Box<[u8]>>,
}

/// One recorded frame.
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedFrame {
    at: Option<f64>,
    message: Message,
}

/// Why a capture could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file could not be read or decompressed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not a recorded frame.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The file has what was sent, which is nothing to play.
    #[error("{}: has what was sent; what is played is what was received, in the file beside it without `.sent`", path.display())]
    Sent {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to play.
    #[error("{}: has no whole frame: there is nothing to play", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than a capture may be.
    #[error("{}: more than {MAX_BYTES} bytes", path.display())]
    TooBig {
        /// The file.
        path: PathBuf,
    },
}

impl Capture {
    /// Reads a capture: a line `{"t": <seconds or null>, "frame": "<text>"}` a frame, or `frame_b64` for a binary one. A
    /// file whose name ends in `.zst` is decompressed. Every line must be a frame, but the end may be missing:
    /// [`Capture::is_cut_short`]. Blocks while it reads.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let on_io = |source| CaptureError::Io {
            path: path.into(),
            source,
        };
        let file = BufReader::new(open(path).map_err(on_io)?);
        let is_zstd = path.extension().is_some_and(|extension| extension == "zst");
        let plain = if is_zstd {
            Plain::Zstd(Zstd::new(file))
        } else {
            Plain::File(file)
        };
        let mut lines = BufReader::new(plain.take(MAX_BYTES));
        let (mut frames, mut line, mut bytes, mut is_torn) = (Vec::new(), Vec::new(), 0_u64, false);
        loop {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(length) => bytes += length as u64,
                // What the system does not say, the decoder does: the file is damaged there.
                Err(error) if error.raw_os_error().is_none() => {
                    return Err(CaptureError::Line {
                        path: path.into(),
                        line: frames.len() + 1,
                        problem: format!("cannot be decompressed from here on: {error}"),
                    });
                }
                Err(error) => return Err(on_io(error)),
            }
            if bytes >= MAX_BYTES {
                return Err(CaptureError::TooBig { path: path.into() });
            }
            match CapturedFrame::parse(&line) {
                Ok(frame) => frames.push(frame),
                // The last line, without its end: whoever wrote it was cut off.
                Err(Unreadable::CutShort) if line.last() != Some(&b'\n') => is_torn = true,
                Err(problem) => {
                    return Err(CaptureError::Line {
                        path: path.into(),
                        line: frames.len() + 1,
                        problem: problem.to_string(),
                    });
                }
            }
        }
        let is_cut_short = is_torn || lines.get_ref().get_ref().is_cut_short();
        Ok(Self {
            frames,
            is_cut_short,
            sent: Vec::new(),
        })
    }

    /// Reads a capture that is to be played: as [`Capture::read`], and it has a frame at least.
    pub fn read_to_play(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        if path.to_string_lossy().ends_with(SENT) {
            return Err(CaptureError::Sent { path: path.into() });
        }
        let capture = Self::read(path)?;
        if capture.frames.is_empty() {
            return Err(CaptureError::Empty { path: path.into() });
        }
        Ok(capture)
    }

    /// Reads what was sent meanwhile, for [`Capture::with_sent`], where the file that `feedwatch record` writes for that is still
    /// beside this one. Blocks while it reads.
    pub fn read_sent_beside(path: impl AsRef<Path>) -> Result<Option<Self>, CaptureError> {
        let name = path.as_ref().to_string_lossy();
        let Some(stem) = RECEIVED.iter().find_map(|end| name.strip_suffix(end)) else {
            return Ok(None);
        };
        match Self::read(format!("{stem}{SENT}")) {
            Err(CaptureError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// The same, and beside it what was sent on that connection: by this, it is known again. Only the first texts are kept.
    #[must_use]
    pub fn with_sent(mut self, sent: &Self) -> Self {
        let first = sent.frames.iter().take(MOST_SENT);
        self.sent = first.map(|frame| frame.payload().into()).collect();
        self
    }

    /// Whether that was sent on that connection.
    pub(super) fn was_sent(&self, said: &[u8]) -> bool {
        self.sent.iter().any(|sent| &**sent == said)
    }

    pub(super) const fn knows_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Whether its end is missing: its last line, or its last zstd frame, was not written to the end. So are recordings whose
    /// writer was killed; the frames up to there are whole.
    pub const fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// The frames, in the order in which they were received.
    pub fn frames(&self) -> &[CapturedFrame] {
        &self.frames
    }
}

impl FromIterator<CapturedFrame> for Capture {
    fn from_iter<I: IntoIterator<Item = CapturedFrame>>(frames: I) -> Self {
        Self {
            frames: frames.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl CapturedFrame {
    /// A text frame that was received at `at`: seconds since any fixed moment, where it is known.
    pub fn text(at: Option<f64>, payload: &str) -> Self {
        Self {
            at,
            message: Message::text(payload),
        }
    }

    /// A binary frame that was received at `at`.
    pub fn binary(at: Option<f64>, payload: &[u8]) -> Self {
        Self {
            at,
            message: Message::binary(payload.to_vec()),
        }
    }

    /// When it was received, in seconds since the Unix epoch, where the recording says so.
    pub const fn at(&self) -> Option<f64> {
        self.at
    }

    /// Whether it is a text frame; the others are binary.
    pub const fn is_text(&self) -> bool {
        matches!(self.message, Message::Text(_))
    }

    /// The payload, exactly.
    pub fn payload(&self) -> &[u8] {
        match &self.message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(payload) => payload,
            _ => &[], // neither constructor makes one
        }
    }

    pub(super) const fn message(&self) -> &Message {
        &self.message
    }
}

/// Opens a file. Who opens a pipe waits for its writer, perhaps for ever.
fn open(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?;
    // Reading tells of a folder what it is.
    if kind.is_file() || kind.is_dir() {
        File::open(path)
    } else {
        Err(io::Error::other("is a pipe, a socket or a device; must be a file"))
    }
}

/// A file, decompressed.
enum Plain {
    File(BufReader<File>),
    Zstd(Zstd<BufReader<File>>),
}

impl Plain {
    fn is_cut_short(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Zstd(zstd) => zstd.is_cut_short(),
        }
    }
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Zstd(zstd) => zstd.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    /// `{"t":1.5,"frame":"[]\n"}` and a line feed, compressed twice: two zstd frames, one after the other.
    const TWO_ZSTD_FRAMES: &str =
        "KLUv/QRYyQAAeyJ0IjoxLjUsImZyYW1lIjoiW11cbiJ9Cke7Wn0otS/9BFjJAAB7InQiOjEuNSwiZnJhbWUiOiJbXVxuIn0KR7tafQ==";

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("feedwatch-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn text_and_binary_frames_are_read_exactly() {
        let path = file(
            "exact.jsonl",
            b"{\"t\":1.25,\"frame\":\"[]\\n\"}\n{\"t\":null,\"frame_b64\":\"AP8=\"}\n",
        );
        let capture = Capture::read(&path).unwrap();
        assert_eq!(
            capture.frames(),
            [
                CapturedFrame::text(Some(1.25), "[]\n"),
                CapturedFrame::binary(None, &[0, 255])
            ]
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn compressed_frames_are_read_to_the_last() {
        let path = file("two.jsonl.zst", &BASE64.decode(TWO_ZSTD_FRAMES).unwrap());
        let capture = Capture::read(&path).unwrap();
        assert_eq!(capture.frames(), vec![CapturedFrame::text(Some(1.5), "[]\n"); 2]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_line_that_is_no_frame_is_an_error_that_names_it() {
        for (line, problem) in [
            ("{\"t\":1,\"connect\":\"wss://example.org\"}", "unknown field `connect`"),
            ("{\"t\":1}", "neither frame nor frame_b64"),
            (
                "{\"t\":1,\"frame\":\"\",\"frame_b64\":\"\"}",
                "both frame and frame_b64",
            ),
            ("{\"t\":1,\"frame_b64\":\"?\"}", "frame_b64 is not base64"),
            ("", "the line is empty"),
            ("  \r", "the line is empty"),
            ("{\"t\":1,", "EOF while parsing a value (column 7)"),
            ("{\"t\":1}}", "trailing characters (column 8)"),
            (
                "{\"t\":1e308,\"frame\":\"\"}",
                "t is 1e308; must be the Unix time in seconds",
            ),
        ] {
            let path = file("bad.jsonl", format!("{{\"t\":1,\"frame\":\"\"}}\n{line}\n").as_bytes());
            let message = Capture::read(&path).unwrap_err().to_string();
            let head = format!("{}:2: {problem}", path.display());
            assert!(message.starts_with(&head), "{message}");
            assert!(!message.contains(" at line "), "of the file: {message}");
            std::fs::remove_file(path).unwrap();
        }
        let missing = Capture::read("/nowhere/x.jsonl").unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/x.jsonl: "), "{missing}");
    }
}
