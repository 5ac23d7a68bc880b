//! Frames as they stand on the wire (RFC 6455, section 5.2): only those that the library would not send.

use super::fault::BadFrame;
use bytes::Bytes;
use std::iter;

const FINAL: u8 = 0x80;
const RESERVED_BIT: u8 = 0x40;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
/// Reserved for further kinds of data.
const NO_OPCODE: u8 = 0x3;
const PING: u8 = 0x9;
/// In the second byte.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// The most bytes of a control frame's payload (section 5.5).
const CONTROL_LIMIT: usize = 125;
/// Large payloads are written in pieces of this size.
const PIECE: usize = 64 * 1024;
/// A text that is right in itself.
const GOOD: &[u8] = br#"{"event_type":"new_market","market":"0x1"}"#;
/// As that, but for two bytes that are no UTF-8.
const NOT_UTF8: &[u8] = b"{\"event_type\":\"new_market\",\"market\":\"\xC3\x28\"}";

/// What is to be written, piece by piece.
pub(super) type Pieces = Box<dyn Iterator<Item = Bytes> + Send>;

/// A frame that is not allowed.
pub(super) fn bad(kind: BadFrame) -> Pieces {
    let frame = match kind {
        BadFrame::InvalidUtf8 => frame(FINAL | TEXT, NOT_UTF8),
        BadFrame::ReservedBit => frame(FINAL | RESERVED_BIT | TEXT, GOOD),
        BadFrame::Masked => masked(FINAL | TEXT, GOOD),
        BadFrame::Opcode => frame(FINAL | NO_OPCODE, GOOD),
        BadFrame::LongControl => frame(FINAL | PING, &[b'x'; CONTROL_LIMIT + 1]),
        BadFrame::FragmentedControl => frame(PING, b""),
        BadFrame::Continuation => frame(FINAL | CONTINUATION, GOOD),
    };
    Box::new(iter::once(Bytes::from(frame)))
}

/// A text of so many bytes, which is right but for its size.
pub(super) fn too_big(bytes: u64) -> Pieces {
    let piece = Bytes::from(vec![b' '; PIECE]);
    let (pieces, rest) = (bytes / PIECE as u64, bytes % PIECE as u64);
    let pieces = (0..pieces).map({
        let piece = piece.clone();
        move |_| piece.clone()
    });
    let rest = piece.slice(..usize::try_from(rest).unwrap_or(0)); // less than a piece
    Box::new(
        iter::once(head(FINAL | TEXT, bytes).into())
            .chain(pieces)
            .chain(iter::once(rest)),
    )
}

/// So many fragments of so many bytes, of a text that they do not end; small ones come many in a piece.
pub(super) fn endless_fragments(bytes: usize, fragments: u64) -> Pieces {
    let payload = vec![b' '; bytes];
    let first = Bytes::from(frame(TEXT, &payload));
    let next = frame(CONTINUATION, &payload);
    let in_a_piece = (PIECE / next.len()).max(1);
    let (others, size) = (fragments.saturating_sub(1), in_a_piece as u64);
    let piece = Bytes::from(next.repeat(in_a_piece));
    let rest = usize::try_from(others % size).unwrap_or(0); // less than a piece has
    let rest = piece.slice(..rest * next.len());
    let pieces = (0..others / size).map(move |_| piece.clone());
    Box::new(iter::once(first).chain(pieces).chain(iter::once(rest)))
}

/// The first part of a text.
pub(super) fn part() -> Vec<u8> {
    let mut frame = frame(FINAL | TEXT, GOOD);
    frame.truncate(frame.len() / 2);
    frame
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len() as u64);
    if let Some(second) = frame.get_mut(1) {
        *second |= MASKED;
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What comes before a payload of so many bytes.
fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => head.push(length),
        (_, Ok(length)) => {
            head.push(126);
            head.extend(length.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend(length.to_be_bytes());
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
    use tokio_tungstenite::tungstenite::{Error, Message};

    const LIMIT: usize = 1 << 20;

    fn bytes(pieces: Pieces) -> Vec<u8> {
        pieces.flatten().collect()
    }

    /// What a client reads.
    fn read(bytes: Vec<u8>) -> Result<Message, Error> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(LIMIT))
            .max_frame_size(Some(LIMIT));
        WebSocket::from_raw_socket(Cursor::new(bytes), Role::Client, Some(config)).read()
    }

    #[test]
    fn each_bad_frame_is_wrong_in_its_own_way() {
        assert!(matches!(read(bytes(bad(BadFrame::InvalidUtf8))), Err(Error::Utf8(_))));
        for (kind, wrong) in [
            (BadFrame::ReservedBit, ProtocolError::NonZeroReservedBits),
            (BadFrame::Masked, ProtocolError::MaskedFrameFromServer),
            (BadFrame::Opcode, ProtocolError::InvalidOpcode(3)),
            (BadFrame::LongControl, ProtocolError::ControlFrameTooBig),
            (BadFrame::FragmentedControl, ProtocolError::FragmentedControlFrame),
            (BadFrame::Continuation, ProtocolError::UnexpectedContinueFrame),
        ] {
            match read(bytes(bad(kind))) {
                Err(Error::Protocol(error)) => assert_eq!(error, wrong),
                other => panic!("{kind:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_frame_has_the_size_that_its_head_says() {
        for size in [1, 125, 126, 65_535, 65_536, 65_537, LIMIT] {
            let message = read(bytes(too_big(size as u64))).unwrap();
            assert_eq!(message.len(), size);
        }
        let too_long = read(bytes(too_big(LIMIT as u64 + 1)));
        assert!(
            matches!(too_long, Err(Error::Capacity(CapacityError::MessageTooLong { size, .. })) if size == LIMIT + 1)
        );
    }

    #[test]
    fn endless_fragments_do_not_end_and_are_as_many_as_asked_for() {
        for (size, head, count) in [(0, 2, 70_001), (1, 2, 1), (1000, 4, 3), (PIECE, 10, 3)] {
            let fragments = bytes(endless_fragments(size, count as u64));
            assert_eq!(fragments.len(), count * (head + size));
            assert!(fragments.starts_with(&[TEXT]));
        }
        let fragments = bytes(endless_fragments(1000, 3));
        let left_open = |read| matches!(read, Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)));
        assert!(left_open(read(fragments)));
        let too_long = read(bytes(endless_fragments(PIECE, 17)));
        assert!(matches!(too_long, Err(Error::Capacity(_))), "{too_long:?}");
        assert!(left_open(read(part())));
    }
}
