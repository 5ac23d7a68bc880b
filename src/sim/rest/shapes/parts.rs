//! Venues that list a part: the page, or the kind, that is asked for.

use super::{Page, Paging, QUOTES, Query, Shape, pair};
use crate::clock::Moment;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::collections::BTreeMap;

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

const DERIBIT_KINDS: [&str; 5] = ["future", "option", "spot", "future_combo", "option_combo"];

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
        example: &["BTC-27SEP30-100000-C-USDT", "BTC-27SEP30-100000-P-USDT"],
        ..BYBIT_LINEAR
    },
    Shape {
        venue: "deribit",
        path: "/api/v2/public/get_instruments",
        takes: |query| {
            let is_known = |kind: String| DERIBIT_KINDS.contains(&kind.as_str());
            query.is("currency", "any") && query.get("kind").is_none_or(is_known)
        },
        refusal: (
            400,
            r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params"},"testnet":false}"#,
        ),
        selects: |query, id, _| query.get("kind").is_none_or(|kind| kind == kind_of(id)),
        paging: None,
        row: |id, is_open| {
            let state = if is_open { "open" } else { "locked" };
            Some(json!({
                "instrument_name": id, "kind": kind_of(id), "is_active": is_open, "state": state,
            }))
        },
        answer: |page| json!({"jsonrpc": "2.0", "result": page.rows, "testnet": false}),
        example: &[
            "BTC-PERPETUAL",
            "ETH-27SEP30",
            "BTC-27SEP30-100000-C",
            "XRP_USDC-27SEP30-0d5-P",
            "BTC_USDC",
            "BTC-FS-27SEP30_PERP",
            "BTC-CS-27SEP30-100000_110000",
        ],
    },
    Shape {
        venue: "hyperliquid",
        path: "/info",
        takes: |query| matches!(query.in_body("type"), Some("meta" | "spotMeta")),
        refusal: (422, "Failed to deserialize the JSON body into the target type"),
        selects: |query, id, _| match market_of(id) {
            None => is_of_spot(query),
            Some(market) => !is_of_spot(query) && market == query.in_body("dex").unwrap_or_default(),
        },
        paging: None,
        row: |id, is_open| match (market_of(id), is_open) {
            (None, _) => is_open.then(|| json!(id)),
            (Some(_), true) => Some(json!({"name": id, "szDecimals": 2, "maxLeverage": 10})),
            (Some(_), false) => Some(json!({"name": id, "szDecimals": 2, "maxLeverage": 10, "isDelisted": true})),
        },
        answer: |page| {
            if is_of_spot(page.query) {
                spot_meta(page)
            } else {
                json!({"universe": page.rows, "marginTables": []})
            }
        },
        example: &["BTC", "kPEPE", "xyz:GOLD", "PURR/USDC", "@107"],
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
    answer: bybit_page,
    example: &["BTCUSDT", "ETHUSDT", "SOLUSDT"],
};

fn bybit_page(page: &Page) -> Value {
    bybit(&json!({"category": page.query.get("category"), "list": page.rows, "nextPageCursor": page.next}))
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

/// The kind of an instrument at Deribit: `BTC-PERPETUAL`, `BTC-27SEP30`, `BTC-27SEP30-100000-C`, `BTC_USDC`, `BTC-FS-27SEP30_PERP`, or
/// `BTC-CS-27SEP30-100000_110000`.
fn kind_of(id: &str) -> &'static str {
    let mut behind = id.split('-').skip(1);
    match (behind.next(), behind.next()) {
        (None, _) => "spot",
        (Some("FS"), _) => "future_combo",
        (Some("PERPETUAL"), _) => "future",
        (Some(date), strike) if date.starts_with(|first: char| first.is_ascii_digit()) => {
            if strike.is_some() {
                "option"
            } else {
                "future"
            }
        }
        _ => "option_combo",
    }
}

/// The market of a perpetual at Hyperliquid, the venue's own has no name; `None` = it is of spot.
fn market_of(id: &str) -> Option<&str> {
    let market = id.split_once(':').map_or("", |(market, _)| market);
    (!id.contains(['@', '/'])).then_some(market)
}

fn is_of_spot(query: &Query) -> bool {
    query.in_body("type") == Some("spotMeta")
}

/// The pairs of Hyperliquid, with the tokens that they name by their indices. Of a pair whose id is a number nobody has said which
/// those are.
fn spot_meta(page: &Page) -> Value {
    let mut indices = BTreeMap::new();
    let mut index = |token: String| {
        let next = indices.len();
        *indices.entry(token).or_insert(next)
    };
    let pairs: Vec<_> = (0..)
        .zip(page.rows.iter().filter_map(Value::as_str))
        .map(|(row, id)| {
            let (base, quote) = id.strip_prefix('@').map_or_else(|| pair(id), |number| (number, "USDC"));
            let tokens = [index(base.to_owned()), index(quote.to_owned())];
            json!({"name": id, "tokens": tokens, "index": row, "isCanonical": !id.starts_with('@')})
        })
        .collect();
    let token = |(name, index): (&String, &usize)| json!({"name": name, "index": index, "szDecimals": 2});
    let tokens: Vec<_> = indices.iter().map(token).collect();
    json!({"tokens": tokens, "universe": pairs})
}

/// The event of a market at Kalshi, and the series of that.
fn event_of(ticker: &str) -> &str {
    ticker.rsplit_once('-').map_or(ticker, |(event, _)| event)
}

fn series_of(ticker: &str) -> &str {
    ticker.split('-').next().unwrap_or(ticker)
}
