//! The keys of `[[venues]]`: venues that are described.

use super::{KeyDoc, bare, key};

/// Every key of a described venue, in the order of the documentation. `docs/generic-venue.md` explains them at length.
pub const VENUE_KEYS: &[KeyDoc] = &[
    bare(
        "venues[].name",
        "the name that streams call it by; 1 to 64 of the characters A-Z a-z 0-9 _ - .",
    ),
    bare("venues[].url", "where it is served, ws:// or wss://"),
    key(
        "venues[].headers",
        "{}",
        "headers to send with every upgrade, such as { Origin = \"https://venue.example\" }; a stream's own of the same name win",
    ),
    bare(
        "venues[].headers_file",
        "a file of more such headers, a `name: value` a line: for secrets",
    ),
    key(
        "venues[].stale_after_ms",
        "60000",
        "live without data for so long is stale, where the stream does not say; 0 = never",
    ),
    key(
        "venues[].subscriptions_per_connection",
        "100",
        "what one connection carries: instruments, times the channels of each; 1 to 10000",
    ),
    bare(
        "venues[].connections_per_address",
        "connections that it lets one address have open, those of all streams together: 1 to 10000; by default no limit is known",
    ),
    bare(
        "venues[].subscriptions_per_address",
        "the same of subscriptions: instruments, times the channels of each; 1 to 1000000",
    ),
    key(
        "venues[].dial_per_second",
        "1.0",
        "dials a second that it allows: 0.01 to 1000",
    ),
    key(
        "venues[].dial_burst",
        "1",
        "so many of them at once after a quiet while: 1 to 1000",
    ),
    bare(
        "venues[].requests_per_second",
        "requests a second that it takes on one connection: 0.01 to 1000; by default as many as there are",
    ),
    bare(
        "venues[].requests_burst",
        "so many of them at once after a quiet while: 1 to 1000; by default 1",
    ),
    key(
        "venues[].max_connection_age_ms",
        "0",
        "before a connection is so old another one takes its place without a gap: at least 1000; 0 = never",
    ),
    key("venues[].hello", "[]", "texts that are sent first on each connection"),
    bare(
        "venues[].subscribe",
        "the request that subscribes, a template; by default nothing is sent: the url says it all",
    ),
    bare(
        "venues[].unsubscribe",
        "the request that ends subscriptions, a template; by default they are not ended",
    ),
    bare(
        "venues[].unsubscribe_acknowledged",
        "whether an acknowledgement answers an unsubscribe as well, true or false; only where acknowledgements name nothing, and there it is needed",
    ),
    bare(
        "venues[].item",
        "the template of what stands in the place of {items}, once for each instrument and channel that it names",
    ),
    key(
        "venues[].batch",
        "50",
        "the most instruments of one request that names several: 1 to 10000",
    ),
    key(
        "venues[].replaces",
        "false",
        "whether a request replaces those before it: then each names everything that is wanted",
    ),
    key(
        "venues[].channels",
        "[]",
        "what each instrument is subscribed to where the stream does not say; with none there is nothing to choose from",
    ),
    bare(
        "venues[].accepted_by",
        "when a subscription is in effect: acknowledgement, first_data or sent; by default acknowledgement where there are acknowledgements, else sent",
    ),
    key("venues[].acknowledgements", "[]", "frames that grant a request"),
    bare(
        "venues[].acknowledgements[].when",
        "what such a frame has in it, and what it lacks: { absent = true }",
    ),
    bare(
        "venues[].acknowledgements[].each",
        "where a list of answers stands; by default the frame is one",
    ),
    bare("venues[].acknowledgements[].id", "where the request's {id} stands"),
    bare(
        "venues[].acknowledgements[].instrument",
        "where the instrument stands, or a list of them",
    ),
    bare(
        "venues[].acknowledgements[].channel",
        "where the channel stands, if each is answered for itself",
    ),
    bare(
        "venues[].acknowledgements[].alias",
        "where stands what the venue calls the subscription from now on",
    ),
    key("venues[].refusals", "[]", "frames that refuse a request"),
    bare("venues[].refusals[].when", "what such a frame has in it"),
    bare(
        "venues[].refusals[].each",
        "where a list of answers stands; by default the frame is one",
    ),
    bare(
        "venues[].refusals[].id",
        "where the request's {id} stands; a refusal that names nothing refuses the oldest request where answers come in their order, else all that is not answered",
    ),
    bare(
        "venues[].refusals[].instrument",
        "where the instrument stands, or a list of them",
    ),
    bare("venues[].refusals[].channel", "where the channel stands"),
    bare(
        "venues[].refusals[].words",
        "where the venue says why, one pointer or several",
    ),
    bare(
        "venues[].ping",
        "the text of a ping, JSON or not; by default a WebSocket ping frame",
    ),
    key(
        "venues[].ping_interval_ms",
        "20000",
        "the time between two pings: at least 1000",
    ),
    bare(
        "venues[].pong",
        "the answer to a ping: its text, or { when = ... }; by default anything is a sign of life",
    ),
    bare("venues[].pong.when", "what such a frame has in it"),
    bare(
        "venues[].venue_ping",
        "how the venue pings, and what it wants in return",
    ),
    bare("venues[].venue_ping.text", "its text, where it is no JSON"),
    bare("venues[].venue_ping.when", "what it has in it, where it is JSON"),
    bare(
        "venues[].venue_ping.reply",
        "what is sent in return; {/ping} is what stands at /ping in the venue's",
    ),
    bare(
        "venues[].leaving",
        "how the venue says that it will end the connection; another one is made before",
    ),
    bare("venues[].leaving.when", "what such a frame has in it"),
    bare(
        "venues[].leaving.words",
        "where the venue says why, one pointer or several",
    ),
    key(
        "venues[].resync",
        "\"consumer\"",
        "what makes the data whole after a gap in its numbers: the consumer, resubscribe, or reconnect",
    ),
    bare(
        "venues[].events",
        "what all other frames are about: of several rules the first one that fits counts",
    ),
    bare(
        "venues[].events[].kind",
        "trade, book_snapshot, book_delta, ticker, candle (these are data), status, ack, heartbeat, error or other",
    ),
    bare(
        "venues[].events[].when",
        "what the frame or the event has in it, and what it lacks: { absent = true }; by default anything",
    ),
    bare(
        "venues[].events[].each",
        "where a list of events stands; by default the frame is one event",
    ),
    bare("venues[].events[].instrument", "where the instrument stands"),
    bare(
        "venues[].events[].instrument.of",
        "where it stands, one pointer or several; a table like this one can stand wherever an instrument or a channel is named",
    ),
    key(
        "venues[].events[].instrument.join",
        "\"\"",
        "what stands between the texts of several pointers",
    ),
    bare(
        "venues[].events[].instrument.after",
        "only what follows the last of these: \".\" makes XBT of trade.XBT",
    ),
    bare(
        "venues[].events[].instrument.before",
        "only what stands before the first of these",
    ),
    key(
        "venues[].events[].instrument.case",
        "\"as_is\"",
        "as_is, upper or lower: how streams spell it, where the venue has it otherwise",
    ),
    bare(
        "venues[].events[].alias",
        "where stands what the venue calls the subscription, as an acknowledgement told",
    ),
    bare("venues[].events[].time", "where the venue's time stands"),
    key(
        "venues[].events[].time_unit",
        "\"ms\"",
        "s, ms, us or ns since the Unix epoch, or rfc3339",
    ),
    bare(
        "venues[].events[].sequence",
        "where its number stands, and what it means: one of next, unordered, start, first and last, previous and number",
    ),
    bare(
        "venues[].events[].sequence.next",
        "its number is that of the event before, plus one",
    ),
    bare(
        "venues[].events[].sequence.unordered",
        "the same, but events may come in another order",
    ),
    bare(
        "venues[].events[].sequence.start",
        "the series begins anew behind this number: a whole book",
    ),
    bare(
        "venues[].events[].sequence.first",
        "the first of its numbers, which comes after the last one before",
    ),
    bare("venues[].events[].sequence.last", "the last of its numbers"),
    bare(
        "venues[].events[].sequence.previous",
        "the number of the event before, which may be lower by more than one",
    ),
    bare("venues[].events[].sequence.number", "its own number"),
    bare(
        "venues[].events[].sequence.series",
        "what is numbered together: connection; a pointer to the number of the subscription; or 0 to 255, which the rules of an instrument's series have in common. By default an instrument's books, its trades, and each other kind",
    ),
    bare(
        "venues[].events[].price",
        "where the price of a trade stands, or that of one change of a book",
    ),
    bare(
        "venues[].events[].size",
        "where its size stands; of a change 0 says that the level is gone",
    ),
    bare(
        "venues[].events[].side",
        "where stands what the taker did, or which side of a book changed: a pointer, or a table with the words for it",
    ),
    bare("venues[].events[].side.of", "where one of the words stands"),
    key(
        "venues[].events[].side.buy",
        "[\"buy\", \"Buy\", \"BUY\"]",
        "the words for who buys: a text, a number, true or false, or several, as in when",
    ),
    key(
        "venues[].events[].side.sell",
        "[\"sell\", \"Sell\", \"SELL\"]",
        "the words for who sells",
    ),
    bare("venues[].events[].id", "where the venue's id of a trade stands"),
    bare(
        "venues[].events[].bid",
        "where the best bid of a ticker stands, together with ask; null, \"\" or 0 says that nobody bids",
    ),
    bare("venues[].events[].ask", "where its best ask stands"),
    bare(
        "venues[].events[].last",
        "where stands the price of the last trade, of a ticker; null, \"\" or 0 says that there was none yet",
    ),
    bare(
        "venues[].events[].bids",
        "where the bids of a book stand, all or those that change: a pointer to a list of [price, size], or a table",
    ),
    bare(
        "venues[].events[].bids.each",
        "where the list stands; a table like this one can stand for asks as well",
    ),
    key(
        "venues[].events[].bids.price",
        "\"*/0\"",
        "where in each level of it the price stands",
    ),
    key(
        "venues[].events[].bids.size",
        "\"*/1\"",
        "where in each level of it the size stands",
    ),
    bare("venues[].events[].asks", "where its asks stand"),
    key(
        "venues[].events[].ended",
        "false",
        "whether it says that the instrument has ended",
    ),
];
