//! Frames as venues send them. Polymarket's after the first one: single objects, `event_type` never first, a blank after each comma
//! and none after a colon; ids of tokens and hashes have the lengths of real ones. Binance's: compact, numbers are numbers, prices have
//! eight decimals, and no number of a trade or of an update comes twice.

use std::fmt::Write;
use std::time::SystemTime;

/// Instruments that the frames are about, in turns.
const INSTRUMENTS: usize = 20;
/// Different frames of a kind that has no numbers; they are sent over and over.
const FRAMES: usize = 240;

/// What frames look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Trades of 180 bytes: without the two hashes of a real one.
    Small,
    /// Trades as they are: 370 bytes.
    Trade,
    /// Changes of two tokens: 720 bytes.
    Change,
    /// Books of 2 KB.
    Book,
    /// Arrays of two books of 1 KB.
    Array,
    /// Trades of Binance, 130 bytes.
    Numbered,
    /// Changes of books of Binance, 2 KB.
    Depth,
}

/// Whose frames these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Market {
    Polymarket,
    Binance,
}

impl Shape {
    pub(crate) const ALL: [Self; 7] = [
        Self::Small,
        Self::Trade,
        Self::Change,
        Self::Book,
        Self::Array,
        Self::Numbered,
        Self::Depth,
    ];

    pub(crate) const fn market(self) -> Market {
        match self {
            Self::Small | Self::Trade | Self::Change | Self::Book | Self::Array => Market::Polymarket,
            Self::Numbered | Self::Depth => Market::Binance,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "trades, 180 B",
            Self::Trade => "trades, 370 B",
            Self::Change => "price changes of two tokens, 720 B",
            Self::Book => "books, 2 KB",
            Self::Array => "arrays of two books, 2 KB",
            Self::Numbered => "Binance, trades, 130 B",
            Self::Depth => "Binance, changes of books, 2 KB",
        }
    }

    /// Frames, the same for everybody but for the time that they tell. To send so many, these are sent in turns.
    pub(crate) fn frames(self, count: usize) -> Vec<String> {
        #[allow(clippy::disallowed_methods, reason = "no clock of the program's")]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_millis());
        let different = match self.market() {
            Market::Polymarket => FRAMES,
            Market::Binance => count,
        };
        (0..different).map(|number| self.frame(number, now)).collect()
    }

    fn frame(self, number: usize, time: u128) -> String {
        if self.market() == Market::Binance {
            return self.numbered_frame(number, time);
        }
        let (token, other) = (token(number % INSTRUMENTS), token((number + 1) % INSTRUMENTS));
        let (price, size) = (price(number), size(number));
        let (market, hash) = (hex(number, 64), hex(number + 1, 40));
        match self {
            Self::Small => format!(
                r#"{{"asset_id":"{token}", "price":"{price}", "size":"{size}", "timestamp":"{time}", "event_type":"last_trade_price"}}"#
            ),
            Self::Trade => format!(
                r#"{{"market":"0x{market}", "asset_id":"{token}", "price":"{price}", "size":"{size}", "fee_rate_bps":"0", "side":"BUY", "timestamp":"{time}", "event_type":"last_trade_price", "transaction_hash":"0x{market}"}}"#
            ),
            Self::Change => {
                let change = |token, side| {
                    format!(
                        r#"{{"asset_id":"{token}", "price":"{price}", "size":"{size}", "side":"{side}", "hash":"{hash}", "best_bid":"{price}", "best_ask":"0.99"}}"#
                    )
                };
                let changes = [change(&token, "BUY"), change(&other, "SELL")].join(", ");
                format!(
                    r#"{{"market":"0x{market}", "price_changes":[{changes}], "timestamp":"{time}", "event_type":"price_change"}}"#
                )
            }
            Self::Book => book(&token, number, 2000, ", ", time),
            // The answer to a subscription is compact, and ends in a line feed.
            Self::Array => format!(
                "[{},{}]\n",
                book(&token, number, 1000, ",", time),
                book(&other, number + 1, 1000, ",", time)
            ),
            Self::Numbered | Self::Depth => String::new(),
        }
    }

