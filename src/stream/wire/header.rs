//! Where frames begin and end (RFC 6455, section 5.2), and where the answer to an upgrade ends. Pure.

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const MASKED: u8 = 0x80;

/// The beginning of a frame.
#[derive(Clone, Copy)]
pub(super) struct Header {
    /// FIN, the reserved bits and the opcode.
    first: u8,
    is_masked: bool,
    /// How long the header is, with the mask.
    length: u64,
    /// How long the payload is.
    payload: u64,
}

impl Header {
    /// `None` where there is not enough of it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (extended, payload) = match second & !MASKED {
            126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
            short => (0, u64::from(short)),
        };
        let is_masked = second & MASKED != 0;
        Some(Self {
            first,
            is_masked,
            length: 2 + extended + if is_masked { 4 } else { 0 },
            payload,
        })
    }

    /// With its payload.
    pub(super) const fn frame_length(&self) -> u64 {
        self.length.saturating_add(self.payload)
    }

    /// The lengths of header and payload of a text message in a single frame, as a server may send it; `None` of anything
    /// else, and where they exceed `most` bytes.
    pub(super) fn whole_text(&self, most: usize) -> Option<(usize, usize)> {
        let is_whole_text = self.first == FIN | TEXT && !self.is_masked;
        if !is_whole_text || self.frame_length() > most as u64 {
            return None;
        }
        Some((usize::try_from(self.length).ok()?, usize::try_from(self.payload).ok()?))
    }

    /// Whether a message ends with it; `None` of a control frame, which belongs to none.
    pub(super) const fn ends_message(&self) -> Option<bool> {
        let is_control = self.first & 0x08 != 0;
        if is_control { None } else { Some(self.first & FIN != 0) }
    }
}

/// The length of the head of an HTTP message, with the empty line that ends it; `None` where that has not come. It is known not to
/// end in the first `looked` bytes: of a head that comes byte by byte each is looked at once.
pub(super) fn head_length(bytes: &[u8], looked: usize) -> Option<usize> {
    let is_end = |at: &usize| matches!(bytes.get(..*at), Some([.., b'\n', b'\n'] | [.., b'\n', b'\r', b'\n']));
    (looked.max(2)..=bytes.len()).find(is_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(bytes: &[u8]) -> Option<(u64, u64)> {
        Header::parse(bytes).map(|header| (header.frame_length(), header.payload))
    }

    #[test]
    fn a_header_is_as_long_as_its_payload_wants_it() {
        assert_eq!(lengths(&[0x81, 0]), Some((2, 0)));
        assert_eq!(lengths(&[0x81, 125]), Some((127, 125)));
        assert_eq!(lengths(&[0x81, 126, 1, 2]), Some((4 + 258, 258)));
        assert_eq!(
            lengths(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            Some((10 + 65_536, 65_536))
        );
        assert_eq!(lengths(&[0x81, 0x80 | 5]), Some((6 + 5, 5)), "masked");
        let huge = [0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(lengths(&huge), Some((u64::MAX, u64::MAX)));
        for cut in [&[][..], &[0x81], &[0x81, 126, 1], &huge[..9]] {
            assert_eq!(lengths(cut), None);
        }
    }

    #[test]
    fn only_a_text_in_one_frame_of_a_server_is_one() {
        for (first, second, is_text) in [
            (0x81, 3, true),
            (0x81, 0x83, false),
            (0x01, 3, false),
            (0x80, 3, false),
            (0x82, 3, false),
            (0xc1, 3, false),
            (0xa1, 3, false),
            (0x91, 3, false),
            (0x88, 3, false),
            (0x89, 3, false),
        ] {
            let header = Header::parse(&[first, second]).unwrap();
            assert_eq!(header.whole_text(5), is_text.then_some((2, 3)), "{first:x}");
            assert_eq!(header.whole_text(4), None, "too large");
        }
        let ends = |first| Header::parse(&[first, 0]).unwrap().ends_message();
        assert_eq!(ends(0x01), Some(false));
        assert_eq!(ends(0x80), Some(true));
        assert_eq!(ends(0x89), None);
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for looked in [0, 21, 22] {
            let head = b"HTTP/1.1 101\r\na: b\r\n\r\n\x81\x00";
            assert_eq!(head_length(head, looked), Some(22));
        }
        assert_eq!(head_length(b"HTTP/1.1 101\na: b\n\nxx", 0), Some(19));
        assert_eq!(head_length(b"HTTP/1.1 101\r\na: b\r\n\r", 21), None);
        assert_eq!(head_length(b"", 0), None);
    }
}
