"""Reads recorded frames without feedwatch: a line an event, `kind instrument time sequence`, `-` for what there is none of, and
`!reason` for a frame that is not understood. Usage: read.py <venue> < frames, a JSON string a line."""

import json
import sys


def line(kind, instrument=None, time=None, sequence=None):
    return " ".join(str(part) if part is not None else "-" for part in (kind, instrument, time, sequence))


def binance(frame):
    whole = json.loads(frame)
    stream, data = (whole.get("stream"), whole["data"]) if isinstance(whole, dict) and "data" in whole else (None, whole)
    for event in data if isinstance(data, list) else [data]:
        yield binance_event(stream, event)


def binance_event(stream, event):
    name, symbol, time = event.get("e"), event.get("s"), event.get("E")
    if name is None:
        if "lastUpdateId" in event:
            return line("book_snapshot", stream.split("@")[0].upper())
        return line("ticker", symbol) if "u" in event else line("ack")
    if name == "trade":
        return line("trade", symbol, time, "1:next=%d" % event["t"])
    if name == "aggTrade":
        return line("trade", symbol, time, "2:next=%d" % event["a"])
    if name == "depthUpdate":
        if stream and stream.split("@depth")[1][:1].isdigit():
            return line("book_snapshot", symbol, time)
        if "pu" in event:
            return line("book_delta", symbol, time, "0:after=%d>%d" % (event["pu"], event["u"]))
        return line("book_delta", symbol, time, "0:range=%d..%d" % (event["U"], event["u"]))
    if name.endswith("Ticker") or name == "markPriceUpdate":
        return line("ticker", symbol, time)
    if name.endswith("kline"):
        return line("candle", symbol, time)
    return "!unknown_channel"


bitfinex_channels = {}


def bitfinex(frame):
    message = json.loads(frame)
    if isinstance(message, dict):
        name = message["event"]
        if name == "subscribed":
            bitfinex_channels[message["chanId"]] = (message["channel"], message["symbol"])
        yield line({"info": "status", "error": "error", "pong": "heartbeat"}.get(name, "ack"), message.get("symbol"))
        return
    number, sequence = message[0], "connection:next=%d" % message[-1]
    channel, symbol = bitfinex_channels[number]
    if message[1] == "hb":
        yield line("heartbeat", symbol, None, sequence)
    elif isinstance(message[1], str):
        yield line("trade" if message[1] == "te" else "other", symbol, message[2][1], sequence)
    else:
        is_whole = not message[1] or isinstance(message[1][0], list)
        kind = {"book": "book_snapshot" if is_whole else "book_delta", "trades": "trade", "ticker": "ticker"}[channel]
        yield line(kind, symbol, None, sequence)


def deribit(frame):
    message = json.loads(frame)
    if "method" not in message:
        yield line("ack")
        return
    channel, data = message["params"]["channel"].split("."), message["params"]["data"]
    if channel[0] == "trades":
        for trade in data:
            yield line("trade", trade["instrument_name"], trade["timestamp"])
        return
    name, time, sequence = data.get("instrument_name"), data.get("timestamp"), None
    if channel[0] == "chart":
        kind, name = "candle", channel[2]
    elif channel[0] == "book":
        series = {"100ms": 0, "raw": 1}.get(channel[2])
        kind = "book_delta" if data.get("type") == "change" else "book_snapshot"
        if kind == "book_delta":
            sequence = "%d:after=%d>%d" % (series, data["prev_change_id"], data["change_id"])
        elif "type" in data:
            sequence = "%d:start=%d" % (series, data["change_id"])
    else:
        kind = "ticker"
    yield line(kind, name, time, sequence)


def kalshi(frame):
    message = json.loads(frame)
    sequence = "channel%d:next=%d" % (message["sid"], message["seq"]) if "seq" in message else None
    kind = message["type"]
    if kind in ("trade", "ticker"):
        body = message["msg"]
        yield line(kind, body["market_ticker"], body["ts"] * 1000, sequence)
    else:
        yield line("error" if kind == "error" else "ack", None, None, sequence)


VENUES = {
    "bitfinex": bitfinex,
    "deribit": deribit,
    "kalshi": kalshi,
    "binance": binance,
    "binance_usdm": binance,
    "binance_coinm": binance,
}

for recorded in sys.stdin:
    for event in VENUES[sys.argv[1]](json.loads(recorded)):
        print(event)