    /// Of each symbol the numbers have no hole.
    fn numbered_frame(self, number: usize, time: u128) -> String {
        let (symbol, turn) = (symbol(number % INSTRUMENTS), number / INSTRUMENTS);
        if self == Self::Numbered {
            let (price, size, id) = (long_price(number), size(number), 5_955_000_000 + turn);
            return format!(
                r#"{{"e":"trade","E":{time},"s":"{symbol}","t":{id},"p":"{price}","q":"{size}000000","T":{time},"m":true,"M":true}}"#
            );
        }
        let (first, last) = (91_000_000_000 + turn * 9, 91_000_000_008 + turn * 9);
        let levels = |first: usize| {
            let level = |level| format!(r#"["{}","{}000000"]"#, long_price(first + level), size(first + level));
            (0..30).map(level).collect::<Vec<_>>().join(",")
        };
        let (bids, asks) = (levels(number), levels(number + 50));
        format!(r#"{{"e":"depthUpdate","E":{time},"s":"{symbol}","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}"#)
    }
}

/// The instruments to subscribe to.
pub(crate) fn instruments(market: Market) -> Vec<String> {
    match market {
        Market::Polymarket => (0..INSTRUMENTS).map(token).collect(),
        Market::Binance => (0..INSTRUMENTS).map(symbol).collect(),
    }
}

/// What a request for these instruments says.
pub(crate) fn request(instruments: &[String]) -> String {
    if instruments.iter().any(|id| id.ends_with("USDT")) {
        let stream = |id: &String| format!("{}@trade", id.to_lowercase());
        let params: Vec<_> = instruments.iter().map(stream).collect();
        return serde_json::json!({"method": "SUBSCRIBE", "params": params, "id": 1}).to_string();
    }
    serde_json::json!({"assets_ids": instruments, "type": "market"}).to_string()
}

/// The answer to a request: of Polymarket, the books of the tokens in it.
pub(crate) fn answer(request: &str) -> String {
    if request.contains("SUBSCRIBE") {
        return r#"{"result":null,"id":1}"#.into();
    }
    let mut tokens = instruments(Market::Polymarket);
    tokens.retain(|token| request.contains(token.as_str()));
    let books: Vec<_> = tokens.iter().map(|token| book(token, 0, 500, ",", 1)).collect();
    format!("[{}]\n", books.join(","))
}

fn book(token: &str, number: usize, bytes: usize, comma: &str, time: u128) -> String {
    let market = hex(number, 64);
    let hash = hex(number + 1, 40);
    let mut text = format!(
        r#"{{"market":"0x{market}"{comma}"asset_id":"{token}"{comma}"timestamp":"{time}"{comma}"hash":"{hash}"{comma}"bids":["#
    );
    let mut levels = |most: usize, first: usize| {
        let mut level = 0;
        while level == 0 || text.len() < most {
            let between = if level == 0 { "" } else { comma };
            let (price, size) = (price(first + level), size(first + level));
            let _ = write!(text, r#"{between}{{"price":"{price}"{comma}"size":"{size}"}}"#);
            level += 1;
        }
        text.push(']');
        if first == number {
            let _ = write!(text, r#"{comma}"asks":["#);
        }
    };
    levels(bytes / 2 + 80, number);
    levels(bytes.saturating_sub(60), number + 50);
    let _ = write!(text, r#"{comma}"event_type":"book"{comma}"last_trade_price":"0.140"}}"#);
    text
}

fn price(number: usize) -> String {
    format!("0.{:02}", 1 + number % 98)
}

fn long_price(number: usize) -> String {
    format!("{}.{:02}000000", 67_000 + number % 97, number % 100)
}

fn symbol(number: usize) -> String {
    format!("C{}USDT", char::from(b"ABCDEFGHIJKLMNOPQRST"[number]))
}

fn size(number: usize) -> String {
    format!("{}.{:02}", 10 + number * 37 % 5000, number % 100)
}

/// 77 digits.
fn token(number: usize) -> String {
    let mut digits = String::with_capacity(77);
    let mut state = 71_321_045_679_252_212_u64.wrapping_mul(number as u64 + 1);
    while digits.len() < 77 {
        let _ = write!(digits, "{state}");
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
    }
    digits.truncate(77);
    digits
}

fn hex(number: usize, digits: usize) -> String {
    let mut text = String::with_capacity(digits);
    let mut state = number as u64 + 7;
    while text.len() < digits {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let _ = write!(text, "{state:016x}");
    }
    text.truncate(digits);
    text
}
