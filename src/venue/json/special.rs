//! Finds the bytes of which each ends what can be read of a string: quotation marks, backslashes and control characters.

use wide::{CmpEq, CmpLt, i8x16};

/// So many bytes are looked at together.
const BLOCK: usize = 64;
/// The same of one register.
pub(super) const LANES: usize = 16;

/// The positions of special bytes, in their order.
///
/// Where the next one is does not depend on what was made of the last one, so that a processor looks for it ahead.
pub(super) struct Specials<'f> {
    bytes: &'f [u8],
    /// Where the block begins.
    block: usize,
    /// A bit for each special byte of the block that has not been told.
    left: u64,
}

impl<'f> Specials<'f> {
    pub(super) fn new(bytes: &'f [u8]) -> Self {
        Self {
            bytes,
            block: 0,
            left: specials(bytes),
        }
    }

    /// The next one is looked for from there on.
    pub(super) fn seek(&mut self, at: usize) {
        self.block = at;
        self.left = specials(self.bytes.get(at..).unwrap_or_default());
    }

    /// The next one.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            self.block += BLOCK;
            self.left = specials(self.bytes.get(self.block..)?);
        }
        let at = self.block + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(at)
    }
}

/// A bit for each special byte of the first block of these bytes. None is set for what is behind their end.
#[inline(always)]
fn specials(bytes: &[u8]) -> u64 {
    if let Some(block) = bytes.first_chunk() {
        return of_block(block);
    }
    let mut block = [b' '; BLOCK];
    if let Some(part) = block.get_mut(..bytes.len()) {
        part.copy_from_slice(bytes);
    }
    of_block(&block)
}

#[inline(always)]
fn of_block(block: &[u8; BLOCK]) -> u64 {
    let (chunks, _) = block.as_chunks::<LANES>();
    let bits = chunks
        .iter()
        .zip([0, 16, 32, 48])
        .map(|(chunk, shift)| u64::from(of_chunk(chunk)) << shift);
    bits.fold(0, |all, bits| all | bits)
}

/// A bit for each special byte.
#[inline(always)]
pub(super) fn of_chunk(chunk: &[u8; LANES]) -> u16 {
    let bytes = i8x16::new(chunk.map(u8::cast_signed));
    let is_quote = bytes.cmp_eq(i8x16::splat(b'"'.cast_signed()));
    let is_backslash = bytes.cmp_eq(i8x16::splat(b'\\'.cast_signed()));
    // There is only a signed comparison: shifted by half of the range, it is that of unsigned bytes.
    let shifted = bytes ^ i8x16::splat(i8::MIN);
    let is_control = shifted.cmp_lt(i8x16::splat(i8::MIN + 0x20));
    let [low, high, ..] = (is_quote | is_backslash | is_control).move_mask().to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_special_byte_is_found(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b' ')], 0..300)) {
            let mut specials = Specials::new(&bytes);
            let found: Vec<_> = std::iter::from_fn(|| specials.next()).collect();
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            let all: Vec<_> = (0..bytes.len()).filter(|at| is_special(&bytes[*at])).collect();
            prop_assert_eq!(found, all);
        }
    }
}
