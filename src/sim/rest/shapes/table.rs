//! The table: a row a venue.
//!
//! Source of the protocols' facts: the venues' public documentation, as in their `directory` modules. None of those is used here, so
//! that each side is held against the other.

use super::{Page, Paging, Shape};
use crate::clock::Moment;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// The quotes of ids that have no mark before theirs.
const QUOTES: [&str; 6] = ["USDT", "USDC", "USD", "EUR", "BTC", "ETH"];
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

const UNKNOWN_PATH: (u16, &str) = (404, "{}");
const BYBIT_REFUSAL: (u16, &str) = (200, r#"{"retCode":10001,"retMsg":"params error","result":{}}"#);

/// Every venue that lists instruments.
pub(in crate::sim::rest) const SHAPES: &[Shape] = &[
    Shape {
        venue: "binance",
        path: "/api/v3/exchangeInfo",
        takes: |_| true,
        refusal: UNKNOWN_PATH,
        selects: |query, _, is_open| {
            query
                .get("symbolStatus")
                .is_none_or(|status| (status == "TRADING") == is_open)
        },
        paging: None,
        row: |id, is_open| {
            let (base, quote) = pair(id);
            let status = if is_open { "TRADING" } else { "BREAK" };
            Some(json!({"symbol": id, "status": status, "baseAsset": base, "quoteAsset": quote, "filters": []}))
        },
        answer: exchange_info,
        example: &["BTCUSDT", "ETHUSDT", "ETHBTC"],
    },
    Shape {
        venue: "binance_usdm",
        path: "/fapi/v1/exchangeInfo",
        takes: |_| true,
        refusal: UNKNOWN_PATH,
        selects: |_, _, _| true,
        paging: None,
        row: |id, is_open| {
            let (base, quote) = pair(id);
            let status = if is_open { "TRADING" } else { "SETTLING" };
            Some(json!({
                "symbol": id, "pair": id, "contractType": "PERPETUAL", "status": status, "baseAsset": base,
                "quoteAsset": quote, "marginAsset": quote, "filters": [],
            }))
        },
        answer: exchange_info,
        example: &["BTCUSDT", "ETHUSDT"],
    },
    Shape {
        venue: "binance_coinm",
        path: "/dapi/v1/exchangeInfo",
        takes: |_| true,
        refusal: UNKNOWN_PATH,
        selects: |_, _, _| true,
        paging: None,
        row: |id, is_open| {
            let of_pair = id.split('_').next().unwrap_or(id);
            let (base, quote) = pair(of_pair);
            let status = if is_open { "TRADING" } else { "SETTLING" };
            Some(json!({
                "symbol": id, "pair": of_pair, "contractType": "PERPETUAL", "contractStatus": status, "baseAsset": base,
                "quoteAsset": quote, "marginAsset": base, "contractSize": 100, "filters": [],
            }))
        },
        answer: exchange_info,
        example: &["BTCUSD_PERP", "ETHUSD_PERP"],
    },
    Shape {
        venue: "kraken",
        path: "/0/public/AssetPairs",
        takes: |_| true,
        refusal: UNKNOWN_PATH,
        selects: |_, _, _| true,
        paging: None,
        row: |id, is_open| {
            let (base, quote) = pair(id);
            let (base, quote) = (of_version_1(base), of_version_1(quote));
            let status = if is_open { "online" } else { "cancel_only" };
            let wsname = format!("{base}/{quote}");
            Some(
                json!({"altname": format!("{base}{quote}"), "wsname": wsname, "base": base, "quote": quote, "status": status}),
            )
        },
        answer: |page| {
            let named = |row: &Value| Some((row.get("altname")?.as_str()?.to_owned(), row.clone()));
            let pairs: serde_json::Map<_, _> = page.rows.iter().filter_map(named).collect();
            json!({"error": [], "result": pairs})
        },
        example: &["BTC/USD", "ETH/USD", "ETH/EUR"],
    },
    Shape {
        venue: "coinbase",
        path: "/api/v3/brokerage/market/products",
        takes: |_| true,
        refusal: UNKNOWN_PATH,
        selects: |_, _, _| true,
        paging: None,
        row: |id, is_open| {
            let (base, quote) = pair(id);
            let status = if is_open { "online" } else { "delisted" };
            Some(json!({
                "product_id": id, "base_currency_id": base, "quote_currency_id": quote, "display_name": id, "status": status,
                "is_disabled": !is_open, "trading_disabled": !is_open, "product_type": "SPOT",
            }))
        },
        answer: |page| json!({"num_products": page.rows.len(), "products": page.rows}),
        example: &["BTC-USD", "ETH-USD", "ETH-BTC"],
    },
    Shape {
        venue: "coinbase_exchange",
        path: "/products",
        takes: |_| true,
        refusal: UNKNOWN_PATH,
        selects: |_, _, _| true,
        paging: None,
        row: |id, is_open| {
            let (base, quote) = pair(id);
            let status = if is_open { "online" } else { "delisted" };
            Some(json!({
                "id": id, "base_currency": base, "quote_currency": quote, "display_name": format!("{base}/{quote}"),
                "status": status, "trading_disabled": !is_open,
            }))
        },
        answer: |page| json!(page.rows),
        example: &["BTC-USD", "ETH-USD", "ETH-BTC"],
    },
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

fn exchange_info(page: &Page) -> Value {
    json!({
        "timezone": "UTC", "serverTime": Moment::now().unix_millis(), "rateLimits": [], "exchangeFilters": [],
        "symbols": page.rows,
    })
}

fn bybit_page(category: &str, page: &Page) -> Value {
    bybit(&json!({"category": category, "list": page.rows, "nextPageCursor": page.next}))
}

fn bybit(result: &Value) -> Value {
    json!({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": Moment::now().unix_millis()})
}

/// The base and the quote of an id: by the mark between them, or by a usual quote.
fn pair(id: &str) -> (&str, &str) {
    if let Some((base, rest)) = id.split_once(['-', '/']) {
        return (base, rest.split('-').next().unwrap_or(rest));
    }
    let split = |quote: &&'static str| Some((id.strip_suffix(*quote).filter(|base| !base.is_empty())?, *quote));
    QUOTES.iter().find_map(split).unwrap_or((id, ""))
}

/// What Kraken calls an asset over REST.
fn of_version_1(asset: &str) -> &str {
    match asset {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        other => other,
    }
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
