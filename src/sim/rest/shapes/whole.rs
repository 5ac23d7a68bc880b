//! Venues that list all at once, whatever is asked.

use super::{Page, Shape, pair};
use crate::clock::Moment;
use serde_json::{Map, Value, json};

/// What they have in common.
const WHOLE: Shape = Shape {
    venue: "",
    path: "",
    takes: |_| true,
    refusal: (404, "{}"),
    selects: |_, _, _| true,
    paging: None,
    row: |_, _| None,
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
        answer: |page| json!({"error": [], "result": by("altname", page)}),
        example: &["BTC/USD", "ETH/USD", "ETH/EUR"],
        ..WHOLE
    },
    Shape {
        venue: "kraken_futures",
        path: "/derivatives/api/v3/instruments",
        row: |id, is_open| {
            let (base, quote) = pair(id.split('_').nth(1).unwrap_or(id));
            Some(json!({"symbol": id, "pair": format!("{base}:{quote}"), "tradeable": is_open, "tickSize": 1}))
        },
        answer: |page| json!({"result": "success", "instruments": page.rows}),
        example: &["PF_XBTUSD", "PF_ETHUSD", "FI_XBTUSD_300927"],
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
    Shape {
        venue: "bitfinex",
        path: "/v2/conf/pub:list:pair:exchange,pub:list:pair:futures",
        row: |id, is_open| is_open.then(|| json!(id.strip_prefix('t').unwrap_or(id))),
        answer: |page| {
            let is_future = |row: &&Value| row.as_str().is_some_and(|pair| pair.ends_with("F0"));
            let (futures, pairs): (Vec<_>, Vec<_>) = page.rows.iter().partition(is_future);
            json!([pairs, futures])
        },
        example: &["tBTCUSD", "tDOGE:USD", "tBTCF0:USTF0"],
        ..WHOLE
    },
    Shape {
        venue: "dydx",
        path: "/v4/perpetualMarkets",
        row: |id, is_open| {
            let status = if is_open { "ACTIVE" } else { "FINAL_SETTLEMENT" };
            Some(json!({"clobPairId": "0", "ticker": id, "status": status, "oraclePrice": "1"}))
        },
        answer: |page| json!({"markets": by("ticker", page)}),
        example: &["BTC-USD", "ETH-USD", "SOL-USD"],
        ..WHOLE
    },
    Shape {
        venue: "bitmex",
        path: "/api/v1/instrument/active",
        row: |id, is_open| {
            let state = if is_open { "Open" } else { "Settled" };
            Some(json!({"symbol": id, "state": state, "tickSize": 0.5}))
        },
        example: &["XBTUSD", "ETHUSD", "XBT_USDT"],
        ..WHOLE
    },
    Shape {
        venue: "bitstamp",
        path: "/api/v2/markets/",
        row: |id, is_open| {
            let (of_pair, of_kind) = id.split_once('-').unwrap_or((id, ""));
            let of_pair = of_pair.to_uppercase();
            let (base, quote) = pair(&of_pair);
            let market_type = if of_kind == "perp" { "PERPETUAL" } else { "SPOT" };
            let trading = if is_open { "Enabled" } else { "Disabled" };
            Some(json!({
                "name": format!("{base}/{quote}"), "market_symbol": id, "base_currency": base, "counter_currency": quote,
                "trading": trading, "market_type": market_type,
            }))
        },
        example: &["btcusd", "ethusd", "btcusd-perp"],
        ..WHOLE
    },
    Shape {
        venue: "gemini",
        path: "/v1/symbols",
        row: |id, is_open| is_open.then(|| json!(id.to_ascii_lowercase())),
        example: &["BTCUSD", "ETHUSD", "BTCGUSDPERP"],
        ..WHOLE
    },
];

fn exchange_info(page: &Page) -> Value {
    json!({
        "timezone": "UTC", "serverTime": Moment::now().unix_millis(), "rateLimits": [], "exchangeFilters": [],
        "symbols": page.rows,
    })
}

/// The rows, each under what it says in that field.
fn by(field: &str, page: &Page) -> Map<String, Value> {
    let named = |row: &Value| Some((row.get(field)?.as_str()?.to_owned(), row.clone()));
    page.rows.iter().filter_map(named).collect()
}

/// What Kraken calls an asset over REST.
fn of_version_1(asset: &str) -> &str {
    match asset {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        other => other,
    }
}
