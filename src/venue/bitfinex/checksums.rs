//! Compares books with their checksums: `[chanId, "cs", checksum]`.
//!
//! From the venue's documentation: the CRC-32, as a signed number, of `price:amount:price:amount:...` of the 25 best bids and asks
//! in turns, a bid first, each number as the venue writes it, amounts of asks below 0. A side that is shorter is left out from
//! there on.

use super::channel::{About, Channels};
use super::decode::{Message, Update, is_list_of_lists, read};
use crate::market::Decimal;
use crate::venue::Checksums;
use crate::venue::object::{Place, amount, whole};
use rustc_hash::FxBuildHasher;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};

/// So many of the best levels of each side are summed up.
const SUMMED: usize = 25;

/// The longest book that can be had has 250 levels on a side, and one more for a moment.
const MOST_LEVELS: usize = 300;

/// A price and an amount are no longer, as they are written.
const LONGEST_LEVEL: usize = 100;

/// The books of one connection, by the numbers of their channels.
#[derive(Debug, Default)]
pub(super) struct Books {
    channels: Channels,
    /// Without an entry nothing is compared: no whole book has come.
    books: HashMap<u64, Book, FxBuildHasher>,
}

/// By price, the words of each level: its price and its amount.
#[derive(Debug, Default)]
struct Book {
    bids: BTreeMap<Decimal, Box<str>>,
    asks: BTreeMap<Decimal, Box<str>>,
}

impl Checksums for Books {
    fn check(&mut self, frame: &str, is_asked_for: &dyn Fn(&str) -> bool, differs: &mut dyn FnMut(&str)) {
        let update = match read(frame) {
            Ok(Message::Update(update)) => update,
            Ok(Message::Event(event)) => {
                self.channels.hear(&event);
                if let (Some(number), "subscribed" | "unsubscribed") = (event.number, event.name) {
                    self.books.remove(&number);
                }
                return;
            }
            Err(_) => return,
        };
        if let Some((About::Book, symbol)) = self.channels.get(update.channel)
            && is_asked_for(symbol)
            && !follow(&mut self.books, &update)
        {
            self.books.remove(&update.channel);
            differs(symbol);
        }
    }

    fn forget(&mut self, instrument: &str) {
        let channels = &self.channels;
        let is_of = |number| channels.get(number).is_some_and(|(_, symbol)| symbol == instrument);
        self.books.retain(|number, _| !is_of(*number));
    }
}

/// Applies a frame of a book; whether the book still is the venue's.
fn follow(books: &mut HashMap<u64, Book, FxBuildHasher>, update: &Update<'_>) -> bool {
    let Some(payload) = update.payload else { return true };
    match update.tag {
        None if is_list_of_lists(payload) => {
            let book = Book::whole(payload);
            book.is_some_and(|book| {
                books.insert(update.channel, book);
                true
            })
        }
        None => books
            .get_mut(&update.channel)
            .is_none_or(|book| book.set(payload).is_some()),
        Some("cs") => books
            .get(&update.channel)
            .is_none_or(|book| whole(payload) == Some(i64::from(book.checksum()))),
        Some(_) => true,
    }
}

impl Book {
    fn whole(payload: &RawValue) -> Option<Self> {
        let mut book = Self::default();
        for level in Place::new(0).list(payload).ok()? {
            book.set(level)?;
        }
        Some(book)
    }

    /// `None`: the book is not known any more.
    fn set(&mut self, raw: &RawValue) -> Option<()> {
        let items = Place::new(0).list(raw).ok()?;
        let [price, count, quantity, ..] = *items else {
            return None;
        };
        let levels = if quantity.get().starts_with('-') {
            &mut self.asks
        } else {
            &mut self.bids
        };
        let key = amount(Some(price))?;
        if whole(count)? == 0 {
            levels.remove(&key);
        } else {
            let words = format!("{}:{}", price.get(), quantity.get());
            if words.len() > LONGEST_LEVEL {
                return None;
            }
            levels.insert(key, words.into());
        }
        (levels.len() <= MOST_LEVELS).then_some(())
    }

