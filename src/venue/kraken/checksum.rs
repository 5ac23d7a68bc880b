//! Keeps books, and compares the CRC-32 of their best levels with the venue's.
//!
//! From the venue's guides: the prices and sizes of the ten best asks, then of the ten best bids, are written without point and
//! without zeros in front, one behind the other. A book has no more levels than it was subscribed with: what is pushed out of it
//! is forgotten, and told again when it comes back.

use super::DEPTHS;
use super::v1::Message;
use crate::market::{Decimal, Level, Side};
use crate::venue::Checksums;
use crate::venue::object::{Each, amount};
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

/// So many levels of a side are in a checksum.
const BEST: usize = 10;

/// So many books are kept: more than a connection carries.
const MOST_BOOKS: usize = 5000;

/// So many levels a frame tells of a book at most: the deepest has 1000 on a side.
const MOST_LEVELS: usize = 10_000;

/// The books of a connection, by instrument; `None` = it has been another, and the whole one is awaited.
#[derive(Debug, Default)]
pub(super) struct Books {
    books: HashMap<Box<str>, Vec<Book>>,
    /// What the last checksum is of, kept for its memory.
    text: String,
}

/// A book of that depth. A frame does not say the depth, so one of each possible depth is kept, until checksums tell which.
#[derive(Debug)]
struct Book {
    depth: usize,
    bids: BTreeMap<Decimal, Level>,
    asks: BTreeMap<Decimal, Level>,
}

/// What a frame of a book tells.
struct Told<'f> {
    is_whole: bool,
    levels: Vec<(Side, Level)>,
    checksum: Option<u32>,
    instrument: &'f str,
}

#[derive(Deserialize)]
struct Frame<'f> {
    #[serde(borrow)]
    channel: Option<&'f str>,
    #[serde(rename = "type", borrow)]
    form: Option<&'f str>,
    #[serde(borrow)]
    data: Option<&'f RawValue>,
}

#[derive(Deserialize)]
struct Event<'f> {
    #[serde(borrow)]
    symbol: &'f str,
    #[serde(borrow)]
    bids: Option<&'f RawValue>,
    #[serde(borrow)]
    asks: Option<&'f RawValue>,
    checksum: Option<u32>,
}

#[derive(Deserialize)]
struct Named<'f> {
    #[serde(borrow)]
    price: &'f RawValue,
    #[serde(borrow)]
    qty: &'f RawValue,
}

impl Checksums for Books {
    fn check(&mut self, frame: &str, is_asked_for: &dyn Fn(&str) -> bool, differs: &mut dyn FnMut(&str)) {
        let text = frame.trim();
        let mut on_told = |told: &Told<'_>| {
            if is_asked_for(told.instrument) && !self.apply(told) {
                differs(told.instrument);
            }
        };
        if text.starts_with('[') {
            if let Some(told) = told_by_v1(text) {
                on_told(&told);
            }
            return;
        }
        let Ok(Frame {
            channel: Some("book"),
            form,
            data: Some(data),
        }) = serde_json::from_str(text)
        else {
            return;
        };
        let is_whole = form == Some("snapshot");
        let each = |event: Event<'_>| {
            let mut levels = Vec::new();
            let is_read = named(event.asks, Side::Sell, &mut levels) && named(event.bids, Side::Buy, &mut levels);
            on_told(&Told {
                is_whole,
                levels,
                // What cannot be read is another book from now on, and shows with the next checksum.
                checksum: event.checksum.filter(|_| is_read),
                instrument: event.symbol,
            });
        };
        let _ = serde_json::Deserializer::from_str(data.get()).deserialize_seq(Each::new(each));
    }

    fn forget(&mut self, instrument: &str) {
        self.books.remove(instrument);
    }
}

impl Books {
    /// Whether the book is the venue's.
    fn apply(&mut self, told: &Told<'_>) -> bool {
        if told.levels.len() > MOST_LEVELS {
            return self.books.remove(told.instrument).is_none();
        }
        if told.is_whole && (self.books.len() < MOST_BOOKS || self.books.contains_key(told.instrument)) {
            self.books
                .insert(told.instrument.into(), Book::of_each_depth(&told.levels));
        }
        let Some(books) = self.books.get_mut(told.instrument) else {
            return true;
        };
        for book in &mut *books {
            book.apply(&told.levels);
        }
        if let Some(checksum) = told.checksum {
            books.retain(|book| book.checksum(&mut self.text) == checksum);
        }
        let is_same = !books.is_empty();
        if !is_same {
            self.books.remove(told.instrument);
        }
        is_same
    }
}

