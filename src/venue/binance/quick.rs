//! Reads the events that nearly all are: flat objects with short names, alone or within the name of their stream. One pass, in
//! which every byte is looked at. Whatever is rare or wrong is left to the full reader.

use super::decode::Event;
use crate::venue::json::{Cursor, Pairs};

/// A side of a book.
const LEVELS: Pairs<2, 1> = Pairs {
    open: br#"[""#,
    between: br#"""#,
    close: b']',
};

/// More digits may not fit.
const DIGITS: usize = 18;

/// An event, and the name of its stream. `None`: something else than that was met.
pub(super) fn read(text: &str) -> Option<(Option<&str>, Event<'_>)> {
    let mut cursor = Cursor::new(text);
    let mut wrapped = None;
    let outer = object(&mut cursor, Some(&mut wrapped))?;
    if !cursor.is_at_end() {
        return None;
    }
    Some(match wrapped {
        Some(event) => (outer.stream, event),
        None => (None, outer),
    })
}

/// An object; what it wraps goes into `wrapped`, where it may wrap anything.
fn object<'f>(cursor: &mut Cursor<'f>, wrapped: Option<&mut Option<Event<'f>>>) -> Option<Event<'f>> {
    cursor.take(b'{')?;
    let mut event = Event::default();
    let mut wrapped = wrapped;
    let mut met = 0_u16;
    while let Some(name) = cursor.name(met == 0)? {
        // The first bit says that this is not the first member; each other one, that such a member was there.
        let bit = match name {
            "e" => 1,
            "E" => 2,
            "s" => 3,
            "U" => 4,
            "u" => 5,
            "pu" => 6,
            "t" => 7,
            "a" => 8,
            "b" => 9,
            "lastUpdateId" => 10,
            "stream" => 11,
            "data" => 12,
            // An answer.
            "id" | "error" | "code" => return None,
            _ => 0,
        };
        if bit > 0 && met & (1 << bit) != 0 {
            return None;
        }
        met |= 1 | 1 << bit;
        match bit {
            1 => event.name = Some(cursor.string()?),
            2 => event.time = Some(i64::try_from(number(cursor)?).ok()?),
            3 => event.symbol = Some(cursor.string()?),
            4 => event.first_update = Some(number(cursor)?),
            5 => event.last_update = Some(number(cursor)?),
            6 => event.update_before = Some(number(cursor)?),
            7 => event.trade = Some(number(cursor)?),
            8 => event.aggregated_trade = number_or_not(cursor)?,
            9 => cursor.skip_pairs(&LEVELS)?,
            10 => event.book_update = Some(number(cursor)?),
            11 => event.stream = Some(cursor.string()?),
            12 => *wrapped.take()? = Some(object(cursor, None)?),
            _ => cursor.skip()?,
        }
    }
    Some(event)
}

fn number(cursor: &mut Cursor<'_>) -> Option<u64> {
    let digits = cursor.digits()?;
    let is_sure = digits.len() <= DIGITS && (digits.len() == 1 || !digits.starts_with('0'));
    is_sure.then(|| digits.bytes().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')))
}

/// A number, or of another kind of event a price or a side of a book.
#[allow(clippy::option_option, reason = "given up, or what it is")]
fn number_or_not(cursor: &mut Cursor<'_>) -> Option<Option<u64>> {
    match cursor.peek()? {
        b'[' => cursor.skip_pairs(&LEVELS)?,
        // Digits in quotes are a number as well.
        b'"' if cursor.string()?.contains('.') => {}
        b'0'..=b'9' => return number(cursor).map(Some),
        _ => return None,
    }
    Some(None)
}
