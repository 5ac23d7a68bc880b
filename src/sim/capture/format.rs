//! A line of a capture, read and written.

use super::CapturedFrame;
use crate::clock::unix_seconds;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The latest time that a line may have, in seconds: whoever writes milliseconds is far beyond it.
const LATEST: f64 = 1e11;

/// Why a line is no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// What there is of it is right.
    #[error("the line is cut short")]
    CutShort,
    #[error("{0}")]
    Wrong(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    t: Option<f64>,
    frame: Option<String>,
    frame_b64: Option<String>,
}

impl CapturedFrame {
    /// From a line, with or without its line feed.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Unreadable> {
        let wrong = |problem: String| Unreadable::Wrong(problem);
        let line = match std::str::from_utf8(line) {
            Ok(line) => line,
            Err(error) if error.error_len().is_none() => return Err(Unreadable::CutShort),
            Err(error) => return Err(wrong(error.to_string())),
        };
        if line.ends_with('\n') && line.trim_ascii().is_empty() {
            return Err(wrong("the line is empty".into()));
        }
        let line: Line = serde_json::from_str(line.trim_end_matches('\n')).map_err(|error| {
            // Of a line that ends, this is a mistake like others.
            if error.is_eof() && !line.ends_with('\n') {
                Unreadable::CutShort
            } else {
                wrong(without_line(&error))
            }
        })?;
        if let Some(at) = line.t.filter(|at| at.abs() > LATEST) {
            // This form is short whatever the number.
            return Err(wrong(format!("t is {at:?}; must be the Unix time in seconds")));
        }
        match (line.frame, line.frame_b64) {
            (Some(text), None) => Ok(Self::text(line.t, &text)),
            (None, Some(encoded)) => {
                let payload = BASE64
                    .decode(encoded)
                    .map_err(|error| wrong(format!("frame_b64 is not base64: {error}")))?;
                Ok(Self::binary(line.t, &payload))
            }
            (None, None) => Err(wrong("neither frame nor frame_b64".into())),
            (Some(_), Some(_)) => Err(wrong("both frame and frame_b64".into())),
        }
    }
}

/// What is wrong, and the column: the error counts lines from this one.
fn without_line(error: &serde_json::Error) -> String {
    let (told, column) = (error.to_string(), error.column());
    let place = format!(" at line {} column {column}", error.line());
    match told.strip_suffix(&place) {
        Some(what) => format!("{what} (column {column})"),
        None => told,
    }
}

/// Appends the line of a frame that passed at `at`, with its line feed. The time is exact to the microsecond.
pub(crate) fn write_line(at: SystemTime, is_text: bool, payload: &[u8], to: &mut Vec<u8>) {
    // Writing to a vector never fails.
    let _ = match at.duration_since(UNIX_EPOCH) {
        Ok(since) => write!(to, "{{\"t\":{}.{:06}", since.as_secs(), since.subsec_micros()),
        Err(_) => write!(to, "{{\"t\":{}", unix_seconds(at)),
    };
    match std::str::from_utf8(payload) {
        Ok(text) if is_text => {
            to.extend_from_slice(b",\"frame\":");
            let _ = serde_json::to_writer(&mut *to, text);
        }
        _ => {
            let _ = write!(to, ",\"frame_b64\":\"{}\"", BASE64.encode(payload));
        }
    }
    to.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn line(at: SystemTime, is_text: bool, payload: &[u8]) -> String {
        let mut line = Vec::new();
        write_line(at, is_text, payload, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_what_the_format_says() {
        let at = UNIX_EPOCH + Duration::new(1_700_000_000, 1_234_999);
        assert_eq!(
            line(at, true, b"[]\n"),
            "{\"t\":1700000000.001234,\"frame\":\"[]\\n\"}\n"
        );
        assert_eq!(
            line(at, false, b"[]\n"),
            "{\"t\":1700000000.001234,\"frame_b64\":\"W10K\"}\n"
        );
        let before = UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(line(before, true, b""), "{\"t\":-1.5,\"frame\":\"\"}\n");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again_exactly(text in ".*", binary: Vec<u8>, micros in 0..4_000_000_000_000_000_u64) {
            let at = UNIX_EPOCH + Duration::from_micros(micros);
            let seconds = Some(unix_seconds(at));
            let frame = CapturedFrame::parse(line(at, true, text.as_bytes()).as_bytes()).unwrap();
            proptest::prop_assert_eq!(frame, CapturedFrame::text(seconds, &text));
            let frame = CapturedFrame::parse(line(at, false, &binary).as_bytes()).unwrap();
            proptest::prop_assert_eq!(frame, CapturedFrame::binary(seconds, &binary));
        }

        #[test]
        fn a_part_of_a_line_is_cut_short_and_never_another_frame(text in ".*", cut: proptest::sample::Index) {
            let at = UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
            let line = line(at, true, text.as_bytes());
            let whole = line.trim_end_matches('\n').len();
            let part = &line.as_bytes()[..cut.index(whole)];
            proptest::prop_assert!(matches!(CapturedFrame::parse(part), Err(Unreadable::CutShort)));
        }
    }
}
