//! Reads the envelopes of the frames that nearly all are: market data, without an escape. One pass, in which every byte is
//! looked at, so that a frame that is no JSON is not taken for one. Whatever is rare or wrong is left to the full reader.

use crate::market::{Envelope, EventKind};
use crate::venue::json::{Cursor, Pairs};

/// So many changes of one event; there are two, mostly.
const CHANGES: usize = 8;

/// A side of a book.
const LEVELS: Pairs<10, 8> = Pairs {
    open: br#"{"price":""#,
    between: br#""size":""#,
    close: b'}',
};

/// Visits the events of a frame. `false`: something else than that was met, and what comes from there on was not visited.
pub(super) fn decode(text: &str, visit: &mut dyn FnMut(Envelope<'_>)) -> bool {
    let mut cursor = Cursor::new(text);
    let read = if text.starts_with('[') {
        events(&mut cursor, visit)
    } else {
        event(&mut cursor, visit)
    };
    read.is_some() && cursor.is_at_end()
}

fn events<'f>(cursor: &mut Cursor<'f>, visit: &mut dyn FnMut(Envelope<'_>)) -> Option<()> {
    cursor.take(b'[')?;
    let mut is_first = true;
    while cursor.goes_on(is_first, b']')? {
        event(cursor, visit)?;
        is_first = false;
    }
    Some(())
}

fn event<'f>(cursor: &mut Cursor<'f>, visit: &mut dyn FnMut(Envelope<'_>)) -> Option<()> {
    cursor.take(b'{')?;
    let (mut kind, mut instrument, mut venue_time_ms, mut changes) = (None, None, None, None);
    let mut is_first = true;
    while let Some(name) = cursor.name(is_first)? {
        is_first = false;
        match name {
            "event_type" => kind = Some(kind_of(cursor.string()?)?),
            "asset_id" => instrument = Some(cursor.string()?),
            "timestamp" => venue_time_ms = Some(millis(cursor.string()?)?),
            "price_changes" => changes = Some(Changes::read(cursor)?),
            "bids" | "asks" => cursor.skip_pairs(&LEVELS)?,
            _ => cursor.skip()?,
        }
    }
    let kind = kind?;
    let mut tell = |instrument| {
        visit(Envelope {
            instrument: Some(instrument),
            venue_time_ms,
            ..Envelope::new(kind)
        });
    };
    if kind == EventKind::BookDelta {
        changes?.tokens().for_each(&mut tell);
    } else {
        tell(instrument?);
    }
    Some(())
}

const fn kind_of(event_type: &str) -> Option<EventKind> {
    Some(match event_type.as_bytes() {
        b"book" => EventKind::BookSnapshot,
        b"price_change" => EventKind::BookDelta,
        b"last_trade_price" => EventKind::Trade,
        b"best_bid_ask" => EventKind::Ticker,
        _ => return None,
    })
}

/// Of a time that is written as digits.
fn millis(text: &str) -> Option<i64> {
    // No more digits than are sure to fit.
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.bytes().try_fold(0, |time, byte| {
        byte.is_ascii_digit().then(|| time * 10 + i64::from(byte - b'0'))
    })
}

/// The tokens that `price_changes` names.
struct Changes<'f> {
    tokens: [&'f str; CHANGES],
    count: usize,
}

impl<'f> Changes<'f> {
    fn read(cursor: &mut Cursor<'f>) -> Option<Self> {
        let mut changes = Self {
            tokens: [""; CHANGES],
            count: 0,
        };
        cursor.take(b'[')?;
        while cursor.goes_on(changes.count == 0, b']')? {
            *changes.tokens.get_mut(changes.count)? = change(cursor)?;
            changes.count += 1;
        }
        Some(changes)
    }

    fn tokens(&self) -> impl Iterator<Item = &'f str> {
        self.tokens.iter().copied().take(self.count)
    }
}

fn change<'f>(cursor: &mut Cursor<'f>) -> Option<&'f str> {
    cursor.take(b'{')?;
    let mut token = None;
    let mut is_first = true;
    while let Some(name) = cursor.name(is_first)? {
        is_first = false;
        if name == "asset_id" {
            token = Some(cursor.string()?);
        } else {
            cursor.skip()?;
        }
    }
    token
}
