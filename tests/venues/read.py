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


VENUES = {
    "binance": binance,
    "binance_usdm": binance,
    "binance_coinm": binance,
    "okx": okx,
}

for recorded in sys.stdin:
    for event in VENUES[sys.argv[1]](json.loads(recorded)):
        print(event)
