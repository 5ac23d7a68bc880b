//! zstd: one frame of it after another.

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

/// As one zstd frame, which can be read without what stands before it.
pub(crate) fn compress(plain: &[u8]) -> Vec<u8> {
    // The only level that the library has.
    compress_to_vec(plain, CompressionLevel::Fastest)
}

/// Decompresses zstd frames one after another: the library's decoder ends with the first. Where the last one has no end, it ends
/// with what can be read of it.
pub(super) struct Zstd<R: Read> {
    state: State<R>,
    /// Whether the file was at its end when more of a frame was wanted.
    ran_out: Rc<Cell<bool>>,
}

enum State<R: Read> {
    Between(Noting<R>),
    Within(Box<StreamingDecoder<Noting<R>, FrameDecoder>>),
    CutShort,
    Failed,
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(source: R) -> Self {
        let ran_out = Rc::new(Cell::new(false));
        let source = Noting {
            source,
            ran_out: ran_out.clone(),
        };
        Self {
            state: State::Between(source),
            ran_out,
        }
    }

    /// Whether the last frame has no end; known at the end.
    pub(super) const fn is_cut_short(&self) -> bool {
        matches!(self.state, State::CutShort)
    }

    /// An error at the very end of the file says that there should be more of it.
    fn failed(&mut self, error: io::Error) -> io::Result<usize> {
        if self.ran_out.get() {
            self.state = State::CutShort;
            return Ok(0);
        }
        Err(error)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Failed => return Err(io::Error::other("reading went on after an error")),
                State::CutShort => {
                    self.state = State::CutShort;
                    return Ok(0);
                }
                State::Between(mut source) => {
                    if source.source.fill_buf()?.is_empty() {
                        self.state = State::Between(source);
                        return Ok(0);
                    }
                    match StreamingDecoder::new(source) {
                        Ok(decoder) => self.state = State::Within(Box::new(decoder)),
                        Err(error) => return self.failed(io::Error::other(error)),
                    }
                }
                State::Within(mut decoder) => match decoder.read(buffer) {
                    Ok(0) if !buffer.is_empty() => self.state = State::Between(decoder.into_inner()),
                    Ok(length) => {
                        self.state = State::Within(decoder);
                        return Ok(length);
                    }
                    Err(error) => return self.failed(error),
                },
            }
        }
    }
}

/// Notes that its source had no more to give.
struct Noting<R> {
    source: R,
    ran_out: Rc<Cell<bool>>,
}

impl<R: Read> Read for Noting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        if length == 0 && !buffer.is_empty() {
            self.ran_out.set(true);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(compressed: &[u8]) -> (io::Result<Vec<u8>>, bool) {
        let mut zstd = Zstd::new(compressed);
        let mut plain = Vec::new();
        let read = zstd.read_to_end(&mut plain).map(|_| plain);
        (read, zstd.is_cut_short())
    }

    /// Text with repetitions, of more than one block.
    fn text() -> Vec<u8> {
        let mut text = Vec::new();
        for number in 0..12_000_u64 {
            let line = format!("{{\"price\":\"0.{}\",\"size\":\"{number}\"}}\n", number * 7919 % 1000);
            text.extend_from_slice(line.as_bytes());
        }
        assert!(text.len() > 256 * 1024);
        text
    }

    #[test]
    fn what_is_compressed_is_smaller_and_read_again() {
        let text = text();
        let compressed = compress(&text);
        assert!(compressed.len() < text.len() / 2, "{}", compressed.len());
        assert_eq!(read(&compressed).0.unwrap(), text);
        assert_eq!(read(&compress(b"")).0.unwrap(), b"");
    }

    #[test]
    fn a_frame_without_its_end_is_read_up_to_there() {
        let (first, second) = (text(), b"the second frame, which is short".to_vec());
        let mut compressed = compress(&first);
        let begins = compressed.len();
        compressed.extend(compress(&second));
        let whole = [first.clone(), second].concat();
        for end in begins..=compressed.len() {
            let (plain, is_cut_short) = read(&compressed[..end]);
            let plain = plain.unwrap();
            assert!(plain.len() >= first.len() && whole.starts_with(&plain), "{end}");
            assert_eq!(is_cut_short, end != begins && end != compressed.len(), "{end}");
        }
    }

    #[test]
    fn a_damaged_frame_is_an_error() {
        let mut compressed = compress(b"one");
        compressed.extend_from_slice(b"this is no zstd frame at all");
        let (read, is_cut_short) = read(&compressed);
        assert!(read.is_err() && !is_cut_short);
    }
}
