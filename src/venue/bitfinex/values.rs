//! Reads the values of frames, at leisure and strictly.
//!
//! From the venue's documentation: a level is `[price, count, amount]`, whose amount is below 0 for asks, and whose count is 0
//! where the level is gone; a trade is `[id, time, amount, price]`, whose amount is below 0 where the taker sold; a ticker begins
//! with `[bid, bid's size, ask]`.

use super::channel::{About, Channels};
use super::decode::{Message, Update, is_list_of_lists, read};
use crate::market::{BestPrices, Book, Decimal, LastPrice, Level, PriceChange, Side, Trade, Value, ValueError};
use crate::venue::book::{Visit, book, change};
use crate::venue::object::{Place, amount, plain, signed, whole};
use serde_json::value::RawValue;

const LEVEL: &str = "a level: [price, count, amount]";
const TRADE: &str = "a trade: [id, time, amount, price]";
const TICKER: &str = "a ticker: [bid, size, ask, size, ...]";

pub(super) fn values<'f>(channels: &'f mut Channels, frame: &'f str, visit: Visit<'_, 'f>) {
    match read(frame) {
        Ok(Message::Event(event)) => channels.hear(&event),
        Ok(Message::Update(update)) => {
            if let Some((about, symbol)) = channels.get(update.channel) {
                update.values(about, symbol, visit);
            }
        }
        Err(error) => visit(Err(Place::new(0).error(
            "",
            error.to_string(),
            "an event, or a list that begins with the number of a channel",
        ))),
    }
}

/// What stands in a channel's frame, and whose it is.
#[derive(Clone, Copy)]
struct Context<'f> {
    symbol: &'f str,
    place: Place<'f>,
    time: Option<i64>,
}

impl<'f> Update<'f> {
    fn values(&self, about: About, symbol: &'f str, visit: Visit<'_, 'f>) {
        let Some(payload) = self.payload else { return };
        let context = Context {
            symbol,
            place: Place::new(0).about(symbol),
            time: self.time,
        };
        match (about, self.tag) {
            (About::Book, None) if is_list_of_lists(payload) => visit(context.book(payload).map(Value::Book)),
            (About::Book, None) => visit(context.change(payload).map(Value::PriceChange)),
            // Those before the subscription.
            (About::Trades, None) => match context.place.list(payload) {
                Ok(trades) => trades
                    .into_iter()
                    .for_each(|trade| visit(context.trade(trade).map(Value::Trade))),
                Err(error) => visit(Err(error)),
            },
            (About::Trades, Some("te")) => visit(context.trade(payload).map(Value::Trade)),
            (About::Ticker, None) => {
                visit(context.best_prices(payload).map(Value::BestPrices));
                context
                    .last_price(payload)
                    .map(Value::LastPrice)
                    .into_iter()
                    .for_each(|last| visit(Ok(last)));
            }
            _ => {}
        }
    }
}

impl<'f> Context<'f> {
    fn book(self, payload: &'f RawValue) -> Result<Book<'f>, ValueError> {
        let mut book = book(self.symbol, Vec::new(), Vec::new(), self.time);
        for raw in self.place.list(payload)? {
            let (side, level) = self.level(raw)?;
            match side {
                Side::Buy => book.bids.push(level),
                Side::Sell => book.asks.push(level),
            }
        }
        Ok(book)
    }

    fn change(self, payload: &'f RawValue) -> Result<PriceChange<'f>, ValueError> {
        let (side, level) = self.level(payload)?;
        Ok(change(self.symbol, side, level, self.time))
    }

    fn level(self, raw: &'f RawValue) -> Result<(Side, Level), ValueError> {
        let items = self.place.list(raw)?;
        let wrong = || self.place.wrong("", Some(raw), LEVEL);
        let [price, count, size, ..] = *items else {
            return Err(wrong());
        };
        let (price, count) = (amount(Some(price)), whole(count));
        let (Some(price), Some(count), Some(size)) = (price, count, signed(Some(size))) else {
            return Err(wrong());
        };
        let level = Level {
            price,
            size: if count == 0 { Decimal::ZERO } else { size.abs() },
        };
        Ok((side(size), level))
    }

    fn trade(self, raw: &'f RawValue) -> Result<Trade<'f>, ValueError> {
        let items = self.place.list(raw)?;
        let wrong = || self.place.wrong("", Some(raw), TRADE);
        let [id, time, size, price, ..] = *items else {
            return Err(wrong());
        };
        let (Some(size), Some(price)) = (signed(Some(size)), amount(Some(price))) else {
            return Err(wrong());
        };
        Ok(Trade {
            instrument: self.symbol,
            price,
            size: Some(size.abs()),
            side: Some(side(size)),
            id: plain(Some(id)).or(Some(id.get())),
            venue_time_ms: whole(time),
        })
    }

    fn best_prices(self, payload: &'f RawValue) -> Result<BestPrices<'f>, ValueError> {
        let items = self.place.list(payload)?;
        let wrong = || self.place.wrong("", Some(payload), TICKER);
        let [bid, _, ask, ..] = *items else {
            return Err(wrong());
        };
        let price = |raw: &'f RawValue| match raw.get() {
            "null" => Ok(None),
            _ => amount(Some(raw)).map(Some).ok_or_else(wrong),
        };
        Ok(BestPrices {
            instrument: self.symbol,
            bid: price(bid)?,
            ask: price(ask)?,
            venue_time_ms: self.time,
        })
    }

    /// The seventh number of a ticker.
    fn last_price(self, payload: &'f RawValue) -> Option<LastPrice<'f>> {
        let items = self.place.list(payload).ok()?;
        Some(LastPrice {
            instrument: self.symbol,
            price: amount(items.get(6).copied())?,
            venue_time_ms: self.time,
        })
    }
}

fn side(amount: Decimal) -> Side {
    if amount.is_sign_negative() {
        Side::Sell
    } else {
        Side::Buy
    }
}