    fn checksum(&self) -> i32 {
        let (mut bids, mut asks) = (self.bids.values().rev(), self.asks.values());
        let mut sum = crc32fast::Hasher::new();
        let mut between = "";
        for _ in 0..SUMMED {
            for level in [bids.next(), asks.next()].into_iter().flatten() {
                sum.update(between.as_bytes());
                sum.update(level.as_bytes());
                between = ":";
            }
        }
        sum.finalize().cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str =
        r#"{"event":"subscribed","channel":"book","chanId":7,"symbol":"tXYZUSD","prec":"P0","freq":"F0","len":"25"}"#;

    fn told(frames: &[&str]) -> Vec<String> {
        let mut books = Books::default();
        let mut told = Vec::new();
        for frame in frames {
            books.check(frame, &|symbol| symbol == "tXYZUSD", &mut |symbol| {
                told.push(symbol.to_owned());
            });
        }
        told
    }

    /// The sums are Python's `zlib.crc32` of the texts beside them, as signed numbers.
    #[test]
    fn a_book_is_compared_in_the_venues_own_words() {
        let sums = [
            // 10.5:2:11:-3:4.9e-7:1e-8:12:-0.5
            "[7,[[10.5,1,2],[4.9e-7,2,1e-8],[12,1,-0.5],[11,1,-3]],1]",
            r#"[7,"cs",-1368631695,2]"#,
            // 10.5:2.25:12:-0.5:4.9e-7:1e-8
            "[7,[10.5,3,2.25],3]",
            "[7,[11,0,-1],4]",
            r#"[7,"cs",30196976,5,1767225600000]"#,
            r#"[7,"hb",6]"#,
        ];
        let mut frames = vec![BOOK];
        frames.extend(sums);
        assert_eq!(told(&frames), [""; 0]);
    }

    #[test]
    fn another_sum_is_told_once_until_a_whole_book_comes() {
        let wrong = r#"[7,"cs",1,2]"#;
        assert_eq!(
            told(&[BOOK, "[7,[[10,1,2]]]", wrong, wrong, "[7,[9,1,1]]", wrong]),
            ["tXYZUSD"]
        );
        assert_eq!(
            told(&[BOOK, "[7,[[10,1,2]]]", wrong, "[7,[[10,1,2]]]", wrong]),
            ["tXYZUSD"; 2]
        );
    }

    #[test]
    fn what_is_forgotten_begins_with_a_whole_book() {
        let mut books = Books::default();
        let differs = |books: &mut Books, frame: &str| {
            let mut differs = false;
            books.check(frame, &|_| true, &mut |_| differs = true);
            differs
        };
        let (whole, wrong) = ("[7,[[10,1,2]]]", r#"[7,"cs",1,2]"#);
        assert!(!differs(&mut books, BOOK) && !differs(&mut books, whole));
        books.forget("tXYZUSD");
        assert!(!differs(&mut books, wrong), "there is none to compare");
        assert!(!differs(&mut books, whole));
        books.forget("tABCUSD");
        assert!(differs(&mut books, wrong));
    }

    #[test]
    fn only_the_25_best_count_and_an_empty_book_is_one() {
        let levels: Vec<_> = (1..=30).map(|price| format!("[{price},1,1]")).collect();
        let snapshot = format!("[7,[{}],1]", levels.join(","));
        assert_eq!(
            told(&[
                BOOK,
                &snapshot,
                r#"[7,"cs",-318638846,2]"#,
                "[7,[5,0,1],3]",
                r#"[7,"cs",-318638846,4]"#
            ]),
            [""; 0]
        );
        assert_eq!(told(&[BOOK, "[7,[],1]", r#"[7,"cs",0,2]"#]), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_no_book_and_nobody_elses_sum_is_taken() {
        assert_eq!(told(&[BOOK, r#"[7,[["x",1,2]],1]"#]), ["tXYZUSD"]);
        assert_eq!(told(&[BOOK, "[7,[[10,1,2]],1]", "[7,[10],2]"]), ["tXYZUSD"]);
        let endless = format!("[7,[[10,1,2{}]],1]", "0".repeat(LONGEST_LEVEL));
        assert_eq!(told(&[BOOK, &endless]), ["tXYZUSD"]);
        let stranger = BOOK.replace("tXYZUSD", "tABCUSD");
        assert_eq!(told(&[&stranger, "[7,[[10,1,2]],1]", r#"[7,"cs",1,2]"#]), [""; 0]);
        assert_eq!(
            told(&[BOOK, "[7,[[10,1,2]],1]", r#"[8,"cs",1,2]"#, "{", "[7]"]),
            [""; 0]
        );
        let gone = r#"{"event":"unsubscribed","status":"OK","chanId":7}"#;
        assert_eq!(told(&[BOOK, "[7,[[10,1,2]],1]", gone, r#"[7,"cs",1,2]"#]), [""; 0]);
    }
}
