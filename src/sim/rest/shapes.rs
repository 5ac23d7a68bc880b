//! How venues tell over REST what they list: a row a venue.
//!
//! Source of the protocols' facts: the venues' public documentation, as in their `directory` modules. None of those is used here, so
//! that each side is held against the other.

mod parts;
mod whole;

use super::instruments::Instrument;
use super::query::Query;
use serde_json::Value;
use std::time::Duration;

/// The quotes of ids that have no mark before theirs.
const QUOTES: [&str; 6] = ["USDT", "USDC", "USD", "EUR", "BTC", "ETH"];

/// How a venue tells what it lists.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) venue: &'static str,
    path: &'static str,
    /// Whether it answers such a query, or such a body.
    takes: fn(&Query) -> bool,
    /// Its answer to another one.
    refusal: (u16, &'static str),
    /// Whether a query asks for an instrument, which is traded or not.
    selects: fn(&Query, &str, bool) -> bool,
    /// `None` = all comes at once.
    paging: Option<Paging>,
    /// An instrument, traded or not; `None` = such a one is not listed.
    row: fn(&str, bool) -> Option<Value>,
    answer: fn(&Page) -> Value,
    /// What is listed where nobody says what.
    pub(super) example: &'static [&'static str],
}

/// How pages follow one another.
#[derive(Debug)]
struct Paging {
    /// So many rows, where the query does not say how many.
    unless_told: usize,
    /// The mark of the page that begins with that row.
    mark: fn(usize) -> String,
    /// And back, from a query.
    read: fn(&str) -> Option<usize>,
}

struct Page<'q> {
    query: &'q Query<'q>,
    rows: Vec<Value>,
    /// Empty = there is no other.
    next: String,
}

impl Shape {
    /// Those of every venue that lists instruments.
    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        whole::SHAPES.iter().chain(parts::SHAPES)
    }

    /// That of a venue, where it lists instruments.
    pub(super) fn of(venue: &str) -> Option<&'static Self> {
        Self::all().find(|shape| shape.venue == venue)
    }

    /// What is told of those that are listed at this moment, with which status; a page has so many rows at most.
    fn tell(&self, query: &Query, listed: &[(&str, bool)], page_size: usize) -> Option<Value> {
        let asked = listed
            .iter()
            .filter(|(id, is_open)| (self.selects)(query, id, *is_open));
        let mut rows: Vec<_> = asked.filter_map(|(id, is_open)| (self.row)(id, *is_open)).collect();
        let mut next = String::new();
        if let Some(paging) = &self.paging {
            let begin = match query.get("cursor").filter(|mark| !mark.is_empty()) {
                Some(mark) => (paging.read)(&mark)?,
                None => 0,
            };
            let most = match query.get("limit") {
                Some(limit) => limit.parse().ok().filter(|limit| *limit > 0)?,
                None => paging.unless_told,
            };
            let end = begin.saturating_add(most.min(page_size));
            if end < rows.len() {
                next = (paging.mark)(end);
            }
            rows = rows.into_iter().skip(begin).take(end - begin).collect();
        }
        Some((self.answer)(&Page { query, rows, next }))
    }
}

/// The status and the body of an answer at that moment, counted from the venue's start; `None` where no venue has such a path.
pub(super) fn answer(
    path: &str,
    query: &Query,
    listed: &[Instrument],
    (at, page_size): (Duration, usize),
) -> Option<(u16, String)> {
    let mut of_path = Shape::all().filter(|shape| shape.path == path).peekable();
    let (status, refusal) = of_path.peek()?.refusal;
    let told = of_path.find(|shape| (shape.takes)(query)).and_then(|shape| {
        let of_venue = listed.iter().filter(|instrument| instrument.venue == shape.venue);
        let now: Vec<_> = of_venue.filter_map(|instrument| instrument.at(at)).collect();
        shape.tell(query, &now, page_size)
    });
    Some(told.map_or_else(|| (status, refusal.to_owned()), |told| (200, told.to_string())))
}

