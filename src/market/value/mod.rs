//! What events say, as values: parsed when a consumer asks, never on the hot path.
//!
//! [`crate::venue::Decoder::values`] reads them from a frame. They are the same for every venue. Prices and sizes are exact
//! decimals that never pass through a float, and print as the venue wrote them, with its trailing zeros.

mod decimal;
mod error;
mod order_book;

pub(crate) use decimal::decimal;
pub use error::ValueError;
pub use order_book::{BookError, OrderBook};
pub use rust_decimal::Decimal;

/// One value; its instrument borrows from the frame.
///
/// ```
/// use feedwatch::market::{Side, Value};
/// use feedwatch::venue::{Polymarket, Venue};
///
/// let frame = r#"{"event_type":"last_trade_price","asset_id":"71","price":"0.450","size":"60","side":"BUY","timestamp":"1793000000210"}"#;
/// let mut seen = 0;
/// Polymarket.decoder().values(frame, &mut |value| match value {
///     Ok(Value::Trade(trade)) => {
///         seen += 1;
///         assert_eq!((trade.instrument, trade.side), ("71", Some(Side::Buy)));
///         assert_eq!(trade.price.to_string(), "0.450", "exact, as it was written");
///     }
///     Ok(_) => {}
///     // A change that cannot be read is one that was missed: distrust the book of `error.instrument`.
///     Err(error) => panic!("{error}"),
/// });
/// assert_eq!(seen, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'f> {
    /// A whole order book.
    Book(Book<'f>),
    /// One level of an order book is another now.
    PriceChange(PriceChange<'f>),
    /// A trade.
    Trade(Trade<'f>),
    /// The best prices.
    BestPrices(BestPrices<'f>),
    /// What was last paid, by a ticker.
    LastPrice(LastPrice<'f>),
    /// Prices have another step now.
    TickSize(TickSize<'f>),
    /// The market of an instrument has ended, and how.
    Resolved(Resolved<'f>),
}

impl<'f> Value<'f> {
    /// Which instrument it is about.
    pub const fn instrument(&self) -> &'f str {
        match self {
            Self::Book(book) => book.instrument,
            Self::PriceChange(change) => change.instrument,
            Self::Trade(trade) => trade.instrument,
            Self::BestPrices(best) => best.instrument,
            Self::LastPrice(last) => last.instrument,
            Self::TickSize(tick) => tick.instrument,
            Self::Resolved(resolved) => resolved.instrument,
        }
    }
}

/// A side of a book, or of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who buys: the bids.
    Buy,
    /// Who sells: the asks.
    Sell,
}

/// What is offered at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// In the instrument's quote currency; on Polymarket in USDC, from 0 to 1.
    pub price: Decimal,
    /// In units of the instrument, all orders at this price together; on Polymarket in shares.
    pub size: Decimal,
}

/// A whole order book: what was known of it before counts no more. [`OrderBook::new`] makes one to work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book<'f> {
    /// Of which instrument.
    pub instrument: &'f str,
    /// In the venue's order, whatever that is.
    pub bids: Vec<Level>,
    /// In the venue's order, whatever that is.
    pub asks: Vec<Level>,
    /// The step of its prices, where the venue says so.
    pub tick_size: Option<Decimal>,
    /// The price of the last trade, where there was one and the venue says so.
    pub last_trade_price: Option<Decimal>,
    /// The venue's time of its last change: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
}

/// One level of an order book has another size now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceChange<'f> {
    /// Of which instrument.
    pub instrument: &'f str,
    /// Bids or asks.
    pub side: Side,
    /// Which level.
    pub price: Decimal,
    /// Its size from now on, absolute; 0 = it is gone. `None` = the venue does not say, and the book is not known any more.
    pub size: Option<Decimal>,
    /// The best bid afterwards, where the venue says so and there is one.
    pub best_bid: Option<Decimal>,
    /// The best ask afterwards, where the venue says so and there is one.
    pub best_ask: Option<Decimal>,
    /// The venue's time of it: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
}

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<'f> {
    /// Of which instrument.
    pub instrument: &'f str,
    /// As [`Level::price`].
    pub price: Decimal,
    /// As [`Level::size`]; `None` = the venue does not say.
    pub size: Option<Decimal>,
    /// What the taker did, whose order met one that was in the book; `None` = the venue does not say.
    pub side: Option<Side>,
    /// The venue's id of it, to know a repetition by; on Polymarket the hash of the transaction.
    pub id: Option<&'f str>,
    /// The venue's time of it: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
}

/// The best prices of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestPrices<'f> {
    /// Of which instrument.
    pub instrument: &'f str,
    /// The highest bid; `None` = nobody bids.
    pub bid: Option<Decimal>,
    /// The lowest ask; `None` = nobody asks.
    pub ask: Option<Decimal>,
    /// The venue's time of it: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
}

/// The price of the last trade, where a ticker says so: the same again until there is another one. [`Trade`] is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastPrice<'f> {
    /// Of which instrument.
    pub instrument: &'f str,
    /// As [`Level::price`].
    pub price: Decimal,
    /// The venue's time of the ticker: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
}

/// Prices have another step from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickSize<'f> {
    /// Of which instrument.
    pub instrument: &'f str,
    /// The step, in the unit of [`Level::price`]; never 0.
    pub tick_size: Decimal,
    /// The venue's time of it: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
}

/// The market of an instrument has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved<'f> {
    /// Which instrument.
    pub instrument: &'f str,
    /// Whether it has won; `None` = the venue does not say.
    pub won: Option<bool>,
    /// The venue's time of it: milliseconds since the Unix epoch.
    pub venue_time_ms: Option<i64>,
}
