//! Venues that list a part: the page, or the kind, that is asked for.

use super::{Page, Paging, QUOTES, Shape, pair};
use crate::clock::Moment;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// Encoded, it has every character that a query must escape.
const AWKWARD: &[u8] = &[0xFB, 0xEF, 0xFF];

const KALSHI_PAGES: Paging = Paging {
    unless_told: 100,
    mark: |row| BASE64.encode([AWKWARD, row.to_string().as_bytes()].concat()),
    read: |mark| {
        let told = BASE64.decode(mark).ok()?;
        std::str::from_utf8(told.strip_prefix(AWKWARD)?).ok()?.parse().ok()
    },
};
const BYBIT_PAGES: Paging = Paging {
    unless_told: 500,
    // It comes escaped, as it is to be sent.
    mark: |row| format!("first%3D{row}"),
    read: |mark| mark.strip_prefix("first=")?.parse().ok(),
};

const BYBIT_REFUSAL: (u16, &str) = (200, r#"{"retCode":10001,"retMsg":"params error","result":{}}"#);

/// A row a venue.
pub(super) const SHAPES: &[Shape] = &[
    Shape {
        venue: "okx",
        path: "/api/v5/public/instruments",
        takes: |query| query.get("instType").is_some(),
        refusal: (
            400,
            r#"{"code":"50014","msg":"Parameter instType can not be empty.","data":[]}"#,
        ),
        selects: |query, id, _| query.get("instType").is_some_and(|of_type| of_type == of_okx(id)),
        paging: None,
        // What has expired is listed no more.
        row: |id, is_open| {
            let (base, quote) = pair(id);
            let row =
                json!({"instType": of_okx(id), "instId": id, "baseCcy": base, "quoteCcy": quote, "state": "live"});
            is_open.then_some(row)
        },
        answer: |page| json!({"code": "0", "msg": "", "data": page.rows}),
        example: &["BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP", "BTC-USD-300927"],
    },
    Shape {
        venue: "bybit_spot",
        takes: |query| query.is("category", "spot"),
        paging: None,
        answer: |page| bybit(&json!({"category": "spot", "list": page.rows})),
        example: &["BTCUSDT", "ETHUSDT"],
        ..BYBIT_LINEAR
    },
    BYBIT_LINEAR,
    Shape {
        venue: "bybit_inverse",
        takes: |query| query.is("category", "inverse"),
        answer: |page| bybit_page("inverse", page),
        example: &["BTCUSD", "ETHUSD"],
        ..BYBIT_LINEAR
    },
    Shape {
        venue: "bybit_option",
        takes: |query| query.is("category", "option"),
        selects: |query, id, _| {
            let coin = query.get("baseCoin").unwrap_or_else(|| "BTC".to_owned());
            pair(id).0 == coin
        },
        answer: |page| bybit_page("option", page),
        example: &["BTC-27SEP30-100000-C-USDT", "BTC-27SEP30-100000-P-USDT"],
        ..BYBIT_LINEAR
    },
    Shape {
        venue: "kalshi",
        path: "/trade-api/v2/markets",
        takes: |_| true,
        refusal: (
            400,
            r#"{"error":{"code":"invalid_parameters","message":"invalid parameters"}}"#,
        ),
        selects: |query, id, is_open| {
            let is_of = |name: &str, ticker: &str| query.get(name).is_none_or(|asked| asked == ticker);
            let is_so = match query.get("status").as_deref() {
                None | Some("") => true,
                Some("open") => is_open,
                Some(status) => status == "settled" && !is_open,
            };
            is_so && is_of("event_ticker", event_of(id)) && is_of("series_ticker", series_of(id))
        },
        paging: Some(KALSHI_PAGES),
        row: |id, is_open| {
            let status = if is_open { "active" } else { "finalized" };
            Some(json!({
                "ticker": id, "event_ticker": event_of(id), "market_type": "binary", "title": format!("Title of {id}"),
                "status": status,
            }))
        },
        answer: |page| json!({"cursor": page.next, "markets": page.rows}),
        example: &["KXRAIN-30-AYTON", "KXRAIN-30-BEEHAM", "KXRAIN-31-AYTON"],
    },
];

const BYBIT_LINEAR: Shape = Shape {
    venue: "bybit_linear",
    path: "/v5/market/instruments-info",
    takes: |query| query.is("category", "linear"),
    refusal: BYBIT_REFUSAL,
    selects: |_, _, _| true,
    paging: Some(BYBIT_PAGES),
    // Only what is traded is listed where nothing else is asked for.
    row: |id, is_open| {
        let (base, quote) = pair(id);
        let quote = id
            .rsplit('-')
            .next()
            .filter(|last| QUOTES.contains(last))
            .unwrap_or(quote);
        is_open.then(|| json!({"symbol": id, "status": "Trading", "baseCoin": base, "quoteCoin": quote}))
    },
    answer: |page| bybit_page("linear", page),
    example: &["BTCUSDT", "ETHUSDT", "SOLUSDT"],
};

fn bybit_page(category: &str, page: &Page) -> Value {
    bybit(&json!({"category": category, "list": page.rows, "nextPageCursor": page.next}))
}

fn bybit(result: &Value) -> Value {
    json!({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": Moment::now().unix_millis()})
}

/// The type of an instrument at OKX.
fn of_okx(id: &str) -> &'static str {
    match id.split('-').nth(2) {
        None => "SPOT",
        Some("SWAP") => "SWAP",
        Some(_) => "FUTURES",
    }
}

/// The event of a market at Kalshi, and the series of that.
fn event_of(ticker: &str) -> &str {
    ticker.rsplit_once('-').map_or(ticker, |(event, _)| event)
}

fn series_of(ticker: &str) -> &str {
    ticker.split('-').next().unwrap_or(ticker)
}
