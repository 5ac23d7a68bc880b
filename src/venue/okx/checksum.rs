//! Compares books with their checksums: CRC32 of the 25 best levels of both sides, the best first and bids and asks in turns, as
//! `price:size` in the venue's own digits, put together with colons; the number is signed.
//!
//! Books of June 2026 and later have 0 there, which is no checksum.

use super::decode::{Message, is_numbered_book};
use crate::market::{Decimal, decimal};
use crate::venue::Checksums;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// So many levels of a side are summed up.
const DEPTH: usize = 25;
/// The venue's deepest book has 400 levels on a side.
const MOST_LEVELS: usize = 1000;
/// So many books are kept: more than a connection carries.
const MOST_BOOKS: usize = 1000;

/// The books of a connection.
#[derive(Debug, Default)]
pub(super) struct OkxChecksums {
    /// By channel and instrument.
    books: HashMap<(String, String), Sides>,
    /// What is summed up, kept for the next one.
    text: String,
}

#[derive(Debug, Default)]
struct Sides {
    bids: Side,
    asks: Side,
}

/// A price, and both of a level's numbers as they were written.
type Side = BTreeMap<Decimal, [Box<str>; 2]>;

#[derive(Deserialize)]
struct Update<'f> {
    #[serde(borrow)]
    bids: Vec<Vec<&'f str>>,
    #[serde(borrow)]
    asks: Vec<Vec<&'f str>>,
    #[serde(default)]
    checksum: i64,
}

impl Checksums for OkxChecksums {
    fn check(&mut self, frame: &str, is_asked_for: &dyn Fn(&str) -> bool, differs: &mut dyn FnMut(&str)) {
        // What cannot be read is told by whoever reads the envelopes.
        let Ok(Message {
            arg: Some(arg),
            action: Some(action),
            data: Some(data),
            ..
        }) = serde_json::from_str::<Message<'_>>(frame.trim())
        else {
            return;
        };
        let (Some(channel), Some(instrument)) = (arg.channel, arg.instrument) else {
            return;
        };
        if !is_numbered_book(channel) || !is_asked_for(instrument) {
            return;
        }
        let key = (channel.to_owned(), instrument.to_owned());
        let Ok(updates) = serde_json::from_str::<Vec<Update<'_>>>(data.get()) else {
            self.books.remove(&key);
            return differs(instrument);
        };
        for update in updates {
            if update.checksum == 0 {
                self.books.remove(&key);
                continue;
            }
            if action == "snapshot" {
                if self.books.len() >= MOST_BOOKS && !self.books.contains_key(&key) {
                    continue;
                }
                self.books.insert(key.clone(), Sides::default());
            }
            let Some(book) = self.books.get_mut(&key) else { continue };
            let is_kept = apply(&mut book.bids, &update.bids) && apply(&mut book.asks, &update.asks);
            if !is_kept || book.checksum(&mut self.text) != update.checksum {
                self.books.remove(&key);
                differs(instrument);
            }
        }
    }

    fn forget(&mut self, instrument: &str) {
        self.books.retain(|(_, of), _| of != instrument);
    }
}

/// Whether all of the levels could be applied.
fn apply(kept: &mut Side, levels: &[Vec<&str>]) -> bool {
    levels.iter().all(|level| {
        let [price, size, ..] = level.as_slice() else {
            return false;
        };
        let (Some(at), Some(amount)) = (decimal(price), decimal(size)) else {
            return false;
        };
        if amount.is_zero() {
            kept.remove(&at);
        } else {
            kept.insert(at, [(*price).into(), (*size).into()]);
        }
        kept.len() <= MOST_LEVELS
    })
}

impl Sides {
    fn checksum(&self, text: &mut String) -> i64 {
        text.clear();
        let (mut bids, mut asks) = (self.bids.values().rev(), self.asks.values());
        for _ in 0..DEPTH {
            for [price, size] in bids.next().into_iter().chain(asks.next()) {
                let separator = if text.is_empty() { "" } else { ":" };
                // A String takes all that is written to it.
                let _ = write!(text, "{separator}{price}:{size}");
            }
        }
        i64::from(crc32fast::hash(text.as_bytes()).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(action: &str, bids: &str, asks: &str, checksum: i64) -> String {
        format!(
            r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"{action}","data":[{{"bids":{bids},"asks":{asks},"ts":"1","checksum":{checksum}}}]}}"#
        )
    }

    fn sum(text: &str) -> i64 {
        i64::from(crc32fast::hash(text.as_bytes()).cast_signed())
    }

    fn differing(frames: &[String]) -> usize {
        let mut checksums = OkxChecksums::default();
        let mut differing = 0;
        for frame in frames {
            checksums.check(frame, &|id| id == "BTC-USDT", &mut |instrument| {
                assert_eq!(instrument, "BTC-USDT");
                differing += 1;
            });
        }
        differing
    }

    fn snapshot() -> String {
        let (bids, asks) = (
            r#"[["3366.1","7","0","3"],["3366","6","0","4"]]"#,
            r#"[["3366.8","9","0","3"],["3368","8","0","3"]]"#,
        );
        frame("snapshot", bids, asks, sum("3366.1:7:3366.8:9:3366:6:3368:8"))
    }

    #[test]
    fn levels_are_summed_up_in_turns_and_the_longer_side_goes_on() {
        let gone = frame(
            "update",
            "[]",
            r#"[["3366.8","0","0","0"]]"#,
            sum("3366.1:7:3368:8:3366:6"),
        );
        assert_eq!(differing(&[snapshot(), gone]), 0);
    }

    #[test]
    fn a_missed_change_is_seen_once_until_a_whole_book_comes() {
        let update = || frame("update", r#"[["3366.1","5","0","1"]]"#, "[]", sum("another book"));
        assert_eq!(differing(&[snapshot(), update(), update()]), 1);
        assert_eq!(differing(&[snapshot(), update(), snapshot(), update()]), 2);
        assert_eq!(differing(&[update()]), 0, "there is no book to compare");
    }

    #[test]
    fn of_what_nobody_asks_for_no_book_is_kept() {
        let mut checksums = OkxChecksums::default();
        checksums.check(&snapshot(), &|_| false, &mut |_| ());
        assert!(checksums.books.is_empty());
        for channel in ["books", "books50-l2-tbt"] {
            checksums.check(&snapshot().replace("books", channel), &|_| true, &mut |_| ());
        }
        checksums.forget("ETH-USDT");
        assert_eq!(checksums.books.len(), 2);
        checksums.forget("BTC-USDT");
        assert!(checksums.books.is_empty());
    }

    #[test]
    fn zero_is_no_checksum() {
        let update = frame("update", r#"[["3366.1","5","0","1"]]"#, "[]", 0);
        assert_eq!(differing(&[snapshot(), update]), 0);
    }
}
