//! Lists of pairs of short strings, which is what the sides of order books are, and most of the bytes of a venue.

use super::special::{LANES, of_chunk};

/// How each pair is written: `open`, the first string, a comma, `between`, the second string, `close`. Both strings begin and end
/// with quotation marks, of which those that begin them are part of `open` and `between`.
pub(in crate::venue) struct Pairs<const N: usize, const M: usize> {
    pub(in crate::venue) open: &'static [u8; N],
    pub(in crate::venue) between: &'static [u8; M],
    pub(in crate::venue) close: u8,
}

/// What was skipped.
pub(super) struct Skipped {
    pub(super) bytes: usize,
    /// The list is over. Otherwise its next member is in another form, or there is none.
    pub(super) is_over: bool,
}

impl<const N: usize, const M: usize> Pairs<N, M> {
    /// Goes past the pairs of a list that begins there, behind its bracket.
    pub(super) fn skip(&self, list: &[u8]) -> Skipped {
        // A venue writes a blank after each comma, or after none.
        let compact = self.skip_all::<2>(list, *b"\",");
        if compact.bytes > 0 {
            return compact;
        }
        self.skip_all::<3>(list, *b"\", ")
    }

    fn skip_all<const C: usize>(&self, list: &[u8], comma: [u8; C]) -> Skipped {
        let mut rest = list;
        let mut length = 4;
        let is_over = loop {
            let Some((after, is_last)) = self.skip_one(rest, comma, &mut length) else {
                break false;
            };
            rest = after;
            if is_last {
                break true;
            }
        };
        Skipped {
            bytes: list.len() - rest.len(),
            is_over,
        }
    }

    /// What follows a pair and its comma, or its bracket if it is the last one. `length`: that of the first string of the pair
    /// before. A quotation mark stands before the comma.
    #[inline(always)]
    fn skip_one<'f, const C: usize>(
        &self,
        list: &'f [u8],
        comma: [u8; C],
        length: &mut u32,
    ) -> Option<(&'f [u8], bool)> {
        let rest = past(list, self.open)?;
        // Prices are mostly as long as their neighbours. Where that is foreseen, nothing has to wait for their end.
        let special = u32::from(of_chunk(rest.first_chunk::<LANES>()?));
        let foreseen = 1 << *length;
        if special & (foreseen | (foreseen - 1)) != foreseen {
            *length = end(special)?;
        }
        let rest = past(rest.get(*length as usize..)?, &comma)?;
        let rest = past(rest, self.between)?;
        let special = u32::from(of_chunk(rest.first_chunk::<LANES>()?));
        let rest = rest.get(end(special)? as usize..)?;
        let [b'"', close, rest @ ..] = rest else {
            return None;
        };
        if *close != self.close {
            return None;
        }
        if let [b']', rest @ ..] = rest {
            return Some((rest, true));
        }
        let (_, comma) = comma.split_first()?;
        Some((rest.strip_prefix(comma)?, false))
    }
}

/// Where the string ends; `None` where that is not to be seen.
#[inline(always)]
fn end(special: u32) -> Option<u32> {
    (special != 0).then(|| special.trailing_zeros())
}

#[inline(always)]
fn past<'f, const N: usize>(bytes: &'f [u8], these: &[u8; N]) -> Option<&'f [u8]> {
    let (next, rest) = bytes.split_first_chunk::<N>()?;
    (next == these).then_some(rest)
}
