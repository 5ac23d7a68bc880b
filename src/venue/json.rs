//! A reader of JSON for the hot path: strict where it reads, and quick, since it gives up whatever is rare.
//!
//! All that it accepts is JSON (RFC 8259), also what it skips. It gives up escapes, line breaks, deep nesting, and everything that
//! is wrong: who is answered `None` asks a full reader, which knows what it is.

#![allow(clippy::inline_always, reason = "a call costs as much as what is called")]

mod pairs;
mod special;

pub(super) use pairs::Pairs;
use special::Specials;

/// As deep as it goes.
const DEEPEST: u32 = 16;

/// A place in a text.
pub(super) struct Cursor<'f> {
    text: &'f str,
    at: usize,
    /// Those from `at` on.
    specials: Specials<'f>,
}

impl<'f> Cursor<'f> {
    pub(super) fn new(text: &'f str) -> Self {
        Self {
            text,
            at: 0,
            specials: Specials::new(text.as_bytes()),
        }
    }

    /// The next byte that is no blank.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if byte != b' ' {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Goes past this byte, if it comes next but for blanks. Not a quotation mark.
    #[inline(always)]
    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        // A branch, which is foreseen; a sum would have to wait for the byte.
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Goes past these bytes, if they come next, of which so many are quotation marks.
    #[inline(always)]
    pub(super) fn take_exactly<const N: usize, const QUOTES: usize>(&mut self, bytes: &[u8; N]) -> Option<()> {
        let next = self.text.as_bytes().get(self.at..)?.first_chunk::<N>()?;
        if next != bytes {
            return None;
        }
        self.at += N;
        for _ in 0..QUOTES {
            self.specials.next()?;
        }
        Some(())
    }