/// The base and the quote of an id: by the mark between them, or by a usual quote.
fn pair(id: &str) -> (&str, &str) {
    if let Some((base, rest)) = id.split_once(['-', '/']) {
        return (base, rest.split('-').next().unwrap_or(rest));
    }
    let split = |quote: &&'static str| Some((id.strip_suffix(*quote).filter(|base| !base.is_empty())?, *quote));
    QUOTES.iter().find_map(split).unwrap_or((id, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::{self, Listing};

    /// Names that stand for all of the example.
    fn names(venue: &str) -> &'static [&'static str] {
        match venue {
            "okx" => &["SPOT:*", "SWAP:*", "FUTURES:*"],
            "bybit_option" => &["BTC-*"],
            "deribit" => &["future:*", "option:*", "spot:*", "future_combo:*", "option_combo:*"],
            "hyperliquid" => &["*", "xyz:*", "*/*"],
            "kalshi" => &["series:KXRAIN"],
            _ => &["*"],
        }
    }

    fn ask(request: &str, listed: &[Instrument], page_size: usize) -> (u16, String) {
        ask_with(request, "", listed, page_size)
    }

    fn ask_with(request: &str, body: &str, listed: &[Instrument], page_size: usize) -> (u16, String) {
        let (path, query) = request.split_once('?').unwrap_or((request, ""));
        let query = Query::new(query, body.as_bytes());
        answer(path, &query, listed, (Duration::from_secs(5), page_size)).unwrap()
    }

    /// Every page of what a name stands for, as the look-up reads it.
    fn look_up(venue: &str, name: &str, listed: &[Instrument]) -> Vec<String> {
        let venue = venue::find(venue).unwrap();
        let directory = venue.directory().unwrap();
        directory.check_name(name).unwrap();
        let (mut page, mut ids) = (None, Vec::new());
        loop {
            let request = directory.request(name, page.as_deref());
            let body = directory.body(name, page.as_deref()).unwrap_or_default();
            let (status, told) = ask_with(&request, &body, listed, 1);
            assert_eq!(status, 200, "{told}");
            let Listing { instruments, next } = directory.read(name, told.as_bytes()).unwrap();
            ids.extend(instruments.into_iter().map(|listed| listed.instrument.to_string()));
            page = next;
            if page.is_none() {
                return ids;
            }
        }
    }

    #[test]
    fn every_venue_with_names_is_served_and_read_by_the_look_up() {
        let with_names = venue::ALL.iter().filter(|venue| venue.directory().is_some());
        let mut without: Vec<_> = with_names.map(|venue| venue.name()).collect();
        for shape in Shape::all() {
            let mut listed: Vec<_> = shape
                .example
                .iter()
                .map(|id| Instrument::new(shape.venue, id))
                .collect();
            let all = |listed: &[Instrument]| {
                let mut found: Vec<_> = names(shape.venue)
                    .iter()
                    .flat_map(|name| look_up(shape.venue, name, listed))
                    .collect();
                found.sort();
                found
            };
            let mut expected: Vec<_> = shape.example.iter().map(ToString::to_string).collect();
            expected.sort();
            assert_eq!(all(&listed), expected, "{}", shape.venue);

            // The first one ends, and the one that was not yet there comes in later.
            listed[0].until = Some(Duration::from_secs(5));
            expected.retain(|id| id != shape.example[0]);
            assert_eq!(all(&listed), expected, "{}", shape.venue);
            without.retain(|venue| *venue != shape.venue);
        }
        assert_eq!(without, ["polymarket"], "which lists events");
    }

    #[test]
    fn a_query_that_the_venue_would_not_understand_is_refused_in_its_words() {
        for (request, told) in [
            ("/api/v5/public/instruments", (400, "50014")),
            ("/v5/market/instruments-info?category=swap", (200, "10001")),
            (
                "/v5/market/instruments-info?category=linear&cursor=first%253D1",
                (200, "10001"),
            ),
            ("/v5/market/instruments-info?category=linear&limit=0", (200, "10001")),
            ("/trade-api/v2/markets?cursor=++//MQ==", (400, "invalid_parameters")),
            ("/api/v2/public/get_instruments?kind=future", (400, "-32602")),
            (
                "/api/v2/public/get_instruments?currency=any&kind=futures",
                (400, "-32602"),
            ),
            ("/info?type=meta", (422, "Failed to deserialize")),
        ] {
            let (status, body) = ask(request, &[], 10);
            assert_eq!((status, body.contains(told.1)), (told.0, true), "{request}: {body}");
        }
        for body in ["meta", r#""meta""#, "[]", r#"{"type": "allMids"}"#] {
            assert_eq!(ask_with("/info", body, &[], 10).0, 422, "{body}");
        }
        assert_eq!(answer("/", &Query::new("", b""), &[], (Duration::ZERO, 1)), None);
    }

    #[test]
    fn a_venue_that_is_asked_for_a_part_tells_no_other() {
        let listed = |venue| {
            let example = Shape::of(venue).unwrap().example.iter();
            example.map(|id| Instrument::new(venue, id)).collect::<Vec<_>>()
        };
        let of_deribit = listed("deribit");
        for (kind, ids) in [
            ("future", &["BTC-PERPETUAL", "ETH-27SEP30"][..]),
            ("option", &["BTC-27SEP30-100000-C", "XRP_USDC-27SEP30-0d5-P"]),
            ("spot", &["BTC_USDC"]),
            ("future_combo", &["BTC-FS-27SEP30_PERP"]),
            ("option_combo", &["BTC-CS-27SEP30-100000_110000"]),
        ] {
            assert_eq!(look_up("deribit", &format!("{kind}:*"), &of_deribit), ids);
        }
        let of_hyperliquid = listed("hyperliquid");
        for (body, ids) in [
            (r#"{"type": "meta"}"#, &["BTC", "kPEPE"][..]),
            (r#"{"type": "meta", "dex": "xyz"}"#, &["xyz:GOLD"]),
            (r#"{"type": "spotMeta"}"#, &["PURR/USDC", "@107"]),
        ] {
            let (_, told) = ask_with("/info", body, &of_hyperliquid, 1);
            let told: Value = serde_json::from_str(&told).unwrap();
            let names: Vec<_> = told["universe"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| &row["name"])
                .collect();
            assert_eq!(names, ids, "{body}");
        }
        assert_eq!(look_up("hyperliquid", "@*", &of_hyperliquid), ["@107"]);
        assert_eq!(look_up("hyperliquid", "PURR/*", &of_hyperliquid), ["PURR/USDC"]);
    }

    #[test]
    fn what_has_ended_is_told_as_the_venue_tells_it() {
        let mut ended = Instrument::new("kalshi", "KXRAIN-30-AYTON");
        ended.until = Some(Duration::ZERO);
        let request = "/trade-api/v2/markets?event_ticker=KXRAIN-30&status=settled";
        assert!(ask(request, &[ended.clone()], 10).1.contains(r#""status":"finalized""#));
        assert!(
            ask(&request.replace("30", "31"), &[ended], 10)
                .1
                .contains(r#""markets":[]"#)
        );
        let mut ended = Instrument::new("deribit", "BTC-27SEP30");
        ended.until = Some(Duration::ZERO);
        let request = "/api/v2/public/get_instruments?currency=any";
        assert!(ask(request, &[ended], 10).1.contains(r#""is_active":false"#));
        let mut ended = Instrument::new("hyperliquid", "BTC");
        ended.until = Some(Duration::ZERO);
        let told = ask_with("/info", r#"{"type": "meta"}"#, &[ended], 10).1;
        assert!(told.contains(r#""isDelisted":true"#), "{told}");
        let mut ended = Instrument::new("binance_coinm", "BTCUSD_PERP");
        ended.until = Some(Duration::ZERO);
        assert!(
            ask("/dapi/v1/exchangeInfo", &[ended], 10)
                .1
                .contains(r#""contractStatus":"SETTLING""#)
        );
    }
}
