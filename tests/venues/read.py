"""Reads recorded frames without feedwatch. Usage: read.py events|gaps <venue> < frames, a JSON string a line.

events: a line an event, `kind instrument time sequence`, `-` for what there is none of, and `!reason` for a frame that is not
understood. gaps: how many gaps there are in the numbers, and how many numbers are missing, where that can be told."""

import calendar
import datetime
import itertools
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


OKX_KINDS = {"trades": "trade", "books5": "book_snapshot", "bbo-tbt": "ticker", "tickers": "ticker", "mark-price": "ticker", "funding-rate": "other"}


def okx(frame):
    if frame == "pong":
        yield line("heartbeat")
        return
    whole = json.loads(frame)
    arg = whole.get("arg", {})
    if "event" in whole:
        yield line({"error": "error", "notice": "status"}.get(whole["event"], "ack"), arg.get("instId"))
        return
    if "arg" not in whole:
        # Frames of version 3.
        yield "!schema"
        return
    channel = arg["channel"]
    for event in whole["data"]:
        if "candle" in channel:
            yield line("candle", arg["instId"])
            continue
        kind, place = OKX_KINDS.get(channel), None
        if kind is None:
            kind = {"snapshot": "book_snapshot", "update": "book_delta"}[whole["action"]]
            if "seqId" in event:
                series = ["books", "books-l2-tbt", "books50-l2-tbt"].index(channel)
                place = "start=%d" % event["seqId"] if kind == "book_snapshot" else "after=%d>%d" % (event["prevSeqId"], event["seqId"])
                place = "%d:%s" % (series, place)
        yield line(kind, event.get("instId", arg["instId"]), event.get("ts"), place)


BYBIT_DEPTHS = ["1", "25", "50", "100", "200", "500", "1000"]


def bybit(frame):
    whole = json.loads(frame)
    if "topic" not in whole:
        pong = whole.get("op") == "pong" or whole.get("ret_msg") == "pong"
        yield line("heartbeat" if pong else "ack" if whole["success"] else "error")
        return
    channel, symbol = whole["topic"].rsplit(".", 1)
    micros = whole.get("timestamp_e6")
    time = whole.get("cts", whole.get("ts", int(micros) // 1000 if micros else None))
    if channel in ("trade", "publicTrade"):
        for trade in whole["data"]:
            yield line("trade", symbol, trade.get("T", trade.get("trade_time_ms")))
    elif channel.startswith("orderbook."):
        update, series = whole["data"]["u"], BYBIT_DEPTHS.index(channel.split(".")[1])
        is_whole = whole["type"] == "snapshot" or update == 1
        place = "%d:%s=%d" % (series, "start" if is_whole else "next", update)
        yield line("book_snapshot" if is_whole else "book_delta", symbol, time, place)
    elif channel.startswith("orderBook"):
        # Before version 5, of which only the envelopes are understood.
        yield line({"snapshot": "book_snapshot", "delta": "book_delta"}[whole["type"]], symbol, time)
    elif channel.startswith(("kline", "candle")):
        yield line("candle", symbol, time)
    elif channel.startswith(("tickers", "instrument_info")):
        yield line("ticker", symbol, time)
    else:
        yield "!unknown_channel"


TRADED = set()


def hyperliquid(frame):
    whole = json.loads(frame)
    control = {"subscriptionResponse": "ack", "error": "error", "pong": "heartbeat", "allMids": "other"}
    kinds = {"l2Book": "book_snapshot", "trades": "trade", "bbo": "ticker"}
    if whole["channel"] in control:
        yield line(control[whole["channel"]])
        return
    data = whole["data"]
    # The first trades of a coin are of before the subscription.
    is_old = whole["channel"] == "trades" and data and data[0]["coin"] not in TRADED
    if is_old:
        TRADED.add(data[0]["coin"])
    for event in data if isinstance(data, list) else [data]:
        yield line(kinds[whole["channel"]], event["coin"], None if is_old else event["time"])


def bitstamp(frame):
    whole = json.loads(frame)
    if whole["event"].startswith("bts:"):
        yield line("ack")
        return
    channel, _, instrument = whole["channel"].rpartition("_")
    kinds = {"live_trades": "trade", "order_book": "book_snapshot"}
    yield line(kinds.get(channel, "book_delta"), instrument, int(whole["data"]["microtimestamp"]) // 1000)


def bitmex(frame):
    whole = json.loads(frame)
    table = whole.get("table")
    if table is None:
        yield line("status" if "info" in whole else "ack")
        return
    if table == "funding":
        yield line("other")
        return
    is_whole = whole["action"] == "partial"
    kinds = {"trade": "trade", "quote": "ticker", "tradeBin1m": "candle", "tradeBin5m": "candle", "orderBook10": "book_snapshot"}
    kind = kinds.get(table, "book_snapshot" if is_whole else "book_delta")
    for symbol, rows in itertools.groupby(whole["data"], key=lambda row: row["symbol"]):
        times = [row["timestamp"] for row in rows if "timestamp" in row]
        time = None if is_whole or not times else millis(max(times))
        yield line(kind, symbol, time)


def millis(text):
    time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(time.timestamp() * 1000)


def gemini(frame):
    whole = json.loads(frame)
    kinds = {"heartbeat": "heartbeat", "trade": "trade"}
    book = "book_snapshot" if "auction_events" in whole else "book_delta"
    yield line(kinds.get(whole["type"], book), whole.get("symbol"), whole.get("timestamp"))
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
    "kraken": kraken,
    "kraken_futures": kraken_futures,
    "coinbase": coinbase,
    "coinbase_exchange": coinbase_exchange,
    "okx": okx,
    "bybit_spot": bybit,
    "bybit_linear": bybit,
    "bybit_inverse": bybit,
    "bybit_option": bybit,
    "hyperliquid": hyperliquid,
    "bitstamp": bitstamp,
    "bitmex": bitmex,
    "gemini": gemini,
}


def gaps(events):
    reached, found, missing = {}, 0, 0
    for event in events:
        sequence = event.split(" ")[-1]
        if "=" not in sequence:
            continue
        series, _, place = sequence.partition(":")
        rule, _, numbers = place.partition("=")
        of = series if series.startswith(("connection", "channel")) else (series, event.split(" ")[1])
        if rule == "next":
            first = last = int(numbers)
        elif rule == "range":
            first, last = map(int, numbers.split(".."))
        elif rule == "after":
            before, last = map(int, numbers.split(">"))
        else:
            last = int(numbers)
        known = reached.get(of)
        if known is None or rule == "start":
            reached[of] = last
        elif rule == "after" and before == known:
            reached[of] = last
        elif last > known:
            if rule == "after":
                found += 1
            elif first > known + 1:
                found, missing = found + 1, missing + first - known - 1
            reached[of] = last
    return found, missing


what, venue = sys.argv[1:]
read = (event for recorded in sys.stdin for event in VENUES[venue](json.loads(recorded)))
for line_of_answer in gaps(read) if what == "gaps" else read:
    print(line_of_answer)