    /// Whether nothing but blanks is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// A string without escapes.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Option<&'f str> {
        if self.peek()? != b'"' {
            return None;
        }
        self.specials.next()?;
        let begin = self.at + 1;
        self.at = begin;
        self.skip_rest_of_string()?;
        self.text.get(begin..self.at - 1)
    }

    /// Goes past what is left of a string after its first quotation mark, if there is no escape in it.
    #[inline(always)]
    pub(super) fn skip_rest_of_string(&mut self) -> Option<()> {
        let end = self.specials.next()?;
        self.at = end + 1;
        (self.text.as_bytes().get(end) == Some(&b'"')).then_some(())
    }

    /// The name of the next member of an object: the cursor stands before its value. The inner `None` = the object is over.
    #[inline(always)]
    #[allow(clippy::option_option, reason = "given up, over, or a name")]
    pub(super) fn name(&mut self, is_first: bool) -> Option<Option<&'f str>> {
        if !self.goes_on(is_first, b'}')? {
            return Some(None);
        }
        let name = self.string()?;
        self.take(b':')?;
        Some(Some(name))
    }

    /// Whether a list or an object has another member, which is next; otherwise it is over, and the cursor is behind it.
    #[inline(always)]
    pub(super) fn goes_on(&mut self, is_first: bool, end: u8) -> Option<bool> {
        if self.take(end).is_some() {
            return Some(false);
        }
        if !is_first {
            self.take(b',')?;
            // Nothing may end behind a comma.
            if self.peek()? == end {
                return None;
            }
        }
        Some(true)
    }

    /// Goes past any value.
    #[inline(always)]
    pub(super) fn skip(&mut self) -> Option<()> {
        // A string, mostly.
        if self.peek()? == b'"' {
            self.take_exactly::<1, 1>(b"\"")?;
            return self.skip_rest_of_string();
        }
        self.skip_value(DEEPEST)
    }

    fn skip_value(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => {
                self.take_exactly::<1, 1>(b"\"")?;
                self.skip_rest_of_string()
            }
            b'{' => self.skip_members(depth.checked_sub(1)?),
            b'[' => self.skip_list(depth.checked_sub(1)?),
            b't' => self.take_exactly::<4, 0>(b"true"),
            b'f' => self.take_exactly::<5, 0>(b"false"),
            b'n' => self.take_exactly::<4, 0>(b"null"),
            _ => self.skip_number(),
        }
    }

    fn skip_members(&mut self, depth: u32) -> Option<()> {
        self.take(b'{')?;
        let mut is_first = true;
        while self.name(is_first)?.is_some() {
            self.skip_value(depth)?;
            is_first = false;
        }
        Some(())
    }

    fn skip_list(&mut self, depth: u32) -> Option<()> {
        self.take(b'[')?;
        let mut is_first = true;
        while self.goes_on(is_first, b']')? {
            self.skip_value(depth)?;
            is_first = false;
        }
        Some(())
    }

    /// Goes past a list of pairs; of what is no such list, as past any value.
    pub(super) fn skip_pairs<const N: usize, const M: usize>(&mut self, form: &Pairs<N, M>) -> Option<()> {
        if self.take(b'[').is_none() {
            return self.skip();
        }
        let rest = self.text.as_bytes().get(self.at..)?;
        let pairs = form.skip(rest);
        self.at += pairs.bytes;
        self.specials.seek(self.at);
        if pairs.is_over {
            return Some(());
        }
        let mut is_first = true;
        if pairs.bytes > 0 {
            // What stands behind a comma, and in another form.
            self.skip_value(DEEPEST)?;
            is_first = false;
        }
        while self.goes_on(is_first, b']')? {
            self.skip_value(DEEPEST)?;
            is_first = false;
        }
        Some(())
    }

    fn skip_number(&mut self) -> Option<()> {
        let _ = self.take_exactly::<1, 0>(b"-");
        if self.take_exactly::<1, 0>(b"0").is_none() {
            self.skip_digits()?;
        }
        if self.take_exactly::<1, 0>(b".").is_some() {
            self.skip_digits()?;
        }
        if self.take_one_of(*b"eE") {
            self.take_one_of(*b"+-");
            self.skip_digits()?;
        }
        Some(())
    }

    fn take_one_of(&mut self, bytes: [u8; 2]) -> bool {
        let next = self.text.as_bytes().get(self.at);
        let found = next.is_some_and(|next| bytes.contains(next));
        self.at += usize::from(found);
        found
    }

    /// A number that is nothing but digits.
    #[inline(always)]
    pub(super) fn digits(&mut self) -> Option<&'f str> {
        self.peek()?;
        let begin = self.at;
        self.skip_digits()?;
        // What follows may make it another number.
        let is_over = matches!(self.text.as_bytes().get(self.at), Some(b',' | b'}' | b']' | b' '));
        is_over.then(|| self.text.get(begin..self.at))?
    }

    /// At least one.
    fn skip_digits(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        (digits > 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn is_skipped(text: &str) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.skip().is_some() && cursor.is_at_end()
    }

    #[test]
    fn every_kind_of_value_is_skipped() {
        for text in [
            "\"\"",
            "\"seven c\"",
            "\"eight ch\"",
            "\"more than eight, and not ASCII: ü€\"",
            " [ ] ",
            "[1, -2.5,3e7, 4E-7, 0, 0.0, 1e+2]",
            "{\"a\":{\"b\":[true,false,null,{}]}, \"c\" : \"d\"} ",
        ] {
            assert!(is_skipped(text), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_or_rare_is_given_up() {
        for text in [
            "",
            "\"",
            "\"abc",
            "\"abcdefgh",
            "\"a\\n\"",
            "\"a\u{1}\"",
            "\"a\nb\"",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1]]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{,\"a\":1}",
            "{\"a\" 1}",
            "{1:1}",
            "{\"a\":1]",
            "[1}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "[1,\n2]",
            "[]\n",
            "tru",
            "nul",
            "truefalse",
            "ü",
        ] {
            assert!(!is_skipped(text), "{text}");
        }
        assert!(is_skipped(&("[".repeat(16) + &"]".repeat(16))));
        assert!(!is_skipped(&("[".repeat(17) + &"]".repeat(17))), "too deep");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_json(text in "[\\[\\]{}\",:0-9.eE+\\- atrufalsn\\\\ü\n]{0,40}") {
            if is_skipped(&text) {
                prop_assert!(serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{text}");
            }
        }

        #[test]
        fn json_without_escapes_is_accepted(number in any::<f64>(), text in "[ !#-\\[\\]-~ü]{0,30}", flag in any::<bool>()) {
            let number = if number.is_finite() { number } else { 0.0 };
            let json = serde_json::json!([number, {text.clone(): [text, flag, null]}]).to_string();
            prop_assert!(is_skipped(&json), "{json}");
        }
    }
}
