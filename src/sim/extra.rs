//! What the venue sends once, by script, among its data: all of it can be read.

use super::fault::{Fault, Flood, OddText};
use std::time::Duration;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// So many frames are handed out at once at most.
const BATCH: usize = 64;
/// So deep is JSON that is too deep.
const LEVELS: usize = 10_000;
/// How far ahead an event from the future is.
const AHEAD: Duration = Duration::from_secs(3600);
/// A day of January 1970, in milliseconds.
const LONG_AGO: &str = "1209600000";
/// Times that are none, or none that anybody can have meant.
const ABSURD: [&str; 6] = [
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999999",
    "1e400",
    "NaN",
    "",
];

/// Frames that are left to be sent.
#[derive(Debug)]
pub(super) struct Extra {
    kind: Kind,
    left: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text(OddText),
    Flood(Flood),
    Fragments(usize),
}

/// A message, and how it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outgoing {
    Whole(Message),
    /// In so many fragments.
    Fragmented(Message, usize),
}

impl Extra {
    /// What a fault sends; `None` where it sends nothing of this kind.
    pub(super) const fn of(fault: &Fault) -> Option<Self> {
        let (kind, left) = match fault {
            Fault::OddText { kind, frames, .. } => (Kind::Text(*kind), *frames),
            Fault::Flood { of, frames, .. } => (Kind::Flood(*of), *frames),
            Fault::Fragments { fragments, .. } => (Kind::Fragments(*fragments), 1),
            _ => return None,
        };
        Some(Self { kind, left })
    }

    /// The next messages, a bounded number; none when there are none left. Events are about `token`.
    pub(super) fn take(&mut self, token: &str, now_ms: i64) -> Vec<Outgoing> {
        let mut batch = Vec::new();
        while batch.len() < BATCH && self.left > 0 {
            self.left -= 1;
            batch.push(match self.kind {
                Kind::Text(kind) => Outgoing::Whole(Message::text(odd_text(kind, self.left, token, now_ms))),
                Kind::Flood(Flood::Pings) => Outgoing::Whole(Message::Ping(Bytes::new())),
                Kind::Flood(Flood::EmptyTexts) => Outgoing::Whole(Message::text("")),
                Kind::Fragments(fragments) => {
                    Outgoing::Fragmented(Message::text(trade(token, &now_ms.to_string())), fragments)
                }
            });
        }
        batch
    }
}

/// A message as frames, of which the last are empty where it has too few bytes.
pub(super) fn fragments(message: Message, fragments: usize) -> impl Iterator<Item = Message> {
    let opcode = if message.is_text() { Data::Text } else { Data::Binary };
    let payload = message.into_data();
    let size = payload.len().div_ceil(fragments.max(1));
    (0..fragments).map(move |index| {
        let at = |index: usize| (index * size).min(payload.len());
        let opcode = OpCode::Data(if index == 0 { opcode } else { Data::Continue });
        let piece = payload.slice(at(index)..at(index + 1));
        Message::Frame(Frame::message(piece, opcode, index + 1 == fragments))
    })
}

/// The text that is sent when so many are left after it.
fn odd_text(kind: OddText, left: u64, token: &str, now_ms: i64) -> String {
    match kind {
        OddText::NotJson => format!(r#"{{"event_type":"book", "asset_id":"{token}", "bids":[}}"#),
        OddText::OtherSchema => r#"{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","p":"1"}}"#.into(),
        OddText::UnknownChannel => format!(r#"{{"event_type":"quake", "asset_id":"{token}", "timestamp":"{now_ms}"}}"#),
        OddText::DeepNesting => format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS)),
        OddText::Future => {
            let ahead = i64::try_from(AHEAD.as_millis()).unwrap_or(0);
            trade(token, &now_ms.saturating_add(ahead).to_string())
        }
        OddText::LongAgo => trade(token, LONG_AGO),
        OddText::AbsurdTime => {
            let index = usize::try_from(left).unwrap_or(0) % ABSURD.len();
            trade(token, ABSURD.get(index).copied().unwrap_or_default())
        }
    }
}

fn trade(token: &str, timestamp: &str) -> String {
    format!(
        r#"{{"market":"0x1", "asset_id":"{token}", "price":"0.5", "size":"1", "fee_rate_bps":"0", "side":"BUY", "timestamp":"{timestamp}", "event_type":"last_trade_price", "transaction_hash":"0x1"}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(fault: &Fault) -> Vec<Outgoing> {
        let mut extra = Extra::of(fault).unwrap();
        let mut taken = Vec::new();
        loop {
            let batch = extra.take("11", 1_000);
            assert!(batch.len() <= BATCH);
            if batch.is_empty() {
                return taken;
            }
            taken.extend(batch);
        }
    }

    fn texts(kind: OddText, frames: u64) -> Vec<String> {
        let fault = Fault::OddText {
            kind,
            frames,
            after: Duration::ZERO,
        };
        let text = |outgoing| match outgoing {
            Outgoing::Whole(message) => message.to_string(),
            Outgoing::Fragmented(..) => panic!("not whole"),
        };
        taken(&fault).into_iter().map(text).collect()
    }

    #[test]
    fn as_many_are_sent_as_are_asked_for() {
        let flood = |of| Fault::Flood {
            of,
            frames: 1000,
            after: Duration::ZERO,
        };
        let pings = taken(&flood(Flood::Pings));
        assert_eq!(pings.len(), 1000);
        assert_eq!(pings[999], Outgoing::Whole(Message::Ping(Bytes::new())));
        assert_eq!(
            taken(&flood(Flood::EmptyTexts)),
            vec![Outgoing::Whole(Message::text("")); 1000]
        );
        assert_eq!(texts(OddText::NotJson, 65).len(), 65);
    }

    #[test]
    fn every_absurd_time_has_its_turn() {
        let mut texts = texts(OddText::AbsurdTime, 6);
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ABSURD.len());
    }

    #[test]
    fn fragments_are_the_message_again_when_they_are_put_together() {
        for count in [2, 3, 7, 1000] {
            let frames: Vec<_> = fragments(Message::text("0123456789"), count)
                .map(|message| match message {
                    Message::Frame(frame) => frame,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(frames.len(), count);
            let together: Vec<u8> = frames.iter().flat_map(|frame| frame.payload().to_vec()).collect();
            assert_eq!(together, b"0123456789");
            let heads = frames
                .iter()
                .map(|frame| (frame.header().opcode, frame.header().is_final));
            for (index, (opcode, is_final)) in heads.enumerate() {
                let first = if index == 0 { Data::Text } else { Data::Continue };
                assert_eq!((opcode, is_final), (OpCode::Data(first), index + 1 == count));
            }
        }
    }
}
