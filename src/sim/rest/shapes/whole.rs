//! Venues that list all at once, whatever is asked.

use super::{Page, Shape, pair};
use crate::clock::Moment;
use serde_json::{Value, json};

/// What they have in common.
const WHOLE: Shape = Shape {
    venue: "",
    path: "",
    takes: |_| true,
    refusal: (404, "{}"),
    selects: |_, _, _| true,
    paging: None,
    row: |id, is_open| is_open.then(|| json!(id)),
    answer: |page| json!(page.rows),
    example: &[],
};

/// A row a venue.
pub(super) const SHAPES: &[Shape] = &[
    Shape {
        venue: "binance",
        path: "/api/v3/exchangeInfo",
        selects: |query, _, is_open| {
            query
                .get("symbolStatus")
                .is_none_or(|status| (status == "TRADING") == is_open)
        },
        row: |id, is_open| {
            let (base, quote) = pair(id);
            let status = if is_open { "TRADING" } else { "BREAK" };
            Some(json!({"symbol": id, "status": status, "baseAsset": base, "quoteAsset": quote, "filters": []}))
        },
        answer: exchange_info,
        example: &["BTCUSDT", "ETHUSDT", "ETHBTC"],
        ..WHOLE
    },
    Shape {
        venue: "binance_usdm",
        path: "/fapi/v1/exchangeInfo",
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
        ..WHOLE
    },
    Shape {
        venue: "binance_coinm",
        path: "/dapi/v1/exchangeInfo",
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
        ..WHOLE
    },
    Shape {
        venue: "kraken",
        path: "/0/public/AssetPairs",
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
        ..WHOLE
    },
    Shape {
        venue: "coinbase",
        path: "/api/v3/brokerage/market/products",
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
        ..WHOLE
    },
    Shape {
        venue: "coinbase_exchange",
        path: "/products",
        row: |id, is_open| {
            let (base, quote) = pair(id);
            let status = if is_open { "online" } else { "delisted" };
            Some(json!({
                "id": id, "base_currency": base, "quote_currency": quote, "display_name": format!("{base}/{quote}"),
                "status": status, "trading_disabled": !is_open,
            }))
        },
        example: &["BTC-USD", "ETH-USD", "ETH-BTC"],
        ..WHOLE
    },
];

fn exchange_info(page: &Page) -> Value {
    json!({
        "timezone": "UTC", "serverTime": Moment::now().unix_millis(), "rateLimits": [], "exchangeFilters": [],
        "symbols": page.rows,
    })
}

/// What Kraken calls an asset over REST.
fn of_version_1(asset: &str) -> &str {
    match asset {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        other => other,
    }
}
