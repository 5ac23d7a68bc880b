//! Events and values on one line, to compare.

use feedwatch::market::{Envelope, Level, Place, Sequence, Series, Side, Value, ValueError};

/// `kind instrument time sequence`, with `ended` behind it where the market has.
pub(crate) fn event(event: &Envelope<'_>) -> String {
    let time = event.venue_time_ms.map_or("-".to_owned(), |time| time.to_string());
    let sequence = event.sequence.map_or("-".to_owned(), sequence);
    let ended = if event.ended { " ended" } else { "" };
    format!(
        "{} {} {time} {sequence}{ended}",
        event.kind.as_str(),
        event.instrument.unwrap_or("-")
    )
}

/// `series:place`, as in `0:next=5`, `connection:next=7`, `0:range=157..160`, `0:after=3>5`.
fn sequence(sequence: &Sequence) -> String {
    let series = match sequence.series {
        Series::Connection => "connection".to_owned(),
        Series::Channel(number) => format!("channel{number}"),
        Series::Instrument(kind) => kind.to_string(),
        other => format!("{other:?}"),
    };
    let place = match sequence.place {
        Place::Start(number) => format!("start={number}"),
        Place::Next(number) => format!("next={number}"),
        Place::Unordered(number) => format!("unordered={number}"),
        Place::Range { first, last } => format!("range={first}..{last}"),
        Place::After { previous, number } => format!("after={previous}>{number}"),
        other => format!("{other:?}"),
    };
    format!("{series}:{place}")
}

/// As in `trade BTCUSDT buy 0.5 @ 61800.30 #17 at 1723161256322`; `?` for what the venue does not say.
pub(crate) fn told(value: &Result<Value<'_>, ValueError>) -> String {
    let some = |text: Option<String>| text.unwrap_or("?".to_owned());
    let at = |time: Option<i64>| time.map_or(String::new(), |time| format!(" at {time}"));
    let side = |side: Side| match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    };
    let value = match value {
        Ok(value) => value,
        Err(error) => return format!("error: {error}"),
    };
    let about = value.instrument();
    match value {
        Value::Trade(trade) => format!(
            "trade {about} {} {} @ {}{}{}",
            trade.side.map_or("?", side),
            some(trade.size.map(|size| size.to_string())),
            trade.price,
            trade.id.map_or(String::new(), |id| format!(" #{id}")),
            at(trade.venue_time_ms)
        ),
        Value::Book(book) => {
            let levels = |levels: &[Level]| {
                let levels: Vec<_> = levels
                    .iter()
                    .map(|level| format!("{}x{}", level.price, level.size))
                    .collect();
                levels.join(",")
            };
            format!(
                "book {about} [{}] [{}]{}",
                levels(&book.bids),
                levels(&book.asks),
                at(book.venue_time_ms)
            )
        }
        Value::PriceChange(change) => format!(
            "change {about} {} {}x{}{}",
            side(change.side),
            change.price,
            some(change.size.map(|size| size.to_string())),
            at(change.venue_time_ms)
        ),
        Value::BestPrices(best) => format!(
            "best {about} {} {}{}",
            some(best.bid.map(|price| price.to_string())),
            some(best.ask.map(|price| price.to_string())),
            at(best.venue_time_ms)
        ),
        Value::LastPrice(last) => format!("last {about} {}{}", last.price, at(last.venue_time_ms)),
        other => format!("{other:?}"),
    }
}
