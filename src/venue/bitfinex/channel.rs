//! Channels: as they are configured, as they are asked for, and by the numbers that the venue gives them.

use super::decode::Event;
use crate::market::is_name;
use rustc_hash::FxBuildHasher;
use serde_json::{Value, json};
use std::collections::HashMap;

/// So many numbers are remembered. A connection carries 25; the rest come from a venue that is out of its mind.
const MOST_CHANNELS: usize = 1000;

/// What an instrument is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Channel {
    Trades,
    Ticker,
    Book {
        precision: String,
        frequency: String,
        length: String,
    },
    Candles {
        width: String,
    },
}

impl Channel {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let name = parts.next()?;
        let parts: Vec<_> = parts.collect();
        match (name, parts.as_slice()) {
            ("trades", []) => Some(Self::Trades),
            ("ticker", []) => Some(Self::Ticker),
            ("book", []) => Some(Self::book("P0", "F0", "25")),
            // The raw books, R0, list orders, not prices.
            (
                "book",
                [
                    "P0" | "P1" | "P2" | "P3" | "P4",
                    "F0" | "F1",
                    "1" | "25" | "100" | "250",
                ],
            ) => match *parts {
                [precision, frequency, length] => Some(Self::book(precision, frequency, length)),
                _ => None,
            },
            ("candles", [width]) => {
                let is_legal = (2..=3).contains(&width.len()) && width.bytes().all(|byte| byte.is_ascii_alphanumeric());
                is_legal.then(|| Self::Candles {
                    width: (*width).to_owned(),
                })
            }
            _ => None,
        }
    }

    fn book(precision: &str, frequency: &str, length: &str) -> Self {
        Self::Book {
            precision: precision.to_owned(),
            frequency: frequency.to_owned(),
            length: length.to_owned(),
        }
    }

    pub(super) fn request(&self, symbol: &str) -> Value {
        match self {
            Self::Trades => json!({"event": "subscribe", "channel": "trades", "symbol": symbol}),
            Self::Ticker => json!({"event": "subscribe", "channel": "ticker", "symbol": symbol}),
            Self::Book {
                precision,
                frequency,
                length,
            } => json!({
                "event": "subscribe", "channel": "book", "symbol": symbol,
                "prec": precision, "freq": frequency, "len": length,
            }),
            Self::Candles { width } => {
                json!({"event": "subscribe", "channel": "candles", "key": candle_key(width, symbol)})
            }
        }
    }

    /// Whether that answer is to the request of this channel of that instrument. It repeats what it was asked; an error may
    /// leave some of it out.
    pub(super) fn is_meant_by(&self, answer: &Event<'_>, symbol: &str) -> bool {
        let says = |said: Option<&str>, asked: &str| said.is_none_or(|said| said == asked);
        match (self, answer.channel) {
            (Self::Trades, Some("trades")) | (Self::Ticker, Some("ticker")) => answer.symbol == Some(symbol),
            (
                Self::Book {
                    precision,
                    frequency,
                    length,
                },
                Some("book"),
            ) => {
                answer.symbol == Some(symbol)
                    && says(answer.precision, precision)
                    && says(answer.frequency, frequency)
                    && says(answer.length.as_deref(), length)
            }
            (Self::Candles { width }, Some("candles")) => {
                answer.key.is_some_and(|key| key == candle_key(width, symbol))
            }
            _ => false,
        }
    }
}

fn candle_key(width: &str, symbol: &str) -> String {
    format!("trade:{width}:{symbol}")
}

/// What a channel's frames are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Book,
    Trades,
    Ticker,
    Candles,
    /// Known to the venue, and not to us.
    Other,
}

/// What the numbers of one connection's channels mean.
#[derive(Debug, Default)]
pub(super) struct Channels {
    by_number: HashMap<u64, (About, Box<str>), FxBuildHasher>,
}

impl Channels {
    /// Learns from an answer; forgets what was unsubscribed.
    pub(super) fn hear(&mut self, event: &Event<'_>) {
        let Some(number) = event.number else { return };
        match event.name {
            "subscribed" if self.by_number.len() < MOST_CHANNELS => {
                let about = match event.channel {
                    Some("book") => About::Book,
                    Some("trades") => About::Trades,
                    Some("ticker") => About::Ticker,
                    Some("candles") => About::Candles,
                    _ => About::Other,
                };
                // The key of candles is `trade:1m:tBTCUSD`, and the pair may have a colon in it as well.
                let key = event.key.filter(|_| about == About::Candles);
                let of_key = key.and_then(|key| key.splitn(3, ':').nth(2));
                let symbol = event.symbol.or(of_key).filter(|symbol| is_name(symbol));
                let symbol = symbol.unwrap_or_default();
                self.by_number.insert(number, (about, symbol.into()));
            }
            "unsubscribed" => _ = self.by_number.remove(&number),
            _ => {}
        }
    }

    /// What that channel is about, and the instrument.
    pub(super) fn get(&self, number: u64) -> Option<(About, &str)> {
        self.by_number.get(&number).map(|(about, symbol)| (*about, &**symbol))
    }
}
