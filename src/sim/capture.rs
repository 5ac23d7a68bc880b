//! Recorded frames, as read from a capture file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use tokio_tungstenite::tungstenite::Message;

/// A capture holds at most so many bytes, uncompressed.
const MAX_BYTES: u64 = 1 << 30;

/// The frames that one connection received, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capture {
    frames: Vec<CapturedFrame>,
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
    /// The file is larger than a capture may be.
    #[error("{}: more than {MAX_BYTES} bytes", path.display())]
    TooBig {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    t: Option<f64>,
    frame: Option<String>,
    frame_b64: Option<String>,
}

impl Capture {
    /// Reads a capture: a line `{"t": <seconds or null>, "frame": "<text>"}` a frame, or `frame_b64` for a binary one. A
    /// file whose name ends in `.zst` is decompressed. Every line must be a frame. Blocks while it reads.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let on_io = |source| CaptureError::Io {
            path: path.into(),
            source,
        };
        let file = BufReader::new(File::open(path).map_err(on_io)?);
        let plain: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "zst") {
            Box::new(Zstd::new(file))
        } else {
            Box::new(file)
        };
        let mut lines = BufReader::new(plain.take(MAX_BYTES));
        let (mut frames, mut text, mut bytes) = (Vec::new(), String::new(), 0_u64);
        loop {
            text.clear();
            match lines.read_line(&mut text).map_err(on_io)? {
                0 => return Ok(Self { frames }),
                length => bytes += length as u64,
            }
            if bytes >= MAX_BYTES {
                return Err(CaptureError::TooBig { path: path.into() });
            }
            let frame = CapturedFrame::parse(&text).map_err(|problem| CaptureError::Line {
                path: path.into(),
                line: frames.len() + 1,
                problem,
            })?;
            frames.push(frame);
        }
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

    fn parse(line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match (line.frame, line.frame_b64) {
            (Some(text), None) => Ok(Self::text(line.t, &text)),
            (None, Some(encoded)) => {
                let payload = BASE64
                    .decode(encoded)
                    .map_err(|error| format!("frame_b64 is not base64: {error}"))?;
                Ok(Self::binary(line.t, &payload))
            }
            (None, None) => Err("neither frame nor frame_b64".into()),
            (Some(_), Some(_)) => Err("both frame and frame_b64".into()),
        }
    }
}

/// Decompresses zstd frames one after another: the library's decoder ends with the first.
struct Zstd<R: Read> {
    state: ZstdState<R>,
}

enum ZstdState<R: Read> {
    Between(R),
    Within(Box<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Failed,
}

impl<R: BufRead> Zstd<R> {
    const fn new(source: R) -> Self {
        Self {
            state: ZstdState::Between(source),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, ZstdState::Failed) {
                ZstdState::Failed => return Err(io::Error::other("reading went on after an error")),
                ZstdState::Between(mut source) => {
                    if source.fill_buf()?.is_empty() {
                        self.state = ZstdState::Between(source);
                        return Ok(0);
                    }
                    let decoder = ruzstd::decoding::StreamingDecoder::new(source).map_err(io::Error::other)?;
                    self.state = ZstdState::Within(Box::new(decoder));
                }
                ZstdState::Within(mut decoder) => {
                    let length = decoder.read(buffer)?;
                    if length > 0 || buffer.is_empty() {
                        self.state = ZstdState::Within(decoder);
                        return Ok(length);
                    }
                    self.state = ZstdState::Between(decoder.into_inner());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("", "EOF while parsing"),
        ] {
            let path = file("bad.jsonl", format!("{{\"t\":1,\"frame\":\"\"}}\n{line}\n").as_bytes());
            let message = Capture::read(&path).unwrap_err().to_string();
            let head = format!("{}:2: {problem}", path.display());
            assert!(message.starts_with(&head), "{message}");
            std::fs::remove_file(path).unwrap();
        }
        let missing = Capture::read("/nowhere/x.jsonl").unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/x.jsonl: "), "{missing}");
    }
}