impl Book {
    fn of_each_depth(levels: &[(Side, Level)]) -> Vec<Self> {
        let bids = levels.iter().filter(|(side, _)| *side == Side::Buy).count();
        let most = bids.max(levels.len() - bids);
        let depths = DEPTHS.into_iter().map(usize::from).filter(|depth| *depth >= most);
        let empty = |depth| Self {
            depth,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
        };
        depths.map(empty).collect()
    }

    fn apply(&mut self, levels: &[(Side, Level)]) {
        for (side, level) in levels {
            let levels = match side {
                Side::Buy => &mut self.bids,
                Side::Sell => &mut self.asks,
            };
            if level.size.is_zero() {
                levels.remove(&level.price);
            } else {
                levels.insert(level.price, *level);
            }
        }
        while self.bids.len() > self.depth {
            self.bids.pop_first();
        }
        while self.asks.len() > self.depth {
            self.asks.pop_last();
        }
    }

    fn checksum(&self, text: &mut String) -> u32 {
        text.clear();
        for level in self.asks.values().take(BEST).chain(self.bids.values().rev().take(BEST)) {
            // The digits of a decimal, without its point.
            let _ = write!(text, "{}{}", level.price.mantissa(), level.size.mantissa());
        }
        crc32fast::hash(text.as_bytes())
    }
}

/// Reads the levels of a side; whether all could be read.
fn named(list: Option<&RawValue>, of: Side, levels: &mut Vec<(Side, Level)>) -> bool {
    let Some(list) = list else { return true };
    let mut is_read = true;
    let each = |level: Named<'_>| match (amount(Some(level.price)), amount(Some(level.qty))) {
        (Some(price), Some(size)) => levels.push((of, Level { price, size })),
        _ => is_read = false,
    };
    let read = serde_json::Deserializer::from_str(list.get()).deserialize_seq(Each::new(each));
    read.is_ok() && is_read
}

