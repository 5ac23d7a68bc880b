"""Reads recorded frames without feedwatch: a line an event, `kind instrument time sequence`, `-` for what there is none of, and
`!reason` for a frame that is not understood. Usage: read.py <venue> < frames, a JSON string a line."""

import calendar
import datetime
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


def seconds(text):
    whole, _, fraction = text.partition(".")
    return int(whole) * 1000 + int((fraction + "000")[:3])


def kraken(frame):
    message = json.loads(frame)
    if isinstance(message, dict):
        yield {
            "systemStatus": line("status"),
            "heartbeat": line("heartbeat"),
            "subscriptionStatus": line("ack"),
        }.get(message.get("event"), "!schema")
        return
    *parts, channel, pair = message[1:]
    name = channel.split("-")[0]
    if name == "book":
        sides = [side for part in parts for key, side in part.items() if key != "c"]
        is_whole = any("as" in part for part in parts)
        times = [seconds(level[2]) for side in sides for level in side]
        yield line("book_snapshot" if is_whole else "book_delta", pair, max(times, default=None))
    elif name == "trade":
        for trade in parts[0]:
            yield line("trade", pair, seconds(trade[2]))
    elif name == "spread":
        yield line("ticker", pair, seconds(parts[0][2]))
    else:
        yield line({"ticker": "ticker", "ohlc": "candle"}[name], pair)


def utc(text):
    moment = datetime.datetime.strptime(text.split(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S")
    fraction = text.partition(".")[2].rstrip("Z")
    return calendar.timegm(moment.timetuple()) * 1000 + int((fraction + "000")[:3])


def coinbase(frame):
    message = json.loads(frame)
    known = {"subscriptions": "ack", "heartbeats": "heartbeat"}
    yield line(known[message["channel"]], sequence="connection:next=%d" % message["sequence_num"])


def coinbase_exchange(frame):
    event = json.loads(frame)
    name, product = event["type"], event.get("product_id")
    time = utc(event["time"]) if "time" in event else None
    if name == "match":
        yield line("trade", product, time, "0:next=%d" % event["trade_id"])
    elif name == "last_match":
        yield line("trade", product, None, "0:start=%d" % event["trade_id"])
    else:
        kinds = {
            "subscriptions": "ack",
            "snapshot": "book_snapshot",
            "l2update": "book_delta",
            "open": "book_delta",
            "ticker": "ticker",
        }
        yield line(kinds[name], product, time)


def kraken_futures(frame):
    message = json.loads(frame)
    if "event" in message:
        yield {"subscribed": line("ack"), "info": line("status")}.get(message["event"], "!unknown_channel")
        return
    if "feed" not in message:
        yield "!schema"
        return
    feed, product = message["feed"], message["product_id"]
    time = message.get("time", message.get("timestamp"))
    if feed == "trade_snapshot":
        for index, trade in enumerate(message["trades"]):
            yield line("trade", product, None, None if index else "1:start=%d" % trade["seq"])
    elif feed == "trade":
        yield line("trade", product, time, "1:next=%d" % message["seq"])
    elif feed == "book_snapshot":
        yield line("book_snapshot", product, time, "0:start=%d" % message["seq"])
    elif feed == "book":
        yield line("book_delta", product, time, "0:next=%d" % message["seq"])
    else:
        yield line("ticker", product, time)


VENUES = {
    "binance": binance,
    "binance_usdm": binance,
    "binance_coinm": binance,
    "kraken": kraken,
    "kraken_futures": kraken_futures,
    "coinbase": coinbase,
    "coinbase_exchange": coinbase_exchange,
}

for recorded in sys.stdin:
    for event in VENUES[sys.argv[1]](json.loads(recorded)):
        print(event)