fn told_by_v1(text: &str) -> Option<Told<'_>> {
    let message = Message::read(text).ok()?;
    if !message.channel.starts_with("book") {
        return None;
    }
    let mut told = Told {
        is_whole: false,
        levels: Vec::new(),
        checksum: None,
        instrument: message.pair,
    };
    for part in message.book().ok()? {
        told.is_whole |= part.all_asks.is_some() || part.all_bids.is_some();
        told.checksum = part.checksum.or(told.checksum);
        for (side, list) in [
            (Side::Sell, part.all_asks),
            (Side::Buy, part.all_bids),
            (Side::Sell, part.asks),
            (Side::Buy, part.bids),
        ] {
            let rows: Vec<Vec<&RawValue>> =
                list.map_or(Some(Vec::new()), |list| serde_json::from_str(list.get()).ok())?;
            for row in rows {
                let (price, size) = (amount(row.first().copied())?, amount(row.get(1).copied())?);
                told.levels.push((side, Level { price, size }));
            }
        }
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(form: &str, bids: &str, asks: &str, checksum: u32) -> String {
        format!(
            r#"{{"channel":"book","type":"{form}","data":[{{"symbol":"BTC/USD","bids":[{bids}],"asks":[{asks}],"checksum":{checksum}}}]}}"#
        )
    }

    fn levels(levels: &[(&str, &str)]) -> String {
        let level = |(price, size): &(&str, &str)| format!(r#"{{"price":{price},"qty":{size}}}"#);
        levels.iter().map(level).collect::<Vec<_>>().join(",")
    }

    fn differs(books: &mut Books, frame: &str) -> Vec<String> {
        let mut differs = Vec::new();
        books.check(
            frame,
            &|id| id == "BTC/USD" || id == "XBT/USD" || id == "ETH/USD",
            &mut |instrument| differs.push(instrument.to_owned()),
        );
        differs
    }

    /// The CRC-32 of that text, by the definition: bit by bit.
    fn crc(text: &str) -> u32 {
        let mut crc = u32::MAX;
        for byte in text.bytes() {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            }
        }
        !crc
    }

    #[test]
    fn zeros_in_front_and_points_do_not_count_and_zeros_behind_do() {
        let (bids, asks) = (levels(&[("0.0450", "2.00000000")]), levels(&[("45.0", "0.00100000")]));
        let right = frame("snapshot", &bids, &asks, crc("450100000450200000000"));
        assert_eq!(differs(&mut Books::default(), &right), Vec::<String>::new());
        let wrong = frame("snapshot", &bids, &asks, crc("4501450200000000"));
        assert_eq!(differs(&mut Books::default(), &wrong), ["BTC/USD"]);
    }

    #[test]
    fn what_is_told_wrongly_is_told_once_until_a_whole_book_comes() {
        let mut books = Books::default();
        let whole = frame("snapshot", &levels(&[("1.0", "5.0")]), "", crc("1050"));
        let change = |checksum| frame("update", &levels(&[("1.0", "0.0"), ("0.9", "7.0")]), "", checksum);
        assert_eq!(differs(&mut books, &change(1)), Vec::<String>::new(), "no book yet");
        assert_eq!(differs(&mut books, &whole), Vec::<String>::new());
        assert_eq!(
            differs(&mut books, &change(crc("970"))),
            Vec::<String>::new(),
            "it is gone"
        );
        assert_eq!(differs(&mut books, &change(1)), ["BTC/USD"]);
        assert_eq!(differs(&mut books, &change(1)), Vec::<String>::new());
        assert_eq!(differs(&mut books, &whole), Vec::<String>::new());
        assert_eq!(differs(&mut books, &change(1)), ["BTC/USD"]);
    }

    #[test]
    fn of_what_nobody_asked_for_and_of_what_is_no_book_none_is_kept() {
        let mut books = Books::default();
        let whole = |symbol: &str, count: usize| {
            let asks = levels(&vec![("1.0", "5.0"); count]);
            frame("snapshot", "", &asks, crc("1050")).replace("BTC/USD", symbol)
        };
        assert_eq!(differs(&mut books, &whole("DOGE/USD", 1)), Vec::<String>::new());
        assert!(books.books.is_empty());
        assert_eq!(differs(&mut books, &whole("BTC/USD", 1)), Vec::<String>::new());
        assert_eq!(books.books.len(), 1);
        assert_eq!(differs(&mut books, &whole("BTC/USD", MOST_LEVELS + 1)), ["BTC/USD"]);
        assert!(books.books.is_empty());
        assert_eq!(differs(&mut books, &whole("BTC/USD", 1)), Vec::<String>::new());
        books.forget("ETH/USD");
        assert_eq!(books.books.len(), 1);
        books.forget("BTC/USD");
        assert!(books.books.is_empty(), "it is not asked for any more");
    }

    /// Ten levels may be all of a book that has room for more: when another comes and the best goes, the last one is still there.
    #[test]
    fn the_depth_is_learned_from_the_checksums() {
        for depth in [10, 25] {
            let mut books = Books::default();
            let asks: Vec<_> = (1..=10).map(|price| (format!("{price}.0"), "1.0")).collect();
            let all: Vec<_> = asks.iter().map(|(price, size)| (price.as_str(), *size)).collect();
            let text = |prices: std::ops::RangeInclusive<u32>| -> String {
                prices.map(|price| price.to_string() + "010").collect()
            };
            let whole = frame("snapshot", "", &levels(&all), crc(&text(1..=10)));
            assert_eq!(differs(&mut books, &whole), Vec::<String>::new());
            // Where there is room for 10 only, the one at 10 is pushed out, and is told again only if it is still there.
            let pushed = frame(
                "update",
                "",
                &levels(&[("0.5", "1.0")]),
                crc(&format!("510{}", text(1..=9))),
            );
            assert_eq!(differs(&mut books, &pushed), Vec::<String>::new());
            let left = if depth == 10 { text(1..=9) } else { text(1..=10) };
            let gone = frame("update", "", &levels(&[("0.5", "0.0")]), crc(&left));
            assert_eq!(differs(&mut books, &gone), Vec::<String>::new(), "depth {depth}");
            let gone = frame(
                "update",
                "",
                &levels(&[("1.0", "0.0")]),
                crc(left.trim_start_matches("1010")),
            );
            assert_eq!(differs(&mut books, &gone), Vec::<String>::new(), "depth {depth}");
        }
    }

    #[test]
    fn a_level_that_cannot_be_read_shows_with_the_next_checksum() {
        let mut books = Books::default();
        let whole = frame("snapshot", &levels(&[("1.0", "5.0")]), "", crc("1050"));
        assert_eq!(differs(&mut books, &whole), Vec::<String>::new());
        let odd = frame("update", &levels(&[(r#""soon""#, "5.0"), ("2.0", "1.0")]), "", 1);
        assert_eq!(differs(&mut books, &odd), Vec::<String>::new());
        let next = frame("update", &levels(&[("2.0", "0.0")]), "", crc("30101050"));
        assert_eq!(differs(&mut books, &next), ["BTC/USD"]);
    }

    #[test]
    fn the_fixtures_have_the_checksums_of_their_books() {
        let mut books = Books::default();
        for line in include_str!("../../../tests/fixtures/kraken/frames.jsonl").lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                differs(&mut books, line["frame"].as_str().unwrap()),
                Vec::<String>::new()
            );
        }
        assert_eq!(books.books.len(), 2);
    }
}
